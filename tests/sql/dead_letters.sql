BEGIN;
\ir helper.psql
SELECT plan(24);

-- bytes made readable: nothing fails
SELECT is(millrace.readable('hällo'::text::bytea), 'hällo', 'UTF-8');
SELECT is(millrace.readable(''), '', 'empty');
SELECT is(millrace.readable(NULL), NULL, 'null');
SELECT is(millrace.readable('\x7b22ff'), '{"\377', 'no UTF-8');
SELECT is(millrace.readable('\x6100'), 'a\000', 'NUL');
SELECT is(millrace.readable('\xeda080'), '\355\240\200', 'a surrogate');

SELECT is(millrace.headers('\x00000000'), '{}', 'no headers');
SELECT is(millrace.headers('\x00000003 00000001 61 00000002 7879 00000002 6263 ffffffff 00000001 61 00000000'),
          '{"a": "", "bc": null}', 'of a repeated name the last counts; a null value');
SELECT is(millrace.headers('\x00000001 00000001 61 00000001 ff'), '{"a": "\\377"}', 'a value that is no UTF-8');
SELECT is(millrace.headers(''), '{}', 'no packed headers');
SELECT is(millrace.headers('\x00000001'), '{}', 'cut off');
SELECT is(millrace.headers('\x7fffffff00000001'), '{}', 'a count out of bounds');
SELECT is(millrace.headers('\x000000017fffffff61'), '{}', 'a length out of bounds');
SELECT is(millrace.headers('\x00000002 00000001 61 00000001 78 00000001 62 00000009 79'), '{"a": "x"}', 'cut off in the second');

SELECT is(millrace.fingerprint('decode', '22P02', NULL, 'v', 'field "v": found "abc" at 17'),
          millrace.fingerprint('decode', '22P02', NULL, 'v', 'field "v": found "x" at 4'), 'the same kind of failure');
SELECT cmp_ok(millrace.fingerprint('decode', '22P02', NULL, 'v', 'x'), '<>', millrace.fingerprint('decode', '22P02', NULL, 'w', 'x'), 'another column is another kind');

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
RESET ROLE;
INSERT INTO millrace.dead_letter
  (pipeline_id, version, topic, partition, "offset", kafka_ts, key, headers, payload, stage, sqlstate, message, constraint_name, column_name, failed_at)
SELECT :id, 1, 'events', 0, v.o, now(), 'k'::text::bytea, '\x00000000', v.payload, v.stage, v.sqlstate, v.message, v.con, NULL, v.at
FROM (VALUES
  (1, '{"a":1}'::text::bytea, 'decode', '22P02', 'found "a"', NULL, timestamptz '2026-01-01'),
  (2, '\xff'::bytea, 'decode', '22P02', 'found "b"', NULL, '2026-01-02'),
  (3, NULL, 'write', '23514', 'check', 'positive', '2026-01-03')) AS v (o, payload, stage, sqlstate, message, con, at);

SET ROLE mrt_owner;
SELECT results_eq($$ SELECT topic, partition, "offset", key, headers, payload, stage, message FROM millrace.dead_letters WHERE pipeline = 'p' ORDER BY id $$,
  $$ VALUES ('events', 0, 1::bigint, 'k', '{}'::jsonb, '{"a":1}', 'decode', 'found "a"'),
            ('events', 0, 2, 'k', '{}', '\377', 'decode', 'found "b"'), ('events', 0, 3, 'k', '{}', NULL, 'write', 'check') $$, 'dead letters, readable');
SELECT is((SELECT raw FROM millrace.dead_letters WHERE pipeline = 'p' AND "offset" = 2), '\xff'::bytea, 'and as they came');
SELECT results_eq($$ SELECT count, first_at, last_at, stage, message, constraint_name, "offset" FROM millrace.dead_letter_groups WHERE pipeline = 'p' ORDER BY last_at $$,
  $$ VALUES (2::bigint, timestamptz '2026-01-01', timestamptz '2026-01-02', 'decode', 'found "b"', NULL::text, 2::bigint),
            (1, '2026-01-03', '2026-01-03', 'write', 'check', 'positive', 3) $$, 'by kind, with the latest as the sample');
SET ROLE mrt_member;
SELECT is((SELECT count(*) FROM millrace.dead_letters), 3::bigint, 'a member of the owner sees them');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.dead_letters) + (SELECT count(*) FROM millrace.dead_letter_groups), 0::bigint, 'a monitor does not: they are data');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.dead_letters) + (SELECT count(*) FROM millrace.dead_letter_groups), 0::bigint, 'nor a stranger');
CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE EXCEPTION 'saw %', $1; END $$;
SELECT lives_ok($$ SELECT * FROM millrace.dead_letters WHERE pg_temp.peep(message) $$, 'not even by a function in the condition');
SELECT pg_temp.refused($$ SELECT * FROM millrace.dead_letter $$, '42501', 'permission denied for table dead_letter', NULL, 'nor in the table');

SELECT * FROM finish();
ROLLBACK;
