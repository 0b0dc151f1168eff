-- Statistics. Totals are sums over the newest progress rows, which each batch writes in its commit: they are true after a
-- crash. Rates and the latencies of the last minute are in shared memory (src/stats/live.c), the minutes before in
-- stats_minute. Nothing here counts rows of a target, of dead letters or of retries, or takes a lock that a worker needs.

CREATE FUNCTION millrace._live_rates()
RETURNS TABLE (pipeline_id integer, window_s integer, events float8, rows float8, bytes float8, failed float8, dead float8,
               retried float8, batches float8, busy_us float8, taken float8)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_live_rates';
REVOKE ALL ON FUNCTION millrace._live_rates() FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_rates() IS 'Internal: rates per second over the last 1, 10, 60, 300 and 3600 seconds.';

CREATE FUNCTION millrace._live_latencies()
RETURNS TABLE (pipeline_id integer, stage text, events bigint, p50_ms float8, p95_ms float8, p99_ms float8, max_ms float8)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_live_latencies';
REVOKE ALL ON FUNCTION millrace._live_latencies() FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_latencies() IS 'Internal: latencies of the last minute.';

CREATE FUNCTION millrace._live_totals()
RETURNS TABLE (pipeline_id integer, batches bigint, busy_s float8, without_time bigint, from_future bigint, taken bigint,
               batch_sizes bigint[], largest_batch bigint)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_live_totals';
REVOKE ALL ON FUNCTION millrace._live_totals() FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_totals() IS 'Internal: what is counted in shared memory only, since the server was started; largest_batch: of the last minute.';

CREATE FUNCTION millrace._live_histograms()
RETURNS TABLE (pipeline_id integer, stage text, shorter bigint[], sum_s float8)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_live_histograms';
REVOKE ALL ON FUNCTION millrace._live_histograms() FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_histograms() IS
'Internal: how many events had a latency below 1.024 ms, 2.048 ms and so on to 33.6 s, and how many there were; since the server was started.';

CREATE FUNCTION millrace._live_take_minute(
  pipeline_id integer, OUT batches bigint, OUT busy_s float8, OUT produced_to_staged bigint[], OUT staged_to_visible bigint[],
  OUT produced_to_visible bigint[], OUT produced_to_staged_max_ms float8, OUT staged_to_visible_max_ms float8,
  OUT produced_to_visible_max_ms float8, OUT largest_batch bigint)
LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_live_take_minute';
REVOKE ALL ON FUNCTION millrace._live_take_minute(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_take_minute(integer) IS 'Internal, for the supervisor: what was added since its last call.';

CREATE FUNCTION millrace._live_status(caller regrole) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN (
  WITH visible AS (
    SELECT p.id, p.name FROM millrace.pipeline AS p
    WHERE pg_has_role(caller, p.owner::oid, 'USAGE') OR (SELECT millrace._sees_all(caller))
  )
  SELECT jsonb_build_object(
    'rates', (SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('pipeline', v.name)), '[]')
              FROM millrace._live_rates() AS r JOIN visible AS v ON v.id = r.pipeline_id),
    'latencies', (SELECT coalesce(jsonb_agg(to_jsonb(l) || jsonb_build_object('pipeline', v.name)), '[]')
                  FROM millrace._live_latencies() AS l JOIN visible AS v ON v.id = l.pipeline_id),
    'histograms', (SELECT coalesce(jsonb_agg(to_jsonb(h) || jsonb_build_object('pipeline', v.name)), '[]')
                   FROM millrace._live_histograms() AS h JOIN visible AS v ON v.id = h.pipeline_id),
    'totals', (SELECT coalesce(jsonb_agg(to_jsonb(t) || jsonb_build_object('pipeline', v.name)), '[]')
               FROM millrace._live_totals() AS t JOIN visible AS v ON v.id = t.pipeline_id),
    'staging', (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]')
                FROM (SELECT v.name AS pipeline, sum(l.staged) AS batches, sum(l.staged_events) AS events, sum(l.staged_bytes) AS payload_bytes,
                             sum(l.bytes) AS bytes, round(max(l.segments_used::numeric / nullif(l.segments, 0)), 3) AS fill
                      FROM millrace._lanes() AS l JOIN visible AS v ON v.id = l.pipeline_id GROUP BY v.name) AS s)));
