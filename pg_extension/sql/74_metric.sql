-- Every figure of the system once, for exporters. Two lists: metric_family says which metrics there are, metrics() gives
-- their values. What is added to both is exported everywhere (76_exporter.sql makes the exporters' queries of them).

CREATE VIEW millrace.metric_source WITH (security_barrier) AS
SELECT v.source, v.labels::text[] AS labels, v.prefix
FROM (VALUES
  ('pipeline', '{pipeline}', 'millrace'),
  ('outcome', '{pipeline,outcome}', 'millrace_events_ended'),
  ('type', '{pipeline,type}', 'millrace_type'),
  ('type_outcome', '{pipeline,type,outcome}', 'millrace_type_events_ended'),
  ('status', '{pipeline,status}', 'millrace_pipeline'),
  ('worker', '{pipeline,state}', 'millrace_worker'),
  ('rate', '{pipeline,over}', 'millrace_events'),
  ('latency', '{pipeline,stage}', 'millrace_latency_max'),
  ('quantile', '{pipeline,stage,quantile}', 'millrace_latency'),
  ('histogram', '{pipeline,stage}', 'millrace_event_latency'),
  ('batch_size', '{pipeline}', 'millrace_batch'),
  ('partition', '{pipeline,topic,partition}', 'millrace_lag'),
  ('window', '{pipeline,window}', 'millrace_window')
) AS v (source, labels, prefix);
COMMENT ON VIEW millrace.metric_source IS 'Metrics that are read together, and have the same labels: an exporter reads each source by one query.';
COMMENT ON COLUMN millrace.metric_source.source IS 'its name, for metrics()';
COMMENT ON COLUMN millrace.metric_source.labels IS 'of each of its metrics; le of a histogram is not among them';
COMMENT ON COLUMN millrace.metric_source.prefix IS 'with which the names of its metrics begin, and no other source''s query is named';

CREATE VIEW millrace.metric_family WITH (security_barrier) AS
SELECT v.name, v.type, v.source, v.help
FROM (VALUES
  -- in the commits of the batches: they survive everything, and never fall
  ('millrace_events_total', 'counter', 'pipeline', 'Events settled for the first time.'),
  ('millrace_events_ended_total', 'counter', 'outcome', 'Events by how they ended; dead letters are counted apart.'),
  ('millrace_rows_total', 'counter', 'pipeline', 'Rows written to the target.'),
  ('millrace_payload_bytes_total', 'counter', 'pipeline', 'Bytes of payload of settled events.'),
  ('millrace_events_failed_total', 'counter', 'pipeline', 'Events whose first try failed.'),
  ('millrace_retries_total', 'counter', 'pipeline', 'Tries of events after the first.'),
  ('millrace_dead_letters_made_total', 'counter', 'pipeline', 'Dead letters made.'),
  ('millrace_dead_letters_replayed_total', 'counter', 'pipeline', 'Dead letters whose replay succeeded.'),
  ('millrace_type_events_total', 'counter', 'type', 'Events by type, of pipelines with a type_field, with their first try.'),
  ('millrace_type_payload_bytes_total', 'counter', 'type', 'Bytes of payload of these events.'),
  ('millrace_type_events_failed_total', 'counter', 'type', 'Events by type whose first try failed.'),
  ('millrace_type_retries_total', 'counter', 'type', 'Tries of events after the first, by type.'),
  ('millrace_type_dead_letters_made_total', 'counter', 'type', 'Dead letters made, by type.'),
  ('millrace_type_dead_letters_replayed_total', 'counter', 'type', 'Dead letters whose replay succeeded, by type.'),
  ('millrace_type_events_ended_total', 'counter', 'type_outcome', 'Events by type and by how they ended; dead letters are counted apart.'),
  ('millrace_retrying_events', 'gauge', 'pipeline', 'Events that wait to be tried again.'),
  ('millrace_dead_letters', 'gauge', 'pipeline', 'Dead letters whose events are not in the target: open, discarded or being replayed.'),
  ('millrace_dead_letters_open', 'gauge', 'pipeline', 'Of these, those that were not discarded and are not being replayed.'),
  ('millrace_parked_events', 'gauge', 'pipeline', 'Events that wait behind an earlier one of their key and were not tried yet.'),
  ('millrace_drain_seconds', 'gauge', 'pipeline', 'When the lag will be gone at the present rate.'),
  ('millrace_last_settled_timestamp_seconds', 'gauge', 'pipeline', 'When the last batch was settled, as Unix time; not there while none was.'),
  -- in shared memory
  ('millrace_batches_total', 'counter', 'pipeline', 'Batches settled since the server was started.'),
  ('millrace_batch_events', 'histogram', 'batch_size', 'Events of a batch, those that were tried again included, since the server was started.'),
  ('millrace_largest_batch_events', 'gauge', 'pipeline', 'Events of the largest batch of the last minute; not there without one.'),
  ('millrace_worker_busy_seconds_total', 'counter', 'pipeline', 'Time of the workers from reading a batch to its commit, since the server was started.'),
  ('millrace_events_without_timestamp_total', 'counter', 'pipeline', 'Events without a Kafka timestamp since the server was started.'),
  ('millrace_events_from_future_total', 'counter', 'pipeline', 'Events with a Kafka timestamp in the future since the server was started.'),
  ('millrace_events_per_second', 'gauge', 'rate', 'Events settled per second, over the last seconds.'),
  ('millrace_latency_seconds', 'gauge', 'quantile', 'Latency of events that became visible in the last minute.'),
  ('millrace_latency_max_seconds', 'gauge', 'latency', 'Longest latency of an event that became visible in the last minute.'),
  ('millrace_event_latency_seconds', 'histogram', 'histogram', 'Latency of events since the server was started.'),
  -- partitions
  ('millrace_lag_events', 'gauge', 'partition', 'Offsets still to process, by the end that an ingestor reported last.'),
  ('millrace_lag_seconds', 'gauge', 'partition', 'Age of the last event processed; 0 when there is none to process.'),
  ('millrace_lag_drain_seconds', 'gauge', 'partition', 'When the lag will be gone at the rate of the last minutes; not there while it grows.'),
  ('millrace_lag_lost_events', 'gauge', 'partition', 'Offsets still to process that Kafka no longer has.'),
  ('millrace_partitions_stopped', 'gauge', 'pipeline', 'Partitions that are stopped, see millrace.partitions for the reason.'),
  -- windows
  ('millrace_window_watermark_timestamp_seconds', 'gauge', 'window', 'Event time, as Unix time, up to which the windows are closed; not there while none is.'),
  ('millrace_window_watermark_stalled_seconds', 'gauge', 'window', 'How long event times have risen while the watermark has not moved.'),
  ('millrace_window_late_rows_total', 'counter', 'window', 'Rows that came when a window they are in was final.'),
  ('millrace_window_skewed_rows_total', 'counter', 'window', 'Rows whose event time was so far in the future that it moved no watermark.'),
  ('millrace_window_outside_rows', 'gauge', 'window', 'Rows that are in no window: their event time is null, infinite or too far away.'),
  ('millrace_window_not_recomputed_groups_total', 'counter', 'window', 'Groups from before target_since that were touched and kept what they had.'),
  ('millrace_window_groups', 'gauge', 'window', 'Rows that are kept: one for each group of each window, and more until what folds have left is merged.'),
  ('millrace_window_max_groups', 'gauge', 'window', 'Groups above which the oldest windows leave.'),
  ('millrace_window_backfill_share', 'gauge', 'window', 'About which share it has of the rows that were there before it, from 0 to 1.'),
  ('millrace_window_failing_seconds', 'gauge', 'window', 'For how long it could not be folded, published or filled.'),
  ('millrace_window_output_waiting_messages', 'gauge', 'window', 'Values of closed windows that wait to be published; not there for a window that is not published.'),
  ('millrace_window_output_waiting_seconds', 'gauge', 'window', 'How long the oldest of them has waited.'),
  ('millrace_window_output_published_total', 'counter', 'window', 'Values of closed windows that were found in their topic.'),
  -- processes, staging, breakers
  ('millrace_pipeline_status', 'gauge', 'status', 'One series for each pipeline, with its status as label.'),
  ('millrace_workers', 'gauge', 'pipeline', 'Workers that run.'),
  ('millrace_workers_wanted', 'gauge', 'pipeline', 'Workers that the pipeline is to have.'),
  ('millrace_worker_states', 'gauge', 'worker', 'Workers by what they do: backoff is a worker that waits after an error, stopped one whose process ended.'),
  ('millrace_staging_bytes', 'gauge', 'pipeline', 'Size of the segments that hold staged events.'),
  ('millrace_staging_batches', 'gauge', 'pipeline', 'Staged batches that wait for a worker.'),
  ('millrace_staging_events', 'gauge', 'pipeline', 'Messages in these batches.'),
  ('millrace_staging_payload_bytes', 'gauge', 'pipeline', 'Bytes of their payloads.'),
  ('millrace_staging_fill_ratio', 'gauge', 'pipeline', 'Share of the segments in use, of the lane that is fullest.'),
  ('millrace_breaker_open', 'gauge', 'pipeline', '1 while the breaker is open or half open.'),
  ('millrace_retries_breaker_open', 'gauge', 'pipeline', '1 while the breaker of the events that are tried again is open or half open.'),
  ('millrace_breaker_opened_total', 'counter', 'pipeline', 'How often the breaker was opened.'),
  ('millrace_retries_breaker_opened_total', 'counter', 'pipeline', 'How often the breaker of the events that are tried again was opened.'),
  -- retries, dead letters on their way to Kafka, ingestors
  ('millrace_retry_overdue_seconds', 'gauge', 'pipeline', 'How long the oldest retry has been due.'),
  ('millrace_dlq_waiting_seconds', 'gauge', 'pipeline', 'How long the oldest dead letter has waited to be published to its topic.'),
  ('millrace_ingestor_report_age_seconds', 'gauge', 'pipeline', 'When an ingestor last reported on itself.'),
  ('millrace_topic_retention_seconds', 'gauge', 'pipeline', 'How long the topic keeps its messages, as an ingestor reported it; not there when it keeps them for good.'),
  ('millrace_backup_age_seconds', 'gauge', 'pipeline', 'Age of the oldest backup that would be restored, as millrace.backup_age says; 0: not known.'),
  ('millrace_target_age_transactions', 'gauge', 'pipeline', 'Transactions since the target table was frozen last: the server stops before 2^31 of them.')
) AS v (name, type, source, help);
COMMENT ON VIEW millrace.metric_family IS 'The metrics there are, whether they have values now or not.';
COMMENT ON COLUMN millrace.metric_family.name IS 'of the metric; series of a histogram add _bucket, _sum and _count';
COMMENT ON COLUMN millrace.metric_family.type IS 'counter (only grows; those since the server was started begin at 0 again), gauge or histogram';
COMMENT ON COLUMN millrace.metric_family.source IS 'of metric_source, which has its labels';
COMMENT ON COLUMN millrace.metric_family.help IS 'what it says, as one sentence';
GRANT SELECT ON millrace.metric_source, millrace.metric_family TO PUBLIC;

-- Without just-in-time compilation: the planner takes each list for a hundred rows, and a compiled plan would take ten
-- times as long. Parts of other sources than the one asked for are not run. One plan for all sources, which the session keeps:
-- to make it takes ten times as long as to run it.
CREATE FUNCTION millrace.metrics(source text DEFAULT NULL) RETURNS TABLE (family text, name text, labels jsonb, value float8)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off SET extra_float_digits = 1
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
WITH stats AS MATERIALIZED (
  SELECT * FROM millrace.stats_inline
), by_type AS MATERIALIZED (
  SELECT * FROM millrace.stats_by_type WHERE metrics.source IS NULL OR metrics.source IN ('type', 'type_outcome')
), live AS MATERIALIZED (
  SELECT s.live AS doc FROM stats AS s WHERE s.live IS NOT NULL
), pipeline AS MATERIALIZED (
  SELECT p.name, p.status, p.workers, p.workers_running, p.target FROM millrace.pipelines AS p
), stopped AS MATERIALIZED (
  SELECT t.pipeline, count(*) AS stopped FROM millrace.partitions AS t WHERE t.state = 'stopped' GROUP BY t.pipeline
), lane AS MATERIALIZED (
  SELECT l.pipeline, l.bytes, l.batches, l.events, l.payload_bytes, l.fill
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'staging')
    AS l (pipeline text, bytes bigint, batches bigint, events bigint, payload_bytes bigint, fill float8)
)
SELECT coalesce(m.family, m.name), m.name, jsonb_build_object('pipeline', m.pipeline) || m.label, m.value
FROM (
  SELECT NULL AS family, v.name, s.pipeline, '{}'::jsonb AS label, v.value::float8 AS value
  FROM stats AS s
  CROSS JOIN LATERAL (VALUES
    ('millrace_events_total', s.events::numeric), ('millrace_rows_total', s.rows), ('millrace_payload_bytes_total', s.bytes),
    ('millrace_events_failed_total', s.failed), ('millrace_retries_total', s.retried),
    ('millrace_dead_letters_made_total', s.dead_lettered), ('millrace_dead_letters_replayed_total', s.replayed),
    ('millrace_retrying_events', s.retrying), ('millrace_parked_events', s.parked), ('millrace_dead_letters', s.dead),
    ('millrace_dead_letters_open', s.dead_letters_open),
    ('millrace_drain_seconds', date_part('epoch', s.drained_in)::numeric),
    ('millrace_last_settled_timestamp_seconds', date_part('epoch', s.settled_at)::numeric),
    ('millrace_retry_overdue_seconds',
     greatest(coalesce(date_part('epoch', statement_timestamp() - s.next_retry_at), 0), 0)::numeric)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_events_ended_total', s.pipeline, jsonb_build_object('outcome', v.outcome), v.value
  FROM stats AS s
  CROSS JOIN LATERAL (VALUES ('written', s.written), ('filtered', s.filtered), ('superseded', s.superseded), ('skipped', s.skipped))
    AS v (outcome, value)
  WHERE metrics.source IS NULL OR metrics.source = 'outcome'
  UNION ALL
  SELECT NULL, v.name, t.pipeline, jsonb_build_object('type', t.type) || v.label, v.value
  FROM by_type AS t
  CROSS JOIN LATERAL (VALUES
    ('millrace_type_events_total', '{}'::jsonb, t.events), ('millrace_type_payload_bytes_total', '{}', t.bytes),
    ('millrace_type_events_failed_total', '{}', t.failed), ('millrace_type_retries_total', '{}', t.retried),
    ('millrace_type_dead_letters_made_total', '{}', t.dead_lettered), ('millrace_type_dead_letters_replayed_total', '{}', t.replayed),
    ('millrace_type_events_ended_total', '{"outcome": "written"}', t.written), ('millrace_type_events_ended_total', '{"outcome": "filtered"}', t.filtered),
    ('millrace_type_events_ended_total', '{"outcome": "superseded"}', t.superseded), ('millrace_type_events_ended_total', '{"outcome": "skipped"}', t.skipped)
  ) AS v (name, label, value)
  WHERE metrics.source IS NULL OR metrics.source = CASE WHEN v.label = '{}' THEN 'type' ELSE 'type_outcome' END
  UNION ALL
  SELECT NULL, v.name, t.pipeline, '{}', v.value
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'totals')
    AS t (pipeline text, batches bigint, busy_s float8, without_time bigint, from_future bigint, largest_batch bigint)
  CROSS JOIN LATERAL (VALUES
    ('millrace_batches_total', t.batches::float8), ('millrace_worker_busy_seconds_total', t.busy_s),
    ('millrace_events_without_timestamp_total', t.without_time), ('millrace_events_from_future_total', t.from_future),
    ('millrace_largest_batch_events', t.largest_batch)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_events_per_second', r.pipeline, jsonb_build_object('over', r.window_s || 's'), r.events
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'rates') AS r (pipeline text, window_s integer, events float8)
  WHERE metrics.source IS NULL OR metrics.source = 'rate'
  UNION ALL
  SELECT NULL, 'millrace_latency_seconds', l.pipeline, jsonb_build_object('stage', l.stage, 'quantile', v.quantile), v.ms / 1000
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'latencies')
    AS l (pipeline text, stage text, p50_ms float8, p95_ms float8, p99_ms float8)
  CROSS JOIN LATERAL (VALUES ('0.5', l.p50_ms), ('0.95', l.p95_ms), ('0.99', l.p99_ms)) AS v (quantile, ms)
  WHERE metrics.source IS NULL OR metrics.source = 'quantile'
  UNION ALL
  SELECT NULL, 'millrace_latency_max_seconds', l.pipeline, jsonb_build_object('stage', l.stage), l.max_ms / 1000
  FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'latencies') AS l (pipeline text, stage text, max_ms float8)
  WHERE metrics.source IS NULL OR metrics.source = 'latency'
  UNION ALL
  -- as Prometheus has histograms: how many were at most `le`, which begins with the first bound and grows by a factor
  SELECT h.family, h.family || '_' || v.name, h.pipeline, h.label || v.label, v.value
  FROM (
    SELECT 'histogram' AS source, 'millrace_event_latency_seconds' AS family, l.pipeline, jsonb_build_object('stage', l.stage) AS label, l.shorter AS counts,
           l.sum_s AS sum, 0.001024::float8 AS first, 2 AS factor
    FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'histograms') AS l (pipeline text, stage text, shorter bigint[], sum_s float8)
    UNION ALL
    SELECT 'batch_size', 'millrace_batch_events', t.pipeline, '{}', t.batch_sizes, t.taken, 1, 4
    FROM live CROSS JOIN LATERAL jsonb_to_recordset(live.doc -> 'totals') AS t (pipeline text, taken bigint, batch_sizes bigint[])
  ) AS h
  CROSS JOIN LATERAL (
    SELECT 'bucket', jsonb_build_object('le', CASE WHEN b.i < cardinality(h.counts) THEN (h.first * h.factor ^ (b.i - 1))::text ELSE '+Inf' END), b.n::float8
    FROM unnest(h.counts) WITH ORDINALITY AS b (n, i)
    UNION ALL SELECT 'count', '{}', h.counts[cardinality(h.counts)]
    UNION ALL SELECT 'sum', '{}', h.sum
  ) AS v (name, label, value)
  WHERE metrics.source IS NULL OR metrics.source = h.source
  UNION ALL
  SELECT NULL, v.name, l.pipeline, jsonb_build_object('topic', l.topic, 'partition', l.partition::text), v.value
  FROM millrace.lag AS l
  CROSS JOIN LATERAL (VALUES ('millrace_lag_events', l.lag::float8), ('millrace_lag_seconds', date_part('epoch', l.behind)),
    ('millrace_lag_drain_seconds', date_part('epoch', l.drained_in)), ('millrace_lag_lost_events', l.lost))
    AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'partition'
  UNION ALL
  SELECT NULL, v.name, w.pipeline, jsonb_build_object('window', w.name), v.value
  FROM millrace.windows AS w
  CROSS JOIN LATERAL (VALUES
    ('millrace_window_watermark_timestamp_seconds', date_part('epoch', w.watermark)),
    ('millrace_window_watermark_stalled_seconds', greatest(coalesce(date_part('epoch', statement_timestamp() - w.stalled_since), 0), 0)),
    ('millrace_window_late_rows_total', w.late), ('millrace_window_skewed_rows_total', w.skewed), ('millrace_window_outside_rows', w.outside),
    ('millrace_window_not_recomputed_groups_total', w.not_recomputed),
    ('millrace_window_groups', w.groups), ('millrace_window_max_groups', w.max_groups),
    ('millrace_window_backfill_share', w.backfill_share),
    ('millrace_window_failing_seconds', greatest(coalesce(date_part('epoch', statement_timestamp() - w.failing_since), 0), 0)),
    ('millrace_window_output_waiting_messages', CASE WHEN w.output_topic IS NOT NULL THEN w.output_waiting END),
    ('millrace_window_output_waiting_seconds', CASE WHEN w.output_topic IS NOT NULL THEN greatest(coalesce(date_part('epoch', statement_timestamp() - w.output_waiting_since), 0), 0) END),
    ('millrace_window_output_published_total', CASE WHEN w.output_topic IS NOT NULL THEN w.published END)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'window'
  UNION ALL
  SELECT NULL, 'millrace_partitions_stopped', p.name, '{}', coalesce(t.stopped, 0)
  FROM pipeline AS p LEFT JOIN stopped AS t ON t.pipeline = p.name
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_pipeline_status', p.name, jsonb_build_object('status', p.status), 1
  FROM pipeline AS p
  WHERE metrics.source IS NULL OR metrics.source = 'status'
  UNION ALL
  SELECT NULL, v.name, p.name, '{}', v.value
  FROM pipeline AS p
  CROSS JOIN LATERAL (VALUES ('millrace_workers', p.workers_running), ('millrace_workers_wanted', p.workers),
    ('millrace_backup_age_seconds', coalesce(date_part('epoch', current_setting('millrace.backup_age', true)::interval), 0))) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_worker_states', p.name, jsonb_build_object('state', s.state), count(w.number)
  FROM pipeline AS p
  CROSS JOIN (VALUES ('starting'), ('idle'), ('busy'), ('queued'), ('backoff'), ('waiting'), ('stopped')) AS s (state)
  LEFT JOIN millrace.workers AS w ON w.pipeline = p.name AND w.state = s.state
  WHERE metrics.source IS NULL OR metrics.source = 'worker'
  GROUP BY p.name, s.state
  UNION ALL
  SELECT NULL, v.name, l.pipeline, '{}', v.value
  FROM lane AS l
  CROSS JOIN LATERAL (VALUES
    ('millrace_staging_bytes', l.bytes::float8), ('millrace_staging_batches', l.batches), ('millrace_staging_events', l.events),
    ('millrace_staging_payload_bytes', l.payload_bytes), ('millrace_staging_fill_ratio', l.fill)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, v.name, b.pipeline, '{}', v.value
  FROM millrace.breakers AS b
  CROSS JOIN LATERAL (VALUES
    ('millrace_breaker_open', (b.state <> 'closed')::integer::float8),
    ('millrace_retries_breaker_open', (b.retries_state <> 'closed')::integer),
    ('millrace_breaker_opened_total', b.opened), ('millrace_retries_breaker_opened_total', b.retries_opened)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_dlq_waiting_seconds', q.pipeline, '{}',
         coalesce(date_part('epoch', statement_timestamp() - q.waiting_since), 0)
  FROM millrace.dlqs AS q
  WHERE q.enabled AND (metrics.source IS NULL OR metrics.source = 'pipeline')
  UNION ALL
  SELECT NULL, v.name, i.pipeline, '{}', v.value
  FROM millrace.ingestor_reports AS i
  CROSS JOIN LATERAL (VALUES
    ('millrace_ingestor_report_age_seconds', greatest(date_part('epoch', statement_timestamp() - i.reported_at), 0)),
    ('millrace_topic_retention_seconds', CASE WHEN (i.about ->> 'retention_ms')::float8 > 0 THEN (i.about ->> 'retention_ms')::float8 / 1000 END)
  ) AS v (name, value)
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  UNION ALL
  SELECT NULL, 'millrace_target_age_transactions', p.name, '{}', max(age(c.relfrozenxid))
  FROM pipeline AS p
  CROSS JOIN LATERAL (SELECT p.target::oid UNION SELECT t.relid FROM pg_partition_tree(p.target) AS t) AS r (oid)
  JOIN pg_class AS c ON c.oid = r.oid AND c.relfrozenxid <> '0'
  WHERE metrics.source IS NULL OR metrics.source = 'pipeline'
  GROUP BY p.name
) AS m (family, name, pipeline, label, value)
WHERE m.value IS NOT NULL;
END $$;
COMMENT ON FUNCTION millrace.metrics(text) IS
'The values of the metrics that metric_family lists.
In: one source of metric_source, or null for all of them.
Out: of the pipelines the caller may see: family (of metric_family), name (of the series: a histogram has several), labels
(object of strings), value.
Errors: none; a source that does not exist has no rows.';

CREATE VIEW millrace.metric WITH (security_barrier) AS
SELECT m.name, m.labels, m.value, f.type, f.help
FROM millrace.metrics() AS m JOIN millrace.metric_family AS f ON f.name = m.family;
COMMENT ON VIEW millrace.metric IS 'Every figure of the pipelines once, named as Prometheus names metrics, for exporters: units are in the names.';
COMMENT ON COLUMN millrace.metric.name IS 'of the metric; several rows share it, with other labels';
COMMENT ON COLUMN millrace.metric.labels IS 'object of strings';
COMMENT ON COLUMN millrace.metric.value IS 'in the unit that the name says';
COMMENT ON COLUMN millrace.metric.type IS 'counter (only grows; those since the server was started begin at 0 again), gauge or histogram';
COMMENT ON COLUMN millrace.metric.help IS 'what it says, as one sentence';
GRANT SELECT ON millrace.metric TO PUBLIC;
