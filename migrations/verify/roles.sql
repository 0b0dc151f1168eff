-- Verify weather:roles on pg

BEGIN;

SELECT 1 / (CASE WHEN count(*) = 3 AND bool_and(has_database_privilege(oid, current_database(), 'CONNECT'))
                 THEN 1 ELSE 0 END)
FROM pg_roles WHERE rolname IN ('millrace_ingestor', 'weather_owner', 'weather_reader');

SELECT 1 / (has_function_privilege('millrace_ingestor', 'millrace.ingestor_pipelines()', 'EXECUTE'))::integer;

SELECT 1 / (count(*) = 2)::integer FROM millrace.topic_grants WHERE role = 'weather_owner'::regrole;

ROLLBACK;
