-- Verify weather:station on pg

BEGIN;

SELECT 1 / (count(*) = 3)::integer FROM station WHERE code IN ('EWR', 'JFK', 'LGA') AND altitude_m BETWEEN 3 AND 8;
SELECT 1 / has_table_privilege('weather_owner', 'station', 'SELECT')::integer;

ROLLBACK;
