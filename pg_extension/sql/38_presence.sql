-- Whether anybody serves a pipeline, and what keeps it from doing so: what the ingestors say, and that they are silent. The
-- views pipelines, service and ingestors, and by them doctor(), read it here.

CREATE VIEW millrace._presence WITH (security_barrier) AS
SELECT i.pipeline_id, i.ingestor, i.pid, i.seen_at, i.kafka_error, i.kafka_hint, i.lane_stuck, i.changed_at,
       -- an ingestor reports every 3 s; a killed one's session ends with it
       i.seen_at > pg_catalog.statement_timestamp() - interval '9 s'
       AND EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(i.pid)) AS is_present
FROM millrace.ingestor_presence AS i;
COMMENT ON VIEW millrace._presence IS 'Internal: ingestors that serve each pipeline, or did within an hour.';

CREATE VIEW millrace._service WITH (security_barrier) AS
SELECT p.id AS pipeline_id, i.ingestors, i.failing, i.kafka_error, i.kafka_hint, i.lane_stuck, h.heard_at,
       i.ingestors > 0 AND i.failing = i.ingestors AS is_unread,
       -- one of another author may report less than ours; a young pipeline, or server, gives it the time to come; what is of the
       -- future was written before the clock was set back
       i.ingestors = 0
       AND coalesce(h.heard_at, p.created_at) NOT BETWEEN pg_catalog.statement_timestamp() - interval '9 s' AND pg_catalog.statement_timestamp() + interval '9 s'
       AND pg_catalog.pg_postmaster_start_time() NOT BETWEEN pg_catalog.statement_timestamp() - interval '9 s' AND pg_catalog.statement_timestamp() + interval '9 s' AS is_unserved
FROM millrace.pipeline AS p
CROSS JOIN LATERAL (
  SELECT pg_catalog.count(*) AS ingestors, pg_catalog.count(s.kafka_error) AS failing,
         (pg_catalog.array_agg(s.kafka_error ORDER BY s.ingestor) FILTER (WHERE s.kafka_error IS NOT NULL))[1] AS kafka_error,
         (pg_catalog.array_agg(s.kafka_hint ORDER BY s.ingestor) FILTER (WHERE s.kafka_error IS NOT NULL))[1] AS kafka_hint,
         pg_catalog.min(s.lane_stuck) AS lane_stuck
  FROM millrace._presence AS s WHERE s.pipeline_id = p.id AND s.is_present) AS i
CROSS JOIN LATERAL (
  SELECT greatest((SELECT pg_catalog.max(s.seen_at) FROM millrace.ingestor_presence AS s WHERE s.pipeline_id = p.id),
                  (SELECT pg_catalog.max(w.reported_at) FROM millrace.watermark AS w WHERE w.pipeline_id = p.id),
                  (SELECT r.reported_at FROM millrace.ingestor_report AS r WHERE r.pipeline_id = p.id)) AS heard_at) AS h;
COMMENT ON VIEW millrace._service IS 'Internal: whether ingestors serve each pipeline and can read its topic.';
