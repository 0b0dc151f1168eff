-- The catalogue, in 10_ to 19_ by noun: what a pipeline is and where it is (here), what failed (12_failure_tables.sql), what
-- ingestors use and report (14_ingestor_tables.sql). Written by the verbs, from 40_ on, and by the workers in C:
-- src/server/catalog.h knows the column numbers, change both together. What is not dumped belongs to this server alone.

-- Every object below is named with its schema; operators are the system's own. So it is in each function, and a backslash
-- there is a backslash whatever the session's standard_conforming_strings; outside of functions no literal has one.
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA millrace;
REVOKE ALL ON SCHEMA millrace FROM PUBLIC;
GRANT USAGE ON SCHEMA millrace TO PUBLIC;

-- Who this installation is: made here, not dumped, so that pipelines of a restored catalogue are recognized as foreign.
CREATE TABLE millrace.instance (
  id         uuid        NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT instance_pkey PRIMARY KEY (id)
);
INSERT INTO millrace.instance DEFAULT VALUES;
COMMENT ON TABLE millrace.instance IS 'Internal: who this installation is; pipelines of another one are foreign.';

CREATE SEQUENCE millrace.pipeline_id_seq AS integer;
CREATE TABLE millrace.pipeline (
  id         integer     NOT NULL DEFAULT pg_catalog.nextval('millrace.pipeline_id_seq'),
  name       text        NOT NULL,
  instance   uuid        NOT NULL,
  owner      regrole     NOT NULL,
  topic      text        NOT NULL,  -- one, a list with commas, or a pattern: see topic_kind
  start_at   text        NOT NULL,  -- 'earliest', 'latest' or a timestamptz, for the first assignment only
  partitions integer     NOT NULL DEFAULT 0,  -- how many partitions of its topics are known
  workers    integer     NOT NULL DEFAULT 1,
  state      text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'crashing')),
  version    integer     NOT NULL,
  windows    integer     NOT NULL DEFAULT 0,  -- changes with each change of its windows
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  group_prefix text      NOT NULL DEFAULT '',
  -- its consumer group in Kafka; with .dlq behind it the transactional id of its relay. docs/ingestor.md has the form, for ACLs
  group_id   text        NOT NULL GENERATED ALWAYS AS (group_prefix || 'millrace.' || instance::text || '.' || name) STORED,
  topic_kind text        NOT NULL DEFAULT 'one' CHECK (topic_kind IN ('one', 'list', 'pattern')),
  looked_at  timestamptz,  -- when the cluster was first looked through for topics that its pattern matches
  CONSTRAINT pipeline_pkey PRIMARY KEY (id),
  CONSTRAINT pipeline_name_key UNIQUE (name)
);
ALTER SEQUENCE millrace.pipeline_id_seq OWNED BY millrace.pipeline.id;
COMMENT ON TABLE millrace.pipeline IS 'Internal: pipelines, see the view pipelines.';
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_id_seq', '');

-- Every definition a pipeline has had. Settings are explained, bounded and given their defaults in 41_setting.sql.
CREATE TABLE millrace.pipeline_version (
  pipeline_id       integer     NOT NULL,
  version           integer     NOT NULL,
  format            text        NOT NULL,
  fields            text,
  transform         text        NOT NULL,
  target            regclass    NOT NULL,
  on_conflict       text        NOT NULL,
  conflict_key      text[],
  newer_by          text,
  tombstone         text        NOT NULL,
  batch_rows        integer     NOT NULL,
  rows_per_event    integer     NOT NULL,
  statement_timeout integer     NOT NULL,  -- ms, 0 = none
  search_path       text        NOT NULL,
  max_retries       integer     NOT NULL,
  retry_delay       integer     NOT NULL,  -- ms
  retry_factor      float8      NOT NULL,
  retry_max_delay   integer     NOT NULL,  -- ms
  retry_jitter      float8      NOT NULL,
  retry_age         integer     NOT NULL,  -- ms, 0 = no limit
  failure_share     float8,
  failure_window    integer     NOT NULL,
  ordering          text        NOT NULL,
  on_dead           text        NOT NULL,
  max_parked        integer     NOT NULL,
  max_parked_per_key integer    NOT NULL,
  date_order        text        NOT NULL,
  time_zone         text        NOT NULL,
  other_zone        text        NOT NULL,
  bytea_format      text        NOT NULL,
  epoch             text        NOT NULL,
  number_style      text        NOT NULL,
  interval_style    text        NOT NULL,
  created_at        timestamptz NOT NULL,
  created_by        regrole     NOT NULL,
  delete_when       text,
  tombstone_key     text,
  merge             text,
  dead_letter_retention interval,
  type_field        text,
  CONSTRAINT pipeline_version_pkey PRIMARY KEY (pipeline_id, version)
);
COMMENT ON TABLE millrace.pipeline_version IS 'Internal: every definition a pipeline has had, see the view pipelines for the one in force.';
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_version', '');

-- The topics of a pipeline that reads several: those of its list, or those its pattern has matched. One with one topic has none.
CREATE TABLE millrace.pipeline_topic (
  pipeline_id integer     NOT NULL,
  topic       text        NOT NULL,
  is_late     boolean     NOT NULL DEFAULT false,  -- it appeared when the pipeline had begun: all of it is read
  seen_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  gone_at     timestamptz,  -- of a pattern: the cluster does not have it any more
  CONSTRAINT pipeline_topic_pkey PRIMARY KEY (pipeline_id, topic)
);
COMMENT ON TABLE millrace.pipeline_topic IS 'Internal: topics of the pipelines that read several, see the view topics.';
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_topic', '');

