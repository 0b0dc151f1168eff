BEGIN;
\ir helper.psql
SELECT plan(46);

SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS pipeline \gset
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', max_groups => 0) $$, '22023',
  'max_groups is 0, expected 1 to 1000000000', '10000000', 'no groups');
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s', lateness => '1 h') AS w \gset
SELECT is((SELECT max_groups FROM millrace.windows WHERE name = 'w'), 10000000::bigint, 'by default');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('w', max_groups => -1) $$, '22023', 'max_groups is -1', NULL, 'fewer than none');
SELECT lives_ok($$ SELECT millrace.alter_window('w', max_groups => 5) $$, 'it can be changed');
SELECT results_eq($$ SELECT max_groups, groups, kept_from, left_at FROM millrace.windows WHERE name = 'w' $$, $$ VALUES (5::bigint, 0::bigint, NULL::timestamptz, NULL::timestamptz) $$, 'as the view has it');
RESET ROLE;

\ir windows.psql
CREATE FUNCTION pg_temp.findings(what text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT d.detail FROM millrace.doctor() AS d WHERE d.what LIKE findings.what;
$$;

-- what is open stays
SELECT pg_temp.add('w', 0, '{a,b,c}'), pg_temp.add('w', 1, '{a,b,c}'), pg_temp.add('w', 2, '{a,b,c}');
SELECT is(pg_temp.fold('w'), true, 'more groups than that');
SELECT is((SELECT count(*) FROM millrace.window_w), 9::bigint, 'of windows that are open stay');
SELECT results_eq($$ SELECT groups, kept_from FROM millrace.windows WHERE name = 'w' $$, $$ VALUES (9::bigint, NULL::timestamptz) $$, 'they are counted');
SELECT is(pg_temp.findings('window "w": too many groups are open'), 'It has 9 groups, and max_groups is 5. Windows leave when they are closed.', 'and doctor says so');
SELECT is((SELECT count(*) FROM pg_temp.findings('window "w": %leave early')), 0::bigint, 'nothing has left');
SELECT pg_temp.add('w', 2, '{a,b}');
SELECT pg_temp.fold('w');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'w'), 9::bigint, 'what folds add to groups that there are is merged');
SELECT set_eq($$ SELECT window_start, source, n FROM millrace.window_w $$, $$ SELECT date_trunc('minute', at), source, count(*) FROM mrt.reading GROUP BY 1, 2 $$, 'and equals GROUP BY');

-- the oldest that are closed leave, whole
SELECT pg_temp.watermark('w', '2026-01-01 00:02:30+00');
SELECT pg_temp.fold('w');
SELECT set_eq($$ SELECT DISTINCT window_start FROM millrace.window_w $$, $$ VALUES (timestamptz '2026-01-01 00:02:00+00') $$, 'the oldest windows leave, until there are no more groups than that');
SELECT is(pg_temp.kept('w'), 3::bigint, 'with their rows');
SELECT results_eq($$ SELECT groups, kept_from, left_at > now() - interval '1 min' FROM millrace.windows WHERE name = 'w' $$, $$ VALUES (3::bigint, timestamptz '2026-01-01 00:02:00+00', true) $$, 'the view says so');
SELECT matches(pg_temp.findings('window "w": its oldest windows leave early'), 'It has more groups than max_groups = 5: windows that begin before .* have left', 'and doctor');
SELECT is((SELECT count(*) FROM pg_temp.findings('window "w": too many groups are open')), 0::bigint, 'no longer are too many open');
SET ROLE mrt_owner;
SELECT pg_temp.pasted((SELECT d.command FROM millrace.doctor() AS d WHERE d.what = 'window "w": its oldest windows leave early'), 'with commands');
RESET ROLE;
SELECT pg_temp.add('w', 0, '{a,new}'), pg_temp.add('w', 2, '{new}');
SELECT pg_temp.fold('w');
SELECT is((SELECT string_agg(format('%s %s', window_start AT TIME ZONE 'UTC', source), ', ' ORDER BY source) FROM millrace.window_w WHERE source = 'new'), '2026-01-01 00:02:00 new',
          'rows of what has left do not bring it back in pieces');
SELECT is(pg_temp.kept('w'), 4::bigint, 'nor are they kept');

