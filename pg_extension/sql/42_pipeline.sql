-- create_pipeline, alter_pipeline, drop_pipeline. Each verb is two functions: the public one is C (mr_verb), takes
-- the calling role and hands it, with the arguments, to the one of the same name behind an underscore, which runs
-- as the extension's owner. So nobody needs rights on the catalogue, and the caller's rights are what is checked.

-- `foreign_too` is for the verbs that work on a restored stranger.
CREATE FUNCTION millrace._owned(caller regrole, name text, foreign_too boolean DEFAULT false) RETURNS millrace.pipeline
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p millrace.pipeline;
BEGIN
  PERFORM millrace._check_given(ARRAY['name'], ARRAY[name IS NULL]);
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.name = _owned.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" does not exist', name
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM millrace.pipelines; lists the pipelines.';
  END IF;
  IF NOT pg_has_role(caller, p.owner::oid, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of pipeline "%"', name
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('It belongs to "%s", and "%s" is not a member of that role.', p.owner, caller),
            HINT = format('Run it as the owner (SET ROLE %s), or ask to become a member.', p.owner);
  END IF;
  IF p.instance <> millrace._instance() AND NOT foreign_too THEN
    RAISE EXCEPTION 'pipeline "%" belongs to another installation', name
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It came here in a dump or a copy of another database, where it may still be running.',
            HINT = format('To run it here, and no longer there: SELECT millrace.adopt(%L);', name);
  END IF;
  RETURN p;
END $$;
REVOKE ALL ON FUNCTION millrace._owned(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._owned(regrole, text, boolean) IS 'Internal: finds a pipeline the caller may change.';

-- The same, locked against its workers and other verbs until the end of the transaction: whoever has this row
-- knows that no batch is in flight.
CREATE FUNCTION millrace._lock_owned(caller regrole, name text, foreign_too boolean DEFAULT false)
RETURNS millrace.pipeline
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p millrace.pipeline;
BEGIN
  PERFORM millrace._check_given(ARRAY['name'], ARRAY[name IS NULL]);
  -- an older snapshot would show positions from before the lock
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'pipelines cannot be changed in a % transaction', current_setting('transaction_isolation')
      USING ERRCODE = 'active_sql_transaction',
            HINT = 'Run: BEGIN ISOLATION LEVEL READ COMMITTED;';
  END IF;
  p := millrace._owned(caller, name, foreign_too);
  PERFORM millrace._lock_pipeline(p.id);
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.id = p.id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" was dropped meanwhile', name USING ERRCODE = 'undefined_object';
  END IF;
  RETURN p;
END $$;
REVOKE ALL ON FUNCTION millrace._lock_owned(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_owned(regrole, text, boolean) IS 'Internal: finds and locks a pipeline the caller may change.';

CREATE FUNCTION millrace._create_pipeline(
  caller regrole, name text, topic text, transform text, target regclass, fields text, start_at text,
  on_conflict text, conflict_key text[], newer_by text, tombstone text, workers integer, batch_rows integer,
  rows_per_event integer, statement_timeout interval, paused boolean, allow_superuser boolean, search_path text,
  max_retries integer, retry_delay interval, retry_factor float8, retry_max_delay interval, retry_jitter float8,
  retry_age interval, failure_share float8, failure_window integer, ordering text, on_dead text, max_parked integer,
  max_parked_per_key integer, dlq text, dlq_delivery text)
RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  d  millrace.pipeline_version;
  id integer;
BEGIN
  PERFORM millrace._check_given(
    ARRAY['name', 'topic', 'transform', 'target', 'start_at', 'on_conflict', 'workers', 'batch_rows',
          'rows_per_event', 'statement_timeout', 'paused', 'allow_superuser', 'search_path', 'max_retries', 'retry_delay',
          'retry_factor', 'retry_max_delay', 'retry_jitter', 'retry_age', 'failure_window', 'ordering', 'on_dead',
          'max_parked', 'max_parked_per_key', 'dlq_delivery'],
    ARRAY[name IS NULL, topic IS NULL, transform IS NULL, target IS NULL, start_at IS NULL, on_conflict IS NULL,
          workers IS NULL, batch_rows IS NULL, rows_per_event IS NULL, statement_timeout IS NULL, paused IS NULL,
          allow_superuser IS NULL, search_path IS NULL, max_retries IS NULL, retry_delay IS NULL, retry_factor IS NULL,
          retry_max_delay IS NULL, retry_jitter IS NULL, retry_age IS NULL, failure_window IS NULL,
          ordering IS NULL, on_dead IS NULL, max_parked IS NULL, max_parked_per_key IS NULL, dlq_delivery IS NULL]);
  IF getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'encoding of database "%" is %, expected UTF8', current_database(), getdatabaseencoding()
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'JSON events are UTF-8, and are read without a conversion.',
            HINT = 'Create a database: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0;';
  END IF;
  PERFORM millrace._check_name(name);
  IF EXISTS (SELECT FROM millrace.pipeline AS p WHERE p.name = _create_pipeline.name) THEN
    RAISE EXCEPTION 'pipeline "%" already exists', name
      USING ERRCODE = 'duplicate_object',
            HINT = format('Change it by millrace.alter_pipeline(%1$L, …), or drop it by millrace.drop_pipeline(%1$L).', name);
  END IF;
  PERFORM millrace._check_topic(topic);
  tombstone := coalesce(tombstone, CASE on_conflict WHEN 'update' THEN 'skip' ELSE 'dead_letter' END);
  PERFORM millrace._check_settings(workers, on_conflict, tombstone, batch_rows, rows_per_event);
  PERFORM millrace._check_failures(max_retries, retry_factor, retry_jitter, failure_share, failure_window);
  PERFORM millrace._check_ordering(ordering, on_dead, max_parked, max_parked_per_key);
  PERFORM millrace._check_owner(caller, allow_superuser);

  INSERT INTO millrace.pipeline AS p (name, instance, owner, topic, start_at, workers, state, version)
  VALUES (name, millrace._instance(), caller, topic, millrace._start_at(start_at), workers,
          CASE WHEN paused THEN 'paused' ELSE 'running' END, 1)
  RETURNING p.id INTO id;
  INSERT INTO millrace.pipeline_version AS v
    (pipeline_id, version, fields, transform, target, on_conflict, conflict_key, newer_by, tombstone,
     batch_rows, rows_per_event, statement_timeout, search_path, max_retries, retry_delay, retry_factor,
     retry_max_delay, retry_jitter, retry_age, failure_share, failure_window, ordering, on_dead, max_parked,
     max_parked_per_key, created_by)
  VALUES
    (id, 1, nullif(btrim(fields), ''), transform, target, on_conflict, nullif(conflict_key, '{}'), nullif(newer_by, ''),
     tombstone, batch_rows, rows_per_event, millrace._timeout_ms(statement_timeout), search_path, max_retries,
     millrace._interval_ms('retry_delay', retry_delay, '0', '1 day'), retry_factor,
     millrace._interval_ms('retry_max_delay', retry_max_delay, '0', '1 day'), retry_jitter,
     millrace._interval_ms('retry_age', retry_age, '0', '24 days'), nullif(failure_share, 0), failure_window, ordering, on_dead,
     max_parked, max_parked_per_key, caller)
  RETURNING v.* INTO d;
  PERFORM millrace._check_version(caller, d);
  PERFORM millrace._set_dlq(id, coalesce(dlq, topic || '.dlq'), dlq_delivery);

  IF NOT millrace._preloaded() THEN
    RAISE WARNING 'pipeline "%" is created, but nothing runs it: millrace is not preloaded', name
      USING HINT = 'Add millrace to shared_preload_libraries in postgresql.conf and restart the server.';
  END IF;
  PERFORM millrace._wake();
  RETURN id;
END $$;
REVOKE ALL ON FUNCTION millrace._create_pipeline(regrole, text, text, text, regclass, text, text, text, text[], text,
  text, integer, integer, integer, interval, boolean, boolean, text, integer, interval, float8, interval, float8,
  interval, float8, integer, text, text, integer, integer, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._create_pipeline(regrole, text, text, text, regclass, text, text, text, text[], text,
  text, integer, integer, integer, interval, boolean, boolean, text, integer, interval, float8, interval, float8,
  interval, float8, integer, text, text, integer, integer, text, text) IS 'Internal: create_pipeline for a role.';

-- search_path: a default is computed in the caller's session, before this function pins its own.
CREATE FUNCTION millrace.create_pipeline(
  name              text,
  topic             text,
  transform         text,
  target            regclass,
  fields            text     DEFAULT NULL,
  start_at          text     DEFAULT 'earliest',
  on_conflict       text     DEFAULT 'error',
  conflict_key      text[]   DEFAULT NULL,
  newer_by          text     DEFAULT NULL,
  tombstone         text     DEFAULT NULL,
  workers           integer  DEFAULT 1,
  batch_rows        integer  DEFAULT 20000,
  rows_per_event    integer  DEFAULT 10000,
  statement_timeout interval DEFAULT '60 s',
  paused            boolean  DEFAULT false,
  allow_superuser   boolean  DEFAULT false,
  search_path       text     DEFAULT pg_catalog.current_setting('search_path'),
  max_retries       integer  DEFAULT 3,
  retry_delay       interval DEFAULT '1 s',
  retry_factor      float8   DEFAULT 2,
  retry_max_delay   interval DEFAULT '1 min',
  retry_jitter      float8   DEFAULT 0.2,
  retry_age         interval DEFAULT '1 day',
  failure_share     float8   DEFAULT NULL,
  failure_window    integer  DEFAULT 1000,
  ordering          text     DEFAULT 'none',
  on_dead           text     DEFAULT 'release',
  max_parked        integer  DEFAULT 10000,
  max_parked_per_key integer DEFAULT 1000,
  dlq               text     DEFAULT NULL,
  dlq_delivery      text     DEFAULT 'exactly_once')
RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.create_pipeline(text, text, text, regclass, text, text, text, text[], text, text, integer,
  integer, integer, interval, boolean, boolean, text, integer, interval, float8, interval, float8, interval, float8,
  integer, text, text, integer, integer, text, text) IS
'Creates a pipeline, owned by the caller, that writes what `transform` makes of the events of Kafka topic `topic` into `target`.
In: name; topic; transform: one SELECT over the relation event, its output columns named as columns of the target; target: an ordinary or partitioned table; fields: columns to read from the JSON payload, e.g. ''id bigint NOT NULL, station text PATH ''''$.source'''' ''; start_at: earliest, latest or a time, for the first start; on_conflict: error, ignore or update, with conflict_key (the columns of a unique index) and newer_by (a row with a smaller value of this column does not replace one); tombstone (null payload): dead_letter or skip, by default skip for on_conflict update; workers: how many work in parallel; batch_rows: most events in one commit; rows_per_event: most rows one event may give; statement_timeout: for each statement over a batch, 0 for none; paused: true to resume() it later; allow_superuser: true to let a superuser own it; search_path: for the transform, by default the session''s; max_retries, retry_delay, retry_factor, retry_max_delay, retry_jitter: how often a failing event is tried again, and after how long (each delay retry_factor times the one before, moved by up to the share retry_jitter); retry_age: since the first failure, 0 for any; failure_share: share of the last failure_window events above which the circuit breaker opens; ordering: key lets later events of a failing key (of its partition) wait behind it, none lets them pass; on_dead: release lets them go on when it becomes a dead letter, hold when that is replayed or discarded; max_parked, max_parked_per_key: events that may wait so before the pipeline does; dlq: Kafka topic that gets the dead letters, by default the topic''s name and .dlq, off for none; dlq_delivery: exactly_once, or at_least_once for brokers without transactions.
Out: id of the pipeline.
Errors: each wrong argument, with a hint; the position of a mistake in fields or transform; duplicate_object when the name is taken; insufficient_privilege when the caller cannot write the target, log in or connect.';

CREATE FUNCTION millrace._alter_pipeline(
  caller regrole, name text, transform text, target regclass, fields text, on_conflict text, conflict_key text[],
  newer_by text, tombstone text, workers integer, batch_rows integer, rows_per_event integer,
  statement_timeout interval, search_path text, owner regrole, allow_superuser boolean, max_retries integer,
  retry_delay interval, retry_factor float8, retry_max_delay interval, retry_jitter float8, retry_age interval,
  failure_share float8, failure_window integer, ordering text, on_dead text, max_parked integer,
  max_parked_per_key integer, dlq text, dlq_delivery text)
RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p   millrace.pipeline := millrace._lock_owned(caller, name);
  old millrace.pipeline_version;
  d   millrace.pipeline_version;
  changed boolean := num_nonnulls(transform, target, fields, on_conflict, conflict_key, newer_by, tombstone, batch_rows,
                                  rows_per_event, statement_timeout, search_path, max_retries, retry_delay, retry_factor,
                                  retry_max_delay, retry_jitter, retry_age, failure_share, failure_window, ordering, on_dead,
                                  max_parked, max_parked_per_key) > 0;
BEGIN
  IF NOT changed AND num_nonnulls(owner, workers, dlq, dlq_delivery) = 0 THEN
    RAISE EXCEPTION 'nothing to change in pipeline "%"', name
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Name what to change: SELECT millrace.alter_pipeline(%L, batch_rows => 1000);', name);
  END IF;
  SELECT * INTO STRICT old FROM millrace.pipeline_version AS v WHERE v.pipeline_id = p.id AND v.version = p.version;
  IF owner IS NOT NULL AND NOT pg_has_role(caller, owner::oid, 'USAGE') THEN
    RAISE EXCEPTION 'must be member of role "%" to make it the owner', owner
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('Ask a superuser, or: GRANT %s TO %s;', owner, caller);
  END IF;
  owner := coalesce(owner, p.owner);
  workers := coalesce(workers, p.workers);
  on_conflict := coalesce(on_conflict, old.on_conflict);
  PERFORM millrace._check_settings(workers, on_conflict, coalesce(tombstone, old.tombstone),
                                   coalesce(batch_rows, old.batch_rows), coalesce(rows_per_event, old.rows_per_event));
  PERFORM millrace._check_failures(max_retries, retry_factor, retry_jitter, failure_share, failure_window);
  PERFORM millrace._check_ordering(ordering, on_dead, max_parked, max_parked_per_key);
  -- a superuser who owns it already was allowed when it was created
  PERFORM millrace._check_owner(owner, allow_superuser OR owner = p.owner);
  IF changed THEN
    INSERT INTO millrace.pipeline_version AS v
      (pipeline_id, version, fields, transform, target, on_conflict, conflict_key, newer_by, tombstone,
       batch_rows, rows_per_event, statement_timeout, search_path, max_retries, retry_delay, retry_factor,
       retry_max_delay, retry_jitter, retry_age, failure_share, failure_window, ordering, on_dead, max_parked,
       max_parked_per_key, created_by)
    VALUES
      (p.id, old.version + 1, nullif(btrim(coalesce(fields, old.fields)), ''), coalesce(transform, old.transform),
       coalesce(target, old.target), on_conflict,
       -- what the new on_conflict has no use for goes with the old one, unless asked for by name (an error then)
       nullif(coalesce(conflict_key, CASE WHEN on_conflict <> 'error' THEN old.conflict_key END), '{}'),
       nullif(coalesce(newer_by, CASE WHEN on_conflict = 'update' THEN old.newer_by END), ''),
       coalesce(tombstone, old.tombstone), coalesce(batch_rows, old.batch_rows),
       coalesce(rows_per_event, old.rows_per_event),
       coalesce(millrace._timeout_ms(statement_timeout), old.statement_timeout),
       coalesce(search_path, old.search_path), coalesce(max_retries, old.max_retries),
       coalesce(millrace._interval_ms('retry_delay', retry_delay, '0', '1 day'), old.retry_delay),
       coalesce(retry_factor, old.retry_factor),
       coalesce(millrace._interval_ms('retry_max_delay', retry_max_delay, '0', '1 day'), old.retry_max_delay),
       coalesce(retry_jitter, old.retry_jitter),
       coalesce(millrace._interval_ms('retry_age', retry_age, '0', '24 days'), old.retry_age),
       nullif(coalesce(failure_share, old.failure_share), 0), coalesce(failure_window, old.failure_window),
       coalesce(ordering, old.ordering), coalesce(on_dead, old.on_dead), coalesce(max_parked, old.max_parked),
       coalesce(max_parked_per_key, old.max_parked_per_key), caller)
    RETURNING v.* INTO d;
  ELSE
    d := old;
  END IF;
  PERFORM millrace._check_version(owner, d);
  PERFORM millrace._set_dlq(p.id, dlq, dlq_delivery);
  IF (old.ordering, old.on_dead) IS DISTINCT FROM (d.ordering, d.on_dead) THEN
    PERFORM millrace._reorder(p, d.ordering, d.on_dead);
  END IF;
  UPDATE millrace.pipeline AS c SET owner = _alter_pipeline.owner, workers = _alter_pipeline.workers, version = d.version
  WHERE c.id = p.id;
  PERFORM millrace._wake();
  RETURN d.version;
END $$;
REVOKE ALL ON FUNCTION millrace._alter_pipeline(regrole, text, text, regclass, text, text, text[], text, text, integer,
  integer, integer, interval, text, regrole, boolean, integer, interval, float8, interval, float8, interval, float8,
  integer, text, text, integer, integer, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._alter_pipeline(regrole, text, text, regclass, text, text, text[], text, text, integer,
  integer, integer, interval, text, regrole, boolean, integer, interval, float8, interval, float8, interval, float8,
  integer, text, text, integer, integer, text, text) IS 'Internal: alter_pipeline for a role.';

CREATE FUNCTION millrace.alter_pipeline(
  name              text,
  transform         text     DEFAULT NULL,
  target            regclass DEFAULT NULL,
  fields            text     DEFAULT NULL,
  on_conflict       text     DEFAULT NULL,
  conflict_key      text[]   DEFAULT NULL,
  newer_by          text     DEFAULT NULL,
  tombstone         text     DEFAULT NULL,
  workers           integer  DEFAULT NULL,
  batch_rows        integer  DEFAULT NULL,
  rows_per_event    integer  DEFAULT NULL,
  statement_timeout interval DEFAULT NULL,
  search_path       text     DEFAULT NULL,
  owner             regrole  DEFAULT NULL,
  allow_superuser   boolean  DEFAULT false,
  max_retries       integer  DEFAULT NULL,
  retry_delay       interval DEFAULT NULL,
  retry_factor      float8   DEFAULT NULL,
  retry_max_delay   interval DEFAULT NULL,
  retry_jitter      float8   DEFAULT NULL,
  retry_age         interval DEFAULT NULL,
  failure_share     float8   DEFAULT NULL,
  failure_window    integer  DEFAULT NULL,
  ordering          text     DEFAULT NULL,
  on_dead           text     DEFAULT NULL,
  max_parked        integer  DEFAULT NULL,
  max_parked_per_key integer DEFAULT NULL,
  dlq               text     DEFAULT NULL,
  dlq_delivery      text     DEFAULT NULL)
RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.alter_pipeline(text, text, regclass, text, text, text[], text, text, integer, integer,
  integer, interval, text, regrole, boolean, integer, interval, float8, interval, float8, interval, float8, integer,
  text, text, integer, integer, text, text) IS
'Changes a pipeline; returns when the batch in flight has ended, and the next batch takes the change up. Topic and start are fixed: drop and create for another topic.
In: name, and what to change, as in create_pipeline; NULL leaves a thing as it is, '''' or ''{}'' takes fields, conflict_key or newer_by away, 0 failure_share; owner: the new owner, a role the caller is a member of; dlq: another topic gets all dead letters that are not published yet; ordering none, on_dead release: what waits for it goes on.
Out: the version now in force; a change of owner, workers, dlq or dlq_delivery alone makes no new one.
Errors: as create_pipeline; undefined_object for an unknown pipeline; insufficient_privilege unless the caller is the owner or a member of it.';

CREATE FUNCTION millrace._drop_pipeline(caller regrole, name text, discard_dead_letters boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p millrace.pipeline := millrace._lock_owned(caller, name, foreign_too => true);
BEGIN
  IF NOT coalesce(discard_dead_letters, false)
     AND (EXISTS (SELECT FROM millrace.dead_letter AS l
                  WHERE l.pipeline_id = p.id AND l.state NOT IN ('replayed', 'discarded'))
          OR EXISTS (SELECT FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state <> 'held'))
  THEN
    RAISE EXCEPTION 'pipeline "%" still has dead letters or events to try again', name
      USING ERRCODE = 'dependent_objects_still_exist',
            DETAIL = 'They are the only copy of these events once Kafka''s retention has passed them.',
            HINT = format('Look at millrace.dead_letters and millrace.retries; then: SELECT millrace.drop_pipeline(%L, discard_dead_letters => true);', name);
  END IF;
  PERFORM millrace._drop_lanes(p.id);
  DELETE FROM millrace.retry AS r WHERE r.pipeline_id = p.id;
  DELETE FROM millrace.dead_letter AS l WHERE l.pipeline_id = p.id;
  DELETE FROM millrace.dead_letter_action AS a WHERE a.pipeline_id = p.id;
  DELETE FROM millrace.error_class AS e WHERE e.pipeline_id = p.id;
  DELETE FROM millrace.breaker AS b WHERE b.pipeline_id = p.id;
  DELETE FROM millrace.crash_suspect AS s WHERE s.pipeline_id = p.id;
  DELETE FROM millrace.crash AS k WHERE k.pipeline_id = p.id;
  DELETE FROM millrace.dlq_scan AS s WHERE s.pipeline_id = p.id;
  DELETE FROM millrace.dlq AS q WHERE q.pipeline_id = p.id;
  DELETE FROM millrace.ingestor_report AS i WHERE i.pipeline_id = p.id;
  DELETE FROM millrace.watermark AS w WHERE w.pipeline_id = p.id;
  DELETE FROM millrace.position_change AS c WHERE c.pipeline_id = p.id;
  DELETE FROM millrace.progress AS g WHERE g.pipeline_id = p.id;
  DELETE FROM millrace.partition AS t WHERE t.pipeline_id = p.id;
  DELETE FROM millrace.pipeline_version AS v WHERE v.pipeline_id = p.id;
  DELETE FROM millrace.pipeline AS c WHERE c.id = p.id;
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._drop_pipeline(regrole, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._drop_pipeline(regrole, text, boolean) IS 'Internal: drop_pipeline for a role.';

CREATE FUNCTION millrace.drop_pipeline(name text, discard_dead_letters boolean DEFAULT false) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.drop_pipeline(text, boolean) IS
'Drops a pipeline, its positions and its staged events; returns when the batch in flight has ended. The target stays.
In: name; discard_dead_letters: true to drop its dead letters, and what waits to be tried again, too.
Out: nothing.
Errors: undefined_object for an unknown pipeline; dependent_objects_still_exist while it has dead letters that are neither replayed nor discarded, or events to try again; insufficient_privilege unless the caller is the owner or a member of it.';
