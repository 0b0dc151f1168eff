-- millrace.decode(): what a payload becomes, or why not. The workers use the same decoder.
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS millrace;
SELECT plan(276);

\ir decode.psql

------------------------------------------------------------------ good values, type by type
SELECT is(decode_test.value(type, given), '{"v": ' || expected || '}', type || ' ' || given)
FROM (VALUES
  ('text', '"abc"', '"abc"'),
  ('text', '""', '""'),
  ('text', '"\u00e9 \ud83d\ude00 \"q\" \\ \/ \n"', '"é 😀 \"q\" \\ / \n"'),
  ('text', '"né 日本 😀"', '"né 日本 😀"'),
  ('text', '12.50', '"12.50"'),
  ('text', 'true', '"true"'),
  ('text', 'null', 'null'),
  ('varchar(5)', '"abcde"', '"abcde"'),
  ('varchar(5)', '"abcde   "', '"abcde"'),
  ('varchar(5)', '"ééééé"', '"ééééé"'),
  ('varchar', '"abcdef"', '"abcdef"'),
  ('char(5)', '"ab"', '"ab   "'),
  ('char(3)', '"éé"', '"éé "'),
  ('name', '"abc"', '"abc"'),
  ('boolean', 'true', 'true'),
  ('boolean', 'false', 'false'),
  ('boolean', '"yes"', 'true'),
  ('boolean', '" off "', 'false'),
  ('boolean', '1', 'true'),
  ('boolean', '0', 'false'),
  ('smallint', '-32768', '-32768'),
  ('integer', '2147483647', '2147483647'),
  ('integer', '-2147483648', '-2147483648'),
  ('integer', '1.0', '1'),
  ('integer', '1.5e1', '15'),
  ('integer', '-0', '0'),
  ('integer', '0e99', '0'),
  ('integer', '"12"', '12'),
  ('integer', '" -12 "', '-12'),
  ('integer', '"007"', '7'),
  ('integer', '"+7"', '7'),
  ('bigint', '9223372036854775807', '9223372036854775807'),
  ('bigint', '-9223372036854775808', '-9223372036854775808'),
  ('bigint', '9.223372036854775807e18', '9223372036854775807'),
  ('bigint', '"9007199254740993"', '9007199254740993'),
  ('real', '39.02', '39.02'),
  ('real', '16777217', '16777216'),
  ('real', '"NaN"', '"NaN"'),
  ('double precision', '39.02', '39.02'),
  ('double precision', '-1e-3', '-0.001'),
  ('double precision', '17.123456789012345678901', '17.123456789012344'),
  ('double precision', '9007199254740993', '9007199254740992'),
  ('double precision', '1e22', '10000000000000000000000'),
  ('double precision', '1.7976931348623157e308 ', 1.7976931348623157e308::numeric::text),
  ('double precision', '"1.5"', '1.5'),
  ('double precision', '".5"', '0.5'),
  ('double precision', '"-Infinity"', '"-Infinity"'),
  ('numeric', '1.10', '1.10'),
  ('numeric', '-0.000', '0.000'),
  ('numeric', '1e3', '1000'),
  ('numeric', '123456789012345678901234567890.123', '123456789012345678901234567890.123'),
  ('numeric', '"0.1"', '0.1'),
  ('numeric', '"NaN"', '"NaN"'),
  ('numeric(5,2)', '1.1', '1.10'),
  ('numeric(5,2)', '123.456', '123.46'),
  ('numeric(5,2)', '999.99', '999.99'),
  ('numeric(3,-2)', '12345', '12300'),
  ('uuid', '"5E41ab08-7439-411e-86d6-fd953217ae03"', '"5e41ab08-7439-411e-86d6-fd953217ae03"'),
  ('uuid', '"{5e41ab087439411e86d6fd953217ae03}"', '"5e41ab08-7439-411e-86d6-fd953217ae03"'),
  ('date', '"2024-02-29"', '"2024-02-29"'),
  ('date', '"2026-03-01T23:00:00+01"', '"2026-03-01"'),
  ('date', '"March 1, 2026"', '"2026-03-01"'),
  ('date', '"infinity"', '"infinity"'),
  ('timestamp', '"2026-03-01T10:00:00"', '"2026-03-01T10:00:00"'),
  ('timestamp', '"2026-03-01 10:00:00.5+01"', '"2026-03-01T10:00:00.5"'),
  ('timestamp(1)', '"2026-03-01T10:00:00.16"', '"2026-03-01T10:00:00.2"'),
  ('timestamptz', '"2026-03-01T10:00:00Z"', '"2026-03-01T11:00:00+01:00"'),
  ('timestamptz', '"2026-07-01T10:00:00.123456789+05:30"', '"2026-07-01T06:30:00.123457+02:00"'),
  ('timestamptz', '"2026-07-01T10:00:00.9999999Z"', '"2026-07-01T12:00:01+02:00"'),
  ('timestamptz', '"2026-07-01T10:00:00-0830"', '"2026-07-01T20:30:00+02:00"'),
  ('timestamptz', '"2026-07-01 10:00"', '"2026-07-01T10:00:00+02:00"'),
  ('timestamptz', '"2026-07-01"', '"2026-07-01T00:00:00+02:00"'),
  ('timestamptz', '"2026-07-01T24:00:00Z"', '"2026-07-02T02:00:00+02:00"'),
  ('timestamptz', '"2016-12-31T23:59:60Z"', '"2017-01-01T01:00:00+01:00"'),
  ('timestamptz', '"2026-07-01 10:00 America/New_York"', '"2026-07-01T16:00:00+02:00"'),
  ('timestamptz', '"-infinity"', '"-infinity"'),
  ('time', '"10:00"', '"10:00:00"'),
  ('interval', '"PT1H30M"', '"01:30:00"'),
  ('interval', '"1 day 2 hours"', '"1 day 02:00:00"'),
  ('jsonb', '{"b":[1,"x",null],"a":{}}', '{"a": {}, "b": [1, "x", null]}'),
  ('jsonb', '"s"', '"s"'),
  ('jsonb', '1e5', '100000'),
  ('jsonb', '[]', '[]'),
  ('jsonb', 'null', 'null'),
  ('json', '{"b": 1, "b": 2}', '{"b": 2}'),
  ('json', '"s"', '"s"'),
  ('bytea', '"\\xDEADbeef"', '"\\xdeadbeef"'),
  ('bytea', '"3q2+7w=="', '"\\xdeadbeef"'),
  ('bytea', '"3q2-7w"', '"\\xdeadbeef"'),
  ('bytea', '""', '"\\x"'),
  ('integer[]', '[1,2,null]', '[1, 2, null]'),
  ('integer[]', '[[1,2],[3,4]]', '[[1, 2], [3, 4]]'),
  ('integer[]', '[]', '[]'),
  ('integer[]', '"{1,2}"', '[1, 2]'),
  ('text[]', '["a","b,c","{"]', '["a", "b,c", "{"]'),
  ('timestamptz[]', '["2026-07-01T10:00Z"]', '["2026-07-01T12:00:00+02:00"]'),
  ('uuid[]', '["5E41ab08-7439-411e-86d6-fd953217ae03"]', '["5e41ab08-7439-411e-86d6-fd953217ae03"]'),
  ('numeric(5,2)[]', '[1.1, 2]', '[1.10, 2.00]'),
  ('boolean[]', '[true,false]', '[true, false]'),
  ('jsonb[]', '[[1],{"a":2}]', '[[1], {"a": 2}]'),
  ('inet', '"10.0.0.1"', '"10.0.0.1"'),
  ('point', '"(1,2)"', '"(1,2)"'),
  ('int4range', '"[1,5)"', '"[1,5)"'),
  ('decode_test.mood', '"sad"', '"sad"'),
  ('decode_test.mood[]', '["sad","ok"]', '["sad", "ok"]'),
  ('decode_test.pair', '"(1,x)"', '{"a": 1, "b": "x"}'),
  ('decode_test.positive', '5', '5'),
  ('decode_test.code', '"abc"', '"abc"')
) t (type, given, expected);

