-- Windows of sessions: what bounds them, what closes them, what can be altered, and what doctor() says.
BEGIN;
\ir helper.psql
\ir sessions.psql
SELECT plan(82);
CREATE INDEX ON mrt.reading (source, at);
RESET ROLE;
CREATE FUNCTION pg_temp.kept(name text DEFAULT 'w') RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE (SELECT format('SELECT count(*) FROM millrace._window_%s_folded', d.id) FROM millrace.window_definition AS d WHERE d.name = kept.name) INTO n;
  RETURN n;
END $$;
CREATE FUNCTION pg_temp.finding(what text, OUT detail text, OUT command text) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT d.detail, d.command FROM millrace.doctor() AS d WHERE d.what LIKE finding.what;
$$;
SET ROLE mrt_owner;

-- max_groups
SELECT pg_temp.refused(pg_temp.make(more => 'gap => ''10 s'', max_groups => 0'), '22023', 'max_groups is 0, expected 1 to 1000000000', '10000000', 'no groups');
SELECT lives_ok(pg_temp.make(more => 'gap => ''10 s'', max_session => ''1 min'', max_groups => 4, lateness => ''5 min'''), 'a window with few groups');
SELECT results_eq($$ SELECT max_groups, groups, kept_from FROM millrace.windows $$, $$ VALUES (4::bigint, 0::bigint, NULL::timestamptz) $$, 'as the view has it');
SELECT pg_temp.write(100, 'a', '00:00:01', '00:01:01', '00:02:01'), pg_temp.write(200, 'b', '00:00:02', '00:01:02', '00:02:02'), pg_temp.write(300, 'c', '00:00:03', '00:01:03', '00:02:03');
SELECT ok(pg_temp.fold(), 'nine sessions');
SELECT pg_temp.equals('those that are open stay');
SELECT results_eq($$ SELECT detail, command FROM pg_temp.finding('window "w": too many groups are open') $$,
  $$ VALUES ('It has 9 groups, and max_groups is 4. Windows leave when they are closed.', 'SELECT millrace.alter_window(''w'', max_groups => 18); or choose fewer groups') $$, 'and doctor says so');
SELECT pg_temp.mark('00:01:30', '00:00:00');
SELECT pg_temp.fold();
SELECT set_eq('SELECT window_start, source FROM millrace.window_w', $$ SELECT window_start, source FROM pg_temp.truth() WHERE window_start > '2026-01-01 00:01:02+00' $$,
  'the oldest that are closed leave');
SELECT results_eq($$ SELECT groups, kept_from, left_at > now() - interval '1 min' FROM millrace.windows $$, $$ VALUES (4::bigint, timestamptz '2026-01-01 00:01:02.000001+00', true) $$, 'as many as are too many');
SELECT is(pg_temp.kept(), 4::bigint, 'with their rows');
SELECT pg_temp.pasted((SELECT command FROM pg_temp.finding('window "w": its oldest windows leave early')), 'doctor says how they come back');
SELECT pg_temp.write(400, 'a', '00:00:05', '00:01:07'), pg_temp.write(500, 'new', '00:02:30');
SELECT set_eq('SELECT window_start, source FROM millrace.window_w', $$ SELECT window_start, source FROM pg_temp.truth() WHERE window_start > '2026-01-01 00:01:02+00' $$,
  'rows of what has left do not bring it back in pieces');
SELECT pg_temp.fold();
SELECT set_eq('SELECT window_start, source FROM millrace.window_w_folded', $$ SELECT window_start, source FROM pg_temp.truth() WHERE window_start > '2026-01-01 00:01:03+00' $$,
  'nor when they are folded, and another one leaves');
SELECT lives_ok($$ SELECT millrace.alter_window('w', max_groups => 100); SELECT millrace.rebuild_window('w') $$, 'more of them');
SELECT pg_temp.equals('come back whole');
SELECT is_empty($$ SELECT FROM pg_temp.finding('window "w": %') $$, 'and doctor has nothing to say');

