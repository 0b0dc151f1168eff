-- Each metric has the figure that it names, and not a neighbour's: all figures are different. Those in shared memory are compared with
-- the views by tests/e2e/test_stats.py, those by type by stats_by_type.sql.
BEGIN;
\ir helper.psql
SELECT no_plan();
CREATE FUNCTION pg_temp.shown(source text) RETURNS TABLE (name text, labels jsonb, value float8) LANGUAGE sql AS $$
  SELECT m.name, m.labels - 'pipeline', m.value FROM millrace.metric AS m JOIN millrace.metric_family AS f ON f.name = m.name AND f.source = shown.source
  WHERE m.labels ->> 'pipeline' = 'p'
$$;
-- what is an age, or a time to come, is so while the test runs
CREATE FUNCTION pg_temp.about(value float8, expected float8) RETURNS boolean LANGUAGE sql AS $$ SELECT value BETWEEN expected - 60 AND expected + 60 $$;

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SELECT millrace.alter_pipeline('p', workers => 7);
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{100,200,300}');
INSERT INTO millrace.progress
SELECT :id, n, g.seq + 1, g.next_offset + 10 * n, NULL, extract(epoch FROM now() - (n + 1) * interval '1 h')::bigint * 1000, NULL, 100 * f, 1 * f, 2 * f, 3 * f, 4 * f, 5 * f, 7 * f, 8 * f,
       now() - (n + 1) * interval '10 min', 85 * f, 9 * f, 11 * f, 12 * f, 13 * f, 14 * f
FROM generate_series(0, 2) AS n CROSS JOIN LATERAL (SELECT 10 ^ n AS f) AS f JOIN millrace.progress AS g ON g.pipeline_id = :id AND g.partition = n;
INSERT INTO millrace.dead_letter_aside VALUES (:id, 0, 20), (:id, 2, 4);
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at)
SELECT :id, 1, 'events', 0, n, -1, 0, 1, now() - n * interval '1 h', now() FROM generate_series(4, 5) AS n;
INSERT INTO millrace.breaker (pipeline_id, state, since, opened, worker, kind)
VALUES (:id, 'closed', now(), 3, 0, 'lane'), (:id, 'open', now(), 5, 1, 'lane'), (:id, 'closed', now(), 11, 0, 'retry');
INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
VALUES (:id, 1, 'events', 0, 1, 'write', '23505', 'no', now() - interval '6 h');
INSERT INTO millrace.ingestor_report VALUES (:id, '{"retention_ms": 86400000}', now() - interval '7 h');
SET LOCAL millrace.backup_age = '2 d';
-- the end of partition 0, of 1, where all is processed, and of 2, which is stopped, and of which 40 are lost
INSERT INTO millrace.watermark (pipeline_id, partition, high, low, reported_at) VALUES (:id, 0, 1100, NULL, now()), (:id, 1, 210, NULL, now()), (:id, 2, 400, 360, now());
UPDATE millrace.partition SET state = 'stopped', error = 'no', changed_at = now() - interval '1 d' WHERE partition = 2;
-- three minutes ago the lags were 1600, 0 and 80
INSERT INTO millrace.stats_minute (pipeline_id, minute, up, total, events, written, filtered, superseded, skipped, rows, bytes, failed, retried, dead_lettered, replayed, lag)
SELECT :id, now() - interval '4 min', true, '{0,0,0,0,0,0,0,0,0,0,0}', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1680;
INSERT INTO millrace.lag_minute VALUES (:id, now() - interval '4 min', '{1600,0,80}');

SELECT set_eq($$ SELECT name, labels, value FROM pg_temp.shown('outcome') $$,
  $$ SELECT 'millrace_events_ended_total' AS name, jsonb_build_object('outcome', v.outcome) AS labels, v.value::float8
     FROM (VALUES ('written', 111), ('filtered', 222), ('superseded', 333), ('skipped', 444)) AS v (outcome, value) $$, 'events by outcome');
SELECT bag_eq($$ SELECT name, value FROM pg_temp.shown('pipeline') WHERE name !~ '(seconds|transactions|staging_.*)$' $$,
  $$ SELECT 'millrace_' || v.name AS name, v.value::float8
     FROM (VALUES ('events_total', 11100), ('rows_total', 777), ('payload_bytes_total', 888), ('events_failed_total', 999), ('retries_total', 1221),
                  ('dead_letters_made_total', 1332), ('dead_letters_replayed_total', 1443), ('retrying_events', 9435), ('parked_events', 1554),
                  ('dead_letters', 555), ('dead_letters_open', 531), ('partitions_stopped', 1), ('workers', 0), ('workers_wanted', 7),
                  ('breaker_open', 1), ('breaker_opened_total', 8), ('retries_breaker_open', 0), ('retries_breaker_opened_total', 11)) AS v (name, value) $$,
  'totals and numbers of a pipeline');
SELECT bag_eq($$ SELECT name, pg_temp.about(value, CASE name
       WHEN 'millrace_last_settled_timestamp_seconds' THEN extract(epoch FROM now() - interval '10 min')
       WHEN 'millrace_retry_overdue_seconds' THEN 5 * 3600 WHEN 'millrace_dlq_waiting_seconds' THEN 6 * 3600 WHEN 'millrace_ingestor_report_age_seconds' THEN 7 * 3600
       WHEN 'millrace_topic_retention_seconds' THEN 86400 WHEN 'millrace_backup_age_seconds' THEN 172800
       -- 1680 became 1080 within 180 s
       WHEN 'millrace_drain_seconds' THEN 324 END::float8) AS about FROM pg_temp.shown('pipeline') WHERE name ~ 'seconds$' $$,
  $$ SELECT 'millrace_' || v.name || '_seconds' AS name, true AS about FROM unnest('{last_settled_timestamp,retry_overdue,dlq_waiting,ingestor_report_age,topic_retention,backup_age,drain}'::text[]) AS v (name) $$,
  'times of a pipeline');
