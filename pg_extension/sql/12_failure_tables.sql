-- The catalogue of failures: what an SQLSTATE means, which events wait to be tried again, which were given up, who did what about it.

-- What happens to an event that failed. The most specific row wins: of the pipeline, with the constraint, five characters.
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
  ('23503', 'retry', true), ('MR012', 'retry', true),  -- the row it refers to, or builds on, may be on its way
  ('40', 'retry', true), ('55P03', 'retry', true), ('57014', 'retry', true),
  ('08', 'break', true), ('53', 'break', true), ('57', 'break', true), ('58', 'break', true),
  -- the SQL or what it stands on was changed, or it is wrong; of one event alone, that one's data
  ('42', 'break', true), ('XX', 'break', true), ('3F000', 'break', true);
COMMENT ON TABLE millrace.error_class IS 'Internal: see the view error_classes.';
SELECT pg_catalog.pg_extension_config_dump('millrace.error_class', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('millrace.error_class_id_seq', '');

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
  document        integer,               -- number in its message (format ndjson), NULL: the message
  -- first_failed_at, or, of one that was parked, since when it waits: from then on it holds the watermarks of its partition
  entered_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT retry_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.retry_id_seq OWNED BY millrace.retry.id;
CREATE INDEX retry_due_idx ON millrace.retry (pipeline_id, next_at);
CREATE INDEX retry_queue_idx ON millrace.retry (pipeline_id, partition, order_key, "offset", id) WHERE order_key IS NOT NULL;
-- the oldest event of a partition that may still hold the watermark of a window
CREATE INDEX retry_entered_idx ON millrace.retry (pipeline_id, partition, entered_at) WHERE replay_of IS NULL;
CREATE INDEX retry_coordinate_idx ON millrace.retry (pipeline_id, partition, "offset");
COMMENT ON TABLE millrace.retry IS 'Internal: events that are tried again or wait behind one, and replays; see the view retries.';
SELECT pg_catalog.pg_extension_config_dump('millrace.retry', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.retry_id_seq', '');

-- The circuit breakers of workers that ever opened one: of what their lanes meet, and (worker 0) of events that are tried again.
-- Each row is changed by its worker; the verbs remove those of workers that are no more.
CREATE TABLE millrace.breaker (
  pipeline_id   integer     NOT NULL,
  state         text        NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
  since         timestamptz NOT NULL,            -- of the pipeline's trouble, whichever worker met it first
  reason        text,
  sqlstate      text,
  next_probe_at timestamptz,
  opened        bigint      NOT NULL DEFAULT 0,  -- how often, when no other worker's was open
  worker        integer     NOT NULL DEFAULT 0,
  kind          text        NOT NULL DEFAULT 'lane' CHECK (kind IN ('lane', 'retry')),
  command       text,                            -- that fixes it, NULL: not known
  CONSTRAINT breaker_pkey PRIMARY KEY (pipeline_id, kind, worker)
);
COMMENT ON TABLE millrace.breaker IS 'Internal: see the view breakers.';
SELECT pg_catalog.pg_extension_config_dump('millrace.breaker', '');

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
  stage       text        NOT NULL CHECK (stage IN ('decode', 'transform', 'write', 'window')),
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
  document    integer,               -- number in its message (format ndjson), NULL: the message
  CONSTRAINT dead_letter_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE millrace.dead_letter_id_seq OWNED BY millrace.dead_letter.id;
CREATE INDEX dead_letter_coordinate_idx ON millrace.dead_letter (pipeline_id, partition, "offset");
-- partial: in C its table is written with catalog_writer.h
CREATE INDEX dead_letter_ended_idx ON millrace.dead_letter (pipeline_id, changed_at) WHERE state IN ('replayed', 'discarded');
CREATE INDEX dead_letter_unpublished_idx ON millrace.dead_letter (pipeline_id, id) WHERE published_at IS NULL;
COMMENT ON TABLE millrace.dead_letter IS 'Internal: see the view dead_letters.';
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter_id_seq', '');

-- Dead letters that are counted in progress.dead and are not open: discarded, or being replayed. Differences, to be summed up:
-- verbs, which take no lock of a partition, and the batches in which replays end append them; the supervisor makes one row of those of a partition.
CREATE TABLE millrace.dead_letter_aside (
  pipeline_id integer NOT NULL,
  partition   integer NOT NULL,
  letters     bigint  NOT NULL
);
-- no key: see position_change
ALTER TABLE millrace.dead_letter_aside REPLICA IDENTITY FULL;
CREATE INDEX dead_letter_aside_idx ON millrace.dead_letter_aside (pipeline_id, partition);
COMMENT ON TABLE millrace.dead_letter_aside IS 'Internal: how many dead letters are not open; see dead_letters_open of the view stats.';
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter_aside', '');

-- Who replayed, discarded or purged what.
CREATE TABLE millrace.dead_letter_action (
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  pipeline_id integer     NOT NULL,
  verb        text        NOT NULL CHECK (verb IN ('replay', 'discard', 'purge')),
  by          text        NOT NULL,
  count       bigint      NOT NULL,
  condition   text,
  reason      text,
  via         text        NOT NULL DEFAULT pg_catalog.current_setting('application_name')  -- with which program, or API key
);
-- no key: see position_change
ALTER TABLE millrace.dead_letter_action REPLICA IDENTITY FULL;
CREATE INDEX dead_letter_action_idx ON millrace.dead_letter_action (pipeline_id, at);
COMMENT ON TABLE millrace.dead_letter_action IS 'Internal: see the view dead_letter_actions.';
SELECT pg_catalog.pg_extension_config_dump('millrace.dead_letter_action', '');

-- What the workers were at when the server crashed: src/fail/crash.c makes smaller batches of it. The positions are this
-- server's, and so is the function that crashed: not dumped.
CREATE TABLE millrace.crash_suspect (
  pipeline_id    integer     NOT NULL,
  version        integer     NOT NULL,
  kind           text        NOT NULL CHECK (kind IN ('lane', 'retry')),
  partition      integer     NOT NULL,
  first_offset   bigint      NOT NULL,
  last_offset    bigint      NOT NULL,
  suspect_offset bigint,                -- the event that was being processed, if that is known
  events         integer     NOT NULL,  -- in the batch, of all its partitions
  stage          text        NOT NULL,
  crashes        integer     NOT NULL,  -- with the event alone
  began_at       timestamptz NOT NULL,  -- the batch
  crashed_at     timestamptz NOT NULL,  -- or a moment later
  run            bigint      NOT NULL,  -- names the batch
  CONSTRAINT crash_suspect_pkey PRIMARY KEY (pipeline_id, kind, partition, first_offset, last_offset)
);
COMMENT ON TABLE millrace.crash_suspect IS 'Internal: see the view crashes.';

-- The crashes of the last hour: a pipeline that has too many is stopped.
CREATE TABLE millrace.crash (
  pipeline_id integer     NOT NULL,
  run         bigint      NOT NULL,
  at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  CONSTRAINT crash_pkey PRIMARY KEY (pipeline_id, run)
);
COMMENT ON TABLE millrace.crash IS 'Internal: crashes of the last hour, by pipeline; too many stop it.';
