-- Rows are removed from the target: what was made of them stays. What batches would add or note is added here by hand.
BEGIN;
\ir helper.psql
SELECT plan(44);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
CREATE INDEX ON mrt.reading (source, at);
INSERT INTO mrt.reading (id, source, at, value)
SELECT i, 's' || i % 3, timestamptz '2026-01-01 00:00:00+00' + i * interval '7 s', i FROM generate_series(0, 99) AS i;
SELECT millrace.create_window('sums', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'sum(value) AS v');
SELECT millrace.create_window('slid', 'p', event_time => 'at', size => '3 min', slide => '1 min', group_by => '{source}', aggregates => 'sum(value) AS v');
SELECT millrace.create_window('kinds', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(DISTINCT value) AS v');
SELECT results_eq($$ SELECT DISTINCT target_since, not_recomputed FROM millrace.windows $$, $$ VALUES (NULL::timestamptz, 0::bigint) $$, 'all rows are there');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('sums', target_since => 'infinity') $$, '22023', 'target_since is infinity', 'or ''-infinity'' when no rows were removed', 'a time without rows');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', target_since => 'infinity') $$,
  '22023', 'target_since is infinity', NULL, 'nor when it is created');
RESET ROLE;

-- As a batch would that has written rows with these numbers.
CREATE FUNCTION pg_temp.added(ids bigint[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  FOR w IN SELECT * FROM millrace.window_definition LOOP
    EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, nextval(''millrace.window_seq''), '
                   '(SELECT array_agg(ROW(0, q.*)::millrace._window_%1$s_folded) FROM (%2$s FROM (SELECT * FROM mrt.reading WHERE id = ANY ($1)) AS written %3$s) AS q)',
                   w.id, w.selects, w.grouped) USING ids;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.fold() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$
  SELECT bool_and(millrace._fold_window(w.id, true, true)) FROM millrace.window_definition AS w;
$$;
CREATE TEMP TABLE truth AS
SELECT w.name, v.* FROM (VALUES ('sums')) AS w (name) CROSS JOIN millrace.window_sums AS v UNION ALL
SELECT 'slid', v.* FROM millrace.window_slid AS v UNION ALL SELECT 'kinds', v.* FROM millrace.window_kinds AS v;
GRANT SELECT, UPDATE, INSERT ON truth TO mrt_owner;
CREATE VIEW pg_temp.found AS SELECT 'sums' AS name, v.* FROM millrace.window_sums AS v UNION ALL SELECT 'slid', v.* FROM millrace.window_slid AS v UNION ALL SELECT 'kinds', v.* FROM millrace.window_kinds AS v;
GRANT SELECT ON pg_temp.found TO mrt_owner;
SET ROLE mrt_owner;

-- what was touched before is computed from the rows that were there
INSERT INTO mrt.reading (id, source, at, value) VALUES (200, 's1', '2026-01-01 00:01:30+00', 1000);
SELECT pg_temp.added('{200}');
UPDATE truth SET v = v + CASE name WHEN 'kinds' THEN 1 ELSE 1000 END
WHERE source = 's1' AND window_start <= '2026-01-01 00:01:30+00' AND window_end > '2026-01-01 00:01:30+00';
SELECT is((SELECT count(*) FROM (SELECT millrace.alter_window(w.name, target_since => '2026-01-01 00:05:00+00') FROM millrace.windows AS w) AS a), 3::bigint, 'rows are to be removed');
SELECT is((SELECT count(*) FROM millrace.windows WHERE target_since = '2026-01-01 00:05:00+00'), 3::bigint, 'the view says from where on');
DELETE FROM mrt.reading WHERE at < '2026-01-01 00:05:00+00';
SELECT set_eq('SELECT * FROM pg_temp.found', 'SELECT * FROM truth', 'nothing is changed by that');

-- a row that comes late: added, or left alone
INSERT INTO mrt.reading (id, source, at, value) VALUES (201, 's1', '2026-01-01 00:02:30+00', 500), (202, 's2', '2026-01-01 00:08:30+00', 700), (203, 'other', '2026-01-01 00:02:30+00', 9);
SELECT pg_temp.added('{201,202,203}');
UPDATE truth SET v = v + 500 WHERE name <> 'kinds' AND source = 's1' AND window_start <= '2026-01-01 00:02:30+00' AND window_end > '2026-01-01 00:02:30+00';
UPDATE truth SET v = v + CASE name WHEN 'kinds' THEN 1 ELSE 700 END WHERE source = 's2' AND window_start <= '2026-01-01 00:08:30+00' AND window_end > '2026-01-01 00:08:30+00';
SELECT set_eq($$ SELECT * FROM pg_temp.found WHERE source <> 'other' $$, 'SELECT * FROM truth', 'before it is folded');
SELECT ok(pg_temp.fold(), 'folded');
SELECT set_eq($$ SELECT * FROM pg_temp.found WHERE source <> 'other' $$, 'SELECT * FROM truth', 'and after that');
SELECT set_eq($$ SELECT name FROM pg_temp.found WHERE source = 'other' $$, $$ VALUES ('sums'), ('slid') $$, 'a group that was not there is not made of a part of its rows');
SELECT set_eq('SELECT name, not_recomputed FROM millrace.windows', $$ VALUES ('sums', 0::bigint), ('slid', 0), ('kinds', 2) $$, 'what was left alone is counted');

-- computed again from the target
DELETE FROM mrt.reading WHERE source = 's0' AND at >= '2026-01-01 00:05:00+00' AND at < '2026-01-01 00:06:00+00';
CREATE TEMP TABLE kept AS SELECT * FROM pg_temp.found WHERE window_start < '2026-01-01 00:05:00+00' AND name <> 'slid' OR window_end <= '2026-01-01 00:05:00+00';
SELECT cmp_ok(millrace.rebuild_window('sums'), '>', 0::bigint, 'rebuilt');
SELECT cmp_ok(millrace.rebuild_window('slid'), '>', 0::bigint, 'a sliding one');
SELECT cmp_ok(millrace.rebuild_window('kinds', '2026-01-01 00:02:00+00', '2026-01-01 01:00:00+00'), '>', 0::bigint, 'some of it');
SELECT is(millrace.rebuild_window('kinds', '2026-01-01 00:02:00+00', '2026-01-01 00:05:00+00'), 0::bigint, 'and all of that is left alone');
SELECT set_eq($$ SELECT * FROM pg_temp.found WHERE window_start < '2026-01-01 00:05:00+00' AND name <> 'slid' OR window_end <= '2026-01-01 00:05:00+00' $$, 'SELECT * FROM kept', 'what is older stays');
SELECT is_empty($$ SELECT FROM pg_temp.found WHERE window_start = '2026-01-01 00:05:00+00' AND source = 's0' AND name <> 'slid' $$, 'what is not is what the target has');
SELECT set_eq($$ SELECT source, v FROM millrace.window_slid WHERE window_start = '2026-01-01 00:03:00+00' AND source <> 's0' $$,
  $$ SELECT source, sum(v) FROM millrace.window_sums WHERE window_start >= '2026-01-01 00:03:00+00' AND window_start < '2026-01-01 00:06:00+00' AND source <> 's0' GROUP BY 1 $$, 'a window is the sum of both kinds of panes');

-- made when rows have been removed already
SELECT millrace.create_window('later', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'sum(value) AS v', target_since => '2026-01-01 00:06:00+00') IS NOT NULL AS made;
SELECT set_eq('SELECT window_start, source, v FROM millrace.window_later', $$ SELECT window_start, source, v FROM millrace.window_sums WHERE window_start >= '2026-01-01 00:06:00+00' $$, 'is of the rest');

-- they are back
SELECT lives_ok($$ SELECT millrace.alter_window('kinds', target_since => '-infinity') $$, 'all rows are there again');
SELECT is((SELECT target_since FROM millrace.windows WHERE name = 'kinds'), NULL, 'the view says so');
SELECT cmp_ok(millrace.rebuild_window('kinds'), '>', 0::bigint, 'rebuilt');
SELECT set_eq('SELECT window_start, source, v FROM millrace.window_kinds', $$ SELECT date_trunc('minute', at), source, count(DISTINCT value) FROM mrt.reading GROUP BY 1, 2 $$, 'equals GROUP BY');

-- times are in the SQL of a window as any session reads them
SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Shanghai';
SELECT cmp_ok(millrace.rebuild_window('kinds', timestamptz '01/01/2026 08:02:00', timestamptz '02/01/2026 00:00:00'), '>', 0::bigint, 'with another style of dates');
SELECT set_eq('SELECT window_start, source, v FROM millrace.window_kinds', $$ SELECT date_trunc('minute', at), source, count(DISTINCT value) FROM mrt.reading GROUP BY 1, 2 $$,
              'the same times are meant');
RESET datestyle; RESET timezone;

-- rewound: rows that were removed from the target count once
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100}');
RESET ROLE;
UPDATE millrace.progress SET events = 7, written = 7, last_offset = next_offset - 1, last_ts = 1, last_crc = 2;
SET ROLE mrt_owner;
SELECT ok((SELECT sum(v) FROM millrace.window_sums WHERE window_start >= '2026-01-01 00:05:00+00') = (SELECT sum(value) FROM mrt.reading WHERE at >= '2026-01-01 00:05:00+00'), 'as the target');
DELETE FROM mrt.reading WHERE id >= 50 AND id < 200;
SELECT isnt((SELECT sum(v) FROM millrace.window_sums WHERE window_start >= '2026-01-01 00:05:00+00'), (SELECT sum(value) FROM mrt.reading WHERE at >= '2026-01-01 00:05:00+00'), 'which has fewer now');
SELECT is(millrace.rewind('p', 100, allow_duplicates => true), 1, 'to where it is');
SELECT is(millrace.rewind('p', 50, allow_duplicates => true), 1, 'further back');
SELECT set_eq($$ SELECT window_start, source, v FROM millrace.window_sums WHERE window_start >= '2026-01-01 00:05:00+00' $$,
  $$ SELECT date_trunc('minute', at), source, sum(value) FROM mrt.reading WHERE at >= '2026-01-01 00:05:00+00' GROUP BY 1, 2 $$, 'the window has what the target has');
