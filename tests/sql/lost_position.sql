BEGIN;
\ir helper.psql
SELECT plan(21);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,200,300}');
RESET ROLE;
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at, first_failed_at, ended, attempts, state)
SELECT v.id, :id, 1, 'events', 1, v.id, 'write', '23503', 'no station', now(), now(), 'exhausted', 2, v.state
FROM (VALUES (1, 'open'), (2, 'replayed'), (3, 'discarded')) AS v (id, state);
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at)
VALUES (:id, 1, 'events', 1, 4, -1, 0, 2, '2030-01-01', '2026-01-01');
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, state, order_key)
VALUES (:id, 1, 'events', 1, 5, -1, 0, 0, 'infinity', '2026-01-01', 'parked', 1);
INSERT INTO millrace.dead_letter_aside VALUES (:id, 1, 17), (:id, 0, 0);  -- letters that were discarded and purged
DELETE FROM millrace.progress WHERE pipeline_id = :id AND partition = 1;
SELECT epoch AS epoch1 FROM millrace.partition WHERE pipeline_id = :id AND partition = 1 \gset
SELECT millrace._stop_lost(:id, 1);

SET ROLE mrt_owner;
SELECT is((SELECT status FROM millrace.pipelines WHERE name = 'p'), 'stopped', 'the pipeline says so');
SELECT matches((SELECT reason FROM millrace.pipelines WHERE name = 'p'), '^partition 1: its position is lost', 'and why');
SELECT matches((SELECT hint FROM millrace.pipelines WHERE name = 'p'), 'consumer group millrace\.[0-9a-f-]{36}\.p has committed', 'and where it can be looked up');
SELECT unalike((SELECT hint FROM millrace.pipelines WHERE name = 'p'), '%drop%', 'not to drop it');
SELECT results_eq($$ SELECT partition, state, next_offset FROM millrace.partitions WHERE pipeline = 'p' $$,
  $$ VALUES (0, 'active', 100::bigint), (1, 'stopped', NULL), (2, 'active', 300) $$, 'the others are as they were');
SELECT results_eq($$ SELECT partition, lag, behind >= interval '0' FROM millrace.lag WHERE pipeline = 'p' AND partition = 1 $$, $$ VALUES (1, NULL::bigint, true) $$, 'no lag without a position, but since when');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 0) $$, '55000', 'rows twice', 'allow_duplicates', 'all of them');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 0, partition => 1) $$, '55000', 'rows twice', 'allow_duplicates', 'whatever was written of it is written twice');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', to_time => '2026-01-01', partition => 1, allow_duplicates => true) $$, '55000', 'no position to go back from', '"offset" => 0', 'no time: back from where?');
SELECT is(millrace.skip_to('p', 1, 150), NULL, 'goes on at an offset: how many are left out is unknown');
SELECT results_eq($$ SELECT state, error, next_offset, events, dead, retrying, parked FROM millrace.partitions WHERE pipeline = 'p' AND partition = 1 $$,
  $$ VALUES ('active', NULL::text, 150::bigint, 4::bigint, 2::bigint, 2::bigint, 1::bigint) $$, 'with what its failures show of the counters');
SELECT results_eq($$ SELECT dead_letters_open, parked FROM millrace.stats WHERE pipeline = 'p' $$, $$ VALUES (1::bigint, 1::bigint) $$, 'one letter is open');
SELECT ok((SELECT bool_and(events = written + filtered + superseded + skipped + dead + retrying) FROM millrace.stats), 'which add up');
SELECT results_eq($$ SELECT from_offset, to_offset, left_out, by FROM millrace.position_changes WHERE pipeline = 'p' AND verb = 'skip_to' $$,
  $$ VALUES (NULL::bigint, 150::bigint, NULL::bigint, 'mrt_owner') $$, 'it is on record');
RESET ROLE;
SELECT isnt((SELECT epoch FROM millrace.partition WHERE pipeline_id = :id AND partition = 1), :epoch1::bigint, 'with another epoch');

-- both rows gone
DELETE FROM millrace.progress WHERE pipeline_id = :id AND partition = 2;
DELETE FROM millrace.partition WHERE pipeline_id = :id AND partition = 2;
SELECT millrace._stop_lost(:id, 2);
SELECT is((SELECT state FROM millrace.partition WHERE pipeline_id = :id AND partition = 2), 'stopped', 'it has a row again');
DELETE FROM millrace.partition WHERE pipeline_id = :id AND partition = 2;
SET ROLE mrt_owner;
SELECT is(millrace.rewind('p', 0, partition => 2, allow_duplicates => true), 1, 'back to the first offset, before anybody noticed');
SELECT results_eq($$ SELECT state, next_offset, events FROM millrace.partitions WHERE pipeline = 'p' AND partition = 2 $$, $$ VALUES ('active', 0::bigint, 0::bigint) $$, 'there it is');
SELECT lives_ok($$ SELECT millrace.resume('p') $$, 'resume does not mind');
SELECT is(millrace.rewind('p', 0, allow_duplicates => true), 3, 'all of them');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 0, partition => 3) $$, '42704', 'no partition 3', '0 to 2', 'one that was never there');

SELECT * FROM finish();
ROLLBACK;
