BEGIN;
\ir helper.psql
SELECT plan(67);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
SELECT millrace.alter_pipeline('q', dlq => 'off');
SELECT pg_temp.refused($$ SELECT * FROM millrace.relay_batch('p', 1) $$, '42501', 'permission denied', NULL, 'an owner is no relay');
SELECT pg_temp.refused($$ SELECT * FROM millrace.relay_pipelines() $$, '42501', 'permission denied', NULL, 'nor lists them');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0,0,0}');
SELECT results_eq($$ SELECT pipeline, topic, delivery, source_topic, partitions FROM millrace.relay_pipelines() WHERE pipeline IN ('p', 'q') $$,
  $$ VALUES ('p', 'events.dlq', 'exactly_once', 'events', 3) $$, 'pipelines with an enabled DLQ');
SELECT matches((SELECT transactional_id FROM millrace.relay_pipelines() WHERE pipeline = 'p'), '^millrace\.[0-9a-f-]{36}\.p\.dlq$', 'the transactional id holds the instance');
SELECT is((SELECT due FROM millrace.relay_pipelines() WHERE pipeline = 'p'), false, 'no letter waits');
SELECT is(millrace.relay_lock('p'), true, 'this session relays');
SELECT is((SELECT bool_and(objsubid NOT IN (1, 2)) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'), true, 'by a lock that no SQL function can take');
SELECT pg_temp.refused($$ SELECT millrace.relay_lock('nix') $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p')), 0::bigint, 'nothing was read yet');
SELECT is((SELECT count(*) FROM millrace.relay_batch('p', 10)), 0::bigint, 'nothing to do');
SELECT pg_temp.refused($$ SELECT * FROM millrace.relay_batch('nix', 10) $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT * FROM millrace.relay_scan_positions('nix') $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.relay_mark('nix', 0, 1, '{}', '{}', '{}') $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');

RESET ROLE;
INSERT INTO millrace.dead_letter
  (id, pipeline_id, version, topic, partition, "offset", kafka_ts, key, headers, payload, stage, sqlstate, message, detail, hint, constraint_name, failed_at,
   first_failed_at, ended, attempts, replay_count, state)
SELECT v.id, v.pipeline, 2, 'events', v.p, v.o, timestamptz '2026-01-01 00:00:01.234+00', '\x6b', '\x00000000', convert_to(repeat('x', v.size), 'UTF8'), 'write', '23503',
       'no', 'd', 'h', 'fk', timestamptz '2026-01-02 00:00:00+00', timestamptz '2026-01-01 12:00:00+00', 'exhausted', 4, v.n, v.state
FROM (VALUES (1, :id, 0, 10, 100, 0, 'open'), (2, :id, 1, 11, 100, 2, 'open'), (3, :id, 1, 12, 5000, 0, 'discarded'), (4, :id, 2, 13, 1, 0, 'replayed'),
             (5, :id, 0, 10, 1, 0, 'open'), (6, :other, 0, 10, 1, 0, 'open')) AS v (id, pipeline, p, o, size, n, state);
SELECT format('%s/p/events/', q.origin) AS prefix FROM millrace.dlq AS q WHERE q.pipeline_id = :id \gset
SET ROLE mrt_ingestor;
SELECT is((SELECT due FROM millrace.relay_pipelines() WHERE pipeline = 'p'), true, 'letters wait');
SELECT is((SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND mode = 'ShareLock'), 0::bigint, 'the look at the lock leaves none');
SELECT results_eq($$ SELECT dead_letter, id FROM millrace.relay_batch('p', 10) $$,
  format($$ VALUES (1::bigint, '%1$s0/10/0'), (2, '%1$s1/11/2'), (3, '%1$s1/12/0'), (4, '%1$s2/13/0') $$, :'prefix'),
  'whatever became of them since; of an event that died twice one');
SELECT results_eq($$ SELECT topic, partition, "offset", kafka_ts, key, headers, octet_length(payload), version, stage, sqlstate, condition, message, detail, hint,
                            constraint_name, column_name, ended, attempts, replay_count, first_failed_at, failed_at FROM millrace.relay_batch('p', 1) $$,
  $$ VALUES ('events', 0, 10::bigint, 1767225601234, '\x6b'::bytea, '\x00000000'::bytea, 100, 2, 'write', '23503', 'foreign_key_violation', 'no', 'd', 'h', 'fk',
             NULL::text, 'exhausted', 4, 0, 1767268800000, 1767312000000) $$, 'all that goes into the message');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 2)), '{1,2}', 'a limit');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 2, after => 2)), '{3,4}', 'the next');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 10, max_bytes => 150)), '{1,2}', 'a bound on bytes');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 10, after => 2, max_bytes => 10)), '{3}', 'one in any case');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 0)), '{1}', 'a limit of nothing is one');

