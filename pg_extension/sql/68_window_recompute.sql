-- Windows kept by recompute: of targets whose rows change, and of aggregates that have no partial values. A batch notes which groups its
-- rows have touched, in its own commit, as other windows' batches add partial values (src/window/contribute.h): to the same table, in
-- the same streams. A row that another one takes the place of, or that is deleted, is noted too. The fold computes these groups from
-- the target again, in place of what it had. A reader of window_<name> does that for what has been noted since, in what its own
-- statement sees; window_<name>_folded has what is folded.
--
-- All that a user wrote runs as the pipeline's owner, by _window_recompute(). Readers of a view have to be allowed to call
-- window_groups(), which does that: it answers to the view alone, which knows the window's "reader".

CREATE FUNCTION millrace._window_value(state anyelement, value anyelement) RETURNS anyelement
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT state $$;
REVOKE ALL ON FUNCTION millrace._window_value FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_value IS 'Internal: a step of window_value().';
CREATE AGGREGATE millrace.window_value(value anyelement) (SFUNC = millrace._window_value, STYPE = anyelement, PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_value(anyelement) IS
'What a recomputed window has of a group, which has one row.
In: value. Out: the first that is not null. Errors: none.';

CREATE FUNCTION millrace._window_error(error text, value anyelement) RETURNS anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RAISE EXCEPTION '%', error USING ERRCODE = 'data_exception';
END $$;
REVOKE ALL ON FUNCTION millrace._window_error FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_error IS 'Internal: raises why a group has no values.';

CREATE FUNCTION millrace._window_values(pipeline_id integer, query text, candidates anyarray) RETURNS SETOF anyelement
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_window_values';
REVOKE ALL ON FUNCTION millrace._window_values FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_values IS 'Internal: what a query over candidates gives, run as the pipeline''s owner.';

-- Fills in what _make_window() has left open. selected, named, numbers: of the keys, as there.
CREATE FUNCTION millrace._recompute_parts(
  w millrace.window_definition, p millrace.pipeline, v millrace.pipeline_version, inside text, selected text, named text, numbers text, keys text[])
RETURNS millrace.window_definition
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  part    record;
  n       integer := 0;
  nothing text := '';  -- of the columns of the view
  condition text := '';
  checked text := '';  -- arguments of aggregates: a row on which they fail is an event that fails
  start   text := millrace._pane_start(w.at, w.slide, w.time_zone, w.origin);
  pane_end text := millrace._later('w.window_start', format('%L::interval', w.slide), w.slide, w.time_zone);
  panes   integer := millrace._window_panes(w.size, w.slide);
BEGIN
  IF length(w.name) > 49 THEN
    RAISE EXCEPTION 'window name "%" is too long', w.name
      USING ERRCODE = 'name_too_long', DETAIL = 'This window is recomputed; it has a view of 14 characters more.', HINT = 'Choose one of at most 49 characters.';
  END IF;
  w.keyed := keys;
  w.computed := '';
  FOR part IN SELECT * FROM millrace._window_parts(p.id, v.version, w.event_time, w.group_by, w.aggregates, w.condition) LOOP
    IF part.part = 'where' THEN
      condition := format(' AND (%s)', part.sql);
    ELSIF part.part = 'output' THEN
      n := n + 1;
      w.states := format('%s, s%s', w.states, n);
      w.merges := format('%s, millrace.window_value(s%s) AS s%2$s', w.merges, n);
      w.finals := format('%s, CASE WHEN error IS NULL THEN s%s ELSE millrace._window_error(error, s%2$s) END AS a%2$s', w.finals, n);
      w.output := format('%s, m.a%s AS %I', w.output, n, part.name);
      w.computed := format('%s, (%s)::%s AS s%s', w.computed, part.whole, part.type, n);
      nothing := format('%s, NULL::%s AS s%s', nothing, part.type, n);
      named := format('%s, w.s%s', named, n);
    ELSIF part.part = 'aggregate' AND part.sql NOT IN ('', '*') THEN
      checked := format('%s + 0 * coalesce(sum(num_nonnulls(%s))%s, 0)', checked, part.sql, ' FILTER (WHERE ' || part.filter || ')');
    END IF;
  END LOOP;
  w.filter := inside || condition;
  w.states := w.states || ', error';
  w.merges := w.merges || ', max(error) AS error';

  IF w.gap IS NOT NULL THEN
    w := millrace._session_parts(w, inside, checked, nothing, selected, named, numbers);
    PERFORM millrace._check_window_changes(w, p, v);
    PERFORM millrace._check_window_index(w, p, v);
    RETURN w;
  END IF;
  w.selects := format('SELECT w.window_start, %s AS window_end, w.n%s, w.error FROM (SELECT CASE WHEN %s THEN %s END AS window_start, count(*)%s AS n%s%s, NULL::text AS error',
                      pane_end, named, inside, start, checked, selected, nothing);
  w.old_selects := format('SELECT w.window_start, %s AS window_end, w.n%s, w.error FROM (SELECT CASE WHEN %s THEN %s END AS window_start, 0::bigint AS n%s%s, NULL::text AS error',
                          pane_end, named, inside, start, selected, nothing);
  w.fill_selects := format('SELECT w.window_start, %s AS window_end, w.n%s, w.error FROM (SELECT CASE WHEN %s THEN %s END AS window_start, count(*) AS n%s%s, NULL::text AS error',
                           millrace._later('w.window_start', format('%L::interval', w.size), w.slide, w.time_zone), named, inside,
                           CASE panes WHEN 1 THEN start ELSE millrace._later(start, format('(- "millrace slide") * %L::interval', w.slide), w.slide, w.time_zone) END,
                           selected, w.computed);
  -- what is in no window is there once
  w.fill_grouped := format('%s%sGROUP BY %s) AS w', CASE WHEN panes > 1 THEN format('CROSS JOIN generate_series(0, %s) AS "millrace slide" ', panes - 1) END,
                           CASE WHEN panes > 1 THEN format('WHERE ((%s) IS TRUE OR "millrace slide" = 0)%s ', inside, condition) ELSE w.grouped END, numbers);
  w.grouped := format('%sGROUP BY %s) AS w', w.grouped, numbers);
  PERFORM millrace._check_window_changes(w, p, v);
  PERFORM millrace._check_window_index(w, p, v);
  RETURN w;
END $$;
REVOKE ALL ON FUNCTION millrace._recompute_parts FROM PUBLIC;
COMMENT ON FUNCTION millrace._recompute_parts IS 'Internal: the SQL of a recomputed window.';

-- Columns of its tables behind the keys.
CREATE FUNCTION millrace._recompute_columns(w millrace.window_definition, p millrace.pipeline, v millrace.pipeline_version) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(format(', %s', millrace._window_column('s' || o.place, o.type, o."collation")), '' ORDER BY o.place) || ', error text'
  FROM (SELECT a.type, a."collation", row_number() OVER () AS place
        FROM millrace._window_parts(p.id, v.version, w.event_time, w.group_by, w.aggregates, w.condition) AS a WHERE a.part = 'output') AS o;
$$;
REVOKE ALL ON FUNCTION millrace._recompute_columns FROM PUBLIC;
COMMENT ON FUNCTION millrace._recompute_columns IS 'Internal: columns of a recomputed window''s tables.';

-- The columns of a recomputed window's values, without any.
CREATE FUNCTION millrace._no_values(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(format(', NULL::%s AS %s', format_type(a.atttypid, a.atttypmod), a.attname), '' ORDER BY a.attnum)
  FROM pg_attribute AS a WHERE a.attrelid = to_regclass(format('millrace._window_%s_folded', w.id)) AND a.attname ~ '^s\d+$';
$$;
REVOKE ALL ON FUNCTION millrace._no_values FROM PUBLIC;
COMMENT ON FUNCTION millrace._no_values IS 'Internal: SQL for no values of a recomputed window.';

-- A row that changes is found by its conflict key, before and after.
CREATE FUNCTION millrace._check_window_changes(w millrace.window_definition, p millrace.pipeline, v millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  nullable text;
  other    record;
BEGIN
  IF v.on_conflict <> 'update' THEN
    RETURN;
  ELSIF w.gap IS NOT NULL THEN
    RAISE EXCEPTION 'pipeline "%" changes rows of its target, so it cannot have a window of sessions', p.name
      USING ERRCODE = 'feature_not_supported', DETAIL = format('Its on_conflict is "update", and window "%s" is one of sessions: these can only grow.', w.name),
            HINT = 'Have sessions of a pipeline that writes each event as a row, with on_conflict => ''error'' or ''ignore''; or use create_window().';
  ELSIF w.kind = 'incremental' THEN
    RAISE EXCEPTION 'pipeline "%" changes rows of its target, which window "%" cannot follow', p.name, w.name
      USING ERRCODE = 'feature_not_supported', DETAIL = 'Its on_conflict is "update", and the window is incremental: it was created when the target only grew.',
            HINT = format('Drop it, and create it again afterwards: SELECT millrace.drop_window(%L);', w.name);
  END IF;
  SELECT a.attname INTO nullable FROM pg_attribute AS a
  WHERE a.attrelid = v.target AND a.attname = ANY (v.conflict_key) AND NOT a.attnotnull ORDER BY a.attnum LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'column "%" of the conflict_key of pipeline "%" may be null', nullable, p.name
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Windows follow changes of a row by its key, and a null is the key of no row.',
            HINT = format('Run: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', v.target::regclass, nullable);
  END IF;
  -- workers look at operator classes, too (src/program/conflict_index.h)
  SELECT x.indexrelid::regclass AS index, a.attname INTO other
  FROM pg_index AS x CROSS JOIN LATERAL generate_series(0, x.indnkeyatts - 1) AS n
  JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[n]
  JOIN pg_collation AS i ON i.oid = x.indcollation[n] JOIN pg_collation AS c ON c.oid = a.attcollation
  WHERE x.indrelid = v.target AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND i.oid <> c.oid AND NOT (i.collisdeterministic AND c.collisdeterministic)
        AND ARRAY(SELECT k.attname::text FROM generate_series(0, x.indnkeyatts - 1) AS m JOIN pg_attribute AS k ON k.attrelid = x.indrelid AND k.attnum = x.indkey[m]
                  ORDER BY 1) = ARRAY(SELECT k FROM unnest(v.conflict_key) AS k ORDER BY 1)
  ORDER BY 1, 2 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unique index "%" compares column "%" otherwise than "="', other.index, other.attname
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'Windows follow changes of a row by its key, and an upsert may replace the row of another key by this index.',
            HINT = 'Create it with the collation of the column.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_changes FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_changes IS 'Internal: refuses changes of rows that a window cannot follow.';

CREATE FUNCTION millrace._index_columns(target oid) RETURNS TABLE (columns text[], latest_found boolean)  -- latest_found: with nulls where they are by default
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT ARRAY(SELECT btrim(pg_get_indexdef(x.indexrelid, c, false), '()') FROM generate_series(1, x.indnkeyatts) AS c ORDER BY c), x.indoption[0] & 3 IN (0, 3)
  FROM pg_index AS x JOIN pg_class AS r ON r.oid = x.indexrelid JOIN pg_am AS m ON m.oid = r.relam
  WHERE x.indrelid = target AND x.indisvalid AND x.indpred IS NULL AND m.amname = 'btree';
$$;
REVOKE ALL ON FUNCTION millrace._index_columns FROM PUBLIC;
COMMENT ON FUNCTION millrace._index_columns IS 'Internal: what the valid btree indexes of a table are on.';

-- What a valid index of the target serves: 'group' when it begins with what the window is grouped by, in any order, and goes on with the event
-- time; 'window' when it begins with the event time; null: there is none.
CREATE FUNCTION millrace._window_index(w millrace.window_definition, target oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN bool_or(i.columns[1 : k.n] @> k.keys AND k.keys @> i.columns[1 : k.n] AND i.columns[k.n + 1] = k.at) THEN 'group'
              WHEN bool_or(i.columns[1] = k.at) THEN 'window' END
  FROM (SELECT cardinality(w.keyed) AS n, ARRAY(SELECT btrim(e, '()') FROM unnest(w.keyed) AS e) AS keys, btrim(w.at, '()') AS at) AS k
  CROSS JOIN millrace._index_columns(target) AS i;
$$;
REVOKE ALL ON FUNCTION millrace._window_index FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_index IS 'Internal: how a window is computed through an index of the target.';

CREATE FUNCTION millrace._check_window_index(w millrace.window_definition, p millrace.pipeline, v millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  column_name constant text := '^("([^"]|"")+"|[a-z_][a-z0-9_$]*)$';
  columns text;
BEGIN
  IF millrace._window_index(w, v.target) = 'group' OR w.gap IS NULL AND millrace._window_index(w, v.target) IS NOT NULL THEN
    RETURN;
  END IF;
  -- expressions need not be immutable, as those of an index: without them the window is computed as a whole, unless it has sessions
  SELECT string_agg(CASE WHEN e.sql ~ column_name THEN e.sql ELSE format('(%s)', e.sql) END, ', ' ORDER BY e.place) INTO columns
  FROM unnest(CASE WHEN w.gap IS NOT NULL OR (SELECT bool_and(k ~ column_name) FROM unnest(w.keyed) AS k) THEN w.keyed END || w.at) WITH ORDINALITY AS e (sql, place);
  RAISE EXCEPTION 'no index of table "%" serves window "%"', v.target::regclass, w.name
    USING ERRCODE = 'object_not_in_prerequisite_state',
          DETAIL = format('It is kept by recompute, because %s: groups that change are computed from the target again.',
                          CASE WHEN w.gap IS NOT NULL THEN 'it has sessions' ELSE CASE v.on_conflict WHEN 'update' THEN 'rows of the target change' ELSE 'its aggregates have no partial values that could be merged' END END),
          HINT = format('Run: CREATE INDEX ON %s (%s);', v.target::regclass, columns)
                 || CASE WHEN w.gap IS NOT NULL AND columns ~ '\(' THEN ' Compute what no index can have in the transform, into a column.' ELSE '' END;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_index FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_index IS 'Internal: refuses a recomputed window of a target without an index for it.';

-- SQL for the groups, each once, of SQL for rows of panes.
CREATE FUNCTION millrace._touched_groups(w millrace.window_definition, panes text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT DISTINCT x.window_start, x.window_end%s FROM (%s) AS x', millrace._keys_of(w, 'x'), millrace._pane_windows(w, panes));
$$;
REVOKE ALL ON FUNCTION millrace._touched_groups FROM PUBLIC;
COMMENT ON FUNCTION millrace._touched_groups IS 'Internal: SQL for the groups of a window that rows of panes are of.';

-- The same as an array of rows of the folded table, without values.
CREATE FUNCTION millrace._candidates(w millrace.window_definition, groups text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('(SELECT array_agg(ROW(0, u.window_start, u.window_end, 0%s%s)::millrace._window_%s_folded) FROM (%s) AS u)',
                millrace._keys_of(w, 'u'), repeat(', NULL', cardinality(string_to_array(w.states, ',')) - 1), w.id, groups);
$$;
REVOKE ALL ON FUNCTION millrace._candidates FROM PUBLIC;
COMMENT ON FUNCTION millrace._candidates IS 'Internal: SQL for groups of a window that are to be computed.';

-- Which keys are null, of the groups that are to be computed: a text for each kind of them, of a t or f for each key.
CREATE FUNCTION millrace._null_patterns(w millrace.window_definition, candidates anyarray) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  patterns text[];
BEGIN
  EXECUTE format('SELECT array_agg(DISTINCT concat(%s)) FROM unnest($1) AS c', (SELECT coalesce(string_agg(format('num_nulls(c.g%s) > 0', i), ', ' ORDER BY i), '''''')
                                                                               FROM generate_series(1, cardinality(w.keyed)) AS i)) INTO patterns USING candidates;
  RETURN patterns;
END $$;
REVOKE ALL ON FUNCTION millrace._null_patterns FROM PUBLIC;
COMMENT ON FUNCTION millrace._null_patterns IS 'Internal: which keys are null of groups that are to be computed.';

-- A query for each of these kinds. branch: SQL with two places, for a condition on the groups, which are rows of "of", and for one on rows of the target, which are
-- compared with a group "c". An index finds what is equal, and what is null, but not the one or the other: where there are more kinds than anybody
-- wants to plan, groups with a null in them are computed without it.
CREATE FUNCTION millrace._by_null_pattern(w millrace.window_definition, branch text, "of" text, patterns text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(format(branch, b.groups, b.rows), ' UNION ALL ' ORDER BY p.pattern)
  FROM (SELECT u.pattern FROM unnest(patterns) AS u (pattern) WHERE cardinality(patterns) <= 32 UNION ALL
        SELECT u.pattern FROM unnest(ARRAY['none', 'some']) AS u (pattern) WHERE cardinality(patterns) > 32) AS p
  CROSS JOIN LATERAL (
    SELECT coalesce(' WHERE ' || string_agg(CASE WHEN p.pattern IN ('none', 'some') THEN NULL ELSE format('num_nulls(%s.g%s) = %s', "of", e.place, CASE WHEN k.is_null THEN 1 ELSE 0 END) END, ' AND ' ORDER BY e.place),
                    CASE WHEN p.pattern IN ('none', 'some') THEN format(' WHERE num_nulls(%s) %s 0', string_agg(format('%s.g%s', "of", e.place), ', '), CASE p.pattern WHEN 'none' THEN '=' ELSE '>' END) END, '') AS groups,
           -- a row of nulls is null, and another value than no row
           coalesce(string_agg(format(CASE WHEN p.pattern = 'some' THEN ' AND ((%1$s) = c.g%2$s OR (%1$s) IS NULL AND num_nulls(%1$s) = 1 AND num_nulls(c.g%2$s) = 1)'
                                           WHEN k.is_null THEN ' AND (%1$s) IS NULL AND num_nulls(%1$s) = 1' ELSE ' AND (%1$s) = c.g%2$s' END, e.sql, e.place), '' ORDER BY e.place), '') AS rows
    FROM unnest(w.keyed) WITH ORDINALITY AS e (sql, place) CROSS JOIN LATERAL (SELECT substr(p.pattern, e.place::integer, 1) = 't' AND p.pattern NOT IN ('none', 'some') AS is_null) AS k) AS b;
$$;
REVOKE ALL ON FUNCTION millrace._by_null_pattern FROM PUBLIC;
COMMENT ON FUNCTION millrace._by_null_pattern IS 'Internal: SQL that finds the rows of groups through an index, whichever of their keys are null.';

-- The query that computes the groups of the relation "cand" from the target: each by itself, or, as the index has it, each window at once. patterns: of
-- _null_patterns().
CREATE FUNCTION millrace._recompute_query(w millrace.window_definition, patterns text[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  n       integer := cardinality(w.keyed);
  target  oid;
  name    text;
  k       record;
  outputs text;
  range   text := format('(%1$s) >= c.window_start AND (%1$s) < c.window_end AND %2$s', w.at, w.filter);
  by_group text;
BEGIN
  SELECT c.oid, format('%I.%I', s.nspname, c.relname) INTO target, name
  FROM millrace.pipeline AS p JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version
  JOIN pg_class AS c ON c.oid = v.target JOIN pg_namespace AS s ON s.oid = c.relnamespace WHERE p.id = w.pipeline_id;
  SELECT string_agg(format(', v.s%s', i), '' ORDER BY i) INTO outputs FROM generate_series(1, cardinality(string_to_array(w.states, ',')) - 2) AS i;
  SELECT string_agg(format(', (%s)::%s AS g%s', e.sql, e.type, e.place), '' ORDER BY e.place) AS selected,
         string_agg((e.place + 3)::text, ', ' ORDER BY e.place) AS numbers
  INTO k
  FROM (SELECT e.sql, e.place, format_type(a.atttypid, a.atttypmod) AS type FROM unnest(w.keyed) WITH ORDINALITY AS e (sql, place)
        JOIN pg_attribute AS a ON a.attrelid = to_regclass(format('millrace._window_%s_folded', w.id)) AND a.attname = 'g' || e.place) AS e;
  IF n > 0 AND w.gap IS NULL AND millrace._window_index(w, target) IS DISTINCT FROM 'group' THEN
    RETURN format('SELECT 0::bigint, v.window_start, v.window_end, v.n%1$s%2$s, NULL::text FROM (SELECT DISTINCT c.window_start, c.window_end FROM cand AS c) AS c '
                  'CROSS JOIN LATERAL (SELECT c.window_start, c.window_end, count(*) AS n%3$s%4$s FROM %5$s AS written WHERE %6$s GROUP BY %7$s) AS v '
                  'WHERE EXISTS (SELECT FROM cand AS d WHERE %8$s)',
                  millrace._keys_of(w, 'v'), outputs, k.selected, w.computed, name, range, k.numbers, millrace._same_group(w, 'd', 'v'));
  END IF;
  by_group := format('SELECT 0::bigint, c.window_start, c.window_end, v.n%s%s, NULL::text FROM (SELECT * FROM cand AS c%%s) AS c '
                     'CROSS JOIN LATERAL (SELECT count(*) AS n%s FROM %s AS written WHERE %s', millrace._keys_of(w, 'c'), outputs, replace(w.computed, '%', '%%'), replace(name, '%', '%%'),
                     replace(range, '%', '%%')) || '%s) AS v';
  RETURN millrace._by_null_pattern(w, by_group, 'c', patterns);
END $$;
REVOKE ALL ON FUNCTION millrace._recompute_query FROM PUBLIC;
COMMENT ON FUNCTION millrace._recompute_query IS 'Internal: the query that computes groups of a window from the target.';

CREATE FUNCTION millrace._lock_to_read(relation oid, wait boolean) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_to_read';
REVOKE ALL ON FUNCTION millrace._lock_to_read FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_to_read IS 'Internal: locks a table and its partitions as a query does; false when that has to wait and wait is false.';

-- A snapshot that is older than an ALTER TABLE which writes the table again shows no rows of it: who computes groups locks the target before it takes one.
CREATE FUNCTION millrace._lock_target(window_id integer, wait boolean) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce((SELECT millrace._lock_to_read(v.target, wait) FROM millrace.window_definition AS w JOIN millrace.pipeline AS p ON p.id = w.pipeline_id
                   JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version WHERE w.id = window_id AND w.kind = 'recompute'), true);
$$;
REVOKE ALL ON FUNCTION millrace._lock_target FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_target IS 'Internal: locks what a recomputed window is computed from; false when that has to wait and wait is false.';

-- A reader has its snapshot already when it finds that groups are to be computed. What the table was then is in the catalog as the snapshot shows it.
CREATE FUNCTION millrace._check_target_unchanged(w millrace.window_definition) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._lock_target(w.id, true);
  -- its partitions, and those that inherit from it
  IF EXISTS (WITH RECURSIVE t AS (
               SELECT v.target AS oid FROM millrace.pipeline AS p JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version WHERE p.id = w.pipeline_id
               UNION SELECT i.inhrelid FROM t JOIN pg_inherits AS i ON i.inhparent = t.oid)
             SELECT FROM t JOIN pg_class AS c ON c.oid = t.oid WHERE c.relfilenode <> coalesce(pg_relation_filenode(c.oid), 0)) THEN
    RAISE EXCEPTION 'the target of window "%" was written again while it was read', w.name
      USING ERRCODE = 'serialization_failure', DETAIL = 'Another session has run ALTER TABLE, TRUNCATE or VACUUM FULL since the statement began.', HINT = 'Run the statement again.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_target_unchanged FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_target_unchanged IS 'Internal: refuses to compute groups in a snapshot that does not show the rows of the target.';

CREATE FUNCTION millrace._window_recompute(window_id integer, reader uuid, candidates anyarray) RETURNS SETOF anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w     millrace.window_definition;
BEGIN
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.id = window_id AND d.reader = _window_recompute.reader;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'permission denied for window %', window_id
      USING ERRCODE = 'insufficient_privilege', HINT = 'Read the view of the window.';
  END IF;
  IF cardinality(candidates) > 0 THEN
    PERFORM millrace._check_target_unchanged(w);
  END IF;
  IF w.gap IS NOT NULL AND cardinality(candidates) > 0 THEN
    candidates := millrace._sessions_since(w, millrace._session_candidates(w, candidates));
    RETURN QUERY SELECT c.* FROM unnest(candidates) AS c WHERE c.error IS NOT NULL;
    candidates := ARRAY(SELECT c FROM unnest(candidates) AS c WHERE c.error IS NULL);
  END IF;
  RETURN QUERY SELECT v.* FROM millrace._groups_computed(w, candidates) AS v;
END $$;
REVOKE ALL ON FUNCTION millrace._window_recompute FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_recompute IS 'Internal: computes groups of a window from the target.';

-- A group on which a function fails has its error instead of values; fewer and fewer are computed at once until it is alone.
CREATE FUNCTION millrace._groups_computed(w millrace.window_definition, candidates anyarray) RETURNS SETOF anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  query text;
  total integer := coalesce(cardinality(candidates), 0);
  first integer := 1;
  n     integer := total;
BEGIN
  query := millrace._recompute_query(w, millrace._null_patterns(w, candidates));
  WHILE first <= total LOOP
    BEGIN
      RETURN QUERY SELECT v.* FROM millrace._window_values(w.pipeline_id, query, candidates[first : first + n - 1]) AS v;
      first := first + n;
      n := least(n * 2, total - first + 1);
    EXCEPTION WHEN OTHERS THEN
      -- what is the server's own trouble is no group's
      IF millrace.is_server_trouble(SQLSTATE) THEN
        RAISE;
      ELSIF n > 1 THEN
        n := n / 2;
      ELSE
        RETURN QUERY EXECUTE format('SELECT c.fold, c.window_start, c.window_end, 1::bigint%s%s, $2 FROM unnest($1) AS c', millrace._keys_of(w, 'c'),
                                    (SELECT string_agg(format(', c.s%s', i), '' ORDER BY i) FROM generate_series(1, cardinality(string_to_array(w.states, ',')) - 2) AS i))
        USING candidates[first : first], SQLERRM;
        first := first + 1;
      END IF;
    END;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._groups_computed FROM PUBLIC;
COMMENT ON FUNCTION millrace._groups_computed IS 'Internal: computes groups of a window from the target, whose limits are known.';

CREATE FUNCTION millrace.window_groups(window_id integer, reader uuid, candidates anyarray) RETURNS SETOF anyelement
LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_window_groups';
COMMENT ON FUNCTION millrace.window_groups IS
'For the view of a recomputed window: groups computed from the target, as the pipeline''s owner, in what the caller''s statement sees.
In: window_id; reader: what the view knows; candidates: groups, as rows of the window''s table, null for none.
Out: a row of each, with its values, or with the error on which they failed.
Errors: insufficient_privilege without the reader; serialization_failure when the target was written again since the statement began.';

-- The views: what is noted and not folded is computed when it is read; a group that is noted has no other value.
CREATE FUNCTION millrace._recomputed_views(w millrace.window_definition) RETURNS TABLE (name text, query text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  columns text := format('window_start, f.window_end%s, %s', millrace._keys_of(w, 'f'), regexp_replace(w.states, '(n|s\d+|error)', 'f.\1', 'g'));
  finals  text := (SELECT string_agg(format(', s%s AS a%1$s', i), '' ORDER BY i) FROM generate_series(1, cardinality(string_to_array(w.states, ',')) - 2) AS i) || ', r.error';
BEGIN
  name := 'window_' || w.name;
  query := millrace._window_view(w, CASE WHEN w.gap IS NOT NULL THEN millrace._session_rows(w, columns) ELSE format(
    'WITH waiting AS MATERIALIZED (%1$s) '
    'SELECT f.%2$s FROM millrace._window_%3$s_folded AS f WHERE f.window_start NOT IN (SELECT u.window_start FROM waiting AS u) UNION ALL '
    'SELECT f.%2$s FROM millrace._window_%3$s_folded AS f WHERE f.window_start IN (SELECT u.window_start FROM waiting AS u) '
    'AND NOT EXISTS (SELECT FROM waiting AS u WHERE %4$s) UNION ALL '
    'SELECT f.%2$s FROM millrace.window_definition AS d CROSS JOIN LATERAL millrace.window_groups(d.id, d.reader, %5$s) AS f '
    'WHERE d.id = %3$s AND EXISTS (SELECT FROM waiting AS u)',
    format('SELECT x.* FROM (%s) AS x WHERE x.window_start >= coalesce((SELECT d.target_since FROM millrace.window_definition AS d WHERE d.id = %s), ''-infinity'')',
           millrace._touched_groups(w, millrace._unfolded_rows(w)), w.id), columns, w.id, millrace._same_group(w, 'f', 'u'),
    millrace._candidates(w, 'SELECT * FROM waiting')) END, finals, w.output, 'm.error', '');
  RETURN NEXT;
  name := 'window_' || w.name || '_folded';
  query := millrace._window_view(w, format('SELECT f.%s FROM millrace._window_%s_folded AS f', columns, w.id), finals, w.output, 'm.error', format(
    ', (SELECT CASE WHEN EXISTS (%s) THEN c.as_of ELSE now() END FROM millrace.window_cursor AS c WHERE c.window_id = %s ORDER BY c.fold DESC LIMIT 1) AS as_of',
    millrace._unfolded_rows(w), w.id));
  RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION millrace._recomputed_views FROM PUBLIC;
COMMENT ON FUNCTION millrace._recomputed_views IS 'Internal: the queries of a recomputed window''s views.';

-- How much of a window is folded at once: up_to, the greatest number, null: all there is. rests: nothing yet. Recomputing takes a tenth of the
-- time, unless workers wait for it: as many notes as these may have are bounded (src/window/fold.c).
CREATE FUNCTION millrace._fold_step(w millrace.window_definition, c millrace.window_cursor, wait boolean, OUT up_to bigint, OUT rests boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off AS $$
DECLARE
  n integer := greatest(100 / millrace._window_panes(w.size, w.slide), 1);  -- of a batch each, and of up to 1,000 groups
  seqs bigint[];
BEGIN
  rests := false;
  IF w.kind = 'incremental' OR wait THEN
    RETURN;
  END IF;
  EXECUTE format('SELECT array_agg(p.seq ORDER BY p.seq) FROM unnest($1) WITH ORDINALITY AS s (seq, place) CROSS JOIN LATERAL ('
                 'SELECT p.seq FROM millrace._window_%s_partial AS p WHERE p.stream = (s.place - 1)::integer AND p.seq > s.seq ORDER BY p.seq LIMIT $2) AS p', w.id)
  INTO seqs USING c.seqs, n + 1;
  up_to := CASE WHEN seqs[n + 1] > seqs[n] THEN seqs[n] END;
  -- a time that is far ahead is one of a clock that was set
  rests := seqs IS NOT NULL AND c.due_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 min';
END $$;
REVOKE ALL ON FUNCTION millrace._fold_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_step IS 'Internal: how much of a window is to be folded.';

-- A part of the fold's statement: what batches have noted is computed again, in what the statement sees: a batch whose note it takes is in
-- the target, and the note of one that comes later stays. What begins before target_since keeps what it has, and is counted.
CREATE FUNCTION millrace._recompute_of_fold(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
  SELECT CASE WHEN w.gap IS NOT NULL THEN millrace._sessions_of_fold(w) ELSE format('noted AS MATERIALIZED (SELECT x.* FROM (%2$s) AS x WHERE x.window_start >= $5), '
                'touched AS MATERIALIZED (SELECT x.* FROM noted AS x WHERE x.window_start >= %6$L::timestamptz), '
                'left_alone AS (SELECT count(*) AS n FROM noted AS x WHERE x.window_start < %6$L::timestamptz), '
                'replaced AS (DELETE FROM millrace._window_%1$s_folded AS f USING touched AS t '
                'WHERE %3$s AND f.window_start = ANY (ARRAY(SELECT DISTINCT t.window_start FROM touched AS t)) RETURNING 1), '
                'kept AS (INSERT INTO millrace._window_%1$s_folded SELECT v.* FROM millrace._window_recompute(%1$s, %4$L::uuid, %5$s) AS v WHERE v.n > 0 RETURNING window_start), ',
                w.id,
                millrace._touched_groups(w, format('SELECT r.window_start, r.window_end%s, %s FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r', w.keys, w.states)),
                millrace._same_group(w, 'f', 't'), w.reader, millrace._candidates(w, 'SELECT * FROM touched'), coalesce(w.target_since, '-infinity')) END;
$$;
REVOKE ALL ON FUNCTION millrace._recompute_of_fold FROM PUBLIC;
COMMENT ON FUNCTION millrace._recompute_of_fold IS 'Internal: SQL that computes the groups again that a fold finds.';
