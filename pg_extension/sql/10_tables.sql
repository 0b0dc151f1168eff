-- The catalogue. Everything a pipeline is and where it stands; written by the verbs (40_verbs_*.sql) and by the
-- workers in C (src/server/catalog.h knows the column numbers: change both together).

-- every object below is named with its schema; operators are the system's own
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA millrace;
REVOKE ALL ON SCHEMA millrace FROM PUBLIC;
GRANT USAGE ON SCHEMA millrace TO PUBLIC;

-- Who this installation is: made here, not dumped, so that a restored catalogue is seen to be a stranger's.
CREATE TABLE millrace.instance (
  id         uuid        NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
INSERT INTO millrace.instance DEFAULT VALUES;

CREATE SEQUENCE millrace.pipeline_id_seq AS integer;
CREATE TABLE millrace.pipeline (
  id         integer     NOT NULL DEFAULT pg_catalog.nextval('millrace.pipeline_id_seq'),
  name       text        NOT NULL,
  instance   uuid        NOT NULL,
  owner      regrole     NOT NULL,
  topic      text        NOT NULL,
  start_at   text        NOT NULL,  -- 'earliest', 'latest' or a timestamptz, for the first assignment only
  partitions integer     NOT NULL DEFAULT 0,  -- how many partitions of the topic are known
  workers    integer     NOT NULL DEFAULT 1,
  state      text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'crashing')),
  version    integer     NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT pipeline_pkey PRIMARY KEY (id),
  CONSTRAINT pipeline_name_key UNIQUE (name)
);
ALTER SEQUENCE millrace.pipeline_id_seq OWNED BY millrace.pipeline.id;

CREATE TABLE millrace.pipeline_version (
  pipeline_id       integer     NOT NULL,
  version           integer     NOT NULL,
  fields            text,
  transform         text        NOT NULL,
  target            regclass    NOT NULL,
  on_conflict       text        NOT NULL CHECK (on_conflict IN ('error', 'ignore', 'update')),
  conflict_key      text[],
  newer_by          text,
  tombstone         text        NOT NULL CHECK (tombstone IN ('dead_letter', 'skip', 'delete')),
  batch_rows        integer     NOT NULL,
  rows_per_event    integer     NOT NULL,
  statement_timeout integer     NOT NULL,  -- ms, 0 = none
  search_path       text        NOT NULL,
  max_retries       integer     NOT NULL DEFAULT 3,
  retry_delay       integer     NOT NULL DEFAULT 1000,      -- ms before the first retry
  retry_factor      float8      NOT NULL DEFAULT 2,         -- each delay is so many times the one before
  retry_max_delay   integer     NOT NULL DEFAULT 60000,     -- ms
  retry_jitter      float8      NOT NULL DEFAULT 0.2,       -- share of the delay, added or taken at random
  retry_age         integer     NOT NULL DEFAULT 86400000,  -- ms since the first failure, 0 = any
  failure_share     float8,                                 -- the breaker opens above it
  failure_window    integer     NOT NULL DEFAULT 1000,      -- of so many events
  ordering          text        NOT NULL DEFAULT 'none' CHECK (ordering IN ('none', 'key')),
  on_dead           text        NOT NULL DEFAULT 'release' CHECK (on_dead IN ('release', 'hold')),
  max_parked        integer     NOT NULL DEFAULT 10000,     -- events in the queues of keys, of the pipeline
  max_parked_per_key integer    NOT NULL DEFAULT 1000,      -- and of one key
  created_at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
  created_by        regrole     NOT NULL,
  CONSTRAINT pipeline_version_pkey PRIMARY KEY (pipeline_id, version)
);

-- A partition of a pipeline's topic. epoch changes with each assignment and is compared for equality only.
CREATE TABLE millrace.partition (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  epoch       bigint      NOT NULL,
  lane        integer,               -- lane of the present assignment
  state       text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'stopped')),
  error       text,                  -- why it is stopped
  hint        text,                  -- how to mend it
  seek_ts     bigint,                -- ms since 1970: rewind to this time; the ingestor resolves it at assignment
  changed_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT partition_pkey PRIMARY KEY (pipeline_id, partition)
);

-- Where each partition stands: the newest row (highest seq) is the truth; counters are cumulative.
-- Appended about once a second and updated in place between, so that no old snapshot can make it slow.
CREATE TABLE millrace.progress (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  seq         bigint      NOT NULL,
  next_offset bigint      NOT NULL,  -- the position
  last_offset bigint,                -- identity of the last message settled
  last_ts     bigint,                -- its Kafka timestamp, ms since 1970
  last_crc    bigint,                -- CRC-32 of its key and payload
  events      bigint      NOT NULL,  -- = written + filtered + superseded + skipped + dead + retrying
  written     bigint      NOT NULL,  -- events that gave at least one row
  filtered    bigint      NOT NULL,
  superseded  bigint      NOT NULL,
  skipped     bigint      NOT NULL,  -- tombstones skipped
  dead        bigint      NOT NULL,
  rows        bigint      NOT NULL,  -- rows written
  bytes       bigint      NOT NULL,  -- payload bytes
  settled_at  timestamptz NOT NULL,
  retrying    bigint      NOT NULL DEFAULT 0,  -- waiting in millrace.retry just now
  CONSTRAINT progress_pkey PRIMARY KEY (pipeline_id, partition, seq)
) WITH (fillfactor = 50);