-- marks
SELECT pg_temp.refused($$ SELECT millrace.relay_mark('p', 0, 5, '{a}', '{}', '{}') $$, '2202E', '1 ids, 0 partitions and 0 offsets', NULL, 'arrays of different lengths');
SELECT pg_temp.refused($$ SELECT millrace.relay_mark('p', 0, NULL, '{}', '{}', '{}') $$, '22004', 'next_offset', NULL, 'no position');
SELECT pg_temp.refused($$ SELECT millrace.relay_mark('p', 0, 5, NULL, '{}', '{}') $$, '22004', 'ids', NULL, 'no ids');
-- the statements of the function are parsed here, whatever the session makes of a backslash
SET LOCAL standard_conforming_strings = off;
SELECT is(millrace.relay_mark('p', 0, 5, '{}', '{}', '{}'), 0::bigint, 'a position alone');
SET LOCAL standard_conforming_strings = on;
SELECT is(millrace.relay_mark('p', 1, 20, ARRAY[:'prefix' || '1/11/2', 'garbage', :'prefix' || '1/11/1', :'prefix' || '9/9/9', :'prefix' || '99999999999/1/0',
  :'prefix' || '0/99999999999999999999/0', :'prefix' || '0/10', replace(:'prefix', '/p/', '/q/') || '0/10/0', '00000000-0000-0000-0000-000000000000/p/events/1/12/0', NULL],
  array_fill(1, ARRAY[10]), ARRAY[3,4,5,6,7,8,9,10,11,12]), 1::bigint, 'strangers'' ids, wrong ids, another replay''s do not count');
SELECT is(millrace.relay_mark('p', 0, 7, ARRAY[:'prefix' || '0/10/0', :'prefix' || '0/10/0'], '{0,0}', '{5,6}'), 2::bigint, 'one that died twice: both; found twice: the first');
SELECT is(millrace.relay_mark('p', 0, 7, ARRAY[:'prefix' || '0/10/0'], '{0}', '{6}'), 0::bigint, 'again: nothing new');
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 10)), '{3,4}', 'what is left');
SELECT results_eq($$ SELECT * FROM millrace.relay_scan_positions('p') $$, $$ VALUES (0, 7::bigint), (1, 20) $$, 'where to go on');
SELECT is(millrace.relay_mark('p', 0, 0, '{}', '{}', '{}'), 0::bigint, 'the topic was recreated: back to its beginning');
SELECT results_eq($$ SELECT * FROM millrace.relay_scan_positions('p') $$, $$ VALUES (0, 0::bigint), (1, 20) $$, 'back');
SELECT is(millrace.relay_mark('p', NULL, NULL, ARRAY[:'prefix' || '2/13/0'], '{2}', '{8}'), 1::bigint, 'a delivery report, without a position');
RESET ROLE;
SELECT results_eq($$ SELECT id, published_at IS NOT NULL, dlq_partition, dlq_offset FROM millrace.dead_letter ORDER BY id $$,
  $$ VALUES (1::bigint, true, 0, 5::bigint), (2, true, 1, 3), (3, false, NULL, NULL), (4, true, 2, 8), (5, true, 0, 5), (6, false, NULL, NULL) $$, 'where each was found');
-- opened again by a replay that failed: published again, under another id
UPDATE millrace.dead_letter SET replay_count = 1, published_at = NULL WHERE id = 1;
SET ROLE mrt_ingestor;
SELECT results_eq($$ SELECT dead_letter, id FROM millrace.relay_batch('p', 10) $$,
  format($$ VALUES (1::bigint, '%1$s0/10/1'), (3, '%1$s1/12/0') $$, :'prefix'), 'a replay that failed is another message');