-- it comes back whole
SET ROLE mrt_owner;
SELECT millrace.alter_window('w', max_groups => 100);
SELECT is(millrace.rebuild_window('w', '2026-01-01 00:00:00+00', '2026-01-01 00:01:00+00'), 7::bigint, 'all that begins at from or later and has left is rebuilt');
SELECT set_eq($$ SELECT window_start, source, n, s FROM millrace.window_w $$, $$ SELECT date_trunc('minute', at), source, count(*), sum(value) FROM mrt.reading GROUP BY 1, 2 $$, 'and equals GROUP BY again');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'w'), 11::bigint, 'as many groups as there are');
SELECT is((SELECT count(*) FROM pg_temp.findings('window "w": %')), 0::bigint, 'nothing is missing any more, says doctor');
RESET ROLE;
SELECT is(pg_temp.kept('w'), 11::bigint, 'and rows');

-- a window of many groups leaves at once, its rows go in steps, and what is younger stays meanwhile
SELECT pg_temp.add('w', 3, (SELECT array_agg('many ' || i) FROM generate_series(1, 15000) AS i)), pg_temp.add('w', 4, (SELECT array_agg('few ' || i) FROM generate_series(1, 100) AS i));
SELECT pg_temp.fold('w');
SELECT pg_temp.watermark('w', '2026-01-01 00:30:00+00');
SELECT pg_temp.fold('w');
SELECT is((SELECT count(*) FROM millrace.window_w), 100::bigint, 'a window of many groups has left');
SELECT is(pg_temp.kept('w'), 5104::bigint, 'ten thousand of its rows are removed');
SELECT pg_temp.fold('w');
SELECT results_eq($$ SELECT groups, pg_temp.kept('w'), (SELECT count(*) FROM millrace.window_w) FROM millrace.windows WHERE name = 'w' $$, $$ VALUES (100::bigint, 100::bigint, 100::bigint) $$,
                  'then the rest, and nothing else');
SELECT pg_temp.add('w', 5, (SELECT array_agg('more ' || i) FROM generate_series(1, 12000) AS i));
SELECT pg_temp.watermark('w', '2026-01-01 00:00:00+00');
SELECT pg_temp.fold('w');
SELECT pg_temp.add('w', 6, (SELECT array_agg('more ' || i) FROM generate_series(1, 8000) AS i));
SELECT pg_temp.watermark('w', '2026-01-01 00:30:00+00');
SELECT pg_temp.fold('w');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'w'), 0::bigint, 'a step removes more than has come');

-- what is to be published stays until it is, and what is kept of that leaves with its window
SET ROLE mrt_owner;
SELECT millrace.create_window('out', 'p', event_time => 'at', size => '2 min', slide => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s',
  backfill => false, lateness => '1 h', output_topic => 'closed', max_groups => 2) AS out \gset
RESET ROLE;
SELECT pg_temp.add('out', 0, '{a,b}'), pg_temp.add('out', 1, '{a,b}'), pg_temp.add('out', 2, '{a,b}');
SELECT pg_temp.watermark('out', '2026-01-01 00:03:00+00');
SELECT pg_temp.fold('out');
SELECT is(pg_temp.kept('out'), 6::bigint, 'closed, and not published');
SELECT is(pg_temp.findings('window "out": too many groups are open'), 'It has 6 groups, and max_groups is 2. Windows leave when they are closed and published.', 'as doctor says');
SELECT millrace._publish_window(:out, 5000);
SELECT is((SELECT count(*) FROM millrace.window_output AS o WHERE o.window_id = :out), 6::bigint, 'written to the outbox: of three windows');
SELECT is(pg_temp.kept('out', 'revision'), 6::bigint, 'with their revisions');
SELECT pg_temp.add('out', 0, '{a}');
SELECT pg_temp.fold('out');
SELECT is(pg_temp.kept('out', 'due'), 2::bigint, 'what is changed again is due');
SELECT is(pg_temp.kept('out'), 6::bigint, 'and stays');
SELECT format('UPDATE millrace._window_%s_revision SET written_at = written_at - interval ''1 s''', :out) AS later \gset
:later;
SELECT millrace._publish_window(:out, 5000);
SELECT pg_temp.fold('out');
SELECT set_eq($$ SELECT DISTINCT window_start FROM millrace.window_out $$, $$ VALUES (timestamptz '2026-01-01 00:02:00+00') $$, 'what is published leaves: windows that begin before, and no others');
SELECT results_eq($$ SELECT pg_temp.kept('out'), pg_temp.kept('out', 'revision'), pg_temp.kept('out', 'due') $$, $$ VALUES (2::bigint, 0::bigint, 0::bigint) $$, 'with revisions of it');
SELECT pg_temp.add('out', 1, '{a}');
SELECT pg_temp.fold('out');
SELECT millrace._publish_window(:out, 5000);
SELECT is((SELECT count(*) FROM millrace.window_output AS o WHERE o.window_id = :out), 8::bigint, 'and is not published again, in pieces, when rows of it come');

