-- Revert weather:pipeline from pg

BEGIN;

SELECT millrace.drop_pipeline('weather', discard_dead_letters => true);

COMMIT;
