-- Metrics: the list of them and their values agree, and exporters' queries give the same.
BEGIN;
\ir helper.psql
SELECT no_plan();

SELECT is((SELECT count(*) - count(DISTINCT name) FROM millrace.metric_family), 0::bigint, 'each family is there once');
SELECT is((SELECT array_agg(f.name) FROM millrace.metric_family AS f LEFT JOIN millrace.metric_source AS s USING (source)
           WHERE s.source IS NULL OR left(f.name, length(s.prefix) + 1) <> s.prefix || '_'), NULL, 'its source is one, and names it');
SELECT is((SELECT array_agg(name) FROM millrace.metric_family WHERE (name LIKE '%\_total') <> (type = 'counter') OR name !~ '^millrace_[a-z_]+$'),
          NULL, 'counters, and nothing else, end in _total');
SELECT is((SELECT array_agg(name) FROM millrace.metric_family WHERE help !~ '\.$'), NULL, 'help is a sentence');

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{0,0}');

SELECT isnt((SELECT count(*) FROM millrace.metrics()), 0::bigint, 'there are values');
SELECT is((SELECT array_agg(DISTINCT m.family) FROM millrace.metrics() AS m LEFT JOIN millrace.metric_family AS f ON f.name = m.family WHERE f.name IS NULL),
          NULL, 'each value is of a family');
SELECT is((SELECT count(*) FROM millrace.metric), (SELECT count(*) FROM millrace.metrics()), 'metric has all of them');
SELECT results_eq(
  $$ SELECT m.name, m.labels FROM millrace.metric_source AS s CROSS JOIN LATERAL millrace.metrics(s.source) AS m ORDER BY m.name, m.labels $$,
  $$ SELECT m.name, m.labels FROM millrace.metrics() AS m ORDER BY m.name, m.labels $$, 'each value is of one source');
SELECT is((SELECT array_agg(DISTINCT m.name) FROM millrace.metrics() AS m JOIN millrace.metric_family AS f ON f.name = m.family
           JOIN millrace.metric_source AS s ON s.source = f.source
           WHERE (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(m.labels) AS k WHERE k <> 'le')
                 <> (SELECT array_agg(l ORDER BY l) FROM unnest(s.labels) AS l)), NULL, 'with the labels of its source');
SELECT is((SELECT array_agg(m.family) FROM millrace.metric_source AS s CROSS JOIN LATERAL millrace.metrics(s.source) AS m
           JOIN millrace.metric_family AS f ON f.name = m.family WHERE f.source <> s.source), NULL, 'and the source that the list says');

