-- The watermark of a window: up to which event time its rows are there, as far as one can say. It closes windows and makes them
-- final; what comes later is counted and changes them all the same.

CREATE FUNCTION millrace._newest_mark("column" text, window_id integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT k.%I FROM millrace.window_mark AS k WHERE k.window_id = %s ORDER BY k.at DESC LIMIT 1', "column", window_id);
$$;
REVOKE ALL ON FUNCTION millrace._newest_mark FROM PUBLIC;
COMMENT ON FUNCTION millrace._newest_mark IS 'Internal: SQL for a column of the newest mark of a window.';

-- Rows that were folded when windows they are in were final. starts, ends, rows: of panes that end before what is final. A pane is in
-- all windows that begin up to `size` before its end.
CREATE FUNCTION millrace._count_late(w millrace.window_definition, final timestamptz, starts timestamptz[], ends timestamptz[], rows bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF starts IS NULL THEN
    RETURN;
  END IF;
  EXECUTE format('INSERT INTO millrace.window_late AS l (window_id, window_start, window_end, rows, last_at) '
                 'SELECT %1$s, s.start, s."end", sum(s.rows), clock_timestamp() FROM (SELECT w.start, %2$s AS "end", w.rows FROM '
                 '(SELECT %3$s AS start, p."end", p.rows FROM unnest($1, $2, $3) AS p (start, "end", rows) CROSS JOIN generate_series(0, %4$s) AS k) AS w) AS s '
                 'WHERE s."end" <= $4 GROUP BY s.start, s."end" '
                 'ON CONFLICT ON CONSTRAINT window_late_pkey DO UPDATE SET rows = l.rows + excluded.rows, last_at = excluded.last_at',
                 w.id, CASE WHEN w.gap IS NOT NULL THEN 'w."end"' ELSE millrace._later('w.start', format('%L::interval', w.size), w.slide, w.time_zone) END,
                 millrace._earlier('p.start', format('k * %L::interval', w.slide), w.slide, w.time_zone),
                 millrace._window_panes(w.size, w.slide) - 1)
  USING starts, ends, rows, final;
END $$;
REVOKE ALL ON FUNCTION millrace._count_late FROM PUBLIC;
COMMENT ON FUNCTION millrace._count_late IS 'Internal: counts rows that came when their window was final, by window.';

-- Why each partition of a pipeline may still get rows of any time; null: it is idle, which means that all there is of it is
-- settled. An end that was reported a while ago says nothing. staged: lanes that have events.
CREATE FUNCTION millrace._partition_activity(pipeline_id integer, staged integer[]) RETURNS TABLE (partition integer, why text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY  -- its plan is kept, and made by a worker once
  SELECT t.partition, CASE
    WHEN p.state <> 'running' THEN 'the pipeline is ' || p.state
    WHEN t.state <> 'active' THEN 'the partition is ' || t.state
    WHEN EXISTS (SELECT FROM millrace._breaker AS b WHERE b.pipeline_id = p.id AND b.state <> 'closed') THEN 'the circuit breaker is open'
    WHEN (e.read_at BETWEEN clock_timestamp() - interval '30 s' AND clock_timestamp() + interval '30 s') IS NOT TRUE THEN 'no ingestor reads the partition'
    WHEN t.lane = ANY (staged) THEN 'events are staged'
    WHEN g.next_offset >= e.high IS NOT TRUE THEN 'events of the partition are to be read' END
  FROM millrace.pipeline AS p
  JOIN millrace.partition AS t ON t.pipeline_id = p.id
  LEFT JOIN millrace._position AS g ON g.pipeline_id = p.id AND g.partition = t.partition
  LEFT JOIN millrace._watermark AS e ON e.pipeline_id = p.id AND e.partition = t.partition
  WHERE p.id = _partition_activity.pipeline_id;
END $$;
REVOKE ALL ON FUNCTION millrace._partition_activity FROM PUBLIC;
COMMENT ON FUNCTION millrace._partition_activity IS 'Internal: why partitions of a pipeline are not idle.';

-- For how long an event that has failed holds its partition. Planners know it as a constant.
CREATE FUNCTION millrace._retry_hold() RETURNS interval
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT interval '5 min'; $$;
REVOKE ALL ON FUNCTION millrace._retry_hold FROM PUBLIC;
COMMENT ON FUNCTION millrace._retry_hold IS 'Internal: how long an event that is to be tried again holds the watermark of its partition.';

-- Since when an event of a partition has failed, or waited behind one that did, that holds it.
CREATE FUNCTION millrace._partition_failures(pipeline_id integer) RETURNS TABLE (partition integer, since timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  -- one row of each partition, however many wait
  SELECT t.partition, f.entered_at FROM millrace.partition AS t
  CROSS JOIN LATERAL (SELECT r.entered_at FROM millrace.retry AS r
                      WHERE r.pipeline_id = t.pipeline_id AND r.partition = t.partition AND r.replay_of IS NULL AND r.entered_at > now() - millrace._retry_hold()
                      ORDER BY r.entered_at LIMIT 1) AS f
  WHERE t.pipeline_id = _partition_failures.pipeline_id;
END $$;
REVOKE ALL ON FUNCTION millrace._partition_failures FROM PUBLIC;
COMMENT ON FUNCTION millrace._partition_failures IS 'Internal: which partitions of a pipeline are held by events that are to be tried again.';

-- A part of the fold's statement: events that were tried again and have succeeded, in what a fold leaves for later ($6): they hold their partitions as before. What
-- waits may be a lot, what holds (_failures_hold()) is found in it by an index.
CREATE FUNCTION millrace._failures_left(w millrace.window_definition) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE w.kind WHEN 'recompute' THEN format(
    'SELECT array_agg(r.partition) AS partitions, array_agg(r.since) AS since FROM (SELECT p.* FROM millrace._window_%s_partial AS p WHERE p.newest > now() - millrace._retry_hold() OFFSET 0) AS p '
    'JOIN unnest($1) WITH ORDINALITY AS s (seq, place) ON p.stream = (s.place - 1)::integer AND p.seq > s.seq AND p.seq > $6 '
    'CROSS JOIN LATERAL unnest(p.retried, p.since) AS r (partition, since)', w.id) ELSE 'SELECT NULL::integer[] AS partitions, NULL::timestamptz[] AS since' END;
$$;
REVOKE ALL ON FUNCTION millrace._failures_left FROM PUBLIC;
COMMENT ON FUNCTION millrace._failures_left IS 'Internal: SQL for events that have succeeded when they were tried again, and are not folded.';

-- It is held where it was then: what the mark of that time has, or the one before it. partitions, since: others that hold.
CREATE FUNCTION millrace._failures_hold(pipeline_id integer, window_id integer, partitions integer[] DEFAULT NULL, since timestamptz[] DEFAULT NULL) RETURNS TABLE (partition integer, high timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT r.partition, (SELECT m.highs[array_position(m.partitions, r.partition)] FROM millrace.window_mark AS m
                       WHERE m.window_id = _failures_hold.window_id AND m.at <= min(r.since) ORDER BY m.at DESC LIMIT 1)
  FROM (SELECT f.partition, f.since FROM millrace._partition_failures(pipeline_id) AS f UNION ALL
        SELECT o.partition, o.since FROM unnest(partitions, since) AS o (partition, since) WHERE o.since > now() - millrace._retry_hold()) AS r
  GROUP BY r.partition;
$$;
REVOKE ALL ON FUNCTION millrace._failures_hold FROM PUBLIC;
COMMENT ON FUNCTION millrace._failures_hold IS 'Internal: which partitions are held by events that are to be tried again, and where.';

-- The end of the last window that a time is in.
CREATE FUNCTION millrace._window_end(w millrace.window_definition, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  "end" timestamptz;
BEGIN
  IF w.gap IS NOT NULL THEN
    RETURN at + w.gap;
  END IF;
  EXECUTE 'SELECT ' || millrace._later(millrace._pane_start('$1', w.slide, w.time_zone, w.origin), format('%L::interval', w.size), w.slide, w.time_zone)
  INTO "end" USING at;
  RETURN "end";
END $$;
REVOKE ALL ON FUNCTION millrace._window_end FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_end IS 'Internal: the end of the last window that a time is in.';

-- The lowest high of the partitions that are not idle, less the delay; of none, the highest: an idle partition holds nothing back.
-- The caller has locked the window. mark: its newest one; partitions, highs: what has come since, of rows that are folded. What is settled
-- later than they were read is not in highs, so whether a partition is idle was asked before (known, whys: _partition_activity()), and
-- what failures hold together with them (failed, held: _failures_hold()): an event that has failed by then is not overtaken by rows of its batch,
-- nor one that has succeeded since by the watermark. began: when, before all of that; a fold may take longer than close_idle, and says nothing of what has come meanwhile.
CREATE FUNCTION millrace._move_watermark(
  w millrace.window_definition, mark millrace.window_mark, partitions integer[], highs timestamptz[],
  known integer[], whys text[], failed integer[], held timestamptz[], began timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' AS $$
DECLARE
  old  millrace.window_mark := mark;
  low  record;
  idle boolean;
BEGIN
  mark.window_id := w.id;
  SELECT coalesce(array_agg(h.partition ORDER BY h.partition), '{}'), coalesce(array_agg(h.high ORDER BY h.partition), '{}')
  INTO mark.partitions, mark.highs
  FROM (SELECT u.partition, max(u.high) AS high
        FROM (SELECT * FROM unnest(old.partitions, old.highs) UNION ALL SELECT * FROM unnest(partitions, highs)) AS u (partition, high)
        GROUP BY u.partition) AS h;
  IF (mark.partitions, mark.highs) IS DISTINCT FROM (old.partitions, old.highs) THEN
    mark.risen_at := began;
  END IF;

  -- what is not known yet is the lowest
  SELECT a.partition, a.why, a.high INTO low
  FROM (SELECT a.partition, CASE WHEN f.partition IS NOT NULL THEN 'events are to be tried again' ELSE a.why END AS why,
               CASE WHEN f.partition IS NULL THEN n.high WHEN f.high IS NOT NULL THEN least(f.high, n.high) END AS high
        FROM (SELECT * FROM unnest(known, whys) UNION ALL
              SELECT u, 'the partition is new' FROM unnest(partitions) AS u WHERE u <> ALL (coalesce(known, '{}'))) AS a (partition, why)
        LEFT JOIN unnest(failed, held) AS f (partition, high) ON f.partition = a.partition
        LEFT JOIN unnest(mark.partitions, mark.highs) AS n (partition, high) ON n.partition = a.partition) AS a
  WHERE a.why IS NOT NULL ORDER BY a.high NULLS FIRST, a.partition LIMIT 1;
  idle := NOT FOUND;
  mark.held_by := low.partition;
  mark.held_why := low.why;
  IF idle THEN
    SELECT max(h) AS high INTO low FROM unnest(mark.highs) AS h;
  END IF;
  -- not before where times begin
  mark.watermark := greatest(old.watermark, greatest(low.high, CASE WHEN low.high IS NOT NULL THEN timestamptz '4690-01-01 00:00:00+00 BC' END) - w.delay, '-infinity');
  IF idle AND low.high IS NOT NULL AND mark.risen_at < began - w.close_idle THEN
    mark.watermark := greatest(mark.watermark, millrace._window_end(w, low.high));
  END IF;
  mark.final := greatest(old.final, mark.watermark - w.lateness);
  mark.stalled_since := CASE WHEN mark.watermark > old.watermark OR idle THEN NULL
                            WHEN mark.risen_at IS DISTINCT FROM old.risen_at THEN coalesce(old.stalled_since, mark.risen_at) ELSE old.stalled_since END;

  mark.at := old.at;
  IF mark IS DISTINCT FROM old THEN
    mark.at := greatest(clock_timestamp(), old.at + interval '1 us');
    INSERT INTO millrace.window_mark VALUES (mark.*);
    -- what is left is some seconds apart, and as old as what may hold it in a transaction that began a minute ago
    DELETE FROM millrace.window_mark AS m WHERE m.window_id = w.id AND m.at = old.at
      AND EXISTS (SELECT FROM millrace.window_mark AS b WHERE b.window_id = w.id AND b.at < old.at AND b.at > old.at - interval '5 s');
    DELETE FROM millrace.window_mark AS m WHERE m.window_id = w.id
      AND m.at < (SELECT max(b.at) FROM millrace.window_mark AS b WHERE b.window_id = w.id AND b.at < clock_timestamp() - millrace._retry_hold() - interval '1 min');
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._move_watermark FROM PUBLIC;
COMMENT ON FUNCTION millrace._move_watermark IS 'Internal: moves the watermark of a window.';
