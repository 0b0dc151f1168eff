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

-- the rate at which the lag goes, and a clock that is set back
DELETE FROM millrace.stats_minute;
INSERT INTO millrace.watermark (pipeline_id, partition, high, reported_at) SELECT p.id, 0, 100160, now() FROM millrace.pipeline AS p WHERE p.name = 'p';
CREATE FUNCTION pg_temp.record(minutes integer) RETURNS boolean LANGUAGE sql AS $$
  SELECT millrace._record_minute(date_trunc('minute', now()) + make_interval(mins => minutes), '7 d')
$$;
SELECT is(pg_temp.record(-5), true, 'a minute with a lag of 100,000');
SELECT pg_temp.settle(99160, now());
SELECT is((SELECT drained_per_s BETWEEN 99000 / 300.0 - 1 AND 99000 / 240.0 + 1 FROM millrace.stats WHERE pipeline = 'p'), true, 'the lag went from 100,000 to 1,000 since');
SELECT is(pg_temp.record(60), true, 'and one by a clock that is ahead');
SELECT results_eq($$ SELECT drained_per_s, drained_in FROM millrace.stats WHERE pipeline = 'p' $$, $$ VALUES (NULL::numeric, NULL::interval) $$,
                  'when it is set back, what was recorded says nothing about now');
SELECT is(pg_temp.record(-3), true, 'the first minute behind');
SELECT is((SELECT drained_per_s FROM millrace.stats WHERE pipeline = 'p'), NULL::numeric, 'nor does what is before it');
SELECT is(pg_temp.record(-2), true, 'and the second one, with a lag of 1,000');
SELECT pg_temp.settle(99660, now());
SELECT is((SELECT drained_per_s BETWEEN 500 / 120.0 - 1 AND 500 / 60.0 + 1 FROM millrace.stats WHERE pipeline = 'p'), true, 'is what the rate begins with');
DELETE FROM millrace.watermark;
SELECT pg_temp.settle(160, now());

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
SELECT is((SELECT count(*) FROM millrace.stats_minute), 0::bigint, 'drop_pipeline() removes the minutes');

SELECT * FROM finish();
ROLLBACK;
