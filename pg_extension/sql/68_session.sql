-- Windows of sessions (67_session_window.sql), kept by recompute (68_window_recompute.sql). The rows of a group whose times are less than the gap
-- apart, from one to the next, are a run. A run that is no longer than max_session, the gap behind its last row included, is a session. A longer
-- one is cut at the multiples of max_session, and each part that has rows is a session. So what a row changes is near to it: whether its run
-- is too long is known within max_session, and parts that are farther away are as they were.
--
-- A batch notes, of each group, the first and the last time of its rows in each stretch as long as the gap: rows of such a stretch are of one run.
-- Who computes looks, through the index of the target, for the limits of the runs that these rows are in, in steps that are nearly as long as the gap,
-- and computes the sessions near to the rows that have some of them, or are stored in another form. They take the place of
-- the stored ones that they overlap: those that were extended, merged or cut.

-- ' AND a.g1 = b.g1 …'; nullable: where nulls are equal, too. One comparison of all is not found by an index, two of them are.
CREATE FUNCTION millrace._equal_keys(w millrace.window_definition, a text, b text, nullable boolean) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce(string_agg(format(CASE WHEN nullable THEN ' AND (%1$s.g%3$s = %2$s.g%3$s OR %1$s.g%3$s IS NULL AND %2$s.g%3$s IS NULL)' ELSE ' AND %1$s.g%3$s = %2$s.g%3$s' END, a, b, i), '' ORDER BY i), '')
  FROM generate_series(1, cardinality(w.keyed)) AS i;
$$;
REVOKE ALL ON FUNCTION millrace._equal_keys FROM PUBLIC;
COMMENT ON FUNCTION millrace._equal_keys IS 'Internal: SQL for two rows being of the same group, of whatever session.';

