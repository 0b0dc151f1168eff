-- The setting `format`: what a message is around its JSON document. What envelopes may be, byte by byte, is in
-- tests/unit/pg_extension/decode/test_format_envelope.c; what comes of real messages, in tests/e2e/test_formats.py.
BEGIN;
\ir helper.psql
SELECT plan(42);
SET LOCAL timezone = 'UTC';

-- What comes of it, in one line: the object, or SQLSTATE and message.
CREATE FUNCTION pg_temp.outcome(format text, payload bytea, fields text DEFAULT 'id int') RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text;
BEGIN
  RETURN millrace.decode(fields, payload, format)::text;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
  RETURN state || ' ' || message;
END $$;

SELECT is(pg_temp.outcome(format, CASE WHEN payload LIKE '\\x%' THEN payload::bytea ELSE convert_to(payload, 'UTF8') END, fields), expected,
          format || ' ' || payload)
FROM (VALUES
  ('json', '{"id": 1}', 'id int', '{"id": 1}'),
  ('confluent-json', '\x00000000077b226964223a317d', 'id int', '{"id": 1, "schema_id": 7}'),
  ('confluent-json', '{"id": 1}', 'id int', '{"id": 1, "schema_id": null}'),
  ('confluent-json', '\x000000', 'id int', '22P03 payload of 3 bytes begins with a zero byte, but ends before the schema id does'),
  ('confluent-json', '\x0000000007', 'id int', '22032 payload is empty'),
  ('connect', '{"schema": {"type": "int32"}, "payload": {"id": 1}}', 'id int', '{"id": 1, "schema": {"type": "int32"}}'),
  ('connect', '{"payload": "x"}', 'v text PATH ''$''', '{"v": "x", "schema": null}'),
  ('connect', '{"payload": null}', 'id int', '22004 the message has no payload (a tombstone)'),
  ('connect', '{"id": 1}', 'id int', '2203A message has no key "payload"'),
  ('cloudevents', '{"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "x": 5, "data": {"id": 1}}', 'id int',
   '{"id": 1, "ce_id": "a", "ce_time": null, "ce_type": "t", "ce_source": "/s", "ce_subject": null, "ce_dataschema": null, "ce_extensions": {"x": 5}, "ce_specversion": "1.0", "ce_datacontenttype": null}'),
  ('cloudevents', '{"id": 1}', 'id int',
   '2203A message is not a CloudEvent: it has neither the header ce_specversion nor the key "specversion"'),
  ('avro', '{}', 'id int', '22023 format "avro" does not exist')
) AS t (format, payload, fields, expected);

-- change events
CREATE FUNCTION pg_temp.change(payload text, fields text DEFAULT 'id int NOT NULL, name text NOT NULL') RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN o.v LIKE '{%' THEN (o.v::jsonb - '{before,after,source}'::text[])::text ELSE o.v END
  FROM pg_temp.outcome('debezium', convert_to(payload, 'UTF8'), fields) AS o (v);
