-- Functions in C that verbs and views use. Internal: granted to nobody.

CREATE FUNCTION millrace._lock_pipeline(pipeline_id integer) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_pipeline';
REVOKE ALL ON FUNCTION millrace._lock_pipeline(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_pipeline(integer) IS 'Internal: waits for batches in flight, blocks new ones until commit.';

CREATE FUNCTION millrace._lock_owner(owner regrole) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_owner';
REVOKE ALL ON FUNCTION millrace._lock_owner(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_owner(regrole) IS 'Internal: one transaction at a time counts the workers of a role.';

CREATE FUNCTION millrace._lock_partition(pipeline_id integer, partition integer) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_partition';
REVOKE ALL ON FUNCTION millrace._lock_partition(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_partition(integer, integer) IS 'Internal: locks a partition''s position until commit. Take several in ascending order.';

CREATE FUNCTION millrace._try_lock_relay(pipeline_id integer, window_id integer) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_try_lock_relay';
REVOKE ALL ON FUNCTION millrace._try_lock_relay(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._try_lock_relay(integer, integer) IS 'Internal: makes this session the relay of a pipeline''s dead letters (0) or of a window until it ends; false when another session is.';

CREATE FUNCTION millrace._is_relay_free(pipeline_id integer, window_id integer) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_is_relay_free';
REVOKE ALL ON FUNCTION millrace._is_relay_free(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._is_relay_free(integer, integer) IS 'Internal: whether no session is the relay of a pipeline''s dead letters (0) or of a window at this moment.';

CREATE FUNCTION millrace._random_epoch() RETURNS bigint
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_random_epoch';
REVOKE ALL ON FUNCTION millrace._random_epoch() FROM PUBLIC;
COMMENT ON FUNCTION millrace._random_epoch() IS 'Internal: a cryptographically random 64-bit number.';

CREATE FUNCTION millrace._wake() RETURNS void
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_wake';
REVOKE ALL ON FUNCTION millrace._wake() FROM PUBLIC;
COMMENT ON FUNCTION millrace._wake() IS 'Internal: at commit, launcher, supervisor and workers read the catalogue.';

CREATE FUNCTION millrace._hold(hold boolean) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_hold';
REVOKE ALL ON FUNCTION millrace._hold(boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._hold(boolean) IS 'Internal: stops the workers of this database, or lets them start again.';

CREATE FUNCTION millrace._preloaded() RETURNS boolean
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_preloaded';
REVOKE ALL ON FUNCTION millrace._preloaded() FROM PUBLIC;
COMMENT ON FUNCTION millrace._preloaded() IS 'Internal: whether the server has loaded millrace at its start.';

CREATE FUNCTION millrace._library_version() RETURNS text
LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_library_version';
REVOKE ALL ON FUNCTION millrace._library_version() FROM PUBLIC;
COMMENT ON FUNCTION millrace._library_version() IS 'Internal: the version of the library that the server has loaded; it serves catalogues of that version only.';

CREATE FUNCTION millrace._incarnation() RETURNS bigint
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_incarnation';
REVOKE ALL ON FUNCTION millrace._incarnation() FROM PUBLIC;
COMMENT ON FUNCTION millrace._incarnation() IS 'Internal: random number of this life of the server; a different one means that staged events are gone.';

CREATE FUNCTION millrace._lanes()
RETURNS TABLE (lane_id integer, pipeline_id integer, writer_pid integer, worker_pid integer, segments_used integer,
               segments integer, bytes bigint, staged bigint, staged_events bigint, staged_bytes bigint)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lanes';
REVOKE ALL ON FUNCTION millrace._lanes() FROM PUBLIC;
COMMENT ON FUNCTION millrace._lanes() IS 'Internal: lanes in shared memory; staged counts batches that wait, staged_events and staged_bytes what is in them.';

CREATE FUNCTION millrace._workers()
RETURNS TABLE (pipeline_id integer, number integer, pid integer, started_at timestamptz, state text, batches bigint,
               last_error text, last_error_at timestamptz, waited double precision)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_workers';
REVOKE ALL ON FUNCTION millrace._workers() FROM PUBLIC;
COMMENT ON FUNCTION millrace._workers() IS 'Internal: workers in shared memory; waited: seconds for a process, null when it has one or needs none.';

CREATE FUNCTION millrace._check_definition(caller regrole, d millrace.pipeline_version) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_check_definition';
REVOKE ALL ON FUNCTION millrace._check_definition(regrole, millrace.pipeline_version) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_definition(regrole, millrace.pipeline_version) IS
'Internal: analyses a definition as its owner and raises the error found, with the position in the user''s text.';

CREATE FUNCTION millrace._instance() RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT i.id FROM millrace.instance AS i;
$$;
REVOKE ALL ON FUNCTION millrace._instance() FROM PUBLIC;
COMMENT ON FUNCTION millrace._instance() IS 'Internal: identity of this installation.';