-- Everywhere else a partition of a pipeline is one number. With one topic that is Kafka's; with several they are numbered from 0
-- as they are found, and this table has what each of them is. It only grows: workers and ingestors keep copies.
CREATE TABLE millrace.topic_partition (
  pipeline_id     integer NOT NULL,
  partition       integer NOT NULL,
  topic           text    NOT NULL,
  topic_partition integer NOT NULL,
  CONSTRAINT topic_partition_pkey PRIMARY KEY (pipeline_id, partition),
  CONSTRAINT topic_partition_key UNIQUE (pipeline_id, topic, topic_partition)
);
COMMENT ON TABLE millrace.topic_partition IS 'Internal: which partition of which topic a partition of a pipeline with several topics is.';
SELECT pg_catalog.pg_extension_config_dump('millrace.topic_partition', '');

-- A partition of a pipeline. epoch changes with each assignment and is compared for equality only.
CREATE TABLE millrace.partition (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  epoch       bigint      NOT NULL,
  lane        integer,               -- lane of the present assignment
  state       text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'stopped')),
  error       text,                  -- why it is stopped
  hint        text,                  -- how to fix it
  seek_ts     bigint,                -- ms since 1970: rewind to this time; the ingestor resolves it at assignment
  changed_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT partition_pkey PRIMARY KEY (pipeline_id, partition)
);
COMMENT ON TABLE millrace.partition IS 'Internal: partitions of the pipelines'' topics, see the view partitions.';
SELECT pg_catalog.pg_extension_config_dump('millrace.partition', '');

-- The position of each partition: the newest row (highest seq) is the valid one; counters are cumulative.
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
  retrying    bigint      NOT NULL DEFAULT 0,  -- currently waiting in millrace.retry
  failed      bigint      NOT NULL DEFAULT 0,  -- events whose first try failed
  retried     bigint      NOT NULL DEFAULT 0,  -- tries after the first
  dead_lettered bigint    NOT NULL DEFAULT 0,  -- dead letters made
  replayed    bigint      NOT NULL DEFAULT 0,  -- dead letters whose replay succeeded
  parked      bigint      NOT NULL DEFAULT 0,  -- rows of millrace.retry that are parked
  CONSTRAINT progress_pkey PRIMARY KEY (pipeline_id, partition, seq)
) WITH (fillfactor = 50);
COMMENT ON TABLE millrace.progress IS 'Internal: position and counters of each partition, the newest row counts; see the views partitions and stats.';
SELECT pg_catalog.pg_extension_config_dump('millrace.progress', '');

-- The same for a lane whose batches have very many partitions: entries of 23 integers, ascending by partition over all rows
-- of the lane (src/pipeline/ledger.c). What is here is valid, not their newest row of progress, which is appended for a few of
-- them with each batch. Two versions of a row fit into a page.
CREATE TABLE millrace.ledger (
  pipeline_id integer     NOT NULL,
  lane        integer     NOT NULL,
  number      integer     NOT NULL,
  seq         bigint      NOT NULL,
  rows        integer     NOT NULL,  -- how many there are; of row 0 only
  updates     integer     NOT NULL,
  appended_at timestamptz NOT NULL,  -- when rows of progress were appended for it
  entries     bigint[]    NOT NULL,
  CONSTRAINT ledger_pkey PRIMARY KEY (pipeline_id, lane, number, seq)
) WITH (fillfactor = 50);
ALTER TABLE millrace.ledger ALTER COLUMN entries SET STORAGE PLAIN;
COMMENT ON TABLE millrace.ledger IS 'Internal: position and counters of the partitions of lanes with very many of them; see the views partitions and stats.';
SELECT pg_catalog.pg_extension_config_dump('millrace.ledger', '');

-- Every time a position was moved by hand (or set at first): what was skipped, what will be processed again.
CREATE TABLE millrace.position_change (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  verb        text        NOT NULL CHECK (verb IN ('start', 'rewind', 'skip_to')),
  from_offset bigint,
  to_offset   bigint      NOT NULL,
  by          text        NOT NULL DEFAULT session_user
);
-- no key: without it a publication FOR ALL TABLES would refuse drop_pipeline()
ALTER TABLE millrace.position_change REPLICA IDENTITY FULL;
CREATE INDEX position_change_idx ON millrace.position_change (pipeline_id, partition, at);
COMMENT ON TABLE millrace.position_change IS 'Internal: see the view position_changes.';
SELECT pg_catalog.pg_extension_config_dump('millrace.position_change', '');

-- Every time a pipeline was paused or resumed.
CREATE TABLE millrace.pipeline_change (
  pipeline_id integer     NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  verb        text        NOT NULL CHECK (verb IN ('pause', 'resume')),
  by          text        NOT NULL,
  via         text        NOT NULL DEFAULT pg_catalog.current_setting('application_name')
);
-- no key: see position_change
ALTER TABLE millrace.pipeline_change REPLICA IDENTITY FULL;
COMMENT ON TABLE millrace.pipeline_change IS 'Internal: see the view pipeline_changes.';
SELECT pg_catalog.pg_extension_config_dump('millrace.pipeline_change', '');