-- a database that went back in time reads letters whose events have not died here yet
RESET ROLE;
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, history)
SELECT :id, 2, 'events', 1, 5, -1, 0, 1, 'infinity', now(), '[]';
SELECT millrace._claim_sightings(:id);
SELECT is((SELECT count(*) FROM millrace.dlq_sighting WHERE pipeline_id = :id), 1::bigint, 'of a partition that is not known yet: kept');
DELETE FROM millrace.dlq_sighting;
UPDATE millrace.progress SET next_offset = 20 WHERE pipeline_id = :id AND partition = 1;
SET ROLE mrt_ingestor;
SELECT is(millrace.relay_mark('p', 1, 30, ARRAY[:'prefix' || '1/20/0', :'prefix' || '1/21/0', :'prefix' || '1/5/0', :'prefix' || '1/6/0', :'prefix' || '1/11/3'],
          array_fill(1, ARRAY[5]), ARRAY[21,22,23,24,25]), 0::bigint, 'none of them is a dead letter');
RESET ROLE;
SELECT results_eq($$ SELECT "offset", replay_count, dlq_offset FROM millrace.dlq_sighting ORDER BY dlq_offset $$,
  $$ VALUES (20::bigint, 0, 21::bigint), (21, 0, 22), (5, 0, 23), (11, 3, 25) $$,
  'noted: what is not settled, is tried again, or may be replayed; not what was settled otherwise');
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
VALUES (7, :id, 2, 'events', 1, 20, 'write', '23514', 'no', now()), (8, :id, 2, 'events', 1, 5, 'write', '23503', 'no', now());
DELETE FROM millrace.retry WHERE pipeline_id = :id;
UPDATE millrace.progress SET next_offset = 22 WHERE pipeline_id = :id AND partition = 1;
SET ROLE mrt_ingestor;
SAVEPOINT writable; -- read-only lasts as long as the subtransaction
SET LOCAL transaction_read_only = on;
SELECT array_agg(dead_letter) AS batch FROM millrace.relay_batch('p', 10) \gset
RELEASE writable;
SELECT is(:'batch'::bigint[], '{1,3}', 'not published a second time when they die');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.dead_letter WHERE id IN (7, 8) AND published_at IS NULL), 2::bigint, 'a read-only transaction marks nothing');
SET ROLE mrt_ingestor;
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 10)), '{1,3}', 'nor in one that may write');
RESET ROLE;
SELECT results_eq($$ SELECT id, dlq_partition, dlq_offset FROM millrace.dead_letter WHERE id IN (7, 8) AND published_at IS NOT NULL ORDER BY id $$,
  $$ VALUES (7::bigint, 1, 21::bigint), (8, 1, 23) $$, 'which marks them, with where they are');
SELECT results_eq($$ SELECT "offset" FROM millrace.dlq_sighting $$, $$ VALUES (11::bigint) $$, 'what was settled otherwise is forgotten');
-- of a letter that is a message of several documents: letters of these, which it became in a replay that this database knows nothing of
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at, published_at)
VALUES (9, :id, 2, 'events', 1, 15, 'decode', '54000', 'no', now(), now());
SET ROLE mrt_ingestor;
SELECT is(millrace.relay_mark('p', 1, 31, ARRAY[:'prefix' || '1/15/1/1', :'prefix' || '1/15/0/3', :'prefix' || '1/6/0/1'], array_fill(1, ARRAY[3]), ARRAY[26,27,28]),
          0::bigint, 'no letters yet');
SELECT millrace.relay_batch('p', 1);
RESET ROLE;
SELECT results_eq($$ SELECT "offset", replay_count, document FROM millrace.dlq_sighting WHERE "offset" <> 11 ORDER BY document $$,
                  $$ VALUES (15::bigint, 1, 1), (15, 0, 3) $$, 'noted, and kept');
UPDATE millrace.dead_letter SET document = 1, replay_count = 1, published_at = NULL WHERE id = 9;
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", document, stage, sqlstate, message, failed_at)
VALUES (10, :id, 2, 'events', 1, 15, 3, 'write', '23514', 'no', now());
SET ROLE mrt_ingestor;
SELECT is((SELECT array_agg(dead_letter) FROM millrace.relay_batch('p', 10)), '{1,3}', 'not published a second time when they die again');
RESET ROLE;
DELETE FROM millrace.dead_letter WHERE id IN (9, 10);
SET ROLE mrt_ingestor;
SELECT millrace.relay_mark('p', 1, 3, '{}', '{}', '{}');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.dlq_sighting), 0::bigint, 'the topic was re-created: what was seen in it is gone');

