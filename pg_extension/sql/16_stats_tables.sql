-- The history of the statistics: a row per pipeline and minute, written by the supervisor (src/stats/minutes.c).
-- Counters are what the minute added. total has the counters since the pipeline was created, from which the next minute is
-- counted: events, written, filtered, superseded, skipped, rows, bytes, failed, retried, dead_lettered, replayed.
CREATE TABLE millrace.stats_minute (
  pipeline_id   integer     NOT NULL,
  minute        timestamptz NOT NULL,  -- its beginning
  up            boolean     NOT NULL,  -- false: no supervisor ran as it ended
  total         bigint[]    NOT NULL,
  events        bigint      NOT NULL,
  written       bigint      NOT NULL,
  filtered      bigint      NOT NULL,
  superseded    bigint      NOT NULL,
  skipped       bigint      NOT NULL,
  rows          bigint      NOT NULL,
  bytes         bigint      NOT NULL,
  failed        bigint      NOT NULL,
  retried       bigint      NOT NULL,
  dead_lettered bigint      NOT NULL,
  replayed      bigint      NOT NULL,
  batches       bigint,                -- null, and so all below: not known, the server was started meanwhile
  busy_s        float8,
  lag           bigint,                -- at the end of the minute; null: not known
  retrying      bigint,
  produced_to_staged  bigint[],        -- histograms (src/stats/histogram.h); null: no event became visible
  staged_to_visible   bigint[],
  produced_to_visible bigint[],
  produced_to_staged_max_ms  float8,
  staged_to_visible_max_ms   float8,
  produced_to_visible_max_ms float8,
  largest_batch bigint,                -- in events; null: there was none
  set_back      boolean     NOT NULL DEFAULT false,  -- the clock was set back to its end: the next minute also has what removed ones had
  CONSTRAINT stats_minute_pkey PRIMARY KEY (pipeline_id, minute)
);
COMMENT ON TABLE millrace.stats_minute IS 'Internal: what each minute added to the statistics, see the views stats_history and latency.';
SELECT pg_catalog.pg_extension_config_dump('millrace.stats_minute', '');

-- The lag of each partition as a minute ended, for the rate at which it becomes smaller; of ten minutes, and so not dumped.
CREATE TABLE millrace.lag_minute (
  pipeline_id integer     NOT NULL,
  minute      timestamptz NOT NULL,  -- as of stats_minute
  lags        bigint[]    NOT NULL,  -- of partition n at n + 1; -1: not known
  CONSTRAINT lag_minute_pkey PRIMARY KEY (pipeline_id, minute)
);
COMMENT ON TABLE millrace.lag_minute IS 'Internal: lags of the partitions in the last minutes, see the view lag.';

-- The types of a pipeline's events, by its type_field: the first 50 that appeared, with numbers from 2 on that they keep.
-- Number 0 is for events without a type, 1 for all others.
CREATE TABLE millrace.event_type (
  pipeline_id integer NOT NULL,
  number      integer NOT NULL,
  name        text    NOT NULL,
  CONSTRAINT event_type_pkey PRIMARY KEY (pipeline_id, number)
);
COMMENT ON TABLE millrace.event_type IS 'Internal: names of the types of events, see the view stats_by_type.';
SELECT pg_catalog.pg_extension_config_dump('millrace.event_type', '');

-- Their counters, cumulative, written by the batches (src/pipeline/event_types.c). A stripe is four times the number of a
-- stream, which one transaction at a time adds to, and which quarter of the numbers it has: 13 of them, 10 values each: events,
-- bytes, written, filtered, superseded, skipped, failed, retried, dead_lettered, replayed. The row with the highest seq counts:
-- updated in place a few times, then replaced, so that no old snapshot can make it slow.
CREATE TABLE millrace.event_type_count (
  pipeline_id integer  NOT NULL,
  stripe      integer  NOT NULL,
  seq         bigint   NOT NULL,
  updates     integer  NOT NULL,
  counts      bigint[] NOT NULL,
  CONSTRAINT event_type_count_pkey PRIMARY KEY (pipeline_id, stripe, seq)
) WITH (fillfactor = 50);
ALTER TABLE millrace.event_type_count ALTER COLUMN counts SET STORAGE PLAIN;
COMMENT ON TABLE millrace.event_type_count IS 'Internal: counters by type of event, see the view stats_by_type.';
SELECT pg_catalog.pg_extension_config_dump('millrace.event_type_count', '');

CREATE FUNCTION millrace._forget_types(pipeline_id integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  DELETE FROM millrace.event_type_count AS c WHERE c.pipeline_id = _forget_types.pipeline_id;
  DELETE FROM millrace.event_type AS t WHERE t.pipeline_id = _forget_types.pipeline_id;
$$;
REVOKE ALL ON FUNCTION millrace._forget_types(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._forget_types(integer) IS 'Internal: begins the counters by type of a pipeline again. For verbs, which hold the pipeline.';
