-- Every figure of the system once, for exporters. One list: what is added here is exported everywhere.

-- A function, so that it runs without just-in-time compilation: the planner takes each list for a hundred rows, and a compiled
-- plan would take ten times as long.
CREATE FUNCTION millrace.metrics() RETURNS TABLE (name text, labels jsonb, value float8, type text, help text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off AS $$
WITH stats AS MATERIALIZED (
  SELECT * FROM millrace.stats
), engine AS MATERIALIZED (
  SELECT millrace.engine_status() AS doc
), live AS MATERIALIZED (
  SELECT millrace.live_status() AS doc
), pipeline AS MATERIALIZED (
  SELECT p.name, p.status, p.workers, p.workers_running FROM millrace.pipelines AS p
), lane AS MATERIALIZED (
  SELECT l.pipeline, sum(l.bytes) AS bytes, sum(l.staged) AS staged,
         max(l.segments_used::float8 / nullif(l.segments, 0)) AS fill
  FROM engine CROSS JOIN LATERAL jsonb_to_recordset(engine.doc -> 'lanes')
    AS l (pipeline text, segments_used integer, segments integer, bytes bigint, staged bigint)
  GROUP BY l.pipeline
)
SELECT m.name, m.labels, m.value, m.type, m.help
FROM (
  -- counters in the commits of the batches: they survive everything, and never fall
  SELECT v.name, jsonb_build_object('pipeline', s.pipeline) || v.label AS labels, v.value::float8 AS value, 'counter' AS type, v.help
  FROM stats AS s
  CROSS JOIN LATERAL (VALUES
    ('millrace_events_total', '{}'::jsonb, s.events, 'Events settled for the first time.'),
    ('millrace_events_ended_total', '{"outcome": "written"}', s.written, 'Events by how they ended; dead letters are counted apart.'),
    ('millrace_events_ended_total', '{"outcome": "filtered"}', s.filtered, 'Events by how they ended; dead letters are counted apart.'),
    ('millrace_events_ended_total', '{"outcome": "superseded"}', s.superseded, 'Events by how they ended; dead letters are counted apart.'),
    ('millrace_events_ended_total', '{"outcome": "skipped"}', s.skipped, 'Events by how they ended; dead letters are counted apart.'),
    ('millrace_rows_total', '{}', s.rows, 'Rows written to the target.'),
    ('millrace_payload_bytes_total', '{}', s.bytes, 'Bytes of payload of settled events.'),
    ('millrace_events_failed_total', '{}', s.failed, 'Events whose first try failed.'),
    ('millrace_retries_total', '{}', s.retried, 'Tries of events after the first.'),
    ('millrace_dead_letters_made_total', '{}', s.dead_lettered, 'Dead letters made.'),
    ('millrace_dead_letters_replayed_total', '{}', s.replayed, 'Dead letters whose replay succeeded.')
  ) AS v (name, label, value, help)
  UNION ALL
  SELECT v.name, jsonb_build_object('pipeline', s.pipeline), v.value::float8, 'gauge', v.help
  FROM stats AS s
  CROSS JOIN LATERAL (VALUES
    ('millrace_retrying_events', s.retrying::numeric, 'Events that wait to be tried again.'),
    ('millrace_dead_letters', s.dead, 'Dead letters whose events are not in the target: open, discarded or being replayed.'),
    ('millrace_drain_seconds', date_part('epoch', s.drained_in)::numeric, 'When the lag will be gone at the present rate.')
  ) AS v (name, value, help)
  UNION ALL
  -- in shared memory: since the server was started
  SELECT v.name, jsonb_build_object('pipeline', t.pipeline), v.value, 'counter', v.help
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'totals')
    AS t (pipeline text, batches bigint, busy_s float8, without_time bigint, from_future bigint)
  CROSS JOIN LATERAL (VALUES
    ('millrace_batches_total', t.batches::float8, 'Batches settled since the server was started.'),
    ('millrace_worker_busy_seconds_total', t.busy_s, 'Time of the workers from reading a batch to its commit, since the server was started.'),
    ('millrace_events_without_timestamp_total', t.without_time, 'Events without a Kafka timestamp since the server was started.'),
    ('millrace_events_from_future_total', t.from_future, 'Events with a Kafka timestamp in the future since the server was started.')
  ) AS v (name, value, help)
  UNION ALL
  SELECT 'millrace_events_per_second', jsonb_build_object('pipeline', r.pipeline, 'over', r.window_s || 's'), r.events, 'gauge',
         'Events settled per second, over the last seconds.'
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'rates') AS r (pipeline text, window_s integer, events float8)
  UNION ALL
  SELECT v.name, jsonb_build_object('pipeline', l.pipeline, 'stage', l.stage) || v.label, v.value / 1000, 'gauge', v.help
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'latencies')
    AS l (pipeline text, stage text, p50_ms float8, p95_ms float8, p99_ms float8, max_ms float8)
  CROSS JOIN LATERAL (VALUES
    ('millrace_latency_seconds', '{"quantile": "0.5"}'::jsonb, l.p50_ms, 'Latency of events that became visible in the last minute.'),
    ('millrace_latency_seconds', '{"quantile": "0.95"}', l.p95_ms, 'Latency of events that became visible in the last minute.'),
    ('millrace_latency_seconds', '{"quantile": "0.99"}', l.p99_ms, 'Latency of events that became visible in the last minute.'),
    ('millrace_latency_max_seconds', '{}', l.max_ms, 'Longest latency of an event that became visible in the last minute.')
  ) AS v (name, label, value, help)
  UNION ALL
  -- partitions
  SELECT v.name, jsonb_build_object('pipeline', l.pipeline, 'topic', l.topic, 'partition', l.partition::text), v.value, 'gauge', v.help
  FROM millrace.lag AS l
  CROSS JOIN LATERAL (VALUES
    ('millrace_lag_events', l.lag::float8, 'Offsets still to process, by the end that an ingestor reported last.'),
    ('millrace_lag_seconds', date_part('epoch', l.behind), 'Age of the last event processed; 0 when there is none to process.')
  ) AS v (name, value, help)
  UNION ALL
  SELECT 'millrace_partitions_stopped', jsonb_build_object('pipeline', p.name),
         (SELECT count(*) FROM millrace.partitions AS t WHERE t.pipeline = p.name AND t.state = 'stopped'), 'gauge',
         'Partitions that are stopped, see millrace.partitions for the reason.'
  FROM pipeline AS p
  UNION ALL
  -- processes, staging, breaker
  SELECT 'millrace_pipeline_status', jsonb_build_object('pipeline', p.name, 'status', p.status), 1, 'gauge',
         'One series for each pipeline, with its status as label.'
  FROM pipeline AS p
  UNION ALL
  SELECT v.name, jsonb_build_object('pipeline', p.name), v.value, 'gauge', v.help
  FROM pipeline AS p
  CROSS JOIN LATERAL (VALUES
    ('millrace_workers', p.workers_running::float8, 'Workers that run.'),
    ('millrace_workers_wanted', p.workers, 'Workers that the pipeline is to have.')
  ) AS v (name, value, help)
  UNION ALL
  SELECT v.name, jsonb_build_object('pipeline', l.pipeline), v.value, 'gauge', v.help
  FROM lane AS l
  CROSS JOIN LATERAL (VALUES
    ('millrace_staging_bytes', l.bytes::float8, 'Size of the segments that hold staged events.'),
    ('millrace_staging_batches', l.staged, 'Staged batches that wait for a worker.'),
    ('millrace_staging_fill_ratio', l.fill, 'Share of the segments in use, of the lane that is fullest.')
  ) AS v (name, value, help)
  UNION ALL
  SELECT 'millrace_breaker_open', jsonb_build_object('pipeline', b.pipeline), (b.state <> 'closed')::integer, 'gauge',
         '1 while the breaker is open or half open.'
  FROM millrace.breakers AS b
  UNION ALL
  SELECT 'millrace_retries_breaker_open', jsonb_build_object('pipeline', b.pipeline), (b.retries_state <> 'closed')::integer, 'gauge',
         '1 while the breaker of the events that are tried again is open or half open.'
  FROM millrace.breakers AS b
  UNION ALL
  SELECT 'millrace_breaker_opened_total', jsonb_build_object('pipeline', b.pipeline), b.opened, 'counter',
         'How often the breaker was opened.'
  FROM millrace.breakers AS b
  UNION ALL
  -- retries, dead letters on their way to Kafka, ingestors
  SELECT 'millrace_retry_overdue_seconds', jsonb_build_object('pipeline', s.pipeline),
         greatest(coalesce(date_part('epoch', statement_timestamp() - s.next_retry_at), 0), 0), 'gauge', 'How long the oldest retry has been due.'
  FROM stats AS s
  UNION ALL
  SELECT 'millrace_dlq_waiting_seconds', jsonb_build_object('pipeline', q.pipeline),
         coalesce(date_part('epoch', statement_timestamp() - q.waiting_since), 0), 'gauge',
         'How long the oldest dead letter has waited to be published to its topic.'
  FROM millrace.dlqs AS q WHERE q.enabled
  UNION ALL
  SELECT 'millrace_ingestor_report_age_seconds', jsonb_build_object('pipeline', i.pipeline),
         greatest(date_part('epoch', statement_timestamp() - i.reported_at), 0), 'gauge',
         'When an ingestor last reported on itself.'
  FROM millrace.ingestor_reports AS i
) AS m
WHERE m.value IS NOT NULL;
$$;
COMMENT ON FUNCTION millrace.metrics() IS
'The rows of the view metric. In: nothing.
Out: every figure of the pipelines the caller may see: name, labels (object of strings), value, type (counter or gauge), help.
Errors: none.';

CREATE VIEW millrace.metric WITH (security_barrier) AS SELECT m.* FROM millrace.metrics() AS m;
COMMENT ON VIEW millrace.metric IS 'Every figure of the pipelines once, named as Prometheus names metrics, for exporters: units are in the names.';
COMMENT ON COLUMN millrace.metric.name IS 'of the metric; several rows share it, with other labels';
COMMENT ON COLUMN millrace.metric.labels IS 'object of strings';
COMMENT ON COLUMN millrace.metric.type IS 'counter (only grows; those since the server was started begin at 0 again) or gauge';
GRANT SELECT ON millrace.metric TO PUBLIC;
