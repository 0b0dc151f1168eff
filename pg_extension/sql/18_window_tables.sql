-- Windows over targets. Each one has two tables of its own besides, made by create_window():
--   _window_<id>_folded  (fold, window_start, window_end, n, g1…, s1…)  what batches added, merged
--   _window_<id>_partial (stream, seq, rows, partitions, highs, retried, since, newest)  what they have added since, in their own commits: rows of the
--     other one, many in one; and the highest event time of each partition of the batch,
--     and the partitions of events that had failed, with the time of their first failure, and the newest of these times
-- Of the rows that a fold adds to a window some have its number, enough to find the window by, the others 0. n counts rows, g are the values of group_by, s the states of the aggregates (66_window_aggregate.sql). A window's value
-- for a group is what all its rows in both tables give when they are merged. Of sliding windows these are panes, as long as
-- the slide. The tables are no members of the extension, so that pg_dump carries them and what depends on them.
--
-- A window of kind "recompute" has the same tables with another meaning (68_window_recompute.sql): folded has the values of each
-- group, computed from the target, in s the columns of the view and in error why there are none; partial has which groups batches
-- have touched since, where n counts the rows that came.

CREATE SEQUENCE millrace.window_id_seq AS integer;
SELECT pg_catalog.pg_extension_config_dump('millrace.window_id_seq', '');
-- Numbers what is appended to the streams (src/window/contribute.h).
CREATE SEQUENCE millrace.window_seq;
SELECT pg_catalog.pg_extension_config_dump('millrace.window_seq', '');

CREATE TABLE millrace.window_definition (
  id          integer     NOT NULL DEFAULT pg_catalog.nextval('millrace.window_id_seq'),
  pipeline_id integer     NOT NULL,
  name        text        NOT NULL,
  selects     text        NOT NULL,  -- "selects FROM rows grouped" gives what rows add, from window_start on
  grouped     text        NOT NULL,
  at          text        NOT NULL,  -- the event time, as selects has it
  max_skew_us bigint      NOT NULL,  -- a time that is further in the future moves no watermark
  old_selects text,                  -- like selects, of rows that others take the place of; null: nothing is taken back
  kind        text        NOT NULL,  -- incremental, recompute
  keys        text        NOT NULL,  -- ', g1, g2' or ''
  states      text        NOT NULL,  -- 'n, s1, s2'
  merges      text        NOT NULL,  -- the same, each merged
  event_time  text        NOT NULL,
  size        interval    NOT NULL,
  slide       interval    NOT NULL,
  group_by    text[]      NOT NULL,
  aggregates  text        NOT NULL,
  condition   text,
  time_zone   text        NOT NULL,
  origin      timestamptz NOT NULL,
  delay       interval    NOT NULL,  -- of the watermark, behind the highest event time
  lateness    interval    NOT NULL,  -- how long after its end a window is closed and not final yet
  close_idle  interval,              -- null: the last window stays open while nothing comes
  retention   interval,              -- null: kept for good
  created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  finals      text        NOT NULL,  -- ', … AS a1': the aggregates, of merged states
  output      text        NOT NULL,  -- ', … AS name': the columns of the view after window_end, of these and the keys
  max_groups  bigint      NOT NULL,  -- rows of the folded table, above which the oldest windows that are closed leave
  trapped     text,                  -- as output, of what _window_<id>_values() gives; null: nothing around the aggregates can fail
  fill_selects text,                 -- of a recomputed one: "fill_selects FROM target fill_grouped" gives the values of all groups
  fill_grouped text,
  keyed       text[],                -- besides: what is grouped by
  computed    text,                  -- besides: ', … AS s1': what is computed of the rows of a group
  filter      text,                  -- besides: which rows are in some window
  reader      uuid        NOT NULL,  -- random: what its views know and others do not
  gap         interval,              -- of a window of sessions (68_session.sql): what is less than that apart is of one; size and slide are max_session then
  target_since timestamptz,          -- what begins before is not computed from the target, which has not all its rows any more; null: it has
  CONSTRAINT window_definition_kind_check CHECK (kind IN ('incremental', 'recompute')),
  CONSTRAINT window_definition_pkey PRIMARY KEY (id),
  CONSTRAINT window_definition_name_key UNIQUE (name)
);
ALTER SEQUENCE millrace.window_id_seq OWNED BY millrace.window_definition.id;
CREATE INDEX window_definition_pipeline_id_idx ON millrace.window_definition (pipeline_id, id);
COMMENT ON TABLE millrace.window_definition IS 'Internal: windows over the targets of pipelines, see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_definition', '');

