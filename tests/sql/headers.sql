-- Keys and headers: in fields, in event.header_list, in dry_run().
BEGIN;
\ir helper.psql
SELECT plan(56);

SELECT is(millrace.header_list('\x00000003 00000001 61 00000002 7879 00000002 6263 ffffffff 00000001 61 00000001 00')::text, '{"(a,\"\\\\x7879\")","(bc,)","(a,\"\\\\x00\")"}', 'all of them, with their bytes, in their order');
SELECT is(millrace.header_list('\x00000000'), '{}', 'no headers');
SELECT is(millrace.header_list(''), '{}', 'no packed headers');
SELECT is(millrace.header_list('\x00000002 00000001 61 00000001 78 00000001 62 00000009 79')::text, '{"(a,\"\\\\x78\")"}', 'cut off in the second');
SELECT is(millrace.header_list('\x00000001 00000001 ff 00000000')::text, '{"(\"\\\\377\",\"\\\\x\")"}', 'a name that is no text');
SELECT is(ARRAY[millrace.header_first(h, 'a'), millrace.header_last(h, 'a'), millrace.header_last(h, 'b'), millrace.header_first(h, 'x')], ARRAY['\x01', '\x02', NULL, NULL]::bytea[], 'the first, the last, null, none')
FROM (SELECT ARRAY[('a', '\x01'), ('b', NULL), ('a', '\x02')]::millrace.header[] AS h) AS l;
SELECT is(millrace.header_first(NULL, 'a'), NULL, 'of no list');
SELECT is(millrace.big_endian(bytes), expected, 'big_endian ' || bytes::text)
FROM (VALUES ('\x0000000000000001'::bytea, 1::bigint), ('\xff', -1), ('\x7fff', 32767), ('\x8000000000000000', -9223372036854775808), ('\x00ff', 255)) AS v (bytes, expected);
SELECT pg_temp.refused($$ SELECT millrace.big_endian('') $$, '22023', 'an integer has 0 bytes', 'substring', 'no bytes');
SELECT pg_temp.refused($$ SELECT millrace.big_endian('\x000000000000000001') $$, '22023', 'an integer has 9 bytes', 'substring', 'too many');

CREATE TABLE mrt.around (id bigint PRIMARY KEY, kind text, trace text, seq bigint, tags text, source text, sent timestamptz, v text);
ALTER TABLE mrt.around OWNER TO mrt_owner;
SET ROLE mrt_owner;
SELECT millrace.create_pipeline('around', topic => 'events', target => 'mrt.around',
  fields => $$ id bigint NOT NULL PATH 'key.customer.id', kind text PATH 'key[1]' DEFAULT 'object', trace text PATH 'header.trace', first text PATH 'header.tag[0]',
               second text PATH 'header."tag"[1]', seq bytea PATH 'header.seq', v text $$,
  transform => $$ SELECT id, kind, trace, millrace.big_endian(seq) AS seq, first || ',' || second || ',' || (SELECT string_agg(convert_from(h.value, 'UTF8'), '+') FROM unnest(header_list) AS h WHERE h.name = 'tag') AS tags,
                         topic AS source, kafka_ts AS sent, v FROM event $$);
SELECT is(d.rows, '[{"id": 7, "kind": "object", "trace": "a", "seq": 258, "tags": "one,two,one+two", "source": "other", "sent": "2026-05-03T10:00:00+00:00", "v": "x"}]', 'key, headers, topic and time of a sample')
FROM millrace.dry_run('around', ARRAY['{"v": "x"}'], key => '{"customer": {"id": 7}}', headers => '[["tag", "one"], ["trace", "b"], ["trace", "a"], ["tag", "two"], ["seq", "\\x0102"]]',
                      topic => 'other', "time" => '2026-05-03 10:00+00') AS d;
