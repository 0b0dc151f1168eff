-- Revert weather:results from pg

BEGIN;

DROP VIEW weather_by_station;
DROP VIEW weather_monthly;

COMMIT;
