BEGIN;
\ir helper.psql
SELECT plan(28);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,100}');
RESET ROLE;

-- a batch of 50 events of two partitions, then its suspect alone
CREATE FUNCTION pg_temp.note(partition integer, first_offset bigint, last_offset bigint, suspect bigint, events integer, run bigint, kind text DEFAULT 'lane')
RETURNS void LANGUAGE sql AS $$
  SELECT millrace._note_crash(p.id, 1, note.kind, note.partition, note.first_offset, note.last_offset, suspect, note.events, 'write', now(), note.run)
  FROM millrace.pipeline AS p WHERE p.name = 'p';
$$;
SELECT pg_temp.note(0, 100, 129, 117, 50, 1), pg_temp.note(1, 100, 119, NULL, 50, 1);
SELECT results_eq($$ SELECT partition, first_offset, last_offset, suspect_offset, events, crashes FROM millrace.crashes WHERE pipeline = 'p' $$,
  $$ VALUES (0, 100::bigint, 129::bigint, 117::bigint, 50, 0), (1, 100, 119, NULL, 50, 0) $$, 'a part of each partition');
SELECT pg_temp.note(0, 117, 117, 117, 1, 2);
SELECT is((SELECT crashes FROM millrace.crashes WHERE first_offset = 117), 1, 'alone counts');
SELECT pg_temp.note(0, 117, 117, 117, 1, 2);
SELECT is((SELECT crashes FROM millrace.crashes WHERE first_offset = 117), 1, 'the same run does not count again');
SELECT pg_temp.note(0, 117, 117, NULL, 1, 3);
SELECT is((SELECT crashes FROM millrace.crashes WHERE first_offset = 117), 2, 'another one does');
SELECT pg_temp.note(0, 117, 117, NULL, 1, 4, 'retry');
SELECT is((SELECT crashes FROM millrace.crashes WHERE first_offset = 117 AND kind = 'retry'), 1, 'a retry is counted by itself');
SELECT pg_temp.note(0, 118, 118, 118, 2, 5);
SELECT is((SELECT crashes FROM millrace.crashes WHERE first_offset = 118), 0, 'with a neighbour in another partition it is not alone');
SELECT pg_temp.note(0, 50, 99, 70, 50, 6);
SELECT is((SELECT count(*) FROM millrace.crashes WHERE first_offset = 50), 0::bigint, 'behind the commit there is nothing to suspect');
SELECT millrace._note_crash(4000000, 1, 'lane', 0, 1, 1, 1, 1, 'write', now(), 7);
SELECT is((SELECT count(*) FROM millrace.crash_suspect WHERE pipeline_id = 4000000), 0::bigint, 'nor in a pipeline that is gone');

-- who sees it
SET ROLE mrt_owner;
SELECT is((SELECT count(*) FROM millrace.crashes), 5::bigint, 'the owner');
SELECT results_eq($$ SELECT severity, command FROM millrace.doctor() WHERE what LIKE '%crashed%' $$,
  $$ VALUES ('warning', 'SELECT * FROM millrace.crashes WHERE pipeline = ''p''; the server log has the signal') $$, 'doctor reports it');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.crashes), 5::bigint, 'a monitor');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.crashes), 0::bigint, 'no stranger');
RESET ROLE;

-- what is void is forgotten
SELECT is(millrace._forget_crashes(), 4, 'no event waits to be tried again: the retry is over');
UPDATE millrace.progress SET next_offset = 118 WHERE pipeline_id = :id AND partition = 0;
SELECT is(millrace._forget_crashes(), 3, 'the position has passed one');
SELECT is((SELECT count(*) FROM millrace.crashes WHERE first_offset = 117), 0::bigint, 'namely this');
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at)
VALUES (:id, 1, 'events', 0, 105, -1, 0, 1, now() - interval '1 s', now());
SELECT pg_temp.note(0, 100, 110, NULL, 5, 8, 'retry');
SELECT is(millrace._forget_crashes(), 4, 'it was due when the batch began');
UPDATE millrace.retry SET next_at = now() + interval '1 s' WHERE pipeline_id = :id;
SELECT is(millrace._forget_crashes(), 3, 'it was tried since');
UPDATE millrace.retry SET next_at = 'infinity' WHERE pipeline_id = :id;
SELECT pg_temp.note(0, 100, 110, NULL, 5, 9, 'retry');
SELECT is(millrace._forget_crashes(), 4, 'it is parked, and was with the one that was due');
UPDATE millrace.crash_suspect SET crashed_at = now() - interval '2 hours' WHERE kind = 'retry';
SELECT is(millrace._forget_crashes(), 3, 'not for ever');
SET ROLE mrt_owner;
SELECT millrace.rewind('p', 110, partition => 0, allow_duplicates => true);
SELECT is((SELECT array_agg(partition) FROM millrace.crashes), '{1}', 'what a rewind brings again is not suspected');
SELECT is(millrace.condition_name('MR011'), 'millrace_crashed', 'its condition');

-- too many in an hour
RESET ROLE;
INSERT INTO millrace.crash VALUES (:id, 1, now() - interval '61 min');
SELECT is(millrace._count_crash(:id, 2, 2), false, 'the first within an hour');
SELECT is(millrace._count_crash(:id, 2, 2), false, 'is counted once');
SELECT is(millrace._count_crash(:id, 3, 2), true, 'the second stops the pipeline');
SELECT is((SELECT status FROM millrace.pipelines WHERE name = 'p'), 'crashing', 'which says so');
SET ROLE mrt_owner;
SELECT millrace.resume('p');
RESET ROLE;
SELECT is((SELECT state FROM millrace.pipeline WHERE id = :id), 'running', 'until it is resumed');
SELECT is(millrace._count_crash(:id, 4, 2), false, 'and may crash as often again');
SET ROLE mrt_owner;

SELECT millrace.drop_pipeline('p', discard_dead_letters => true);
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.crash_suspect), 0::bigint, 'dropped with its pipeline');

SELECT * FROM finish();
ROLLBACK;
