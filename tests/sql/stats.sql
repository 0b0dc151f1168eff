-- Statistics: histograms as values, the minute that is recorded, what is shown to whom. Rates and latencies are shown by real
-- events in tests/e2e/test_stats.py.
BEGIN;
\ir helper.psql
SELECT no_plan();

-- room for as many pipelines as can run; one takes some 36 kB, of which nothing is touched before it runs
SELECT cmp_ok((SELECT size / current_setting('millrace.max_workers')::bigint FROM pg_shmem_allocations WHERE name = 'millrace live statistics'),
              '>', 20000::bigint, 'live statistics have room for as many pipelines as can have a worker');

-- histograms
SELECT is(cardinality(millrace.histogram_ends()), 141, 'a histogram has 141 buckets');
SELECT is((SELECT bool_and(e > b) FROM unnest(millrace.histogram_ends()) WITH ORDINALITY AS x (e, i)
           JOIN unnest(millrace.histogram_ends()) WITH ORDINALITY AS y (b, k) ON x.i = y.k + 1), true, 'their ends ascend');
CREATE FUNCTION pg_temp.histogram(bucket integer, count bigint) RETURNS bigint[] LANGUAGE sql AS $$
  SELECT array_agg(CASE WHEN i = bucket THEN count ELSE 0 END ORDER BY i) FROM generate_series(1, 141) AS i
$$;
SELECT is(millrace.histogram_quantile(pg_temp.histogram(1, 10), 1), 0.064::float8, 'quantiles are in ms');
SELECT is((SELECT array_agg(DISTINCT length(split_part(millrace.histogram_quantile(pg_temp.histogram(b, n), q)::text, '.', 2)) <= 3)
           FROM generate_series(1, 80) AS b, (VALUES (3), (7), (1001)) AS c (n), (VALUES (0.5), (0.95), (0.99)) AS s (q)), '{true}', 'in whole microseconds');
SELECT is(millrace.histogram_quantile(pg_temp.histogram(1, 0), 0.5), NULL::float8, 'of no events there is none');
SELECT is(millrace.histogram_quantile(NULL, 0.5), NULL::float8, 'nor of null');
SELECT pg_temp.refused($$ SELECT millrace.histogram_sum(h) FROM (VALUES ('{1,2,3}'::bigint[])) AS v (h) $$, '2202E', 'not a histogram', 'stats_history', 'one wrong array is refused as two are');
SELECT is((SELECT millrace.histogram_sum(h) FROM (VALUES (pg_temp.histogram(1, 3)), (NULL), (pg_temp.histogram(1, 4))) AS v (h)),
          pg_temp.histogram(1, 7), 'they add up, nulls are passed over');
SELECT is((SELECT millrace.histogram_sum(h) FROM (SELECT pg_temp.histogram(2, 1) AS h WHERE false) AS v), NULL::bigint[], 'of none: null');
SELECT pg_temp.refused($$ SELECT millrace.histogram_quantile('{1,2}', 0.5) $$, '2202E', 'array is not a histogram', 'histogram_sum()', 'another array');
SELECT pg_temp.refused($$ SELECT millrace.histogram_quantile(pg_temp.histogram(1, 1), 1.5) $$, '22003', 'quantile must be from 0 to 1', NULL, 'another share');
SELECT pg_temp.refused($$ SELECT millrace.histogram_quantile(pg_temp.histogram(1, 1), 'NaN') $$, '22003', 'quantile must be from 0 to 1', NULL, 'no number');

-- minutes
SELECT results_eq($$ SELECT boot_val::integer * ('1 ' || unit)::interval FROM pg_settings WHERE name = 'millrace.stats_retention' $$, $$ VALUES (interval '168 h') $$,
                  'they are kept for 7 days by default');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{0,0}');
