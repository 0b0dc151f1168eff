-- Revert events:pipeline from pg

BEGIN;

SELECT millrace.drop_pipeline('events', discard_dead_letters => true);

COMMIT;