-- memory is bounded, however many groups there are
SET LOCAL work_mem = '1MB';
SET LOCAL maintenance_work_mem = '4MB';
CREATE FUNCTION pg_temp.peak() RETURNS bigint LANGUAGE sql AS $$
  SELECT substring(pg_read_file('/proc/self/status') FROM 'VmPeak:\s+(\d+) kB')::bigint / 1024;
$$;
SET ROLE mrt_owner;
SELECT millrace.create_window('m', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s', backfill => false) AS m \gset
RESET ROLE;
SELECT format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, b, (SELECT array_agg(ROW(0, %2$L, %3$L, 1, repeat(''long '', 40) || b * 1000 + i, 1, 1)::millrace._window_%1$s_folded) FROM generate_series(1, 1000) AS i) FROM generate_series(%4$s) AS b',
              :m, '2026-01-01 00:00:00+00', '2026-01-01 00:01:00+00', '1000001, 1000100') AS many,
       format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, b + 100, (SELECT array_agg(ROW(0, %2$L, %3$L, 1, repeat(''long '', 40) || b * 1000 + i, 1, 1)::millrace._window_%1$s_folded) FROM generate_series(1, 1000) AS i) FROM generate_series(%4$s) AS b',
              :m, '2026-01-01 00:00:00+00', '2026-01-01 00:01:00+00', '1000001, 1000100') AS again \gset
:many;
SELECT pg_temp.fold('w');
SELECT pg_temp.peak() AS before \gset
SELECT pg_temp.fold('m');
:again;
UPDATE millrace.window_definition SET max_groups = 50000 WHERE id = :m;
SELECT pg_temp.fold('m');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'm'), 100000::bigint, 'many groups are folded and merged');
SELECT pg_temp.watermark('m', '2026-01-01 00:30:00+00');
SELECT pg_temp.fold('m');
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'm'), 90000::bigint, 'and leave');
SELECT cmp_ok(pg_temp.peak() - :before, '<', 48::bigint, 'in memory that does not grow with them (MB)');

-- rows of a fold: merged over batches and streams, those of one window found by few entries, and each merged with those of other folds
SET LOCAL work_mem = '4MB';
SET ROLE mrt_owner;
SELECT millrace.create_window('r', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s', backfill => false) AS r \gset
RESET ROLE;
CREATE FUNCTION pg_temp.contribute(stream integer, seq bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE (SELECT format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT $1, $2, '
                         'array_agg(ROW(0, timestamptz ''2026-01-01 00:00:00+00'' + i %% 3 * interval ''1 min'', timestamptz ''2026-01-01 00:01:00+00'' + i %% 3 * interval ''1 min'', 1, i, 1, 2)'
                         '::millrace._window_%1$s_folded) FROM generate_series(1, 3000) AS i', w.id)
           FROM millrace.window_definition AS w WHERE w.name = 'r') USING stream, seq;
END $$;
SELECT format('millrace._window_%s_folded', :r) AS r_folded \gset
SELECT pg_temp.contribute(0, 2000001), pg_temp.contribute(1, 2000002), pg_temp.contribute(0, 2000003);
SELECT pg_temp.fold('r');
SELECT results_eq('SELECT count(*), sum(n), sum(s2), count(DISTINCT window_start) FROM ' || :'r_folded', $$ VALUES (3000::bigint, 9000::numeric, 18000::double precision, 3::bigint) $$, 'a group is a row');
SELECT results_eq('SELECT count(*) < 20, count(DISTINCT window_start) FROM ' || :'r_folded' || ' WHERE fold > 0', $$ VALUES (true, 3::bigint) $$, 'some of which say in which windows they are');
SELECT is((SELECT added FROM millrace.window_cursor WHERE window_id = :r ORDER BY fold DESC LIMIT 1), 3000::bigint, 'how many were added');
SELECT pg_temp.contribute(0, 2000003 + i), pg_temp.fold('r') FROM generate_series(1, 16) AS i;
SELECT results_eq('SELECT count(*), sum(n), sum(s2) FROM ' || :'r_folded', $$ VALUES (3000::bigint, 57000::numeric, 114000::double precision) $$, 'and are merged later, all of them');
SELECT results_eq($$ SELECT groups, added FROM millrace.window_cursor AS c JOIN millrace.window_definition AS d ON d.id = c.window_id WHERE d.name = 'r' ORDER BY fold DESC LIMIT 1 $$, $$ VALUES (3000::bigint, 0::bigint) $$,
                  'and none since');

SELECT * FROM finish();
ROLLBACK;