CREATE FUNCTION pg_temp.settle(events bigint, at timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO millrace.progress
  SELECT p.id, 0, (SELECT max(seq) + 1 FROM millrace.progress AS g WHERE g.pipeline_id = p.id AND g.partition = 0), events, NULL, NULL, NULL,
         events, events, 0, 0, 0, 0, events * 2, events * 100, at, 0, 5, 7, 3, 2
  FROM millrace.pipeline AS p WHERE p.name = 'p'
$$;
CREATE VIEW pg_temp.minutes AS
SELECT to_char(minute AT TIME ZONE 'UTC', 'HH24:MI') AS minute, up, events, rows, failed, retried, dead_lettered, replayed
FROM millrace.stats_history WHERE pipeline = 'p';
SELECT pg_temp.settle(100, now());
SELECT millrace._record_minute('2026-01-01 10:00Z', '7 d');
SELECT results_eq($$ SELECT * FROM pg_temp.minutes ORDER BY 1 $$,
  $$ VALUES ('10:00', true, 100::bigint, 200::bigint, 5::bigint, 7::bigint, 3::bigint, 2::bigint) $$, 'a minute has what it added');
SELECT results_eq($$ SELECT partition, events, failed, retried, dead_lettered, replayed FROM millrace.partitions WHERE pipeline = 'p' ORDER BY 1 $$,
  $$ VALUES (0, 100::bigint, 5::bigint, 7::bigint, 3::bigint, 2::bigint), (1, 0, 0, 0, 0, 0) $$, 'a partition has its counters');
SELECT pg_temp.settle(150, now());
SELECT millrace._record_minute('2026-01-01 10:00Z', '7 d');
SELECT is((SELECT count(*) FROM pg_temp.minutes), 1::bigint, 'a minute is recorded once');
SELECT millrace._record_minute('2026-01-01 10:03Z', '7 d');
SELECT results_eq($$ SELECT minute, up, events, failed FROM pg_temp.minutes ORDER BY 1 $$,
  $$ VALUES ('10:00', true, 100::bigint, 5::bigint), ('10:01', false, 0, 0), ('10:02', false, 0, 0), ('10:03', true, 50, 0) $$,
  'minutes that nobody recorded are there, and what came is counted');
SELECT pg_temp.settle(160, now());
SELECT millrace._record_minute('2026-01-01 10:01Z', '7 d');
SELECT results_eq($$ SELECT minute, up, events FROM pg_temp.minutes ORDER BY 1 $$,
  $$ VALUES ('10:00', true, 100::bigint), ('10:01', false, 0) $$, 'a clock that was ahead leaves no rows of the future');
SELECT millrace._record_minute('2026-01-01 10:02Z', '7 d');
SELECT results_eq($$ SELECT minute, up, events FROM pg_temp.minutes ORDER BY 1 $$,
  $$ VALUES ('10:00', true, 100::bigint), ('10:01', false, 0), ('10:02', true, 60) $$, 'and nothing of what it counted is lost');
SELECT millrace._record_minute('2026-01-01 12:00Z', '1 h');
SELECT results_eq($$ SELECT min(minute), max(minute), count(*), sum(events)::bigint FROM pg_temp.minutes $$,
  $$ VALUES ('11:00', '12:00', 61::bigint, 0::bigint) $$, 'older ones than the retention go, and are not made up');

SELECT is(millrace._record_minute('2026-02-10 12:00Z', '60 d'), false, 'a long time without a server is recorded in bounded steps');
SELECT is((SELECT max(minute) < '2026-02-10 11:00Z' FROM millrace.stats_history WHERE pipeline = 'p'), true, 'in order');
SELECT is(millrace._record_minute('2026-02-10 12:00Z', '60 d'), true, 'and to the end');
-- pg_restore may be about to bring the rows of these minutes
UPDATE millrace.pipeline SET instance = gen_random_uuid();
SELECT is(millrace._record_minute('2026-02-10 12:05Z', '60 d'), true, 'a pipeline of another instance has no minutes to record');
SELECT is((SELECT max(minute) FROM millrace.stats_minute), '2026-02-10 12:00Z', 'and gets none');
UPDATE millrace.pipeline SET instance = millrace._instance();
SELECT is((SELECT count(*) FROM millrace.stats_history WHERE pipeline = 'p' AND minute > '2026-01-01 12:00Z'), 40 * 1440::bigint, 'without a gap');
-- a chart of a day, beside forty days of minutes
CREATE FUNCTION pg_temp.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) ' || query INTO plan; RETURN plan; END $$;
SET LOCAL ROLE mrt_monitor;
SELECT matches(pg_temp.plan($$ SELECT minute, up, events_per_s, failed, lag, p50_ms, p95_ms, p99_ms FROM millrace.stats_history
                               WHERE pipeline = 'p' AND minute >= '2026-02-09 12:00Z' AND minute < '2026-02-10 12:00Z' ORDER BY minute $$),
  '"Index Name": "stats_minute_pkey"[^}]*"Actual Rows": 1440[^}]*"Index Cond": "[^"]*pipeline_id = [^"]*minute >= [^"]*minute < ', 'a chart is one range of an index');
