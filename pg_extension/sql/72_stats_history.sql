-- The minutes: written by the supervisor as each ends, kept for millrace.stats_retention.

CREATE VIEW millrace._own_pipeline WITH (security_barrier) AS
SELECT p.id FROM millrace.pipeline AS p WHERE p.instance = millrace._instance();
COMMENT ON VIEW millrace._own_pipeline IS 'Internal: pipelines of this installation, which are not another one''s that was copied or restored here.';
REVOKE ALL ON millrace._own_pipeline FROM PUBLIC;

-- One row for each pipeline: the minute that has ended, and before it those in which no supervisor ran. The rows of a clock that
-- was ahead are removed; what they counted is counted again by the next one. False: there is more to do (a week without a
-- server is ten thousand minutes of each pipeline); then it is to be called again. Pipelines of another instance have none: their rows may be being
-- restored, and adopt() makes them this one's.
CREATE FUNCTION millrace._record_minute(minute timestamptz, retention interval) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET lock_timeout = '5s' AS $$
  WITH ahead AS (
    DELETE FROM millrace.stats_minute AS s USING millrace._own_pipeline AS p
    WHERE s.pipeline_id = p.id AND s.minute > _record_minute.minute RETURNING s.pipeline_id)
  UPDATE millrace.stats_minute AS s SET set_back = true
  FROM (SELECT DISTINCT a.pipeline_id FROM ahead AS a) AS a
  WHERE s.pipeline_id = a.pipeline_id
        AND s.minute = (SELECT max(l.minute) FROM millrace.stats_minute AS l
                        WHERE l.pipeline_id = a.pipeline_id AND l.minute <= _record_minute.minute);

  INSERT INTO millrace.stats_minute (pipeline_id, minute, up, total, events, written, filtered, superseded, skipped, rows, bytes,
                                     failed, retried, dead_lettered, replayed)
  SELECT p.id, m.at, false, l.total, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM millrace._own_pipeline AS p
  CROSS JOIN LATERAL (SELECT s.minute, s.total FROM millrace.stats_minute AS s
                      WHERE s.pipeline_id = p.id ORDER BY s.minute DESC LIMIT 1) AS l
  CROSS JOIN LATERAL generate_series(greatest(l.minute + interval '1 min', _record_minute.minute - retention),
                                     _record_minute.minute - interval '1 min', interval '1 min') AS m (at)
  ORDER BY p.id, m.at LIMIT 50000;

  INSERT INTO millrace.stats_minute
  SELECT p.id, _record_minute.minute, true, t.total, d.added[1], d.added[2], d.added[3], d.added[4], d.added[5], d.added[6], d.added[7],
         d.added[8], d.added[9], d.added[10], d.added[11], v.batches, v.busy_s, t.lag, t.retrying,
         v.produced_to_staged, v.staged_to_visible, v.produced_to_visible, v.produced_to_staged_max_ms, v.staged_to_visible_max_ms,
         v.produced_to_visible_max_ms, v.largest_batch
  FROM millrace._own_pipeline AS p
  CROSS JOIN LATERAL (
    SELECT ARRAY[coalesce(sum(g.events), 0), coalesce(sum(g.written), 0), coalesce(sum(g.filtered), 0),
                 coalesce(sum(g.superseded), 0), coalesce(sum(g.skipped), 0), coalesce(sum(g.rows), 0), coalesce(sum(g.bytes), 0),
                 coalesce(sum(g.failed), 0), coalesce(sum(g.retried), 0), coalesce(sum(g.dead_lettered), 0),
                 coalesce(sum(g.replayed), 0)]::bigint[] AS total,
           coalesce(sum(g.retrying), 0)::bigint AS retrying, sum(g.lag)::bigint AS lag
    FROM millrace._lag AS g
    WHERE g.pipeline_id = p.id) AS t
  CROSS JOIN LATERAL (
    SELECT s.minute, s.total FROM millrace.stats_minute AS s WHERE s.pipeline_id = p.id
    UNION ALL
    SELECT '-infinity', '{0,0,0,0,0,0,0,0,0,0,0}'
    ORDER BY minute DESC LIMIT 1) AS l
  -- the counters of a partition whose position was lost begin again
  CROSS JOIN LATERAL (SELECT array_agg(greatest(t.total[i] - l.total[i], 0) ORDER BY i) AS added FROM generate_series(1, 11) AS i) AS d
  CROSS JOIN LATERAL millrace._live_take_minute(p.id) AS v
  WHERE l.minute IN ('-infinity', _record_minute.minute - interval '1 min');

  DELETE FROM millrace.stats_minute AS s
  USING (SELECT o.pipeline_id, o.minute FROM millrace.pipeline AS p
         JOIN millrace.stats_minute AS o ON o.pipeline_id = p.id AND o.minute < _record_minute.minute - retention
         LIMIT 10000) AS o
  WHERE s.pipeline_id = o.pipeline_id AND s.minute = o.minute;

  DELETE FROM millrace.lag_minute AS l WHERE l.minute NOT BETWEEN _record_minute.minute - interval '10 min' AND _record_minute.minute;
  INSERT INTO millrace.lag_minute (pipeline_id, minute, lags)
  SELECT p.id, _record_minute.minute, n.lags
  FROM millrace._own_pipeline AS p
  CROSS JOIN LATERAL (
    SELECT array_agg(coalesce(l.lag, -1) ORDER BY n.partition) AS lags
    FROM generate_series(0, (SELECT max(t.partition) FROM millrace.partition AS t WHERE t.pipeline_id = p.id)) AS n (partition)
    LEFT JOIN (SELECT g.partition, g.lag FROM millrace._lag AS g WHERE g.pipeline_id = p.id) AS l ON l.partition = n.partition) AS n
  WHERE n.lags IS NOT NULL
  ON CONFLICT ON CONSTRAINT lag_minute_pkey DO NOTHING;

  SELECT millrace._fold_unread_keys();
  SELECT millrace._fold_letters_aside();

  SELECT NOT EXISTS (
    SELECT FROM millrace._own_pipeline AS p
    WHERE NOT EXISTS (SELECT FROM millrace.stats_minute AS s WHERE s.pipeline_id = p.id AND s.minute = _record_minute.minute));