-- one that is open stays, and what has begun behind it
SELECT lives_ok(pg_temp.make('long', more => 'gap => ''10 s'', max_groups => 1, lateness => ''5 min'', backfill => false'), 'long ones');
INSERT INTO mrt.reading (id, source, at, value)
SELECT 5000 + i, 'long ' || source, timestamptz '2026-01-02 00:00:00+00' + "from" + i % 100 * interval '9 s', 1
FROM (VALUES ('first', interval '-1 min', 0, 0), ('open', '0', 100, 106), ('short', '5 s', 200, 200)) AS v (source, "from", low, high) CROSS JOIN LATERAL generate_series(low, high) AS i;
SELECT pg_temp.note(array_agg(r.id), 'long') FROM mrt.reading AS r WHERE r.source LIKE 'long%';
SELECT pg_temp.fold('long'), pg_temp.mark('23:59:59.999999', '00:00:00', 'long');
RESET ROLE;
UPDATE millrace.window_mark AS m SET watermark = '2026-01-02 00:00:40+00' FROM millrace.window_definition AS d WHERE d.id = m.window_id AND d.name = 'long';
SET ROLE mrt_owner;
SELECT pg_temp.fold('long');
SELECT set_eq('SELECT source, closed FROM millrace.window_long', $$ VALUES ('long open', false), ('long short', true) $$, 'only what is before all that are open leaves');
SELECT is(pg_temp.kept('long'), 2::bigint, 'with its rows');
SELECT lives_ok($$ SELECT millrace.drop_window('long') $$, 'dropped');
DELETE FROM mrt.reading WHERE source LIKE 'long%';

-- late
SELECT pg_temp.mark('00:03:00', '00:02:40');
SELECT pg_temp.write(600, 'a', '00:02:07');
SELECT pg_temp.fold();
SELECT results_eq($$ SELECT window_start, rows FROM millrace.late_rows $$, $$ VALUES (timestamptz '2026-01-01 00:02:01+00', 1::bigint) $$, 'a row that comes to a session that was final');
SELECT is((SELECT command FROM pg_temp.finding('window "w": rows come when their windows are final')), 'SELECT millrace.alter_window(''w'', lateness => ''00:01:00'');', 'and the lateness that is enough');
SELECT lives_ok($$ SELECT millrace.alter_window('w', lateness => '00:01:00') $$, 'altered');
SELECT pg_temp.mark('00:10:00', '00:02:40');
SELECT pg_temp.fold();
SELECT results_eq($$ SELECT watermark, lateness FROM millrace.windows $$, $$ VALUES (timestamptz '2026-01-01 00:10:00+00', interval '1 min') $$, 'what the watermark has passed');
SELECT set_eq($$ SELECT DISTINCT final FROM millrace.window_w $$, '{true}'::boolean[], 'is final, a minute later');
SELECT pg_temp.equals('all of it is as the target');

-- the watermark: held back, and closed without more events
RESET ROLE;
UPDATE millrace.window_mark SET stalled_since = now() - interval '6 min', held_by = 0, held_why = 'events are staged';
SELECT is((SELECT count(*) FROM pg_temp.finding('window "w": its watermark does not move')), 1::bigint, 'doctor says what holds it back');
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_window('w') $$, 'dropped');
SELECT lives_ok(pg_temp.make('idle', more => 'gap => ''10 s'', close_idle => ''1 min'''), 'one that is closed when nothing comes');
SELECT lives_ok(pg_temp.make('waits', more => 'gap => ''10 s'''), 'one that is not');
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{0}'), millrace.report_watermarks('p', '{0}', '{0}', '{NULL}', true);
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT d.id, clock_timestamp() - interval '2 min', '{0}', ARRAY[timestamptz '2026-01-01 00:02:30+00'], clock_timestamp() - interval '2 min', '-infinity', '-infinity' FROM millrace.window_definition AS d;
SET ROLE mrt_owner;
SELECT pg_temp.fold('idle'), pg_temp.fold('waits');
SELECT results_eq('SELECT name, watermark FROM millrace.windows ORDER BY 1', $$ VALUES ('idle', timestamptz '2026-01-01 00:02:40+00'), ('waits', '2026-01-01 00:02:30+00') $$, 'at the gap behind the last row');
SELECT results_eq($$ SELECT closed FROM millrace.window_idle WHERE source = 'new' UNION ALL SELECT closed FROM millrace.window_waits WHERE source = 'new' $$, '{true,false}'::boolean[], 'the last session is closed');
SELECT lives_ok($$ SELECT millrace.alter_window('waits', delay => '1 min', output_topic => 'closed') $$, 'a delay, and a topic');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('waits', delay => '-1 s') $$, '22023', 'delay is', NULL, 'no delay');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('waits') $$, '22023', 'nothing to change', NULL, 'nothing');
SELECT pg_temp.fold('waits');
SELECT results_eq($$ SELECT watermark, delay, output_topic FROM millrace.windows WHERE name = 'waits' $$, $$ VALUES (timestamptz '2026-01-01 00:02:30+00', interval '1 min', 'closed') $$, 'a watermark does not go back');
RESET ROLE;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT d.id, clock_timestamp(), '{0}', ARRAY[timestamptz '2026-01-01 00:05:00+00'], clock_timestamp(), '2026-01-01 00:02:30+00', '-infinity' FROM millrace.window_definition AS d WHERE d.name = 'waits';
SET ROLE mrt_owner;
SELECT pg_temp.fold('waits');
SELECT is((SELECT watermark FROM millrace.windows WHERE name = 'waits'), '2026-01-01 00:04:00+00'::timestamptz, 'and is a minute behind from then on');
SELECT lives_ok($$ SELECT millrace.alter_window('waits', output_topic => 'off') $$, 'no topic');
SELECT is((SELECT output_topic FROM millrace.windows WHERE name = 'waits'), NULL, 'as the view has it');
SELECT lives_ok($$ SELECT millrace.drop_window(w.name) FROM millrace.windows AS w $$, 'dropped');