END $$;
REVOKE ALL ON FUNCTION millrace._live_status(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._live_status(regrole) IS 'Internal: live_status for a role.';

CREATE FUNCTION millrace.live_status() RETURNS jsonb
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.live_status() IS
'What shared memory knows of the pipelines the caller may see, as the views rates and latency show it.
In: nothing. Out: object with rates (per second, by window), latencies (of the last minute, in ms),
histograms (of latencies since the server was started), totals, staging (what waits in the lanes). Errors: none.';

CREATE FUNCTION millrace._histogram_add(state bigint[], counts bigint[]) RETURNS bigint[]
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_histogram_add';
REVOKE ALL ON FUNCTION millrace._histogram_add(bigint[], bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._histogram_add(bigint[], bigint[]) IS 'Internal: of the aggregate histogram_sum.';

-- The first array becomes the state without a call of the transition function: that it is a histogram is seen at the end.
CREATE FUNCTION millrace._histogram_checked(state bigint[]) RETURNS bigint[]
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_histogram_checked';
REVOKE ALL ON FUNCTION millrace._histogram_checked(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._histogram_checked(bigint[]) IS 'Internal: of the aggregate histogram_sum.';

CREATE AGGREGATE millrace.histogram_sum(counts bigint[]) (
  SFUNC = millrace._histogram_add, STYPE = bigint[], FINALFUNC = millrace._histogram_checked,
  COMBINEFUNC = millrace._histogram_add, PARALLEL = SAFE
);
COMMENT ON AGGREGATE millrace.histogram_sum(bigint[]) IS
'The sum of latency histograms, such as those of stats_history over an hour or over several pipelines; nulls are passed over.
In: histograms. Out: a histogram, null without any. Errors: array_subscript_error for an array that is no histogram.';

CREATE FUNCTION millrace.histogram_quantile(counts bigint[], quantile float8) RETURNS float8
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_histogram_quantile';
COMMENT ON FUNCTION millrace.histogram_quantile(bigint[], float8) IS
'The latency that a share of the events did not exceed, within a quarter of it at worst, mostly much closer.
In: a histogram of stats_history, or the histogram_sum of several; the share, 0 to 1: 0.99 for the 99th percentile.
Out: milliseconds, null when the histogram is empty.
Errors: array_subscript_error for an array that is no histogram; numeric_value_out_of_range for a share outside 0 to 1.';

CREATE FUNCTION millrace.histogram_ends() RETURNS float8[]
LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_histogram_ends';
COMMENT ON FUNCTION millrace.histogram_ends() IS
'Where the buckets of a latency histogram end, in seconds: the first begins at 0, each other one where the one before ends.
In: nothing. Out: as many as a histogram has counts. Errors: none.';

CREATE VIEW millrace.rates WITH (security_barrier) AS
SELECT p.name AS pipeline, pg_catalog.make_interval(secs => w.window_s) AS over,
       pg_catalog.round(coalesce(r.events, 0)::numeric, 1) AS events_per_s, pg_catalog.round(coalesce(r.rows, 0)::numeric, 1) AS rows_per_s,
       pg_catalog.round(coalesce(r.bytes, 0)::numeric) AS bytes_per_s, pg_catalog.round(coalesce(r.failed, 0)::numeric, 2) AS failures_per_s,
       pg_catalog.round(coalesce(r.dead, 0)::numeric, 2) AS dead_letters_per_s, pg_catalog.round(coalesce(r.retried, 0)::numeric, 2) AS retries_per_s,
       pg_catalog.round(coalesce(r.batches, 0)::numeric, 2) AS batches_per_s, pg_catalog.round((coalesce(r.busy_us, 0) / 1e6)::numeric, 3) AS busy_workers,
       pg_catalog.round((r.taken / nullif(r.batches, 0))::numeric, 1) AS events_per_batch
FROM millrace._visible AS p
CROSS JOIN (VALUES (1), (10), (60), (300), (3600)) AS w (window_s)
CROSS JOIN (SELECT millrace.live_status() AS doc) AS e
LEFT JOIN LATERAL (
  SELECT * FROM pg_catalog.jsonb_to_recordset(e.doc -> 'rates')
    AS r (pipeline text, window_s integer, events float8, rows float8, bytes float8, failed float8, dead float8, retried float8,
          batches float8, busy_us float8, taken float8)
  WHERE r.pipeline = p.name AND r.window_s = w.window_s) AS r ON true
ORDER BY p.name, w.window_s;
COMMENT ON VIEW millrace.rates IS 'What each pipeline does per second, over the last second, 10 s, minute, 5 minutes and hour; since the server was started, if that is later.';
COMMENT ON COLUMN millrace.rates.pipeline IS 'its name';
COMMENT ON COLUMN millrace.rates.over IS 'the time over which the rates are';
COMMENT ON COLUMN millrace.rates.events_per_s IS 'events settled for the first time';
COMMENT ON COLUMN millrace.rates.rows_per_s IS 'rows written to the target, and deletes';
COMMENT ON COLUMN millrace.rates.bytes_per_s IS 'of the payloads of these events';
COMMENT ON COLUMN millrace.rates.failures_per_s IS 'tries that failed, first ones and others';
COMMENT ON COLUMN millrace.rates.dead_letters_per_s IS 'events that became dead letters';
COMMENT ON COLUMN millrace.rates.retries_per_s IS 'tries of events that had failed';
COMMENT ON COLUMN millrace.rates.batches_per_s IS 'batches that the workers settled';
COMMENT ON COLUMN millrace.rates.busy_workers IS 'workers that were at work at a time, on average';
COMMENT ON COLUMN millrace.rates.events_per_batch IS 'on average, those that were tried again included; null without a batch';

CREATE VIEW millrace.stats_inline WITH (security_barrier) AS
WITH status AS MATERIALIZED (
  SELECT millrace.live_status() AS doc
), rate AS MATERIALIZED (
  SELECT r.pipeline, r.window_s, r.events, r.rows, r.dead, r.batches, r.taken
  FROM status CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(status.doc -> 'rates')
    AS r (pipeline text, window_s integer, events float8, rows float8, dead float8, batches float8, taken float8)
), live AS MATERIALIZED (
  SELECT t.pipeline, t.without_time, t.from_future, t.largest_batch
  FROM status CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(status.doc -> 'totals')
    AS t (pipeline text, without_time bigint, from_future bigint, largest_batch bigint)
), staging AS MATERIALIZED (
  SELECT g.pipeline, g.events, g.payload_bytes, g.fill
  FROM status CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(status.doc -> 'staging')
    AS g (pipeline text, events bigint, payload_bytes bigint, fill float8)
)
SELECT p.name AS pipeline, t.events, t.written, t.filtered, t.superseded, t.skipped, t.dead, t.retrying, t.rows, t.bytes,
       t.failed, t.retried, t.dead_lettered, t.replayed,
       pg_catalog.round(coalesce(s.events, 0)::numeric, 1) AS events_per_s,
       pg_catalog.round(coalesce(m.events, 0)::numeric, 1) AS events_per_s_minute,
       pg_catalog.round(coalesce(s.rows, 0)::numeric, 1) AS rows_per_s,
       pg_catalog.round(coalesce(m.rows, 0)::numeric, 1) AS rows_per_s_minute,
       t.lag,
       pg_catalog.round(((h.lag - t.lag) / h.age_s)::numeric, 1) AS drained_per_s,
       CASE WHEN t.lag = 0 THEN interval '0'
            WHEN h.lag > t.lag THEN pg_catalog.make_interval(secs => t.lag * h.age_s / (h.lag - t.lag)) END AS drained_in,
       t.settled_at, v.without_time, v.from_future, r.next_at AS next_retry_at,
       t.events + coalesce(g.events, 0) AS staged, t.bytes + coalesce(g.payload_bytes, 0) AS staged_bytes,
       coalesce(g.events, 0) AS staged_waiting, pg_catalog.round(coalesce(g.fill, 0)::numeric, 3) AS staging_fill,
       pg_catalog.round((m.taken / nullif(m.batches, 0))::numeric, 1) AS events_per_batch, v.largest_batch,
       t.parked, t.dead - a.aside AS dead_letters_open, pg_catalog.round(coalesce(m.dead, 0)::numeric, 2) AS dead_letters_per_s,
       CASE WHEN p.id = (SELECT pg_catalog.min(f.id) FROM millrace._visible AS f) THEN (SELECT e.doc FROM status AS e) END AS live
FROM millrace._visible AS p
CROSS JOIN LATERAL (
  SELECT coalesce(pg_catalog.sum(g.events), 0)::bigint AS events, coalesce(pg_catalog.sum(g.written), 0)::bigint AS written,
         coalesce(pg_catalog.sum(g.filtered), 0)::bigint AS filtered, coalesce(pg_catalog.sum(g.superseded), 0)::bigint AS superseded,
         coalesce(pg_catalog.sum(g.skipped), 0)::bigint AS skipped, coalesce(pg_catalog.sum(g.dead), 0)::bigint AS dead,
         coalesce(pg_catalog.sum(g.retrying), 0)::bigint AS retrying, coalesce(pg_catalog.sum(g.rows), 0)::bigint AS rows,
         coalesce(pg_catalog.sum(g.bytes), 0)::bigint AS bytes, coalesce(pg_catalog.sum(g.failed), 0)::bigint AS failed,
         coalesce(pg_catalog.sum(g.retried), 0)::bigint AS retried, coalesce(pg_catalog.sum(g.dead_lettered), 0)::bigint AS dead_lettered,
         coalesce(pg_catalog.sum(g.replayed), 0)::bigint AS replayed, coalesce(pg_catalog.sum(g.parked), 0)::bigint AS parked,
         pg_catalog.sum(g.lag)::bigint AS lag,
         pg_catalog.max(g.settled_at) AS settled_at
  FROM millrace._lag AS g
  WHERE g.pipeline_id = p.id) AS t
LEFT JOIN rate AS s ON s.pipeline = p.name AND s.window_s = 10
LEFT JOIN rate AS m ON m.pipeline = p.name AND m.window_s = 60
LEFT JOIN live AS v ON v.pipeline = p.name
LEFT JOIN staging AS g ON g.pipeline = p.name
LEFT JOIN LATERAL (SELECT r.next_at FROM millrace.retry AS r WHERE r.pipeline_id = p.id ORDER BY r.next_at LIMIT 1) AS r ON true
LEFT JOIN LATERAL (SELECT h.lag, h.age_s FROM millrace._lag_before AS h WHERE h.pipeline_id = p.id OFFSET 0) AS h ON true
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.sum(a.letters), 0)::bigint AS aside FROM millrace.dead_letter_aside AS a WHERE a.pipeline_id = p.id) AS a
ORDER BY p.name;
COMMENT ON VIEW millrace.stats_inline IS
'What stats shows, planned as part of the query that reads it: dearer, unless a condition leaves few of hundreds of pipelines.';
COMMENT ON COLUMN millrace.stats_inline.live IS 'what live_status() gave for these rows, in one of them: for metrics(), which needs more of it';
GRANT SELECT ON millrace.stats_inline TO PUBLIC;

CREATE FUNCTION millrace.read_stats() RETURNS SETOF millrace.stats_inline
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN QUERY SELECT * FROM millrace.stats_inline;
END $$;
COMMENT ON FUNCTION millrace.read_stats() IS
'The rows of the view stats, by a plan that the session keeps.
In: nothing. Out: a row for each pipeline the caller may see, by name. Errors: none.';

CREATE VIEW millrace.stats WITH (security_barrier) AS
SELECT s.pipeline, s.events, s.written, s.filtered, s.superseded, s.skipped, s.dead, s.retrying, s.rows, s.bytes, s.failed, s.retried, s.dead_lettered, s.replayed,
       s.events_per_s, s.events_per_s_minute, s.rows_per_s, s.rows_per_s_minute, s.lag, s.drained_per_s, s.drained_in, s.settled_at, s.without_time, s.from_future,
       s.next_retry_at, s.staged, s.staged_bytes, s.staged_waiting, s.staging_fill, s.events_per_batch, s.largest_batch, s.parked, s.dead_letters_open, s.dead_letters_per_s
FROM millrace.read_stats() AS s;
COMMENT ON VIEW millrace.stats IS 'Totals of each pipeline since it was created, and its current rates.';
COMMENT ON COLUMN millrace.stats.pipeline IS 'its name';
COMMENT ON COLUMN millrace.stats.events IS '= written + filtered + superseded + skipped + dead + retrying';
COMMENT ON COLUMN millrace.stats.written IS 'events that wrote or deleted rows, also when they were tried again or replayed';
COMMENT ON COLUMN millrace.stats.filtered IS 'events for which the transform gave no row';
COMMENT ON COLUMN millrace.stats.superseded IS 'events whose rows gave way to another one of their key';
COMMENT ON COLUMN millrace.stats.skipped IS 'tombstones that the pipeline leaves out';
COMMENT ON COLUMN millrace.stats.dead IS 'open, discarded, or being replayed';
COMMENT ON COLUMN millrace.stats.retrying IS 'waiting to be tried again';
COMMENT ON COLUMN millrace.stats.rows IS 'rows written to the target, and deletes';
COMMENT ON COLUMN millrace.stats.bytes IS 'of the payloads of events';
COMMENT ON COLUMN millrace.stats.failed IS 'events whose first try failed';
COMMENT ON COLUMN millrace.stats.retried IS 'tries after the first';
COMMENT ON COLUMN millrace.stats.dead_lettered IS 'dead letters that were made; those that died again in a replay are counted again';
COMMENT ON COLUMN millrace.stats.replayed IS 'dead letters whose replay succeeded';
COMMENT ON COLUMN millrace.stats.events_per_s IS 'over the last 10 seconds; more in the view rates';
COMMENT ON COLUMN millrace.stats.events_per_s_minute IS 'over the last 60 seconds';
COMMENT ON COLUMN millrace.stats.rows_per_s IS 'rows written, over the last 10 seconds';
COMMENT ON COLUMN millrace.stats.rows_per_s_minute IS 'over the last 60 seconds';
COMMENT ON COLUMN millrace.stats.lag IS 'offsets still to process, in partitions whose end an ingestor has reported';
COMMENT ON COLUMN millrace.stats.drained_per_s IS 'by how much the lag became smaller in the last minutes, five at most; negative when it grows';
COMMENT ON COLUMN millrace.stats.drained_in IS 'when the lag will be gone if that goes on; null when it grows, or is not known yet';
COMMENT ON COLUMN millrace.stats.settled_at IS 'when the last batch was';
COMMENT ON COLUMN millrace.stats.next_retry_at IS 'when the next retry is due; in the past: the oldest that is';
COMMENT ON COLUMN millrace.stats.without_time IS 'events without a Kafka timestamp since the server was started: they are in no latency';
COMMENT ON COLUMN millrace.stats.from_future IS 'events with a Kafka timestamp in the future since the server was started: they are in no latency';

COMMENT ON COLUMN millrace.stats.staged IS 'events taken over from Kafka: settled ones, and those that wait in staging; what a crash takes from staging is fetched, and counted, again';
COMMENT ON COLUMN millrace.stats.staged_bytes IS 'of their payloads';
COMMENT ON COLUMN millrace.stats.staged_waiting IS 'messages in staging that wait for a worker';
COMMENT ON COLUMN millrace.stats.staging_fill IS 'share of its segments that the fullest lane uses; at 1 the ingestor waits';
COMMENT ON COLUMN millrace.stats.events_per_batch IS 'on average over the last minute, those that were tried again included; null without a batch';
COMMENT ON COLUMN millrace.stats.largest_batch IS 'of the last minute, in events';
COMMENT ON COLUMN millrace.stats.parked IS 'events that wait behind an earlier one of their key (ordering => key) and were not tried yet: of retrying, or replays';
COMMENT ON COLUMN millrace.stats.dead_letters_open IS 'of dead, those that were not discarded and are not being replayed';
COMMENT ON COLUMN millrace.stats.dead_letters_per_s IS 'dead letters made, over the last 60 seconds; more in the view rates';

GRANT SELECT ON millrace.rates, millrace.stats TO PUBLIC;
