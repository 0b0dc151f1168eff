-- Who sees the state of pipelines of other owners: members of pg_monitor, and whoever may execute this.

CREATE FUNCTION millrace.shows_all_pipelines() RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT true $$;
REVOKE ALL ON FUNCTION millrace.shows_all_pipelines() FROM PUBLIC;
COMMENT ON FUNCTION millrace.shows_all_pipelines() IS
'A mark: roles with EXECUTE on it see the state of all pipelines, as members of pg_monitor do, and nothing else of the server. grant_api() grants it.
Out: true. Errors: insufficient_privilege for all others.';

-- The one place that decides it: for the reader of a view, and for a role that a verb was called by.
CREATE VIEW millrace._reader WITH (security_barrier) AS
SELECT pg_catalog.pg_has_role('pg_monitor', 'USAGE')
       OR pg_catalog.has_function_privilege('millrace.shows_all_pipelines()', 'EXECUTE') AS sees_all;
COMMENT ON VIEW millrace._reader IS 'Internal: whether the reader sees the state of all pipelines.';

CREATE FUNCTION millrace._sees_all(caller regrole) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN pg_has_role(caller, 'pg_monitor', 'USAGE') OR has_function_privilege(caller, 'millrace.shows_all_pipelines()', 'EXECUTE');
END $$;
REVOKE ALL ON FUNCTION millrace._sees_all(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._sees_all(regrole) IS 'Internal: whether a role sees the state of all pipelines.';