------------------------------------------------------------------ wrong values: what is said
SELECT is(decode_test.value(type, given), expected, type || ' ' || given)
FROM (VALUES
  ('text', '{}', '22P02 field "v" of type text: found an object, expected a string'),
  ('text', '["a"]', '22P02 field "v" of type text: found an array, expected a string'),
  ('varchar(5)', '"abcdef"', '22001 field "v" of type character varying(5): string "abcdef" is too long'),
  ('char(2)', '"abc"', '22001 field "v" of type character(2): string "abc" is too long'),
  ('boolean', '"maybe"', '22P02 field "v" of type boolean: found string "maybe", expected true or false'),
  ('boolean', '2', '22P02 field "v" of type boolean: found number 2, expected true or false'),
  ('smallint', '32768', '22003 field "v" of type smallint: number 32768 is out of range'),
  ('integer', '1.5', '22P02 field "v" of type integer: found number 1.5, expected an integer'),
  ('integer', '"x"', '22P02 field "v" of type integer: found string "x", expected an integer'),
  ('integer', '""', '22P02 field "v" of type integer: found string "", expected an integer'),
  ('integer', '"1-2"', '22P02 field "v" of type integer: found string "1-2", expected an integer'),
  ('integer', '"NaN"', '22P02 field "v" of type integer: found string "NaN", expected an integer'),
  ('integer', 'true', '22P02 field "v" of type integer: found true, expected an integer'),
  ('integer', '2147483648', '22003 field "v" of type integer: number 2147483648 is out of range'),
  ('integer', '"2147483648"', '22003 field "v" of type integer: string "2147483648" is out of range'),
  ('bigint', '9223372036854775808', '22003 field "v" of type bigint: number 9223372036854775808 is out of range'),
  ('bigint', '1e30', '22003 field "v" of type bigint: number 1e30 is out of range'),
  ('real', '3.5e38', '22003 field "v" of type real: number 3.5e38 is out of range'),
  ('double precision', '"n/a-3f"', '22P02 field "v" of type double precision: found string "n/a-3f", expected a number'),
  ('double precision', '1e400', '22003 field "v" of type double precision: number 1e400 is out of range'),
  ('double precision', '1e-400', '22003 field "v" of type double precision: number 1e-400 is out of range'),
  ('numeric', '"1,5"', '22P02 field "v" of type numeric: found string "1,5", expected a number'),
  ('numeric', '1e400000', '22003 field "v" of type numeric: number 1e400000 is out of range'),
  ('numeric(5,2)', '1000', '22003 field "v" of type numeric(5,2): number 1000 is out of range'),
  ('numeric(5,2)', '999.999', '22003 field "v" of type numeric(5,2): number 999.999 is out of range'),
  ('uuid', '"5e41ab08-7439-411e-86d6-fd953217ae0g"', '22P02 field "v" of type uuid: found string "5e41ab08-7439-411e-86d6-fd953217ae0g", expected a uuid'),
  ('uuid', '"5e41ab08"', '22P02 field "v" of type uuid: found string "5e41ab08", expected a uuid'),
  ('uuid', '5', '22P02 field "v" of type uuid: found number 5, expected a uuid'),
  ('date', '"2026-02-30"', '22008 field "v" of type date: string "2026-02-30" is out of range'),
  ('date', '20260301', '22007 field "v" of type date: found number 20260301, expected a date such as "2026-03-01"'),
  ('timestamptz', '"yesterdayish"', '22007 field "v" of type timestamp with time zone: found string "yesterdayish", expected a timestamp such as "2026-03-01T12:34:56Z"'),
  ('timestamptz', '1700000000', '22007 field "v" of type timestamp with time zone: found number 1700000000, expected a timestamp such as "2026-03-01T12:34:56Z"'),
  ('timestamptz', '"2026-03-01T25:00:00Z"', '22008 field "v" of type timestamp with time zone: string "2026-03-01T25:00:00Z" is out of range'),
  ('timestamptz', '"294278-01-01"', '22008 field "v" of type timestamp with time zone: string "294278-01-01" is out of range'),
  ('interval', '"soon"', '22007 field "v" of type interval: found string "soon", expected an interval such as "PT1H30M" or "90 minutes"'),
  ('bytea', '"%%"', '22P02 field "v" of type bytea: found string "%%", expected base64, or \x or 0x and hexadecimal digits'),
  ('bytea', '"\\xabc"', '22P02 field "v" of type bytea: found string "\\xabc", expected base64, or \x or 0x and hexadecimal digits'),
  ('integer[]', '[1,"x"]', '22P02 field "v" of type integer[]: found string "x", expected an integer'),
  ('integer[]', '[[1,2],[3]]', '2202E field "v" of type integer[]: an array has inner arrays that differ in length or depth'),
  ('integer[]', '[1,[2]]', '2202E field "v" of type integer[]: an array has inner arrays that differ in length or depth'),
  ('integer[]', '[[1],2]', '2202E field "v" of type integer[]: an array has inner arrays that differ in length or depth'),
  ('integer[]', '[[[[[[[1]]]]]]]', '54000 field "v" of type integer[]: an array has more than 6 dimensions'),
  ('integer[]', '5', '22P02 field "v" of type integer[]: found number 5, expected an array'),
  ('integer[]', '"{1,x}"', '22P02 field "v" of type integer[]: found string "{1,x}", expected an array'),
  ('inet', '"10.0.0.300"', '22P02 field "v" of type inet: invalid input syntax for type inet: "10.0.0.300"'),
  ('inet', '{"a":1}', '22P02 field "v" of type inet: found an object, expected a string'),
  ('decode_test.mood', '"glad"', '22P02 field "v" of type decode_test.mood: invalid input value for enum decode_test.mood: "glad"'),
  ('decode_test.positive', '-5', '23514 field "v" of type decode_test.positive: value for domain decode_test.positive violates check constraint "is_positive"'),
  ('decode_test.positive', '"q"', '22P02 field "v" of type decode_test.positive: found string "q", expected an integer'),
  ('decode_test.positive[]', '[1,-5]', '23514 field "v" of type decode_test.positive[]: value for domain decode_test.positive violates check constraint "is_positive"'),
  ('decode_test.required', 'null', '23502 field "v" of type decode_test.required: domain decode_test.required does not allow null values'),
  ('decode_test.code', '"abcd"', '22001 field "v" of type decode_test.code: string "abcd" is too long')
) t (type, given, expected);

