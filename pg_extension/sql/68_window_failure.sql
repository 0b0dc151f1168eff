-- What workers do for windows between batches, and fails, is in the log and tried again. What fails again and again is nobody's group: the rest of
-- the window waits for it, as events do in the end. So it is kept with the window until it is done.

-- Notes what a worker has met; it is called in a transaction of its own. A window that was dropped meanwhile has none.
CREATE FUNCTION millrace._window_fails(window_id integer, step text, sqlstate text, error text) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.window_failure AS f (window_id, step, sqlstate, error, since, last_at)
  SELECT w.id, _window_fails.step, _window_fails.sqlstate, left(_window_fails.error, 1000), clock_timestamp(), clock_timestamp()
  FROM millrace.window_definition AS w WHERE w.id = _window_fails.window_id
  ON CONFLICT ON CONSTRAINT window_failure_pkey DO UPDATE SET sqlstate = excluded.sqlstate, error = excluded.error, last_at = excluded.last_at;
  UPDATE millrace.window_backfill AS b SET due_at = clock_timestamp() + interval '5 s', tried_by = NULL, crashes = 0, stretch = greatest(b.stretch / 4, 1000)  -- it may have been too much at once
  WHERE b.window_id = _window_fails.window_id AND _window_fails.step = 'backfill';
  SELECT true;
$$;
REVOKE ALL ON FUNCTION millrace._window_fails FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_fails IS 'Internal: notes that a step of a window''s upkeep fails.';

CREATE FUNCTION millrace._window_works(window_id integer, step text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  DELETE FROM millrace.window_failure AS f WHERE f.window_id = _window_works.window_id AND f.step = _window_works.step;
$$;
REVOKE ALL ON FUNCTION millrace._window_works FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_works IS 'Internal: notes that a step of a window''s upkeep was done.';
