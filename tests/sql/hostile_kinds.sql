-- Inputs of the kinds that users bring (dates, zones, numbers, encodings, names, headers, keys, change events, merges, deletes):
-- each gives its value, or is refused with a hint that fits it.
BEGIN;
\ir helper.psql
SELECT plan(68);
SET ROLE mrt_owner;
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL datestyle = 'SQL, DMY';

-- In one line: the object; or SQLSTATE and, of message and hint, the part that `expected` asks for.
CREATE FUNCTION pg_temp.gives(fields text, payload text, more text, expected text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
  state text;
  words text;
  hint  text;
BEGIN
  EXECUTE format('SELECT millrace.decode(%L, %L::text %s)::text', fields, payload, more) INTO found;
  RETURN is(found, expected, concat_ws(' ', fields, left(payload, 60), more));
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, words = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
  found := format('%s %s | %s', state, words, hint);
  RETURN ok(starts_with(found, left(expected, 5)) AND strpos(found, substr(expected, 7)) > 0,
            concat_ws(' ', fields, left(payload, 60), more)) || CASE WHEN strpos(found, substr(expected, 7)) > 0 THEN '' ELSE E'\n' || diag(found) END;
END $$;

SELECT pg_temp.gives(f, p, m, e) FROM (VALUES
  -- dates and zones
  ('v date', '{"v": "2026-02-30"}', '', '22008 out of range'),
  ('v date', '{"v": "02/03/26"}', ', date_order => ''DMY''', '{"v": "2026-03-02"}'),
  ('v date', '{"v": "12/31/2026"}', ', date_order => ''DMY''', '22008 read day first'),
  ('v date', '{"v": "31.12.2026"}', '', '22007 add DATE_ORDER ''DMY'''),
  ('v date', '{"v": "1 Jan 26"}', '', '22007 year with four digits'),
  ('v date', '{"v": "2026-W05-3"}', '', '22007 found string "2026-W05-3"'),
  ('v date', '{"v": "2026-01-31T23:30:00-05:00"}', '', '22007 OTHER_ZONE'),
  ('v date', '{"v": "2026-01-31T23:30:00-05:00"}', ', other_zone => ''convert''', '{"v": "2026-02-01"}'),
  ('v date', '{"v": "yesterday"}', '', '22007 another time each time'),
  ('v date[]', '{"v": ["03/04/2026"]}', '', '22007 DATE_ORDER'),
  ('v daterange', '{"v": "[now,tomorrow)"}', '', '22007 another time each time'),
  ('v timestamptz', '{"v": "2026-03-29T02:30:00"}', ', time_zone => ''Europe/Berlin''', '{"v": "2026-03-29T03:30:00+02:00"}'),
  ('v timestamptz', '{"v": "2026-10-25T02:30:00"}', ', time_zone => ''Europe/Berlin''', '{"v": "2026-10-25T02:30:00+01:00"}'),
  ('v timestamptz', '{"v": "2026-12-31T23:59:60Z"}', '', '{"v": "2027-01-01T00:00:00+00:00"}'),
  ('v timestamptz', '{"v": "2026-01-31 12:00:00 EST"}', '', '22007 abbreviations mean different zones'),
  ('v timestamptz', '{"v": "2026-01-31T12:00:00+01:00[Europe/Paris]"}', '', '22007 leave out the zone in brackets'),
  ('v timestamptz', '{"v": "NoW"}', '', '22007 another time each time'),
  ('v timestamptz', '{"v": 1767225600}', '', '22007 Add EPOCH ''s'''),
  ('v timestamptz', '{"v": 1767225600000}', '', '22007 Add EPOCH ''ms'''),
  ('v timestamptz', '{"v": 1e30}', ', epoch => ''s''', '22008 out of range'),
  ('v timestamptz', '{"v": ""}', '', '22007 found string ""'),
  ('v interval', '{"v": "P1Y2M3DT4H5M6.7S"}', '', '{"v": "1 year 2 mons 3 days 04:05:06.7"}'),
  -- numbers
  ('v int', '{"v": 1.0}', '', '{"v": 1}'),
  ('v int', '{"v": 2147483648}', '', '22003 out of range'),
  ('v bigint', '{"v": 9007199254740993.0}', '', '{"v": 9007199254740993}'),
  ('v bigint', '{"v": "1_000"}', '', '22P02 expected an integer'),
  ('v bigint', '{"v": "１２"}', '', '22P02 expected an integer'),
  ('v numeric', '{"v": "1,234.5"}', '', '22P02 NUMBER_STYLE'),
  ('v numeric', '{"v": "1.23,5"}', ', number_style => ''comma''', '22P02 read as 1.234,5'),
  ('v money', '{"v": "$1,234.50"}', '', '22P02 found string "$1,234.50"'),
  ('v float8', '{"v": 1e400}', '', '22003 out of range'),
  -- encodings and bytes
  ('v text', '{"v": "\u0000"}', '', '22P05 \u0000'),
  ('v text', '{"v": "\ud800"}', '', '22032 half of a surrogate pair'),
  ('v bytea', '{"v": "deadbeef"}', '', '22P02 BYTEA_FORMAT ''hex'''),
  ('v int', E'\uFEFF{"v": 1}', '', '22032 leave out the byte order mark'),
  -- names and paths
  ('"V" int', '{"V": 1, "v": 2}', '', '{"V": 1}'),
  ('order int', '{"order": 1}', '', '42601 reserved word'),
  ('a int, A text', '{}', '', '42701 capitals'),
  ('v int PATH ''$."a.b"''', '{"a.b": 1, "a": {"b": 2}}', '', '{"v": 1}'),
  ('v int PATH ''$.a[last]''', '{"a": [1, 2]}', '', '42601 expected an index'),
  ('a int', '{"\u0061": 1}', '', '{"a": 1}'),
  ('a int DEFAULT 5', '{"a": null}', '', '{"a": null}'),
  -- headers and keys
  ('a text PATH ''header.a''', '{}', ', headers => ''[["a", "1"], ["A", "2"], ["a", "3"]]''', '{"a": "3"}'),
  ('a text PATH ''header.a''', '{}', ', headers => ''{"a": "\\xff"}''', '22021 as bytea'),
  ('a text PATH ''header."x-a.b"''', '{}', ', headers => ''{"x-a.b": "1"}''', '{"a": "1"}'),
  ('a int PATH ''key.id''', '{}', ', key => ''{"id": 3}''', '{"a": 3}'),
  ('a int PATH ''key.id''', '{}', ', key => ''no json''', '22032 key is not JSON'),
  ('a bigint PATH ''key''', '{}', ', key => ''\x0000000000000005''::bytea', '22021 big_endian'),
  -- formats
  ('id int', '{"op": "R", "after": {"id": 2}}', ', ''debezium''', '22023 expected c, r, u, d or t'),
  ('id int, d numeric', '{"schema": {"type": "struct", "fields": [{"field": "d", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "x"}}]}, "payload": {"id": 1, "d": "AQ=="}}',
   ', ''connect''', '22P02 field "d"'),
  ('id int', '{"specversion": "1.0", "id": "", "source": "s", "type": "t"}', ', ''cloudevents''', '2203A attribute "id"'),
  ('id int', '{"specversion": 1.0, "id": "a", "source": "s", "type": "t"}', ', ''cloudevents''', '22P02 expected a string'),
  ('id int', E'{"id": 7}{"id": 8}', ', ''ndjson''', '22032 something follows the document'),
  ('id int', E'{"id":\n9}', ', ''ndjson''', '22032 ends too early')
) AS t (f, p, m, e);

-- merges, deletes and change events in one batch
CREATE TABLE mrt.h (id int PRIMARY KEY, v text, n int, at timestamptz);
INSERT INTO mrt.h VALUES (1, 'old', 10, '2026-01-01Z'), (2, 'two', NULL, NULL);
CREATE FUNCTION pg_temp.become(definition text, samples text[], more text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  EXECUTE format($f$ SELECT millrace.create_pipeline('h', topic => 'events', target => 'mrt.h', fields => 'id int, v text, n int, at timestamptz, o text PATH ''$.op''',
                        on_conflict => 'update', conflict_key => '{id}', %s) $f$, definition);
  EXECUTE format($f$ SELECT string_agg(concat_ws(' ', outcome, sqlstate), ', ' ORDER BY sample, document) FROM millrace.dry_run('h', %L::text[] %s) $f$, samples, more) INTO found;
  PERFORM millrace.drop_pipeline('h');
  RETURN found;
END $$;
SELECT is(pg_temp.become(d, s, m), e, d || ' ' || s::text) FROM (VALUES
  ($$transform => 'SELECT id, n FROM event', merge => 'n = old.n / new.n'$$, ARRAY['{"id": 1, "n": 2}', '{"id": 1, "n": 0}', '{"id": 1, "n": 5}'], '', 'written, dead 22012, written'),
  ($$transform => 'SELECT id, n FROM event', delete_when => 'o = ''d'''$$, ARRAY['{"op": "d"}', '{"id": 99, "op": "d"}', '{"id": 1}'], '', 'dead 22004, deleted, written'),
  ($$transform => 'SELECT id, at FROM event', newer_by => 'at'$$, ARRAY['{"id": 1, "at": "2025-01-01Z"}', '{"id": 1}', '{"id": 1, "at": "2026-01-01T00:00:00Z"}'], '', 'superseded, superseded, written'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete'$$, ARRAY[NULL], ', key => ''abc''', 'dead 22P02'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'debezium', delete_when => ''$$, ARRAY[NULL, '{"schema": null, "payload": null}'],
   ', key => ''{"schema": {"type": "struct"}, "payload": {"id": 1}}''', 'superseded, deleted'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'connect'$$, ARRAY[NULL], ', key => ''{"schema": {"type": "int32"}, "payload": 1}''', 'deleted'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'connect'$$, ARRAY[NULL], ', key => ''{"id": 1}''', 'deleted'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'connect'$$, ARRAY[NULL], ', key => ''{"schema": {}, "payload": null}''', 'dead 23502'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'confluent-json'$$, ARRAY[NULL], ', key => ''\x00000000077b226964223a317d''::bytea', 'deleted'),
  ($$transform => 'SELECT id, v FROM event', tombstone => 'delete', format => 'debezium', tombstone_key => 'id int PATH ''$.payload.id'''$$, ARRAY[NULL],
   ', key => ''{"schema": null, "payload": {"id": 1}}''', 'deleted'),
  ($$transform => 'SELECT id, upper(v) AS v FROM event', format => 'debezium'$$, ARRAY['{"op": "u", "after": {"id": 1, "v": "__debezium_unavailable_value"}}'], '', 'dead 22004'),
  ($$transform => 'SELECT id, v FROM event', format => 'ndjson', merge => 'v = old.v || new.v'$$, ARRAY[E'{"id": 1, "v": "a"}\n{"id": "x"}\n{"id": 1, "v": "c"}'], '', 'written, dead 22P02, written')
) AS t (d, s, m, e);
-- a key of bytes may begin with a zero without being behind a prefix
CREATE TABLE mrt.hb (k bytea PRIMARY KEY);
SELECT millrace.create_pipeline('hb', topic => 'events', target => 'mrt.hb', fields => 'v text', format => 'confluent-json', tombstone => 'delete',
                                on_conflict => 'update', conflict_key => '{k}', transform => 'SELECT event.key AS k FROM event');
SELECT is(d.outcome || ' ' || (d.rows -> 0 ->> 'k'), 'deleted \x0000000000000005', 'a number of Java''s as the key of a tombstone')
FROM millrace.dry_run('hb', ARRAY[NULL]::text[], key => '\x0000000000000005'::bytea) AS d;
SELECT is(d.outcome || ' ' || (d.rows -> 0 ->> 'k'), 'deleted \x05', 'bytes behind a prefix: as JSON has them')
FROM millrace.dry_run('hb', ARRAY[NULL]::text[], key => '\x0000000007'::bytea || convert_to('{"k": "0x05"}', 'UTF8')) AS d;
SELECT finish();
ROLLBACK;
