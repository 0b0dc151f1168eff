-- Verify events:roles on pg

BEGIN;

SELECT 1 / (count(*) = 3 AND bool_and(has_database_privilege(oid, current_database(), 'CONNECT')))::integer
FROM pg_roles WHERE rolname IN ('millrace_ingestor', 'events_owner', 'millrace_api');
SELECT 1 / has_function_privilege('millrace_ingestor', 'millrace.ingestor_pipelines()', 'EXECUTE')::integer;
SELECT 1 / has_function_privilege('millrace_api', 'millrace.shows_all_pipelines()', 'EXECUTE')::integer;
SELECT 1 / (count(*) = 2)::integer FROM millrace.topic_grants WHERE role = 'events_owner'::regrole;

ROLLBACK;
