-- What millrace-api asks for: what it may read, and how the relation behind /events can be served. Its queries run with the
-- privileges of the role it connects as.

CREATE FUNCTION millrace._grant_api(caller regrole, role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  f regprocedure;
BEGIN
  PERFORM millrace._check_given(ARRAY['role'], ARRAY[role IS NULL]);
  PERFORM millrace._check_extension_owner(caller, 'let a role serve the API', 'The API shows the state of pipelines of all owners.');
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', current_database(), role);
  FOR f IN
    SELECT p.oid FROM pg_proc AS p
    WHERE p.pronamespace = 'millrace'::regnamespace AND p.proname IN ('shows_all_pipelines', 'claim_idempotency_key', 'end_idempotency_claim', 'final_events')
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f, role);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._grant_api(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._grant_api(regrole, regrole) IS 'Internal: grant_api for a role.';

CREATE FUNCTION millrace.grant_api(role regrole) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.grant_api(regrole) IS
'Allows a role to serve the HTTP API: it may connect, and sees the state of all pipelines (EXECUTE on shows_all_pipelines), but no event; and it may keep the keys of requests and ask what has become of an event (EXECUTE on claim_idempotency_key, end_idempotency_claim, final_events). What it serves is granted apart: SELECT on the relation behind /events; to operate a pipeline it must be a member of the pipeline''s owner.
In: role. Out: nothing.
Errors: insufficient_privilege unless the caller is a superuser or a member of the extension''s owner.';

CREATE FUNCTION millrace.full_plan(query text) RETURNS json
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_full_plan';
COMMENT ON FUNCTION millrace.full_plan(text) IS
'The plan that a query has once its tables are large, whatever is in them now: as EXPLAIN (FORMAT JSON) with tables of many rows, of whose values nothing is known.
In: query. It is planned with the caller''s privileges, and not run. Out: the plan.
Errors: those of the query.';

-- The planner decides: with sorting and sequential scans priced out, what still sorts or scans has no index to serve it. A
-- generic plan knows no values, as the statements of the API will have any.
CREATE FUNCTION millrace.is_index_served(statement text, types text[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
SET plan_cache_mode = force_generic_plan SET enable_sort = off SET enable_incremental_sort = off SET enable_seqscan = off
SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  plan jsonb;
BEGIN
  EXECUTE format('PREPARE millrace_is_index_served %s AS %s',
                 CASE WHEN cardinality(types) > 0 THEN format('(%s)', array_to_string(types, ', ')) ELSE '' END, statement);
  BEGIN
    plan := millrace.full_plan('EXECUTE millrace_is_index_served ' || CASE WHEN cardinality(types) > 0
              THEN format('(%s)', array_to_string(array_fill('NULL'::text, ARRAY[cardinality(types)]), ', ')) ELSE '' END);
  EXCEPTION WHEN OTHERS THEN
    DEALLOCATE millrace_is_index_served;
    RAISE;
  END;
  DEALLOCATE millrace_is_index_served;
  IF plan @? '$.**."Node Type" ? (@ == "Sort" || @ == "Incremental Sort" || @ == "Seq Scan")' THEN
    RETURN false;
  ELSIF cardinality(types) = 0 THEN
    RETURN true;
  END IF;
  -- a condition on another than the first column of an index reads all of the index
  RETURN coalesce(bool_and(EXISTS (
    SELECT FROM pg_class AS i
    WHERE i.relname = n.node ->> 'Index Name' AND i.relkind IN ('i', 'I')
          AND NOT EXISTS (SELECT FROM generate_subscripts(types, 1) AS p (number) WHERE n.node ->> 'Index Cond' !~ format('\$%s\M', p.number))
          AND n.node ->> 'Index Cond' ~ ('\m' || regexp_replace(btrim(pg_get_indexdef(i.oid, 1, true), '"'), '(\W)', '\\\1', 'g') || '\M'))), false)
  FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Index Name"))') AS n (node);
END $$;
COMMENT ON FUNCTION millrace.is_index_served(text, text[]) IS
'Whether indexes serve a SELECT, whatever the values of its parameters: nothing is sorted or scanned as a whole, and the parameters are looked up in an index.
In: statement, with $1, $2, …; types of these. It is planned with the caller''s privileges, and not run. Out: true or false.
Errors: those of the statement.';

-- The planner knows what a view is made of: when all comes from one table, and each column is one of its, it can be indexed.
CREATE FUNCTION millrace.index_hint(relation_ident text, idents text[], is_unique boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off AS $$
DECLARE
  rel    regclass := relation_ident;
  keys   text := array_to_string(idents, ', ');
  plan   jsonb;
  scan   jsonb;
  roots  regclass[];
  base   text;
  below  text[];
BEGIN
  IF (SELECT c.relkind FROM pg_class AS c WHERE c.oid = rel) <> 'v' THEN
    roots := ARRAY[rel];
    base := relation_ident;
    below := idents;
  ELSE
    EXECUTE format('EXPLAIN (VERBOSE, FORMAT JSON) SELECT %s FROM %s AS t', (SELECT string_agg('t.' || i, ', ') FROM unnest(idents) AS i), relation_ident) INTO plan;
    SELECT array_agg(DISTINCT coalesce(pg_partition_root(c.oid), c.oid)::regclass), (array_agg(s.node))[1] INTO roots, scan
    FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Relation Name"))') AS s (node)
    LEFT JOIN pg_class AS c ON c.relname = s.node ->> 'Relation Name' AND c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = s.node ->> 'Schema')
                           AND c.relkind IN ('r', 'm');
    SELECT array_agg(quote_ident(a.attname) ORDER BY o.nth) INTO below
    FROM jsonb_array_elements_text(scan -> 'Output') WITH ORDINALITY AS o (text, nth)
    JOIN pg_attribute AS a ON a.attrelid = roots[1] AND a.attnum > 0 AND NOT a.attisdropped AND o.text = format('%I.%I', scan ->> 'Alias', a.attname);
    SELECT format('%I.%I', n.nspname, c.relname) INTO base FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = roots[1] AND cardinality(roots) = 1;
  END IF;
  IF base IS NOT NULL AND cardinality(below) = cardinality(idents)
     AND (plan IS NULL OR NOT plan @? 'strict $.**."Node Type" ? (!(@ like_regex "Scan$" || @ == "Append"))') THEN
    -- a partitioned table has none that is unique without the columns it is partitioned by
    RETURN format('CREATE %sINDEX ON %s (%s)', CASE WHEN is_unique AND NOT EXISTS (
      SELECT FROM pg_partitioned_table AS p, unnest(p.partattrs::smallint[]) AS k (number)
      WHERE p.partrelid = roots[1] AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = roots[1] AND a.attnum = k.number AND quote_ident(a.attname) = ANY (below))
    ) THEN 'UNIQUE ' ELSE '' END, base, array_to_string(below, ', '));
  END IF;
  RETURN format('Index the table %sunder the view %s by what is (%s) there', base || ' ', relation_ident, keys);
END $$;
COMMENT ON FUNCTION millrace.index_hint(text, text[], boolean) IS
'How to add an index that serves columns of a table or view. Reads as the caller.
In: relation_ident and idents, quoted; is_unique: a unique one, where the table can have one. Out: a CREATE INDEX, on the table under a view when each of the columns is one of that table; else, in words, that the index belongs there, with the table''s name when there is one.
Errors: those of a SELECT of the columns.';

CREATE FUNCTION millrace.served_columns(relation text, id_column text, time_column text, xid_column text DEFAULT 'xid')
RETURNS TABLE (relation_ident text, name text, ident text, type text, is_bigint boolean, use text, filterable boolean, index_hint text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
  parts   text[] := parse_ident(relation);
  rel     regclass;
  missing text;
  id      record;
  at      record;
  c       record;
  kind    "char";
  keys    text;
  coordinate text[];
  is_followed boolean := false;
BEGIN
  IF cardinality(parts) = 1 THEN
    parts := ARRAY['public'] || parts;
  END IF;
  rel := to_regclass(format('%I.%I', parts[1], parts[2]));
  IF rel IS NULL OR cardinality(parts) <> 2 THEN
    RAISE EXCEPTION 'relation "%" does not exist, or its schema is closed to role "%"', relation, current_user
      USING ERRCODE = 'undefined_table',
            HINT = format('Create it, name another one (SCHEMA.NAME; public is the default schema), or GRANT USAGE ON SCHEMA %I TO %I;', parts[1], current_user);
  ELSIF NOT has_table_privilege(rel, 'SELECT') THEN
    RAISE EXCEPTION 'permission denied for relation %', rel
      USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT SELECT ON %s TO %I;', rel, current_user);
  END IF;
  relation_ident := format('%I.%I', parts[1], parts[2]);
  SELECT r.relkind INTO kind FROM pg_class AS r WHERE r.oid = rel;
  SELECT n.name INTO missing FROM unnest(ARRAY[id_column, time_column]) AS n (name)
  WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = rel AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'relation % has no column "%"', rel, missing
      USING ERRCODE = 'undefined_column', HINT = 'Name the column that identifies a row, and the one that orders the rows by time.';
  END IF;
  SELECT quote_ident(a.attname) AS ident, format_type(a.atttypid, -1) AS type, a.attnotnull INTO id
  FROM pg_attribute AS a WHERE a.attrelid = rel AND a.attname = id_column;
  SELECT quote_ident(a.attname) AS ident, format_type(a.atttypid, -1) AS type, a.attnotnull INTO at
  FROM pg_attribute AS a WHERE a.attrelid = rel AND a.attname = time_column;
  IF at.type <> 'timestamp with time zone' THEN
    RAISE EXCEPTION 'column "%" of relation % has type %, expected timestamp with time zone', time_column, rel, at.type
      USING ERRCODE = 'datatype_mismatch', HINT = 'Name a column of that type.';
  ELSIF NOT (id.attnotnull AND at.attnotnull) AND kind NOT IN ('v', 'f') THEN
    RAISE EXCEPTION 'columns "%" and "%" of relation % may be null', id_column, time_column, rel
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('ALTER TABLE %s ALTER %s SET NOT NULL, ALTER %s SET NOT NULL;', rel, id.ident, at.ident);
  END IF;
  keys := format('ORDER BY t.%s DESC, t.%s DESC', at.ident, id.ident);
  IF kind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(rel) AS p WHERE p.isleaf) THEN
    RAISE EXCEPTION 'relation % has no partition', rel
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Create one: which indexes serve is seen there.';
  ELSIF NOT millrace.is_index_served(format('SELECT t.%s FROM %s AS t %s', id.ident, relation_ident, keys), '{}') THEN
    RAISE EXCEPTION 'no index of relation % serves the order by "%" and "%"', rel, time_column, id_column
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = CASE WHEN kind = 'v' THEN 'Leave ORDER BY, GROUP BY, DISTINCT and the like out of the view. ' ELSE '' END
                   || millrace.index_hint(relation_ident, ARRAY[at.ident, id.ident]) || ';';
  ELSIF NOT millrace.is_index_served(format('SELECT t.%s FROM %s AS t WHERE t.%s = $1', id.ident, relation_ident, id.ident), ARRAY[id.type]) THEN
    RAISE EXCEPTION 'no index of relation % serves a look-up by "%"', rel, id_column
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = millrace.index_hint(relation_ident, ARRAY[id.ident], true) || ';';
  END IF;
  SELECT array_agg(format_type(a.atttypid, -1) ORDER BY n.nth) INTO coordinate
  FROM unnest(ARRAY['topic', 'partition', 'offset']) WITH ORDINALITY AS n (name, nth)
  JOIN pg_attribute AS a ON a.attrelid = rel AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped;
  IF coalesce(cardinality(coordinate), 0) <> 3 THEN
    coordinate := NULL;
  ELSIF NOT millrace.is_index_served(
       format('SELECT t.%s FROM %s AS t WHERE t.topic = $1 AND t.partition = $2 AND t."offset" = $3', id.ident, relation_ident), coordinate) THEN
    coordinate := NULL;
  END IF;
  IF EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = rel AND a.attname = xid_column AND a.atttypid = 'xid8'::regtype AND NOT a.attisdropped) THEN
    is_followed := millrace.is_index_served(format('SELECT t.%s FROM %s AS t WHERE t.%3$I = $1', id.ident, relation_ident, xid_column), ARRAY['xid8'])
      AND millrace.is_index_served(format('SELECT t.%s FROM %s AS t ORDER BY t.%3$I, t.%1$s', id.ident, relation_ident, xid_column), '{}');
  END IF;
  FOR c IN
    SELECT a.attname::text AS name, quote_ident(a.attname) AS ident, format_type(a.atttypid, -1) AS type,
           'bigint'::regtype IN (a.atttypid, (SELECT t.typbasetype FROM pg_type AS t WHERE t.oid = a.atttypid)) AS is_bigint
    FROM pg_attribute AS a
    WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(rel, a.attnum, 'SELECT')
    ORDER BY a.attnum
  LOOP
    name := c.name;
    ident := c.ident;
    type := c.type;
    is_bigint := c.is_bigint;
    use := CASE WHEN name = id_column THEN 'id' WHEN name = time_column THEN 'time' WHEN name = xid_column AND is_followed THEN 'xid'
                WHEN cardinality(coordinate) = 3 AND name IN ('topic', 'partition', 'offset') THEN name ELSE '' END;
    BEGIN
      filterable := use IN ('id', 'time') OR millrace.is_index_served(
        format('SELECT t.%s FROM %s AS t WHERE t.%s = $1 %s', id.ident, relation_ident, ident, keys), ARRAY[type]);
    EXCEPTION WHEN undefined_function THEN
      filterable := false;  -- a type without "="
    END;
    index_hint := CASE WHEN NOT filterable THEN millrace.index_hint(relation_ident, ARRAY[ident, at.ident, id.ident]) END;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION millrace.served_columns(text, text, text, text) IS
'For the API: the columns of a table or view, and how indexes serve them. Reads as the caller.
In: relation, as NAME (of schema public) or SCHEMA.NAME; id_column; time_column; xid_column: the transaction that wrote a row, of type xid8 with the default pg_current_xact_id().
Out: relation_ident, quoted; name; ident, the same quoted; type; is_bigint: to be shown as text, since JSON numbers of that size are not exact everywhere; use: id, time, xid where an index serves the order by it and the id, or topic, partition, offset where an index serves a look-up by all three; filterable: an index serves (the column, time, id); index_hint: how to add it, null when it is there.
Errors: undefined_table, undefined_column, insufficient_privilege, datatype_mismatch, or object_not_in_prerequisite_state for an index or NOT NULL that is missing; each with the command that adds it.';

-- The timeline is part of it: a standby that took over may have lost transactions, and gives their numbers again.
CREATE FUNCTION millrace.stream_system(relation text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN NOT pg_is_in_recovery() THEN
           concat_ws('-', (SELECT s.system_identifier FROM pg_control_system() AS s), left(pg_walfile_name(pg_current_wal_lsn()), 8),
                     (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()), to_regclass(relation)::oid) END;
$$;
COMMENT ON FUNCTION millrace.stream_system(text) IS
'For the API: names the server, its timeline, the database and a relation. Transaction numbers and snapshots compare within one such name only.
In: relation, quoted. Out: digits, letters and "-"; null on a standby. Errors: none.';