$$;
REVOKE ALL ON FUNCTION millrace._record_minute(timestamptz, interval) FROM PUBLIC;
COMMENT ON FUNCTION millrace._record_minute(timestamptz, interval) IS 'Internal, for the supervisor: the row of a minute for each pipeline.';

CREATE VIEW millrace.stats_history WITH (security_barrier) AS
SELECT p.name AS pipeline, s.minute, s.up, s.events, s.written, s.filtered, s.superseded, s.skipped, s.rows, s.bytes, s.failed,
       s.retried, s.dead_lettered, s.replayed, pg_catalog.round(s.events / 60.0, 1) AS events_per_s, s.lag, s.retrying, s.batches,
       pg_catalog.round((s.busy_s / 60)::numeric, 3) AS busy_workers,
       q.p50_ms, q.p95_ms, q.p99_ms, s.produced_to_visible_max_ms AS max_ms,
       s.produced_to_staged, s.staged_to_visible, s.produced_to_visible, s.largest_batch
FROM millrace._visible AS p
JOIN millrace.stats_minute AS s ON s.pipeline_id = p.id
CROSS JOIN LATERAL (
  SELECT least(millrace.histogram_quantile(s.produced_to_visible, 0.5), s.produced_to_visible_max_ms) AS p50_ms,
         least(millrace.histogram_quantile(s.produced_to_visible, 0.95), s.produced_to_visible_max_ms) AS p95_ms,
         least(millrace.histogram_quantile(s.produced_to_visible, 0.99), s.produced_to_visible_max_ms) AS p99_ms) AS q;
COMMENT ON VIEW millrace.stats_history IS 'What each pipeline did, by the minute, kept for millrace.stats_retention.';
COMMENT ON COLUMN millrace.stats_history.pipeline IS 'its name';
COMMENT ON COLUMN millrace.stats_history.minute IS 'when the minute began';
COMMENT ON COLUMN millrace.stats_history.up IS 'false: the database was down as the minute ended; what came meanwhile is counted in the next minute that is up';
COMMENT ON COLUMN millrace.stats_history.events IS 'events settled for the first time in this minute, as all counters are of this minute';
COMMENT ON COLUMN millrace.stats_history.written IS 'events that wrote or deleted rows, also when they were tried again or replayed';
COMMENT ON COLUMN millrace.stats_history.filtered IS 'events for which the transform gave no row';
COMMENT ON COLUMN millrace.stats_history.superseded IS 'events whose rows gave way to another one of their key';
COMMENT ON COLUMN millrace.stats_history.skipped IS 'tombstones that the pipeline leaves out';
COMMENT ON COLUMN millrace.stats_history.rows IS 'rows written to the target, and deletes';
COMMENT ON COLUMN millrace.stats_history.bytes IS 'of the payloads of events';
COMMENT ON COLUMN millrace.stats_history.failed IS 'events whose first try failed';
COMMENT ON COLUMN millrace.stats_history.retried IS 'tries after the first';
COMMENT ON COLUMN millrace.stats_history.dead_lettered IS 'dead letters that were made';
COMMENT ON COLUMN millrace.stats_history.replayed IS 'dead letters whose replay succeeded';
COMMENT ON COLUMN millrace.stats_history.events_per_s IS 'events, per second of the minute';
COMMENT ON COLUMN millrace.stats_history.lag IS 'offsets to process at its end, in partitions whose end an ingestor has reported; null: of none, or the database was down';
COMMENT ON COLUMN millrace.stats_history.retrying IS 'events waiting to be tried again at its end';
COMMENT ON COLUMN millrace.stats_history.batches IS 'null: not known, the server was started meanwhile';
COMMENT ON COLUMN millrace.stats_history.busy_workers IS 'workers that were at work at a time, on average';
COMMENT ON COLUMN millrace.stats_history.p50_ms IS 'half of the events were visible in the target so soon after they were produced';
COMMENT ON COLUMN millrace.stats_history.p95_ms IS '95 of 100 events were';
COMMENT ON COLUMN millrace.stats_history.p99_ms IS '99 of 100 events were';
COMMENT ON COLUMN millrace.stats_history.max_ms IS 'the longest time that an event took to be visible';
COMMENT ON COLUMN millrace.stats_history.produced_to_staged IS 'histogram, see histogram_sum() and histogram_quantile(); null when no event became visible';
COMMENT ON COLUMN millrace.stats_history.staged_to_visible IS 'histogram, likewise';
COMMENT ON COLUMN millrace.stats_history.produced_to_visible IS 'histogram, likewise';
COMMENT ON COLUMN millrace.stats_history.largest_batch IS 'in events; null without a batch';