$$;
SELECT is(pg_temp.change(payload), expected, 'debezium ' || payload) FROM (VALUES
  ('{"op": "c", "before": null, "after": {"id": 1, "name": "a"}}', '{"id": 1, "op": "c", "name": "a", "unavailable": null}'),
  ('{"schema": null, "payload": {"op": "r", "after": {"id": 1, "name": "a"}}}', '{"id": 1, "op": "r", "name": "a", "unavailable": null}'),
  ('{"op": "d", "before": {"id": 1, "name": null}, "after": null}', '{"id": 1, "op": "d", "name": null, "unavailable": null}'),
  ('{"op": "u", "after": {"id": 1, "name": null}}', '23502 field "name" is null'),
  ('{"op": "u", "after": {"id": 1, "name": "__debezium_unavailable_value"}}', '{"id": 1, "op": "u", "name": null, "unavailable": ["name"]}'),
  ('{"op": "t", "source": {}}', '22023 the source table was truncated (op is "t")'),
  ('{"op": "x"}', '22023 op is "x", expected c, r, u, d or t'),
  ('{"op": 1}', '22023 op is a number, expected "c", "r", "u", "d" or "t"'),
  ('{"op": "d", "before": null}', '2203C op is "d", but "before" is null, expected an object'),
  ('{"schema": {}, "payload": null}', '22004 the message has no payload (a tombstone)'),
  ('{"id": 1}', '2203A message has no key "op"')
) AS t (payload, expected);
SELECT is(pg_temp.change(
  '{"schema": {"type": "struct", "fields": [{"type": "struct", "field": "before"}, {"type": "struct", "field": "after", "fields": [
     {"type": "int32", "field": "day", "name": "io.debezium.time.Date"}, {"type": "int64", "field": "ts", "name": "io.debezium.time.MicroTimestamp"},
     {"type": "int64", "field": "ns", "name": "io.debezium.time.NanoTimestamp"}, {"type": "string", "field": "tz", "name": "io.debezium.time.ZonedTimestamp"},
     {"type": "int64", "field": "tod", "name": "io.debezium.time.MicroTime"}, {"type": "bytes", "field": "price", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
     {"type": "struct", "field": "any", "name": "io.debezium.data.VariableScaleDecimal"}, {"type": "bytes", "field": "bytes"}, {"type": "string", "field": "doc", "name": "io.debezium.data.Json"},
     {"type": "array", "items": {"type": "int64", "name": "io.debezium.time.Timestamp"}, "field": "tss"}]}]},
    "payload": {"op": "r", "after": {"day": 20454, "ts": 1767225600123456, "ns": 1767225600123456789, "tz": "2026-01-01T00:00:00Z", "tod": 3661000000, "price": "AN4=",
     "any": {"scale": 3, "value": "/zE="}, "bytes": "3q2+7w==", "doc": "{\"a\": [1]}", "tss": [0, 1000]}}}',
  'day date, ts timestamp, ns timestamp, tz timestamptz, tod time, price numeric, "any" numeric, bytes bytea, doc jsonb, tss timestamptz[], number bigint PATH ''$.ts''')::jsonb
    - ARRAY['op', 'unavailable'],
  '{"day": "2026-01-01", "ts": "2026-01-01T00:00:00.123456", "ns": "2026-01-01T00:00:00.123457", "tz": "2026-01-01T00:00:00+00:00", "tod": "01:01:01", "price": 2.22,
    "any": -0.207, "bytes": "\\xdeadbeef", "doc": {"a": [1]}, "tss": ["1970-01-01T00:00:00+00:00", "1970-01-01T00:00:01+00:00"], "number": 1767225600123456}'::jsonb,
  'a schema says units, scales and bytes');
SELECT is(pg_temp.change('{"op": "c", "after": {"day": 20454, "ts": 1767225600123456}}', 'day date EPOCH d, ts timestamptz EPOCH us'),
  '{"op": "c", "ts": "2026-01-01T00:00:00.123456+00:00", "day": "2026-01-01", "unavailable": null}', 'without a schema the fields do');
SELECT is(pg_temp.outcome('connect', '{"schema": {"fields": [{"field": "v", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}]}, "payload": {"v": "%"}}'::bytea,
                          'v numeric'),
  '22P02 field "v" is a decimal by its schema: expected base64 of at most 400 characters', 'a decimal that is none');

-- the definition
SET ROLE mrt_owner;
CREATE FUNCTION pg_temp.made(name text, format text, fields text, transform text) RETURNS integer LANGUAGE sql AS $$
  SELECT millrace.create_pipeline(name, topic => 'events', target => 'mrt.reading', format => format, fields => fields, transform => transform);
$$;
SELECT lives_ok($$ SELECT pg_temp.made('framed', 'confluent-json', 'id bigint', 'SELECT id, schema_id::text AS source FROM event') $$,
                'columns of a format are columns of event');
SELECT is((SELECT format FROM millrace.pipelines WHERE name = 'framed'), 'confluent-json', 'the format is shown');
SELECT pg_temp.refused($$ SELECT pg_temp.made('q', 'json', 'id bigint', 'SELECT id, schema_id::text AS source FROM event') $$, '42703',
                       'column "schema_id" does not exist', NULL, 'of that format only');
SELECT lives_ok($$ SELECT pg_temp.made('own', 'json', 'id bigint, schema_id int', 'SELECT id, schema_id::text AS source FROM event') $$,
                'and else free for a field');
SELECT pg_temp.refused($$ SELECT pg_temp.made('q', 'confluent-json', 'id bigint, schema_id int', 'SELECT id FROM event') $$, '42939',
                       'field name "schema_id" is reserved with format "confluent-json"', 'event_schema_id text PATH ''$.schema_id''', 'a field cannot hide one');
SELECT pg_temp.refused($$ SELECT pg_temp.made('q', 'avro', 'id bigint', 'SELECT id FROM event') $$, '22023',
                       'format is "avro", expected one of: json, confluent-json, connect, debezium, cloudevents', NULL, 'no such format');
