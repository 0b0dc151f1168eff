-- The tables and the view of a window, what a batch adds to them, and how that is folded. All of it is SQL made of the parts of
-- the definition, once; the engine (src/window) runs it.

CREATE FUNCTION millrace._window_column(name text, type text, "collation" text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('%s %s%s', name, type, ' COLLATE ' || "collation");
$$;
REVOKE ALL ON FUNCTION millrace._window_column FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_column IS 'Internal: a column of a window''s table.';

-- Names a column of a window once.
CREATE FUNCTION millrace._check_window_column(w millrace.window_definition, taken text[], name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF name = ANY (taken) THEN
    RAISE EXCEPTION 'column "%" of window "%" is there twice', name, w.name
      USING ERRCODE = 'duplicate_column', HINT = 'Name it with AS; window_start, window_end, closed, final, revision, as_of, deleted and error are taken.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_column FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_column IS 'Internal: refuses a name that a window has already.';

-- Incremental, if the target only grows and all that is computed can be made of merged states.
CREATE FUNCTION millrace._window_kind(p millrace.pipeline, v millrace.pipeline_version, w millrace.window_definition) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN w.gap IS NOT NULL OR v.on_conflict = 'update' OR EXISTS (
    SELECT FROM millrace._window_parts(p.id, v.version, w.event_time, w.group_by, w.aggregates, w.condition) AS a
    CROSS JOIN LATERAL millrace._window_states(a.name, a.sql, a.first_argument, a.last_argument, a.argument_type, a.type, a.filter, a.aggregate) AS s
    WHERE a.part = 'output' AND a.sql IS NULL
          OR a.part = 'aggregate' AND (a.name IS NULL OR s.states IS NULL))
  THEN 'recompute' ELSE 'incremental' END;
$$;
REVOKE ALL ON FUNCTION millrace._window_kind FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_kind IS 'Internal: how a window is kept.';

CREATE FUNCTION millrace._make_window(w millrace.window_definition, p millrace.pipeline, v millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  part     record;
  kept     record;
  at       text;
  inside   text;
  columns  text := '';   -- of the tables, from g1 on
  selected text := '';   -- the same over rows of the target
  safe     text := '';   -- the same where no total is out of range
  safe_errors text := '';
  named    text := '';   -- the same by name, of them grouped
  numbers  text := '1';  -- of the select list that are grouped by
  finals   text := '';   -- aggregates made of merged states
  output   text := '';   -- of the view
  trapped  text := '';   -- the same, where an expression around the aggregates can fail
  formulas text[] := '{}';  -- these expressions
  results  text[] := '{}';  -- the types of what they give
  inputs text := '';  -- the aggregates, as variables
  can_fail boolean := false;
  noutputs integer := 0;
  keys     text[] := '{}';  -- what is grouped by
  nstates  integer := 0;
  naggregates integer := 0;
  errors   text := '';  -- of merges that fail
  taken    text[] := ARRAY['window_start', 'window_end', 'closed', 'final', 'revision', 'deleted', 'error', 'as_of'];
BEGIN
  w.kind := millrace._window_kind(p, v, w);
  w.reader := gen_random_uuid();
  w.keys := '';
  w.states := 'n';
  w.merges := 'millrace.window_sum(n) AS n';
  w.grouped := '';
  FOR part IN SELECT * FROM millrace._window_parts(p.id, v.version, w.event_time, w.group_by, w.aggregates, w.condition) LOOP
    IF part.part IN ('group', 'output') THEN
      PERFORM millrace._check_window_column(w, taken, part.name);
      taken := taken || part.name;
    END IF;
    IF part.part = 'event_time' THEN
      at := part.sql;
      w.at := at;
      -- what is farther away than a calendar can add to
      inside := format('(%1$s) >= ''4700-01-01 00:00:00+00 BC'' AND (%1$s) < ''285000-01-01 00:00:00+00''', at);
    ELSIF part.part = 'group' THEN
      keys := keys || part.sql;
      w.keys := format('%s, g%s', w.keys, cardinality(keys));
      columns := format('%s, %s', columns, millrace._window_column('g' || cardinality(keys), part.type, part.collation));
      selected := format('%s, CASE WHEN %s THEN %s END AS g%s', selected, inside, part.sql, cardinality(keys));
      safe := selected;
      named := format('%s, w.g%s', named, cardinality(keys));
      numbers := format('%s, %s', numbers, cardinality(keys) + 2);
      output := format('%s, m.g%s AS %I', output, cardinality(keys), part.name);
      trapped := format('%s, m.g%s AS %I', trapped, cardinality(keys), part.name);
    ELSIF part.part = 'where' THEN
      w.grouped := format('WHERE %s ', part.sql);
    ELSIF w.kind = 'recompute' THEN
      CONTINUE;
    ELSIF part.part = 'output' THEN
      noutputs := noutputs + 1;
      output := format('%s, %s AS %I', output, part.sql, part.name);
      trapped := format('%s, (m.o).o%s AS %I', trapped, noutputs, part.name);
      formulas := formulas || part.sql;
      results := results || part.type;
      can_fail := can_fail OR part.sql !~ '^m\.a\d+$';
    ELSE
      naggregates := naggregates + 1;
      SELECT * INTO kept FROM millrace._window_states(part.name, part.sql, part.first_argument, part.last_argument, part.argument_type, part.type, part.filter, part.aggregate);
      can_fail := can_fail OR kept.final LIKE '%::real' OR kept.operator IS NOT NULL;
      FOR i IN 1 .. cardinality(kept.states) LOOP
        nstates := nstates + 1;
        w.states := format('%s, s%s', w.states, nstates);
        w.merges := format('%s, %s AS s%s', w.merges, format(kept.merges[i], 's' || nstates, 's' || nstates + 1), nstates);
        columns := format('%s, %s', columns, millrace._window_column('s' || nstates, kept.types[i], CASE WHEN kept.types[i] = part.type THEN part.collation END));
        selected := format('%s, %s AS s%s', selected, kept.states[i], nstates);
        safe := format('%s, %s AS s%s', safe, kept.safe[i], nstates);
        named := format('%s, w.s%s', named, nstates);
      END LOOP;
      kept.final := format(kept.final, 's' || nstates - cardinality(kept.states) + 1, 's' || nstates - cardinality(kept.states) + 2,
                           's' || nstates - cardinality(kept.states) + 3);
      inputs := format('%s a%s %s := %s;', inputs, naggregates, part.type, kept.final);
      IF kept.operator IS NOT NULL THEN
        errors := format('%s, millrace.window_merge_error(%L, s%s)', errors, kept.operator, nstates);
        safe_errors := format('%s, %s', safe_errors, kept.safe_error);
        kept.final := format('CASE WHEN error IS NULL THEN %s ELSE millrace._window_error(error, NULL::%s) END', kept.final, part.type);
      END IF;
      finals := format('%s, %s AS a%s', finals, kept.final, naggregates);
    END IF;
  END LOOP;

  IF errors <> '' THEN
    w.states := w.states || ', error';
    w.merges := format('%s, coalesce(max(error)%s) AS error', w.merges, errors);
    columns := columns || ', error text';
    selected := selected || ', NULL::text AS error';
    safe := format('%s, coalesce(%s) AS error', safe, ltrim(safe_errors, ', '));
    named := named || ', w.error';
  END IF;
  w.finals := finals;
  w.output := output;
  w.trapped := CASE WHEN can_fail THEN trapped END;
  IF w.kind = 'recompute' THEN
    SELECT * INTO w FROM millrace._recompute_parts(w, p, v, inside, selected, named, numbers, keys);
    columns := columns || millrace._recompute_columns(w, p, v);
  ELSE
    w.selects := format('SELECT w.window_start, %s AS window_end, w.n%s FROM (SELECT CASE WHEN %s THEN %s END AS window_start, count(*) AS n%%s',
                        millrace._later('w.window_start', format('%L::interval', w.slide), w.slide, w.time_zone), named, replace(inside, '%', '%%'),
                        replace(millrace._pane_start(at, w.slide, w.time_zone, w.origin), '%', '%%'));
    w.fill_selects := format(w.selects, safe);
    w.selects := format(w.selects, selected);
    w.grouped := format('%sGROUP BY %s) AS w', w.grouped, numbers);
  END IF;
  INSERT INTO millrace.window_definition VALUES (w.*);
  INSERT INTO millrace.window_cursor (window_id, fold, seqs, compacted, as_of, due_at) VALUES (w.id, 0, array_fill(0::bigint, ARRAY[64]), 0, now(), now());
  PERFORM millrace._make_window_tables(w, columns);
  IF can_fail THEN
    PERFORM millrace._make_window_values(w, inputs, formulas, results);
  END IF;
  PERFORM millrace._make_window_view(w, p.owner);
END $$;
REVOKE ALL ON FUNCTION millrace._make_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._make_window IS 'Internal: stores a window, with its tables and its view.';

CREATE FUNCTION millrace._make_window_tables(w millrace.window_definition, columns text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET client_min_messages = warning AS $$
DECLARE
  name text;
BEGIN
  columns := 'window_start timestamptz NOT NULL, window_end timestamptz NOT NULL, n bigint NOT NULL' || columns;
  EXECUTE format('CREATE TABLE millrace._window_%s_folded (fold bigint NOT NULL, %s)', w.id, columns);
  EXECUTE format('CREATE TABLE millrace._window_%1$s_partial (stream integer NOT NULL, seq bigint NOT NULL, rows millrace._window_%1$s_folded[] NOT NULL, '
                 'partitions integer[], highs timestamptz[], retried integer[], since timestamptz[], newest timestamptz)', w.id);
  EXECUTE format('ALTER TABLE millrace._window_%s_partial ALTER COLUMN rows SET STORAGE EXTERNAL', w.id);  -- soon gone: not worth compressing
  EXECUTE format('CREATE INDEX ON millrace._window_%s_partial (stream, seq)', w.id);
  IF w.kind = 'recompute' THEN
    EXECUTE format('CREATE INDEX ON millrace._window_%s_partial (newest)', w.id);
  END IF;
  EXECUTE format('CREATE INDEX ON millrace._window_%s_folded (window_start)', w.id);
  EXECUTE format('CREATE INDEX ON millrace._window_%s_folded (fold) WHERE fold > 0', w.id);
  IF w.gap IS NOT NULL AND w.keys <> '' THEN  -- for those that are extended; keys that are too long for an index are not in the target, which has such a one, too
    EXECUTE format('CREATE INDEX ON millrace._window_%s_folded (%s, window_start)', w.id, ltrim(w.keys, ', '));
  END IF;
  FOREACH name IN ARRAY ARRAY['partial', 'folded'] LOOP
    EXECUTE format('REVOKE ALL ON millrace._window_%s_%s FROM PUBLIC', w.id, name);
    -- no key: without it a publication FOR ALL TABLES would refuse the fold's deletes
    EXECUTE format('ALTER TABLE millrace._window_%s_%s REPLICA IDENTITY FULL', w.id, name);
    EXECUTE format('COMMENT ON TABLE millrace._window_%s_%s IS %L', w.id, name,
                   format('Internal: what window "%s" keeps, see the view window_%1$s.', w.name));
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._make_window_tables FROM PUBLIC;
COMMENT ON FUNCTION millrace._make_window_tables IS 'Internal: the tables of a window.';

-- The values of a group, from its merged states, or the error of the expression that fails on them: so the others can be read. It runs as
-- whoever reads the view, and reads nothing but what it is given. Assignments are evaluated without a statement of their own. It is volatile so
-- that the planner calls it once for each group, and not for each column. formulas: expressions over the aggregates m.a1…, of these types.
CREATE FUNCTION millrace._make_window_values(w millrace.window_definition, aggregates text, formulas text[], types text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  arguments text;
  results   text;
  body      text;
BEGIN
  SELECT string_agg(format('%s %s, ', CASE s.state WHEN 'error' THEN 'merge_error' ELSE s.state END, format_type(a.atttypid, a.atttypmod)), '' ORDER BY s.place) INTO STRICT arguments
  FROM unnest(string_to_array(w.states, ', ')) WITH ORDINALITY AS s (state, place)
  JOIN pg_attribute AS a ON a.attrelid = to_regclass(format('millrace._window_%s_folded', w.id)) AND a.attname = s.state;
  SELECT string_agg(format('OUT o%s %s, ', v.place, v.type), '' ORDER BY v.place), string_agg(format('o%s := %s; ', v.place, v.sql), '' ORDER BY v.place)
  INTO STRICT results, body FROM unnest(formulas, types) WITH ORDINALITY AS v (sql, type, place);
  EXECUTE format('CREATE FUNCTION millrace._window_%s_values(%s%sOUT error text) LANGUAGE plpgsql '
                 'SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS %L', w.id, arguments, results,
                 format($f$BEGIN
%s  <<m>> DECLARE%s BEGIN %sEND;
EXCEPTION WHEN OTHERS THEN
  IF millrace.is_server_trouble(SQLSTATE) THEN
    RAISE;  -- the server's own trouble
  END IF;
  %serror := SQLERRM;
END$f$, CASE WHEN w.states LIKE '%, error' THEN E'  IF merge_error IS NOT NULL THEN\n    error := merge_error;\n    RETURN;\n  END IF;\n' END, aggregates, body, (SELECT string_agg(format('o%s := NULL; ', i), '') FROM generate_series(1, cardinality(formulas)) AS i)));
  EXECUTE format('GRANT EXECUTE ON FUNCTION millrace._window_%s_values TO PUBLIC', w.id);
  EXECUTE format('COMMENT ON FUNCTION millrace._window_%s_values IS %L', w.id, format('Internal: the values of a group of window "%s", or its error.', w.name));
END $$;
REVOKE ALL ON FUNCTION millrace._make_window_values FROM PUBLIC;
COMMENT ON FUNCTION millrace._make_window_values IS 'Internal: the function that computes values of a window which may fail.';

-- Sliding windows are the sum of their panes: SQL for rows of windows, of SQL for rows of panes.
CREATE FUNCTION millrace._pane_windows(w millrace.window_definition, panes text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN millrace._window_panes(w.size, w.slide) = 1 THEN panes
         ELSE format('SELECT w.window_start, %1$s AS window_end%2$s, %3$s FROM (SELECT %4$s AS window_start%2$s, %3$s FROM (%5$s) AS p '
                     'CROSS JOIN generate_series(0, %6$s) AS k) AS w WHERE w.window_start IS NOT NULL',
                     millrace._later('w.window_start', format('%L::interval', w.size), w.slide, w.time_zone), w.keys, w.states,
                     millrace._earlier('p.window_start', format('k * %L::interval', w.slide), w.slide, w.time_zone), panes,
                     millrace._window_panes(w.size, w.slide) - 1) END;
$$;
REVOKE ALL ON FUNCTION millrace._pane_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._pane_windows IS 'Internal: SQL for the partial values of windows, of those of panes.';

-- The same of SQL for rows of the folded table, which has panes, or (recomputed) windows.
CREATE FUNCTION millrace._window_rows(w millrace.window_definition, folded text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE w.kind WHEN 'recompute' THEN folded ELSE millrace._pane_windows(w, folded) END;
$$;
REVOKE ALL ON FUNCTION millrace._window_rows FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_rows IS 'Internal: SQL for the values of windows, of those that are folded.';

-- SQL for what batches have added since the last fold: it begins behind the cursor in each stream.
CREATE FUNCTION millrace._unfolded_rows(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT window_start, window_end%2$s, %3$s FROM (SELECT c.seqs FROM millrace.window_cursor AS c WHERE c.window_id = %1$s ORDER BY c.fold DESC LIMIT 1) AS c '
    'CROSS JOIN LATERAL unnest(c.seqs) WITH ORDINALITY AS s (seq, place) '
    'CROSS JOIN LATERAL (SELECT p.rows FROM millrace._window_%1$s_partial AS p WHERE p.stream = (s.place - 1)::integer AND p.seq > s.seq OFFSET 0) AS p '
    'CROSS JOIN LATERAL unnest(p.rows) AS r', w.id, w.keys, w.states);
$$;
REVOKE ALL ON FUNCTION millrace._unfolded_rows FROM PUBLIC;
COMMENT ON FUNCTION millrace._unfolded_rows IS 'Internal: SQL for what batches have added to a window since it was folded.';

-- rows: SQL for values of windows. Of a window that is, or was, published a row more has the revision of each group, and no values.
-- What begins before `reached` is not filled yet (68_window_backfill.sql): it would have nothing but what batches have added since. finals: the aggregates of these rows, merged. output: the columns of the view, of these; error: why there are none; more: columns behind the others.
CREATE FUNCTION millrace._window_view(w millrace.window_definition, rows text, finals text, output text, error text, more text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  published boolean := to_regclass(format('millrace._window_%s_revision', w.id)) IS NOT NULL;
BEGIN
  IF published THEN
    rows := format('SELECT u.*, NULL::integer AS revision FROM (%s) AS u UNION ALL '
                   'SELECT v.window_start, v.window_end%s, %s, v.revision FROM millrace._window_%s_revision AS v',
                   rows, w.keys, regexp_replace(regexp_replace(w.states, '^n', '0'), 's\d+|error', 'NULL', 'g'), w.id);
  END IF;
  RETURN format('SELECT m.window_start, m.window_end%1$s, m.window_end <= coalesce((%2$s), ''-infinity'') AS closed, '
                'm.window_end <= coalesce((%3$s), ''-infinity'') AS final, m.revision, %10$s AS error%11$s '
                'FROM (SELECT r.window_start, r.window_end%4$s%5$s, r.revision FROM '
                '(SELECT window_start, max(window_end)%12$s AS window_end%4$s, %6$s, %7$s AS revision FROM (%8$s) AS u GROUP BY window_start%4$s) AS r WHERE r.n > 0) AS m '
                'WHERE m.window_end > coalesce(now() - (SELECT d.retention FROM millrace.window_definition AS d WHERE d.id = %9$s), ''-infinity'') '
                'AND m.window_start >= (SELECT c.kept_from FROM millrace.window_cursor AS c WHERE c.window_id = %9$s ORDER BY c.fold DESC LIMIT 1) '
                'AND m.window_start >= coalesce((SELECT b.reached FROM millrace.window_backfill AS b WHERE b.window_id = %9$s), ''-infinity'')',
                output, millrace._newest_mark('watermark', w.id), millrace._newest_mark('final', w.id), w.keys, finals, w.merges,
                CASE WHEN published THEN 'max(revision)' ELSE 'NULL::integer' END, rows, w.id, error, more,
                -- a session may have had another end when it was published
                CASE WHEN published AND w.gap IS NOT NULL THEN ' FILTER (WHERE revision IS NULL)' ELSE '' END);
END $$;
REVOKE ALL ON FUNCTION millrace._window_view(millrace.window_definition, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_view(millrace.window_definition, text, text, text, text, text) IS 'Internal: a query over values of a window.';

-- The views of a window, each with its query.
CREATE FUNCTION millrace._window_views(w millrace.window_definition) RETURNS TABLE (name text, query text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF w.kind = 'recompute' THEN
    RETURN QUERY SELECT * FROM millrace._recomputed_views(w);
  ELSE
    RETURN QUERY SELECT 'window_' || w.name, millrace._window_view(w, millrace._window_rows(w, format(
      'SELECT f.window_start, f.window_end%s, %s FROM millrace._window_%s_folded AS f UNION ALL %s', w.keys, w.states, w.id, millrace._unfolded_rows(w))),
      CASE WHEN w.trapped IS NULL THEN w.finals
      ELSE format(', millrace._window_%s_values(%s) AS o', w.id, regexp_replace(w.states, '(n|s\d+|error)', 'r.\1', 'g')) END,
      coalesce(w.trapped, w.output), CASE WHEN w.trapped IS NULL THEN 'NULL::text' ELSE '(m.o).error' END, '');
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._window_views FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_views IS 'Internal: the queries of a window''s views.';

CREATE FUNCTION millrace._make_window_view(w millrace.window_definition, owner regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  v record;
BEGIN
  FOR v IN SELECT * FROM millrace._window_views(w) LOOP
    IF to_regclass(format('millrace.%I', v.name)) IS NOT NULL THEN
      RAISE EXCEPTION 'window name "%" is not possible: there is a relation millrace.%', w.name, v.name
        USING ERRCODE = 'duplicate_table', DETAIL = 'A window that is recomputed has a second view, of that name.', HINT = 'Choose another name.';
    END IF;
    EXECUTE format('CREATE VIEW millrace.%I AS %s', v.name, v.query);
    EXECUTE format('REVOKE ALL ON millrace.%I FROM PUBLIC', v.name);
    EXECUTE format('GRANT SELECT ON millrace.%I TO %s WITH GRANT OPTION', v.name, owner);
    EXECUTE format('COMMENT ON VIEW millrace.%I IS %L', v.name,
                   format('Window "%s"%s: %s', w.name, CASE WHEN v.name <> 'window_' || w.name THEN ', as it was last computed' END, w.aggregates));
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._make_window_view FROM PUBLIC;
COMMENT ON FUNCTION millrace._make_window_view IS 'Internal: the views of a window.';

-- What a fold takes away, as arrays of rows, in the order in which batches came: what is of one time comes together. $1: how far each stream is folded; $2: what has a greater number is left, null: nothing.
CREATE FUNCTION millrace._packed_sql(w millrace.window_definition) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT p.rows FROM unnest($1) WITH ORDINALITY AS s (seq, place) CROSS JOIN LATERAL (SELECT p.seq, p.rows FROM millrace._window_%s_partial AS p '
                'WHERE p.stream = (s.place - 1)::integer AND p.seq > s.seq AND p.seq <= coalesce($2, p.seq) OFFSET 0) AS p ORDER BY p.seq', w.id);
$$;
REVOKE ALL ON FUNCTION millrace._packed_sql FROM PUBLIC;
COMMENT ON FUNCTION millrace._packed_sql IS 'Internal: SQL for the packed partial values that a fold takes away.';

-- What it adds to the folded table, of these rows.
CREATE FUNCTION millrace._merging_sql(w millrace.window_definition, merge boolean) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format(CASE WHEN merge THEN 'SELECT m.window_start, m.window_end, m.n%1$s%2$s FROM (SELECT window_start, max(window_end) AS window_end%1$s, %3$s FROM unfolded GROUP BY window_start%1$s) AS m'
                ELSE 'SELECT window_start, window_end, n%1$s%2$s FROM unfolded' END, w.keys, regexp_replace(w.states, '^n', ''), w.merges);
$$;
REVOKE ALL ON FUNCTION millrace._merging_sql FROM PUBLIC;
COMMENT ON FUNCTION millrace._merging_sql IS 'Internal: SQL for the rows that a fold adds to a window.';

-- Where the rows of a table are that batches have appended, from there on in each stream. $1: how far each is folded. Joined with the streams in any other way
-- they may be found among all that an old snapshot keeps.
CREATE FUNCTION millrace._unfolded_places(name text, condition text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('ARRAY(SELECT c.ctid FROM unnest($1) WITH ORDINALITY AS s (seq, place) CROSS JOIN LATERAL (SELECT r.ctid FROM millrace.%I AS r '
                'WHERE r.stream = (s.place - 1)::integer AND r.seq > s.seq AND %s OFFSET 0) AS c)', name, condition);
$$;
REVOKE ALL ON FUNCTION millrace._unfolded_places FROM PUBLIC;
COMMENT ON FUNCTION millrace._unfolded_places IS 'Internal: SQL for the places of what batches have appended and is not folded.';

-- A part of the statements that count rows outside of a window: what batches have counted goes, if it is so.
CREATE FUNCTION millrace._outside_gone(window_id integer, condition text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('outside AS (DELETE FROM millrace.window_outside AS o WHERE o.ctid = ANY (%s) RETURNING o.rows, o.skewed), ',
                millrace._unfolded_places('window_outside', format('r.window_id = %s AND %s', window_id, condition)));
$$;
REVOKE ALL ON FUNCTION millrace._outside_gone FROM PUBLIC;
COMMENT ON FUNCTION millrace._outside_gone IS 'Internal: SQL that takes away what batches have counted outside of a window.';

-- What a fold does, as one statement. $1: how far each stream is folded; $2: the number of this fold; $3, $4: final, watermark; $5: windows
-- that begin before have left; $6: what has a greater number is left, null: nothing. What it takes away goes, merged, to the folded table; of a recomputed window
-- the groups that it names are computed again. rebuilds, of an incremental window: those that begin in [$7, $8) are replaced by what the query $9, run
-- for pipeline $10, gives of the target in the same snapshot: what it takes away of them is in that, what it does not comes on top of it. recounted: all rows of
-- the target that are in no window, when all windows are replaced; else null.
CREATE FUNCTION millrace._fold_sql(w millrace.window_definition, merge boolean, rebuilds boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  up_to text := 'r.seq <= coalesce($6, r.seq)';
BEGIN
  RETURN format('WITH gone AS (DELETE FROM millrace._window_%1$s_partial AS p WHERE p.ctid = ANY (%14$s) RETURNING p.*), '
                '%11$s%12$s%2$s'
                '%5$s'
                '%3$s'
                'failing AS MATERIALIZED (SELECT f.* FROM (%10$s) AS l CROSS JOIN LATERAL millrace._failures_hold(%6$s, %1$s, l.partitions, l.since) AS f), '
                'high AS (SELECT t.partition, max(t.high) AS high FROM gone AS g CROSS JOIN LATERAL unnest(g.partitions, g.highs) AS t (partition, high) GROUP BY t.partition) '
                'SELECT (SELECT array_agg(coalesce(g.seq, s.seq) ORDER BY s.place) FROM unnest($1) WITH ORDINALITY AS s (seq, place) '
                'LEFT JOIN (SELECT stream, max(seq) AS seq FROM gone GROUP BY stream) AS g ON g.stream = s.place - 1) AS seqs, '
                '(SELECT array_agg(h.partition ORDER BY h.partition) FROM high AS h) AS partitions, '
                '(SELECT array_agg(h.high ORDER BY h.partition) FROM high AS h) AS highs, '
                '(SELECT array_agg(l.window_start ORDER BY l.window_start) FROM late AS l) AS starts, (SELECT array_agg(l.window_end ORDER BY l.window_start) FROM late AS l) AS ends, '
                '(SELECT array_agg(l.n ORDER BY l.window_start) FROM late AS l) AS rows, '
                '%8$s - %4$s AS groups, %9$s AS lowest, '
                '(SELECT array_agg(f.partition ORDER BY f.partition) FROM failing AS f) AS failed, (SELECT array_agg(f.high ORDER BY f.partition) FROM failing AS f) AS held, %7$s, '
                '(SELECT coalesce(sum(o.rows), 0) FROM outside AS o) AS outside, (SELECT coalesce(sum(o.skewed), 0) FROM outside AS o) AS skewed, %13$s AS not_recomputed',
                w.id,
                CASE WHEN w.kind = 'incremental' THEN format(
                  'kept AS MATERIALIZED (SELECT k.* FROM millrace._fold_rows(%s, $2, %L, %L, $1, $6, $5, $7, $8) AS k), ', w.id, millrace._packed_sql(w), millrace._merging_sql(w, merge))
                  || CASE WHEN rebuilds THEN millrace._replaced_by_rebuild(w, 7) ELSE '' END
                ELSE millrace._recompute_of_fold(w) END,
                millrace._due_of_fold(w), CASE WHEN w.kind = 'recompute' OR rebuilds THEN '(SELECT count(*) FROM replaced)' ELSE '0' END,
                CASE WHEN w.gap IS NOT NULL THEN millrace._late_sessions(w) ELSE
                format('late AS (SELECT r.window_start, r.window_end, sum(r.n)::bigint AS n FROM gone AS g CROSS JOIN LATERAL unnest(g.rows) AS r WHERE r.window_end <= $3%s GROUP BY 1, 2 HAVING sum(r.n) > 0), ',
                       -- mostly there are none, which the first end says before all are unpacked again
                       CASE WHEN w.kind = 'incremental' AND NOT rebuilds THEN ' AND (SELECT k.first_end FROM kept AS k) <= $3' ELSE '' END) END,
                w.pipeline_id, CASE WHEN rebuilds THEN '(SELECT f.rows FROM filled AS f) AS filled, CASE WHEN $7 = ''-infinity'' AND $8 = ''infinity'' THEN (SELECT f.outside FROM filled AS f) END AS recounted'
                ELSE '0::bigint AS filled, NULL::bigint AS recounted' END,
                CASE WHEN w.kind = 'incremental' THEN '(SELECT k.rows FROM kept AS k)' ELSE '(SELECT count(*) FROM kept)' END,
                CASE WHEN w.kind = 'incremental' THEN '(SELECT k.lowest FROM kept AS k)' ELSE '(SELECT min(k.window_start) FROM kept AS k)' END, millrace._failures_left(w),
                millrace._outside_gone(w.id, up_to), CASE WHEN rebuilds THEN millrace._filled_by_rebuild(w, 9) ELSE '' END,
                CASE w.kind WHEN 'recompute' THEN '(SELECT l.n FROM left_alone AS l)' ELSE '0::bigint' END,
                millrace._unfolded_places(format('_window_%s_partial', w.id), up_to));
END $$;
REVOKE ALL ON FUNCTION millrace._fold_sql FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_sql IS 'Internal: SQL that folds what batches have added to a window.';