RESET ROLE;
SELECT millrace._record_minute('2026-01-01 12:00Z', '1 h');
SELECT pg_temp.settle(10, now());
SELECT millrace._record_minute('2026-01-01 12:01Z', '1 h');
SELECT pg_temp.settle(160, now());
SELECT millrace._record_minute('2026-01-01 12:02Z', '1 h');
SELECT results_eq($$ SELECT minute, events FROM pg_temp.minutes WHERE minute > '12:00' ORDER BY 1 $$,
  $$ VALUES ('12:01', 0::bigint), ('12:02', 150) $$, 'counters that begin again take nothing away');

-- latencies that are kept: of 100 events 50 from 1.024 ms on, 44 from 131 ms on, 4 from 1.05 s on, 2 of 5 s: no two percentiles are in one bucket, nor is the 90th
DELETE FROM millrace.stats_minute;
SELECT millrace._record_minute(date_trunc('minute', now()) - interval '3 h', '1 day');
SELECT millrace._record_minute(date_trunc('minute', now()) - interval '1 min', '1 day');
SELECT pg_temp.histogram(18, 50) AS short, pg_temp.histogram(46, 44) AS middle, pg_temp.histogram(58, 4) AS long, pg_temp.histogram(66, 2) AS longest \gset
UPDATE millrace.stats_minute SET (produced_to_staged, staged_to_visible, produced_to_visible) = (h, h, h),
  (produced_to_staged_max_ms, staged_to_visible_max_ms, produced_to_visible_max_ms) = (5001, 5002, 5003)
FROM (SELECT millrace.histogram_sum(h) AS h FROM (VALUES (:'short'::bigint[]), (:'middle'), (:'long'), (:'longest')) AS v (h)) AS h WHERE minute = date_trunc('minute', now()) - interval '1 min';
UPDATE millrace.stats_minute SET (produced_to_staged, produced_to_staged_max_ms) = (:'middle', 149) WHERE minute = date_trunc('minute', now()) - interval '3 h';
CREATE FUNCTION pg_temp.quantiles(p50_ms float8, p95_ms float8, p99_ms float8) RETURNS boolean[] LANGUAGE sql AS $$
  SELECT ARRAY[p50_ms BETWEEN 1.024 AND 1.28, p95_ms BETWEEN 1048.576 AND 1310.72, p99_ms BETWEEN 4194.304 AND 5003];
$$;
SELECT results_eq($$ SELECT pg_temp.quantiles(p50_ms, p95_ms, p99_ms), max_ms FROM millrace.stats_history WHERE pipeline = 'p' AND minute = date_trunc('minute', now()) - interval '1 min' $$,
  $$ VALUES ('{t,t,t}'::boolean[], 5003::float8) $$, 'percentiles of a minute');