-- what a restored database says: the ids stay
RESET ROLE;
SELECT transactional_id FROM millrace.relay_pipelines() WHERE pipeline = 'p' \gset
UPDATE millrace.instance SET id = gen_random_uuid();
SET ROLE mrt_ingestor;
SELECT is((SELECT count(*) FROM millrace.relay_pipelines() WHERE pipeline = 'p'), 0::bigint, 'foreign: not relayed');
SELECT pg_temp.refused($$ SELECT * FROM millrace.relay_batch('p', 10) $$, '42704', 'runs no pipeline', NULL, 'foreign: no batch');
SET ROLE mrt_owner;
SELECT millrace.adopt('p');
SET ROLE mrt_ingestor;
SELECT is((SELECT min(id) FROM millrace.relay_batch('p', 10)), :'prefix' || '0/10/1', 'adopted: ids as before');
SELECT isnt((SELECT transactional_id FROM millrace.relay_pipelines() WHERE pipeline = 'p'), :'transactional_id', 'another transactional id');

-- what the ingestor reports
SELECT lives_ok($$ SELECT millrace.report('p', '{"librdkafka": "2.0.2", "relay_error": "broker down"}') $$, 'a report');
SELECT lives_ok($$ SELECT millrace.report('p', '{"retention_ms": 1000}') $$, 'another');
SELECT pg_temp.refused($$ SELECT millrace.report('nix', '{}') $$, '42704', 'runs no pipeline "nix"', NULL, 'of none');
SET ROLE mrt_owner;
SELECT is((SELECT about FROM millrace.ingestor_reports WHERE pipeline = 'p'), '{"librdkafka": "2.0.2", "relay_error": "broker down", "retention_ms": 1000}', 'together');
SELECT results_eq($$ SELECT enabled, topic, waiting_since, error FROM millrace.dlqs WHERE pipeline = 'p' $$,
  $$ VALUES (true, 'events.dlq', timestamptz '2026-01-02 00:00:00+00', 'broker down') $$, 'the view dlqs');
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"relay_error": null}');
SET ROLE mrt_monitor;
SELECT is((SELECT error FROM millrace.dlqs WHERE pipeline = 'p'), NULL, 'null takes it back');

-- a relay that has not heard of another topic yet
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('p', dlq => 'graveyard');
SET ROLE mrt_ingestor;
SELECT is(millrace.relay_mark('p', 0, 40, '{}', '{}', '{}', NULL, 'events.dlq'), 0::bigint, 'the relay of the former topic goes on');
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p')), 0::bigint, 'the other topic is read from its beginning all the same');
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p', NULL, 'events.dlq')), 1::bigint, 'the former one from where it was read to');
SELECT is((SELECT count(*) FROM millrace.relay_batch('p', 10, of_topic => 'events.dlq')), 0::bigint, 'nothing is to go there any more');
SELECT isnt((SELECT count(*) FROM millrace.relay_batch('p', 10, of_topic => 'graveyard')), 0::bigint, 'but to the other one');

-- the topic it has: what was read of it stays read
SELECT millrace.relay_mark('p', 0, 7, '{}', '{}', '{}');
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('p', dlq => 'off'), millrace.alter_pipeline('p', dlq => 'graveyard');
SET ROLE mrt_ingestor;
SELECT is((SELECT max(next_offset) FROM millrace.relay_scan_positions('p')), 7::bigint, 'the same topic goes on where it was read to');
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('p', dlq => 'elsewhere'), millrace.alter_pipeline('p', dlq => 'graveyard');
SET ROLE mrt_ingestor;
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p')), 0::bigint, 'with another one in between it is read from its beginning');

-- another pipeline of the name: its letters are others, whatever the topic has
SET ROLE mrt_owner;
SELECT millrace.drop_pipeline('p', discard_dead_letters => true);
SELECT pg_temp.pipeline('p') AS id \gset
RESET ROLE;
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
VALUES (90, :id, 1, 'events', 1, 12, 'write', '23514', 'no', now());
SET ROLE mrt_ingestor;
SELECT isnt((SELECT id FROM millrace.relay_batch('p', 10)), :'prefix' || '1/12/0', 'created again: another id');
SELECT is(millrace.relay_mark('p', 0, 1, ARRAY[:'prefix' || '1/12/0'], '{0}', '{0}'), 0::bigint, 'the old one''s message is not its own');

SELECT * FROM finish();
ROLLBACK;