-- retention
DELETE FROM mrt.reading;
INSERT INTO mrt.reading (id, source, at, value) SELECT i, 'old', now() - interval '2 h' + i * interval '1 s', 1 FROM generate_series(1, 3) AS i;
INSERT INTO mrt.reading (id, source, at, value) SELECT 10 + i, 'long', now() - interval '61 min' + i * interval '9 s', 1 FROM generate_series(1, 10) AS i;
INSERT INTO mrt.reading (id, source, at, value) VALUES (30, 'new', now() - interval '1 min', 1);
SELECT lives_ok(pg_temp.make('r', more => 'gap => ''10 s'', max_session => ''10 min'', retention => ''1 h'''), 'kept for an hour');
SELECT set_eq('SELECT source, n FROM millrace.window_r', $$ VALUES ('long', 10::bigint), ('new', 1) $$, 'what has ended before is not there, the rest is whole');
CREATE FUNCTION pg_temp.folds(name text, first bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 17 LOOP
    INSERT INTO mrt.reading (id, source, at, value) VALUES (first + i, 'new', now() - i * interval '2 s', 1);
    PERFORM pg_temp.note(ARRAY[first + i], name), pg_temp.fold(name);
  END LOOP;
END $$;
SELECT pg_temp.folds('r', 1000);
SELECT is(pg_temp.kept('r'), (SELECT count(*) FROM millrace.window_r), 'nor in the table, some folds later');
SELECT lives_ok($$ SELECT millrace.alter_window('r', retention => '0') $$, 'kept for good');
SELECT cmp_ok(millrace.rebuild_window('r'), '>', 0::bigint, 'rebuilt');
SELECT pg_temp.equals('and all is there again', 'r', '10 s', '10 min');
SELECT lives_ok($$ SELECT millrace.alter_window('r', retention => '30 min') $$, 'kept for less');
SELECT set_eq('SELECT DISTINCT source FROM millrace.window_r', '{new}'::text[], 'is gone at once');
SELECT lives_ok($$ SELECT millrace.drop_window('r') $$, 'dropped');

-- rebuilt in part: a session may begin elsewhere in the target than in the table
DELETE FROM mrt.reading;
SELECT lives_ok(pg_temp.make('part', more => 'gap => ''10 s'', max_session => ''1 min'''), 'sessions that rows join and part');
CREATE FUNCTION pg_temp.rows(first bigint, VARIADIC at text[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO mrt.reading (id, source, at, value) SELECT first + a.place, 'a', ('2026-01-01 ' || a.at || '+00')::timestamptz, a.place FROM unnest(at) WITH ORDINALITY AS a (at, place);
$$;
SELECT pg_temp.rows(2000, '01:00:50', '01:00:58', '01:01:09', '01:01:15'), millrace.rebuild_window('part');
SELECT pg_temp.rows(2100, '01:01:03');
SELECT is(millrace.rebuild_window('part', '2026-01-01 01:00:00+00', '2026-01-01 01:01:05+00'), 1::bigint, 'one that was two, of which the second began at "to" or later');
SELECT pg_temp.equals('is there once', 'part');
DELETE FROM mrt.reading WHERE at BETWEEN '2026-01-01 01:00:58+00' AND '2026-01-01 01:01:03+00';
SELECT is(millrace.rebuild_window('part', '2026-01-01 01:00:55+00', '2026-01-01 01:02:00+00'), 2::bigint, 'two that were one, which began before "from"');
SELECT pg_temp.equals('are there once', 'part');
SELECT millrace.rebuild_window('part'), pg_temp.rows(2200, '01:00:58', '01:01:03');
SELECT is(millrace.rebuild_window('part', '2026-01-01 01:00:55+00', '2026-01-01 01:02:00+00'), 1::bigint, 'one that was two, and begins before "from"');
SELECT pg_temp.equals('is not lost', 'part');
SELECT lives_ok($$ SELECT millrace.rebuild_window('part', '4713-01-01 BC', '294000-01-01') $$, 'to the ends of time');
SELECT pg_temp.equals('which is all', 'part');
SELECT lives_ok($$ SELECT millrace.drop_window('part') $$, 'dropped');

-- target_since: rows are removed, what they gave stays
DELETE FROM mrt.reading;
SELECT lives_ok(pg_temp.make(), 'sessions of rows that are to be removed');
SELECT pg_temp.write(100, 'a', '00:00:00', '00:00:09', '00:00:18'), pg_temp.write(200, 'b', '00:00:50', '00:00:59', '00:01:05'), pg_temp.write(300, 'a', '00:02:00');
SELECT pg_temp.fold();
SELECT lives_ok($$ SELECT millrace.alter_window('w', target_since => '2026-01-01 00:01:00+00') $$, 'since a minute');
CREATE TEMP TABLE had AS SELECT window_start, window_end, source, n, total FROM millrace.window_w;
CREATE VIEW pg_temp.has AS SELECT window_start, window_end, source, n, total FROM millrace.window_w;
DELETE FROM mrt.reading WHERE at < '2026-01-01 00:01:00+00';
SELECT set_eq('TABLE pg_temp.has', 'TABLE had', 'nothing has changed');
SELECT pg_temp.write(400, 'a', '00:00:12', '00:00:25'), pg_temp.write(500, 'b', '00:01:11'), pg_temp.write(600, 'c', '00:00:30'), pg_temp.write(700, 'a', '00:02:05');
UPDATE had SET n = 2, total = 2, window_end = '2026-01-01 00:02:15+00' WHERE window_start = '2026-01-01 00:02:00+00';
SELECT set_eq('TABLE pg_temp.has', 'TABLE had', 'a session that begins before stays as it was, whatever comes to it; others are computed');
SELECT pg_temp.fold();
SELECT set_eq('TABLE pg_temp.has', 'TABLE had', 'nor does the fold erase it');
SELECT is((SELECT not_recomputed FROM millrace.windows), 4::bigint, 'what was left alone is counted');
SELECT pg_temp.write(800, 'b', '00:01:30');
SELECT is((SELECT n FROM millrace.window_w WHERE source = 'b' AND window_start = '2026-01-01 00:01:30+00'), 1::bigint, 'what is farther away is a session of its own');
SELECT pg_temp.fold();
CREATE TEMP TABLE folded AS TABLE pg_temp.has;
SELECT is(millrace.rebuild_window('w'), (SELECT count(*) FROM folded WHERE window_start >= '2026-01-01 00:01:00+00'), 'rebuilt');
SELECT set_eq('TABLE pg_temp.has', 'TABLE folded', 'rows of a session that begins before are not counted in a second one');
SELECT is((SELECT groups FROM millrace.windows), pg_temp.kept(), 'as many groups as there are');
SELECT lives_ok(pg_temp.make('since', more => 'gap => ''10 s'', target_since => ''2026-01-01 00:02:00+00'''), 'one that is made when rows have been removed');
SELECT set_eq('SELECT window_start, source, n FROM millrace.window_since', $$ VALUES (timestamptz '2026-01-01 00:02:00+00', 'a', 2::bigint) $$, 'is of the rest');

-- what a rebuild finds in no session that it may make stays as it is
DROP VIEW pg_temp.has;
SELECT millrace.drop_window('w'), millrace.drop_window('since');
DELETE FROM mrt.reading;
SELECT lives_ok(pg_temp.make('back', more => 'gap => ''10 s'', max_session => ''1 min'''), 'sessions that target_since is in between');
CREATE FUNCTION pg_temp.times(first bigint, source text, "from" timestamptz, VARIADIC seconds integer[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO mrt.reading (id, source, at, value) SELECT first + a.place, source, "from" + a.s * interval '1 s', 1 FROM unnest(seconds) WITH ORDINALITY AS a (s, place);
$$;
SELECT pg_temp.times(3000, 'joined', '2026-01-01 02:00:00+00', -10, -5, 7, 15), pg_temp.times(3100, 'cut', '2026-01-01 02:00:00+00', -10, -5, 12, 20, 28, 36, 44, 52, 60),
       pg_temp.times(3200, 'was cut', '2026-01-01 02:00:00+00', -40, -32, -24, -16, -8, 0, 8, 16, 24, 32, 40), pg_temp.times(3300, 'gone', '2026-01-01 02:00:00+00', 10),
       pg_temp.times(3400, 'far', '2026-01-01 02:00:00+00', 130);
SELECT millrace.rebuild_window('back'), millrace.alter_window('back', target_since => '2026-01-01 01:59:50.000001+00');
CREATE TEMP TABLE before_rows AS SELECT source, window_start, window_end, n FROM millrace.window_back;
SELECT results_eq($$ SELECT window_start, n FROM before_rows WHERE source = 'was cut' ORDER BY 1 $$, $$ VALUES (timestamptz '2026-01-01 01:59:20+00', 5::bigint), ('2026-01-01 02:00:00+00', 6) $$, 'one is cut');
DELETE FROM mrt.reading WHERE source = 'gone';
SELECT pg_temp.times(3500, 'joined', '2026-01-01 02:00:00+00', 3), pg_temp.times(3600, 'cut', '2026-01-01 02:00:00+00', 3, 8);
SELECT millrace.rebuild_window('back');
DELETE FROM before_rows WHERE source = 'gone';
UPDATE before_rows SET window_end = '2026-01-01 02:01:00+00', n = 6 WHERE source = 'cut' AND window_start = '2026-01-01 02:00:12+00';
INSERT INTO before_rows VALUES ('cut', '2026-01-01 02:01:00+00', '2026-01-01 02:01:10+00', 1);
SELECT set_eq('SELECT source, window_start, window_end, n FROM millrace.window_back', 'TABLE before_rows', 'rows that join sessions around target_since make nobody lose any, and count none twice');
SELECT is((SELECT groups FROM millrace.windows), pg_temp.kept('back'), 'as many groups as there are, again');
DELETE FROM mrt.reading WHERE at < '2026-01-01 01:59:50.000001+00';
SELECT millrace.rebuild_window('back');
SELECT set_eq('SELECT source, window_start, window_end, n FROM millrace.window_back', 'TABLE before_rows', 'nor when older rows have been removed');
SELECT millrace.rebuild_window('back', '2026-01-01 01:00:00+00', '2026-01-01 02:00:05+00');
SELECT set_eq('SELECT source, window_start, window_end, n FROM millrace.window_back', 'TABLE before_rows', 'nor in part');
SELECT is((SELECT groups FROM millrace.windows), pg_temp.kept('back'), 'and that many groups');

-- without keys, and where a function fails on a session
DELETE FROM mrt.reading;
CREATE INDEX ON mrt.reading (at);
SELECT pg_temp.times(4000, 'joined', '2026-01-01 02:00:00+00', -10, -5, 7, 15, 130);
SELECT lives_ok($$ SELECT millrace.create_session_window('fails', 'p', event_time => 'at', gap => '10 s', max_session => '1 min', aggregates => 'count(DISTINCT id) AS n, 6 / (sum(value) - 2)::integer AS v') $$, 'one that fails');
SELECT results_eq('SELECT error, v FROM millrace.window_fails ORDER BY window_start', $$ VALUES ('division by zero', NULL::integer), ('division by zero', NULL), (NULL, -6) $$, 'on two of its sessions');
CREATE TEMP TABLE before_fails AS SELECT window_start, window_end, error, v FROM millrace.window_fails;
SELECT millrace.alter_window('fails', target_since => '2026-01-01 02:00:00+00');
SELECT pg_temp.times(4100, 'joined', '2026-01-01 02:00:00+00', 3, 230, 232);
INSERT INTO before_fails VALUES ('2026-01-01 02:03:50+00', '2026-01-01 02:04:02+00', 'division by zero', NULL);
SELECT millrace.rebuild_window('fails');
SELECT set_eq('SELECT window_start, window_end, error, v FROM millrace.window_fails', 'TABLE before_fails', 'is kept, too');

-- a model: rows come around target_since, before it some are removed, and some of the rest
SELECT millrace.drop_window('back'), millrace.drop_window('fails');
CREATE FUNCTION pg_temp.model(rounds integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz;
BEGIN
  PERFORM setseed(0.42);
  CREATE TEMP TABLE was (window_start timestamptz, window_end timestamptz, source text, n bigint);
  FOR i IN 1 .. rounds LOOP
    DELETE FROM mrt.reading;
    DELETE FROM was;
    INSERT INTO mrt.reading (id, source, at, value)
    SELECT k, (ARRAY['a', 'b', NULL])[1 + floor(random() * 3)], timestamptz '2026-01-01 00:00:00+00' + floor(random() * 300) * interval '1 s', 1 FROM generate_series(1, 40 + 20 * (i % 3)) AS k;
    PERFORM millrace.alter_window('m', target_since => '-infinity');
    PERFORM millrace.rebuild_window('m');
    since := timestamptz '2026-01-01 00:01:00+00' + floor(random() * 120) * interval '1 s';
    PERFORM millrace.alter_window('m', target_since => since);
    INSERT INTO was SELECT m.window_start, m.window_end, m.source, m.n FROM millrace.window_m AS m;
    DELETE FROM mrt.reading WHERE at < since AND i % 2 = 0 OR random() < 0.05;
    INSERT INTO mrt.reading (id, source, at, value)
    SELECT 1000 + k, (ARRAY['a', 'b', NULL])[1 + floor(random() * 3)], timestamptz '2026-01-01 00:00:00+00' + floor(random() * 300) * interval '1 s', 1 FROM generate_series(1, 20) AS k;
    PERFORM millrace.rebuild_window('m', CASE WHEN i % 5 > 0 THEN '-infinity' ELSE since END, 'infinity');
    RETURN QUERY SELECT format('round %s: %s %s', i, x.what, x.source) FROM (
      SELECT 'a session of before has changed' AS what, o.source FROM was AS o WHERE o.window_start < since
        AND NOT EXISTS (SELECT FROM millrace.window_m AS m WHERE (m.window_start, m.window_end, m.n) = (o.window_start, o.window_end, o.n) AND m.source IS NOT DISTINCT FROM o.source)
      UNION ALL SELECT 'another number of rows', m.source FROM millrace.window_m AS m WHERE m.window_start >= since
        AND m.n <> (SELECT count(*) FROM mrt.reading AS r WHERE r.at >= m.window_start AND r.at < m.window_end AND r.source IS NOT DISTINCT FROM m.source)
      UNION ALL SELECT 'rows in two', m.source FROM millrace.window_m AS m JOIN millrace.window_m AS o ON o.window_start > m.window_start AND o.window_start < m.window_end AND o.source IS NOT DISTINCT FROM m.source
      UNION ALL SELECT 'a row in none', r.source FROM mrt.reading AS r
        WHERE (r.at >= since + interval '3 min' OR EXISTS (SELECT FROM was AS o WHERE r.at >= o.window_start AND r.at < o.window_end AND o.window_start >= since AND o.source IS NOT DISTINCT FROM r.source))
        AND NOT EXISTS (SELECT FROM millrace.window_m AS m WHERE r.at >= m.window_start AND r.at < m.window_end AND r.source IS NOT DISTINCT FROM m.source)
      UNION ALL SELECT 'is not the truth', t.source FROM pg_temp.truth() AS t WHERE t.window_start >= since + interval '3 min'
        AND NOT EXISTS (SELECT FROM millrace.window_m AS m WHERE (m.window_start, m.window_end, m.n) = (t.window_start, t.window_end, t.n) AND m.source IS NOT DISTINCT FROM t.source)
      UNION ALL SELECT 'are not so many', NULL FROM millrace.windows AS w WHERE w.groups <> (SELECT count(*) FROM millrace.window_m)) AS x;
  END LOOP;
END $$;
SELECT lives_ok(pg_temp.make('m'), 'sessions for it');
SELECT is_empty('SELECT * FROM pg_temp.model(20)', 'each row that counted and is still there counts once, 20 times');

SELECT * FROM finish();
ROLLBACK;
