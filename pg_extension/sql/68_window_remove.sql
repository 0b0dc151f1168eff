-- What folds have left is merged, and windows are removed: those that retention has passed, and the oldest when there are more than
-- max_groups. A window leaves at once, and its rows go in bounded steps.

-- A group has a row for each fold that found something of it, until these are merged with each other. Then what is to go is removed,
-- more of it than has come. The caller has locked the window, and appends the cursor. One pass over the windows that folds have added to finds the groups, by
-- hashing, with the places of their rows: joined with themselves by window and group, 20,000 groups took minutes. A group that has one row keeps it.
CREATE FUNCTION millrace._compact_window(w millrace.window_definition, INOUT c millrace.window_cursor)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off SET jit = off AS $$
DECLARE
  merged    record;
  gone      record;
  "limit"   bigint := 10000 + 2 * least(c.added, c.groups);  -- of what is removed
  leaves    timestamptz;
BEGIN
  BEGIN
    EXECUTE format('WITH merged AS MATERIALIZED (SELECT window_start, max(window_end) AS window_end%2$s, %4$s, array_agg(f.ctid) AS places '
                   'FROM millrace._window_%1$s_folded AS f '
                   'WHERE f.window_start = ANY (ARRAY(SELECT DISTINCT t.window_start FROM millrace._window_%1$s_folded AS t WHERE t.fold > $1)) '
                   'GROUP BY window_start%2$s HAVING count(*) > 1), '
                   'gone AS (DELETE FROM millrace._window_%1$s_folded AS f USING (SELECT unnest(m.places) AS place FROM merged AS m) AS p WHERE f.ctid = p.place RETURNING 1), '
                   'kept AS (INSERT INTO millrace._window_%1$s_folded (fold, window_start, window_end%2$s, %3$s) '
                   'SELECT 0, window_start, window_end%2$s, %3$s FROM merged) '
                   'SELECT (SELECT count(*) FROM gone) AS gone, (SELECT count(*) FROM merged) AS kept',
                   w.id, w.keys, w.states, w.merges)
    INTO merged USING c.compacted;
    c.compacted := c.fold;
    c.added := 0;
    c.groups := c.groups - merged.gone + merged.kept;
  EXCEPTION WHEN data_exception THEN  -- of a group whose states cannot be merged; what is to go is removed all the same
    NULL;
  END;
  IF c.groups > w.max_groups AND c.lowest >= c.kept_from THEN  -- what has left before is removed
    leaves := millrace._leaving_windows(w, c.lowest, c.groups - w.max_groups);
  END IF;
  IF leaves IS NOT NULL THEN
    c.kept_from := greatest(c.kept_from, leaves);
    c.left_at := clock_timestamp();
  END IF;
  SELECT * INTO gone FROM millrace._remove_windows(w, c.lowest, greatest(c.kept_from, now() - w.retention - w.size), "limit");
  c.groups := c.groups - gone.groups;
  c.lowest := gone.reached;
  DELETE FROM millrace.window_late AS l WHERE l.ctid = ANY (ARRAY(
    SELECT g.ctid FROM millrace.window_late AS g WHERE g.window_id = w.id AND g.window_start < greatest(c.kept_from, now() - w.retention)
      AND (g.window_end <= now() - w.retention OR g.window_start < c.kept_from) ORDER BY g.window_start LIMIT "limit"));
END $$;
REVOKE ALL ON FUNCTION millrace._compact_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._compact_window IS 'Internal: merges what the folds of a window have left, and removes what is to go.';