-- Appended by each fold, with what it has merged and removed, and by a rebuild; the newest row counts: up to which number each of the 64 streams is folded. What is
-- below is deleted; readers begin behind it and so never step over what an old snapshot keeps from being removed. No row is updated, for the same reason.
CREATE TABLE millrace.window_cursor (
  window_id integer  NOT NULL,
  fold      bigint   NOT NULL,
  seqs      bigint[] NOT NULL,
  compacted bigint   NOT NULL,  -- folded rows of folds up to this one are merged with each other
  added     bigint   NOT NULL DEFAULT 0,  -- rows that later folds have added
  groups    bigint   NOT NULL DEFAULT 0,  -- rows of the folded table
  lowest    timestamptz NOT NULL DEFAULT '-infinity',  -- none of them begins before; what is removed is looked for from there
  kept_from timestamptz NOT NULL DEFAULT '-infinity',  -- windows that begin before have left, since there were more than max_groups
  left_at   timestamptz,                               -- when the last of them did
  as_of     timestamptz NOT NULL DEFAULT pg_catalog.now(),  -- all that was committed before is folded
  due_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),  -- of a recomputed window: when to fold next, unless workers wait for it
  outside   bigint   NOT NULL DEFAULT 0,  -- rows that are in no window, and those that move no watermark: what is folded of window_outside
  skewed    bigint   NOT NULL DEFAULT 0,
  late      bigint   NOT NULL DEFAULT 0,  -- rows that came when a window they are in was final
  not_recomputed bigint NOT NULL DEFAULT 0,  -- groups that were touched and kept what they had: their window begins before target_since
  CONSTRAINT window_cursor_pkey PRIMARY KEY (window_id, fold)
);
COMMENT ON TABLE millrace.window_cursor IS 'Internal: how far the windows are folded.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_cursor', '');

-- Appended by each batch that has such rows, in the stream and with the number of its row in _window_<id>_partial, and folded with that into the cursor.
CREATE TABLE millrace.window_outside (
  window_id integer NOT NULL,
  stream    integer NOT NULL,
  seq       bigint  NOT NULL,
  rows      bigint  NOT NULL,  -- whose event time is null, infinite or too far away
  skewed    bigint  NOT NULL,  -- rows whose event time is so far in the future that it moves no watermark
  CONSTRAINT window_outside_pkey PRIMARY KEY (window_id, stream, seq)
);
COMMENT ON TABLE millrace.window_outside IS 'Internal: how many rows of batches are in no window, or move no watermark, until that is folded; see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_outside', '');

-- The watermark of each window, appended by the fold when something has changed; the newest row counts. Some of the older ones
-- stay as long as an event that failed may hold the watermark of its time (68_window_watermark.sql).
CREATE TABLE millrace.window_mark (
  window_id  integer       NOT NULL,
  at         timestamptz   NOT NULL,
  partitions integer[]     NOT NULL,  -- those that have rows in it
  highs      timestamptz[] NOT NULL,  -- the highest event time of each
  risen_at   timestamptz   NOT NULL,  -- when one of them last rose
  watermark  timestamptz   NOT NULL,  -- -infinity: none yet
  final      timestamptz   NOT NULL,  -- windows that end up to here are final
  held_by    integer,                 -- the partition with the lowest; null: all are idle
  held_why   text,
  stalled_since timestamptz,          -- event times rise, and it does not; null: it does
  CONSTRAINT window_mark_pkey PRIMARY KEY (window_id, at)
);
COMMENT ON TABLE millrace.window_mark IS 'Internal: watermarks of the windows, see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_mark', '');

CREATE TABLE millrace.window_late (
  window_id    integer     NOT NULL,
  window_start timestamptz NOT NULL,
  window_end   timestamptz NOT NULL,
  rows         bigint      NOT NULL,  -- that came when it was final
  last_at      timestamptz NOT NULL,  -- when the last of them did
  CONSTRAINT window_late_pkey PRIMARY KEY (window_id, window_start)
);
COMMENT ON TABLE millrace.window_late IS 'Internal: see the view late_rows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_late', '');

