-- What runs, at which position, how fast. Readers see the pipelines whose owner they are a member of; members of
-- pg_monitor, and roles that serve the API (64_api.sql), see all pipelines here, but never an event (52_dead_letter.sql). Each
-- view is a security barrier.

CREATE VIEW millrace._visible WITH (security_barrier) AS
SELECT p.*, p.instance <> (SELECT i.id FROM millrace.instance AS i) AS is_foreign
FROM millrace.pipeline AS p
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE') OR (SELECT r.sees_all FROM millrace._reader AS r);
COMMENT ON VIEW millrace._visible IS 'Internal: pipelines whose state the reader may see.';

CREATE VIEW millrace._ledger_entry WITH (security_barrier) AS
SELECT l.pipeline_id, l.entries[i + 1]::integer AS partition, l.entries[i + 3] + l.entries[i + 18] AS seq, l.entries[i + 4] AS next_offset,
       CASE WHEN l.entries[i + 5] >= 0 THEN l.entries[i + 5] END AS last_offset,
       CASE WHEN l.entries[i + 5] >= 0 THEN l.entries[i + 6] END AS last_ts,
       l.entries[i + 8] AS events, l.entries[i + 9] AS written, l.entries[i + 10] AS filtered, l.entries[i + 11] AS superseded,
       l.entries[i + 12] AS skipped, l.entries[i + 13] AS dead, l.entries[i + 14] AS retrying, l.entries[i + 15] AS rows,
       l.entries[i + 16] AS bytes,
       timestamptz '2000-01-01 00:00:00+00' + l.entries[i + 17] * interval '1 microsecond' AS settled_at,
       l.entries[i + 19] AS failed, l.entries[i + 20] AS retried, l.entries[i + 21] AS dead_lettered, l.entries[i + 22] AS replayed,
       l.entries[i + 23] AS parked
-- as many as a row has at most: with bounds that are constants the planner knows how few they are
FROM millrace.ledger AS l CROSS JOIN pg_catalog.generate_series(0, 460, 23) AS i
WHERE i < pg_catalog.cardinality(l.entries);
COMMENT ON VIEW millrace._ledger_entry IS 'Internal: partitions whose position and counters are in a ledger.';

CREATE VIEW millrace._position WITH (security_barrier) AS
SELECT t.pipeline_id, t.partition, g.seq, g.next_offset, g.last_offset,
       -- a producer may send any number; shown as timestamptz up to the last second of that type's range
       CASE WHEN g.last_ts BETWEEN 0 AND 9224318015999000 THEN g.last_ts END AS last_ts, g.events, g.written, g.filtered,
       g.superseded, g.skipped, g.dead, g.retrying, g.rows, g.bytes, g.settled_at, g.failed, g.retried, g.dead_lettered, g.replayed, g.parked, t.state
FROM millrace.partition AS t
LEFT JOIN millrace._ledger_entry AS e ON e.pipeline_id = t.pipeline_id AND e.partition = t.partition
CROSS JOIN LATERAL (
  SELECT e.seq, e.next_offset, e.last_offset, e.last_ts, e.events, e.written, e.filtered, e.superseded, e.skipped, e.dead,
         e.retrying, e.rows, e.bytes, e.settled_at, e.failed, e.retried, e.dead_lettered, e.replayed, e.parked
  WHERE e.partition IS NOT NULL
  UNION ALL
  (SELECT r.seq, r.next_offset, r.last_offset, r.last_ts, r.events, r.written, r.filtered, r.superseded, r.skipped, r.dead,
          r.retrying, r.rows, r.bytes, r.settled_at, r.failed, r.retried, r.dead_lettered, r.replayed, r.parked
   FROM millrace.progress AS r
   WHERE e.partition IS NULL AND r.pipeline_id = t.pipeline_id AND r.partition = t.partition
   ORDER BY r.seq DESC LIMIT 1)) AS g;
COMMENT ON VIEW millrace._position IS 'Internal: position and counters of each partition.';

CREATE VIEW millrace._lag WITH (security_barrier) AS
SELECT g.*, w.high, w.low, w.reported_at, w.read_at,
       -- of a stopped partition a smaller end is that of another topic
       CASE WHEN w.high >= g.next_offset THEN w.high - g.next_offset WHEN w.high IS NOT NULL AND g.state <> 'stopped' THEN 0 END AS lag
FROM millrace._position AS g
LEFT JOIN millrace._watermark AS w ON w.pipeline_id = g.pipeline_id AND w.partition = g.partition;
COMMENT ON VIEW millrace._lag IS 'Internal: of _position, with the end of each partition and the offsets up to there; null: not known.';

