-- Revert weather:weather from pg

BEGIN;

DROP TABLE weather;
DROP TABLE unit;

COMMIT;