-- The same for joins of many with many.
CREATE FUNCTION millrace._joined_keys(w millrace.window_definition, a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN w.keys = '' THEN '' ELSE format(' AND ROW(%s)::record = ROW(%s)::record', ltrim(millrace._keys_of(w, a), ', '), ltrim(millrace._keys_of(w, b), ', ')) END;
$$;
REVOKE ALL ON FUNCTION millrace._joined_keys FROM PUBLIC;
COMMENT ON FUNCTION millrace._joined_keys IS 'Internal: SQL for two rows being of the same group, as one comparison.';

-- Fills in the SQL of a window of sessions; the arguments are those of _recompute_parts().
CREATE FUNCTION millrace._session_parts(w millrace.window_definition, inside text, checked text, nothing text, selected text, named text, numbers text)
RETURNS millrace.window_definition
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  gap    text := format('%L::interval', w.gap);
  bin    text := format('date_bin(%%L::interval, %%s, %L::timestamptz)', w.origin);
  at     text := format('CASE WHEN %s THEN %s END', inside, w.at);
  keys   text := (SELECT coalesce(string_agg(format(', "millrace g%s"', i), '' ORDER BY i), '') FROM generate_series(1, cardinality(w.keyed)) AS i);
  parted text := CASE WHEN keys <> '' THEN 'PARTITION BY ' || ltrim(keys, ', ') || ' ' ELSE '' END;
  named_keys text := (SELECT coalesce(string_agg(format(', CASE WHEN %s THEN %s END AS "millrace g%s"', inside, e.sql, e.place), '' ORDER BY e.place), '') FROM unnest(w.keyed) WITH ORDINALITY AS e (sql, place));
BEGIN
  w.selects := format('SELECT w.window_start, w.window_end, w.n%s, w.error FROM (SELECT CASE WHEN %s THEN %s END AS stretch, count(*)%s AS n%s%s, NULL::text AS error, '
                      'min(%s) AS window_start, max(%7$s) + %s AS window_end', named, inside, format(bin, w.gap, w.at), checked, selected, nothing, at, gap);
  -- a row without a time in reach is of no session, and counted
  w.fill_selects := format('SELECT w.window_start, least(w.last + %1$s, w.part + %2$L::interval) AS window_end, w.n%3$s, w.error FROM ('
                           'SELECT CASE WHEN "millrace last" + %1$s > "millrace first" + %2$L::interval THEN %4$s END AS part, count(*) AS n%5$s%6$s, NULL::text AS error, '
                           'min("millrace at") AS window_start, max("millrace at") AS last FROM ('
                           'SELECT *, min("millrace at") OVER run AS "millrace first", max("millrace at") OVER run AS "millrace last" FROM ('
                           'SELECT *, sum("millrace new") OVER (%7$sORDER BY "millrace at") AS "millrace run" FROM ('
                           'SELECT *, CASE WHEN "millrace at" < lag("millrace at") OVER (%7$sORDER BY "millrace at") + %1$s THEN 0 ELSE 1 END AS "millrace new" FROM ('
                           'SELECT *, %8$s AS "millrace at"%9$s', gap, w.size, named, format(bin, w.size, '"millrace at"'), selected, w.computed, parted, at, named_keys);
  w.fill_grouped := format('%s) AS written) AS written) AS written WINDOW run AS (PARTITION BY "millrace run"%s)) AS written GROUP BY %s, "millrace run") AS w', w.grouped, keys, numbers);
  w.grouped := format('%sGROUP BY %s) AS w', w.grouped, numbers);
  RETURN w;
END $$;
REVOKE ALL ON FUNCTION millrace._session_parts FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_parts IS 'Internal: the SQL of a window of sessions.';

-- The query that finds the sessions near to what the relation "cand" notes, by the index of the target. Of a run from first to last: it is followed
-- to the beginning of the multiple of max_session before the noted times, and to the end of the one behind them. n is 1 where some of these times are in the session.
CREATE FUNCTION millrace._session_query(w millrace.window_definition, patterns text[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  name    text;
  nothing text;
  parted  text := CASE WHEN w.keys <> '' THEN format('PARTITION BY %s ', ltrim(millrace._keys_of(w, 'n'), ', ')) ELSE '' END;
  runs    text;
BEGIN
  SELECT format('%I.%I', s.nspname, c.relname) INTO name
  FROM millrace.pipeline AS p JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version
  JOIN pg_class AS c ON c.oid = v.target JOIN pg_namespace AS s ON s.oid = c.relnamespace WHERE p.id = w.pipeline_id;
  SELECT coalesce(string_agg(format(', NULL::%s', format_type(a.atttypid, a.atttypmod)), '' ORDER BY a.attnum), '') INTO nothing
  FROM pg_attribute AS a WHERE a.attrelid = to_regclass(format('millrace._window_%s_folded', w.id)) AND a.attname ~ '^s\d+$';

  runs := format($sql$
SELECT s.window_start, s.window_end, (s.window_start <= c.hi AND s.window_end > c.lo)::integer AS touched%1$s
FROM (SELECT e.*, date_bin(%2$L::interval, e.lo, %3$L::timestamptz) - %2$L::interval AS bottom, date_bin(%2$L::interval, e.hi, %3$L::timestamptz) + 2 * %2$L::interval AS top
      FROM (SELECT min(n.window_start) AS lo, max(n.window_end) - %4$L::interval AS hi%5$s
            FROM (SELECT n.*, sum(n.fresh) OVER (%6$sORDER BY n.window_start) AS run
                  FROM (SELECT n.*, CASE WHEN n.window_start < max(n.window_end) OVER (%6$sORDER BY n.window_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) THEN 0 ELSE 1 END AS fresh
                        FROM cand AS n%%1$s) AS n) AS n
            GROUP BY n.run%5$s) AS e) AS c
CROSS JOIN LATERAL (WITH RECURSIVE b AS (
  SELECT (SELECT min(%7$s) FROM %8$s AS written WHERE (%7$s) >= c.lo AND (%7$s) <= c.hi%%2$s AND %9$s) AS t
  UNION ALL SELECT (SELECT min(%7$s) FROM %8$s AS written WHERE (%7$s) > b.t - %4$L::interval AND (%7$s) < b.t%%2$s AND %9$s) FROM b WHERE b.t > c.bottom)
  SELECT min(b.t) AS first FROM b) AS f
CROSS JOIN LATERAL (WITH RECURSIVE b AS (
  SELECT (SELECT max(%7$s) FROM %8$s AS written WHERE (%7$s) >= c.lo AND (%7$s) <= c.hi%%2$s AND %9$s) AS t
  UNION ALL SELECT (SELECT max(%7$s) FROM %8$s AS written WHERE (%7$s) > b.t AND (%7$s) < b.t + %4$L::interval%%2$s AND %9$s) FROM b WHERE b.t < c.top)
  SELECT max(b.t) AS last FROM b) AS l
CROSS JOIN LATERAL (
  SELECT f.first AS window_start, l.last + %4$L::interval AS window_end WHERE l.last + %4$L::interval <= f.first + %2$L::interval
  UNION ALL
  SELECT r.first, least(r.last + %4$L::interval, p.part + %2$L::interval)
  FROM generate_series(date_bin(%2$L::interval, greatest(f.first, c.bottom), %3$L::timestamptz), least(l.last, c.top - interval '1 us'), %2$L::interval) AS p (part)
  CROSS JOIN LATERAL (SELECT min(%7$s) AS first, max(%7$s) AS last FROM %8$s AS written
                      WHERE (%7$s) >= greatest(p.part, f.first) AND (%7$s) < p.part + %2$L::interval AND (%7$s) <= l.last%%2$s AND %9$s) AS r
  WHERE l.last + %4$L::interval > f.first + %2$L::interval AND r.first IS NOT NULL) AS s
$sql$, millrace._keys_of(w, 'c'), w.size, w.origin, w.gap, millrace._keys_of(w, 'n'), parted, replace(w.at, '%', '%%'), replace(name, '%', '%%'), replace(w.filter, '%', '%%'));
  RETURN format('SELECT 0::bigint, s.window_start, s.window_end, max(s.touched)::bigint%1$s%2$s, NULL::text FROM (%3$s) AS s GROUP BY s.window_start, s.window_end%1$s',
                millrace._keys_of(w, 's'), nothing, millrace._by_null_pattern(w, runs, 'n', patterns));
END $$;
REVOKE ALL ON FUNCTION millrace._session_query FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_query IS 'Internal: the query that finds the sessions that rows are in.';

-- What is to be computed, of what batches have noted: a session without a noted row that is stored with the same limits has the same rows. Where the
-- limits cannot be found, since an expression fails on a row that the target had before, each note is a session that has this error.
CREATE FUNCTION millrace._session_candidates(w millrace.window_definition, notes anyarray) RETURNS anyarray
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  query   text := millrace._session_query(w, millrace._null_patterns(w, notes));
  changed text := format('SELECT array_agg(v) FROM millrace._window_values($1, $2, $3) AS v WHERE v.n = 1 OR NOT EXISTS ('
                         'SELECT FROM millrace._window_%s_folded AS f WHERE f.window_start = v.window_start AND f.window_end = v.window_end%s)', w.id, millrace._joined_keys(w, 'f', 'v'));
  found   notes%TYPE;
  one     notes%TYPE;
BEGIN
  EXECUTE changed INTO found USING w.pipeline_id, query, notes;
  RETURN found;
EXCEPTION WHEN OTHERS THEN
  -- what is the server's own trouble is no group's
  IF millrace.is_server_trouble(SQLSTATE) THEN
    RAISE;
  END IF;
  FOR i IN 1 .. cardinality(notes) LOOP
    BEGIN
      EXECUTE changed INTO one USING w.pipeline_id, query, notes[i : i];
    EXCEPTION WHEN OTHERS THEN
      IF millrace.is_server_trouble(SQLSTATE) THEN
        RAISE;
      END IF;
      EXECUTE format('SELECT array_agg(ROW(c.fold, c.window_start, c.window_end, 1%s%s)::millrace._window_%s_folded) FROM unnest($1) AS c', millrace._keys_of(w, 'c'),
                     regexp_replace(regexp_replace(substr(w.states, 2), 's\d+', 'c.\&', 'g'), 'error$', '$2'), w.id) INTO one USING notes[i : i], SQLERRM;
    END;
    found := found || one;
  END LOOP;
  EXECUTE format('SELECT array_agg(v) FROM (SELECT DISTINCT ON (ROW(v.window_start%s)::record) v FROM unnest($1) AS v) AS v', millrace._keys_of(w, 'v')) INTO found USING found;
  RETURN found;
END $$;
REVOKE ALL ON FUNCTION millrace._session_candidates FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_candidates IS 'Internal: the sessions that are to be computed, or have an error.';

-- Of sessions that were found, those to be computed: none that begins before target_since, or would take the place of one that does. What that one has of rows
-- that were removed is in no row of the target.
CREATE FUNCTION millrace._sessions_since(w millrace.window_definition, sessions anyarray) RETURNS anyarray
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF w.target_since IS NULL THEN
    RETURN sessions;
  END IF;
  EXECUTE format('SELECT array_agg(v) FROM unnest($1) AS v WHERE v.window_start >= $2 AND (v.window_start >= $2 + $3 OR NOT EXISTS ('
                 'SELECT FROM millrace._window_%s_folded AS f WHERE f.window_start > $2 - $3 AND f.window_start < $2 AND f.window_end > v.window_start%s))',
                 w.id, millrace._joined_keys(w, 'f', 'v')) INTO sessions USING sessions, w.target_since, w.size;
  RETURN sessions;
END $$;
REVOKE ALL ON FUNCTION millrace._sessions_since FROM PUBLIC;
COMMENT ON FUNCTION millrace._sessions_since IS 'Internal: the sessions that are computed from rows the target still has.';

-- The same of sessions that a rebuild has put in place: those that begin at target_since or later and overlap one that begins before, which has their rows, go.
-- Out: how many.
CREATE FUNCTION millrace._remove_counted_sessions(w millrace.window_definition) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  n bigint;
BEGIN
  IF w.gap IS NULL OR w.target_since IS NULL THEN
    RETURN 0;
  END IF;
  EXECUTE format('DELETE FROM millrace._window_%1$s_folded AS v WHERE v.window_start >= $1 AND v.window_start < $1 + $2 AND v.fold >= 0 AND EXISTS ('
                 'SELECT FROM millrace._window_%1$s_folded AS f WHERE f.window_start > $1 - $2 AND f.window_start < $1 AND f.window_end > v.window_start%2$s)',
                 w.id, millrace._joined_keys(w, 'f', 'v')) USING w.target_since, w.size;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._remove_counted_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._remove_counted_sessions IS 'Internal: removes sessions whose rows are in one that stays.';

-- Most of what is set aside, see below, has been computed again as it was. Statistics know nothing of rows that are set aside: of few, each would be compared with all.
CREATE FUNCTION millrace._remove_replaced_sessions(w millrace.window_definition) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_nestloop = off AS $$
BEGIN
  EXECUTE format('DELETE FROM millrace._window_%1$s_folded AS g WHERE g.fold = -1 AND g.window_start >= $1 AND g.window_start < $1 + 2 * $2 AND EXISTS (SELECT FROM millrace._window_%1$s_folded AS f '
                 'WHERE f.fold >= 0 AND f.window_start >= $1 AND f.window_start < $1 + 2 * $2 AND f.window_end >= g.window_end AND %2$s)', w.id, millrace._same_group(w, 'f', 'g')) USING w.target_since, w.size;
END $$;
REVOKE ALL ON FUNCTION millrace._remove_replaced_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._remove_replaced_sessions IS 'Internal: removes sessions that are set aside and have been computed again.';

-- A row that joins sessions around target_since makes one of them in the target, which begins before it, or overlaps one that does: it is not put in place,
-- and has rows of sessions that were replaced. So these were set aside, up to 2 * max_session behind target_since, with -1 for their fold. Where no session
-- has taken the place of one, or of a part of it, that is computed from the rows that the target has of it. Out: how many were put back.
CREATE FUNCTION millrace._put_back_sessions(w millrace.window_definition) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  places tid[];
  n      bigint;
  total  bigint := 0;
BEGIN
  IF w.gap IS NULL OR w.target_since IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM millrace._remove_replaced_sessions(w);
  FOR places IN SELECT p.places FROM millrace._folded_places(w, w.target_since, w.target_since + 2 * w.size, true) AS p LOOP
    EXECUTE format('WITH gone AS (DELETE FROM millrace._window_%1$s_folded AS f WHERE f.ctid = ANY ($1) RETURNING f.*), '
                   'uncovered AS (SELECT g.window_start, g.window_end%2$s, tstzmultirange(tstzrange(g.window_start, g.window_end)) '
                   '- coalesce(range_agg(tstzrange(f.window_start, f.window_end)) FILTER (WHERE f.window_start IS NOT NULL), ''{}'') AS parts '
                   'FROM gone AS g LEFT JOIN (SELECT f.* FROM millrace._window_%1$s_folded AS f WHERE f.window_start > ($2).target_since - ($2).size AND f.window_start < ($2).target_since + 3 * ($2).size AND f.fold >= 0) AS f '
                   'ON f.window_start < g.window_end AND f.window_end > g.window_start%3$s GROUP BY g.window_start, g.window_end%2$s) '
                   'INSERT INTO millrace._window_%1$s_folded SELECT v.* FROM millrace._groups_computed($2, %4$s) AS v WHERE v.n > 0',
                   w.id, millrace._keys_of(w, 'g'), millrace._joined_keys(w, 'f', 'g'),
                   millrace._candidates(w, format('SELECT lower(p.part) AS window_start, upper(p.part) AS window_end%s FROM uncovered AS o CROSS JOIN LATERAL unnest(o.parts) AS p (part)', millrace._keys_of(w, 'o'))))
    USING places, w;
    GET DIAGNOSTICS n = ROW_COUNT;
    total := total + n;
  END LOOP;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION millrace._put_back_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._put_back_sessions IS 'Internal: keeps sessions near to target_since whose rows a rebuild has found in none that it may make.';

-- What a rebuild replaces is found by where it begins, and so is what it puts in place. A session that is computed may begin elsewhere than the one that is stored:
-- what rows in [from, to) have changed is at most 2 * max_session away, so at these bounds both are the same. What has left does not come back for that.
CREATE FUNCTION millrace._session_reach(w millrace.window_definition, kept_from timestamptz, INOUT "from" timestamptz, INOUT "to" timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  -- there are none at the ends of time
  "from" := greatest(CASE WHEN "from" < timestamptz '4690-01-01 00:00:00+00 BC' THEN '-infinity' ELSE "from" - 3 * w.size END, w.target_since, CASE WHEN "from" >= kept_from THEN kept_from END);
  "to" := CASE WHEN "to" > timestamptz '285000-01-01 00:00:00+00' THEN 'infinity' ELSE "to" + 3 * w.size END;
END $$;
REVOKE ALL ON FUNCTION millrace._session_reach FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_reach IS 'Internal: where the sessions begin that a rebuild replaces.';

-- SQL for the places of the stored sessions that overlap those of a relation: none is longer than max_session.
CREATE FUNCTION millrace._overlapped_sessions(w millrace.window_definition, relation text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  query text := format('SELECT o.place FROM %s AS v CROSS JOIN LATERAL (SELECT f.ctid AS place FROM millrace._window_%s_folded AS f '
                       'WHERE f.window_start > v.window_start - %L::interval AND f.window_start < v.window_end AND f.window_end > v.window_start%%s OFFSET 0) AS o%%s', relation, w.id, w.size);
BEGIN
  RETURN CASE WHEN w.keys = '' THEN format(query, '', '')
         ELSE format(query, millrace._equal_keys(w, 'f', 'v', false), format(' WHERE num_nulls(%s) = 0', ltrim(millrace._keys_of(w, 'v'), ', '))) || ' UNION ALL '
              || format(query, millrace._equal_keys(w, 'f', 'v', true), format(' WHERE num_nulls(%s) > 0', ltrim(millrace._keys_of(w, 'v'), ', '))) END;
END $$;
REVOKE ALL ON FUNCTION millrace._overlapped_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._overlapped_sessions IS 'Internal: SQL for stored sessions that others take the place of.';

-- SQL for the notes of a relation, as what is to be computed.
CREATE FUNCTION millrace._session_notes(w millrace.window_definition, notes text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace._candidates(w, format('SELECT r.window_start, r.window_end%s FROM (%s) AS r', millrace._keys_of(w, 'r'), notes));
$$;
REVOKE ALL ON FUNCTION millrace._session_notes FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_notes IS 'Internal: SQL for what batches have noted of a window of sessions.';

-- SQL for the rows of its view: what is waiting is computed, and hides what it takes the place of. columns: of the folded table, behind "f.".
CREATE FUNCTION millrace._session_rows(w millrace.window_definition, columns text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('WITH waiting AS MATERIALIZED (SELECT v.* FROM millrace.window_definition AS d CROSS JOIN LATERAL millrace.window_groups(d.id, d.reader, %2$s) AS v WHERE d.id = %1$s), '
                'hidden AS MATERIALIZED (%3$s) '
                'SELECT f.%4$s FROM millrace._window_%1$s_folded AS f WHERE f.ctid NOT IN (SELECT h.place FROM hidden AS h) UNION ALL SELECT f.%4$s FROM waiting AS f',
                w.id, millrace._session_notes(w, millrace._unfolded_rows(w)), millrace._overlapped_sessions(w, 'waiting'), columns);
$$;
REVOKE ALL ON FUNCTION millrace._session_rows FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_rows IS 'Internal: SQL for the sessions of a window.';

-- A part of the fold's statement: counts what is noted of sessions that are not computed, since they have rows from before target_since.
CREATE FUNCTION millrace._sessions_left_alone(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
  SELECT CASE WHEN w.target_since IS NULL THEN 'left_alone AS (SELECT 0::bigint AS n), ' ELSE format(
    'left_alone AS (SELECT count(*) AS n '
    'FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r WHERE r.window_start < %L::timestamptz AND r.window_end >= $5 '
    'AND NOT EXISTS (SELECT FROM computed AS v WHERE v.window_start <= r.window_start AND v.window_end > r.window_start%s)), ',
    w.target_since + w.size, millrace._joined_keys(w, 'v', 'r')) END;
$$;
REVOKE ALL ON FUNCTION millrace._sessions_left_alone FROM PUBLIC;
COMMENT ON FUNCTION millrace._sessions_left_alone IS 'Internal: SQL that counts what a fold leaves as it is.';

-- Parts of the fold's statement, as _recompute_of_fold().
CREATE FUNCTION millrace._sessions_of_fold(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('computed AS MATERIALIZED (SELECT v.* FROM millrace._window_recompute(%1$s, %2$L::uuid, %3$s) AS v), '
                '%6$s'
                'replaced AS (DELETE FROM millrace._window_%1$s_folded AS f WHERE f.ctid = ANY (ARRAY(%4$s)) RETURNING f.window_start, f.window_end%5$s), '
                'kept AS (INSERT INTO millrace._window_%1$s_folded SELECT v.* FROM computed AS v WHERE v.n > 0 AND v.window_start >= $5 RETURNING window_start), ',
                w.id, w.reader, millrace._session_notes(w, 'SELECT r.* FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r WHERE r.window_end >= $5'),
                millrace._overlapped_sessions(w, 'computed'), millrace._keys_of(w, 'f'), millrace._sessions_left_alone(w));
$$;
REVOKE ALL ON FUNCTION millrace._sessions_of_fold FROM PUBLIC;
COMMENT ON FUNCTION millrace._sessions_of_fold IS 'Internal: SQL that computes the sessions again that a fold finds.';

-- A row is late when a session that it is in, or that it has extended or merged, was final.
CREATE FUNCTION millrace._late_sessions(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('early AS MATERIALIZED (SELECT row_number() OVER () AS note, r.window_start, r.window_end, r.n%1$s FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r WHERE r.window_start < $3), '
                'late AS (SELECT l.window_start, min(l.window_end) AS window_end, sum(l.n)::bigint AS n FROM ('
                'SELECT DISTINCT ON (r.note) x.window_start, x.window_end, r.n FROM early AS r JOIN ('
                'SELECT 1 AS place, o.window_start, o.window_end%2$s FROM replaced AS o WHERE o.window_end <= $3 UNION ALL '
                'SELECT 2, v.window_start, v.window_end%3$s FROM computed AS v WHERE v.window_end <= $3) AS x '
                'ON x.window_start < r.window_end AND x.window_end > r.window_start%4$s ORDER BY r.note, x.place, x.window_start) AS l GROUP BY l.window_start), ',
                millrace._keys_of(w, 'r'), millrace._keys_of(w, 'o'), millrace._keys_of(w, 'v'), millrace._joined_keys(w, 'x', 'r'));
$$;
REVOKE ALL ON FUNCTION millrace._late_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._late_sessions IS 'Internal: SQL for rows that came when their session was final.';

-- Notes what is to be published, as _due_of_fold(): of the sessions that are not final, or have rows of one that was not (it was cut), those that are closed;
-- and the sessions that were closed and are part of such a one now that begins at another time.
CREATE FUNCTION millrace._due_sessions(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('undue AS (DELETE FROM millrace._window_%1$s_due AS d USING (SELECT window_start%2$s FROM replaced UNION SELECT window_start%2$s FROM computed) AS x WHERE %3$s), '
                'fresh AS MATERIALIZED (SELECT v.window_start, v.window_end%4$s FROM computed AS v WHERE v.n > 0 AND v.window_start >= $5 AND (v.window_end > $3 OR EXISTS ('
                'SELECT FROM replaced AS o WHERE o.window_end > $3 AND o.window_start < v.window_end AND o.window_end > v.window_start%8$s))), '
                'due AS (INSERT INTO millrace._window_%1$s_due (window_start, window_end%2$s) '
                'SELECT v.window_start, v.window_end%4$s FROM fresh AS v WHERE v.window_end <= $4 UNION ALL '
                'SELECT o.window_start, o.window_end%5$s FROM replaced AS o WHERE o.window_end <= $4 AND o.window_start >= $5 '
                'AND NOT EXISTS (SELECT FROM computed AS v WHERE %6$s) '
                'AND EXISTS (SELECT FROM fresh AS v WHERE v.window_start < o.window_end AND v.window_end > o.window_start%7$s)), ',
                w.id, w.keys, millrace._same_group(w, 'd', 'x'), millrace._keys_of(w, 'v'), millrace._keys_of(w, 'o'), millrace._same_group(w, 'v', 'o'),
                millrace._joined_keys(w, 'v', 'o'), millrace._joined_keys(w, 'o', 'v'));
$$;
REVOKE ALL ON FUNCTION millrace._due_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._due_sessions IS 'Internal: SQL for what a fold changes in closed sessions.';

-- SQL for what is due, as _changed_groups(): a session is the same as long as it begins at the same time. One that has become open is published when it is closed.
CREATE FUNCTION millrace._changed_sessions(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT u.window_start, u.window_end%2$s FROM (SELECT d.window_start, max(coalesce(f.window_end, d.window_end)) AS window_end%3$s '
                'FROM millrace._window_%1$s_due AS d LEFT JOIN (SELECT f.* FROM millrace._window_%1$s_folded AS f WHERE f.window_start = ANY (%4$s)) AS f ON %5$s GROUP BY d.window_start%3$s) AS u '
                'LEFT JOIN (SELECT v.* FROM millrace._window_%1$s_revision AS v WHERE v.window_start = ANY (%4$s) '
                'AND v.written_at BETWEEN clock_timestamp() - interval ''1 s'' AND clock_timestamp()) AS v ON %6$s WHERE v.revision IS NULL AND u.window_end <= $2',
                w.id, millrace._keys_of(w, 'u'), millrace._keys_of(w, 'd'), format('ARRAY(SELECT DISTINCT d.window_start FROM millrace._window_%s_due AS d)', w.id),
                millrace._same_group(w, 'f', 'd'), millrace._same_group(w, 'v', 'u'));
$$;
REVOKE ALL ON FUNCTION millrace._changed_sessions FROM PUBLIC;
COMMENT ON FUNCTION millrace._changed_sessions IS 'Internal: SQL for closed sessions that have changed.';