-- Every time a position was moved by hand (or set at first): what was skipped, what will come again.
CREATE TABLE millrace.position_change (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  verb        text        NOT NULL CHECK (verb IN ('start', 'rewind', 'skip_to')),
  from_offset bigint,
  to_offset   bigint      NOT NULL,
  by          text        NOT NULL DEFAULT session_user
);
CREATE INDEX position_change_idx ON millrace.position_change (pipeline_id, partition, at);

CREATE SEQUENCE millrace.dead_letter_id_seq;
CREATE TABLE millrace.dead_letter (
  id          bigint      NOT NULL DEFAULT pg_catalog.nextval('millrace.dead_letter_id_seq'),
  pipeline_id integer     NOT NULL,
  version     integer     NOT NULL,
  topic       text        NOT NULL,
  partition   integer     NOT NULL,
  "offset"    bigint      NOT NULL,
  kafka_ts    timestamptz,
  key         bytea,
  headers     bytea,                 -- packed, see millrace.headers()
  payload     bytea,                 -- as it came; NULL is a tombstone or a message over the size cap
  stage       text        NOT NULL CHECK (stage IN ('decode', 'transform', 'write')),
  sqlstate    text        NOT NULL,
  message     text        NOT NULL,
  detail      text,
  hint        text,
  constraint_name text,
  column_name text,
  failed_at   timestamptz NOT NULL,  -- of the last failure
  ended       text        NOT NULL DEFAULT 'permanent' CHECK (ended IN ('permanent', 'exhausted', 'too_old', 'crashed')),
  attempts    integer     NOT NULL DEFAULT 1,
  history     jsonb       NOT NULL DEFAULT '[]',  -- of {at, stage, sqlstate, message, detail, constraint_name}, the last is above
  first_failed_at timestamptz,
  state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replaying', 'replayed', 'discarded')),
  replay_count integer    NOT NULL DEFAULT 0,
  edited_payload bytea,              -- what was replayed in the place of payload
  published_at timestamptz,          -- when the relay saw it in the DLQ topic, and where
  dlq_partition integer,
  dlq_offset  bigint,
  changed_at  timestamptz,           -- state, NULL: not since failed_at
  CONSTRAINT dead_letter_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.dead_letter_id_seq OWNED BY millrace.dead_letter.id;
CREATE INDEX dead_letter_coordinate_idx ON millrace.dead_letter (pipeline_id, partition, "offset");

-- What becomes of a failure. The most specific row wins: of the pipeline, with the constraint, five characters.
CREATE SEQUENCE millrace.error_class_id_seq AS integer;
CREATE TABLE millrace.error_class (
  id              integer NOT NULL DEFAULT pg_catalog.nextval('millrace.error_class_id_seq'),
  pipeline_id     integer,            -- NULL: every pipeline
  sqlstate        text    NOT NULL CHECK (sqlstate ~ '^[0-9A-Z]{2}([0-9A-Z]{3})?$'),  -- a class or a state
  constraint_name text,
  action          text    NOT NULL CHECK (action IN ('retry', 'dead_letter', 'break')),
  builtin         boolean NOT NULL DEFAULT false,
  CONSTRAINT error_class_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.error_class_id_seq OWNED BY millrace.error_class.id;
CREATE UNIQUE INDEX error_class_key ON millrace.error_class
  (coalesce(pipeline_id, 0), sqlstate, coalesce(constraint_name, ''), builtin);
INSERT INTO millrace.error_class (sqlstate, action, builtin) VALUES
  ('22', 'dead_letter', true), ('23', 'dead_letter', true), ('P0', 'dead_letter', true),
  ('23503', 'retry', true),  -- the row it refers to may be on its way
  ('40', 'retry', true), ('55P03', 'retry', true), ('57014', 'retry', true),
  ('08', 'break', true), ('53', 'break', true), ('57', 'break', true), ('58', 'break', true),
  ('42P01', 'break', true), ('42501', 'break', true), ('42703', 'break', true), ('3F000', 'break', true);

-- Events that failed and are tried again; empty when all is well. With ordering => 'key' also those that wait behind them:
-- the rows of one (partition, order_key), by offset (and id, for what a rewind brought again), are a queue (src/fail/order.c).
CREATE SEQUENCE millrace.retry_id_seq;
CREATE TABLE millrace.retry (
  id              bigint      NOT NULL DEFAULT pg_catalog.nextval('millrace.retry_id_seq'),
  pipeline_id     integer     NOT NULL,
  version         integer     NOT NULL,
  topic           text        NOT NULL,
  partition       integer     NOT NULL,
  "offset"        bigint      NOT NULL,
  kafka_ts        bigint      NOT NULL,  -- ms since 1970, -1 none
  kind            smallint    NOT NULL,
  attempts        integer     NOT NULL,  -- tries that failed
  next_at         timestamptz NOT NULL,
  first_failed_at timestamptz NOT NULL,
  replay_of       bigint,                -- the dead letter this is a replay of
  key             bytea,
  headers         bytea,
  payload         bytea,
  history         jsonb       NOT NULL DEFAULT '[]',
  -- parked: waits behind another one; held: a dead letter (replay_of) that its key waits for; due once it was discarded
  state           text        NOT NULL DEFAULT 'retrying' CHECK (state IN ('retrying', 'parked', 'held', 'replaying')),
  order_key       bigint,                -- hash of the key, NULL: in no queue
  CONSTRAINT retry_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.retry_id_seq OWNED BY millrace.retry.id;
CREATE INDEX retry_due_idx ON millrace.retry (pipeline_id, next_at);
CREATE INDEX retry_queue_idx ON millrace.retry (pipeline_id, partition, order_key, "offset", id) WHERE order_key IS NOT NULL;
CREATE INDEX retry_coordinate_idx ON millrace.retry (pipeline_id, partition, "offset");

-- The circuit breaker of each pipeline that ever opened one.
CREATE TABLE millrace.breaker (
  pipeline_id   integer     NOT NULL,
  state         text        NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
  since         timestamptz NOT NULL,
  reason        text,
  sqlstate      text,
  next_probe_at timestamptz,
  opened        bigint      NOT NULL DEFAULT 0,  -- how often
  CONSTRAINT breaker_pkey PRIMARY KEY (pipeline_id)
);

-- Who replayed or discarded what.
CREATE TABLE millrace.dead_letter_action (
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  pipeline_id integer     NOT NULL,
  verb        text        NOT NULL CHECK (verb IN ('replay', 'discard')),
  by          text        NOT NULL,
  count       bigint      NOT NULL,
  condition   text,
  reason      text
);

-- What the workers were at when the server crashed: src/fail/crash.c makes smaller batches of it. The positions are this
-- server's, and so is the function that crashed: not dumped.
CREATE TABLE millrace.crash_suspect (
  pipeline_id    integer     NOT NULL,
  version        integer     NOT NULL,
  kind           text        NOT NULL CHECK (kind IN ('lane', 'retry')),
  partition      integer     NOT NULL,
  first_offset   bigint      NOT NULL,
  last_offset    bigint      NOT NULL,
  suspect_offset bigint,                -- the event that was at work, if that is known
  events         integer     NOT NULL,  -- in the batch, of all its partitions
  stage          text        NOT NULL,
  crashes        integer     NOT NULL,  -- with the event alone
  began_at       timestamptz NOT NULL,  -- the batch
  crashed_at     timestamptz NOT NULL,  -- or a moment later
  run            bigint      NOT NULL,  -- names the batch
  CONSTRAINT crash_suspect_pkey PRIMARY KEY (pipeline_id, kind, partition, first_offset, last_offset)
);

-- The crashes of the last hour: a pipeline that has too many is stopped.
CREATE TABLE millrace.crash (
  pipeline_id integer     NOT NULL,
  run         bigint      NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  CONSTRAINT crash_pkey PRIMARY KEY (pipeline_id, run)
);

-- Staging lanes are made at run time and belong to this server alone: not dumped.
CREATE SEQUENCE millrace.lane_id_seq AS integer;
CREATE TABLE millrace.lane (
  id          integer NOT NULL DEFAULT pg_catalog.nextval('millrace.lane_id_seq'),
  pipeline_id integer NOT NULL,
  number      integer NOT NULL,
  CONSTRAINT lane_pkey PRIMARY KEY (id),
  CONSTRAINT lane_number_key UNIQUE (pipeline_id, number)
);
ALTER SEQUENCE millrace.lane_id_seq OWNED BY millrace.lane.id;
CREATE TABLE millrace.segment (
  lane_id  integer NOT NULL,
  number   integer NOT NULL,
  relation oid     NOT NULL,
  CONSTRAINT segment_pkey PRIMARY KEY (lane_id, number)
);

SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_version', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.partition', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.progress', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.position_change', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.error_class', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('millrace.error_class_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.retry', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.retry_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.breaker', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter_action', '');
