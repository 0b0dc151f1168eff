-- Revert events:roles from pg
-- Takes back what the roles were granted here; a role that another database or project still needs stays.

BEGIN;

SELECT millrace.revoke_topics('events_owner');
DROP OWNED BY events_owner, millrace_api;

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['events_owner', 'millrace_api']
  LOOP
    BEGIN
      EXECUTE format('DROP ROLE %I', role);
    EXCEPTION WHEN dependent_objects_still_exist THEN
      RAISE NOTICE 'role "%" stays: another database needs it', role;
    END;
  END LOOP;
END $$;

COMMIT;
