-- Lists of fields: what their options, paths and names find in a payload, and what is no list.
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS millrace;
SELECT plan(74);
\ir decode.psql

------------------------------------------------------------------ NOT NULL, DEFAULT, PATH, keys
SELECT is(decode_test.outcome(fields, payload), expected, fields || ' of ' || translate(payload, E'\r\n\t', '   '))
FROM (VALUES
  ('v int', '{}', '{"v": null}'),
  ('v int NOT NULL', '{}', '23502 field "v" is missing'),
  ('v int NOT NULL', '{"v":null}', '23502 field "v" is null'),
  ('v int NULL', '{"v":null}', '{"v": null}'),
  ('v int DEFAULT -5', '{}', '{"v": -5}'),
  ('v int DEFAULT -5', '{"v":null}', '{"v": null}'),
  ('v int NOT NULL DEFAULT 5', '{}', '{"v": 5}'),
  ('v int NOT NULL DEFAULT 5', '{"v":null}', '23502 field "v" is null'),
  ('v text DEFAULT ''a'' || ''b'', w int', '{"w":1}', '{"v": "ab", "w": 1}'),
  ('v numeric(5,2) DEFAULT 1', '{}', '{"v": 1.00}'),
  ('v int[] DEFAULT ''{1,2}''', '{}', '{"v": [1, 2]}'),
  ('v timestamptz DEFAULT ''epoch''', '{}', '{"v": "1970-01-01T01:00:00+01:00"}'),
  ('v decode_test.required', '{}', '23502 field "v" of type decode_test.required: domain decode_test.required does not allow null values'),
  ('v decode_test.required DEFAULT 1', '{}', '{"v": 1}'),
  ('v int PATH ''$.a.b[1]''', '{"a":{"b":[1,2,3]}}', '{"v": 2}'),
  ('v int PATH ''$.a.b[1]''', '{"a":{"b":[1]}}', '{"v": null}'),
  ('v int PATH ''$.a.b[1]''', '{"a":5}', '{"v": null}'),
  ('v int NOT NULL PATH ''$.a.b''', '{"a":{}}', '23502 field "v" is missing'),
  ('v int PATH ''$."a b"."q\"x"''', '{"a b":{"q\"x":9}}', '{"v": 9}'),
  ('v int PATH ''$.x-y.$z''', '{"x-y":{"$z":9}}', '{"v": 9}'),
  ('v jsonb PATH ''$'', w int', '{"w":2}', '{"v": {"w": 2}, "w": 2}'),
  ('v jsonb PATH ''$.a'', w int PATH ''$.a.b''', '{"a":{"b":2}}', '{"v": {"b": 2}, "w": 2}'),
  ('v int PATH ''$[0]''', '[7]', '{"v": 7}'),
  ('v int PATH ''$''', '7', '{"v": 7}'),
  ('v int PATH ''$.a[0][1].b''', '{"a":[[0,{"b":3}]]}', '{"v": 3}'),
  ('a text PATH ''$.x'', b int PATH ''$.x''', '{"x":"5"}', '{"a": "5", "b": 5}'),
  ('"A" int, "a b" int, a int', '{"A":1,"a b":2,"a":3}', '{"A": 1, "a": 3, "a b": 2}'),
  -- the key is as it is written, the name is folded
  ('Abc int', '{"abc":1,"Abc":2}', '{"abc": 2}'),
  ('abc int', '{"abc":1,"Abc":2}', '{"abc": 1}'),
  ('orderId bigint, customerName text,TOTAL numeric', '{"orderId":1,"customerName":"a","TOTAL":10}', '{"total": 10, "orderid": 1, "customername": "a"}'),
  (E'-- first\n/* , B text */ aB\tint,"a""B" int, cD$1 int, Größe_Ä int', '{"aB":1,"a\"B":2,"cD$1":3,"Größe_Ä":4}', '{"ab": 1, "a\"B": 2, "cd$1": 3, "größe_Ä": 4}'),
  ('U&"\0061B" int', '{"aB":1}', '{"aB": 1}'),
  ('aB int PATH ''$.ab''', '{"aB":1,"ab":2}', '{"ab": 2}'),
  (repeat('aB', 40) || ' int', '{"' || repeat('aB', 40) || '":1}', '{"' || repeat('ab', 31) || 'a": 1}'),
  ('"' || repeat('aB', 40) || '" int', '{"' || repeat('aB', 40) || '":1}', '{"' || repeat('aB', 31) || 'a": 1}'),
  ('v int', '{"\u0076":1}', '{"v": 1}'),
  ('v int', '{"v":1,"v":2}', '{"v": 2}'),
  ('v int', '{"v":1,"v":null}', '{"v": null}'),
  ('v int', '{"v":"x","v":2}', '{"v": 2}'),
  ('v int PATH ''$.a.b''', '{"a":{"b":1},"a":{}}', '{"v": null}'),
  ('v int', E' \r\n\t{ "v" : 1 , "w" : [ ] } \n', '{"v": 1}'),
  ('"from" text, "select" int', '{"from":"x","select":1}', '{"from": "x", "select": 1}')
) t (fields, payload, expected);

