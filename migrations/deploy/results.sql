-- Deploy weather:results to pg

BEGIN;

CREATE VIEW weather_monthly AS
SELECT w.station, s.name, date_trunc('month', w.observed_at, 'UTC') AS month, count(*) AS observations,
       round(avg(w.value) FILTER (WHERE w.quantity = 'temp')::numeric, 1)       AS mean_temp_c,
       min(w.value) FILTER (WHERE w.quantity = 'temp')                          AS min_temp_c,
       max(w.value) FILTER (WHERE w.quantity = 'temp')                          AS max_temp_c,
       round(avg(w.value) FILTER (WHERE w.quantity = 'humid')::numeric, 1)      AS mean_humidity_percent,
       max(w.value) FILTER (WHERE w.quantity = 'wind_gust')                     AS max_gust_m_s,
       round(sum(w.value) FILTER (WHERE w.quantity = 'precip')::numeric, 1)     AS precipitation_mm,
       round(avg(w.value) FILTER (WHERE w.quantity = 'pressure')::numeric, 1)   AS mean_pressure_hpa
FROM weather AS w JOIN station AS s ON s.code = w.station
GROUP BY w.station, s.name, date_trunc('month', w.observed_at, 'UTC');
COMMENT ON VIEW weather_monthly IS 'The weather of each station and month.';

CREATE VIEW weather_by_station AS
SELECT w.station, s.name, s.latitude, s.longitude, s.altitude_m, count(*) AS observations,
       min(w.observed_at) AS first_at, max(w.observed_at) AS last_at,
       round(avg(w.value) FILTER (WHERE w.quantity = 'temp')::numeric, 1)       AS mean_temp_c,
       min(w.value) FILTER (WHERE w.quantity = 'temp')                          AS min_temp_c,
       max(w.value) FILTER (WHERE w.quantity = 'temp')                          AS max_temp_c,
       max(w.value) FILTER (WHERE w.quantity = 'wind_gust')                     AS max_gust_m_s,
       round(sum(w.value) FILTER (WHERE w.quantity = 'precip')::numeric, 1)     AS precipitation_mm
FROM weather AS w JOIN station AS s ON s.code = w.station
GROUP BY w.station, s.name, s.latitude, s.longitude, s.altitude_m;
COMMENT ON VIEW weather_by_station IS 'All that is known of each station''s weather, in one line.';

GRANT SELECT ON weather_monthly, weather_by_station TO weather_reader;

COMMIT;
