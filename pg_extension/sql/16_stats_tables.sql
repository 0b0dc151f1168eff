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
  lag           bigint,                -- at the end of the minute
  retrying      bigint,
  produced_to_staged  bigint[],        -- histograms (src/stats/histogram.h); null: no event became visible
  staged_to_visible   bigint[],
  produced_to_visible bigint[],
  produced_to_staged_max_ms  float8,
  staged_to_visible_max_ms   float8,
  produced_to_visible_max_ms float8,
  CONSTRAINT stats_minute_pkey PRIMARY KEY (pipeline_id, minute)
);
COMMENT ON TABLE millrace.stats_minute IS 'Internal: what each minute added to the statistics, see the views stats_history and latency.';
SELECT pg_catalog.pg_extension_config_dump('millrace.stats_minute', '');
