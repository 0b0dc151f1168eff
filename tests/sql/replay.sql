BEGIN;
\ir helper.psql
SELECT plan(81);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
RESET ROLE;
-- six dead letters of p (1 to 5 written badly, 6 too large), one of q
INSERT INTO millrace.dead_letter
  (id, pipeline_id, version, topic, partition, "offset", kafka_ts, key, headers, payload, stage, sqlstate, message, failed_at, history)
SELECT v.n, CASE v.n WHEN 7 THEN :other ELSE :id END, 1, 'events', 0, 100 + v.n, timestamptz '2026-01-01 00:00:01.5+00', 'k'::text::bytea, '\x00000000',
       CASE v.n WHEN 6 THEN NULL ELSE convert_to(format('{"id": %s}', v.n), 'UTF8') END, CASE v.n WHEN 6 THEN 'decode' ELSE 'write' END,
       CASE v.n WHEN 6 THEN '54000' WHEN 5 THEN '23514' ELSE '23503' END, 'no', now() - interval '2 days',
       '[{"at": "2026-01-01", "stage": "write", "sqlstate": "23503", "message": "no"}]'
FROM generate_series(1, 7) AS v (n);

-- the condition is the caller's
SET ROLE mrt_owner;
SELECT is(millrace.dead_letter_ids('p', 'true'), '{1,2,3,4,5,6}', 'all');
SELECT is(millrace.dead_letter_ids('p', $$ sqlstate = '23503' AND "offset" > 101 $$), '{2,3,4}', 'by columns');
SELECT is(millrace.dead_letter_ids('p', $$ (payload::jsonb ->> 'id')::int = 5 $$, '{4,5}'), '{5}', 'by the payload, among ids');
SELECT is(millrace.dead_letter_ids('p', 'false'), '{}', 'none');
SELECT is(millrace.dead_letter_ids('p', 'NULL'), '{}', 'null is not true');
SELECT is(millrace.dead_letter_ids('nix', 'true'), '{}', 'no such pipeline');
SELECT is(millrace.dead_letter_ids('p', 'id < 3 -- the first'), '{1,2}', 'a comment at its end');
SELECT is(millrace.dead_letter_ids('p', 'condition = ''check_violation'' AND fingerprint IS NOT NULL'), '{5}', 'by what the view computes');
SELECT pg_temp.refused($$ SELECT millrace.dead_letter_ids('p', ' ') $$, '22023', 'the condition is empty', 'true', 'an empty one');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', 'nix = 1') $$, '42703', '"nix" does not exist', NULL, 'a wrong one');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', 'true); DELETE FROM mrt.reading; --') $$, '42601', 'syntax error', NULL, 'two statements');
SELECT throws_ok($$ SELECT millrace.replay('p', 'true) AS x; DROP TABLE mrt.reading; SELECT (true') $$, NULL, NULL, 'a statement smuggled in');
SELECT has_table('mrt', 'reading', 'does nothing');
SELECT throws_ok($$ SELECT millrace.replay('p', 'id IN (SELECT id FROM millrace.dead_letter)') $$, '42501', 'permission denied for table dead_letter', 'with the caller''s rights: no catalogue');
CREATE FUNCTION mrt.who() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as %', current_user; END $$;
SET ROLE mrt_member;
SELECT throws_ok($$ SELECT millrace.replay('p', 'mrt.who()') $$, 'P0001', 'as mrt_member', 'a function in it runs as the caller');
SET ROLE mrt_stranger;
SELECT is(millrace.dead_letter_ids('p', 'true'), '{}', 'a stranger sees none');
SELECT pg_temp.refused($$ SELECT millrace.replay('p') $$, '42501', 'must be owner of pipeline "p"', NULL, 'and replays none');
SELECT pg_temp.refused($$ SELECT millrace.replay_ids('p', '{1}', NULL, 1, 1, 'x') $$, '42501', 'must be owner', NULL, 'not by numbers');
SELECT pg_temp.refused($$ SELECT millrace.count_replay_ids('p', '{1}', false, 1, 'x') $$, '42501', 'must be owner', NULL, 'nor counts them');
SELECT pg_temp.refused($$ SELECT millrace.count_discard_ids('p', '{1}', 'x') $$, '42501', 'must be owner', NULL, 'in neither way');
SELECT pg_temp.refused($$ SELECT millrace.discard('p', ids => '{1}') $$, '42501', 'must be owner', NULL, 'and discards none');
SET ROLE mrt_monitor;
SELECT pg_temp.refused($$ SELECT millrace.replay('p') $$, '42501', 'must be owner', NULL, 'nor does a monitor');

