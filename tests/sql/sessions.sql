-- Windows of sessions: what they are, and how they change. What bounds them is in session_bounds.sql.
BEGIN;
\ir helper.psql
\ir sessions.psql
SELECT plan(65);

SELECT pg_temp.pipeline('changes', 'update', '{id}');
-- what may be said wrongly
SELECT pg_temp.refused(pg_temp.make(more => 'gap => NULL'), '22004', 'gap', NULL, 'no gap');
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''1 month'''), '22023', 'gap is "1 mon", expected a time, or days', 'gap => ''30 min''', 'a gap of no fixed length');
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''0'''), '22023', 'gap is "00:00:00", expected 1 ms to 366 days', 'gap => ''30 min''', 'no time at all');
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''10 s'', max_session => ''5 s'''), '22023', 'max_session is "00:00:05" and gap "00:00:10", expected 1 to 1000 times the gap', 'max_session => ''00:16:40''', 'shorter than its gap');
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''10 s'', max_session => ''1 day'''), '22023', 'expected 1 to 1000 times', NULL, 'much longer');
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''10 s'', lateness => ''-1 s'''), '22023', 'lateness is', NULL, 'what is wrong with other windows');
SELECT pg_temp.refused(pg_temp.make('w', 'nowhere'), '42704', 'nowhere', NULL, 'an unknown pipeline');
SELECT pg_temp.refused(pg_temp.make('w', 'changes'), '0A000', 'pipeline "changes" changes rows of its target, so it cannot have a window of sessions', 'create_window()', 'a target whose rows change');
SELECT pg_temp.refused(pg_temp.make(), '55000', 'no index of table "mrt.reading" serves window "w"', 'CREATE INDEX ON mrt.reading (source, at);', 'without an index');
CREATE INDEX ON mrt.reading (at);
SELECT pg_temp.refused(pg_temp.make(), '55000', 'no index of table', NULL, 'one that does not have the groups is none');
SELECT pg_temp.refused($$ SELECT millrace.create_session_window('w', 'p', event_time => 'at', gap => '1 s', group_by => '{"lower(source) AS s"}', aggregates => 'count(*)') $$,
  '55000', 'no index', 'CREATE INDEX ON mrt.reading ((lower(source)), at);', 'of an expression');
SELECT pg_temp.pasted(pg_temp.hint_of(pg_temp.make()), 'the hint makes it');
CREATE INDEX ON mrt.reading (source, at);
RESET ROLE;
SET ROLE mrt_stranger;
SELECT pg_temp.refused(pg_temp.make(), '42501', 'pipeline "p"', NULL, 'a pipeline of somebody else''s');
SET ROLE mrt_owner;

-- what the target has already; nulls are a group, and a time that is none is outside
INSERT INTO mrt.reading (id, source, at, value) VALUES
  (1, 'a', '2026-01-01 00:00:00+00', 1), (2, 'a', '2026-01-01 00:00:09.999999+00', 2), (3, 'a', '2026-01-01 00:00:20+00', 4),  -- the gap ends where the next one begins
  (4, 'b', '2026-01-01 00:00:05+00', 1), (5, NULL, '2026-01-01 00:00:05+00', 1), (6, NULL, '2026-01-01 00:00:07+00', 2), (7, 'a', NULL, 1), (8, 'b', 'infinity', 1);
INSERT INTO mrt.reading (id, source, at, value) SELECT 100 + i, 'long', timestamptz '2026-01-01 00:00:33+00' + i * interval '7 s', i FROM generate_series(0, 40) AS i;
SELECT lives_ok(pg_temp.make(), 'a window of sessions');
SELECT pg_temp.equals('has those of the target');
SELECT results_eq($$ SELECT window_start, window_end, n FROM millrace.window_w WHERE source = 'a' ORDER BY 1 $$, $$ VALUES
  (timestamptz '2026-01-01 00:00:00+00', timestamptz '2026-01-01 00:00:19.999999+00', 2::bigint), ('2026-01-01 00:00:20+00', '2026-01-01 00:00:30+00', 1) $$, 'from the first row to the gap behind the last one');
