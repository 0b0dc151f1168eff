-- The catalogue. Everything a pipeline is and where it stands; written by the verbs (40_verbs.sql) and by the
-- workers in C (src/catalog.h knows the column numbers: change both together).

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
  state      text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused')),
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
  events      bigint      NOT NULL,  -- = written + filtered + superseded + skipped + dead
  written     bigint      NOT NULL,  -- events that gave at least one row
  filtered    bigint      NOT NULL,
  superseded  bigint      NOT NULL,
  skipped     bigint      NOT NULL,  -- tombstones skipped
  dead        bigint      NOT NULL,
  rows        bigint      NOT NULL,  -- rows written
  bytes       bigint      NOT NULL,  -- payload bytes
  settled_at  timestamptz NOT NULL,
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
  failed_at   timestamptz NOT NULL,
  CONSTRAINT dead_letter_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.dead_letter_id_seq OWNED BY millrace.dead_letter.id;
CREATE INDEX dead_letter_coordinate_idx ON millrace.dead_letter (pipeline_id, partition, "offset");

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
