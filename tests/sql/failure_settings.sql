BEGIN;
\ir helper.psql
SELECT plan(55);

-- what may be said wrongly
CREATE FUNCTION pg_temp.wrong(arguments text, state text, message text, hint text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format($q$ SELECT millrace.create_pipeline('w', topic => 'events', target => 'mrt.reading',
                                      transform => 'SELECT 1 AS id FROM event', %s) $q$, arguments), state, message, hint, 'refused: ' || arguments);
$$;
SET ROLE mrt_owner;
SELECT pg_temp.wrong('max_retries => -1', '22023', 'max_retries is -1, expected 0 to 1000', 'max_retries =>');
SELECT pg_temp.wrong('max_retries => NULL', '22004', 'max_retries', NULL);
SELECT pg_temp.wrong($$ retry_delay => '-1 s' $$, '22023', 'retry_delay is -00:00:01, expected 00:00:00 to 1 day', 'retry_delay =>');
SELECT pg_temp.wrong($$ retry_max_delay => '2 days' $$, '22023', 'retry_max_delay is 2 days', 'retry_max_delay =>');
SELECT pg_temp.wrong($$ retry_age => '1 month' $$, '22023', 'retry_age is 1 mon, expected 00:00:00 to 24 days', 'retry_age =>');
SELECT pg_temp.wrong('retry_factor => 0.5', '22023', 'retry_factor is 0.5, expected 1 to 100', 'fractions are fine');
SELECT pg_temp.wrong($$ retry_factor => 'NaN' $$, '22023', 'retry_factor is NaN', NULL);
SELECT pg_temp.wrong('retry_jitter => 1.5', '22023', 'retry_jitter is 1.5, expected 0 to 1', NULL);
SELECT pg_temp.wrong('failure_share => 2', '22023', 'failure_share is 2', NULL);
SELECT pg_temp.wrong('failure_window => 1', '22023', 'failure_window is 1', NULL);
SELECT pg_temp.wrong($$ dlq => 'a b' $$, '42602', 'topic "a b" is not a valid', NULL);
SELECT pg_temp.wrong($$ dlq => 'events' $$, '22023', 'the topic the pipeline reads', 'events.dlq');
SELECT pg_temp.wrong($$ dlq_delivery => 'twice' $$, '22023', 'dlq_delivery is "twice", expected one of: exactly_once, at_least_once', NULL);
SELECT pg_temp.wrong('dlq_delivery => NULL', '22004', 'dlq_delivery', NULL);

SELECT pg_temp.wrong($$ ordering => 'value' $$, '22023', 'ordering is "value", expected one of: none, key', 'ordering =>');
SELECT pg_temp.wrong($$ on_dead => 'wait' $$, '22023', 'on_dead is "wait", expected one of: release, hold', 'on_dead =>');
SELECT pg_temp.wrong('max_parked => 0', '22023', 'max_parked is 0, expected 1 to 1000000', NULL);
SELECT pg_temp.wrong('max_parked_per_key => 0', '22023', 'max_parked_per_key is 0', NULL);
SELECT pg_temp.wrong('ordering => NULL', '22004', 'ordering', NULL);

SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0}');
RESET ROLE;
UPDATE millrace.progress SET next_offset = 10 WHERE pipeline_id = :id;
CREATE FUNCTION pg_temp.status_of(o bigint, OUT status text) LANGUAGE sql AS $$ SELECT s.status FROM millrace.event_status('events', 0, o) AS s $$;
SET ROLE mrt_owner;
PREPARE shown AS SELECT version, max_retries, retry_delay, retry_factor, retry_max_delay, retry_jitter, retry_age, failure_share,
  failure_window, dlq, dlq_delivery FROM millrace.pipelines WHERE name = 'p';
SELECT results_eq('shown', $$ VALUES (1, 3, interval '1 s', 2.0::float8, interval '1 min', 0.2::float8, interval '24 h', NULL::float8, 1000,
  'events.dlq', 'exactly_once') $$, 'defaults');
