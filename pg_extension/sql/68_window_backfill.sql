-- Backfill: a window gets the rows that were there before it in the background, while batches go on. create_window() notes that there are such rows, and
-- commits; from then on batches add to the window. A worker fills it, from the latest windows to the earliest ones, in stretches: each is a rebuild of the
-- windows that begin in [from, reached), in a transaction of its own, with what is covered. So it is right for the same reason (68_window_rebuild.sql), goes on after a
-- crash where it was, and is done again by nobody. What begins before `reached` is not shown and not published: it would have what batches have added
-- since, and nothing else.
--
-- A stretch is as many windows as have so many rows, which an index on the event time counts; the number follows the time that the last one took. Without such an
-- index each stretch would read the whole target, so there is one.

-- ', NULL::double precision AS g1 …': the columns of a row of a window's folded table behind n, without any.
CREATE FUNCTION millrace._no_columns(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce(string_agg(format(', NULL::%s', format_type(a.atttypid, a.atttypmod)), '' ORDER BY a.attnum), '')
  FROM pg_attribute AS a WHERE a.attrelid = to_regclass(format('millrace._window_%s_folded', w.id)) AND a.attnum > 4 AND NOT a.attisdropped;
$$;
REVOKE ALL ON FUNCTION millrace._no_columns FROM PUBLIC;
COMMENT ON FUNCTION millrace._no_columns IS 'Internal: SQL for no values of a window.';

-- Which rows of the target a query, that gives times "at", finds, run as the pipeline's owner: the first and the last time, and how many.
CREATE FUNCTION millrace._times_of(w millrace.window_definition, query text, OUT first timestamptz, OUT last timestamptz, OUT rows bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  nothing text := millrace._no_columns(w);
BEGIN
  EXECUTE format('SELECT v.window_start, v.window_end, v.n FROM millrace._window_values($1, $2, ARRAY[ROW(0, NULL, NULL, 0%s)::millrace._window_%s_folded]) AS v', nothing, w.id)
  INTO first, last, rows USING w.pipeline_id, format('SELECT 0::bigint, min(x.at), max(x.at), count(*)%s FROM (%s) AS x', nothing, query);
END $$;
REVOKE ALL ON FUNCTION millrace._times_of FROM PUBLIC;
COMMENT ON FUNCTION millrace._times_of IS 'Internal: the times of rows of a window''s target.';

-- A btree index that begins with the event time, in an order in which the latest rows are found by it: with nulls at the other end of it a sort reads all rows.
-- Partitions and children each have one.
CREATE FUNCTION millrace._has_time_index(w millrace.window_definition, target oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  WITH RECURSIVE part AS (SELECT target AS id UNION SELECT h.inhrelid FROM part JOIN pg_inherits AS h ON h.inhparent = part.id)
  SELECT coalesce(bool_and(EXISTS (SELECT FROM millrace._index_columns(c.oid) AS i WHERE i.columns[1] = btrim(w.at, '()') AND i.latest_found)), false)
  FROM part JOIN pg_class AS c ON c.oid = part.id WHERE c.relkind <> 'p';
$$;
REVOKE ALL ON FUNCTION millrace._has_time_index FROM PUBLIC;
COMMENT ON FUNCTION millrace._has_time_index IS 'Internal: whether rows of some times are found without reading all of them.';

-- About how many rows a target has: as dense as when it was last analyzed, or of 100 bytes if it never was.
CREATE FUNCTION millrace._estimated_rows(target oid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT greatest(coalesce(sum(pg_relation_size(c.oid) / CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN current_setting('block_size')::integer * (c.relpages / c.reltuples) ELSE 100 END), 0), 1)::bigint
  FROM pg_class AS c WHERE c.relkind = 'r' AND c.oid IN (SELECT target UNION SELECT t.relid FROM pg_partition_tree(target::regclass) AS t);
$$;
REVOKE ALL ON FUNCTION millrace._estimated_rows FROM PUBLIC;
COMMENT ON FUNCTION millrace._estimated_rows IS 'Internal: about how many rows a target has.';

-- For create_window(): no batch is in flight, so what the target has now is what no batch will add. Nothing is to be done for an empty one.
CREATE FUNCTION millrace._begin_backfill(w millrace.window_definition, v millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  total bigint := millrace._estimated_rows(v.target);
BEGIN
  IF (millrace._times_of(w, format('SELECT now() AS at FROM %s AS written LIMIT 1', millrace._target_name(w)))).rows = 0 THEN
    RETURN;
  END IF;
  INSERT INTO millrace.window_backfill (window_id, total) VALUES (w.id, total);
  RAISE NOTICE 'window "%" is filled with the rows there are in the background', w.name
    USING DETAIL = concat('What is filled appears in its view, the latest windows first.',
                          CASE WHEN total >= 1000000 AND NOT millrace._has_time_index(w, v.target) THEN
                            format(' Without an index that begins with the event time, %s, all of them are read at once: the worker that does it takes no batch meanwhile, and the window cannot be dropped before unless the worker is canceled.', w.at) END),
          HINT = format('Commit, and to wait for it: CALL millrace.wait_for_window(%L);', w.name);
END $$;
REVOKE ALL ON FUNCTION millrace._begin_backfill FROM PUBLIC;
COMMENT ON FUNCTION millrace._begin_backfill IS 'Internal: notes that a window is to be filled.';

-- Which window that begins earliest is to be filled: what has left, or would leave at once, is not, nor what has lost its rows.
CREATE FUNCTION millrace._backfill_end(w millrace.window_definition) RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT greatest('-infinity', w.target_since, now() - w.retention - w.size,
                  (SELECT c.kept_from FROM millrace.window_cursor AS c WHERE c.window_id = w.id ORDER BY c.fold DESC LIMIT 1));
$$;
REVOKE ALL ON FUNCTION millrace._backfill_end FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_end IS 'Internal: how far back a window is filled.';

CREATE FUNCTION millrace._outside_counted(w millrace.window_definition, INOUT c millrace.window_cursor)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  counted record;
BEGIN
  EXECUTE format('WITH %s %s SELECT f.outside, (SELECT coalesce(sum(o.skewed), 0) FROM outside AS o) AS skewed FROM filled AS f',
                 millrace._outside_gone(w.id, 'true'), rtrim(millrace._filled_by_rebuild(w, 2), ', '))
  INTO counted USING c.seqs, millrace._outside_query(w.id), w.pipeline_id;
  c.outside := counted.outside;
  c.skewed := c.skewed + counted.skewed;
END $$;
REVOKE ALL ON FUNCTION millrace._outside_counted FROM PUBLIC;
COMMENT ON FUNCTION millrace._outside_counted IS 'Internal: counts rows of the target that are in no window, and what batches have counted.';

-- Rows that are in no window are counted once, all of them, with those that batches have counted. The caller has the window.
CREATE FUNCTION millrace._count_outside(w millrace.window_definition) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace._append_cursor(k.c, millrace._outside_counted(w, k.c))
  FROM (SELECT c FROM millrace.window_cursor AS c WHERE c.window_id = w.id ORDER BY c.fold DESC LIMIT 1) AS k WHERE w.target_since IS NULL;
$$;
REVOKE ALL ON FUNCTION millrace._count_outside FROM PUBLIC;
COMMENT ON FUNCTION millrace._count_outside IS 'Internal: counts rows of the target that are in no window.';

-- What begins in [from, to) has been computed from the target, by a backfill or a rebuild; the caller has the window.
CREATE FUNCTION millrace._backfill_covered(w millrace.window_definition, "from" timestamptz, "to" timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  b millrace.window_backfill;
BEGIN
  UPDATE millrace.window_backfill AS c SET reached = "from" WHERE c.window_id = w.id AND c.reached > "from" AND c.reached <= "to";
  DELETE FROM millrace.window_backfill AS c WHERE c.window_id = w.id AND c.reached <= millrace._backfill_end(w) RETURNING * INTO b;
  IF b.window_id IS NOT NULL THEN
    PERFORM millrace._window_works(w.id, 'backfill');
    IF b.rows = 0 AND (isfinite("from") OR isfinite("to")) THEN  -- by rebuilds in parts
      PERFORM millrace._count_outside(w);
    END IF;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._backfill_covered FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_covered IS 'Internal: notes what of a window is filled.';

-- The stretch before `reached`: where it begins, and how many of its rows were looked at for that. It begins where a window (or pane) does, and is several times as long as what is read
-- beside it: of windows that slide or are sessions, rows as far as they last. Of a table that was never analyzed the planner expects few rows, and would sort all of them.
CREATE FUNCTION millrace._backfill_stretch(w millrace.window_definition, b millrace.window_backfill, target oid, "end" timestamptz, OUT "from" timestamptz, OUT rows bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  found record;
BEGIN
  "from" := "end";
  rows := b.total;
  IF NOT millrace._has_time_index(w, target) THEN
    RETURN;
  END IF;
  found := millrace._times_of(w, format('SELECT (%1$s) AS at FROM %2$s AS written WHERE (%1$s) >= %3$L::timestamptz AND (%1$s) < %4$L::timestamptz ORDER BY (%1$s) DESC LIMIT %5$s',
                                        w.at, millrace._target_name(w), greatest("end", '4700-01-01 00:00:00+00 BC'), least(b.reached, '285000-01-01 00:00:00+00'), b.stretch));
  rows := found.rows;
  IF rows < b.stretch THEN
    RETURN;
  END IF;
  EXECUTE 'SELECT ' || millrace._pane_start('$1', w.slide, w.time_zone, w.origin) INTO "from"
  USING least(found.first, CASE WHEN (w.gap IS NOT NULL OR w.kind = 'recompute' AND w.size > w.slide) AND found.last > '4000-01-01 00:00:00+00 BC' THEN least(b.reached, found.last) - 8 * w.size END);
  "from" := greatest("from", "end");
END $$;
REVOKE ALL ON FUNCTION millrace._backfill_stretch FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_stretch IS 'Internal: what of a window is filled next.';

-- How many rows a stretch has: one pane may have more than were asked for. They are read by the index that the stretch was found by.
CREATE FUNCTION millrace._rows_between(w millrace.window_definition, "from" timestamptz, "to" timestamptz) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off SET enable_bitmapscan = off SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
  SELECT (millrace._times_of(w, format('SELECT (%1$s) AS at FROM %2$s AS written WHERE (%1$s) >= %3$L::timestamptz AND (%1$s) < %4$L::timestamptz', w.at, millrace._target_name(w),
                                       greatest("from", '4700-01-01 00:00:00+00 BC'), least("to", '285000-01-01 00:00:00+00')))).rows;
$$;
REVOKE ALL ON FUNCTION millrace._rows_between FROM PUBLIC;
COMMENT ON FUNCTION millrace._rows_between IS 'Internal: how many rows of a window''s target have times in [from, to).';

-- Whether a stretch is to come later; a time that is far ahead is one of a clock that was set.
CREATE FUNCTION millrace._backfill_rests(due_at timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT due_at > now.at AND due_at <= now.at + interval '1 h' FROM (SELECT clock_timestamp() AS at) AS now;
$$;
REVOKE ALL ON FUNCTION millrace._backfill_rests FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_rests IS 'Internal: whether it is not time yet to fill a window.';

-- How many seconds a worker rests after a stretch: no longer than what is taken for that of a clock that was set.
CREATE FUNCTION millrace._backfill_rest(took double precision) RETURNS double precision
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT least(took * (100.0 / coalesce(current_setting('millrace.backfill_share', true)::integer, 25) - 1), 3600);
$$;
REVOKE ALL ON FUNCTION millrace._backfill_rest FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_rest IS 'Internal: how long a worker rests after a stretch.';

-- The process that was at a stretch is gone, and there is no outcome: the server crashed, or was stopped. The first time in a row it may have been anybody's fault; then
-- the next try is made later and later. Out: whether it is to be tried now.
CREATE FUNCTION millrace._backfill_crashed(b millrace.window_backfill) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF b.crashes > 0 THEN
    PERFORM millrace._window_fails(b.window_id, 'backfill', '57P02',
                                   format('the server crashed, or was stopped, %s times in a row while a worker read a stretch of it', b.crashes + 1));
  END IF;
  UPDATE millrace.window_backfill AS c
  SET crashes = b.crashes + 1, due_at = CASE b.crashes WHEN 0 THEN c.due_at ELSE clock_timestamp() + least(5 * 2 ^ least(b.crashes - 1, 10), 600) * interval '1 s' END
  WHERE c.window_id = b.window_id;
  RETURN b.crashes = 0;
END $$;
REVOKE ALL ON FUNCTION millrace._backfill_crashed FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_crashed IS 'Internal: puts off what has ended with the server.';

-- The process is no longer at the stretch that it has tried, whatever becomes of it.
CREATE FUNCTION millrace._backfill_released(window_id integer) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  UPDATE millrace.window_backfill AS c SET tried_by = NULL WHERE c.window_id = _backfill_released.window_id AND c.tried_by = pg_backend_pid();
  SELECT true;
$$;
REVOKE ALL ON FUNCTION millrace._backfill_released FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_released IS 'Internal: notes that a process is not at a stretch of a window.';

-- Of the windows of a pipeline, the one whose next stretch is due first; 0: all are filled. One that another session has, for however long, does not keep those behind it.
-- That it is tried is committed before it is (tried_by).
CREATE FUNCTION millrace._backfill_window(pipeline_id integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  first integer;
  id    integer;
  b     millrace.window_backfill;
BEGIN
  FOR id IN SELECT c.window_id FROM millrace.window_backfill AS c JOIN millrace.window_definition AS w ON w.id = c.window_id
            WHERE w.pipeline_id = _backfill_window.pipeline_id ORDER BY millrace._backfill_rests(c.due_at), c.due_at, c.window_id LOOP
    first := coalesce(first, id);
    EXIT WHEN (SELECT millrace._backfill_rests(c.due_at) FROM millrace.window_backfill AS c WHERE c.window_id = id);
    CONTINUE WHEN NOT millrace._lock_window(id, false);
    SELECT * INTO b FROM millrace.window_backfill AS c WHERE c.window_id = id;
    IF b.tried_by IS NULL OR EXISTS (SELECT FROM pg_stat_get_activity(b.tried_by) AS a WHERE a.backend_start = b.tried_of) OR millrace._backfill_crashed(b) THEN
      UPDATE millrace.window_backfill AS c SET tried_by = pg_backend_pid(), tried_of = a.backend_start FROM pg_stat_get_activity(pg_backend_pid()) AS a WHERE c.window_id = id;
      RETURN id;
    END IF;
  END LOOP;
  RETURN coalesce(first, 0);
END $$;
REVOKE ALL ON FUNCTION millrace._backfill_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_window IS 'Internal: which window of a pipeline is to be filled next.';

-- One stretch, in a transaction of its own, unless it is not time for it, or another session has the window or its target. It takes millrace.backfill_share of the
-- worker's time. Out: after how many microseconds to ask again.
CREATE FUNCTION millrace._backfill_step(window_id integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  began  timestamptz := clock_timestamp();
  took   double precision;  -- seconds
  rests  double precision;
  w      millrace.window_definition;
  b      millrace.window_backfill;
  p      millrace.pipeline;
  v      millrace.pipeline_version;
  "end"  timestamptz;
  "from" timestamptz;
  n      bigint := 0;
BEGIN
  IF NOT millrace._lock_window(window_id, false) THEN
    RETURN 100000;
  END IF;
  SELECT * INTO b FROM millrace.window_backfill AS c WHERE c.window_id = _backfill_step.window_id;
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.id = b.window_id;
  IF w.id IS NULL THEN
    RETURN 0;
  ELSIF millrace._backfill_rests(b.due_at) THEN
    PERFORM millrace._backfill_released(w.id);
    RETURN least(ceil(extract(epoch FROM b.due_at - began) * 1000000), 5000000);  -- it may be due sooner than another worker has said
  END IF;
  SELECT * INTO STRICT p FROM millrace.pipeline AS d WHERE d.id = w.pipeline_id;
  SELECT * INTO STRICT v FROM millrace.pipeline_version AS d WHERE d.pipeline_id = p.id AND d.version = p.version;
  PERFORM millrace._check_window_target(p, v);
  IF NOT millrace._lock_to_read(v.target, false) THEN
    PERFORM millrace._backfill_released(w.id);
    RETURN 100000;
  END IF;
  "end" := millrace._backfill_end(w);
  "from" := b.reached;
  IF b.reached > "end" THEN
    SELECT s."from", s.rows INTO "from", n FROM millrace._backfill_stretch(w, b, v.target, "end") AS s;
    IF "from" > "end" THEN
      n := greatest(millrace._rows_between(w, "from", b.reached), 1);
    END IF;
    PERFORM millrace._rebuild_range(w, "from", b.reached, true);
    IF b.rows = 0 AND (isfinite("from") OR isfinite(b.reached)) THEN  -- one stretch of all counts them itself
      PERFORM millrace._count_outside(w);
    END IF;
  END IF;
  took := greatest(extract(epoch FROM clock_timestamp() - began), 0.001);
  rests := millrace._backfill_rest(took);
  UPDATE millrace.window_backfill AS c
  SET rows = c.rows + n, due_at = clock_timestamp() + rests * interval '1 s', tried_by = NULL, crashes = 0,
      stretch = least(greatest(c.stretch * least(greatest(0.25 / took, 0.1), 4), 1000), 10000000)  -- to last a quarter of a second
  WHERE c.window_id = w.id;
  PERFORM millrace._backfill_covered(w, "from", b.reached);
  PERFORM millrace._window_works(w.id, 'backfill');
  RETURN rests * 1000000;
END $$;
REVOKE ALL ON FUNCTION millrace._backfill_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._backfill_step IS 'Internal: fills a stretch of a window.';

-- It commits between its looks, so it cannot have settings of its own; it sets what it needs (src/window/wait.c).
CREATE PROCEDURE millrace.wait_for_window(name text, timeout interval DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'mr_sql_wait_for_window';
COMMENT ON PROCEDURE millrace.wait_for_window IS
'Waits until a window has all rows that were there before it.
In: name; timeout: for how long, null: for ever.
Out: nothing; at once when it is filled. Outside of a transaction block it holds no snapshot while it waits.
Errors: undefined_object for an unknown window; object_not_in_prerequisite_state when the timeout is over, when the window was created by this transaction, and when its pipeline is paused or an error keeps it from being filled: the detail says it; active_sql_transaction in a transaction block without a timeout, or of REPEATABLE READ.';
