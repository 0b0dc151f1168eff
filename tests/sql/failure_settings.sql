BEGIN;
\ir helper.psql
SELECT plan(36);

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

SELECT pg_temp.pipeline('p') AS id \gset
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
RESET ROLE;
SELECT results_eq(format($$ SELECT version, max_retries, retry_delay, retry_max_delay, retry_age FROM millrace.pipeline_version WHERE pipeline_id = %s ORDER BY 1 $$, :id),
  $$ VALUES (1, 3, 1000, 60000, 86400000), (2, 10, 250, 60000, 86400000), (3, 10, 250, 3600000, 0), (4, 10, 250, 3600000, 0),
            (5, 10, 250, 3600000, 0), (6, 0, 250, 3600000, 0) $$, 'milliseconds in the catalogue');

-- the DLQ is no part of the version
INSERT INTO millrace.dlq_scan VALUES (:id, 0, 17);
SET ROLE mrt_owner;
SELECT is(millrace.alter_pipeline('p', dlq => 'off'), 6, 'off, in the same version');
SELECT is((SELECT dlq FROM millrace.pipelines WHERE name = 'p'), 'off', 'off');
SELECT is(millrace.alter_pipeline('p', dlq_delivery => 'at_least_once'), 6, 'another delivery');
SELECT is((SELECT (dlq, dlq_delivery)::text FROM millrace.pipelines WHERE name = 'p'), '(off,at_least_once)', 'leaves it off');
RESET ROLE;
SELECT is((SELECT next_offset FROM millrace.dlq_scan WHERE pipeline_id = :id), 17::bigint, 'the scan position stays');
SET ROLE mrt_owner;
SELECT is(millrace.alter_pipeline('p', dlq => 'graveyard'), 6, 'another topic');
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
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0}');
RESET ROLE;
UPDATE millrace.progress SET next_offset = 10, events = 10, written = 8, retrying = 2 WHERE pipeline_id = :id;
SELECT millrace.skip_to('p', 0, 20);
SELECT results_eq($$ SELECT next_offset, events, written, retrying FROM millrace.partitions WHERE pipeline = 'p' $$,
  $$ VALUES (20::bigint, 10::bigint, 8::bigint, 2::bigint) $$, 'skip_to keeps the counters');

SELECT * FROM finish();
ROLLBACK;
