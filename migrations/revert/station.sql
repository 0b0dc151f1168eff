-- Revert weather:station from pg

BEGIN;

DROP TABLE station;

COMMIT;
