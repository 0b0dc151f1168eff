-- Verify weather:weather on pg

BEGIN;

SELECT station, observed_at, quantity, value, unit, event_id FROM weather WHERE false;
SELECT 1 / (round((50 * factor + shift)::numeric, 6) = 10)::integer FROM unit WHERE unit = 'F';
SELECT 1 / (has_table_privilege('weather_owner', 'weather', 'INSERT')
            AND NOT has_table_privilege('weather_reader', 'weather', 'INSERT'))::integer;

ROLLBACK;
