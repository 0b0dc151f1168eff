-- pause, resume, adopt: whether a pipeline runs here; stop_workers, start_workers: whether any pipeline of this database does.

CREATE FUNCTION millrace._pause(caller regrole, pipeline text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._lock_owned(caller, pipeline);
BEGIN
  UPDATE millrace.pipeline AS c SET state = 'paused' WHERE c.id = p.id AND c.state <> 'paused';
  IF FOUND THEN
    INSERT INTO millrace.pipeline_change (pipeline_id, verb, by) VALUES (p.id, 'pause', caller::text);
  END IF;
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._pause(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._pause(regrole, text) IS 'Internal: pause for a role.';

CREATE FUNCTION millrace.pause(pipeline text) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.pause(text) IS
'Pauses a pipeline; returns when the batch in flight has ended. Staging fills up to its bound, then events wait in Kafka. It is recorded in millrace.pipeline_changes.
In: pipeline. Out: nothing; pausing a paused pipeline does nothing.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the caller is the owner or a member of it.';

CREATE FUNCTION millrace._resume(caller regrole, pipeline text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._lock_owned(caller, pipeline);
  t integer;
  changed boolean := false;
BEGIN
  FOR t IN SELECT s.partition FROM millrace.partition AS s WHERE s.pipeline_id = p.id AND s.state = 'stopped'
           ORDER BY s.partition
  LOOP
    changed := true;
    PERFORM millrace._lock_partition(p.id, t);
    PERFORM millrace._restart_partition(p.id, t, (SELECT s.seek_ts FROM millrace.partition AS s
                                                  WHERE s.pipeline_id = p.id AND s.partition = t));
  END LOOP;
  DELETE FROM millrace.crash AS k WHERE k.pipeline_id = p.id;
  UPDATE millrace.pipeline AS c SET state = 'running' WHERE c.id = p.id AND c.state <> 'running';
  IF FOUND THEN
    changed := true;
    PERFORM millrace._warn_of_shortages(pipeline);
  END IF;
  IF changed THEN
    INSERT INTO millrace.pipeline_change (pipeline_id, verb, by) VALUES (p.id, 'resume', caller::text);
  END IF;
  PERFORM millrace._probe(p.id);
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._resume(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._resume(regrole, text) IS 'Internal: resume for a role.';

CREATE FUNCTION millrace.resume(pipeline text) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.resume(text) IS
'Runs a paused pipeline again, restarts its stopped partitions at their positions, and tries a batch at once where the circuit breaker is open or retries are held back. Where a partition stopped because Kafka no longer has its position, it stops again: use skip_to() or rewind(). What changes something is recorded in millrace.pipeline_changes.
In: pipeline. Out: nothing; resuming a running pipeline whose breaker is closed does nothing.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the caller is the owner or a member of it.';

CREATE FUNCTION millrace._adopt(caller regrole, pipeline text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._lock_owned(caller, pipeline, foreign_too => true);
  d millrace.pipeline_version;
  t integer;
BEGIN
  IF p.instance = millrace._instance() THEN
    RAISE EXCEPTION 'pipeline "%" already belongs to this installation', pipeline
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('To run it: SELECT millrace.resume(%L);', pipeline);
  END IF;
  -- owner and target may differ here
  SELECT * INTO STRICT d FROM millrace.pipeline_version AS v WHERE v.pipeline_id = p.id AND v.version = p.version;
  PERFORM millrace._check_owner(p.owner, true);
  PERFORM millrace._check_version(p.owner, d);
  FOR t IN SELECT s.partition FROM millrace.partition AS s WHERE s.pipeline_id = p.id ORDER BY s.partition
  LOOP
    PERFORM millrace._lock_partition(p.id, t);
    UPDATE millrace.partition AS s SET epoch = millrace._random_epoch(), lane = NULL
    WHERE s.pipeline_id = p.id AND s.partition = t;
  END LOOP;
  UPDATE millrace.pipeline AS c SET instance = millrace._instance() WHERE c.id = p.id;
  PERFORM millrace._check_grants(p.id);
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._adopt(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._adopt(regrole, text) IS 'Internal: adopt for a role.';

CREATE FUNCTION millrace.adopt(pipeline text) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.adopt(text) IS
'Takes over a pipeline that was restored from a dump or copied with a database: it then runs here, from the positions restored with it. Make sure that it no longer runs there.
In: pipeline. Out: nothing.
Errors: object_not_in_prerequisite_state when it is not foreign; those of create_pipeline when owner or target are no longer valid; insufficient_privilege unless the caller is the owner or a member of it.';

-- stop_workers, start_workers: for DROP DATABASE, ALTER DATABASE … RENAME, CREATE DATABASE … TEMPLATE, which need a database
-- nobody is connected to.

CREATE FUNCTION millrace._check_database_owner(caller regrole) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF NOT pg_has_role(caller, (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()), 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of database "%"', current_database()
      USING ERRCODE = 'insufficient_privilege', HINT = 'Pipelines of your own can be paused with millrace.pause().';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_database_owner(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_database_owner(regrole) IS 'Internal: refuses a role that does not own this database.';

CREATE FUNCTION millrace._stop_workers(caller regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._check_database_owner(caller);
  PERFORM millrace._hold(true);
  FOR i IN 1 .. 1500 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = current_database()
                          AND a.backend_type IN ('millrace worker', 'millrace supervisor'));
    IF i = 1500 THEN
      RAISE WARNING 'workers of database "%" have not ended within 30 s', current_database()
        USING HINT = 'A batch in flight is ended by its statement_timeout; see pg_stat_activity.';
    END IF;
    PERFORM pg_sleep(0.02);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._stop_workers(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._stop_workers(regrole) IS 'Internal: stop_workers for a role.';

CREATE FUNCTION millrace.stop_workers() RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.stop_workers() IS
'Stops all workers of this database, immediately and whether or not the transaction commits, until start_workers() or a restart of the server. Returns when they have ended.
In: nothing. Out: nothing.
Errors: insufficient_privilege unless the caller owns the database; those of a server without millrace preloaded.';

CREATE FUNCTION millrace._start_workers(caller regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._check_database_owner(caller);
  PERFORM millrace._hold(false);
END $$;
REVOKE ALL ON FUNCTION millrace._start_workers(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._start_workers(regrole) IS 'Internal: start_workers for a role.';

CREATE FUNCTION millrace.start_workers() RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.start_workers() IS
'Starts the workers of this database again after stop_workers().
In: nothing. Out: nothing.
Errors: insufficient_privilege unless the caller owns the database; those of a server without millrace preloaded.';