------------------------------------------------------------------ literals
-- A literal is what it looks like.
SELECT is(millrace.decode('s text', '{"s": "say \"hi\"\n"}'), '{"s": "say \"hi\"\n"}', 'backslashes of a literal are JSON''s');
SELECT is(millrace.decode('s text', '{"s": "C:\\temp \u00e9"}') ->> 's', 'C:\temp é', 'each of them');
SELECT is(millrace.decode('s text', '{"s": "a"}'::text || ''), millrace.decode('s text', '\x7b2273223a2261227d'::bytea), 'text or bytes');

------------------------------------------------------------------ hostile payloads
CREATE TABLE decode_test.hostile (name text, payload bytea, expected text, fields text DEFAULT 'id int, s text');
INSERT INTO decode_test.hostile SELECT name, convert_to(payload, 'UTF8'), expected FROM (VALUES
  ('empty', '', '22032 payload is empty'),
  ('blank', E' \n\t ', '22032 payload is empty'),
  ('cut off in a key', '{"i', '22032 payload is not JSON: it ends too early, at byte 3'),
  ('cut off after a key', '{"id"', '22032 payload is not JSON: it ends too early, at byte 5'),
  ('cut off in a string', '{"s":"abc', '22032 payload is not JSON: it ends too early, at byte 9'),
  ('cut off in an escape', '{"s":"\u00', '22032 payload is not JSON: it ends too early, at byte 10'),
  ('cut off in a pair', '{"s":"\ud83d', '22032 payload is not JSON: it ends too early, at byte 12'),
  ('cut off in a number', '{"id":-', '22032 payload is not JSON: it ends too early, at byte 7'),
  ('cut off before the brace', '{"id":1', '22032 payload is not JSON: it ends too early, at byte 7'),
  ('cut off in a literal', '{"id":nul', '22032 payload is not JSON: it ends too early, at byte 9'),
  ('not JSON', 'hello', '22032 payload is not JSON: expected a value at byte 0'),
  ('XML', '<id>1</id>', '22032 payload is not JSON: expected a value at byte 0'),
  ('CSV', '1,abc', '22032 payload is not JSON: something follows the document at byte 1'),
  ('two documents', '{"id":1}{"id":2}', '22032 payload is not JSON: something follows the document at byte 8'),
  ('two lines', E'{"id":1}\n{"id":2}', '22032 payload is not JSON: something follows the document at byte 9'),
  ('trailing garbage', '{"id":1}xyz', '22032 payload is not JSON: something follows the document at byte 8'),
  ('trailing comma in an object', '{"id":1,}', '22032 payload is not JSON: expected a key in double quotes at byte 8'),
  ('trailing comma in an array', '{"x":[1,]}', '22032 payload is not JSON: expected a value at byte 8'),
  ('single quotes', '{''id'':1}', '22032 payload is not JSON: expected a key in double quotes at byte 1'),
  ('bare key', '{id:1}', '22032 payload is not JSON: expected a key in double quotes at byte 1'),
  ('no colon', '{"id" 1}', '22032 payload is not JSON: expected ":" at byte 6'),
  ('no comma', '{"id":1 "s":"x"}', '22032 payload is not JSON: expected "," or "}" at byte 8'),
  ('mismatched brackets', '{"x":[1}', '22032 payload is not JSON: expected "," or "]" at byte 7'),
  ('comment', '{"id":1 /* one */}', '22032 payload is not JSON: expected "," or "}" at byte 8'),
  ('Python literal', '{"id":None}', '22032 payload is not JSON: expected a value at byte 6'),
  ('bare NaN', '{"id":NaN}', '22032 payload is not JSON: expected a value at byte 6'),
  ('bare -Infinity', '{"x":-Infinity}', '22032 payload is not JSON: malformed number at byte 6'),
  ('leading zero', '{"id":01}', '22032 payload is not JSON: malformed number at byte 6'),
  ('hexadecimal number', '{"id":0x1F}', '22032 payload is not JSON: expected "," or "}" at byte 7'),
  ('plus sign', '{"id":+1}', '22032 payload is not JSON: expected a value at byte 6'),
  ('bare point', '{"id":.5}', '22032 payload is not JSON: expected a value at byte 6'),
  ('number ending in a point', '{"x":5.}', '22032 payload is not JSON: malformed number at byte 7'),
  ('line break in a string', E'{"s":"a\nb"}', '22032 payload is not JSON: control character in a string at byte 7'),
  ('unknown escape', '{"s":"\x41"}', '22032 payload is not JSON: malformed escape at byte 6'),
  ('bad hexadecimal escape', '{"s":"\u00zz"}', '22032 payload is not JSON: malformed escape at byte 6'),
  ('lone high surrogate', '{"s":"\ud800"}', '22032 payload is not JSON: half of a surrogate pair at byte 6'),
  ('lone low surrogate', '{"s":"\udc00"}', '22032 payload is not JSON: half of a surrogate pair at byte 6'),
  ('swapped surrogates', '{"s":"\udc00\ud800"}', '22032 payload is not JSON: half of a surrogate pair at byte 6'),
  ('lone surrogate in an unwanted value', '{"x":"\ud800"}', '22032 payload is not JSON: half of a surrogate pair at byte 6'),
  ('\u0000 in a text', '{"s":"a\u0000b"}', '22P05 field "s" of type text: string "a\u0000b" has the character \u0000'),
  ('\u0000 in an unwanted value', '{"id":1,"x":"\u0000"}', '{"s": null, "id": 1}'),
  ('number', '5', '2203C payload is a number, expected an object'),
  ('string', '"id"', '2203C payload is a string, expected an object'),
  ('null', 'null', '2203C payload is null, expected an object'),
  ('array', '[{"id":1}]', '2203C payload is an array, expected an object'),
  ('1e400000', '{"id":1e400000}', '22003 field "id" of type integer: number 1e400000 is out of range'),
  ('1e400000, unwanted', '{"id":1,"x":1e400000}', '{"s": null, "id": 1}'),
  ('endless exponent', '{"id":1e' || repeat('9', 100000) || '}', '22003 field "id" of type integer: number 1e' || repeat('9', 58) || '... is out of range'),
  ('integer overflow', '{"id":99999999999999999999999999}', '22003 field "id" of type integer: number 99999999999999999999999999 is out of range'),
  ('number of 1,000,000 digits', '{"id":' || repeat('1', 1000000) || '}', '22003 field "id" of type integer: number ' || repeat('1', 60) || '... is out of range'),
  ('100,000 arrays deep', repeat('[', 100000), '22032 payload is not JSON: nested more than 512 levels deep at byte 512'),
  ('100,000 arrays deep and back', '{"x":' || repeat('[', 100000) || repeat(']', 100000) || '}', '22032 payload is not JSON: nested more than 512 levels deep at byte 516'),
  ('100,000 objects deep', repeat('{"a":', 100000), '22032 payload is not JSON: nested more than 512 levels deep at byte 2560'),
  ('512 levels', '{"id":1,"x":' || repeat('[', 511) || repeat(']', 511) || '}', '{"s": null, "id": 1}'),
  ('duplicate keys', '{"id":1,"id":"x","id":3}', '{"s": null, "id": 3}'),
  ('100,000 duplicate keys', '{' || repeat('"id":"x",', 100000) || '"id":3}', '{"s": null, "id": 3}'),
  ('100,000 keys', '{' || (SELECT string_agg(format('"k%s":%s', n, n), ',') FROM generate_series(1, 100000) n) || ',"id":3}', '{"s": null, "id": 3}'),
  ('empty key', '{"":1,"id":2}', '{"s": null, "id": 2}'),
  ('long key', '{"' || repeat('k', 1000000) || '":1,"id":2}', '{"s": null, "id": 2}'),
  ('long wrong value', '{"id":"' || repeat('x', 1000000) || '"}', '22P02 field "id" of type integer: found string "' || repeat('x', 60) || '...", expected an integer'),
  ('SQL in a value', '{"s":"''; DROP TABLE reading; --"}', '{"s": "''; DROP TABLE reading; --", "id": null}'),
  ('SQL in a key', '{"''; DROP TABLE reading; --":1}', '{"s": null, "id": null}'),
  ('format directives', '{"id":"%s%n%d"}', '22P02 field "id" of type integer: found string "%s%n%d", expected an integer'),
  ('terminal escapes', '{"id":"\u001b[2J' || chr(8238) || chr(155) || '"}', '22P02 field "id" of type integer: found string "\u001b[2J\u202e\u009b", expected an integer')
) t (name, payload, expected);
INSERT INTO decode_test.hostile VALUES
  ('NUL byte', '\x00', '22032 payload is not JSON: expected a value at byte 0'),
  ('schema registry frame', '\x00000000017b7d', '22032 payload is not JSON: expected a value at byte 0'),
  ('NUL byte behind', '\x7b7d00', '22032 payload is not JSON: something follows the document at byte 2'),
  ('NUL byte in a string', '\x7b2273223a22610062227d', '22032 payload is not JSON: control character in a string at byte 7'),
  ('byte order mark', '\xefbbbf7b7d', '22032 payload is not JSON: byte order mark at byte 0'),
  ('UTF-16', '\xfffe7b007d00', '22032 payload is not JSON: expected a value at byte 0'),
  ('gzip', '\x1f8b0800', '22032 payload is not JSON: expected a value at byte 0'),
  ('invalid UTF-8', '\x7b2273223a22ff227d', '22021 payload is not JSON: invalid UTF-8 at byte 6'),
  ('Latin-1', '\x7b2273223a226ee9227d', '22021 payload is not JSON: invalid UTF-8 at byte 7'),
  ('overlong UTF-8', '\x7b2273223a22c0af227d', '22021 payload is not JSON: invalid UTF-8 at byte 6'),
  ('surrogate in UTF-8', '\x7b2273223a22eda080227d', '22021 payload is not JSON: invalid UTF-8 at byte 6'),
  ('beyond U+10FFFF', '\x7b2273223a22f4908080227d', '22021 payload is not JSON: invalid UTF-8 at byte 6'),
  ('invalid UTF-8 in an unwanted value', '\x7b2278223a22ff227d', '22021 payload is not JSON: invalid UTF-8 at byte 6'),
  ('invalid UTF-8 in a key', '\x7b22ff223a317d', '22021 payload is not JSON: invalid UTF-8 at byte 2');
