-- Deploy events:pipeline to pg
-- Takes what POST /events publishes (CloudEvents with a text such as 30C as data), and events of other producers: type or
-- eventType, data or eventData (a text, a number, anything), or value and unit, ts or time (which the API adds).

BEGIN;

SET LOCAL ROLE events_owner;

SELECT millrace.create_pipeline(
  'events',
  topic     => 'events',
  fields    => $$
    id          text,
    type        text,
    "eventType" text,
    source      text,
    time        timestamptz,
    ts          timestamptz,
    data        jsonb,
    "eventData" jsonb,
    value       double precision,
    unit        text
  $$,
  transform => $$
    SELECT CASE
             WHEN event.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN event.id::uuid
             WHEN event.id IS NOT NULL THEN md5(concat_ws(E'\x1f', event.source, event.id))::uuid
             ELSE md5(concat_ws(':', event.topic, event.partition, event."offset"))::uuid
           END                                                    AS id,
           coalesce(event.type, event."eventType")                AS type,
           coalesce(event.source, '/events')                      AS source,
           event_source.site,
           coalesce(event.ts, event.time, event.kafka_ts)         AS time,
           CASE WHEN event_unit.unit IS NULL THEN reading.number
                ELSE round((reading.number * event_unit.factor + event_unit.shift)::numeric, 6)::double precision
           END                                                    AS value,
           coalesce(event_unit.kept, reading.unit)                AS unit,
           CASE WHEN reading.number IS NULL THEN reading.text END AS note,
           event.topic, event.partition, event."offset"
    FROM event
    CROSS JOIN LATERAL (SELECT coalesce(event.data, event."eventData") #>> '{}' AS text) AS content
    CROSS JOIN LATERAL (
      SELECT regexp_match(content.text, '^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d.+-][^\s\d]{0,15})?\s*$') AS part) AS parsed
    CROSS JOIN LATERAL (
      SELECT content.text,
             coalesce(event.value, parsed.part[1]::double precision) AS number,
             CASE WHEN event.value IS NOT NULL OR parsed.part IS NOT NULL THEN coalesce(event.unit, parsed.part[2]) END AS unit) AS reading
    LEFT JOIN event_source ON event_source.source = event.source
    LEFT JOIN event_unit ON event_unit.unit = reading.unit
    WHERE lower(coalesce(event.type, event."eventType", '')) <> 'heartbeat'
  $$,
  target       => 'events',
  on_conflict  => 'ignore',
  conflict_key => ARRAY['id'],
  type_field   => 'type',
  search_path  => 'public');

RESET ROLE;

COMMIT;
