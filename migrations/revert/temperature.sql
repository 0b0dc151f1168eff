-- Revert weather:temperature from pg

BEGIN;

SELECT millrace.drop_window('temperature_by_day');
SELECT millrace.drop_pipeline('temperature', discard_dead_letters => true);
DROP TABLE temperature;

COMMIT;