SELECT is(millrace.alter_pipeline('framed', format => 'json', transform => 'SELECT id FROM event'), 2, 'another format is another version');
SELECT is((SELECT outcome || coalesce(rows::text, '') FROM millrace.dry_run('framed', ARRAY['{"id": 1}'])), 'written[{"id": 1}]', 'and is in force');

-- trying it
SELECT pg_temp.made('connect', 'connect', 'id bigint', $$ SELECT id, schema ->> 'type' AS source, payload::json AS doc FROM event $$),
       millrace.alter_pipeline('connect', batch_rows => 10);
SELECT results_eq($$ SELECT outcome, rows, message, hint FROM millrace.dry_run('connect', ARRAY[
    '{"schema": {"type": "struct"}, "payload": {"id": 1}}', '{"payload": null}', '{"id": 1}']) $$,
  $$ VALUES ('written', '[{"id": 1, "source": "struct", "doc": {"id": 1}}]'::jsonb, NULL, NULL),
            ('dead', NULL, 'the message has no payload (a tombstone)', 'To skip such messages: SELECT millrace.alter_pipeline(''connect'', tombstone => ''skip'');'),
            ('dead', NULL, 'message has no key "payload"',
             'With format "connect" a message is {"schema": ..., "payload": ...}; that of a converter with schemas.enable=false has format "json".') $$,
  'dry_run() has the outcomes; a null payload is a tombstone');
SELECT matches((SELECT string_agg(e, E'\n') FROM millrace.explain('connect', true, ARRAY['{"schema": null, "payload": {"id": 1}}']) AS e),
               'actual time=.*Execution Time', 'explain() runs on its samples');
SELECT is(millrace.format_columns('connect') || coalesce(millrace.format_columns('json'), ' and none'), 'schema pg_catalog.jsonb and none', 'columns of a format, as a list');
SELECT is(millrace.decode_event(NULL, '{"payload": [1]}', 'connect'), '{"schema": null, "payload": [1]}', 'an event without fields');
SELECT pg_temp.made('left', 'debezium', 'id bigint, source_text text PATH ''$.text''', 'SELECT id, source_text AS source FROM event'),
       pg_temp.made('taken', 'debezium', 'id bigint, source_text text NOT NULL PATH ''$.text''', $$ SELECT id, coalesce(source_text, unavailable[1]) AS source FROM event $$);
SELECT results_eq($$ SELECT d.outcome, d.rows, d.message, d.hint ~ 'REPLICA IDENTITY FULL'
                     FROM unnest('{left,taken}'::text[]) AS p CROSS JOIN LATERAL millrace.dry_run(p, ARRAY['{"op": "u", "after": {"id": 1, "text": "__debezium_unavailable_value"}}']) AS d $$,
  $$ VALUES ('dead', NULL, 'field "source_text" was left out by the source: the change did not touch it', true),
            ('written', '[{"id": 1, "source": "source_text"}]'::jsonb, NULL, NULL) $$,
  'a value that was left out is a failure, unless a row keeps it or the transform looks at event.unavailable');
SELECT matches((SELECT string_agg(e, E'\n') FROM millrace.explain('taken') AS e), 'CTE Scan on event', 'explain() knows the columns of a format');
CREATE TABLE mirror (id bigint PRIMARY KEY, name text);
CREATE FUNCTION pg_temp.mirror(VARIADIC steps text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  step text;
  seen text := '';
BEGIN
  PERFORM millrace.create_pipeline('mirror', topic => 'mirror', fields => 'id bigint, name text', transform => 'SELECT id, name FROM event', target => 'mirror',
                                   on_conflict => 'update', conflict_key => '{id}', ordering => 'key', format => 'debezium');
  FOREACH step IN ARRAY steps LOOP
    EXECUTE format('SELECT millrace.alter_pipeline(''mirror'', %s)', step);
    seen := seen || coalesce((SELECT delete_when FROM millrace.pipelines WHERE name = 'mirror'), 'none') || '; ';
  END LOOP;
  PERFORM millrace.drop_pipeline('mirror');
  RETURN seen;
END $$;
SELECT is(pg_temp.mirror('batch_rows => 10', 'format => ''json''', 'format => ''debezium'''), 'op = ''d''; none; op = ''d''; ',
          'what the format gave by default goes with it, and comes again');
SELECT is(pg_temp.mirror('delete_when => ''id < 0''', 'format => ''json'''), 'id < 0; id < 0; ', 'what was given stays');
SELECT * FROM finish();
ROLLBACK;