-- each statistic is a metric, or follows from one
CREATE TEMP TABLE exported (name text, metric text);
INSERT INTO exported VALUES
  ('stats.events', 'millrace_events_total'), ('stats.rows', 'millrace_rows_total'), ('stats.bytes', 'millrace_payload_bytes_total'),
  ('stats.written', 'millrace_events_ended_total'), ('stats.filtered', 'millrace_events_ended_total'),
  ('stats.superseded', 'millrace_events_ended_total'), ('stats.skipped', 'millrace_events_ended_total'),
  ('stats.dead', 'millrace_dead_letters'), ('stats.retrying', 'millrace_retrying_events'), ('stats.failed', 'millrace_events_failed_total'),
  ('stats.retried', 'millrace_retries_total'), ('stats.dead_lettered', 'millrace_dead_letters_made_total'),
  ('stats.replayed', 'millrace_dead_letters_replayed_total'), ('stats.events_per_s', 'millrace_events_per_second'),
  ('stats.events_per_s_minute', 'millrace_events_per_second'), ('stats.rows_per_s', 'millrace_rows_total'),
  ('stats.rows_per_s_minute', 'millrace_rows_total'), ('stats.lag', 'millrace_lag_events'), ('stats.drained_per_s', 'millrace_lag_events'),
  ('stats.drained_in', 'millrace_drain_seconds'), ('stats.settled_at', 'millrace_last_settled_timestamp_seconds'),
  ('stats.without_time', 'millrace_events_without_timestamp_total'), ('stats.from_future', 'millrace_events_from_future_total'),
  ('stats.next_retry_at', 'millrace_retry_overdue_seconds'), ('stats.staged', 'millrace_staging_events'),
  ('stats.staged_bytes', 'millrace_staging_payload_bytes'), ('stats.staged_waiting', 'millrace_staging_events'),
  ('stats.staging_fill', 'millrace_staging_fill_ratio'), ('stats.events_per_batch', 'millrace_batch_events'),
  ('stats.parked', 'millrace_parked_events'), ('stats.dead_letters_open', 'millrace_dead_letters_open'),
  ('stats.dead_letters_per_s', 'millrace_dead_letters_made_total'), ('lag.drained_in', 'millrace_lag_drain_seconds'),
  ('stats.largest_batch', 'millrace_largest_batch_events'), ('rates.events_per_batch', 'millrace_batch_events'),
  ('rates.events_per_s', 'millrace_events_per_second'), ('rates.rows_per_s', 'millrace_rows_total'),
  ('rates.bytes_per_s', 'millrace_payload_bytes_total'), ('rates.failures_per_s', 'millrace_events_failed_total'),
  ('rates.dead_letters_per_s', 'millrace_dead_letters_made_total'), ('rates.retries_per_s', 'millrace_retries_total'),
  ('rates.batches_per_s', 'millrace_batches_total'), ('rates.busy_workers', 'millrace_worker_busy_seconds_total'),
  ('latency.events', 'millrace_event_latency_seconds'), ('latency.p50_ms', 'millrace_latency_seconds'),
  ('latency.p95_ms', 'millrace_latency_seconds'), ('latency.p99_ms', 'millrace_latency_seconds'), ('latency.max_ms', 'millrace_latency_max_seconds'),
  ('lag.lag', 'millrace_lag_events'), ('lag.behind', 'millrace_lag_seconds'), ('lag.lost', 'millrace_lag_lost_events'), ('lag.drained_per_s', 'millrace_lag_events'),
  ('breakers.state', 'millrace_breaker_open'), ('breakers.opened', 'millrace_breaker_opened_total'),
  ('breakers.retries_state', 'millrace_retries_breaker_open'), ('breakers.retries_opened', 'millrace_retries_breaker_opened_total'),
  ('stats_by_type.events', 'millrace_type_events_total'), ('stats_by_type.bytes', 'millrace_type_payload_bytes_total'),
  ('stats_by_type.written', 'millrace_type_events_ended_total'), ('stats_by_type.filtered', 'millrace_type_events_ended_total'),
  ('stats_by_type.superseded', 'millrace_type_events_ended_total'), ('stats_by_type.skipped', 'millrace_type_events_ended_total'),
  ('stats_by_type.failed', 'millrace_type_events_failed_total'), ('stats_by_type.retried', 'millrace_type_retries_total'),
  ('stats_by_type.dead_lettered', 'millrace_type_dead_letters_made_total'), ('stats_by_type.replayed', 'millrace_type_dead_letters_replayed_total'),
  ('lanes.segments_used', 'millrace_staging_fill_ratio'), ('lanes.segments', 'millrace_staging_fill_ratio'), ('lanes.bytes', 'millrace_staging_bytes'),
  ('lanes.staged', 'millrace_staging_batches'), ('lanes.staged_events', 'millrace_staging_events'), ('lanes.staged_bytes', 'millrace_staging_payload_bytes'),
  ('workers.state', 'millrace_worker_states'), ('workers.batches', 'millrace_batches_total'), ('dlqs.waiting_since', 'millrace_dlq_waiting_seconds'),
  ('windows.watermark', 'millrace_window_watermark_timestamp_seconds'), ('windows.stalled_since', 'millrace_window_watermark_stalled_seconds'),
  ('windows.outside', 'millrace_window_outside_rows'), ('windows.skewed', 'millrace_window_skewed_rows_total'), ('windows.late', 'millrace_window_late_rows_total'),
  ('windows.not_recomputed', 'millrace_window_not_recomputed_groups_total'), ('windows.groups', 'millrace_window_groups'),
  ('windows.max_groups', 'millrace_window_max_groups'), ('windows.output_waiting', 'millrace_window_output_waiting_messages'),
  ('windows.output_waiting_since', 'millrace_window_output_waiting_seconds'), ('windows.published', 'millrace_window_output_published_total'),
  ('windows.backfill_share', 'millrace_window_backfill_share'), ('windows.failing_since', 'millrace_window_failing_seconds');
