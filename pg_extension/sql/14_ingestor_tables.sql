-- The catalogue of what ingestors use and report: which topics for whom, staging lanes, ends of partitions, the DLQ topics of
-- their relay.

CREATE TABLE millrace.topic_grant (
  role       regrole     NOT NULL,
  use        text        NOT NULL CHECK (use IN ('read', 'dlq', 'output')),
  pattern    text        NOT NULL,  -- name of a topic, * stands for any characters
  granted_by text        NOT NULL,
  granted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT topic_grant_pkey PRIMARY KEY (role, use, pattern)
);
COMMENT ON TABLE millrace.topic_grant IS 'Internal: see the view topic_grants.';
-- not that of a role that was dropped: its number may be another role's where the dump is restored
SELECT pg_catalog.pg_extension_config_dump('millrace.topic_grant', 'WHERE role IN (SELECT r.oid FROM pg_catalog.pg_roles AS r)');

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
COMMENT ON TABLE millrace.lane IS 'Internal: staging lanes, see the view lanes.';
COMMENT ON TABLE millrace.segment IS 'Internal: segments of staging lanes, tables of their own.';

-- Kafka's end of each partition, reported by the ingestor every few seconds. An ordinary table: a standby can show it.
CREATE TABLE millrace.watermark (
  pipeline_id integer     NOT NULL,
  partition   integer     NOT NULL,
  high        bigint      NOT NULL,
  reported_at timestamptz NOT NULL,
  low         bigint,                -- the first offset that Kafka has; NULL: it is being read, so nothing is missing
  read_at     timestamptz,           -- as reported_at, by an ingestor that has the partition to read it
  CONSTRAINT watermark_pkey PRIMARY KEY (pipeline_id, partition)
) WITH (fillfactor = 10);
COMMENT ON TABLE millrace.watermark IS 'Internal: ends of partitions in Kafka as ingestors report them, see the view lag.';

-- What else the ingestor knows, reported about once a minute; for doctor().
CREATE TABLE millrace.ingestor_report (
  pipeline_id integer     NOT NULL,
  about       jsonb       NOT NULL,
  reported_at timestamptz NOT NULL,
  CONSTRAINT ingestor_report_pkey PRIMARY KEY (pipeline_id)
) WITH (fillfactor = 10);
COMMENT ON TABLE millrace.ingestor_report IS 'Internal: see the view ingestor_reports.';

-- Signs of life: a row for each pipeline that an ingestor serves, written by that ingestor alone, every 3 s. Rows of one that
-- is gone are removed after an hour, by the others.
CREATE TABLE millrace.ingestor_presence (
  ingestor    uuid        NOT NULL,  -- random, of one life of a process
  pipeline_id integer     NOT NULL,
  pid         integer     NOT NULL,  -- of its control session
  seen_at     timestamptz NOT NULL,
  kafka_error text,                  -- why it cannot read the topic
  kafka_hint  text,                  -- what to do about it
  lane_stuck  text,                  -- a lane of it that waits for the server for long
  changed_at  timestamptz NOT NULL,  -- of the three
  CONSTRAINT ingestor_presence_pkey PRIMARY KEY (pipeline_id, ingestor)
) WITH (fillfactor = 10);
COMMENT ON TABLE millrace.ingestor_presence IS 'Internal: see the view ingestors.';

-- Where the dead letters of each pipeline are published, and how far that topic was read.
CREATE TABLE millrace.dlq (
  pipeline_id integer NOT NULL,
  enabled     boolean NOT NULL,
  topic       text    NOT NULL,
  delivery    text    NOT NULL CHECK (delivery IN ('exactly_once', 'at_least_once')),
  origin      uuid    NOT NULL,  -- random, made with the pipeline: another one of its name, later, has other ids
  former_prefixes text[] NOT NULL DEFAULT '{}',  -- group_prefix was these before, the last one last
  CONSTRAINT dlq_pkey PRIMARY KEY (pipeline_id)
);
-- All topics that dead letters or windows of some pipeline were ever published to: no pattern matches them.
CREATE TABLE millrace.dlq_topic (
  topic text NOT NULL,
  CONSTRAINT dlq_topic_pkey PRIMARY KEY (topic)
);
CREATE TABLE millrace.dlq_scan (
  pipeline_id integer NOT NULL,
  partition   integer NOT NULL,  -- of the DLQ topic, or of that of a window
  next_offset bigint  NOT NULL,  -- everything before it is marked
  window_id   integer NOT NULL DEFAULT 0,  -- 0: the dead letters
  topic       text    NOT NULL,  -- a relay that has not heard of another topic yet writes positions of the former one
  CONSTRAINT dlq_scan_pkey PRIMARY KEY (pipeline_id, window_id, topic, partition)
) WITH (fillfactor = 10);
-- Letters that were read in the DLQ topic and that this database does not have (yet): it went back in time, and their
-- events will probably die again. Nothing is published that is here. Empty otherwise.
CREATE TABLE millrace.dlq_sighting (
  pipeline_id   integer NOT NULL,
  partition     integer NOT NULL,  -- the event's coordinate
  "offset"      bigint  NOT NULL,
  replay_count  integer NOT NULL,
  dlq_partition integer NOT NULL,  -- where its letter is
  dlq_offset    bigint  NOT NULL,
  document      integer NOT NULL DEFAULT 0,  -- 0: the message
  CONSTRAINT dlq_sighting_pkey PRIMARY KEY (pipeline_id, partition, "offset", replay_count, document)
);
COMMENT ON TABLE millrace.dlq IS 'Internal: see the view dlqs.';
COMMENT ON TABLE millrace.dlq_topic IS 'Internal: topics for dead letters and windows, those of the past, too.';
SELECT pg_catalog.pg_extension_config_dump('millrace.dlq_topic', '');
COMMENT ON TABLE millrace.dlq_sighting IS 'Internal: letters seen in each DLQ topic whose events have not died here yet.';
COMMENT ON TABLE millrace.dlq_scan IS 'Internal: how far the relays have read their topics.';
SELECT pg_catalog.pg_extension_config_dump('millrace.dlq', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dlq_scan', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dlq_sighting', '');