SELECT is((SELECT value FROM pg_temp.shown('pipeline') WHERE name = 'millrace_target_age_transactions'), (SELECT age(relfrozenxid)::float8 FROM pg_class WHERE oid = 'mrt.reading'::regclass),
          'the age of its target');
SELECT bag_eq($$ SELECT name, (labels ->> 'partition')::integer AS partition, value FROM pg_temp.shown('partition') WHERE name LIKE '%events' $$,
  $$ VALUES ('millrace_lag_events', 0, 1000::float8), ('millrace_lag_events', 1, 0), ('millrace_lag_events', 2, 80),
            ('millrace_lag_lost_events', 0, 0), ('millrace_lag_lost_events', 1, 0), ('millrace_lag_lost_events', 2, 40) $$, 'lags of partitions in records');
SELECT bag_eq($$ SELECT name, (labels ->> 'partition')::integer AS partition, labels ->> 'topic' AS topic, pg_temp.about(value, CASE
       -- 1600 became 1000 within 180 s
       WHEN name LIKE '%drain%' THEN CASE labels ->> 'partition' WHEN '0' THEN 300 ELSE 0 END
       ELSE CASE labels ->> 'partition' WHEN '0' THEN 3600 WHEN '1' THEN 0 ELSE 3 * 3600 END END) AS about FROM pg_temp.shown('partition') WHERE name LIKE '%seconds' $$,
  $$ VALUES ('millrace_lag_seconds', 0, 'events', true), ('millrace_lag_seconds', 1, 'events', true), ('millrace_lag_seconds', 2, 'events', true),
            ('millrace_lag_drain_seconds', 0, 'events', true), ('millrace_lag_drain_seconds', 1, 'events', true) $$, 'and in seconds');
SELECT results_eq($$ SELECT labels ->> 'status', value FROM pg_temp.shown('status') $$, $$ SELECT status, 1::float8 FROM millrace.pipelines WHERE name = 'p' $$, 'its status');
SELECT set_eq($$ SELECT labels ->> 'state' AS state, value FROM pg_temp.shown('worker') $$,
  $$ SELECT s, 0::float8 AS value FROM unnest('{starting,idle,busy,queued,backoff,waiting,stopped}'::text[]) AS s $$, 'states that a worker can be in, of which none is there');

-- windows
SET ROLE mrt_owner;
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', max_groups => 1234, backfill => false) AS w \gset
RESET ROLE;
INSERT INTO millrace.window_outside (window_id, stream, seq, rows, skewed) VALUES (:w, 0, 6, 100, 100), (:w, 0, 7, 1, 2), (:w, 1, 1, 4, 8);  -- one of them is folded
INSERT INTO millrace.window_cursor (window_id, fold, seqs, compacted, groups, outside, skewed, late, not_recomputed) SELECT :w, max(c.fold) + 1, '{6,0}', 0, 56, 6, 12, 33, 44 FROM millrace.window_cursor AS c WHERE c.window_id = :w;
INSERT INTO millrace.window_failure VALUES (:w, 'fold', '22012', 'no', now() - interval '3 h', now());
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final, held_by, held_why, stalled_since)
VALUES (:w, now(), '{0}', '{2026-01-01 12:00:00+00}', now(), '2026-01-01 11:00:00+00', '2026-01-01 11:00:00+00', 0, 'events are staged', now() - interval '2 h');
PREPARE windows AS
SELECT name, CASE WHEN name ~ '(stalled|failing|waiting)_seconds$' THEN round(value / 600) * 600 ELSE value END AS value FROM pg_temp.shown('window') WHERE labels = '{"window": "w"}';
CREATE TEMP TABLE window_metric (name text, value float8);
INSERT INTO window_metric
SELECT 'millrace_window_' || v.name, v.value FROM (VALUES ('watermark_timestamp_seconds', 1767265200), ('watermark_stalled_seconds', 7200), ('late_rows_total', 33), ('skewed_rows_total', 22),
  ('outside_rows', 11), ('not_recomputed_groups_total', 44), ('groups', 56), ('max_groups', 1234), ('backfill_share', 1), ('failing_seconds', 10800)) AS v (name, value);
SELECT bag_eq('windows', 'TABLE window_metric', 'of a window');
INSERT INTO millrace.window_outlet VALUES (:w, 'closed', gen_random_uuid(), '-infinity', 99);
INSERT INTO millrace.window_output (window_id, id, revision, place, key, payload, written_at) SELECT :w, n, 1, 0, '', '', now() - n * interval '1 h' FROM generate_series(1, 5) AS n;
INSERT INTO window_metric VALUES ('millrace_window_output_waiting_messages', 5), ('millrace_window_output_waiting_seconds', 18000), ('millrace_window_output_published_total', 99);
SELECT bag_eq('windows', 'TABLE window_metric', 'of one that is published, too');

-- nothing is left out: these are all metrics that are not in shared memory
SELECT set_eq($$ SELECT f.name FROM millrace.metric_family AS f WHERE f.source IN ('outcome', 'pipeline', 'partition', 'status', 'worker', 'window') AND f.name !~ '^millrace_(staging_.*|batches_total|worker_busy_seconds_total|events_without_timestamp_total|events_from_future_total|largest_batch_events)$' $$,
  $$ SELECT DISTINCT name FROM millrace.metrics() WHERE labels ->> 'pipeline' = 'p' $$, 'each metric was there');

SELECT * FROM finish();
ROLLBACK;