SELECT is((SELECT array_agg(c.relname || '.' || a.attname ORDER BY 1) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
           LEFT JOIN exported AS e ON e.name = c.relname || '.' || a.attname
           WHERE c.relnamespace = 'millrace'::regnamespace AND c.relname IN ('stats', 'stats_by_type', 'rates', 'latency', 'lag', 'breakers', 'lanes', 'workers', 'dlqs', 'windows') AND e.name IS NULL
                 AND a.attname NOT IN ('pipeline', 'over', 'stage')
                 -- what a figure is about, when it was seen, and texts
                 AND c.relname || '.' || a.attname NOT IN ('stats_by_type.type', 'lag.topic', 'lag.partition', 'lag.next_offset', 'lag.end_offset', 'lag.start_offset', 'lag.settled_at', 'lag.reported_at', 'lag.read_at',
                   'breakers.since', 'breakers.reason', 'breakers.sqlstate', 'breakers.condition', 'breakers.next_probe_at', 'breakers.command', 'breakers.retries_since', 'breakers.retries_reason', 'breakers.retries_sqlstate',
                   'breakers.retries_next_probe_at', 'breakers.retries_command', 'lanes.lane_id', 'lanes.writer_pid', 'lanes.worker_pid', 'workers.number', 'workers.pid', 'workers.started_at', 'workers.last_error', 'workers.last_error_at',
                   'dlqs.enabled', 'dlqs.topic', 'dlqs.delivery', 'dlqs.error', 'dlqs.reported_at', 'dlqs.is_granted', 'dlqs.transactional_id')
                 -- how a window is made, and what its figures are about
                 AND (c.relname <> 'windows' OR a.attname NOT IN ('name', 'kind', 'relation', 'event_time', 'size', 'slide', 'group_by', 'aggregates', 'where', 'time_zone', 'origin', 'delay',
                      'lateness', 'max_skew', 'close_idle', 'retention', 'held_topic', 'held_by', 'held_why', 'created_at', 'output_topic', 'output_error', 'output_is_granted', 'kept_from', 'left_at',
                      'gap', 'max_session', 'target_since', 'failing', 'failing_sqlstate', 'failing_error', 'backfilled', 'backfill_rows', 'backfill_since', 'backfill_reached', 'backfill_eta',
                      'backfill_waits', 'backfill_error'))), NULL, 'each statistic is exported');
SELECT is((SELECT array_agg(e.name) FROM exported AS e LEFT JOIN millrace.metric_family AS f ON f.name = e.metric WHERE f.name IS NULL), NULL,
          'as a metric that there is');

-- the exporters' queries run, and have the values
CREATE FUNCTION pg_temp.run(query text) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE format('SELECT to_jsonb(q) FROM (%s) AS q', query); END $$;
SELECT is(
  (SELECT count(*) FROM millrace.exporter_query AS s CROSS JOIN LATERAL pg_temp.run(s.query) AS row
   CROSS JOIN LATERAL jsonb_each(row) AS c (name, value) JOIN millrace.metric_family AS f ON f.name = s.prefix || '_' || c.name AND f.source = s.source
   WHERE c.value <> 'null' AND f.type <> 'histogram'),
  (SELECT count(*) FROM millrace.metrics() AS m WHERE m.name = m.family), 'an exporter gets every value');
SELECT is((SELECT count(*) FROM regexp_matches(millrace.postgres_exporter_queries(), 'usage: (COUNTER|GAUGE|HISTOGRAM)', 'g')),
          (SELECT count(*) FROM millrace.metric_family), 'postgres_exporter: each metric once');
SELECT is((SELECT count(*) FROM regexp_matches(millrace.sql_exporter_collector(), 'metric_name:', 'g')),
          (SELECT count(*) + 2 * count(*) FILTER (WHERE type = 'histogram') FROM millrace.metric_family), 'sql_exporter: likewise, a histogram as three');
SET ROLE mrt_stranger;
SELECT matches(millrace.postgres_exporter_queries(), 'millrace_lag:', 'anybody may make them');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