SELECT results_eq($$ SELECT min(window_start), max(window_end), count(*), sum(n), max(window_end - window_start) FROM millrace.window_w WHERE source = 'long' $$,
  $$ VALUES (timestamptz '2026-01-01 00:00:33+00', timestamptz '2026-01-01 00:05:23+00', 6::bigint, 41::numeric, interval '1 min') $$, 'a long one is cut by the minute');
SELECT results_eq('SELECT kind, size, slide, gap, max_session, outside FROM millrace.windows', $$ VALUES ('recompute', NULL::interval, NULL::interval, interval '10 s', interval '1 min', 2::bigint) $$, 'as the view of windows has it');
SELECT set_eq('SELECT window_start, source, n FROM millrace.window_w', 'SELECT window_start, source, n FROM millrace.window_w_folded', 'both views have it');

-- what a batch would note that has written these rows
SELECT pg_temp.write(1000, 'a', '00:00:15');
SELECT results_eq($$ SELECT window_start, window_end, n, total FROM millrace.window_w WHERE source = 'a' $$, $$ VALUES
  (timestamptz '2026-01-01 00:00:00+00', timestamptz '2026-01-01 00:00:30+00', 4::bigint, 8::double precision) $$, 'a row that comes late makes one of two');
SELECT is((SELECT count(*) FROM millrace.window_w_folded WHERE source = 'a'), 2::bigint, 'what is folded is as it was');
SELECT pg_temp.equals('the reader has it');
SELECT ok(pg_temp.fold(), 'folded');
SELECT pg_temp.equals('it has replaced both');
SELECT set_eq('SELECT window_start, window_end, source, n FROM millrace.window_w', 'SELECT window_start, window_end, source, n FROM millrace.window_w_folded', 'what is folded has them, too');
SELECT pg_temp.write(1100, 'a', '00:00:45', '00:00:38', '00:00:52', '00:00:29');
SELECT pg_temp.equals('now it is longer than a minute, and cut');
SELECT results_eq($$ SELECT window_start, window_end, n FROM millrace.window_w WHERE source = 'a' ORDER BY 1 $$, $$ VALUES
  (timestamptz '2026-01-01 00:00:00+00', timestamptz '2026-01-01 00:01:00+00', 8::bigint) $$, 'at the end of the minute it has ended');
SELECT pg_temp.write(1200, 'a', '00:01:01');
SELECT pg_temp.fold();
SELECT pg_temp.equals('what comes behind is another one');
SELECT pg_temp.write(1300, 'long', '00:03:31');
SELECT pg_temp.fold();
SELECT pg_temp.equals('a row in the middle of a long one');
SELECT pg_temp.write(1400, NULL, '00:00:16', '00:00:01', '00:00:16');
SELECT pg_temp.equals('the group of nulls');
SELECT pg_temp.fold();
SELECT pg_temp.equals('the group of nulls, folded');

