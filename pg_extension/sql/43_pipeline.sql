-- create_pipeline, alter_pipeline, drop_pipeline. Each verb is two functions: the public one is C (mr_verb), takes
-- the calling role and hands it, with the arguments, to the one of the same name behind an underscore, which runs
-- as the extension's owner. So nobody needs privileges on the catalogue, and the caller's privileges are checked.
-- Verbs with many arguments (mr_verb_by_name) hand them over as one object.

-- `foreign_too` is for the verbs that work on a pipeline of another installation.
CREATE FUNCTION millrace._owned(caller regrole, pipeline text, foreign_too boolean DEFAULT false) RETURNS millrace.pipeline
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline;
BEGIN
  PERFORM millrace._check_given(ARRAY['pipeline'], ARRAY[pipeline IS NULL]);
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.name = _owned.pipeline;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" does not exist', pipeline
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM millrace.pipelines; lists the pipelines.';
  END IF;
  IF NOT pg_has_role(caller, p.owner::oid, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of pipeline "%"', pipeline
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('It belongs to "%s", and "%s" is not a member of that role.', p.owner, caller),
            HINT = format('Run it as the owner (SET ROLE %s), or become a member of that role.', p.owner);
  END IF;
  IF p.instance <> millrace._instance() AND NOT foreign_too THEN
    RAISE EXCEPTION 'pipeline "%" belongs to another installation', pipeline
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It was restored from a dump or copied with a database, and may still be running there.',
            HINT = format('To run it here and no longer there: SELECT millrace.adopt(%L);', pipeline);
  END IF;
  RETURN p;
END $$;
REVOKE ALL ON FUNCTION millrace._owned(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._owned(regrole, text, boolean) IS 'Internal: finds a pipeline the caller may change.';

-- What is locked and then read again must not be read in an older snapshot.
CREATE FUNCTION millrace._check_isolation(what text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION '% cannot be changed in a % transaction', what, current_setting('transaction_isolation')
      USING ERRCODE = 'active_sql_transaction', HINT = 'Run: BEGIN ISOLATION LEVEL READ COMMITTED;';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_isolation FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_isolation IS 'Internal: refuses what takes locks in a transaction with one snapshot.';

-- The same, locked against its workers and other verbs until the end of the transaction: a caller that
-- holds this row knows that no batch is in flight.
CREATE FUNCTION millrace._lock_owned(caller regrole, pipeline text, foreign_too boolean DEFAULT false)
RETURNS millrace.pipeline
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline;
BEGIN
  PERFORM millrace._check_given(ARRAY['pipeline'], ARRAY[pipeline IS NULL]);
  -- an older snapshot would show positions from before the lock
  PERFORM millrace._check_isolation('pipelines');
  p := millrace._owned(caller, pipeline, foreign_too);
  PERFORM millrace._lock_pipeline(p.id);
  -- a replay that is not committed yet (a preview) only keeps the pipeline from being dropped
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.id = p.id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" was dropped concurrently', pipeline USING ERRCODE = 'undefined_object';
  END IF;
  RETURN p;
END $$;
REVOKE ALL ON FUNCTION millrace._lock_owned(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_owned(regrole, text, boolean) IS 'Internal: finds and locks a pipeline the caller may change.';

-- given: the arguments by name; null: not given.
CREATE FUNCTION millrace._create_pipeline(caller regrole, given jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  pipeline text := given ->> 'pipeline';
  source   record;
  stored   jsonb;
  d        millrace.pipeline_version;
  id       integer;
BEGIN
  PERFORM millrace._check_given(array_agg(s.name ORDER BY s.ordinality), array_agg(given ->> s.name IS NULL ORDER BY s.ordinality))
  FROM millrace._settings() WITH ORDINALITY AS s WHERE s.verbs <> 'alter' AND s."default" IS DISTINCT FROM 'NULL';
  IF getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'encoding of database "%" is %, expected UTF8', current_database(), getdatabaseencoding()
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'JSON events are UTF-8, and are read without a conversion.',
            HINT = 'Create a database: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0;';
  END IF;
  PERFORM millrace._check_name(pipeline);
  IF EXISTS (SELECT FROM millrace.pipeline AS p WHERE p.name = pipeline) THEN
    RAISE EXCEPTION 'pipeline "%" already exists', pipeline
      USING ERRCODE = 'duplicate_object',
            HINT = format('Change it with millrace.alter_pipeline(%1$L, …), or drop it: SELECT millrace.drop_pipeline(%1$L);', pipeline);
  END IF;
  source := millrace._check_source(given ->> 'topic');
  stored := jsonb_build_object('tombstone', CASE given ->> 'on_conflict' WHEN 'update' THEN 'skip' ELSE 'dead_letter' END)
            || millrace._checked(given);
  PERFORM millrace._check_owner(caller, (given ->> 'allow_superuser')::boolean);

  INSERT INTO millrace.pipeline AS p (name, instance, owner, topic, start_at, workers, state, version, group_prefix, topic_kind)
  VALUES (pipeline, millrace._instance(), caller, source.source, millrace._start_at(given ->> 'start_at'), (given ->> 'workers')::integer,
          CASE WHEN (given ->> 'paused')::boolean THEN 'paused' ELSE 'running' END, 1, given ->> 'group_prefix',
          source.kind)
  RETURNING p.id INTO id;
  INSERT INTO millrace.pipeline_topic (pipeline_id, topic) SELECT id, t FROM unnest(source.topics) AS t;
  d := millrace._add_version(id, 1, caller, jsonb_populate_record(NULL::millrace.pipeline_version, stored));
  PERFORM millrace._check_version(caller, d);
  PERFORM millrace._set_dlq(id, coalesce(given ->> 'dlq', millrace._default_dlq(pipeline, source.kind, source.source)), given ->> 'dlq_delivery');
  PERFORM millrace._check_grants(id);

  PERFORM millrace._warn_of_shortages(pipeline);
  PERFORM millrace._warn_of_late_upserts(pipeline, d);
  PERFORM millrace._wake();
  RETURN id;
END $$;
REVOKE ALL ON FUNCTION millrace._create_pipeline FROM PUBLIC;
COMMENT ON FUNCTION millrace._create_pipeline IS 'Internal: create_pipeline for a role.';

CREATE FUNCTION millrace._default_delete_when() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT 'op = ''d''' $$;
REVOKE ALL ON FUNCTION millrace._default_delete_when() FROM PUBLIC;
COMMENT ON FUNCTION millrace._default_delete_when() IS 'Internal: delete_when of an upsert of format debezium, unless it is given.';

CREATE FUNCTION millrace._add_version(pipeline_id integer, version integer, caller regrole, d millrace.pipeline_version)
RETURNS millrace.pipeline_version
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  d.pipeline_id := pipeline_id;
  d.version := version;
  d.fields := btrim(d.fields);
  -- else a change event that deletes its row would be written as one
  IF d.format = 'debezium' AND d.on_conflict = 'update' AND d.delete_when IS NULL THEN
    d := jsonb_populate_record(d, jsonb_build_object('delete_when', millrace._default_delete_when()));
  END IF;
  d.created_at := now();
  d.created_by := caller;
  INSERT INTO millrace.pipeline_version VALUES (d.*);
  RETURN d;
END $$;
REVOKE ALL ON FUNCTION millrace._add_version FROM PUBLIC;
COMMENT ON FUNCTION millrace._add_version IS 'Internal: stores a version of a definition.';

-- Settings that are fixed: alter_pipeline() takes them to say what does it instead.
CREATE FUNCTION millrace._check_fixed(p millrace.pipeline, given jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF (millrace._check_source(given ->> 'topic')).source <> p.topic THEN
    RAISE EXCEPTION 'the topic of pipeline "%" cannot be changed', p.name
      USING ERRCODE = 'feature_not_supported',
            DETAIL = format('Its positions, dead letters and retries are those of topic "%s".', p.topic),
            HINT = format('Create one with the same definition for the other topic: SELECT millrace.create_pipeline(%L, topic => %L, '
                          'format => p.format, fields => p.fields, transform => p.transform, target => p.target, on_conflict => p.on_conflict, '
                          'conflict_key => p.conflict_key, newer_by => p.newer_by, tombstone => p.tombstone, ordering => p.ordering, '
                          'workers => p.workers, search_path => p.search_path) FROM millrace.pipelines AS p WHERE p.name = %L; '
                          'and when the events of this one are processed: SELECT millrace.drop_pipeline(%3$L);',
                          left(p.name, 61) || '_2', given ->> 'topic', p.name);
  ELSIF given ->> 'start_at' IS NOT NULL AND millrace._start_at(given ->> 'start_at') <> p.start_at THEN
    RAISE EXCEPTION 'start_at of pipeline "%" cannot be changed', p.name
      USING ERRCODE = 'feature_not_supported', DETAIL = 'It counts once, when an ingestor first sees the topic.',
            HINT = 'Move its position instead: ' || CASE given ->> 'start_at'
              WHEN 'latest' THEN format('SELECT millrace.skip_to(l.pipeline, l.partition, l.end_offset, l.topic) FROM millrace.lag AS l WHERE l.pipeline = %L;', p.name)
              ELSE millrace._rewind_command(p.name, format('to_time => %L', CASE given ->> 'start_at' WHEN 'earliest' THEN '-infinity' ELSE given ->> 'start_at' END), '') END;
  ELSIF given ->> 'paused' IS NOT NULL THEN
    RAISE EXCEPTION 'paused is no setting of pipeline "%"', p.name
      USING ERRCODE = 'feature_not_supported',
            HINT = format('SELECT millrace.%s(%L);', CASE WHEN (given ->> 'paused')::boolean THEN 'pause' ELSE 'resume' END, p.name);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_fixed(millrace.pipeline, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_fixed(millrace.pipeline, jsonb) IS 'Internal: refuses what alter_pipeline cannot change.';

CREATE FUNCTION millrace._alter_pipeline(caller regrole, given jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  pipeline  text := given ->> 'pipeline';
  p         millrace.pipeline := millrace._lock_owned(caller, pipeline);
  new_owner regrole := coalesce((given ->> 'owner')::regrole, p.owner);
  changes   jsonb;
  old       millrace.pipeline_version;
  d         millrace.pipeline_version;
BEGIN
  PERFORM millrace._check_fixed(p, given);
  IF NOT EXISTS (SELECT FROM jsonb_each_text(given) AS g
                 WHERE g.value IS NOT NULL AND g.key NOT IN ('pipeline', 'allow_superuser')) THEN
    RAISE EXCEPTION 'nothing to change in pipeline "%"', pipeline
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Name what to change: SELECT millrace.alter_pipeline(%L, batch_rows => 1000);', pipeline);
  END IF;
  SELECT * INTO STRICT old FROM millrace.pipeline_version AS v WHERE v.pipeline_id = p.id AND v.version = p.version;
  -- as ALTER … OWNER TO asks: who may SET ROLE to it, which is every member before PostgreSQL 16
  IF given ->> 'owner' IS NOT NULL AND NOT pg_has_role(caller, new_owner::oid, CASE
       WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
    RAISE EXCEPTION 'must be member of role "%" to make it the owner', new_owner
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('Ask a superuser, or: GRANT %s TO %s;', new_owner, caller);
  END IF;
  -- what the new on_conflict does not use is removed with the old one, unless it is given, too (an error then)
  changes := CASE given ->> 'on_conflict' WHEN 'error' THEN '{"conflict_key": null, "newer_by": null, "merge": null, "delete_when": null}'
                                          WHEN 'ignore' THEN '{"newer_by": null, "merge": null, "delete_when": null}' ELSE '{}' END::jsonb
             || CASE WHEN given ->> 'tombstone' <> 'delete' THEN '{"tombstone_key": null}' ELSE '{}' END::jsonb
             || CASE WHEN old.tombstone = 'delete' AND given ->> 'on_conflict' <> 'update'
                THEN '{"tombstone": "dead_letter", "tombstone_key": null}' ELSE '{}' END::jsonb
             -- what the old format gave by default, and names a column of its own, goes with it
             || CASE WHEN old.format = 'debezium' AND given ->> 'format' <> 'debezium' AND old.delete_when = millrace._default_delete_when()
                THEN '{"delete_when": null}' ELSE '{}' END::jsonb
             || millrace._checked(given);
  -- a superuser who owns it already was allowed when it was created
  PERFORM millrace._check_owner(new_owner, (given ->> 'allow_superuser')::boolean OR new_owner = p.owner);
  IF to_jsonb(old) ?| ARRAY(SELECT jsonb_object_keys(changes)) THEN
    d := millrace._add_version(p.id, old.version + 1, caller, jsonb_populate_record(old, changes));
    IF (d.fields, d.transform) IS DISTINCT FROM (old.fields, old.transform) THEN
      DELETE FROM millrace.unread_key AS u WHERE u.pipeline_id = p.id;  -- what it leaves alone is seen again
    END IF;
  ELSE
    d := old;
  END IF;
  IF d.type_field IS DISTINCT FROM old.type_field THEN
    PERFORM millrace._forget_types(p.id);
  END IF;
  PERFORM millrace._check_version(new_owner, d);
  PERFORM millrace._keep_windows(p, old, d, new_owner);
  PERFORM millrace._set_dlq(p.id, given ->> 'dlq', given ->> 'dlq_delivery');
  PERFORM millrace._note_prefix(p, given ->> 'group_prefix');
  IF (old.ordering, old.on_dead) IS DISTINCT FROM (d.ordering, d.on_dead) THEN
    PERFORM millrace._reorder(p, d.ordering, d.on_dead);
  END IF;
  UPDATE millrace.pipeline AS c
  SET owner = new_owner, workers = coalesce((given ->> 'workers')::integer, c.workers), version = d.version,
      group_prefix = coalesce(given ->> 'group_prefix', c.group_prefix)
  WHERE c.id = p.id;
  PERFORM millrace._check_grants(p.id);
  IF (old.on_conflict, old.newer_by, old.ordering) IS DISTINCT FROM (d.on_conflict, d.newer_by, d.ordering) THEN
    PERFORM millrace._warn_of_late_upserts(pipeline, d);
  END IF;
  IF (given ->> 'workers')::integer > p.workers THEN
    PERFORM millrace._warn_of_shortages(pipeline);
  END IF;
  PERFORM millrace._close_breakers(p.id, (given ->> 'workers')::integer);
  PERFORM millrace._probe(p.id);
  PERFORM millrace._wake();
  RETURN d.version;
END $$;
REVOKE ALL ON FUNCTION millrace._alter_pipeline FROM PUBLIC;
COMMENT ON FUNCTION millrace._alter_pipeline IS 'Internal: alter_pipeline for a role.';

-- The two public verbs, from the list of settings. The default of search_path is computed in the caller's session, before
-- the function pins its own; the other pins keep numbers and intervals exact on their way through jsonb.
DO $do$
DECLARE
  declaration text := 'CREATE FUNCTION millrace.%s_pipeline(%s) RETURNS integer LANGUAGE c'
    ' SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET intervalstyle = postgres'
    ' AS ''MODULE_PATHNAME'', %L';
  a record;
BEGIN
  a := millrace._setting_arguments('create');
  EXECUTE format(declaration, 'create', a.declared, 'mr_create_pipeline');
  EXECUTE format('COMMENT ON FUNCTION millrace.create_pipeline IS %L', format(
'Creates a pipeline, owned by the caller, that writes what `transform` makes of the events of Kafka topic `topic` into `target`.
In: %s.
Out: id of the pipeline.
Errors: each wrong argument, with a hint; the position of a mistake in fields or transform; duplicate_object when the name is taken; insufficient_privilege when the caller cannot write the target, log in or connect.',
    a.explained));
  a := millrace._setting_arguments('alter');
  EXECUTE format(declaration, 'alter', a.declared, 'mr_verb_by_name');
  EXECUTE format('COMMENT ON FUNCTION millrace.alter_pipeline IS %L', format(
'Changes a pipeline; returns when the batch in flight has ended, and the next batch uses the change. Topic and start are fixed.
In: %s. NULL leaves a setting as it is, '''' or ''{}'' removes fields, conflict_key or newer_by, 0 failure_share. Another type_field begins the counters by type again, at 0. Another dlq gets all dead letters that are not published yet; with ordering none or on_dead release what waits for it continues; with another group_prefix the ingestors join another group and continue at the same positions.
Out: the version now in force; a change of owner, workers, dlq, dlq_delivery or group_prefix alone makes no new one.
Errors: as create_pipeline; feature_not_supported for topic, start_at and paused, with what to do instead; undefined_object for an unknown pipeline; insufficient_privilege unless the caller is the owner or a member of it.',
    a.explained));
END $do$;

CREATE FUNCTION millrace._drop_pipeline(caller regrole, pipeline text, discard_dead_letters boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._lock_owned(caller, pipeline, foreign_too => true);
BEGIN
  IF NOT coalesce(discard_dead_letters, false)
     AND (EXISTS (SELECT FROM millrace.dead_letter AS l
                  WHERE l.pipeline_id = p.id AND l.state NOT IN ('replayed', 'discarded'))
          OR EXISTS (SELECT FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state <> 'held'))
  THEN
    RAISE EXCEPTION 'pipeline "%" still has dead letters or events to try again', pipeline
      USING ERRCODE = 'dependent_objects_still_exist',
            DETAIL = 'They are the only copy of these events once Kafka''s retention has passed them.',
            HINT = format('Look at millrace.dead_letters and millrace.retries; then: SELECT millrace.drop_pipeline(%L, discard_dead_letters => true);', pipeline);
  END IF;
  IF EXISTS (SELECT FROM millrace.window_definition AS w WHERE w.pipeline_id = p.id) THEN
    RAISE EXCEPTION 'pipeline "%" has windows', pipeline
      USING ERRCODE = 'dependent_objects_still_exist', DETAIL = 'What they have kept may be all that is left of rows that are gone.',
            HINT = format('Drop them first: SELECT millrace.drop_window(w.name) FROM millrace.windows AS w WHERE w.pipeline = %L;', pipeline);
  END IF;
  -- before anything is deleted: a replay holds this row first, too
  PERFORM FROM millrace.pipeline AS c WHERE c.id = p.id FOR UPDATE;
  PERFORM millrace._drop_lanes(p.id);
  DELETE FROM millrace.retry AS r WHERE r.pipeline_id = p.id;
  DELETE FROM millrace.dead_letter AS l WHERE l.pipeline_id = p.id;
  DELETE FROM millrace.dead_letter_action AS a WHERE a.pipeline_id = p.id;
  DELETE FROM millrace.dead_letter_aside AS a WHERE a.pipeline_id = p.id;
  DELETE FROM millrace.error_class AS e WHERE e.pipeline_id = p.id;
  DELETE FROM millrace.breaker AS b WHERE b.pipeline_id = p.id;
  DELETE FROM millrace.crash_suspect AS s WHERE s.pipeline_id = p.id;
  DELETE FROM millrace.crash AS k WHERE k.pipeline_id = p.id;
  DELETE FROM millrace.dlq_scan AS s WHERE s.pipeline_id = p.id;
  DELETE FROM millrace.dlq_sighting AS s WHERE s.pipeline_id = p.id;
  DELETE FROM millrace.dlq AS q WHERE q.pipeline_id = p.id;
  DELETE FROM millrace.ingestor_report AS i WHERE i.pipeline_id = p.id;
  DELETE FROM millrace.watermark AS w WHERE w.pipeline_id = p.id;
  DELETE FROM millrace.position_change AS c WHERE c.pipeline_id = p.id;
  DELETE FROM millrace.pipeline_change AS c WHERE c.pipeline_id = p.id;
  DELETE FROM millrace.progress AS g WHERE g.pipeline_id = p.id;
  DELETE FROM millrace.ledger AS g WHERE g.pipeline_id = p.id;
  DELETE FROM millrace.stats_minute AS m WHERE m.pipeline_id = p.id;
  DELETE FROM millrace.lag_minute AS m WHERE m.pipeline_id = p.id;
  PERFORM millrace._forget_types(p.id);
  DELETE FROM millrace.unread_key AS u WHERE u.pipeline_id = p.id;
  DELETE FROM millrace.partition AS t WHERE t.pipeline_id = p.id;
  DELETE FROM millrace.topic_partition AS t WHERE t.pipeline_id = p.id;
  DELETE FROM millrace.pipeline_topic AS t WHERE t.pipeline_id = p.id;
  DELETE FROM millrace.pipeline_version AS v WHERE v.pipeline_id = p.id;
  DELETE FROM millrace.pipeline AS c WHERE c.id = p.id;
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._drop_pipeline(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._drop_pipeline(regrole, text, boolean) IS 'Internal: drop_pipeline for a role.';

CREATE FUNCTION millrace.drop_pipeline(pipeline text, discard_dead_letters boolean DEFAULT false) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.drop_pipeline(text, boolean) IS
'Drops a pipeline, its positions and its staged events; returns when the batch in flight has ended. The target stays.
In: pipeline; discard_dead_letters: true to drop its dead letters, and what waits to be tried again, too.
Out: nothing.
Errors: undefined_object for an unknown pipeline; dependent_objects_still_exist while it has dead letters that are neither replayed nor discarded, or events to try again; insufficient_privilege unless the caller is the owner or a member of it.';
