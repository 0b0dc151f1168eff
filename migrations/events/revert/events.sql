-- Revert events:events from pg

BEGIN;

DROP TABLE events;
DROP TABLE event_source;
DROP TABLE event_unit;

COMMIT;
