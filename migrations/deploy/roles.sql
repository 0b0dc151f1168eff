-- Deploy weather:roles to pg
-- Roles belong to the whole cluster: those that are there already (another database has the application too) are
-- taken as they are. None has a password; give one, or map them in pg_hba.conf, where connections need it.

BEGIN;

DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('millrace_ingestor', 'LOGIN', 'moves events from Kafka into Millrace''s staging'),
      ('weather_owner', 'LOGIN', 'owns pipeline weather; its workers'' sessions run as this role'),
      ('weather_reader', 'NOLOGIN', 'reads the weather; grant it to whoever may')) AS r (name, login, purpose)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
      EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.login);
      EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.name, wanted.purpose);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted.name);
  END LOOP;
END $$;

SELECT millrace.grant_ingestor('millrace_ingestor');
SELECT millrace.grant_topics('weather_owner', read => '{weather}', dlq => '{weather.dlq}');
GRANT USAGE ON SCHEMA public TO weather_owner, weather_reader;

COMMIT;
