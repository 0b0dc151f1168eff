-- Windows over targets. Each one has two tables of its own besides, made by create_window():
--   _window_<id>_folded  (fold, window_start, window_end, n, g1…, s1…)  what batches added, merged
--   _window_<id>_partial (stream, seq, rows, partitions, highs)  what they have added since, in their own commits: rows of the
--     other one, many in one; and the highest event time of each partition of the batch
-- n counts rows, g are the values of group_by, s the states of the aggregates (66_window_aggregate.sql). A window's value
-- for a group is what all its rows in both tables give when they are merged. Of sliding windows these are panes, as long as
-- the slide. The tables are no members of the extension, so that pg_dump carries them and what depends on them.

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
  CONSTRAINT window_definition_pkey PRIMARY KEY (id),
  CONSTRAINT window_definition_name_key UNIQUE (name)
);
ALTER SEQUENCE millrace.window_id_seq OWNED BY millrace.window_definition.id;
CREATE INDEX window_definition_pipeline_id_idx ON millrace.window_definition (pipeline_id, id);
COMMENT ON TABLE millrace.window_definition IS 'Internal: windows over the targets of pipelines, see the view windows.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_definition', '');

-- Appended by each fold, the newest row counts: up to which number each of the 64 streams is folded. What is below is
-- deleted; readers begin behind it and so never step over what an old snapshot keeps from being removed.
CREATE TABLE millrace.window_cursor (
  window_id integer  NOT NULL,
  fold      bigint   NOT NULL,
  seqs      bigint[] NOT NULL,
  compacted bigint   NOT NULL,  -- folded rows of folds up to this one are merged with each other
  CONSTRAINT window_cursor_pkey PRIMARY KEY (window_id, fold)
);
COMMENT ON TABLE millrace.window_cursor IS 'Internal: how far the windows are folded.';
SELECT pg_catalog.pg_extension_config_dump('millrace.window_cursor', '');

CREATE TABLE millrace.window_outside (
  window_id integer NOT NULL,
  rows      bigint  NOT NULL,  -- whose event time is null, infinite or too far away
  skewed    bigint  NOT NULL,  -- rows whose event time is so far in the future that it moves no watermark
  late      bigint  NOT NULL   -- rows that came when a window they are in was final
);
-- no key: without it a publication FOR ALL TABLES would refuse its deletes
ALTER TABLE millrace.window_outside REPLICA IDENTITY FULL;
CREATE INDEX window_outside_window_id_idx ON millrace.window_outside (window_id);
COMMENT ON TABLE millrace.window_outside IS 'Internal: how many rows are in no window, move no watermark or came late, to be summed up; see the view windows.';
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