INSERT INTO decode_test.hostile SELECT name, convert_to(payload, 'UTF8'), expected, fields FROM (VALUES
  ('a hundred 1e131071 as jsonb', 'v jsonb', '{"v":[' || repeat('1e131071,', 99) || '1e131071]}', '22003 field "v" of type jsonb: an array has a number that is out of range'),
  ('1e131071 as jsonb', 'v jsonb', '{"v":1e131071}', '22003 field "v" of type jsonb: number 1e131071 is out of range'),
  ('1e131072 as numeric', 'v numeric', '{"v":1e131072}', '22003 field "v" of type numeric: number 1e131072 is out of range'),
  ('1e-16384 as numeric', 'v numeric', '{"v":1e-16384}', '22003 field "v" of type numeric: number 1e-16384 is out of range'),
  ('\u0000 deep in a jsonb', 'v jsonb', '{"v":{"a":[{"\u0000":1}]}}', '22P05 field "v" of type jsonb: an object has the character \u0000'),
  ('\u0000 in a uuid', 'v uuid', '{"v":"\u00005e41ab08"}', '22P02 field "v" of type uuid: found string "\u00005e41ab08", expected a uuid'),
  ('\u0000 in a timestamp', 'v timestamptz', '{"v":"2026\u0000"}', '22P05 field "v" of type timestamp with time zone: string "2026\u0000" has the character \u0000'),
  ('\u0000 in an inet', 'v inet', '{"v":"10.0.0.1\u0000"}', '22P05 field "v" of type inet: string "10.0.0.1\u0000" has the character \u0000'),
  ('deep jsonb', 'v jsonb', '{"v":' || repeat('[', 500) || repeat(']', 500) || '}', '{"v": ' || repeat('[', 500) || repeat(']', 500) || '}'),
  ('absurd timestamp', 'v timestamptz', '{"v":"999999999-01-01T00:00:00Z"}', '22008 field "v" of type timestamp with time zone: string "999999999-01-01T00:00:00Z" is out of range'),
  ('long timestamp', 'v timestamptz', '{"v":"' || repeat('2026-', 100000) || '"}', '22007 field "v" of type timestamp with time zone: found string "' || repeat('2026-', 12) || '...", expected a timestamp such as "2026-03-01T12:34:56Z"'),
  ('month 13', 'v date', '{"v":"2026-13-01"}', '22008 field "v" of type date: string "2026-13-01" is out of range'),
  ('ragged array', 'v int[]', '{"v":[[1],[2,3]]}', '2202E field "v" of type integer[]: an array has inner arrays that differ in length or depth'),
  ('long text', 'v text', '{"v":"' || repeat('é', 1000000) || '"}', '{"v": "' || repeat('é', 1000000) || '"}'),
  ('long number as double', 'v float8', '{"v":0.' || repeat('3', 1000000) || '}', '{"v": 0.3333333333333333}')
) t (name, fields, payload, expected);

