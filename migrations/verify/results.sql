-- Verify weather:results on pg

BEGIN;

SELECT station, month, mean_temp_c FROM weather_monthly WHERE false;
SELECT station, observations, mean_temp_c FROM weather_by_station WHERE false;

ROLLBACK;
