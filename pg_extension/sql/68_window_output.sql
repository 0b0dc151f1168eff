-- Publishing windows. When a window is closed, each of its groups gets a row in the outbox (millrace.window_output), which the
-- relay takes to the topic (63_window_relay.sql). A group of a closed window that changes before the window is final gets the
-- next revision. A worker does this after a fold, from what is folded, as the extension's owner, in transactions of its own
-- and in bounded steps: how far it has come is the row of each group in _window_<id>_revision, so a step that failed is simply
-- repeated. Where the outbox is full nothing is written: what is to be published is in the window.

-- The outlet of a window: 'off' takes it away, NULL leaves it as it is.
CREATE FUNCTION millrace._set_output(w millrace.window_definition, topic text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  o   millrace.window_outlet;
  reached timestamptz := coalesce((millrace._window_mark(w.id)).watermark, '-infinity');
BEGIN
  SELECT * INTO o FROM millrace.window_outlet AS c WHERE c.window_id = w.id;
  IF topic IS NULL OR topic = 'off' AND o.topic IS NULL THEN
    RETURN;
  ELSIF topic = 'off' THEN
    UPDATE millrace.window_outlet AS c SET topic = NULL WHERE c.window_id = w.id;
    DELETE FROM millrace.window_output AS c WHERE c.window_id = w.id;
    PERFORM millrace._window_works(w.id, 'publish');
  ELSE
    PERFORM millrace._check_output_topic(w, topic);
    IF o.window_id IS NULL THEN
      PERFORM millrace._make_window_output(w);
      INSERT INTO millrace.window_outlet (window_id, topic, origin, closed_to, published) VALUES (w.id, _set_output.topic, gen_random_uuid(), reached, 0);
    ELSE
      -- what was closed while nothing was published is not published later
      UPDATE millrace.window_outlet AS c SET topic = _set_output.topic, closed_to = CASE WHEN c.topic IS NULL THEN reached ELSE c.closed_to END WHERE c.window_id = w.id;
      EXECUTE format('DELETE FROM millrace._window_%s_due WHERE $1', w.id) USING o.topic IS NULL;
    END IF;
    INSERT INTO millrace.dlq_topic (topic) VALUES (_set_output.topic) ON CONFLICT ON CONSTRAINT dlq_topic_pkey DO NOTHING;
    PERFORM millrace._check_loop(w.pipeline_id, topic, 'windows');
    PERFORM millrace._check_grants(w.pipeline_id);
  END IF;
  -- another topic is read from its beginning
  IF topic IS DISTINCT FROM o.topic THEN
    DELETE FROM millrace.dlq_scan AS s WHERE s.pipeline_id = w.pipeline_id AND s.window_id = w.id;
    DELETE FROM millrace.window_sighting AS s WHERE s.window_id = w.id;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._set_output FROM PUBLIC;
COMMENT ON FUNCTION millrace._set_output IS 'Internal: sets the topic of a window.';

CREATE FUNCTION millrace._check_output_topic(w millrace.window_definition, topic text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._check_topic(topic);
  -- one verb at a time: of two that close a loop together, the second sees the topic of the first
  PERFORM FROM millrace.instance FOR UPDATE;
  IF EXISTS (SELECT FROM millrace._source AS s WHERE s.pipeline_id = w.pipeline_id AND s.topic = _check_output_topic.topic) THEN
    RAISE EXCEPTION 'output_topic is "%", which the pipeline reads', topic
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Its windows would be read as events, and make new windows, in an endless loop.',
            HINT = format('Pass output_topic => %L, or another topic.', w.name);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_output_topic FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_output_topic IS 'Internal: refuses a topic that a window cannot be published to.';

-- The tables of a window that is published, made with its first topic; the view has the revisions from then on.
CREATE FUNCTION millrace._make_window_output(w millrace.window_definition) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET client_min_messages = warning AS $$
DECLARE
  name text;
  v    record;
BEGIN
  EXECUTE format('CREATE TABLE millrace._window_%1$s_due AS SELECT window_start, window_end%2$s FROM millrace._window_%1$s_folded WITH NO DATA', w.id, w.keys);
  EXECUTE format('CREATE TABLE millrace._window_%1$s_revision AS SELECT window_start, window_end%2$s, 0 AS revision, '''' AS hash, now() AS written_at '
                 'FROM millrace._window_%1$s_folded WITH NO DATA', w.id, w.keys);
  FOREACH name IN ARRAY ARRAY['due', 'revision'] LOOP
    EXECUTE format('CREATE INDEX ON millrace._window_%s_%s (window_start)', w.id, name);
    EXECUTE format('REVOKE ALL ON millrace._window_%s_%s FROM PUBLIC', w.id, name);
    EXECUTE format('ALTER TABLE millrace._window_%s_%s REPLICA IDENTITY FULL', w.id, name);
    EXECUTE format('COMMENT ON TABLE millrace._window_%s_%s IS %L', w.id, name, format('Internal: what of window "%s" is to be published, or was.', w.name));
  END LOOP;
  FOR v IN SELECT * FROM millrace._window_views(w) LOOP
    EXECUTE format('CREATE OR REPLACE VIEW millrace.%I AS %s', v.name, v.query);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._make_window_output FROM PUBLIC;
COMMENT ON FUNCTION millrace._make_window_output IS 'Internal: the tables of a window that is published.';

-- The columns of the group of a window's tables, of the relation or alias `of`: ', of.g1, of.g2'.
CREATE FUNCTION millrace._keys_of(w millrace.window_definition, "of" text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT replace(w.keys, ', g', format(', %s.g', "of"));
$$;
REVOKE ALL ON FUNCTION millrace._keys_of FROM PUBLIC;
COMMENT ON FUNCTION millrace._keys_of IS 'Internal: the group of a row, as columns.';

-- Records are equal where nulls are, but are never hashed. Arrays of one element are hashed where the type of the element is, and need no statistics to
-- be joined so; of two plain comparisons the planner may take the one that has an index, and compare all groups of a window with each other.
CREATE FUNCTION millrace._same_group(w millrace.window_definition, a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('(%s AND ROW(%s.window_start%s)::record = ROW(%s.window_start%s)::record)',
                (SELECT string_agg(format('ARRAY[%s.%s] = ARRAY[%s.%2$s]', a, c.name, b), ' AND ' ORDER BY c.place)
                 FROM (SELECT 'window_start' AS name, 0 AS place UNION ALL SELECT 'g' || i, i FROM generate_series(1, cardinality(w.keyed)) AS i) AS c),
                a, millrace._keys_of(w, a), b, millrace._keys_of(w, b));
$$;
REVOKE ALL ON FUNCTION millrace._same_group FROM PUBLIC;
COMMENT ON FUNCTION millrace._same_group IS 'Internal: SQL for two rows being of the same window and group.';

-- A part of the fold's statement: notes the groups of windows that are closed ($4), not final ($3) and have not left ($5), to which it
-- adds rows. Each is there once, so there are never more than these windows have.
CREATE FUNCTION millrace._due_of_fold(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce((
    SELECT CASE WHEN w.gap IS NOT NULL THEN millrace._due_sessions(w) ELSE format('due AS (INSERT INTO millrace._window_%1$s_due (window_start, window_end%2$s) SELECT u.window_start, u.window_end%3$s FROM (%4$s) AS u '
                  'WHERE u.window_end <= $4 AND u.window_end > $3 AND u.window_start >= $5 EXCEPT SELECT d.window_start, d.window_end%5$s FROM millrace._window_%1$s_due AS d), ',
                  w.id, w.keys, millrace._keys_of(w, 'u'),
                  millrace._pane_windows(w, format('SELECT r.window_start, r.window_end%s, %s FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r WHERE r.window_end <= $4', w.keys, w.states)),
                  millrace._keys_of(w, 'd')) END
    FROM millrace.window_outlet AS o WHERE o.window_id = w.id AND o.topic IS NOT NULL), '');
$$;
REVOKE ALL ON FUNCTION millrace._due_of_fold FROM PUBLIC;
COMMENT ON FUNCTION millrace._due_of_fold IS 'Internal: SQL for what a fold changes in closed windows.';

-- The same for what rebuild_window() has replaced: groups that it has made, and those that were published and may be gone.
CREATE FUNCTION millrace._due_of_rebuild(w millrace.window_definition, "from" timestamptz, "to" timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  mark millrace.window_mark;
BEGIN
  mark := millrace._window_mark(w.id);
  IF NOT EXISTS (SELECT FROM millrace.window_outlet AS o WHERE o.window_id = w.id AND o.topic IS NOT NULL) THEN
    RETURN;
  END IF;
  EXECUTE format('INSERT INTO millrace._window_%1$s_due (window_start, window_end%2$s) SELECT u.window_start, u.window_end%3$s FROM ('
                 'SELECT r.window_start, r.window_end%2$s FROM (%4$s) AS r UNION ALL '
                 'SELECT v.window_start, v.window_end%2$s FROM millrace._window_%1$s_revision AS v WHERE v.window_end > $1 AND v.window_start < $2) AS u '
                 'WHERE u.window_end <= $3 AND u.window_end > $4 EXCEPT SELECT d.window_start, d.window_end%5$s FROM millrace._window_%1$s_due AS d',
                 w.id, w.keys, millrace._keys_of(w, 'u'),
                 millrace._window_rows(w, format('SELECT f.window_start, f.window_end%s, %s FROM millrace._window_%s_folded AS f '
                                                 'WHERE f.window_start >= $1 AND f.window_start < $2 AND f.window_end <= $3', w.keys, w.states, w.id)),
                 millrace._keys_of(w, 'd'))
  USING "from", "to", mark.watermark, mark.final;
END $$;
REVOKE ALL ON FUNCTION millrace._due_of_rebuild FROM PUBLIC;
COMMENT ON FUNCTION millrace._due_of_rebuild IS 'Internal: notes what a rebuild changes in closed windows.';

-- A step of publishing a window: writes up to "limit" groups to the outbox. Out: there may be more. What another process folds, or
-- the outbox has no room for, is left to the next time.
CREATE FUNCTION millrace._publish_window(window_id integer, "limit" integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  room constant integer := 50000;  -- in the outbox
  w     millrace.window_definition;
  o     millrace.window_outlet;
  mark  millrace.window_mark;
  taken integer;
  due   integer;
BEGIN
  IF NOT millrace._lock_window(window_id, false) THEN
    RETURN false;
  END IF;
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.id = window_id;
  SELECT * INTO o FROM millrace.window_outlet AS c WHERE c.window_id = w.id AND c.topic IS NOT NULL;
  IF o.window_id IS NULL THEN
    PERFORM millrace._window_works(window_id, 'publish');  -- a worker may have noted an error when it was switched off
    RETURN false;
  END IF;
  mark := millrace._window_mark(w.id);
  "limit" := least("limit", room - (SELECT count(*) FROM millrace.window_output AS c WHERE c.window_id = w.id));
  IF NOT coalesce(isfinite(mark.watermark), false) OR "limit" <= 0
     OR EXISTS (SELECT FROM millrace.window_backfill AS b WHERE b.window_id = w.id) THEN  -- in the order of their ends: of one that is filled later its group has rows
    RETURN false;
  END IF;
  taken := millrace._publish_groups(w, o.closed_to, mark, millrace._closing_groups(w), "limit");
  IF taken < "limit" AND mark.watermark > o.closed_to THEN
    UPDATE millrace.window_outlet AS c SET closed_to = mark.watermark WHERE c.window_id = w.id;
  END IF;
  IF taken < "limit" THEN
    due := millrace._publish_groups(w, o.closed_to, mark, millrace._changed_groups(w), "limit" - taken);
  END IF;
  PERFORM millrace._window_works(w.id, 'publish');
  RETURN taken + coalesce(due, 0) >= "limit";
END $$;
REVOKE ALL ON FUNCTION millrace._publish_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._publish_window IS 'Internal: writes values of closed windows to the outbox.';

-- SQL for the groups of the windows that end in ($1, $2] and have no revision yet. What is read is bounded by the earliest start of
-- these; months are of different lengths.
CREATE FUNCTION millrace._closing_groups(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT u.window_start, u.window_end%2$s FROM (%3$s) AS u '
                'WHERE u.window_end > $1 AND u.window_end <= $2 AND u.window_end > coalesce(now() - %6$L::interval, ''-infinity'') '
                'EXCEPT SELECT v.window_start, v.window_end%4$s FROM millrace._window_%1$s_revision AS v WHERE v.window_start > $1 - %5$L::interval',
                w.id, millrace._keys_of(w, 'u'),
                millrace._window_rows(w, format('SELECT f.window_start, f.window_end%s, %s FROM millrace._window_%s_folded AS f '
                                                'WHERE f.window_start > $1 - %L::interval AND f.window_start < $2', w.keys, w.states, w.id, l.longest)),
                millrace._keys_of(w, 'v'), l.longest, w.retention)
  FROM (SELECT w.size + CASE WHEN millrace._window_unit('slide', w.slide) = 'time' THEN interval '0' ELSE interval '4 days' END AS longest) AS l;
$$;
REVOKE ALL ON FUNCTION millrace._closing_groups FROM PUBLIC;
COMMENT ON FUNCTION millrace._closing_groups IS 'Internal: SQL for groups of windows that were closed.';

-- SQL for the groups that have changed and were not written to the outbox within the last second; a time in the future is one of a clock that was set.
CREATE FUNCTION millrace._changed_groups(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN w.gap IS NOT NULL THEN millrace._changed_sessions(w) ELSE format('SELECT u.window_start, u.window_end%2$s FROM millrace._window_%1$s_due AS u '
                'EXCEPT SELECT v.window_start, v.window_end%3$s FROM millrace._window_%1$s_revision AS v '
                'WHERE v.window_start = ANY (ARRAY(SELECT DISTINCT d.window_start FROM millrace._window_%1$s_due AS d)) AND v.written_at BETWEEN clock_timestamp() - interval ''1 s'' AND clock_timestamp()',
                w.id, millrace._keys_of(w, 'u'), millrace._keys_of(w, 'v')) END;
$$;
REVOKE ALL ON FUNCTION millrace._changed_groups FROM PUBLIC;
COMMENT ON FUNCTION millrace._changed_groups IS 'Internal: SQL for groups of closed windows that have changed.';

-- Publishes up to "limit" of these groups; how many there were. When an expression fails on a group, fewer and fewer are taken
-- until it is alone, and its error is published.
CREATE FUNCTION millrace._publish_groups(
  w millrace.window_definition, closed_to timestamptz, mark millrace.window_mark, groups text, "limit" integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  total integer := 0;
  n     integer := "limit";
  taken integer;
BEGIN
  WHILE total < "limit" LOOP
    BEGIN
      taken := millrace._publish_step(w, groups, closed_to, mark.watermark, mark.final, n, NULL);
    EXCEPTION WHEN OTHERS THEN
      -- what is the server's own trouble is no group's
      IF millrace.is_server_trouble(SQLSTATE) THEN
        RAISE;
      ELSIF n > 1 THEN
        n := n / 2;
        CONTINUE;
      END IF;
      taken := millrace._publish_step(w, groups, closed_to, mark.watermark, mark.final, 1, SQLERRM);
    END;
    total := total + taken;
    EXIT WHEN taken < n;
    n := least(n * 2, "limit" - total);
  END LOOP;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION millrace._publish_groups FROM PUBLIC;
COMMENT ON FUNCTION millrace._publish_groups IS 'Internal: writes values of groups to the outbox, and the errors of those that have none.';

-- Columns of a window's view, with SQL for each over rows that have the keys as g1… and the aggregates as o1…. What is of no type of
-- pg_catalog becomes text by its output function: a cast of it to json, or to text, would be a function of a user's.
CREATE FUNCTION millrace._output_columns(w millrace.window_definition) RETURNS TABLE (name text, sql text, is_key boolean, place bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT c.name, CASE WHEN c.is_plain THEN c.sql ELSE format('CASE WHEN num_nulls(%1$s) = 0 THEN concat(%1$s) END', c.sql) END, c.is_key, c.place
  FROM (SELECT a.attname::text AS name, a.attnum - 2 <= k.n AS is_key, a.attnum::bigint AS place,
               CASE WHEN a.attnum - 2 <= k.n THEN 's.g' || a.attnum - 2 ELSE 's.o' || a.attnum - 2 - k.n END AS sql,
               coalesce(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace AND coalesce(b.typtype, t.typtype) IN ('b', 'r', 'm') AS is_plain
        FROM (SELECT greatest(cardinality(string_to_array(w.keys, ',')) - 1, 0) AS n) AS k
        CROSS JOIN pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
        WHERE a.attrelid = to_regclass(format('millrace.%I', 'window_' || w.name)) AND a.attnum > 2 AND a.attname NOT IN ('closed', 'final', 'revision', 'error')) AS c;
$$;
REVOKE ALL ON FUNCTION millrace._output_columns FROM PUBLIC;
COMMENT ON FUNCTION millrace._output_columns IS 'Internal: the columns of what is published of a window.';

-- The statement of a step. $1, $2, $3: closed_to, watermark, final; $4: how many groups; $5: why the one has no values. Unchanged values are
-- known by their hash, and no values at all ("deleted") have one, too. The text of a group is that of its first revision, however equal values are written.
CREATE FUNCTION millrace._publish_sql(w millrace.window_definition, groups text, failed boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format($sql$
WITH cand AS MATERIALIZED (SELECT c.* FROM (%1$s) AS c ORDER BY c.window_end, c.window_start, ROW(%2$s)::record LIMIT $4),
value AS MATERIALIZED (%3$s),
state AS MATERIALIZED (
  SELECT c.window_start, c.window_end%4$s, coalesce(v.revision, 0) AS revision, v.hash%5$s, m.window_start IS NOT NULL AS has_values
  FROM cand AS c LEFT JOIN (SELECT * FROM millrace._window_%6$s_revision WHERE window_start = ANY (ARRAY(SELECT DISTINCT c.window_start FROM cand AS c))) AS v ON %7$s
  LEFT JOIN value AS m ON %8$s),
content AS MATERIALIZED (
  SELECT s.*, coalesce(%9$s, '') AS group_text,
         left(encode(sha256(convert_to(CASE WHEN s.has_values THEN %10$s ELSE coalesce($5, 'deleted') END, 'UTF8')), 'hex'), 32) AS new_hash
  FROM state AS s WHERE s.has_values OR $5 IS NOT NULL OR s.revision > 0),
changed AS MATERIALIZED (SELECT s.*, s.revision + 1 AS new_revision, encode(sha256(convert_to(s.group_text, 'UTF8')), 'hex') AS group_hash FROM content AS s WHERE s.hash IS DISTINCT FROM s.new_hash),
done AS (DELETE FROM millrace._window_%6$s_due AS d USING cand AS c WHERE %11$s AND d.window_start = ANY (ARRAY(SELECT DISTINCT c.window_start FROM cand AS c))),
replaced AS (DELETE FROM millrace._window_%6$s_revision AS v USING changed AS c WHERE %7$s AND v.window_start = ANY (ARRAY(SELECT DISTINCT c.window_start FROM changed AS c))),
kept AS (INSERT INTO millrace._window_%6$s_revision (window_start, window_end%12$s, revision, hash, written_at)
         SELECT window_start, window_end%12$s, new_revision, new_hash, clock_timestamp() FROM changed),
written AS (
  INSERT INTO millrace.window_output (window_id, id, revision, place, key, payload, written_at)
  SELECT %6$s, format('%%s%%s-%%s/%%s/%%s/%%s', millrace._window_id_prefix(%6$s), (extract(epoch FROM s.window_start) * 1000000)::numeric(30), (extract(epoch FROM s.window_end) * 1000000)::numeric(30),
                      left(s.group_hash, 32), s.new_revision, s.new_hash),
         s.new_revision, ('x' || left(s.group_hash, 7))::bit(28)::integer,
         convert_to((SELECT row_to_json(x)::text FROM (SELECT s.window_start%13$s) AS x), 'UTF8'),
         convert_to(CASE WHEN $5 IS NOT NULL THEN (SELECT row_to_json(x)::text FROM (SELECT s.window_start, s.window_end%13$s, $5 AS error, s.window_end <= $3 AS final, s.new_revision AS revision) AS x)
                         WHEN s.has_values THEN (SELECT row_to_json(x)::text FROM (SELECT s.window_start, s.window_end%13$s%14$s, s.window_end <= $3 AS final, s.new_revision AS revision) AS x)
                         ELSE (SELECT row_to_json(x)::text FROM (SELECT s.window_start, s.window_end%13$s, true AS deleted, s.window_end <= $3 AS final, s.new_revision AS revision) AS x) END, 'UTF8'),
         clock_timestamp()
  FROM changed AS s ORDER BY s.window_end, s.window_start)
SELECT count(*)::integer FROM cand WHERE $1 IS NOT NULL AND $2 IS NOT NULL$sql$,
    groups, ltrim(millrace._keys_of(w, 'c'), ', '),
    CASE WHEN failed THEN 'SELECT c.window_start, ROW(c.window_start)::record AS keys' || c.no_outputs || ' FROM cand AS c WHERE false'
    ELSE format('SELECT q.window_start, q."millrace keys" AS keys%s FROM (SELECT m.window_start, ROW(m.window_start%s)::record AS "millrace keys"%s FROM '
                '(SELECT r.window_start, r.window_end%s%s FROM (SELECT window_start, max(window_end) AS window_end%4$s, %6$s FROM (%7$s) AS u '
                'WHERE EXISTS (SELECT FROM cand AS c WHERE %8$s) GROUP BY window_start%4$s) AS r) AS m) AS q',
                c.named, millrace._keys_of(w, 'm'), w.output, w.keys, w.finals, w.merges,
                millrace._window_rows(w, format('SELECT f.window_start, f.window_end%s, %s FROM millrace._window_%s_folded AS f '
                                                'WHERE f.window_start = ANY (ARRAY(SELECT DISTINCT %s FROM cand AS c CROSS JOIN generate_series(0, %s) AS k))',
                                                w.keys, w.states, w.id, millrace._later('c.window_start', format('k * %L::interval', w.slide), w.slide, w.time_zone),
                                                millrace._window_panes(w.size, w.slide) - 1)),
                millrace._same_group(w, 'u', 'c')) END,
    c.keys, c.outputs, w.id, millrace._same_group(w, 'c', 'v'),
    format('m.keys = ROW(c.window_start%s)::record', millrace._keys_of(w, 'c')),
    CASE WHEN c.key_columns <> '' THEN format('(SELECT row_to_json(x)::text FROM (SELECT %s) AS x)', ltrim(c.key_columns, ', ')) ELSE '''''' END,
    format('(SELECT row_to_json(x)::text FROM (SELECT %s%s) AS x)', CASE WHEN w.gap IS NOT NULL THEN 's.window_end, ' END, ltrim(c.output_columns, ', ')),
    millrace._same_group(w, 'd', 'c'), w.keys, c.key_columns, c.output_columns)
  FROM (SELECT coalesce(string_agg(format(', CASE WHEN v.window_start IS NULL THEN c.g%1$s ELSE v.g%1$s END AS g%1$s', c.place - 2), '' ORDER BY c.place) FILTER (WHERE c.is_key), '') AS keys,
               string_agg(format(', m.o%s', c.nth), '' ORDER BY c.place) FILTER (WHERE NOT c.is_key) AS outputs,
               string_agg(format(', NULL::text AS o%s', c.nth), '' ORDER BY c.place) FILTER (WHERE NOT c.is_key) AS no_outputs,
               string_agg(format(', q.%I AS o%s', c.name, c.nth), '' ORDER BY c.place) FILTER (WHERE NOT c.is_key) AS named,
               coalesce(string_agg(format(', %s AS %I', c.sql, c.name), '' ORDER BY c.place) FILTER (WHERE c.is_key), '') AS key_columns,
               string_agg(format(', %s AS %I', c.sql, c.name), '' ORDER BY c.place) FILTER (WHERE NOT c.is_key) AS output_columns
        FROM (SELECT c.*, row_number() OVER (PARTITION BY c.is_key ORDER BY c.place) AS nth FROM millrace._output_columns(w) AS c) AS c) AS c;
$$;
REVOKE ALL ON FUNCTION millrace._publish_sql FROM PUBLIC;
COMMENT ON FUNCTION millrace._publish_sql IS 'Internal: SQL that writes values of groups to the outbox.';

-- Rows of both sides are sorted and merged: the planner does not know how many groups a window has, and a loop would compare each with each. Texts do not depend on the settings of the session.
CREATE FUNCTION millrace._publish_step(
  w millrace.window_definition, groups text, closed_to timestamptz, watermark timestamptz, final timestamptz, n integer, failed text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off SET enable_nestloop = off SET enable_hashjoin = off
SET jit = off SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres SET extra_float_digits = 1 SET bytea_output = hex AS $$
DECLARE
  taken integer;
BEGIN
  EXECUTE millrace._publish_sql(w, groups, failed IS NOT NULL) INTO taken USING closed_to, watermark, final, n, failed;
  RETURN taken;
END $$;
REVOKE ALL ON FUNCTION millrace._publish_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._publish_step IS 'Internal: writes values of some groups to the outbox.';