SELECT results_eq($$ SELECT over, stage, events, pg_temp.quantiles(p50_ms::float8, p95_ms::float8, p99_ms::float8), max_ms FROM millrace.latency WHERE pipeline = 'p' AND over > '1 min' ORDER BY 1, 2 $$,
  $$ VALUES (interval '1 h', 'produced_to_staged', 100::bigint, '{t,t,t}'::boolean[], 5001::numeric), ('1 h', 'produced_to_visible', 100, '{t,t,t}', 5003), ('1 h', 'staged_to_visible', 100, '{t,t,t}', 5002),
            ('24 h', 'produced_to_staged', 144, '{f,f,t}', 5001), ('24 h', 'produced_to_visible', 100, '{t,t,t}', 5003), ('24 h', 'staged_to_visible', 100, '{t,t,t}', 5002) $$, 'and of all minutes of an hour, and of a day');

-- The rate at which the lag goes, and a clock that is set back. A minute counts for six: one that is five minutes old must not become too old
-- while the test runs.
DELETE FROM millrace.stats_minute;
SELECT millrace._record_minute(date_trunc('minute', now()) - interval '4 min', '7 d');
SELECT is((SELECT lag FROM millrace.stats_history WHERE pipeline = 'p'), NULL::bigint, 'no lag in a minute in which no end was known');
INSERT INTO millrace.watermark (pipeline_id, partition, high, reported_at) SELECT p.id, 0, 100160, now() FROM millrace.pipeline AS p WHERE p.name = 'p';
SELECT results_eq($$ SELECT lag, drained_per_s FROM millrace.stats WHERE pipeline = 'p' $$, $$ VALUES (100000::bigint, NULL::numeric) $$, 'and the first one that is known is not growth');
DELETE FROM millrace.watermark;
DELETE FROM millrace.stats_minute;
DELETE FROM millrace.lag_minute;
INSERT INTO millrace.watermark (pipeline_id, partition, high, reported_at) SELECT p.id, 0, 100160, now() FROM millrace.pipeline AS p WHERE p.name = 'p';
CREATE FUNCTION pg_temp.record(minutes integer) RETURNS boolean LANGUAGE sql AS $$
  SELECT millrace._record_minute(date_trunc('minute', now()) + make_interval(mins => minutes), '7 d')
$$;
SELECT is(pg_temp.record(-4), true, 'a minute with a lag of 100,000');
SELECT pg_temp.settle(99160, now());
SELECT is((SELECT drained_per_s BETWEEN 99000 / 300.0 - 1 AND 99000 / 180.0 + 1 FROM millrace.stats WHERE pipeline = 'p'), true, 'the lag went from 100,000 to 1,000 since');
SELECT is(pg_temp.record(60), true, 'and one by a clock that is ahead');
SELECT results_eq($$ SELECT drained_per_s, drained_in FROM millrace.stats WHERE pipeline = 'p' $$, $$ VALUES (NULL::numeric, NULL::interval) $$,
                  'when it is set back, what was recorded says nothing about now');
SELECT is(pg_temp.record(-3), true, 'the first minute behind');
SELECT is((SELECT drained_per_s FROM millrace.stats WHERE pipeline = 'p'), NULL::numeric, 'nor does what is before it');
SELECT is(pg_temp.record(-2), true, 'and the second one, with a lag of 1,000');
SELECT pg_temp.settle(99660, now());
SELECT is((SELECT drained_per_s BETWEEN 500 / 180.0 - 1 AND 500 / 60.0 + 1 FROM millrace.stats WHERE pipeline = 'p'), true, 'is what the rate begins with');

-- by partition
DELETE FROM millrace.stats_minute;
DELETE FROM millrace.lag_minute;
SELECT results_eq($$ SELECT partition, drained_per_s, drained_in FROM millrace.lag WHERE pipeline = 'p' $$,
  $$ VALUES (0, NULL::numeric, NULL::interval), (1, NULL, NULL) $$, 'no rate without a minute that has ended');