SELECT is(millrace.alter_pipeline('p', max_retries => 10, retry_delay => '250 ms'), 2, 'a new version');
SELECT is(millrace.alter_pipeline('p', retry_factor => 1.5, retry_max_delay => '1 h', retry_jitter => 0, retry_age => '0'), 3, 'another');
SELECT is(millrace.alter_pipeline('p', failure_share => 0.5, failure_window => 100), 4, 'the breaker''s');
SELECT results_eq('shown', $$ VALUES (4, 10, interval '250 ms', 1.5::float8, interval '1 h', 0::float8, interval '0', 0.5::float8, 100,
  'events.dlq', 'exactly_once') $$, 'what is left out stays');
SELECT is(millrace.alter_pipeline('p', failure_share => 0), 5, '0 takes failure_share away');
SELECT is((SELECT failure_share FROM millrace.pipelines WHERE name = 'p'), NULL, 'none');
SELECT is(millrace.alter_pipeline('p', max_retries => 0), 6, 'no retries at all');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', max_retries => 1001) $$, '22023', 'max_retries is 1001', NULL, 'bounds of alter_pipeline');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', retry_delay => '-1 ms') $$, '22023', 'retry_delay', NULL, 'and of its intervals');
SAVEPOINT minus;
SELECT millrace.alter_pipeline('p', failure_share => 0.5);
SELECT is(millrace.alter_pipeline('p', failure_share => '-0'), 8, '-0 is 0');
SELECT is((SELECT failure_share FROM millrace.pipelines WHERE name = 'p'), NULL, 'and removes it, too');
ROLLBACK TO minus;
RESET ROLE;
SELECT results_eq(format($$ SELECT version, max_retries, retry_delay, retry_max_delay, retry_age FROM millrace.pipeline_version WHERE pipeline_id = %s ORDER BY 1 $$, :id),
  $$ VALUES (1, 3, 1000, 60000, 86400000), (2, 10, 250, 60000, 86400000), (3, 10, 250, 3600000, 0), (4, 10, 250, 3600000, 0),
            (5, 10, 250, 3600000, 0), (6, 0, 250, 3600000, 0) $$, 'milliseconds in the catalogue');

-- ordering
SET ROLE mrt_owner;
PREPARE ordered AS SELECT version, ordering, on_dead, max_parked, max_parked_per_key FROM millrace.pipelines WHERE name = 'p';
SELECT results_eq('ordered', $$ VALUES (6, 'none', 'release', 10000, 1000) $$, 'no ordering by default');
SELECT is(millrace.alter_pipeline('p', ordering => 'key', on_dead => 'hold', max_parked => 50, max_parked_per_key => 5), 7, 'ordered by key');
SELECT is(millrace.alter_pipeline('p', max_parked => 60), 8, 'one of them');
SELECT results_eq('ordered', $$ VALUES (8, 'key', 'hold', 60, 5) $$, 'the others stay');
RESET ROLE;
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", key, stage, sqlstate, message, failed_at)
VALUES (8000001, :id, 8, 'events', 0, 1, 'a', 'write', '23514', 'no', now()), (8000002, :id, 8, 'events', 0, 3, 'b', 'write', '23514', 'no', now());
INSERT INTO millrace.retry
  (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, key, state, order_key)
VALUES (:id, 8, 'events', 0, 1, -1, 0, 0, 'infinity', now(), 8000001, 'a', 'held', 11), (:id, 8, 'events', 0, 2, -1, 0, 0, 'infinity', now(), NULL, 'a', 'parked', 11),
       (:id, 8, 'events', 0, 3, -1, 0, 0, 'infinity', now(), 8000002, 'b', 'held', 12), (:id, 8, 'events', 0, 4, -1, 0, 0, 'infinity', now(), NULL, 'b', 'parked', 12),
       (:id, 8, 'events', 0, 5, -1, 0, 0, 'infinity', now(), NULL, 'b', 'parked', 12);