-- what is refused
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.replay('nix') $$, '42704', 'pipeline "nix" does not exist', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', rate => 0) $$, '22023', 'rate is 0', NULL, 'a rate of nothing');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', rate => NULL) $$, '22004', 'rate', NULL, 'no rate');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', max_replays => 0) $$, '22023', 'max_replays is 0', NULL, 'never');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', payload => '{}') $$, '22023', 'a payload is given for all dead letters', 'ids =>', 'one payload for all');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{1,2}', payload => '{}') $$, '22023', 'for 2 dead letters', NULL, 'or for two');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{1,99}') $$, '42704', 'dead letter 99 of pipeline "p" cannot be replayed: it does not exist', 'millrace.dead_letters', 'unknown id');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{7}') $$, '42704', 'it does not exist', NULL, 'of another pipeline');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{6}') $$, '55000', 'too large to be staged', 'payload =>', 'without a payload');
SELECT pg_temp.refused($$ SELECT millrace.discard('p') $$, '22004', 'needs a condition or ids', 'discard(''p'', ''true'')', 'discard all only when the condition says so');
SELECT pg_temp.refused($$ SELECT millrace.discard('p', ids => '{99}') $$, '42704', 'cannot be discarded: it does not exist', NULL, 'unknown id');
SELECT is(millrace.replay('p', 'false'), 0::bigint, 'a condition that nothing meets is not all');
-- a preview counts and refuses as the verb does
SELECT is(millrace.count_replay_ids('p', NULL, false, 5, 'all'), (SELECT count(*) - 1 FROM millrace.dead_letters WHERE pipeline = 'p' AND state = 'open'), 'all but the one without a payload');
SELECT is(millrace.count_replay_ids('p', '{1,2}', false, 5, NULL), 2::bigint, 'two');
SELECT is(millrace.count_discard_ids('p', '{1,2,99}', 'which'), 2::bigint, 'of a condition, those that are there');
SELECT pg_temp.refused($$ SELECT millrace.count_replay_ids('p', '{6}', false, 5, NULL) $$, '55000', 'too large to be staged', 'payload =>', 'without a payload, in a preview');
SELECT pg_temp.refused($$ SELECT millrace.count_discard_ids('p', '{99}', NULL) $$, '42704', 'cannot be discarded: it does not exist', NULL, 'unknown id, in a preview');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.retry), 0::bigint, 'nothing happened so far');

-- a preview
SAVEPOINT preview;
SET ROLE mrt_owner;
SELECT is(millrace.replay('p'), 5::bigint, 'all but the one without a payload');
SELECT is((SELECT count(*) FROM millrace.dead_letters WHERE pipeline = 'p' AND state = 'replaying'), 5::bigint, 'on their way');
ROLLBACK TO preview;
SELECT is((SELECT count(*) FROM millrace.dead_letters WHERE state <> 'open'), 0::bigint, 'rolled back');

-- two by a condition, at 2 a second
SET ROLE mrt_owner;
SELECT is(millrace.replay('p', 'id <= 2', rate => 2), 2::bigint, 'two');
SELECT results_eq($$ SELECT id, state, replay_count, edited_payload FROM millrace.dead_letters WHERE id <= 2 ORDER BY 1 $$,
  $$ VALUES (1::bigint, 'replaying', 0, NULL::text), (2, 'replaying', 0, NULL) $$, 'are on their way');