SELECT ok(decode_test.outcome(fields, payload) = expected, 'hostile: ' || name)
FROM decode_test.hostile;

-- 270 MB are more than any jsonb can hold, and more than a message should
CREATE TABLE decode_test.huge AS SELECT convert_to('{"n":7,"s":"' || repeat('x', 270000000) || '"}', 'UTF8') AS payload;
SELECT is(decode_test.outcome(fields, payload), expected, 'a string of 270 MB: ' || fields)
FROM decode_test.huge CROSS JOIN (VALUES
  ('n int', '{"n": 7}'),
  ('s int', '22P02 field "s" of type integer: found string "' || repeat('x', 60) || '...", expected an integer'),
  ('s jsonb', '54000 field "s" of type jsonb: string too long to represent as jsonb string'),
  ('s varchar(10)', '22001 field "s" of type character varying(10): string "' || repeat('x', 60) || '..." is too long')
) t (fields, expected);
SELECT ok(length(decode_test.outcome('s inet', payload)) < 2100, 'nor does PostgreSQL''s own message quote all of it') FROM decode_test.huge;
DROP TABLE decode_test.huge;

------------------------------------------------------------------ detail, hint and column of a failure
CREATE FUNCTION decode_test.more(fields text, payload text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE d text; h text; c text; k text;
BEGIN
  PERFORM millrace.decode(fields, convert_to(payload, 'UTF8'));
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, c = COLUMN_NAME, k = CONSTRAINT_NAME;
  RETURN ARRAY[d, h, c, k];
END $$;
SELECT is((decode_test.more('v int, "W w" int', '{"W w":"x"}'))[3], 'W w', 'the failure names the field as column');
SELECT is((decode_test.more('v int NOT NULL', '{}'))[3], 'v', 'so does a missing field');
SELECT is((decode_test.more('v decode_test.positive', '{"v":-1}'))[4], 'is_positive', 'and the constraint of a domain');
SELECT is((decode_test.more('v int[]', '{"v":[1,2,"x"]}'))[1], 'It is element 3 of the array.', 'the element of an array is named');
SELECT is((decode_test.more('v int', '{"value":17,"v":nope}'))[1], 'The error is after: {"value":17,"v":', 'the place of a syntax error is shown');
SELECT is((decode_test.more('v timestamptz', '{"v":17}'))[2],
  'Add EPOCH ''s'' to the field if these are seconds since 1970, or declare it as bigint: to_timestamp(event.v).',
  'an epoch number gets a hint');
SELECT is((decode_test.more('v text', '{"v":{}}'))[2], 'Declare the field as jsonb, or give a PATH to the value inside.', 'an object for a string gets a hint');

------------------------------------------------------------------ agreement with PostgreSQL's own input
SELECT is((SELECT count(*) FROM (SELECT setseed(0.5)) s, LATERAL (
             SELECT ((random() - 0.5) * 10 ^ (random() * 40 - 20))::float8 AS v FROM generate_series(1, 2000)) r
           WHERE (millrace.decode('v text', convert_to(format('{"v":"%s"}', v), 'UTF8')) ->> 'v')::float8 <> v
              OR millrace.decode('v float8', convert_to(format('{"v":%s}', v), 'UTF8')) -> 'v' <> to_jsonb(v)),
          0::bigint, 'doubles of 17 digits come through to the bit');
SELECT is((SELECT count(*) FROM generate_series(-60, 60) e, unnest('{1,7,123456789,9007199254740991,9007199254740993,1844674407370955161}'::numeric[]) m
           WHERE millrace.decode('v float8', convert_to(format('{"v":%se%s}', m, e), 'UTF8')) -> 'v'
                 <> to_jsonb(format('%se%s', m, e)::float8)),
          0::bigint, 'so do digits with exponents');
SELECT is((SELECT count(*) FROM generate_series(-30, 30) e, unnest('{1,7,16777215,16777217,123456789}'::numeric[]) m
           WHERE millrace.decode('v real', convert_to(format('{"v":%se%s}', m, e), 'UTF8')) -> 'v'
                 <> to_jsonb(format('%se%s', m, e)::real)),
          0::bigint, 'and reals');
SELECT is((SELECT count(*) FROM generate_series('0001-01-01'::timestamp, '9999-12-31', '1000 days 01:02:03.456789') t,
             unnest('{UTC,Europe/Berlin,America/New_York}'::text[]) z,
             LATERAL millrace.decode('v timestamptz, w timestamp', format('{"v":"%1$s","w":"%1$s"}', to_char(t, 'YYYY-MM-DD"T"HH24:MI:SS.US')), time_zone => z) d
           WHERE (d ->> 'v')::timestamptz <> t AT TIME ZONE z OR (d ->> 'w')::timestamp <> t),
          0::bigint, 'local timestamps of any time and zone');
SELECT is((SELECT count(*) FROM generate_series(0, 9999999, 4321) f,
             LATERAL (SELECT '2026-03-01T12:34:56.' || lpad(f::text, 7, '0') || 'Z' AS s) x
           WHERE (millrace.decode('v timestamptz', convert_to(format('{"v":"%s"}', s), 'UTF8')) ->> 'v')::timestamptz <> s::timestamptz),
          0::bigint, 'fractions of a second are rounded alike');

------------------------------------------------------------------ the function itself
SELECT is(millrace.decode(NULL, '{}'), NULL, 'no list, no result');
SELECT is(millrace.decode('v int', NULL), NULL, 'no payload, no result');
SELECT function_privs_are('millrace', 'decode', ARRAY['text', 'millrace.payload'] || array_fill('text'::text, ARRAY[8]) || ARRAY['millrace.payload', 'jsonb'], 'public', ARRAY['EXECUTE'], 'everyone may try');

SELECT finish();
ROLLBACK;