-- a model: rows of some groups, in time or late by anything, noted and folded whenever
CREATE FUNCTION pg_temp.model(rounds integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  first bigint := 10000;
  rows_of integer;
BEGIN
  PERFORM setseed(0.42);
  FOR i IN 1 .. rounds LOOP
    rows_of := CASE WHEN random() < 0.2 THEN 40 ELSE 3 END;
    INSERT INTO mrt.reading (id, source, at, value)
    SELECT first + k, (ARRAY['a', 'b', 'c', 'long', NULL])[1 + floor(random() * 5)],
           timestamptz '2026-01-01 00:00:00+00' + CASE WHEN random() < 0.7 THEN i * interval '20 s' + random() * interval '30 s' ELSE random() * rounds * interval '20 s' END, floor(random() * 100)
    FROM generate_series(1, rows_of) AS k;
    PERFORM pg_temp.note(array_agg(first + k)) FROM generate_series(1, rows_of / 2) AS k;  -- by two batches
    PERFORM pg_temp.note(array_agg(first + k)) FROM generate_series(rows_of / 2 + 1, rows_of) AS k;
    first := first + rows_of;
    IF EXISTS (SELECT FROM millrace.window_w AS w FULL JOIN pg_temp.truth() AS t
               ON ROW(w.window_start, w.window_end, w.source, w.n, w.total, w.middle)::record = ROW(t.window_start, t.window_end, t.source, t.n, t.total, t.middle)::record
               WHERE w.window_start IS NULL OR t.window_start IS NULL) THEN
      RETURN NEXT format('round %s differs', i);
    END IF;
    IF random() < 0.6 THEN
      PERFORM pg_temp.fold();
    END IF;
  END LOOP;
END $$;
SELECT is_empty('SELECT * FROM pg_temp.model(30)', 'equals the definition after each of 30 times two batches');
SELECT pg_temp.fold();
SELECT set_eq('SELECT window_start, window_end, source, n FROM millrace.window_w_folded', 'SELECT window_start, window_end, source, n FROM pg_temp.truth()', 'and when all is folded');
SELECT cmp_ok((SELECT max(t.window_end - t.window_start) FROM pg_temp.truth() AS t), '<=', interval '1 min', 'none is longer than max_session');
SELECT ok((SELECT count(*) > 20 AND count(*) FILTER (WHERE window_start = date_trunc('minute', window_start)) < count(*) FROM millrace.window_w), 'there are some');
SELECT is((SELECT groups FROM millrace.windows), (SELECT count(*) FROM millrace.window_w_folded), 'they are counted');

-- rebuilt as a whole and in part, after others have changed the target
DELETE FROM mrt.reading WHERE at BETWEEN '2026-01-01 00:05:30+00' AND '2026-01-01 00:06:10+00';
SELECT is(millrace.rebuild_window('w'), (SELECT count(*) FROM pg_temp.truth()), 'rebuilt');
SELECT pg_temp.equals('as the target is');
DELETE FROM mrt.reading WHERE at BETWEEN '2026-01-01 00:10:00+00' AND '2026-01-01 00:11:00+00';
SELECT cmp_ok(millrace.rebuild_window('w', '2026-01-01 00:07:00+00', '2026-01-01 00:14:00+00'), '>', 0::bigint, 'a part of it');
SELECT pg_temp.equals('a part as the target is');

-- a session on which a function fails, when all are filled
CREATE FUNCTION mrt.checked(state double precision, value double precision) RETURNS double precision IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  IF value = 77 THEN RAISE EXCEPTION '77 is not added'; END IF; RETURN state + value; END $$;
CREATE AGGREGATE mrt.checked_sum(double precision) (SFUNC = mrt.checked, STYPE = double precision, INITCOND = '0');
INSERT INTO mrt.reading (id, source, at, value) VALUES (80001, 'x', '2026-01-05 00:00:00+00', 77), (80002, 'x', '2026-01-05 00:00:05+00', 1), (80003, 'x', '2026-01-05 00:01:00+00', 2);
SELECT lives_ok($$ SELECT millrace.create_session_window('checked', 'p', event_time => 'at', gap => '10 s', group_by => '{source}', aggregates => 'count(*) AS n, mrt.checked_sum(value) AS total') $$, 'filled, though a function fails');
SELECT results_eq($$ SELECT window_end, n, total, error FROM millrace.window_checked WHERE source = 'x' ORDER BY 1 $$,
  $$ VALUES (timestamptz '2026-01-05 00:00:15+00', NULL::bigint, NULL::double precision, '77 is not added'), ('2026-01-05 00:01:10+00', 1, 2, NULL) $$, 'on one of them');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'checked'), (SELECT count(*) FROM millrace.window_checked), 'they are counted');