SELECT is(d.outcome || ' ' || d.message, 'dead field "id" is missing', 'without a key') FROM millrace.dry_run('around', ARRAY['{"v": "x"}']) AS d;
SELECT is(d.sqlstate || ' ' || d.message, '22032 key is not JSON: expected a value at byte 0', 'a key that is no JSON') FROM millrace.dry_run('around', ARRAY['{"v": "x"}'], key => 'not json') AS d;
SELECT is(d.rows ->> 0, NULL, 'and no row') FROM millrace.dry_run('around', ARRAY['{"v": "x"}'], key => '\x00'::bytea) AS d;
SELECT is(d.sqlstate || ' ' || d.message || ' ' || d.hint, '22021 field "trace" of type text: string "\u0000" has bytes that are no text Declare the field as bytea to take the bytes as they are.', 'a header that is no text')
FROM millrace.dry_run('around', ARRAY['{}'], key => '{"customer": {"id": 7}}', headers => '{"trace": "\\x00"}') AS d;
SELECT is(d.rows #>> '{0,trace}', '\000', 'four characters') FROM millrace.dry_run('around', ARRAY['{}'], key => '{"customer": {"id": 7}}', headers => '{"trace": "\\000"}') AS d;
SELECT is(d.message, 'field "id" is missing', 'a key that is an array') FROM millrace.dry_run('around', ARRAY['{}'], key => '[1, "x"]') AS d;
SELECT is(d.rows #>> '{0,id}', '8', 'a JSON key counts with its last value') FROM millrace.dry_run('around', ARRAY['{}'], key => '{"customer": {"id": 7}, "customer": {"id": 8}}') AS d;
SELECT pg_temp.refused(format('SELECT millrace.dry_run(''around'', ARRAY[''{}''], headers => %L)', headers), '22023', 'headers are neither an object nor an array of pairs', 'Pass headers =>', headers)
FROM unnest(ARRAY['"a"', '5', '[1]', '[["a"]]', '[["a", "b", "c"]]', '{"a": {}}', '[[["a", "b"], "c"]]', '{"a": 1}', '[[1, "a"]]', '[{"a": "b"}]']) AS h (headers);
SELECT pg_temp.refused($$ SELECT millrace.dry_run('around', ARRAY['{}'], headers => '{"a": "\\xf"}') $$, '22023', 'invalid hexadecimal data', NULL, 'half a byte');

-- Types of a key or a header: bytes as they are, a document, and what a string of the same characters would be.
CREATE FUNCTION pg_temp.of_key(type text, key bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found record;
BEGIN
  EXECUTE format('CREATE TABLE mrt.of_key_%s (k %s)', md5(type), type);
  PERFORM millrace.create_pipeline('of_key', topic => 'events', target => format('mrt.of_key_%s', md5(type)), fields => format('k %s PATH ''key''', type), transform => 'SELECT k FROM event');
  SELECT * INTO found FROM millrace.dry_run('of_key', ARRAY['no JSON at all'], key => key);
  PERFORM millrace.drop_pipeline('of_key');
  EXECUTE format('DROP TABLE mrt.of_key_%s', md5(type));
  RETURN coalesce(found.rows #>> '{0,k}', found.sqlstate || ' ' || found.message);
END $$;
SELECT is(pg_temp.of_key(type, key), expected, 'key as ' || type)
FROM (VALUES
  ('text', convert_to('é"\', 'UTF8'), 'é"\'), ('text', ''::bytea, ''), ('bigint', '42', '42'), ('uuid', '5e41ab08-7439-411e-86d6-fd953217ae03', '5e41ab08-7439-411e-86d6-fd953217ae03'),
  ('bytea', '\x00ff', '\x00ff'), ('jsonb', '{"a": [1]}', '{"a": [1]}'), ('bigint', 'x', '22P02 field "k" of type bigint: found string "x", expected an integer'),
  ('timestamptz', '2026-05-03T10:00:00Z', '2026-05-03T10:00:00+00:00'), ('timestamptz', 'now', '22007 field "k" of type timestamp with time zone: found string "now", expected a timestamp such as "2026-03-01T12:34:56Z"'),
  ('jsonb', 'x', '22032 key is not JSON: expected a value at byte 0'), ('text', '\xff', '22021 field "k" of type text: string "\xff" has bytes that are no text'), ('numeric', NULL, NULL)
) AS v (type, key, expected);

SELECT pg_temp.refused(format('SELECT millrace.decode(%L, %L)', 'v text PATH ' || quote_literal(path), '{}'), '42601', message, 'A path is $, for the payload, or key', path)
FROM (VALUES ('k', 'it must begin with $, key or header.'), ('keys', 'it must begin with'), ('header', 'it must begin with'), ('header.', 'a key is missing at its end'), ('header.a.b', 'expected its end: a header is one value'),
  ('key.', 'a key is missing'), ('header."a', 'does not end'), ('header.a[x]', 'expected an index')) AS v (path, message);
SELECT is(millrace.decode('a text PATH ''$.key'', b text PATH ''$.header.trace''', '{"key": "k", "header": {"trace": "t"}}'), '{"a": "k", "b": "t"}', 'keys of these names in the payload');

-- bytes that are no text are shown to their end, and not what is behind them
SELECT pg_temp.refused($$ SELECT millrace.decode('a int PATH ''header.a''', '{}', headers => '{"a": "\\x00000007"}') $$, '22021',
                       'string "\u0000\u0000\u0000\u0007" has bytes that are no text', 'millrace.big_endian()', 'an integer of Java in a header');
SELECT pg_temp.refused($$ SELECT millrace.decode('a text PATH ''key''', '{}', key => '\x6100620a'::bytea) $$, '22021',
                       'string "a\u0000b', 'Declare the field as bytea', 'a key with a NUL');
SELECT * FROM finish();
ROLLBACK;
