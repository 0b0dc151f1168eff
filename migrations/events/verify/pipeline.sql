-- Verify events:pipeline on pg

BEGIN;

SELECT 1 / count(*) FROM millrace.pipelines
WHERE name = 'events' AND topic = 'events' AND owner = 'events_owner'::regrole AND target = 'events'::regclass;

ROLLBACK;
