-- Verify weather:temperature on pg

BEGIN;

SELECT 1 / count(*) FROM millrace.windows AS w JOIN millrace.pipelines AS p ON p.name = w.pipeline
WHERE w.name = 'temperature_by_day' AND p.name = 'temperature' AND p.target = 'temperature'::regclass;
SELECT station, window_start, mean FROM millrace.window_temperature_by_day WHERE false;

ROLLBACK;
