-- The setting `format`: what a message is around its JSON document. What envelopes may be, byte by byte, is in
-- tests/unit/pg_extension/decode/test_format_envelope.c; what comes of real messages, in tests/e2e/test_formats.py.
BEGIN;
\ir helper.psql
SELECT plan(24);
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
                       'format is "avro", expected one of: json, confluent-json, connect, cloudevents', NULL, 'no such format');
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
SELECT * FROM finish();
ROLLBACK;
