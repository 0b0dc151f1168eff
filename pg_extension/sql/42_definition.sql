-- What a pipeline's definition as a whole must satisfy: its owner, its target, and how a conflict is decided.

-- A worker runs in a session of the owner: the owner must be able to have one.
CREATE FUNCTION millrace._check_owner(owner regrole, allow_superuser boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  r pg_roles;
BEGIN
  SELECT * INTO r FROM pg_roles WHERE oid = owner;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role with OID % does not exist', owner::oid
      USING ERRCODE = 'undefined_object',
            HINT = 'A superuser can give the pipeline a new owner with millrace.alter_pipeline().';
  END IF;
  IF r.rolsuper AND NOT coalesce(allow_superuser, false) THEN
    RAISE EXCEPTION 'role "%" is a superuser and should not own a pipeline', r.rolname
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'The transform, and every trigger and default it reaches, would run with all rights.',
            HINT = 'Create the pipeline as an ordinary role (SET ROLE …), or pass allow_superuser => true.';
  END IF;
  IF NOT r.rolcanlogin AND current_setting('server_version_num')::integer < 170000 THEN
    RAISE EXCEPTION 'role "%" cannot log in and so cannot own a pipeline', r.rolname
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'A worker runs in a session of the pipeline''s owner; this server starts one only for roles with LOGIN.',
            HINT = format('Run: ALTER ROLE %I LOGIN; (without a password nobody else can use it).', r.rolname);
  END IF;
  IF NOT has_database_privilege(owner, current_database(), 'CONNECT') THEN
    RAISE EXCEPTION 'role "%" has no CONNECT privilege on database "%"', r.rolname, current_database()
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'A worker runs in a session of the pipeline''s owner.',
            HINT = format('Run: GRANT CONNECT ON DATABASE %I TO %I;', current_database(), r.rolname);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_owner(regrole, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_owner(regrole, boolean) IS 'Internal: refuses a role that no worker could run as.';

CREATE FUNCTION millrace._check_target(owner regrole, d millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  target  regclass := d.target;
  c       pg_class;
  schema  name;
  needed  text;
  reason  text;
BEGIN
  SELECT * INTO c FROM pg_class WHERE oid = target;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'target with OID % does not exist', target::oid
      USING ERRCODE = 'undefined_table', HINT = 'Create the target table first, and name it: target => ….';
  END IF;
  schema := c.relnamespace::regnamespace::name;
  reason := CASE
    WHEN c.relkind = 'f' THEN 'It is a foreign table: a commit here does not cover what is written elsewhere.'
    WHEN c.relkind IN ('v', 'm') THEN 'It is a view.'
    WHEN c.relkind NOT IN ('r', 'p') THEN 'It is not a table.'
    WHEN c.relpersistence = 't' THEN 'It is a temporary table: the workers'' sessions do not see it.'
    WHEN schema = 'millrace' THEN 'It belongs to millrace itself.'
    WHEN schema IN ('pg_catalog', 'information_schema', 'pg_toast') THEN 'It is a system catalogue.'
    WHEN EXISTS (SELECT FROM pg_partition_tree(target) AS t JOIN pg_class AS p ON p.oid = t.relid
                 WHERE p.relkind = 'f')
      THEN 'One of its partitions is a foreign table: a commit here does not cover what is written elsewhere.'
  END;
  IF reason IS NOT NULL THEN
    RAISE EXCEPTION '"%" cannot be the target of a pipeline', target
      USING ERRCODE = 'wrong_object_type', DETAIL = reason,
            HINT = 'Name an ordinary or partitioned table of this database.';
  END IF;
  IF NOT has_schema_privilege(owner, c.relnamespace, 'USAGE') THEN
    RAISE EXCEPTION 'role "%" has no USAGE privilege on schema "%"', owner, schema
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('Run: GRANT USAGE ON SCHEMA %I TO %s;', schema, owner);
  END IF;
  IF (d.tombstone = 'delete' OR d.delete_when IS NOT NULL) AND NOT has_table_privilege(owner, target, 'DELETE') THEN
    RAISE EXCEPTION 'role "%" has no DELETE privilege on table "%"', owner, target
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('The pipeline deletes rows of its target as this role, with %s.',
                            CASE WHEN d.tombstone = 'delete' THEN 'tombstone "delete"' ELSE 'delete_when' END),
            HINT = format('Run: GRANT DELETE ON %s TO %s;', target, owner);
  END IF;
  FOREACH needed IN ARRAY CASE WHEN d.on_conflict = 'update' THEN ARRAY['INSERT', 'UPDATE', 'SELECT']
                               WHEN d.conflict_key IS NOT NULL THEN ARRAY['INSERT', 'SELECT']
                               ELSE ARRAY['INSERT'] END
  LOOP
    IF NOT has_any_column_privilege(owner, target, needed) THEN
      RAISE EXCEPTION 'role "%" has no % privilege on table "%"', owner, needed, target
        USING ERRCODE = 'insufficient_privilege',
              DETAIL = format('The pipeline writes its target as this role, with on_conflict "%s".', d.on_conflict),
              HINT = format('Run: GRANT %s ON %s TO %s;', needed, target, owner);
    END IF;
  END LOOP;
  IF c.relpersistence = 'u' THEN
    PERFORM millrace._warn('target_unlogged', format('target "%s" is unlogged', target),
                           'A crash of the server empties it, but not the pipeline''s positions: the rows are not written again.',
                           format('Run: ALTER TABLE %s SET LOGGED; or rewind the pipeline after a crash.', target));
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_target(regrole, millrace.pipeline_version) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_target(regrole, millrace.pipeline_version) IS 'Internal: refuses a target that no pipeline can write exactly once, or that its owner cannot write.';

CREATE FUNCTION millrace._target_columns(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
  FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped;
$$;
REVOKE ALL ON FUNCTION millrace._target_columns(regclass) FROM PUBLIC;
COMMENT ON FUNCTION millrace._target_columns(regclass) IS 'Internal: a table''s columns, for hints.';

-- Column lists (sorted, as an array each) that a conflict can be judged by.
CREATE FUNCTION millrace._unique_keys(target regclass) RETURNS SETOF text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT DISTINCT (SELECT array_agg(a.attname::text ORDER BY a.attname)
                   FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum)
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
  FROM pg_index AS i
  WHERE i.indrelid = target AND i.indisunique AND NOT i.indisexclusion AND i.indisvalid AND i.indimmediate
        AND i.indpred IS NULL AND i.indexprs IS NULL;
$$;
REVOKE ALL ON FUNCTION millrace._unique_keys(regclass) FROM PUBLIC;
COMMENT ON FUNCTION millrace._unique_keys(regclass) IS 'Internal: the keys ON CONFLICT can use on a table.';

CREATE FUNCTION millrace._has_order(type oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  WITH RECURSIVE base AS (
    SELECT t.oid, t.typtype, t.typcategory, t.typbasetype FROM pg_type AS t WHERE t.oid = type
    UNION ALL
    SELECT t.oid, t.typtype, t.typcategory, t.typbasetype
    FROM base JOIN pg_type AS t ON t.oid = base.typbasetype WHERE base.typtype = 'd'
  )
  SELECT EXISTS (
    SELECT FROM base AS b, pg_opclass AS o JOIN pg_am AS m ON m.oid = o.opcmethod AND m.amname = 'btree'
    WHERE b.typtype <> 'd' AND o.opcdefault
          AND (o.opcintype = b.oid
               OR o.opcintype = CASE WHEN b.typcategory = 'A' THEN 'anyarray'::regtype
                                     WHEN b.typtype = 'e' THEN 'anyenum'::regtype
                                     WHEN b.typtype = 'r' THEN 'anyrange'::regtype
                                     WHEN b.typtype = 'm' THEN 'anymultirange'::regtype END::oid
               OR EXISTS (SELECT FROM pg_cast AS c WHERE c.castsource = b.oid AND c.casttarget = o.opcintype
                          AND c.castmethod = 'b' AND c.castcontext = 'i')));
$$;
REVOKE ALL ON FUNCTION millrace._has_order(oid) FROM PUBLIC;
COMMENT ON FUNCTION millrace._has_order(oid) IS 'Internal: whether values of a type can be ordered.';

CREATE FUNCTION millrace._check_conflict(d millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  wrong  text;
  option text;
  newer  pg_attribute;
  keys   text := (SELECT string_agg(format('{%s}', array_to_string(k, ', ')), ', ' ORDER BY k)
                  FROM millrace._unique_keys(d.target) AS k);
BEGIN
  IF d.on_conflict = 'error' AND d.conflict_key IS NOT NULL THEN
    RAISE EXCEPTION 'conflict_key is given, but on_conflict is "error"'
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave conflict_key out, or pass on_conflict => ''ignore'' or ''update''.';
  END IF;
  IF d.on_conflict = 'update' AND d.conflict_key IS NULL THEN
    RAISE EXCEPTION 'on_conflict "update" needs a conflict_key'
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('Unique keys of "%s": %s.', d.target, coalesce(keys, 'none')),
            HINT = 'Pass conflict_key => ARRAY[''column'', …], the columns of a unique index of the target.';
  END IF;
  IF d.format = 'debezium' AND d.on_conflict = 'update' AND d.delete_when IS NULL THEN
    RAISE EXCEPTION 'format "debezium" with on_conflict "update" needs delete_when'
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Rows that were deleted in the source would be written again.',
            HINT = 'Pass delete_when => ''op = ''''d''''''.';
  END IF;
  IF d.newer_by IS NOT NULL AND d.on_conflict <> 'update' THEN
    RAISE EXCEPTION 'newer_by is given, but on_conflict is "%"', d.on_conflict
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave newer_by out, or pass on_conflict => ''update''.';
  END IF;
  FOR option IN
    SELECT v.name FROM (VALUES ('tombstone "delete"', d.tombstone = 'delete'), ('delete_when', d.delete_when IS NOT NULL), ('merge', d.merge IS NOT NULL)) AS v (name, given)
    WHERE v.given AND d.on_conflict <> 'update'
  LOOP
    RAISE EXCEPTION '% is given, but on_conflict is "%"', option, d.on_conflict
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The row that it changes is that of the conflict key.',
            HINT = 'Pass on_conflict => ''update'' and conflict_key => ARRAY[''column'', …].';
  END LOOP;
  IF d.tombstone_key IS NOT NULL AND d.tombstone <> 'delete' THEN
    RAISE EXCEPTION 'tombstone_key is given, but tombstone is "%"', d.tombstone
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave tombstone_key out, or pass tombstone => ''delete''.';
  END IF;

  SELECT k INTO wrong FROM unnest(d.conflict_key) AS k
  WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = d.target AND a.attname = k
                    AND a.attnum > 0 AND NOT a.attisdropped) OR k IS NULL
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'conflict_key names column "%", which table "%" does not have', wrong, d.target
      USING ERRCODE = 'undefined_column',
            HINT = format('Columns of the table: %s.', millrace._target_columns(d.target));
  END IF;
  IF d.conflict_key IS NOT NULL
     AND NOT EXISTS (SELECT FROM millrace._unique_keys(d.target) AS k
                     WHERE k = (SELECT array_agg(c ORDER BY c::name) FROM unnest(d.conflict_key) AS c))
  THEN
    RAISE EXCEPTION 'conflict_key {%} matches no unique index of table "%"',
                    array_to_string(d.conflict_key, ', '), d.target
      USING ERRCODE = 'invalid_column_reference',
            DETAIL = format('Unique keys of the table: %s. Partial, deferrable and expression indexes do not count.',
                            coalesce(keys, 'none')),
            HINT = format('Pass one of these, or run: CREATE UNIQUE INDEX ON %s (%s);', d.target,
                          (SELECT string_agg(quote_ident(c), ', ') FROM unnest(d.conflict_key) AS c));
  END IF;

  IF d.newer_by IS NOT NULL THEN
    SELECT * INTO newer FROM pg_attribute AS a
    WHERE a.attrelid = d.target AND a.attname = d.newer_by AND a.attnum > 0 AND NOT a.attisdropped;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'newer_by names column "%", which table "%" does not have', d.newer_by, d.target
        USING ERRCODE = 'undefined_column',
              HINT = format('Columns of the table: %s.', millrace._target_columns(d.target));
    ELSIF d.newer_by = ANY (d.conflict_key) THEN
      RAISE EXCEPTION 'newer_by column "%" is part of conflict_key', d.newer_by
        USING ERRCODE = 'invalid_parameter_value',
              DETAIL = 'Within one key it is always equal and cannot identify the newer row.',
              HINT = 'Name a column that grows with each change of a row, such as its event time or version.';
    ELSIF NOT millrace._has_order(newer.atttypid) THEN
      RAISE EXCEPTION 'newer_by column "%" is of type %, which has no ordering',
                      d.newer_by, format_type(newer.atttypid, newer.atttypmod)
        USING ERRCODE = 'datatype_mismatch',
              HINT = 'Name a column whose type has a btree operator class, such as timestamptz or bigint.';
    END IF;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_conflict(millrace.pipeline_version) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_conflict(millrace.pipeline_version) IS 'Internal: on_conflict, conflict_key and newer_by against the target.';

CREATE FUNCTION millrace._warn_of_late_upserts(pipeline text, d millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF d.on_conflict = 'update' AND d.newer_by IS NULL AND d.ordering = 'none' THEN
    PERFORM millrace._warn('late_upserts', format('an event of pipeline "%s" that is tried again may undo a newer one of its key', pipeline),
      'Without newer_by and ordering, events of a key take effect in the order in which they succeed.',
      'Pass newer_by => a column that grows with each change of a row (event."offset" will do where a key stays in its partition), or ordering => ''key''.');
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._warn_of_late_upserts(text, millrace.pipeline_version) FROM PUBLIC;
COMMENT ON FUNCTION millrace._warn_of_late_upserts(text, millrace.pipeline_version) IS 'Internal: warns where the order of an upsert''s events is not kept.';

-- A whole definition, as `owner` would run it.
CREATE FUNCTION millrace._check_version(owner regrole, d millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._check_target(owner, d);
  PERFORM millrace._check_conflict(d);
  PERFORM millrace._check_definition(owner, d);
END $$;
REVOKE ALL ON FUNCTION millrace._check_version(regrole, millrace.pipeline_version) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_version(regrole, millrace.pipeline_version) IS 'Internal: checks a pipeline''s whole definition.';
