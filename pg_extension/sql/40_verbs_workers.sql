-- stop_workers, start_workers: for DROP DATABASE, ALTER DATABASE … RENAME, CREATE DATABASE … TEMPLATE, which need a database
-- nobody is connected to.

CREATE FUNCTION millrace._check_database_owner(caller regrole) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT pg_has_role(caller, (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()), 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of database "%"', current_database()
      USING ERRCODE = 'insufficient_privilege', HINT = 'To hold a pipeline of your own: SELECT millrace.pause(…);';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_database_owner(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_database_owner(regrole) IS 'Internal: refuses whoever does not own this database.';

CREATE FUNCTION millrace._stop_workers(caller regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
'Sends all workers of this database away, at once and whether or not the transaction commits, until start_workers() or a restart of the server. Returns when they have ended.
In: nothing. Out: nothing.
Errors: insufficient_privilege unless the caller owns the database; those of a server without millrace preloaded.';

CREATE FUNCTION millrace._start_workers(caller regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM millrace._check_database_owner(caller);
  PERFORM millrace._hold(false);
END $$;
REVOKE ALL ON FUNCTION millrace._start_workers(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._start_workers(regrole) IS 'Internal: start_workers for a role.';

CREATE FUNCTION millrace.start_workers() RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.start_workers() IS
'Lets the workers of this database come back after stop_workers().
In: nothing. Out: nothing.
Errors: insufficient_privilege unless the caller owns the database; those of a server without millrace preloaded.';
