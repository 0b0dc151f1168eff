-- Verify events:events on pg

BEGIN;

SELECT id, type, source, site, time, value, unit, note, topic, partition, "offset", xid FROM events WHERE false;
SELECT 1 / (round((86 * factor + shift)::numeric, 6) = 30)::integer FROM event_unit WHERE unit = 'F';
SELECT 1 / (has_table_privilege('events_owner', 'events', 'INSERT') AND has_table_privilege('millrace_api', 'events', 'SELECT')
            AND NOT has_table_privilege('millrace_api', 'events', 'INSERT'))::integer;
SELECT 1 / (count(*) = 12 AND count(*) FILTER (WHERE use = 'xid') = 1)::integer FROM millrace.served_columns('events', 'id', 'time');

ROLLBACK;
