-- Who sees the state of pipelines of other owners: members of pg_monitor, and whoever may execute this.

CREATE FUNCTION millrace.shows_all_pipelines() RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT true $$;
REVOKE ALL ON FUNCTION millrace.shows_all_pipelines() FROM PUBLIC;
COMMENT ON FUNCTION millrace.shows_all_pipelines() IS
'A mark: roles with EXECUTE on it see the state of all pipelines, as members of pg_monitor do, and nothing else of the server. grant_api() grants it.
Out: true. Errors: insufficient_privilege for all others.';
