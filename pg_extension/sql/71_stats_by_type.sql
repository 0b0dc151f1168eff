-- Counters by type of event, as the batches wrote them (16_stats_tables.sql).

CREATE VIEW millrace.stats_by_type WITH (security_barrier) AS
-- the newest row of each stripe, from the last stripe on: one look at the index for each, whatever an old snapshot keeps. The
-- chain goes over all pipelines, so that the planner takes it for as short as it is.
WITH RECURSIVE stripe AS (
  (SELECT c.pipeline_id, c.stripe, c.counts FROM millrace.event_type_count AS c
   ORDER BY c.pipeline_id DESC, c.stripe DESC, c.seq DESC LIMIT 1)
  UNION ALL
  SELECT c.pipeline_id, c.stripe, c.counts
  FROM stripe AS s
  CROSS JOIN LATERAL (SELECT c.pipeline_id, c.stripe, c.counts FROM millrace.event_type_count AS c
                      WHERE (c.pipeline_id, c.stripe) < (s.pipeline_id, s.stripe)
                      ORDER BY c.pipeline_id DESC, c.stripe DESC, c.seq DESC LIMIT 1) AS c
), total AS (
  SELECT s.pipeline_id, s.stripe % 4 * 13 + i.n AS number,
         pg_catalog.sum(s.counts[i.n * 10 + 1])::bigint AS events, pg_catalog.sum(s.counts[i.n * 10 + 2])::bigint AS bytes,
         pg_catalog.sum(s.counts[i.n * 10 + 3])::bigint AS written, pg_catalog.sum(s.counts[i.n * 10 + 4])::bigint AS filtered,
         pg_catalog.sum(s.counts[i.n * 10 + 5])::bigint AS superseded, pg_catalog.sum(s.counts[i.n * 10 + 6])::bigint AS skipped,
         pg_catalog.sum(s.counts[i.n * 10 + 7])::bigint AS failed, pg_catalog.sum(s.counts[i.n * 10 + 8])::bigint AS retried,
         pg_catalog.sum(s.counts[i.n * 10 + 9])::bigint AS dead_lettered, pg_catalog.sum(s.counts[i.n * 10 + 10])::bigint AS replayed
  FROM stripe AS s CROSS JOIN pg_catalog.generate_series(0, 12) AS i (n)
  GROUP BY 1, 2
)
SELECT p.name AS pipeline, CASE c.number WHEN 0 THEN 'none' WHEN 1 THEN 'other' ELSE t.name END AS type,
       c.events, c.bytes, c.written, c.filtered, c.superseded, c.skipped, c.failed, c.retried, c.dead_lettered, c.replayed
FROM total AS c
JOIN millrace._visible AS p ON p.id = c.pipeline_id
LEFT JOIN millrace.event_type AS t ON t.pipeline_id = c.pipeline_id AND t.number = c.number
-- a type has a number from its first event on, but a replay or a retry of an event from before type_field was set is none
WHERE c.events + c.written + c.filtered + c.superseded + c.skipped + c.retried > 0
ORDER BY p.name, c.number;
COMMENT ON VIEW millrace.stats_by_type IS 'Counters of each pipeline with a type_field, by type of event. They only grow, from when type_field was set.';
COMMENT ON COLUMN millrace.stats_by_type.pipeline IS 'its name';
COMMENT ON COLUMN millrace.stats_by_type.type IS 'as the field has it; other: all but the first 50 types that appeared; none: the field was null, absent or could not be read';
COMMENT ON COLUMN millrace.stats_by_type.events IS 'events tried for the first time: all that are settled but those that are parked';
COMMENT ON COLUMN millrace.stats_by_type.bytes IS 'of their payloads';
COMMENT ON COLUMN millrace.stats_by_type.written IS 'of these, and of retries and replays, those that gave rows';
COMMENT ON COLUMN millrace.stats_by_type.filtered IS 'likewise, those for which the transform gave no row';
COMMENT ON COLUMN millrace.stats_by_type.superseded IS 'likewise, those whose rows gave way to another one of their key';
COMMENT ON COLUMN millrace.stats_by_type.skipped IS 'likewise, tombstones that the pipeline leaves out';
COMMENT ON COLUMN millrace.stats_by_type.failed IS 'events whose first try failed';
COMMENT ON COLUMN millrace.stats_by_type.retried IS 'tries after the first';
COMMENT ON COLUMN millrace.stats_by_type.dead_lettered IS 'dead letters that were made; those that died again in a replay are counted again';
COMMENT ON COLUMN millrace.stats_by_type.replayed IS 'dead letters whose replay succeeded';
GRANT SELECT ON millrace.stats_by_type TO PUBLIC;
