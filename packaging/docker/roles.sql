-- What the containers of the stack log in as; the working directory has their passwords, which no log of the server gets.
SET client_min_messages = warning;
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
ALTER EXTENSION millrace UPDATE;

SELECT 'CREATE ROLE monitor LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
COMMENT ON ROLE monitor IS 'postgres_exporter';
GRANT pg_monitor TO monitor;

\set password `cat millrace_ingestor`
ALTER ROLE millrace_ingestor PASSWORD :'password';
\set password `cat millrace_api`
ALTER ROLE millrace_api PASSWORD :'password';
\set password `cat events_owner`
ALTER ROLE events_owner PASSWORD :'password';
\set password `cat monitor`
ALTER ROLE monitor PASSWORD :'password';