PREPARE queues AS SELECT "offset", state, isfinite(next_at), behind FROM millrace.retries WHERE pipeline = 'p' ORDER BY 1;
SET ROLE mrt_owner;
SELECT is(pg_temp.status_of(1), 'dead', 'a letter that holds its key is dead');
SELECT is(pg_temp.status_of(2), 'parked', 'the event behind it is parked');
SELECT is(millrace.replay('p', ids => '{8000001}'), 1::bigint, 'replayed in its place');
SELECT is(pg_temp.status_of(1), 'replaying', 'on its way');
SELECT is(millrace.discard('p', ids => '{8000002}'), 1::bigint, 'discarded');
SELECT results_eq('queues', $$ VALUES (1::bigint, 'replaying', true, NULL::bigint), (2, 'parked', false, 1), (3, 'held', true, NULL), (4, 'parked', false, 3), (5, 'parked', false, 3) $$,
  'its queue is due, the other waits for the replay');
SELECT is(millrace.alter_pipeline('p', ordering => 'none'), 9, 'no ordering any more');
SELECT results_eq('queues', $$ VALUES (1::bigint, 'replaying', true, NULL::bigint), (2, 'parked', true, NULL), (4, 'parked', true, NULL), (5, 'parked', true, NULL) $$,
  'nobody waits for another');
RESET ROLE;
DELETE FROM millrace.retry WHERE pipeline_id = :id;
DELETE FROM millrace.dead_letter WHERE pipeline_id = :id;

-- the DLQ is no part of the version
INSERT INTO millrace.dlq_scan (pipeline_id, topic, partition, next_offset) VALUES (:id, 'd', 0, 17);
SET ROLE mrt_owner;
SELECT is(millrace.alter_pipeline('p', dlq => 'off'), 9, 'off, in the same version');
SELECT is((SELECT dlq FROM millrace.pipelines WHERE name = 'p'), 'off', 'off');
SELECT is(millrace.alter_pipeline('p', dlq_delivery => 'at_least_once'), 9, 'another delivery');
SELECT is((SELECT (dlq, dlq_delivery)::text FROM millrace.pipelines WHERE name = 'p'), '(off,at_least_once)', 'leaves it off');
RESET ROLE;
SELECT is((SELECT next_offset FROM millrace.dlq_scan WHERE pipeline_id = :id), 17::bigint, 'the scan position stays');
SET ROLE mrt_owner;
SELECT is(millrace.alter_pipeline('p', dlq => 'graveyard'), 9, 'another topic');
SELECT is((SELECT (dlq, dlq_delivery)::text FROM millrace.pipelines WHERE name = 'p'), '(graveyard,at_least_once)', 'is on');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.dlq_scan WHERE pipeline_id = :id), 0::bigint, 'and is read from its beginning');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', dlq => 'events') $$, '22023', 'the topic the pipeline reads', NULL, 'not in a circle');
SELECT millrace.create_pipeline('q', topic => 'events', target => 'mrt.reading', transform => 'SELECT 1 AS id FROM event', dlq => 'off', failure_share => 0,
  max_retries => 7, retry_age => '2 days');
SELECT results_eq($$ SELECT dlq, max_retries, retry_age, failure_share FROM millrace.pipelines WHERE name = 'q' $$,
  $$ VALUES ('off', 7, interval '48 h', NULL::float8) $$, 'created so');

-- positions moved by hand keep the events that wait
RESET ROLE;
UPDATE millrace.progress SET next_offset = 10, events = 10, written = 8, retrying = 2 WHERE pipeline_id = :id;
SELECT millrace.skip_to('p', 0, 20);
SELECT results_eq($$ SELECT next_offset, events, written, retrying FROM millrace.partitions WHERE pipeline = 'p' $$,
  $$ VALUES (20::bigint, 10::bigint, 8::bigint, 2::bigint) $$, 'skip_to keeps the counters');

SELECT * FROM finish();
ROLLBACK;