------------------------------------------------------------------ field lists that are wrong
SELECT throws_ok(format('SELECT millrace.decode(%L, %L)', list, '{}'), state::char(5), message, 'list: ' || list)
FROM (VALUES
  ('', '42601', 'field list is empty'),
  ('  ', '42601', 'field list is empty'),
  ('v', '42601', 'syntax error at end of field list'),
  ('v int,', '42601', 'syntax error at end of field list'),
  ('v int w int', '42601', 'unrecognized column option "w"'),
  ('v nosuchtype', '42704', 'type "nosuchtype" does not exist'),
  ('v int, v text', '42701', 'field "v" is declared more than once'),
  ('payload jsonb', '42939', 'field name "payload" is reserved'),
  ('"offset" int', '42939', 'field name "offset" is reserved'),
  ('v anyelement', '42P16', 'field "v" has pseudo-type anyelement'),
  ('v setof int', '42P16', 'field "v" cannot be declared SETOF'),
  ('v FOR ORDINALITY', '0A000', 'field "v" cannot be FOR ORDINALITY'),
  ('v int PATH ''a''', '42601', 'PATH of field "v" is not valid: it must begin with $, key or header.'),
  ('v int PATH ''$.a.''', '42601', 'PATH of field "v" is not valid: a key is missing at its end'),
  ('v int PATH ''$.*''', '42601', 'PATH of field "v" is not valid: wildcards are not supported'),
  ('v int PATH ''$[*]''', '42601', 'PATH of field "v" is not valid: wildcards are not supported'),
  ('v int PATH ''$[-1]''', '42601', 'PATH of field "v" is not valid: expected an index, counting from 0'),
  ('v int PATH ''$[99999999999]''', '42601', 'PATH of field "v" is not valid: the index is too large'),
  ('v int PATH ''$."a''', '42601', 'PATH of field "v" is not valid: the quoted key does not end'),
  ('v int PATH 5', '42601', 'PATH of field "v" must be a string'),
  ('v int DEFAULT random()', '42P17', 'DEFAULT of field "v" is not a constant'),
  ('v timestamptz DEFAULT now()', '42P17', 'DEFAULT of field "v" is not a constant'),
  ('v decode_test.positive DEFAULT -1', '23514', 'value for domain decode_test.positive violates check constraint "is_positive"'),
  ('v int DEFAULT ''x''', '22P02', 'invalid input syntax for type integer: "x"'),
  ('v int DEFAULT (SELECT 1)', '0A000', 'cannot use subquery in DEFAULT expression'),
  ('v int DEFAULT w', '0A000', 'cannot use column reference in DEFAULT expression'),
  ('v int NOT NULL DEFAULT NULL', '42P17', 'field "v" is NOT NULL but its DEFAULT is null'),
  ('v date DEFAULT 5', '42804', 'field "v" is of type date but its DEFAULT is of type integer'),
  ('v int) AS x', '42601', 'syntax error at end of field list'),
  ('v int), XMLTABLE('''' PASSING '''' COLUMNS w int', '42601', 'a field list can hold nothing but fields'),
  ('v int); SELECT 1; SELECT FROM XMLTABLE('''' PASSING '''' COLUMNS w int', '42601', 'a field list can hold nothing but fields')
) t (list, state, message);
SELECT lives_ok($$ SELECT millrace.decode(E'v int, -- a comment\n w int /* and another */ --', '{}') $$, 'comments are fine');

SELECT finish();
ROLLBACK;