-- Before which start windows leave, so that there are so many rows less (or 100000, and more in the next step); null: none can. No row
-- begins before lowest. Windows that are open stay, and so do those that are to be published: what leaves is in its topic, or on its way there.
CREATE FUNCTION millrace._leaving_windows(w millrace.window_definition, lowest timestamptz, surplus bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off AS $$
DECLARE
  done   timestamptz := (millrace._window_mark(w.id)).watermark;
  due    timestamptz;
  leaves timestamptz;
  outlet millrace.window_outlet;
BEGIN
  SELECT * INTO outlet FROM millrace.window_outlet AS o WHERE o.window_id = w.id AND o.topic IS NOT NULL;
  IF FOUND THEN
    done := least(done, outlet.closed_to);
    EXECUTE format('SELECT min(d.window_start) FROM millrace._window_%s_due AS d', w.id) INTO due;
  END IF;
  IF w.gap IS NOT NULL THEN  -- one that is open may have begun before others that are closed; what begins before the first of these is closed
    EXECUTE format('SELECT least($2, min(f.window_start)) FROM millrace._window_%s_folded AS f WHERE f.window_start > $1 - %L::interval AND f.window_end > $1', w.id, w.size)
    INTO due USING coalesce(done, '-infinity'), due;
    EXECUTE format('SELECT max(f.window_start) + interval ''1 us'' FROM (SELECT g.window_start FROM millrace._window_%s_folded AS g '
                   'WHERE g.window_start >= $1 AND g.window_start < $3 AND g.window_start <= $4 ORDER BY g.window_start LIMIT $2) AS f', w.id)
    INTO leaves USING lowest, least(surplus, 100000), coalesce(due, 'infinity'), coalesce(done, '-infinity');
    RETURN leaves;
  END IF;
  -- months and days are of different lengths
  EXECUTE format('SELECT %4$s FROM (SELECT max(f.window_start) AS last FROM (SELECT g.window_start FROM millrace._window_%1$s_folded AS g '
                 'WHERE g.window_start >= $1 AND g.window_start <= $3 - %2$L::interval + interval ''4 days'' ORDER BY g.window_start LIMIT $2) AS f '
                 'WHERE %3$s <= $3 AND f.window_start < $4) AS l',
                 w.id, w.size, millrace._later('f.window_start', format('%L::interval', w.size), w.slide, w.time_zone),
                 millrace._later('l.last', format('%L::interval', w.slide), w.slide, w.time_zone))
  INTO leaves USING lowest, least(surplus, 100000), coalesce(done, '-infinity'), coalesce(due, 'infinity');
  RETURN leaves;
END $$;
REVOKE ALL ON FUNCTION millrace._leaving_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._leaving_windows IS 'Internal: which windows leave because there are too many groups.';

-- Removes rows of windows that begin in ["from", "to"), the oldest first and no more than "limit" of each table. Out: how many of the
-- folded table; reached: nothing is left before. What is published of a sliding window begins before its panes.
CREATE FUNCTION millrace._remove_windows(w millrace.window_definition, "from" timestamptz, "to" timestamptz, "limit" bigint, OUT groups bigint, OUT reached timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off AS $$
DECLARE
  part record;
  gone record;
BEGIN
  groups := 0;
  reached := greatest("from", "to");
  IF reached = "from" THEN
    RETURN;
  END IF;
  FOR part IN SELECT p.name, p.earlier FROM (VALUES ('folded', interval '0'), ('revision', w.size + interval '4 days'), ('due', w.size + interval '4 days')) AS p (name, earlier)
              WHERE to_regclass(format('millrace._window_%s_%s', w.id, p.name)) IS NOT NULL LOOP
    EXECUTE format('WITH gone AS (DELETE FROM millrace._window_%s_%s WHERE ctid = ANY (ARRAY(SELECT f.ctid FROM millrace._window_%1$s_%2$s AS f '
                   'WHERE f.window_start >= $1 AND f.window_start < $2 ORDER BY f.window_start LIMIT $3)) RETURNING window_start) '
                   'SELECT count(*) AS n, max(g.window_start) AS last FROM gone AS g', w.id, part.name)
    INTO gone USING CASE WHEN isfinite("from") THEN "from" - part.earlier ELSE "from" END, "to", "limit";
    IF gone.n >= "limit" THEN
      reached := greatest("from", least(reached, gone.last));
    END IF;
    IF part.name = 'folded' THEN
      groups := gone.n;
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._remove_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._remove_windows IS 'Internal: removes a step of what a window keeps no longer.';
