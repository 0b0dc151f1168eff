-- Deploy events:roles to pg
-- Roles belong to the whole cluster: those that are there already are taken as they are. None has a password; give one,
-- or map them in pg_hba.conf, where connections need it.

BEGIN;

DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('millrace_ingestor', 'moves events from Kafka into Millrace''s staging'),
      ('events_owner', 'owns pipeline events; its workers'' sessions run as this role'),
      ('millrace_api', 'serves the HTTP API')) AS r (name, purpose)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', wanted.name);
      EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.name, wanted.purpose);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted.name);
  END LOOP;
END $$;

SELECT millrace.grant_ingestor('millrace_ingestor'), millrace.grant_api('millrace_api');
SELECT millrace.grant_topics('events_owner', read => '{events}', dlq => '{events.dlq}');
GRANT USAGE ON SCHEMA public TO events_owner, millrace_api;

COMMIT;