CREATE VIEW millrace.latency WITH (security_barrier) AS
SELECT p.name AS pipeline, l.stage, l.over, l.events, pg_catalog.round(l.p50_ms::numeric, 2) AS p50_ms,
       pg_catalog.round(l.p95_ms::numeric, 2) AS p95_ms, pg_catalog.round(l.p99_ms::numeric, 2) AS p99_ms,
       pg_catalog.round(l.max_ms::numeric, 2) AS max_ms
FROM millrace._visible AS p
CROSS JOIN LATERAL (
  SELECT r.stage, interval '1 min' AS over, r.events, r.p50_ms, r.p95_ms, r.p99_ms, r.max_ms
  FROM pg_catalog.jsonb_to_recordset(millrace.live_status() -> 'latencies')
    AS r (pipeline text, stage text, events bigint, p50_ms float8, p95_ms float8, p99_ms float8, max_ms float8)
  WHERE r.pipeline = p.name
  UNION ALL
  SELECT h.stage, h.over, (SELECT pg_catalog.sum(c) FROM pg_catalog.unnest(h.counts) AS c)::bigint,
         least(millrace.histogram_quantile(h.counts, 0.5), h.max_ms), least(millrace.histogram_quantile(h.counts, 0.95), h.max_ms),
         least(millrace.histogram_quantile(h.counts, 0.99), h.max_ms), h.max_ms
  FROM (VALUES (interval '1 h'), (interval '24 h')) AS o (over)
  CROSS JOIN LATERAL (
    SELECT millrace.histogram_sum(s.produced_to_staged) AS produced_to_staged, pg_catalog.max(s.produced_to_staged_max_ms) AS max_1,
           millrace.histogram_sum(s.staged_to_visible) AS staged_to_visible, pg_catalog.max(s.staged_to_visible_max_ms) AS max_2,
           millrace.histogram_sum(s.produced_to_visible) AS produced_to_visible, pg_catalog.max(s.produced_to_visible_max_ms) AS max_3
    FROM millrace.stats_minute AS s
    WHERE s.pipeline_id = p.id AND s.minute >= pg_catalog.date_trunc('minute', pg_catalog.statement_timestamp()) - o.over) AS s
  CROSS JOIN LATERAL (VALUES ('produced_to_staged', o.over, s.produced_to_staged, s.max_1),
                             ('staged_to_visible', o.over, s.staged_to_visible, s.max_2),
                             ('produced_to_visible', o.over, s.produced_to_visible, s.max_3)) AS h (stage, over, counts, max_ms)
) AS l
ORDER BY p.name, l.over, l.stage;
COMMENT ON VIEW millrace.latency IS 'How long events take: over the last minute, as it goes on, and over the last 60 and 1440 minutes that have ended.';
COMMENT ON COLUMN millrace.latency.pipeline IS 'its name';
COMMENT ON COLUMN millrace.latency.over IS 'the time over which they are: 1 min, 1 h or 24 h';
COMMENT ON COLUMN millrace.latency.stage IS 'produced_to_staged (the producer or broker stamped the message, until it was in a staging lane), staged_to_visible (until its rows were committed), or produced_to_visible';
COMMENT ON COLUMN millrace.latency.events IS 'events that became visible, without those that have no timestamp or one that lies in the future';
COMMENT ON COLUMN millrace.latency.p50_ms IS 'half of the events took no longer; within a quarter at worst, mostly much closer';
COMMENT ON COLUMN millrace.latency.p95_ms IS '95 of 100, likewise';
COMMENT ON COLUMN millrace.latency.p99_ms IS '99 of 100, likewise';
COMMENT ON COLUMN millrace.latency.max_ms IS 'the longest time, exactly';

GRANT SELECT ON millrace.stats_history, millrace.latency TO PUBLIC;
