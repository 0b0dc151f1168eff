-- rebuild_window: what a window has is replaced by what the target has, while batches go on. A batch commits its rows together with what they
-- add, so in one snapshot the target has the rows of exactly those partial values that are there. The statement of the fold takes these
-- away, and reads the target: what comes later is added to what it finds, by readers at once and by the next fold. Nobody else
-- folds meanwhile (_lock_window()); the pipeline is not locked.

-- Finds a window the caller may change, and makes this transaction the one that folds it, which may have to wait for a rebuild: so before
-- the pipeline is locked, for which batches wait.
CREATE FUNCTION millrace._folding_window(caller regrole, name text) RETURNS millrace.window_definition
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition := millrace._named_window(name);
BEGIN
  -- an older snapshot would show what was there before the lock
  PERFORM millrace._check_isolation('windows');
  PERFORM millrace._owned(caller, p.name, foreign_too => true) FROM millrace.pipeline AS p WHERE p.id = w.pipeline_id;
  PERFORM millrace._lock_window(w.id, true);
  RETURN millrace._window_now(w);
END $$;
REVOKE ALL ON FUNCTION millrace._folding_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._folding_window IS 'Internal: finds a window the caller may change; nobody else folds it.';

-- For rewind, before it locks the pipeline.
CREATE FUNCTION millrace._lock_windows(p millrace.pipeline) RETURNS integer[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  ids integer[] := ARRAY(SELECT w.id FROM millrace.window_definition AS w WHERE w.pipeline_id = p.id AND w.kind = 'incremental' ORDER BY w.id);
  id  integer;
BEGIN
  FOREACH id IN ARRAY ids LOOP
    PERFORM millrace._lock_window(id, true);
  END LOOP;
  RETURN ids;
END $$;
REVOKE ALL ON FUNCTION millrace._lock_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_windows IS 'Internal: makes this transaction the one that folds the incremental windows of a pipeline.';

-- Locks what a query over the target reads, as the query does: before its snapshot is taken, since one that is older than an ALTER TABLE which writes the
-- table again shows no rows of it.
CREATE FUNCTION millrace._lock_read(w millrace.window_definition, query text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace._window_fill(w.pipeline_id, format('SELECT q.* FROM (%s) AS q LIMIT 0', query), w.id);
$$;
REVOKE ALL ON FUNCTION millrace._lock_read FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_read IS 'Internal: locks what a query over the target of a window reads.';

-- Parts of the statement that reads the target: what the query $n, run for pipeline $n+1, gives of it.
CREATE FUNCTION millrace._filled_by_rebuild(w millrace.window_definition, n integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('filled AS MATERIALIZED (SELECT f.* FROM millrace._window_fill($%s, $%s, %s) AS f), ', n + 1, n, w.id);
$$;
REVOKE ALL ON FUNCTION millrace._filled_by_rebuild FROM PUBLIC;
COMMENT ON FUNCTION millrace._filled_by_rebuild IS 'Internal: SQL that fills a window from its target.';

-- Windows that begin in [$n, $n+1) go. Sessions near to target_since are set aside, see _put_back_sessions().
CREATE FUNCTION millrace._replaced_by_rebuild(w millrace.window_definition, n integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format(CASE WHEN w.gap IS NULL OR w.target_since IS NULL THEN
                  'replaced AS (DELETE FROM millrace._window_%1$s_folded AS f WHERE f.window_start >= $%2$s AND f.window_start < $%3$s RETURNING 1), '
                ELSE
                  'since AS MATERIALIZED (SELECT d.target_since + 2 * d.size AS reach FROM millrace.window_definition AS d WHERE d.id = %1$s), '
                  'aside AS (UPDATE millrace._window_%1$s_folded AS f SET fold = -1 WHERE f.window_start >= $%2$s AND f.window_start < least($%3$s, (SELECT s.reach FROM since AS s)) RETURNING 1), '
                  'removed AS (DELETE FROM millrace._window_%1$s_folded AS f WHERE f.window_start >= greatest($%2$s, (SELECT s.reach FROM since AS s)) AND f.window_start < $%3$s RETURNING 1), '
                  'replaced AS (SELECT FROM aside UNION ALL SELECT FROM removed), '
                END,
                w.id, n, n + 1);
$$;
REVOKE ALL ON FUNCTION millrace._replaced_by_rebuild FROM PUBLIC;
COMMENT ON FUNCTION millrace._replaced_by_rebuild IS 'Internal: SQL that removes what a rebuild replaces.';

-- Where the groups are that begin in [from, to), a thousand at once; aside: the sessions that a rebuild has set aside, else all others.
CREATE FUNCTION millrace._folded_places(w millrace.window_definition, "from" timestamptz, "to" timestamptz, aside boolean) RETURNS TABLE (places tid[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT array_agg(g.place) FROM (SELECT f.ctid AS place, (row_number() OVER (ORDER BY f.window_start) - 1) / 1000 AS part '
                              'FROM millrace._window_%s_folded AS f WHERE f.window_start >= $1 AND f.window_start < $2 AND f.fold %s) AS g GROUP BY g.part',
                              w.id, CASE WHEN aside THEN '= -1' ELSE '>= 0' END) USING "from", "to";
END $$;
REVOKE ALL ON FUNCTION millrace._folded_places FROM PUBLIC;
COMMENT ON FUNCTION millrace._folded_places IS 'Internal: places of folded groups that are to be computed again.';

-- The groups that were filled without values get these, a thousand at once, or the error of those that fail. Out: how many there are.
CREATE FUNCTION millrace._values_of_filled(w millrace.window_definition, "from" timestamptz, "to" timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  places tid[];
  n      bigint;
  total  bigint := 0;
BEGIN
  FOR places IN SELECT p.places FROM millrace._folded_places(w, "from", "to", false) AS p LOOP
    EXECUTE format('WITH gone AS (DELETE FROM millrace._window_%1$s_folded AS f WHERE f.ctid = ANY ($1) RETURNING f.*) '
                   'INSERT INTO millrace._window_%1$s_folded SELECT v.* FROM millrace._groups_computed($2, (SELECT array_agg(ROW(g.*)::millrace._window_%1$s_folded) FROM gone AS g)) AS v WHERE v.n > 0',
                   w.id) USING places, w;
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
  END LOOP;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION millrace._values_of_filled FROM PUBLIC;
COMMENT ON FUNCTION millrace._values_of_filled IS 'Internal: computes groups of a recomputed window that have no values yet.';

-- What begins in [from, to) is filled from the target, in place of what there is; of the whole, rows that are in no window are counted again. A total that is out of range, or a function that fails on a group, is the error of that
-- group: so when the query fails, what costs more is done. An error that is there again is that of a row.
CREATE FUNCTION millrace._fill_window(w millrace.window_definition, INOUT c millrace.window_cursor, "from" timestamptz, "to" timestamptz, OUT filled bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  all_of_it boolean := "from" = '-infinity' AND "to" = 'infinity';
  statement text := format('WITH %s %s %s SELECT (SELECT count(*) FROM replaced) AS replaced, f.rows, CASE WHEN $6 THEN f.outside END AS recounted, '
                           '(SELECT coalesce(sum(o.skewed), 0) FROM outside AS o) AS skewed FROM filled AS f',
                           millrace._replaced_by_rebuild(w, 2), millrace._outside_gone(w.id, '$6'), rtrim(millrace._filled_by_rebuild(w, 4), ', '));
  done record;
BEGIN
  BEGIN
    EXECUTE statement INTO done USING c.seqs, "from", "to", millrace._window_query(w.id, "from", "to", false), w.pipeline_id, all_of_it;
    filled := done.rows;
  EXCEPTION WHEN OTHERS THEN
    -- what is the server's own trouble is no group's
    IF millrace.is_server_trouble(SQLSTATE) THEN
      RAISE;
    END IF;
    EXECUTE statement INTO done USING c.seqs, "from", "to", millrace._window_query(w.id, "from", "to", true), w.pipeline_id, all_of_it;
    filled := CASE w.kind WHEN 'recompute' THEN millrace._values_of_filled(w, "from", "to") ELSE done.rows END;
  END;
  filled := filled - millrace._remove_counted_sessions(w);
  filled := filled + millrace._put_back_sessions(w);
  c.groups := c.groups - done.replaced + filled;
  c.outside := coalesce(done.recounted, c.outside);
  c.skewed := c.skewed + done.skewed;
END $$;
REVOKE ALL ON FUNCTION millrace._fill_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._fill_window IS 'Internal: replaces groups of a window by what the target has.';

-- A note that comes in between is of a group that is computed again, which changes nothing.
CREATE FUNCTION millrace._rebuild_recomputed(w millrace.window_definition, c millrace.window_cursor, "from" timestamptz, "to" timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  was  millrace.window_cursor := c;
  done record;
BEGIN
  done := millrace._fill_window(w, c, "from", "to");
  c := done.c;
  c.lowest := least(c.lowest, "from");
  c.left_at := CASE WHEN "from" >= c.kept_from THEN c.left_at END;
  c.kept_from := least(c.kept_from, "from");
  PERFORM millrace._append_cursor(was, c);
  RETURN done.filled;
END $$;
REVOKE ALL ON FUNCTION millrace._rebuild_recomputed FROM PUBLIC;
COMMENT ON FUNCTION millrace._rebuild_recomputed IS 'Internal: replaces groups of a recomputed window.';

-- As _fill_window(), with the fold.
CREATE FUNCTION millrace._rebuild_incremental(w millrace.window_definition, c millrace.window_cursor, "from" timestamptz, "to" timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN millrace._fold(w, c, false, NULL, "from", "to", millrace._window_query(w.id, "from", "to", false));
EXCEPTION WHEN data_exception THEN
  RETURN millrace._fold(w, c, false, NULL, "from", "to", millrace._window_query(w.id, "from", "to", true));
END $$;
REVOKE ALL ON FUNCTION millrace._rebuild_incremental FROM PUBLIC;
COMMENT ON FUNCTION millrace._rebuild_incremental IS 'Internal: replaces groups of an incremental window.';

-- What begins in [from, to) is replaced by what the target has; the caller has the window. background: of a window that is not filled yet: its notes are folded apart,
-- the target is locked, and nothing of it was published.
CREATE FUNCTION millrace._rebuild_range(w millrace.window_definition, "from" timestamptz, "to" timestamptz, background boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  c millrace.window_cursor;
  n bigint;
BEGIN
  SELECT * INTO c FROM millrace.window_cursor AS k WHERE k.window_id = w.id ORDER BY k.fold DESC LIMIT 1;
  IF "from" < c.kept_from THEN  -- what has left comes back, without a gap
    "to" := greatest("to", c.kept_from);
  END IF;
  IF w.gap IS NOT NULL THEN
    SELECT r."from", r."to" INTO "from", "to" FROM millrace._session_reach(w, c.kept_from, "from", "to") AS r;
  END IF;
  IF NOT background THEN
    PERFORM millrace._lock_read(w, millrace._window_query(w.id, "from", "to", false));
    IF w.kind = 'recompute' THEN
      PERFORM millrace._fold_window(w.id, false, true);
      SELECT * INTO c FROM millrace.window_cursor AS k WHERE k.window_id = w.id ORDER BY k.fold DESC LIMIT 1;
    END IF;
  END IF;
  n := CASE w.kind WHEN 'recompute' THEN millrace._rebuild_recomputed(w, c, "from", "to") ELSE millrace._rebuild_incremental(w, c, "from", "to") END;
  IF NOT background THEN
    PERFORM millrace._due_of_rebuild(w, "from", "to");
  END IF;
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._rebuild_range FROM PUBLIC;
COMMENT ON FUNCTION millrace._rebuild_range IS 'Internal: replaces groups of a window by what the target has.';

CREATE FUNCTION millrace._rebuild_window(caller regrole, name text, "from" timestamptz, "to" timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition := millrace._folding_window(caller, name);
  p millrace.pipeline;
  v millrace.pipeline_version;
  n bigint;
BEGIN
  PERFORM millrace._check_given(ARRAY['from', 'to'], ARRAY["from" IS NULL, "to" IS NULL]);
  IF "from" >= "to" THEN
    RAISE EXCEPTION 'from is %, which is not before %', "from", "to"
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Windows that begin at "from" or later and before "to" are rebuilt.';
  END IF;
  IF "from" < w.target_since THEN
    RAISE NOTICE 'what begins before % keeps what it has', w.target_since
      USING DETAIL = format('This is target_since of window "%s": rows with earlier event times have been removed from the target.', name);
    "from" := w.target_since;
    IF "from" >= "to" THEN
      RETURN 0;
    END IF;
  END IF;
  SELECT * INTO STRICT p FROM millrace.pipeline AS d WHERE d.id = w.pipeline_id;
  SELECT * INTO STRICT v FROM millrace.pipeline_version AS d WHERE d.pipeline_id = p.id AND d.version = p.version;
  PERFORM millrace._check_window_target(p, v);
  n := millrace._rebuild_range(w, "from", "to", false);
  PERFORM millrace._backfill_covered(w, "from", "to");
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._rebuild_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._rebuild_window IS 'Internal: rebuild_window for a role.';

CREATE FUNCTION millrace.rebuild_window(name text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity') RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.rebuild_window IS
'Computes a window again from the rows that the target has, after others than the pipeline have changed them. Where rows have been removed their aggregates are gone then, except those before the window''s target_since.
In: name; from, to: windows (of sliding ones: panes as long as the slide) that begin in [from, to) are replaced, by default all; none that begins before target_since. Of sessions, those that begin up to 3 * max_session before or behind that are replaced, too: rows in it may have changed them. When some of them have left since there were more than max_groups, all that have left and begin at from or later are.
Out: groups that were computed. Batches go on meanwhile, and what they add is in the window as ever; it is not folded, closed or published before the end. A worker that has added 200000 partial values since takes no batch until then.
Errors: undefined_object for an unknown window; invalid_parameter_value; insufficient_privilege unless the caller is the pipeline''s owner or a member of it; that of an expression which fails on a row.';