SELECT millrace.drop_window('checked');
DELETE FROM mrt.reading WHERE source = 'x';

-- without groups, with a condition, of another length
SELECT lives_ok($$ SELECT millrace.create_session_window('all_of_it', 'p', event_time => 'at', gap => '2 s', aggregates => 'count(*) AS n, max(source) AS top', "where" => 'value > 20') $$, 'without groups');
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_all_of_it', $$
  SELECT min(at), least(max(at) + interval '2 s', max(part) + interval '200 s'), count(*) FROM (SELECT *, CASE WHEN max(at) OVER r - min(at) OVER r > interval '198 s' THEN date_bin('200 s', at, '1900-01-01 00:00:00+00') END AS part FROM (
    SELECT *, count(*) FILTER (WHERE fresh) OVER (ORDER BY at, id) AS run FROM (SELECT *, (at - lag(at) OVER (ORDER BY at, id) < '2 s') IS NOT TRUE AS fresh FROM mrt.reading WHERE isfinite(at) AND value > 20) AS t) AS t
  WINDOW r AS (PARTITION BY run)) AS t GROUP BY run, part $$, 'equals the definition');
SELECT results_eq($$ SELECT max_session FROM millrace.windows WHERE name = 'all_of_it' $$, $$ VALUES (interval '200 s') $$, 'of 100 gaps, if not said otherwise');

-- where an expression fails on a row that was there before
INSERT INTO mrt.reading (id, source, at, value) VALUES (90001, 'bad', '2026-01-03 00:00:00+00', 0);
SELECT lives_ok($$ SELECT millrace.create_session_window('strict', 'p', event_time => 'at', gap => '10 s', group_by => '{source}', aggregates => 'count(*) AS n', "where" => '10 / value > 0', backfill => false) $$, 'a condition that may fail');
INSERT INTO mrt.reading (id, source, at, value) VALUES (90002, 'bad', '2026-01-03 00:00:05+00', 1), (90003, 'good', '2026-01-03 00:00:05+00', 1), (90004, 'bad', '2026-01-03 00:00:28+00', 1);
SELECT pg_temp.note('{90002,90003,90004}', 'strict');
CREATE VIEW pg_temp.strict AS SELECT source, n, error FROM millrace.window_strict WHERE window_start > '2026-01-02 00:00:00+00';
SELECT set_eq('TABLE pg_temp.strict', $$ VALUES ('bad', NULL::bigint, 'division by zero'), ('good', 1, NULL), ('bad', 1, NULL) $$, 'is the error of what is near to it');
SELECT ok(pg_temp.fold('strict'), 'a fold goes on');
SELECT set_eq('TABLE pg_temp.strict', $$ VALUES ('bad', NULL::bigint, 'division by zero'), ('good', 1, NULL), ('bad', 1, NULL) $$, 'and keeps it');
DROP VIEW pg_temp.strict;

-- the pipeline has to go on as it is
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', on_conflict => 'update', conflict_key => '{id}') $$, '0A000', 'cannot have a window of sessions', NULL, 'the target may only grow');
SELECT lives_ok($$ SELECT millrace.drop_window(w.name) FROM millrace.windows AS w $$, 'dropped');