SELECT set_eq($$ SELECT window_start, source, v FROM millrace.window_sums WHERE window_start < '2026-01-01 00:05:00+00' $$, $$ SELECT window_start, source, v FROM kept WHERE name = 'sums' $$, 'and what is older stays');

-- without it: what is older than all rows of the target is not erased
CREATE TABLE mrt.raw (at timestamptz NOT NULL, value integer NOT NULL);
SELECT millrace.create_pipeline('q', topic => 'events', target => 'mrt.raw', fields => 'at timestamptz NOT NULL, value integer NOT NULL', transform => 'SELECT event.at, event.value FROM event');
RESET ROLE;
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('q', 0, '{100}');
RESET ROLE;
UPDATE millrace.progress AS g SET events = 7, written = 7, last_offset = next_offset - 1, last_ts = 1, last_crc = 2
WHERE g.pipeline_id = (SELECT p.id FROM millrace.pipeline AS p WHERE p.name = 'q');
SET ROLE mrt_owner;
SET timezone = 'UTC';
INSERT INTO mrt.raw SELECT timestamptz '2026-01-01 00:00:00+00' + i * interval '10 s', i FROM generate_series(0, 99) AS i;
SELECT millrace.create_window('q1', 'q', event_time => 'at', size => '1 min', aggregates => 'sum(value) AS v');
SELECT millrace.create_window('q2', 'q', event_time => 'at', size => '3 min', slide => '1 min', aggregates => 'sum(value) AS v', "where" => 'value >= 50');
SELECT lives_ok('SELECT millrace.rewind(''q'', 90, allow_duplicates => true)', 'no row was removed');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT millrace._rewind_windows('mrt_owner', p, ARRAY[w.id]) FROM millrace.pipeline AS p JOIN millrace.window_definition AS w ON w.name = 'q1' WHERE p.name = 'q' $$,
  '40001', 'window "q2" was created concurrently', 'Try again.', 'a window that comes when the pipeline is locked is not waited for');
