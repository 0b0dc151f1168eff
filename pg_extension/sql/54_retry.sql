-- What is tried again: the queues of ordering => 'key' as alter_pipeline() changes them (the rules are in src/fail/order.h),
-- what fails, and the circuit breakers. Events and their errors are for the pipeline's owner and its members.

-- The first event of a queue waits for nothing: it is due.
CREATE FUNCTION millrace._release_parked(p millrace.pipeline) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  UPDATE millrace.retry AS r SET next_at = clock_timestamp()
  WHERE r.pipeline_id = p.id AND r.state = 'parked' AND r.next_at = 'infinity'
        AND NOT EXISTS (
          SELECT FROM millrace.retry AS b
          WHERE b.pipeline_id = r.pipeline_id AND b.partition = r.partition AND b.order_key = r.order_key
                AND (b."offset", b.id) < (r."offset", r.id));
$$;
REVOKE ALL ON FUNCTION millrace._release_parked(millrace.pipeline) FROM PUBLIC;
COMMENT ON FUNCTION millrace._release_parked(millrace.pipeline) IS 'Internal: releases the queues whose first event waits for nothing.';

-- After a change of ordering or on_dead; the pipeline is locked, no batch is in flight.
CREATE FUNCTION millrace._reorder(p millrace.pipeline, ordering text, on_dead text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF ordering = 'none' OR on_dead = 'release' THEN
    DELETE FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state = 'held';
  END IF;
  IF ordering = 'none' THEN
    UPDATE millrace.retry AS r
    -- what is parked is counted as that (src/engine/tally.c) until it is tried
    SET order_key = NULL, next_at = CASE r.state WHEN 'parked' THEN clock_timestamp() ELSE r.next_at END,
        -- retry_age does not count the time before its first try
        first_failed_at = CASE WHEN r.state = 'parked' AND r.attempts = 0 THEN clock_timestamp() ELSE r.first_failed_at END
    WHERE r.pipeline_id = p.id AND r.order_key IS NOT NULL;
  END IF;
  PERFORM millrace._release_parked(p);
END $$;
REVOKE ALL ON FUNCTION millrace._reorder(millrace.pipeline, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._reorder(millrace.pipeline, text, text) IS 'Internal: releases what a new ordering or on_dead no longer holds.';

CREATE VIEW millrace.retries WITH (security_barrier) AS
SELECT r.id, p.name AS pipeline, r.topic, coalesce(n.topic_partition, r.partition) AS partition, r."offset",
       -- the bound: see _position
       CASE WHEN r.kafka_ts BETWEEN 0 AND 9224318015999000 THEN pg_catalog.to_timestamp(r.kafka_ts / 1000.0) END AS kafka_ts,
       r.state, r.attempts, d.max_retries, r.next_at, r.first_failed_at, r.history -> -1 ->> 'stage' AS stage,
       r.history -> -1 ->> 'sqlstate' AS sqlstate, millrace.condition_name(r.history -> -1 ->> 'sqlstate') AS condition,
       r.history -> -1 ->> 'message' AS message, r.replay_of, r.version, millrace.readable(r.key) AS key,
       millrace.headers(r.headers) AS headers, millrace.readable(r.payload) AS payload, r.payload AS raw, r.history,
       CASE WHEN r.state = 'parked' THEN f."offset" END AS behind, r.order_key IS NOT NULL AS in_queue,
       r.history -> -1 ->> 'detail' AS detail, r.history -> -1 ->> 'constraint_name' AS constraint_name, r.document
FROM millrace.retry AS r
JOIN millrace.pipeline AS p ON p.id = r.pipeline_id
JOIN millrace.pipeline_version AS d ON d.pipeline_id = p.id AND d.version = p.version
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = r.pipeline_id AND n.partition = r.partition
LEFT JOIN LATERAL (
  SELECT c."offset" FROM millrace.retry AS c
  WHERE c.pipeline_id = r.pipeline_id AND c.partition = r.partition AND c.order_key = r.order_key
        AND (c."offset", c.id) < (r."offset", r.id)
  ORDER BY c."offset", c.id LIMIT 1) AS f ON true
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.retries IS 'Events that failed and are tried again, those of their keys that wait behind them (ordering => key), and dead letters being replayed.';
COMMENT ON COLUMN millrace.retries.state IS 'retrying, parked (waits behind another event of its key), held (a dead letter its key waits for) or replaying';
COMMENT ON COLUMN millrace.retries.next_at IS 'infinity: when the event it waits for is done';
COMMENT ON COLUMN millrace.retries.in_queue IS 'events of its key wait for it, or it for them (ordering => key)';
COMMENT ON COLUMN millrace.retries.behind IS 'of a parked event: offset of the first event of its queue, null: it is due';
COMMENT ON COLUMN millrace.retries.attempts IS 'tries that failed, of a replay since it began';
COMMENT ON COLUMN millrace.retries.message IS 'of the last failure, with its stage, sqlstate, condition, detail and constraint_name';
COMMENT ON COLUMN millrace.retries.replay_of IS 'id of the dead letter';
COMMENT ON COLUMN millrace.retries.document IS 'with format ndjson its number in the message, and payload is this document; null: the message as a whole';

CREATE VIEW millrace.errors WITH (security_barrier) AS
WITH failure AS (
  SELECT r.pipeline_id, r.history -> -1 ->> 'stage' AS stage, r.history -> -1 ->> 'sqlstate' AS sqlstate,
         r.history -> -1 ->> 'constraint_name' AS constraint_name, r.history -> -1 ->> 'message' AS message, true AS is_retry,
         r.first_failed_at AS first_at, r.first_failed_at AS last_at
  FROM millrace.retry AS r WHERE r.attempts > 0 AND r.state <> 'held'
  UNION ALL
  SELECT l.pipeline_id, l.stage, l.sqlstate, l.constraint_name, l.message, false, coalesce(l.first_failed_at, l.failed_at), l.failed_at
  FROM millrace.dead_letter AS l WHERE l.state = 'open'
), kind AS (
  SELECT f.pipeline_id, f.stage, f.sqlstate, f.constraint_name, pg_catalog.count(*) FILTER (WHERE f.is_retry) AS retrying,
         pg_catalog.count(*) FILTER (WHERE NOT f.is_retry) AS dead, pg_catalog.min(f.first_at) AS first_at,
         pg_catalog.max(f.last_at) AS last_at, pg_catalog.min(f.message) AS message
  FROM failure AS f GROUP BY f.pipeline_id, f.stage, f.sqlstate, f.constraint_name
)
SELECT p.name AS pipeline, k.stage, k.sqlstate, millrace.condition_name(k.sqlstate) AS condition, k.constraint_name,
       CASE WHEN k.stage = 'decode' THEN 'dead_letter' ELSE coalesce(c.action, 'dead_letter') END AS action,
       k.retrying, k.dead, k.first_at, k.last_at, k.message
FROM kind AS k
JOIN millrace.pipeline AS p ON p.id = k.pipeline_id
-- as src/pipeline/error_class.c does
LEFT JOIN LATERAL (
  SELECT e.action FROM millrace.error_class AS e
  WHERE (e.pipeline_id IS NULL OR e.pipeline_id = k.pipeline_id) AND pg_catalog.starts_with(k.sqlstate, e.sqlstate)
        AND (e.constraint_name IS NULL OR e.constraint_name = k.constraint_name)
  ORDER BY e.pipeline_id IS NULL, e.constraint_name IS NULL, pg_catalog.length(e.sqlstate) DESC, e.builtin LIMIT 1) AS c ON true
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE')
ORDER BY p.name, k.last_at DESC;
COMMENT ON VIEW millrace.errors IS 'What is currently failing, by SQLSTATE: number of events being tried again and of open dead letters.';
COMMENT ON COLUMN millrace.errors.action IS 'what error_classes say about it; an error of the payload itself is never tried again';
COMMENT ON COLUMN millrace.errors.message IS 'of one of them';

CREATE VIEW millrace.breakers WITH (security_barrier) AS
SELECT p.name AS pipeline, coalesce(b.state, 'closed') AS state, b.since, b.reason, b.sqlstate,
       millrace.condition_name(b.sqlstate) AS condition, b.next_probe_at, coalesce(b.opened, 0) AS opened, b.command,
       coalesce(r.state, 'closed') AS retries_state, r.since AS retries_since, r.reason AS retries_reason, r.sqlstate AS retries_sqlstate,
       r.next_probe_at AS retries_next_probe_at, r.command AS retries_command, coalesce(r.opened, 0) AS retries_opened
FROM millrace._visible AS p
LEFT JOIN millrace._breaker AS b ON b.pipeline_id = p.id AND b.kind = 'lane'
LEFT JOIN millrace._breaker AS r ON r.pipeline_id = p.id AND r.kind = 'retry'
ORDER BY p.name;
COMMENT ON VIEW millrace.breakers IS 'The circuit breaker of each pipeline, and that of its events that are tried again.';
COMMENT ON COLUMN millrace.breakers.pipeline IS 'its name';
COMMENT ON COLUMN millrace.breakers.state IS 'closed (normal), open (staging fills, Kafka waits) or half_open (one batch is tried); of the worker with the worst';
COMMENT ON COLUMN millrace.breakers.since IS 'when it opened (half_open does not change it) or closed; null: it never opened';
COMMENT ON COLUMN millrace.breakers.reason IS 'the error that opened it';
COMMENT ON COLUMN millrace.breakers.sqlstate IS 'of that error';
COMMENT ON COLUMN millrace.breakers.condition IS 'the name of that SQLSTATE';
COMMENT ON COLUMN millrace.breakers.next_probe_at IS 'when a batch is tried next';
COMMENT ON COLUMN millrace.breakers.opened IS 'how many times in total';
COMMENT ON COLUMN millrace.breakers.command IS 'fixes the cause, as far as that is known; null: not known';
COMMENT ON COLUMN millrace.breakers.retries_state IS 'as state, of events that are tried again: open (they wait, other events are processed) or half_open (some are tried)';
COMMENT ON COLUMN millrace.breakers.retries_since IS 'when retries_state became open, or closed again; null: never';
COMMENT ON COLUMN millrace.breakers.retries_reason IS 'as reason';
COMMENT ON COLUMN millrace.breakers.retries_sqlstate IS 'as sqlstate';
COMMENT ON COLUMN millrace.breakers.retries_next_probe_at IS 'as next_probe_at';
COMMENT ON COLUMN millrace.breakers.retries_command IS 'as command';
COMMENT ON COLUMN millrace.breakers.retries_opened IS 'how many times it became open in total';

GRANT SELECT ON millrace.retries, millrace.errors, millrace.breakers TO PUBLIC;