RESET ROLE;
SELECT results_eq($$ SELECT pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, replay_of, key, headers, payload, jsonb_array_length(history)
                     FROM millrace.retry ORDER BY id $$,
  format($$ VALUES (%1$s, 1, 'events', 0, 101::bigint, 1767225601500, 0::smallint, 0, 1::bigint, '\x6b'::bytea, '\x00000000'::bytea, '{"id": 1}'::bytea, 1),
                   (%1$s, 1, 'events', 0, 102, 1767225601500, 0::smallint, 0, 2, '\x6b', '\x00000000', '{"id": 2}', 1) $$, :id), 'with all that they were');
SELECT is((SELECT max(next_at) - min(next_at) FROM millrace.retry), interval '0.5 s', 'half a second apart');
SELECT ok((SELECT bool_and(first_failed_at = next_at AND next_at > now()) FROM millrace.retry), 'their age begins with the replay');
SET ROLE mrt_owner;
SELECT is(millrace.replay('p', ids => '{3}', rate => 1), 1::bigint, 'one more');
RESET ROLE;
SELECT is((SELECT max(next_at) - min(next_at) FROM millrace.retry), interval '1.5 s', 'behind those that wait');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{3}') $$, '55000', 'cannot be replayed: it is replaying', NULL, 'not twice at once');
SELECT pg_temp.refused($$ SELECT millrace.discard('p', ids => '{3}') $$, '55000', 'cannot be discarded: it is replaying', NULL, 'nor discarded meanwhile');
SELECT results_eq($$ SELECT "offset", attempts, max_retries, replay_of, payload, stage, condition, message FROM millrace.retries WHERE pipeline = 'p' ORDER BY id LIMIT 1 $$,
  $$ VALUES (101::bigint, 0, 3, 1::bigint, '{"id": 1}', 'write', 'foreign_key_violation', 'no') $$, 'in the view');

-- an edited payload: both are kept
SELECT is(millrace.replay('p', ids => '{4}', payload => '{"id": 44}'), 1::bigint, 'edited');
SELECT is((SELECT (payload, edited_payload)::text FROM millrace.dead_letters WHERE id = 4), '("{""id"": 4}","{""id"": 44}")', 'both are kept');
SELECT is((SELECT payload FROM millrace.retries WHERE replay_of = 4), '{"id": 44}', 'the edited one is processed');
SELECT is(millrace.replay('p', ids => '{6}', payload => '{"id": 6, "s": "say \"hi\"\n"}'), 1::bigint, 'what was too large, edited');
SELECT is((SELECT edited_payload FROM millrace.dead_letters WHERE id = 6), '{"id": 6, "s": "say \"hi\"\n"}', 'with each of its backslashes');
RESET ROLE;
DELETE FROM millrace.retry WHERE replay_of IN (4, 6);
UPDATE millrace.dead_letter SET state = 'open' WHERE id IN (4, 6);
SET ROLE mrt_owner;
SELECT is((SELECT millrace.replay('p', ids => ARRAY[id], payload => replace(payload, '4', '5')) FROM millrace.dead_letters WHERE id = 4), 1::bigint, 'as a text');
SELECT is((SELECT edited_payload FROM millrace.dead_letters WHERE id = 4), '{"id": 5}', 'made of the first one');
SELECT is(millrace.replay('p', ids => '{6}', payload => '\x7b7d'::bytea), 1::bigint, 'or as bytes');
SELECT is((SELECT edited_payload FROM millrace.dead_letters WHERE id = 6), '{}', 'as they are');
RESET ROLE;
DELETE FROM millrace.dead_letter_action WHERE at IN (SELECT at FROM millrace.dead_letter_action ORDER BY at DESC LIMIT 2);
UPDATE millrace.dead_letter SET edited_payload = '{"id": 44}' WHERE id = 4;
SET ROLE mrt_owner;