SET ROLE mrt_owner;
DELETE FROM mrt.raw WHERE value >= 80;
CREATE TEMP TABLE had AS SELECT 1 AS w, window_start, v FROM millrace.window_q1 UNION ALL SELECT 2, window_start, v FROM millrace.window_q2;
CREATE VIEW pg_temp.has AS SELECT 1 AS w, window_start, v FROM millrace.window_q1 UNION ALL SELECT 2, window_start, v FROM millrace.window_q2;
SELECT lives_ok($$ SELECT millrace.rewind('q', 80, allow_duplicates => true) $$, 'the last ones are to come again');
SELECT is((SELECT sum(v) FROM millrace.window_q1), (SELECT sum(value)::numeric FROM mrt.raw), 'and are gone until then');
CREATE TEMP TABLE kept_q AS SELECT * FROM pg_temp.has;
DELETE FROM mrt.raw WHERE value < 20;
SELECT pg_temp.refused($$ SELECT millrace.rewind('q', 70, allow_duplicates => true) $$, '55000', 'rewinding pipeline "q" would erase aggregates of window "q1"',
  'SELECT millrace.alter_window(''q1'', target_since => ''2026-01-01 00:04:00+00'')', 'the first ones were removed, too');
SELECT set_eq('SELECT * FROM pg_temp.has', 'SELECT * FROM kept_q', 'nothing has changed');
SELECT pg_temp.pasted(pg_temp.hint_of($$ SELECT millrace.rewind('q', 70, allow_duplicates => true) $$), 'the hint has commands');
SELECT millrace.alter_window('q1', target_since => '2026-01-01 00:04:00+00');
SELECT lives_ok($$ SELECT millrace.rewind('q', 70, allow_duplicates => true) $$, 'what a window that begins later is made of is all there');
SELECT set_eq('SELECT * FROM pg_temp.has', 'SELECT * FROM kept_q', 'and is kept');
DELETE FROM mrt.raw;
SELECT pg_temp.refused($$ SELECT millrace.rewind('q', 0, allow_duplicates => true) $$, '55000', 'would erase aggregates of window "q2"', 'SELECT millrace.rebuild_window(''q2'')', 'a target without rows');
SELECT pg_temp.pasted(pg_temp.hint_of($$ SELECT millrace.rewind('q', 0, allow_duplicates => true) $$), 'that hint has commands, too');
SELECT is(millrace.rebuild_window('q2'), 0::bigint, 'said to be meant');
SELECT results_eq($$ SELECT millrace.rewind('q', 0, allow_duplicates => true), (SELECT count(*) FROM millrace.window_q2) $$, $$ VALUES (1, 0::bigint) $$, 'all is to come again');

SELECT * FROM finish();
ROLLBACK;
