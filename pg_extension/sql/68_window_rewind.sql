-- Events are to come again, and rows of theirs were removed from the target, if they are not to be there twice: so incremental windows are
-- computed from the rows that are left. Rows may have been removed for another reason, since they are old: then nothing else has their aggregates.

-- Where what a window keeps begins, where the first of its windows ends, and the last one; null: it keeps nothing. What retention has passed may be waiting to be removed.
CREATE FUNCTION millrace._window_range(w millrace.window_definition, OUT "from" timestamptz, OUT first_to timestamptz, OUT "to" timestamptz, OUT rows numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  EXECUTE format('SELECT min(f.window_start), min(f.window_end), max(f.window_end), coalesce(sum(f.n), 0) FROM millrace._window_%s_folded AS f '
                 'WHERE f.window_end > $1 AND f.window_start >= (SELECT c.kept_from FROM millrace.window_cursor AS c WHERE c.window_id = $2 ORDER BY c.fold DESC LIMIT 1)', w.id)
  INTO "from", first_to, "to", rows USING coalesce(now() - w.retention, '-infinity'), w.id;
END $$;
REVOKE ALL ON FUNCTION millrace._window_range FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_range IS 'Internal: the times that a folded window has groups of, and how many rows are in them.';

-- Refused where windows would be erased that begin before all that the target has, and nobody has said since when it has all rows: these are the first to
-- be removed when rows get old. What is missing later is said, and nothing else: rows that are to come again are. locked: the windows this
-- transaction folds; the pipeline is locked, so it waits for no others.
CREATE FUNCTION millrace._rewind_windows(caller regrole, p millrace.pipeline, locked integer[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w   millrace.window_definition;
  had record;
  has record;
BEGIN
  FOR w IN SELECT * FROM millrace.window_definition AS d WHERE d.pipeline_id = p.id AND d.kind = 'incremental' ORDER BY d.id LOOP
    IF w.id <> ALL (locked) THEN
      RAISE EXCEPTION 'window "%" was created concurrently', w.name USING ERRCODE = 'serialization_failure', HINT = 'Try again.';
    END IF;
    PERFORM millrace._fold_window(w.id, false, true);
    had := millrace._window_range(w);
    PERFORM millrace._rebuild_window(caller, w.name, '-infinity', 'infinity');
    has := millrace._window_range(w);
    IF w.target_since IS NOT NULL THEN
      RAISE NOTICE 'window "%" keeps what it has of times before %', w.name, w.target_since
        USING DETAIL = 'Events of these times that come again count there twice.';
    ELSIF had."from" < coalesce(has."from", 'infinity') THEN
      RAISE EXCEPTION 'rewinding pipeline "%" would erase aggregates of window "%"', p.name, w.name
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = format('It begins at %s, and is computed again from the rows of the target, which begin at %s: those before have been removed.',
                              had."from", coalesce(has."from"::text, 'no time: there are none')),
              HINT = format('To keep what they gave: SELECT millrace.alter_window(%L, target_since => %L); '
                            'if all of them come again: SELECT millrace.rebuild_window(%1$L); and then rewind.', w.name, coalesce(has.first_to, had."to"));  -- the first one may have been removed in part
    END IF;
    IF has.rows < had.rows THEN
      RAISE NOTICE 'window "%" has % rows fewer than before, as the target has', w.name, had.rows - has.rows
        USING DETAIL = 'They count again when their events do come again.';
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._rewind_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._rewind_windows IS 'Internal: computes windows of a pipeline whose events are to come again.';
