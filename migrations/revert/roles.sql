-- Revert weather:roles from pg
-- Takes back what the roles were granted here; a role that another database still needs stays.

BEGIN;

SELECT millrace.revoke_topics('weather_owner');
DROP OWNED BY millrace_ingestor, weather_owner, weather_reader;

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['millrace_ingestor', 'weather_owner', 'weather_reader']
  LOOP
    BEGIN
      EXECUTE format('DROP ROLE %I', role);
    EXCEPTION WHEN dependent_objects_still_exist THEN
      RAISE NOTICE 'role "%" stays: another database needs it', role;
    END;
  END LOOP;
END $$;

COMMIT;