INSERT INTO millrace.partition (pipeline_id, partition, epoch) SELECT p.id, 3, 1 FROM millrace.pipeline AS p WHERE p.name = 'p';
INSERT INTO millrace.progress (pipeline_id, partition, seq, next_offset, events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at)
SELECT p.id, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, now() FROM millrace.pipeline AS p WHERE p.name = 'p';
INSERT INTO millrace.watermark (pipeline_id, partition, high, reported_at) SELECT p.id, 3, 3000, now() FROM millrace.pipeline AS p WHERE p.name = 'p';
SELECT pg_temp.settle(160, now());
SELECT is(pg_temp.record(-4), true, 'a minute with a lag of 100,000, and of 3,000 in partition 3');
SELECT pg_temp.settle(99160, now());
UPDATE millrace.watermark SET high = 6000 WHERE partition = 3;
SELECT results_eq($$ SELECT partition, drained_per_s BETWEEN 99000 / 300.0 - 1 AND 99000 / 180.0 + 1, drained_per_s BETWEEN -3000 / 180.0 - 1 AND -3000 / 300.0 + 1,
                            drained_in BETWEEN interval '1.8 s' AND interval '3.1 s' FROM millrace.lag WHERE pipeline = 'p' $$,
  $$ VALUES (0, true, false, true), (1, NULL, NULL, NULL), (3, false, true, NULL) $$, 'one becomes smaller, one is not known, one grows');
SELECT results_eq($$ SELECT labels ->> 'partition', value BETWEEN 1.8 AND 3.1 FROM millrace.metric WHERE name = 'millrace_lag_drain_seconds' $$,
  $$ VALUES ('0', true) $$, 'as a metric');
UPDATE millrace.watermark SET high = 99160 WHERE partition = 0;
SELECT is((SELECT drained_in FROM millrace.lag WHERE pipeline = 'p' AND partition = 0), interval '0', 'nothing left');
SELECT is(pg_temp.record(20), true, 'later');
SELECT is((SELECT count(*) FROM millrace.lag_minute), 1::bigint, 'ten minutes are kept');
SELECT is(pg_temp.record(20), true, 'a minute is recorded once');
DELETE FROM millrace.partition WHERE partition = 3;
DELETE FROM millrace.progress WHERE partition = 3;
DELETE FROM millrace.watermark;
SELECT pg_temp.settle(160, now());

-- dead letters that are open, and events that are parked
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at, payload)
SELECT 9000000 + n, p.id, 1, 'events', n % 2, n, 'write', '23503', 'no', now(), '{}' FROM millrace.pipeline AS p CROSS JOIN generate_series(1, 10) AS n WHERE p.name = 'p';
UPDATE millrace.progress AS g SET dead = 5, parked = g.partition + 3 WHERE g.seq = (SELECT max(n.seq) FROM millrace.progress AS n WHERE n.partition = g.partition);
CREATE FUNCTION pg_temp.open() RETURNS bigint LANGUAGE sql AS $$ SELECT dead_letters_open FROM millrace.stats WHERE pipeline = 'p' $$;
SELECT is(pg_temp.open(), 10::bigint, 'all are open');
SET ROLE mrt_owner;
SELECT is(millrace.discard('p', 'id <= 9000004'), 4::bigint, 'four are discarded');
SELECT is(pg_temp.open(), 6::bigint, 'and six open');
SELECT is(millrace.replay('p', ids => '{9000001, 9000005}'), 2::bigint, 'one of these and another one are replayed');
SELECT is(pg_temp.open(), 5::bigint, 'and five open');
SELECT is(millrace.purge_dead_letters('p', 'true'), 3::bigint, 'three are purged');
SELECT is(pg_temp.open(), 5::bigint, 'which changes nothing');
RESET ROLE;
SELECT millrace._fold_letters_aside();
SELECT results_eq($$ SELECT partition, letters FROM millrace.dead_letter_aside ORDER BY 1 $$, $$ VALUES (0, 2::bigint), (1, 3) $$, 'the supervisor makes one row of those of a partition');
SELECT is(pg_temp.open(), 5::bigint, 'which changes nothing either');
SELECT results_eq($$ SELECT name, value FROM millrace.metric WHERE name IN ('millrace_dead_letters_open', 'millrace_parked_events') ORDER BY 1 $$,
  $$ VALUES ('millrace_dead_letters_open', 5::float8), ('millrace_parked_events', 7) $$, 'as metrics');
