-- Verify weather:pipeline on pg

BEGIN;

SELECT 1 / count(*) FROM millrace.pipelines
WHERE name = 'weather' AND topic = 'weather' AND owner = 'weather_owner'::regrole AND target = 'weather'::regclass;

ROLLBACK;