-- The breaker of a pipeline is that of the worker with the worst; each worker has rows of its own.
CREATE VIEW millrace._breaker WITH (security_barrier) AS
SELECT DISTINCT ON (b.pipeline_id, b.kind) b.pipeline_id, b.kind, b.state, b.since, b.reason, b.sqlstate, b.next_probe_at,
       pg_catalog.sum(b.opened) OVER (PARTITION BY b.pipeline_id, b.kind)::bigint AS opened, b.command
FROM millrace.breaker AS b
ORDER BY b.pipeline_id, b.kind, pg_catalog.array_position(ARRAY['open', 'half_open', 'closed'], b.state), b.next_probe_at, b.since DESC, b.worker;
COMMENT ON VIEW millrace._breaker IS 'Internal: the breaker of each pipeline, and that of its retries.';

-- For the verbs, which hold the pipeline: workers write their breakers only while they share it.
CREATE FUNCTION millrace._close_breakers(pipeline_id integer, workers integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  UPDATE millrace.breaker AS b
  SET state = 'closed', since = clock_timestamp(), reason = NULL, sqlstate = NULL, next_probe_at = NULL, command = NULL
  WHERE b.pipeline_id = _close_breakers.pipeline_id AND b.worker >= workers AND b.state <> 'closed';
$$;
REVOKE ALL ON FUNCTION millrace._close_breakers(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._close_breakers(integer, integer) IS 'Internal: closes the breakers of workers that a pipeline does not have any more.';

CREATE FUNCTION millrace._probe(pipeline_id integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  UPDATE millrace.breaker AS b SET next_probe_at = clock_timestamp() WHERE b.pipeline_id = _probe.pipeline_id AND b.state = 'open';
$$;
REVOKE ALL ON FUNCTION millrace._probe(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._probe(integer) IS 'Internal: an open breaker is to be probed as soon as its worker is woken.';

-- What is in shared memory. One document, so that mr_verb can return it like any verb's result. In PL/pgSQL, as all that is read
-- every second: the session keeps its plan, and to make that takes longer than all the rest.
CREATE FUNCTION millrace._engine_status(caller regrole) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN (
  WITH visible AS (
    SELECT p.id, p.name FROM millrace.pipeline AS p
    WHERE pg_has_role(caller, p.owner::oid, 'USAGE') OR (SELECT millrace._sees_all(caller))
  )
  SELECT jsonb_build_object(
    'preloaded', millrace._preloaded(),
    'library_version', millrace._library_version(),
    'held', (SELECT c.held FROM millrace._capacity() AS c),
    'shortages', (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM millrace._shortages() AS s
                  WHERE EXISTS (SELECT FROM visible)),
    'workers', (SELECT coalesce(jsonb_agg(to_jsonb(w) || jsonb_build_object('pipeline', v.name)), '[]')
                FROM millrace._workers() AS w JOIN visible AS v ON v.id = w.pipeline_id),
    'lanes', (SELECT coalesce(jsonb_agg(to_jsonb(l) || jsonb_build_object('pipeline', v.name)), '[]')
              FROM millrace._lanes() AS l JOIN visible AS v ON v.id = l.pipeline_id)));
END $$;
REVOKE ALL ON FUNCTION millrace._engine_status(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._engine_status(regrole) IS 'Internal: engine_status for a role.';

CREATE FUNCTION millrace.engine_status() RETURNS jsonb
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.engine_status() IS
'Workers and staging lanes of the pipelines the caller may see, as the views workers and lanes show them.
In: nothing. Out: object with preloaded; library_version; held: stop_workers() was called; shortages: what the server has too little of; workers; lanes. Errors: none.';

CREATE VIEW millrace.workers WITH (security_barrier) AS
SELECT w.pipeline, w.number, w.pid, w.state, w.started_at, w.batches, w.last_error, w.last_error_at
FROM (SELECT millrace.engine_status() AS doc) AS e
CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(e.doc -> 'workers')
  AS w (pipeline text, number integer, pid integer, state text, started_at timestamptz, batches bigint, last_error text,
        last_error_at timestamptz)
ORDER BY w.pipeline, w.number;
COMMENT ON VIEW millrace.workers IS 'Workers of the pipelines: what each does, and the last error it met.';
COMMENT ON COLUMN millrace.workers.pipeline IS 'its name';
COMMENT ON COLUMN millrace.workers.number IS 'from 0 on, below the pipeline''s number of workers';
COMMENT ON COLUMN millrace.workers.started_at IS 'when it was started last; null: it was not yet';
COMMENT ON COLUMN millrace.workers.batches IS 'batches that it has settled';
COMMENT ON COLUMN millrace.workers.last_error IS 'the last that it met; null: none';
COMMENT ON COLUMN millrace.workers.last_error_at IS 'when it met that';
COMMENT ON COLUMN millrace.workers.pid IS 'process that serves it; null: none does at the moment, the processes of an owner serve his workers by turns';
COMMENT ON COLUMN millrace.workers.state IS 'starting, idle, busy, queued (there are events, and it waits for its turn), backoff (waits after an error), waiting (as many events are parked as are allowed, or its windows have as much to fold as they may) or stopped (its process ended)';

CREATE VIEW millrace.lanes WITH (security_barrier) AS
SELECT l.pipeline, l.lane_id, nullif(l.writer_pid, 0) AS writer_pid, nullif(l.worker_pid, 0) AS worker_pid, l.segments_used, l.segments, l.bytes, l.staged,
       l.staged_events, l.staged_bytes
FROM (SELECT millrace.engine_status() AS doc) AS e
CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(e.doc -> 'lanes')
  AS l (pipeline text, lane_id integer, writer_pid integer, worker_pid integer, segments_used integer,
        segments integer, bytes bigint, staged bigint, staged_events bigint, staged_bytes bigint)
ORDER BY l.pipeline, l.lane_id;
COMMENT ON VIEW millrace.lanes IS 'Staging lanes: who writes and reads each, and how full it is.';
COMMENT ON COLUMN millrace.lanes.pipeline IS 'its name';
COMMENT ON COLUMN millrace.lanes.lane_id IS 'its number, of all lanes of this database';
COMMENT ON COLUMN millrace.lanes.writer_pid IS 'session of the ingestor that fills it; null: none does';
COMMENT ON COLUMN millrace.lanes.worker_pid IS 'process that empties it; null: none does at the moment';
COMMENT ON COLUMN millrace.lanes.segments_used IS 'segments that hold what no worker has settled, or are being filled';
COMMENT ON COLUMN millrace.lanes.segments IS 'as many as it may use: when all are in use the ingestor waits';
COMMENT ON COLUMN millrace.lanes.bytes IS 'size of the segments in use';
COMMENT ON COLUMN millrace.lanes.staged IS 'batches that wait for the worker';
COMMENT ON COLUMN millrace.lanes.staged_events IS 'messages in these batches';
COMMENT ON COLUMN millrace.lanes.staged_bytes IS 'of their payloads';

-- What an ingestor meets when it opens a lane; it reports once a minute, and at once when that changes.
CREATE VIEW millrace._lane_trouble WITH (security_barrier) AS
SELECT i.pipeline_id, e.error, CASE
         WHEN pg_catalog.strpos(e.error, 'staging lanes of this server are in use') > 0
         THEN pg_catalog.format('ALTER SYSTEM SET millrace.max_lanes = %s; then restart the server',
                                pg_catalog.current_setting('millrace.max_lanes', true)::integer * 2)
         WHEN e.error ~ 'too many clients|remaining connection slots|too many connections'
         THEN pg_catalog.format('ALTER SYSTEM SET max_connections = %s; then restart the server',
                                pg_catalog.current_setting('max_connections')::integer * 2)
         ELSE 'The log of millrace-ingestor has the details; it tries again.' END AS hint
FROM millrace.ingestor_report AS i CROSS JOIN LATERAL (SELECT i.about ->> 'lane_error' AS error) AS e
WHERE e.error IS NOT NULL AND i.reported_at BETWEEN pg_catalog.now() - interval '2 min' AND pg_catalog.now() + interval '2 min';
COMMENT ON VIEW millrace._lane_trouble IS 'Internal: why an ingestor cannot open a lane of a pipeline, and the command that helps.';

CREATE VIEW millrace.pipelines WITH (security_barrier) AS
WITH engine AS MATERIALIZED (
  SELECT millrace.engine_status() AS doc
), worker AS MATERIALIZED (
  -- one that waits for its turn runs
  SELECT w.pipeline, pg_catalog.count(*) FILTER (WHERE w.state NOT IN ('starting', 'stopped') AND coalesce(w.waited, 0) < 10) AS running,
         pg_catalog.count(*) FILTER (WHERE w.state = 'waiting') AS waiting,
         pg_catalog.max(w.last_error) FILTER (WHERE w.state IN ('backoff', 'stopped') AND w.last_error <> '') AS failure
  FROM engine CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(engine.doc -> 'workers')
    AS w (pipeline text, state text, last_error text, waited double precision)
  GROUP BY w.pipeline
), written AS MATERIALIZED (
  SELECT l.pipeline FROM engine CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(engine.doc -> 'lanes') AS l (pipeline text, writer_pid integer)
  WHERE l.writer_pid > 0 GROUP BY l.pipeline
)
SELECT p.name, p.topic, d.target, s.status, s.reason, s.hint, p.owner, p.partitions, p.workers,
       coalesce(w.running, 0)::integer AS workers_running, p.version, d.format, d.fields, d.transform, d.on_conflict,
       d.conflict_key, d.newer_by, d.tombstone, p.start_at, d.batch_rows, d.rows_per_event,
       pg_catalog.make_interval(secs => d.statement_timeout / 1000.0) AS statement_timeout, d.search_path,
       p.created_at, d.created_at AS changed_at, d.created_by AS changed_by, d.max_retries,
       pg_catalog.make_interval(secs => d.retry_delay / 1000.0) AS retry_delay, d.retry_factor,
       pg_catalog.make_interval(secs => d.retry_max_delay / 1000.0) AS retry_max_delay, d.retry_jitter,
       pg_catalog.make_interval(secs => d.retry_age / 1000.0) AS retry_age, d.failure_share, d.failure_window,
       d.ordering, d.on_dead, d.max_parked, d.max_parked_per_key,
       d.date_order, d.time_zone, d.other_zone, d.bytea_format, d.epoch, d.number_style, d.interval_style,
       CASE WHEN q.enabled THEN q.topic ELSE 'off' END AS dlq, q.delivery AS dlq_delivery, p.group_prefix, p.group_id,
       d.tombstone_key, d.delete_when, d.merge, d.dead_letter_retention, d.type_field
FROM millrace._visible AS p
JOIN millrace.pipeline_version AS d ON d.pipeline_id = p.id AND d.version = p.version
-- of each pipeline its own: OFFSET 0 keeps a planner that expects one pipeline from looking at all of them for each
CROSS JOIN LATERAL (SELECT * FROM millrace._source_use AS s WHERE s.pipeline_id = p.id OFFSET 0) AS u
CROSS JOIN LATERAL (SELECT * FROM millrace._service AS s WHERE s.pipeline_id = p.id OFFSET 0) AS i
CROSS JOIN engine
LEFT JOIN millrace.dlq AS q ON q.pipeline_id = p.id
LEFT JOIN millrace._breaker AS b ON b.pipeline_id = p.id AND b.kind = 'lane' AND b.state <> 'closed'
LEFT JOIN worker AS w ON w.pipeline = p.name
LEFT JOIN written AS l ON l.pipeline = p.name
LEFT JOIN millrace._lane_trouble AS g ON g.pipeline_id = p.id
LEFT JOIN LATERAL (
  SELECT pg_catalog.concat(coalesce(n.topic_partition, t.partition), ' of topic "' || n.topic || '"') AS partition, t.error, t.hint,
         pg_catalog.count(*) OVER () AS stopped
  FROM millrace.partition AS t
  LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = t.pipeline_id AND n.partition = t.partition
  WHERE t.pipeline_id = p.id AND t.state = 'stopped'
  ORDER BY t.partition LIMIT 1) AS t ON true
CROSS JOIN LATERAL (
  SELECT (SELECT s.command FROM pg_catalog.jsonb_to_recordset(engine.doc -> 'shortages') AS s (what text, command text)
          WHERE s.what = 'too few worker slots') AS more_slots,
         (SELECT s.command FROM pg_catalog.jsonb_to_recordset(engine.doc -> 'shortages') AS s (what text, command text)
          WHERE s.what = 'too little memory for workers') AS more_memory,
         p.created_at BETWEEN pg_catalog.now() - interval '10 s' AND pg_catalog.now() + interval '10 s'
         OR pg_catalog.pg_postmaster_start_time() BETWEEN pg_catalog.now() - interval '10 s' AND pg_catalog.now() + interval '10 s' AS is_young,
         (SELECT e.extversion COLLATE "default" FROM pg_catalog.pg_extension AS e WHERE e.extname = 'millrace') AS version
) AS c
-- the first that applies
CROSS JOIN LATERAL (
  SELECT v.status, v.reason, v.hint
  FROM (VALUES
    (1, p.is_foreign, 'foreign', 'it belongs to another installation',
     pg_catalog.format('SELECT millrace.adopt(%L);', p.name)),
    (2, NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = p.owner), 'owner missing',
     'the role that owned it was dropped', 
     -- the owner of its target will do
     pg_catalog.format('As a superuser: SELECT millrace.alter_pipeline(%L, owner => %s);', p.name,
                       coalesce((SELECT pg_catalog.quote_literal(k.relowner::regrole) FROM pg_catalog.pg_class AS k
                                 JOIN pg_catalog.pg_roles AS r ON r.oid = k.relowner AND r.rolcanlogin AND NOT r.rolsuper
                                 WHERE k.oid = d.target), '…'))),
    (3, NOT EXISTS (SELECT FROM pg_catalog.pg_class AS k WHERE k.oid = d.target), 'target missing',
     'its target was dropped', pg_catalog.format('SELECT millrace.alter_pipeline(%L, target => …);', p.name)),
    (4, p.state = 'paused', 'paused', NULL, pg_catalog.format('SELECT millrace.resume(%L);', p.name)),
    (4, p.state = 'crashing', 'crashing', 'the server crashed repeatedly while it processed its events',
     pg_catalog.format('Fix the function that crashes, see millrace.dead_letters and the server log; then SELECT millrace.resume(%L);', p.name)),
    (5, pg_catalog.pg_is_in_recovery(), 'standby', 'this server is a standby', 'It runs on the primary.'),
    (6, NOT (engine.doc ->> 'preloaded')::boolean, 'not preloaded', 'nothing runs it: millrace is not preloaded',
     'Add millrace to shared_preload_libraries and restart the server.'),
    (6, c.version <> engine.doc ->> 'library_version', 'version mismatch',
     pg_catalog.format('the extension is of version %s, the library of the server of version %s', c.version, engine.doc ->> 'library_version'),
     'As a superuser: ALTER EXTENSION millrace UPDATE; or, when that was done before the restart: restart the server.'),
    (7, NOT u.is_served, 'topic not granted', pg_catalog.format('role "%s" is not allowed to read topic "%s"', p.owner, p.topic),
     pg_catalog.format('As a superuser: SELECT millrace.grant_topics(%L, read => %L);', p.owner, u.lacking)),
    (8, t.stopped > 0, 'stopped',
     pg_catalog.format('partition %s: %s', t.partition, t.error)
     || CASE WHEN t.stopped > 1 THEN pg_catalog.format(' (and %s more)', t.stopped - 1) ELSE '' END, t.hint),
    (9, b.state IS NOT NULL, 'breaker open', b.reason,
     coalesce(b.command, pg_catalog.format('SELECT millrace.resume(%L);  -- Fix the cause first: events wait in Kafka until a batch gets past. This tries one at once.', p.name))),
    (10, w.failure IS NOT NULL, 'failing', w.failure, 'Its workers try again; the server log has the details.'),
    (11, w.running > 0 AND i.is_unserved, 'no ingestor', pg_catalog.format('no ingestor reads topic "%s"', p.topic),
     'SELECT * FROM millrace.doctor(); says since when, and what to do.'),
    (11, w.running > 0 AND i.is_unread, 'kafka error', pg_catalog.format('topic "%s" cannot be read: %s', p.topic, i.kafka_error), i.kafka_hint),
    (11, w.running > 0 AND g.error IS NOT NULL AND l.pipeline IS NULL, 'no lane', g.error, g.hint),
    (12, w.running > 0 AND w.waiting > 0 AND d.ordering = 'key', 'running', 'it waits: its queues of failed keys are full',
     'SELECT * FROM millrace.doctor(); shows which, and what to do.'),
    (12, w.running > 0 AND w.waiting > 0, 'running', 'it waits: its windows have as much to fold as they may',
     'A rebuild_window() may be at work, which pg_stat_activity shows; otherwise the server log says why they are not folded.'),
    -- not all of its lanes, or another ingestor's
    (12, w.running > 0 AND g.error IS NULL AND u.lacking IS NOT NULL, 'running',
     pg_catalog.format('role "%s" is not allowed to read: %s', p.owner, pg_catalog.array_to_string(u.lacking, ', ')),
     pg_catalog.format('As a superuser: SELECT millrace.grant_topics(%L, read => %L);', p.owner, u.lacking)),
    (12, w.running > 0 AND g.error IS NULL AND p.topic_kind = 'pattern' AND u.topics IS NULL, 'running',
     pg_catalog.format('no topic matches "%s" yet', p.topic), NULL),
    (12, w.running > 0, 'running', g.error, g.hint),
    (13, (engine.doc ->> 'held')::boolean, 'no worker', 'stop_workers() was called in this database', 'SELECT millrace.start_workers();'),
    (14, c.is_young, 'starting', NULL, NULL),
    (15, c.more_memory IS NOT NULL AND w.pipeline IS NULL, 'no worker', 'shared memory has no room for its worker', c.more_memory),
    (15, c.more_slots IS NOT NULL, 'no worker', 'no slot of max_worker_processes is free for its worker', c.more_slots),
    (16, true, 'no worker', 'no worker runs',
     'After a crash of the server it starts within seconds; the server log says why it does not.')
  ) AS v (rank, applies, status, reason, hint)
  WHERE v.applies ORDER BY v.rank LIMIT 1) AS s
ORDER BY p.name;
COMMENT ON VIEW millrace.pipelines IS 'Pipelines: whether each runs, why not, and how to fix it; with the definition in force.';
COMMENT ON COLUMN millrace.pipelines.group_id IS 'its consumer group in Kafka: group_prefix, millrace, this installation and the name';
COMMENT ON COLUMN millrace.pipelines.status IS
'running, starting, paused, crashing, stopped (at least one partition is), breaker open, failing, no ingestor, kafka error, foreign, owner missing, target missing, standby, not preloaded, version mismatch, topic not granted, no lane or no worker';

CREATE VIEW millrace.partitions WITH (security_barrier) AS
SELECT p.name AS pipeline, coalesce(n.topic, p.topic) AS topic, coalesce(n.topic_partition, t.partition) AS partition, t.state, t.error, t.hint, g.next_offset, g.last_offset,
       pg_catalog.to_timestamp(g.last_ts / 1000.0) AS last_event_at,
       pg_catalog.to_timestamp(t.seek_ts / 1000.0) AS rewinding_to, t.lane,
       g.events, g.written, g.filtered, g.superseded, g.skipped, g.dead, g.retrying, g.rows, g.bytes, g.settled_at, t.changed_at,
       g.failed, g.retried, g.dead_lettered, g.replayed, g.parked
FROM millrace._visible AS p
JOIN millrace.partition AS t ON t.pipeline_id = p.id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = t.pipeline_id AND n.partition = t.partition
LEFT JOIN millrace._position AS g ON g.pipeline_id = t.pipeline_id AND g.partition = t.partition
ORDER BY p.name, n.topic, coalesce(n.topic_partition, t.partition);
COMMENT ON VIEW millrace.partitions IS 'Partitions: position, and outcome of the events before it.';
COMMENT ON COLUMN millrace.partitions.pipeline IS 'its name';
COMMENT ON COLUMN millrace.partitions.topic IS 'the topic of the partition';
COMMENT ON COLUMN millrace.partitions.partition IS 'its number in the topic';
COMMENT ON COLUMN millrace.partitions.state IS 'active, or stopped: none of its events is taken until the cause is gone';
COMMENT ON COLUMN millrace.partitions.error IS 'why it is stopped';
COMMENT ON COLUMN millrace.partitions.hint IS 'what to do then';
COMMENT ON COLUMN millrace.partitions.next_offset IS 'the position: offset of the next event to process';
COMMENT ON COLUMN millrace.partitions.last_offset IS 'offset of the last event settled';
COMMENT ON COLUMN millrace.partitions.last_event_at IS 'its Kafka timestamp';
COMMENT ON COLUMN millrace.partitions.rewinding_to IS 'a rewind to this time waits for the ingestor to look up its offset';
COMMENT ON COLUMN millrace.partitions.lane IS 'lane that its events come through; null: it is assigned to none';
COMMENT ON COLUMN millrace.partitions.events IS '= written + filtered + superseded + skipped + dead + retrying';
COMMENT ON COLUMN millrace.partitions.written IS 'events that wrote or deleted rows, also when they were tried again or replayed';
COMMENT ON COLUMN millrace.partitions.filtered IS 'events for which the transform gave no row';
COMMENT ON COLUMN millrace.partitions.superseded IS 'events whose rows gave way to another one of their key';
COMMENT ON COLUMN millrace.partitions.skipped IS 'tombstones that the pipeline leaves out';
COMMENT ON COLUMN millrace.partitions.dead IS 'dead letters: open, discarded, or being replayed';
COMMENT ON COLUMN millrace.partitions.retrying IS 'events that wait to be tried again';
COMMENT ON COLUMN millrace.partitions.rows IS 'rows written to the target, and deletes';
COMMENT ON COLUMN millrace.partitions.bytes IS 'of the payloads of events';
COMMENT ON COLUMN millrace.partitions.settled_at IS 'when its last batch was';
COMMENT ON COLUMN millrace.partitions.changed_at IS 'when it was stopped, assigned or moved last';
COMMENT ON COLUMN millrace.partitions.failed IS 'events whose first try failed';
COMMENT ON COLUMN millrace.partitions.retried IS 'tries after the first';
COMMENT ON COLUMN millrace.partitions.dead_lettered IS 'dead letters that were made; those that died again in a replay are counted again';
COMMENT ON COLUMN millrace.partitions.replayed IS 'dead letters whose replay succeeded';
COMMENT ON COLUMN millrace.partitions.parked IS 'events that wait behind an earlier one of their key (ordering => key) and were not tried yet: of retrying, or replays';

-- The lag five minutes ago, or as long as it is known in these five minutes; of one clock only: minutes that have not been are of a
-- clock that was ahead, and those before it was set back are not of the minutes before this one.
CREATE VIEW millrace._lag_before WITH (security_barrier) AS
SELECT p.id AS pipeline_id, h.lag, h.age_s, m.lags[:] AS lags
FROM millrace.pipeline AS p
CROSS JOIN LATERAL (
  SELECT h.minute, h.lag, pg_catalog.date_part('epoch', pg_catalog.statement_timestamp() - h.minute) - 60 AS age_s
  FROM millrace.stats_minute AS h
  WHERE h.pipeline_id = p.id AND h.minute >= pg_catalog.statement_timestamp() - interval '6 min'
        AND h.minute < pg_catalog.statement_timestamp() - interval '65 s' AND h.lag IS NOT NULL
        -- not before h.minute is not six minutes ago either, which is a range of the index that the planner knows to be short
        AND NOT EXISTS (SELECT FROM millrace.stats_minute AS o WHERE o.pipeline_id = p.id AND o.minute >= h.minute
                        AND o.minute >= pg_catalog.statement_timestamp() - interval '6 min'
                        AND (o.set_back OR o.minute > pg_catalog.statement_timestamp()))
  ORDER BY h.minute LIMIT 1) AS h
LEFT JOIN millrace.lag_minute AS m ON m.pipeline_id = p.id AND m.minute = h.minute;
COMMENT ON VIEW millrace._lag_before IS 'Internal: the lag of each pipeline, and of its partitions, some minutes ago.';

CREATE VIEW millrace.lag WITH (security_barrier) AS
-- of each pipeline once, not of each partition
WITH before AS MATERIALIZED (
  SELECT * FROM millrace._lag_before
)
SELECT p.name AS pipeline, coalesce(n.topic, p.topic) AS topic, coalesce(n.topic_partition, t.partition) AS partition, g.next_offset, g.high AS end_offset,
       g.lag,
       CASE WHEN g.high <= g.next_offset AND t.state <> 'stopped' THEN interval '0'
            WHEN g.last_ts >= 0 THEN greatest(pg_catalog.statement_timestamp()
                                              - pg_catalog.to_timestamp(g.last_ts / 1000.0), interval '0')
            WHEN t.state = 'stopped' THEN pg_catalog.statement_timestamp() - t.changed_at END AS behind,
       g.settled_at, g.reported_at, g.read_at, g.low AS start_offset,
       CASE WHEN g.high IS NOT NULL THEN greatest(g.low - g.next_offset, 0) END AS lost,
       pg_catalog.round(((h.lag - g.lag) / h.age_s)::numeric, 1) AS drained_per_s,
       CASE WHEN g.lag = 0 THEN interval '0'
            WHEN h.lag > g.lag THEN pg_catalog.make_interval(secs => g.lag * h.age_s / (h.lag - g.lag)) END AS drained_in
FROM millrace._visible AS p
JOIN millrace.partition AS t ON t.pipeline_id = p.id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = t.pipeline_id AND n.partition = t.partition
LEFT JOIN millrace._lag AS g ON g.pipeline_id = t.pipeline_id AND g.partition = t.partition
LEFT JOIN before AS b ON b.pipeline_id = t.pipeline_id
CROSS JOIN LATERAL (SELECT CASE WHEN b.lags[t.partition + 1] >= 0 THEN b.lags[t.partition + 1] END AS lag, b.age_s) AS h
ORDER BY p.name, n.topic, coalesce(n.topic_partition, t.partition);
COMMENT ON VIEW millrace.lag IS 'How far each partition is behind the end of its topic, as an ingestor last reported it.';
COMMENT ON COLUMN millrace.lag.pipeline IS 'its name';
COMMENT ON COLUMN millrace.lag.topic IS 'the topic of the partition';
COMMENT ON COLUMN millrace.lag.partition IS 'its number in the topic';
COMMENT ON COLUMN millrace.lag.next_offset IS 'the position: offset of the next event to process';
COMMENT ON COLUMN millrace.lag.end_offset IS 'the end of the partition, as it was last reported; null while it is not known';
COMMENT ON COLUMN millrace.lag.settled_at IS 'when its last batch was';
COMMENT ON COLUMN millrace.lag.lag IS 'offsets up to the end; null while it is not known';
COMMENT ON COLUMN millrace.lag.behind IS 'age of the last event processed, zero when there is none to process; of a stopped partition never zero';
COMMENT ON COLUMN millrace.lag.reported_at IS 'when an ingestor reported the end; older than half a minute: no ingestor is running';
COMMENT ON COLUMN millrace.lag.read_at IS 'the same by an ingestor that reads the partition';
COMMENT ON COLUMN millrace.lag.start_offset IS 'the first offset that Kafka has; null while the partition is being read';
COMMENT ON COLUMN millrace.lag.lost IS 'offsets still to process that Kafka no longer has';
COMMENT ON COLUMN millrace.lag.drained_per_s IS 'by how much the lag became smaller in the last minutes, five at most; negative when it grows';
COMMENT ON COLUMN millrace.lag.drained_in IS 'when the lag will be gone if that goes on; null when it grows, or is not known yet';

CREATE VIEW millrace.position_changes WITH (security_barrier) AS
SELECT p.name AS pipeline, coalesce(n.topic_partition, c.partition) AS partition, c.at, c.verb, c.from_offset, c.to_offset,
       CASE WHEN c.verb = 'skip_to' THEN c.to_offset - c.from_offset END AS left_out, c.by, coalesce(n.topic, p.topic) AS topic
FROM millrace._visible AS p JOIN millrace.position_change AS c ON c.pipeline_id = p.id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = c.pipeline_id AND n.partition = c.partition;
COMMENT ON VIEW millrace.position_changes IS 'Every time a position was set by hand, or at first.';
COMMENT ON COLUMN millrace.position_changes.left_out IS 'offsets from from_offset on that were left out on purpose';

CREATE VIEW millrace.pipeline_changes WITH (security_barrier) AS
SELECT p.name AS pipeline, c.at, c.verb, c.by, c.via
FROM millrace._visible AS p JOIN millrace.pipeline_change AS c ON c.pipeline_id = p.id;
COMMENT ON VIEW millrace.pipeline_changes IS 'Every time a pipeline was paused or resumed.';
COMMENT ON COLUMN millrace.pipeline_changes.via IS 'application_name of the session; of the API with the name of the key';

CREATE VIEW millrace.topics WITH (security_barrier) AS
SELECT p.name AS pipeline, s.topic, u.is_granted, s.gone_at, n.partitions, t.seen_at
FROM millrace._visible AS p
JOIN millrace._source AS s ON s.pipeline_id = p.id
LEFT JOIN LATERAL (SELECT u.is_granted FROM millrace._topic_use AS u
                   WHERE u.pipeline_id = p.id AND u.use = 'read' AND u.topic = s.topic OFFSET 0) AS u ON true
LEFT JOIN millrace.pipeline_topic AS t ON t.pipeline_id = p.id AND t.topic = s.topic
CROSS JOIN LATERAL (
  SELECT CASE p.topic_kind WHEN 'one' THEN p.partitions ELSE
           (SELECT pg_catalog.count(*)::integer FROM millrace.topic_partition AS c WHERE c.pipeline_id = p.id AND c.topic = s.topic) END AS partitions) AS n
ORDER BY p.name, s.topic;
COMMENT ON VIEW millrace.topics IS 'Topics that each pipeline reads: its one, those of its list, or those that its pattern has matched.';
COMMENT ON COLUMN millrace.topics.is_granted IS 'whether its owner may read it, see topic_grants; if not, it is not read; null: the topic is gone';
COMMENT ON COLUMN millrace.topics.gone_at IS 'since when the cluster has no such topic any more, of a pattern';
COMMENT ON COLUMN millrace.topics.partitions IS 'how many are known';
COMMENT ON COLUMN millrace.topics.seen_at IS 'when it was found, null for a single topic';

GRANT SELECT ON millrace.topics, millrace.workers, millrace.lanes, millrace.pipelines, millrace.partitions, millrace.lag,
  millrace.position_changes, millrace.pipeline_changes TO PUBLIC;