SELECT results_eq($$ SELECT partition, parked FROM millrace.partitions WHERE pipeline = 'p' $$, $$ VALUES (0, 3::bigint), (1, 4) $$, 'parked ones by partition');
DELETE FROM millrace.retry;
DELETE FROM millrace.dead_letter;
UPDATE millrace.progress SET dead = 0, parked = 0;

-- a minute has each of its counters, and what waits at its end
DELETE FROM millrace.stats_minute;
SELECT millrace._record_minute('2026-01-01 10:00Z', '7 d');
INSERT INTO millrace.progress
SELECT g.pipeline_id, 0, g.seq + 1, g.next_offset + 600, NULL, NULL, NULL, g.events + 600, g.written + 11, g.filtered + 12, g.superseded + 13, g.skipped + 14, g.dead, g.rows + 16, g.bytes + 17, now(), 540,
       g.failed + 18, g.retried + 19, g.dead_lettered + 20, g.replayed + 21, 0
FROM millrace.progress AS g WHERE g.partition = 0 ORDER BY g.seq DESC LIMIT 1;
INSERT INTO millrace.watermark (pipeline_id, partition, high, reported_at) SELECT g.pipeline_id, 0, g.next_offset + 77, now() FROM millrace.progress AS g WHERE g.partition = 0 ORDER BY g.seq DESC LIMIT 1;
SELECT millrace._record_minute('2026-01-01 10:01Z', '7 d');
SELECT results_eq($$ SELECT events, written, filtered, superseded, skipped, rows, bytes, failed, retried, dead_lettered, replayed, retrying, lag, events_per_s FROM millrace.stats_history
                     WHERE pipeline = 'p' AND minute = '2026-01-01 10:01Z' $$,
  $$ VALUES (600::bigint, 11::bigint, 12::bigint, 13::bigint, 14::bigint, 16::bigint, 17::bigint, 18::bigint, 19::bigint, 20::bigint, 21::bigint, 540::bigint, 77::bigint, 10.0) $$, 'each has its own');
DELETE FROM millrace.progress WHERE partition = 0 AND seq = (SELECT max(seq) FROM millrace.progress WHERE partition = 0);
DELETE FROM millrace.watermark;

-- metrics
SELECT is((SELECT count(*) - count(DISTINCT (name, labels)) FROM millrace.metric), 0::bigint, 'each series is there once');
SELECT is((SELECT value FROM millrace.metric WHERE name = 'millrace_events_total' AND labels = '{"pipeline": "p"}'), 160::float8, 'a total');
SELECT is((SELECT count(*) FROM millrace.metric, jsonb_each(labels) AS l WHERE jsonb_typeof(l.value) <> 'string'), 0::bigint, 'labels are strings');

SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.stats_history) + (SELECT count(*) FROM millrace.rates) + (SELECT count(*) FROM millrace.latency)
          + (SELECT count(*) FROM millrace.metric), 0::bigint, 'a stranger sees nothing');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) > 0 FROM millrace.stats_history WHERE pipeline = 'p'), true, 'a monitor sees minutes');
SELECT is((SELECT count(*) FROM millrace.rates WHERE pipeline = 'p'), 5::bigint, 'rates over five times');
SELECT is((SELECT count(*) > 10 FROM millrace.metric WHERE labels ->> 'pipeline' = 'p'), true, 'and metrics');
RESET ROLE;

SELECT millrace.drop_pipeline('p');
SELECT is((SELECT count(*) FROM millrace.stats_minute) + (SELECT count(*) FROM millrace.lag_minute) + (SELECT count(*) FROM millrace.dead_letter_aside), 0::bigint,
          'drop_pipeline() removes the minutes');

SELECT * FROM finish();
ROLLBACK;