-- Windows that are published, or were (68_window_output.sql). Each has two tables of its own besides:
--   _window_<id>_revision (window_start, window_end, g1…, revision, hash, written_at)  what was last given to the relay of each group
--   _window_<id>_due      (window_start, window_end, g1…)                              groups of closed windows that have changed since
CREATE TABLE millrace.window_outlet (
  window_id integer     NOT NULL,
  topic     text,                  -- null: not any more
  origin    uuid        NOT NULL,  -- random: another window of its name, later, has other ids
  closed_to timestamptz NOT NULL,  -- all groups of the windows that end up to here were given to the relay
  published bigint      NOT NULL,  -- messages that were found in the topic
  CONSTRAINT window_outlet_pkey PRIMARY KEY (window_id)
) WITH (fillfactor = 10);
COMMENT ON TABLE millrace.window_outlet IS 'Internal: where windows are published, see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_outlet', '');

-- The outbox: what is to be in a window's topic and was not found there yet. The relay deletes what it has found.
CREATE SEQUENCE millrace.window_output_number_seq;
SELECT pg_catalog.pg_extension_config_dump('millrace.window_output_number_seq', '');
CREATE TABLE millrace.window_output (
  window_id  integer     NOT NULL,
  number     bigint      NOT NULL DEFAULT pg_catalog.nextval('millrace.window_output_number_seq'),
  id         text        NOT NULL,  -- the millrace-id header
  revision   integer     NOT NULL,
  place      integer     NOT NULL,  -- of the group: its partition, modulo their number
  key        bytea       NOT NULL,
  payload    bytea       NOT NULL,
  written_at timestamptz NOT NULL,
  CONSTRAINT window_output_pkey PRIMARY KEY (window_id, number),
  CONSTRAINT window_output_id_key UNIQUE (window_id, id)
);
ALTER SEQUENCE millrace.window_output_number_seq OWNED BY millrace.window_output.number;
COMMENT ON TABLE millrace.window_output IS 'Internal: values of closed windows that are not in their topic yet.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_output', '');

-- Messages that were read in a window's topic and that this database does not have (yet): it went back in time, and the window
-- will probably have the same value again. Nothing is published that is here. Empty otherwise.
CREATE TABLE millrace.window_sighting (
  window_id       integer     NOT NULL,
  id              text        NOT NULL,
  window_end      timestamptz NOT NULL,
  topic_partition integer     NOT NULL,
  CONSTRAINT window_sighting_pkey PRIMARY KEY (window_id, id)
);
COMMENT ON TABLE millrace.window_sighting IS 'Internal: values seen in topics of windows before they were written here.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_sighting', '');

-- Windows that are not filled yet with the rows the target had when they were created (68_window_backfill.sql): from create_window() until they are.
-- It goes from the latest windows to the earliest ones, and is written before each stretch of them, and in the transaction that fills it.
CREATE TABLE millrace.window_backfill (
  window_id integer     NOT NULL,
  reached   timestamptz NOT NULL DEFAULT 'infinity',  -- windows that begin then or later are filled
  stretch   integer     NOT NULL DEFAULT 20000,       -- about how many rows the next stretch is to read
  rows      bigint      NOT NULL DEFAULT 0,           -- about how many were read
  total     bigint      NOT NULL,                     -- about how many there were
  began_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  due_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),  -- of the next stretch
  tried_by  integer,                                        -- process that is at a stretch, committed before it is: if that is gone it has met its end there
  tried_of  timestamptz,                                    -- when that process began: numbers of processes come again
  crashes   integer     NOT NULL DEFAULT 0,                 -- how often that was so, since a stretch was done
  CONSTRAINT window_backfill_pkey PRIMARY KEY (window_id)
) WITH (fillfactor = 10);
COMMENT ON TABLE millrace.window_backfill IS 'Internal: how far windows are filled with the rows that were there before them, see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_backfill', '');

-- What of a window's upkeep fails, and was not done since (68_window_failure.sql). Empty otherwise. It says what workers of this server meet.
CREATE TABLE millrace.window_failure (
  window_id integer     NOT NULL,
  step      text        NOT NULL,  -- fold, publish, backfill
  sqlstate  text        NOT NULL,
  error     text        NOT NULL,
  since     timestamptz NOT NULL,
  last_at   timestamptz NOT NULL,  -- of this error
  CONSTRAINT window_failure_pkey PRIMARY KEY (window_id, step)
);
COMMENT ON TABLE millrace.window_failure IS 'Internal: what of a window cannot be done, see the view windows.';