-- closed, final, late, published
DELETE FROM mrt.reading;
INSERT INTO mrt.reading (id, source, at, value) VALUES (1, 'a', '2026-01-01 00:00:00+00', 1), (2, 'a', '2026-01-01 00:00:12+00', 2), (3, 'a', '2026-01-01 00:00:30+00', 3), (4, 'b', '2026-01-01 00:00:30+00', 4);
SELECT lives_ok(pg_temp.make(more => 'gap => ''10 s'', max_session => ''1 min'', lateness => ''1 h'', output_topic => ''closed'''), 'a window that is published');
RESET ROLE;
-- what a publishing gives that comes a second later
CREATE FUNCTION pg_temp.published() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM millrace.window_output;
  EXECUTE (SELECT format('UPDATE millrace._window_%s_revision SET written_at = written_at - interval ''1 s''', id) FROM millrace.window_definition WHERE name = 'w');
  PERFORM millrace._publish_window(id, 100) FROM millrace.window_definition WHERE name = 'w';
  RETURN QUERY SELECT concat_ws(' ', v ->> 'source', substr(v ->> 'window_start', 18, 2), substr(v ->> 'window_end', 15, 5), coalesce('n ' || (v ->> 'n'), 'deleted ' || (v ->> 'deleted')), 'revision ' || (v ->> 'revision'), CASE v ->> 'final' WHEN 'true' THEN 'final' END)
  FROM (SELECT convert_from(o.payload, 'UTF8')::jsonb AS v FROM millrace.window_output AS o) AS o;
END $$;
SELECT pg_temp.mark('00:00:25', '00:00:00');
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('a 00 00:10 n 1 revision 1'), ('a 12 00:22 n 1 revision 1') $$, 'what is closed is published');
SELECT pg_temp.write(2000, 'a', '00:00:05');
SELECT pg_temp.fold();
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('a 00 00:22 n 3 revision 2'), ('a 12 00:22 deleted true revision 2') $$, 'one that takes in another one, and that that is gone');
SELECT pg_temp.write(2100, 'a', '00:00:21');
SELECT pg_temp.fold();
SELECT is_empty('SELECT * FROM pg_temp.published()', 'one that has become open again waits');
SELECT pg_temp.mark('00:00:50', '00:00:45');
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('a 00 00:40 n 5 revision 3 final'), ('b 30 00:40 n 1 revision 1 final') $$, 'until it is closed');
SELECT results_eq('SELECT source, window_end, closed, final, revision FROM millrace.window_w ORDER BY 1', $$ VALUES
  ('a', timestamptz '2026-01-01 00:00:40+00', true, true, 3), ('b', '2026-01-01 00:00:40+00', true, true, 1) $$, 'the view has their revisions');
SELECT pg_temp.write(2200, 'b', '00:00:25'), pg_temp.write(2300, 'b', '00:00:39');
SELECT pg_temp.fold();
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('b 25 00:49 n 3 revision 1'), ('b 30 00:40 deleted true revision 2 final') $$, 'one that was final is deleted when it is part of one that is not');
SELECT results_eq('SELECT window_start, rows FROM millrace.late_rows', $$ VALUES (timestamptz '2026-01-01 00:00:30+00', 2::bigint) $$, 'rows are late that come to one that was final');
SELECT pg_temp.write(2400, 'a', '00:00:38', '00:00:38');
SELECT pg_temp.fold();
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('a 00 00:48 n 7 revision 4') $$, 'and is published again when it is longer');
SELECT pg_temp.write(2500, 'c', '00:00:20');
SELECT pg_temp.fold();
SELECT is_empty('SELECT * FROM pg_temp.published()', 'what comes to a final one is in the view alone');
SELECT is((SELECT late FROM millrace.windows), 5::bigint, 'late, too');
SELECT pg_temp.write(2600, 'd', '00:00:42', '00:00:50', '00:00:58', '00:01:06');
SELECT pg_temp.fold();
SELECT pg_temp.mark('00:01:15', '00:01:15');
SELECT is_empty('SELECT * FROM pg_temp.published()', 'one that is open');
SELECT pg_temp.write(2700, 'd', '00:01:14', '00:01:22', '00:01:30', '00:01:38');
SELECT pg_temp.fold();
SELECT set_eq('SELECT * FROM pg_temp.published()', $$ VALUES ('d 42 01:00 n 3 revision 1 final') $$, 'is published when it is cut, however long ago that part has ended');

SELECT * FROM finish();
ROLLBACK;
