-- Events that failed. They hold users' data: for the pipeline's owner and its members alone, pg_monitor or not.

CREATE VIEW millrace.dead_letters WITH (security_barrier) AS
SELECT l.id, p.name AS pipeline, l.version, l.topic, l.partition, l."offset", l.kafka_ts, l.stage, l.sqlstate, l.message,
       l.detail, l.hint, l.constraint_name, l.column_name,
       millrace.fingerprint(l.stage, l.sqlstate, l.constraint_name, l.column_name, l.message) AS fingerprint,
       millrace.readable(l.key) AS key, millrace.headers(l.headers) AS headers, millrace.readable(l.payload) AS payload,
       l.payload AS raw, l.failed_at, millrace.condition_name(l.sqlstate) AS condition, l.state, l.ended,
       greatest(l.attempts, pg_catalog.jsonb_array_length(l.history)) AS attempts, l.history,
       coalesce(l.first_failed_at, l.failed_at) AS first_failed_at, l.replay_count,
       millrace.readable(l.edited_payload) AS edited_payload, l.published_at, l.dlq_partition, l.dlq_offset,
       coalesce(l.changed_at, l.failed_at) AS changed_at
FROM millrace.dead_letter AS l JOIN millrace.pipeline AS p ON p.id = l.pipeline_id
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.dead_letters IS 'Events that failed: where each came from, why it failed, what it was, and what became of it.';
COMMENT ON COLUMN millrace.dead_letters.stage IS 'decode (the payload does not fit fields), transform or write';
COMMENT ON COLUMN millrace.dead_letters.payload IS 'as text; bytes that are no UTF-8 in the escape format of bytea';
COMMENT ON COLUMN millrace.dead_letters.raw IS 'the payload as it came';
COMMENT ON COLUMN millrace.dead_letters.failed_at IS 'the last time';
COMMENT ON COLUMN millrace.dead_letters.condition IS 'name of the SQLSTATE';
COMMENT ON COLUMN millrace.dead_letters.state IS 'open, replaying, replayed (processed after all) or discarded';
COMMENT ON COLUMN millrace.dead_letters.ended IS
'why it is not tried again: permanent (of no use), exhausted (max_retries), too_old (retry_age) or crashed (it brought the server down)';
COMMENT ON COLUMN millrace.dead_letters.attempts IS 'tries in all, replays too';
COMMENT ON COLUMN millrace.dead_letters.history IS 'of each try: at, stage, sqlstate, message, detail, constraint_name';
COMMENT ON COLUMN millrace.dead_letters.edited_payload IS 'what the last replay processed in the place of payload';
COMMENT ON COLUMN millrace.dead_letters.published_at IS 'when it was seen in the DLQ topic, at dlq_partition and dlq_offset';
COMMENT ON COLUMN millrace.dead_letters.changed_at IS 'since when state is what it is';

CREATE VIEW millrace.dead_letter_groups WITH (security_barrier) AS
SELECT p.name AS pipeline, g.fingerprint, g.count, g.first_at, g.last_at, l.stage, l.sqlstate, l.message, l.constraint_name,
       l.column_name, l.id AS sample_id, l.topic, l.partition, l."offset", millrace.readable(l.payload) AS payload,
       millrace.condition_name(l.sqlstate) AS condition, g.open, g.replaying, g.replayed, g.discarded
FROM millrace.pipeline AS p
CROSS JOIN LATERAL (
  SELECT f.fingerprint, pg_catalog.count(*) AS count, pg_catalog.min(coalesce(d.first_failed_at, d.failed_at)) AS first_at,
         pg_catalog.max(d.failed_at) AS last_at, pg_catalog.max(d.id) AS sample_id,
         pg_catalog.count(*) FILTER (WHERE d.state = 'open') AS open,
         pg_catalog.count(*) FILTER (WHERE d.state = 'replaying') AS replaying,
         pg_catalog.count(*) FILTER (WHERE d.state = 'replayed') AS replayed,
         pg_catalog.count(*) FILTER (WHERE d.state = 'discarded') AS discarded
  FROM millrace.dead_letter AS d
  CROSS JOIN LATERAL millrace.fingerprint(d.stage, d.sqlstate, d.constraint_name, d.column_name, d.message) AS f (fingerprint)
  WHERE d.pipeline_id = p.id
  GROUP BY f.fingerprint) AS g
JOIN millrace.dead_letter AS l ON l.id = g.sample_id
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.dead_letter_groups IS 'Dead letters by kind of failure, with the latest of each as a sample.';
COMMENT ON COLUMN millrace.dead_letter_groups.count IS '= open + replaying + replayed + discarded';

GRANT SELECT ON millrace.dead_letters, millrace.dead_letter_groups TO PUBLIC;