-- the guard
RESET ROLE;
DELETE FROM millrace.retry;
UPDATE millrace.dead_letter SET state = 'open', replay_count = CASE id WHEN 1 THEN 5 WHEN 2 THEN 4 ELSE 0 END WHERE id <= 4;
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.replay('p', ids => '{1}') $$, '55000', 'it was replayed 5 times', 'max_replays => 6', 'a sixth time only when the argument allows it');
SELECT is(millrace.replay('p', 'id < 3'), 1::bigint, 'by a condition it stays behind');
SELECT is(millrace.replay('p', ids => '{1}', max_replays => 6), 1::bigint, 'the argument allows it');
SELECT is((SELECT edited_payload FROM millrace.dead_letters WHERE id = 4), '{"id": 44}', 'the last edit is remembered');
SELECT is(millrace.replay('p', ids => '{4}'), 1::bigint, 'replayed as it came');
SELECT is((SELECT edited_payload FROM millrace.dead_letters WHERE id = 4), NULL, 'and no longer edited');

-- discard
SELECT is(millrace.discard('p', 'sqlstate = ''23514''', reason => 'test data'), 1::bigint, 'discarded');
SELECT is((SELECT state FROM millrace.dead_letters WHERE id = 5), 'discarded', 'it stays in the table');
SELECT is(millrace.discard('p', 'sqlstate = ''23514'''), 0::bigint, 'only once');
SELECT pg_temp.refused($$ SELECT millrace.discard('p', ids => '{5}') $$, '55000', 'cannot be discarded: it is discarded', NULL, 'by id neither');
SELECT is(millrace.replay('p', 'id = 5'), 0::bigint, 'no condition means it any more');
SELECT is(millrace.replay('p', ids => '{5}'), 1::bigint, 'but it can be replayed by id');
SET application_name = 'a test';
SELECT is(millrace.discard('p', 'false'), 0::bigint, 'nothing');
SELECT is((SELECT via FROM millrace.dead_letter_actions WHERE pipeline = 'p' ORDER BY at DESC LIMIT 1), 'a test', 'with which program');
SELECT results_eq($$ SELECT verb, by, count, condition, reason FROM millrace.dead_letter_actions WHERE pipeline = 'p' ORDER BY at OFFSET 1 $$,
  $$ VALUES ('replay', 'mrt_owner', 2::bigint, 'id <= 2', NULL::text), ('replay', 'mrt_owner', 1, 'id = ANY (''{3}'')', NULL),
            ('replay', 'mrt_owner', 1, 'id = ANY (''{4}'')', 'with an edited payload'), ('replay', 'mrt_owner', 1, 'id = ANY (''{6}'')', 'with an edited payload'),
            ('replay', 'mrt_owner', 1, 'id < 3', NULL), ('replay', 'mrt_owner', 1, 'id = ANY (''{1}'')', NULL), ('replay', 'mrt_owner', 1, 'id = ANY (''{4}'')', NULL),
            ('discard', 'mrt_owner', 1, 'sqlstate = ''23514''', 'test data'), ('discard', 'mrt_owner', 0, 'sqlstate = ''23514''', NULL),
            ('replay', 'mrt_owner', 0, 'id = 5', NULL), ('replay', 'mrt_owner', 1, 'id = ANY (''{5}'')', NULL),
            ('discard', 'mrt_owner', 0, 'false', NULL) $$, 'all of it is on record');
SELECT is((SELECT state FROM millrace.dead_letters WHERE pipeline = 'q'), 'open', 'another pipeline''s are left alone');
SELECT is(millrace.replay('q', NULL, NULL), 1::bigint, 'neither condition nor ids: all');
SELECT is((SELECT condition FROM millrace.dead_letter_actions WHERE pipeline = 'q'), 'true', 'on record as such');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.dead_letter_actions) + (SELECT count(*) FROM millrace.retries), 0::bigint, 'a stranger sees nothing of it');

SELECT * FROM finish();
ROLLBACK;
