-- Windows are filled with the rows that were there before them, in stretches. Workers do that; here each step is taken by hand.
BEGIN;
\ir helper.psql
SELECT plan(89);
DROP TRIGGER fill ON millrace.window_backfill;

CREATE FUNCTION pg_temp.bound(name text) RETURNS timestamptz LANGUAGE sql AS $$
  SELECT coalesce((SELECT b.reached FROM millrace.window_backfill AS b JOIN millrace.window_definition AS w ON w.id = b.window_id WHERE w.name = bound.name), '-infinity');
$$;

-- A stretch of about so many rows, whenever it would be due; it returns whether there is more.
CREATE FUNCTION pg_temp.step(name text, n integer DEFAULT 60) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  id integer := (SELECT w.id FROM millrace.window_definition AS w WHERE w.name = step.name);
BEGIN
  UPDATE millrace.window_backfill AS b SET due_at = '-infinity', stretch = n WHERE b.window_id = id;
  PERFORM millrace._backfill_step(id);
  RETURN EXISTS (SELECT FROM millrace.window_backfill AS b WHERE b.window_id = id);
END $$;

-- Rows that the view has and the query has not, and the other way round, of windows that begin at the bound or later.
CREATE FUNCTION pg_temp.differences(name text, query text, bound timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('WITH q AS (SELECT * FROM (%s) AS q WHERE window_start >= $1), v AS (SELECT %s FROM millrace.window_%s AS q) '
                 'SELECT (SELECT count(*) FROM (TABLE q EXCEPT ALL TABLE v) AS d) + (SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE q) AS d)', query,
                 (SELECT string_agg('q.' || quote_ident(c.name), ', ') FROM regexp_split_to_table(substring(query FROM '^/\* (.*?) \*/'), ',\s*') AS c (name)), name)
  INTO n USING bound;
  RETURN n;
END $$;

-- Filled step by step: what it shows is right after each of them.
CREATE FUNCTION pg_temp.filled(name text, query text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  steps integer := 0;
  wrong bigint := pg_temp.differences(name, query, 'infinity');
  share double precision := 0;
  falls integer := 0;
  rises integer := 0;
  w     record;
BEGIN
  LOOP
    SELECT v.backfill_share AS share, v.backfilled INTO w FROM millrace.windows AS v WHERE v.name = filled.name;
    falls := falls + (w.share < share)::integer;
    rises := rises + (w.share > share AND w.share < 0.99)::integer;
    share := w.share;
    EXIT WHEN w.backfilled OR steps > 100;
    PERFORM pg_temp.step(name);
    steps := steps + 1;
    wrong := wrong + pg_temp.differences(name, query, pg_temp.bound(name));
  END LOOP;
  RETURN NEXT ok(steps BETWEEN 3 AND 100, format('%s: in stretches (%s)', description, steps));
  RETURN NEXT is(wrong, 0::bigint, description || ': what is shown is right after each of them, and at the end');
  RETURN NEXT is(format('%s %s %s', falls, share, rises > 1), '0 1 t', description || ': its share rises');
END $$;

SET ROLE mrt_owner;
CREATE INDEX ON mrt.reading (at);
INSERT INTO mrt.reading (id, source, at, value)
SELECT i, 's' || i % 3, timestamptz '2026-03-20 00:00:00+00' + i * i * interval '3 s', i / 8.0 FROM generate_series(1, 600) AS i;
SELECT pg_temp.pipeline('p');
SELECT pg_temp.pipeline('upserts', 'update', '{id}');
CREATE FUNCTION pg_temp.make(name text, aggregates text, more text, pipeline text DEFAULT 'p') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  id integer;
BEGIN
  EXECUTE format('SELECT millrace.create_%swindow(%L, %L, event_time => ''at'', aggregates => %L, %s)', CASE WHEN more LIKE '%gap%' THEN 'session_' END, name, pipeline, aggregates, more) INTO id;
  RETURN id;
END $$;

-- what is there at once
SET LOCAL client_min_messages = notice;
SELECT pg_temp.make('inc', 'count(*) AS n, sum(value) AS s, max(value) AS m', 'size => ''1 h'', group_by => ''{source}''') AS inc \gset
SET LOCAL client_min_messages = error;
SELECT is((SELECT count(*) FROM millrace.window_inc), 0::bigint, 'a new window shows nothing of what was there');
SELECT results_eq($$ SELECT backfilled, backfill_share, backfill_rows, backfill_reached, backfill_eta, backfill_waits, backfill_since = now() FROM millrace.windows WHERE name = 'inc' $$,
                  $$ VALUES (false, 0::double precision, 0::bigint, NULL::timestamptz, NULL::timestamptz, NULL::text, true) $$, 'and says so');
SELECT results_eq($$ SELECT severity, what, command FROM millrace.doctor() WHERE what LIKE 'window "inc"%' $$,
                  $$ VALUES ('info', 'window "inc" is not filled yet', 'CALL millrace.wait_for_window(''inc'');') $$, 'doctor() knows it');
SELECT is((SELECT m.value FROM millrace.metric AS m WHERE m.name = 'millrace_window_backfill_share' AND m.labels ->> 'window' = 'inc'), 0::double precision, 'a metric');
SELECT pg_temp.refused('CALL millrace.wait_for_window(''inc'')', '55000', 'window "inc" is not filled', 'Commit first', 'who has created it waits in vain');
SELECT pg_temp.refused('CALL millrace.wait_for_window(''nix'')', '42704', 'window "nix" does not exist', 'millrace.windows', 'an unknown one');
SELECT pg_temp.refused('CALL millrace.wait_for_window(NULL)', '22004', 'argument must not be null: name', NULL, 'no name');
SET ROLE mrt_stranger;
SELECT pg_temp.refused('CALL millrace.wait_for_window(''inc'')', '42704', 'window "inc" does not exist', NULL, 'a stranger''s');
SET ROLE mrt_owner;
SELECT millrace.pause('p');
SELECT is((SELECT w.backfill_waits FROM millrace.windows AS w WHERE w.name = 'inc'), 'its pipeline is paused', 'a pipeline that is paused fills nothing');
SELECT is((SELECT d.command FROM millrace.doctor() AS d WHERE d.what = 'window "inc" is not filled yet' AND d.severity = 'warning'), 'SELECT millrace.resume(''p'');', 'which doctor() says');
SELECT millrace.resume('p');

-- each kind
INSERT INTO mrt.reading (id, source, at) VALUES (1001, 'a', NULL), (1002, 'a', 'infinity'), (1003, NULL, '-infinity'), (1004, NULL, '2026-03-28 01:30:00+00');
SELECT pg_temp.make('slide', 'count(*) AS n, sum(value) AS s', 'size => ''6 h'', slide => ''2 h''');
SELECT pg_temp.make('day', 'count(*) AS n', 'size => ''1 day'', time_zone => ''Europe/Berlin''');
SELECT pg_temp.make('rec', 'count(DISTINCT value) AS n', 'size => ''1 h'', group_by => ''{source}''');
SELECT pg_temp.make('recslide', 'count(DISTINCT source) AS n', 'size => ''90 min'', slide => ''30 min''');
SELECT pg_temp.make('changes', 'count(*) AS n', 'size => ''1 h''', 'upserts');
SELECT pg_temp.make('ses', 'count(*) AS n, min(value) AS low', 'gap => ''50 min'', max_session => ''5 h'', group_by => ''{source}''');
RESET ROLE;
SELECT pg_temp.filled('inc', $$/* window_start, source, n, s, m */ SELECT date_bin('1 h', at, '2000-01-01') AS window_start, source, count(*) AS n, sum(value) AS s, max(value) AS m
  FROM mrt.reading WHERE isfinite(at) GROUP BY 1, 2 $$, 'incremental');
SELECT pg_temp.filled('slide', $$/* window_start, n, s */ SELECT date_bin('2 h', at, '2000-01-01') - k * interval '2 h' AS window_start, count(*) AS n, sum(value) AS s
  FROM mrt.reading CROSS JOIN generate_series(0, 2) AS k WHERE isfinite(at) GROUP BY 1 $$, 'sliding');
SELECT pg_temp.filled('day', $$/* window_start, n */ SELECT date_trunc('day', at, 'Europe/Berlin') AS window_start, count(*) AS n FROM mrt.reading WHERE isfinite(at) GROUP BY 1 $$, 'days, one of them of 23 hours');
SELECT pg_temp.filled('rec', $$/* window_start, source, n */ SELECT date_bin('1 h', at, '2000-01-01') AS window_start, source, count(DISTINCT value) AS n
  FROM mrt.reading WHERE isfinite(at) GROUP BY 1, 2 $$, 'recomputed');
SELECT pg_temp.filled('recslide', $$/* window_start, n */ SELECT date_bin('30 min', at, '2000-01-01') - k * interval '30 min' AS window_start, count(DISTINCT source) AS n
  FROM mrt.reading CROSS JOIN generate_series(0, 2) AS k WHERE isfinite(at) GROUP BY 1 $$, 'recomputed and sliding');
SELECT pg_temp.filled('changes', $$/* window_start, n */ SELECT date_bin('1 h', at, '2000-01-01') AS window_start, count(*) AS n FROM mrt.reading WHERE isfinite(at) GROUP BY 1 $$, 'of rows that change');
SELECT pg_temp.filled('ses', $$/* window_start, window_end, source, n, low */ SELECT min(at) AS window_start, least(max(at) + gap, max(part) + max_session) AS window_end, source, count(*) AS n, min(value) AS low
  FROM (SELECT *, CASE WHEN max(at) OVER r + gap - min(at) OVER r > max_session THEN date_bin(max_session, at, '1900-01-01 00:00:00+00') END AS part
        FROM (SELECT *, count(*) FILTER (WHERE fresh) OVER (PARTITION BY source ORDER BY at) AS run
              FROM (SELECT *, (at - lag(at) OVER (PARTITION BY source ORDER BY at) < gap) IS NOT TRUE AS fresh
                    FROM mrt.reading CROSS JOIN (SELECT interval '50 min' AS gap, interval '5 h' AS max_session) AS w WHERE isfinite(at)) AS t) AS t
        WINDOW r AS (PARTITION BY source, run)) AS t
  GROUP BY source, run, part, gap, max_session $$, 'sessions');
SELECT is((SELECT array_agg(DISTINCT w.outside) FROM millrace.windows AS w), ARRAY[3]::bigint[], 'rows that are in no window are counted, once');
SELECT is((SELECT string_agg(format('%s: %s', w.name, f.n), ', ') FROM millrace.windows AS w JOIN millrace.window_definition AS d ON d.name = w.name
           CROSS JOIN LATERAL (SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM millrace._window_%s_folded', d.id), false, true, '')))[1]::text::bigint AS n) AS f
           WHERE f.n <> w.groups), NULL, 'and so are groups');

-- what batches have counted since, and is not folded, is counted again with all others; what has moved no watermark stays
INSERT INTO millrace.window_outside (window_id, stream, seq, rows, skewed) SELECT d.id, 63, 1000000, 3, 7 FROM millrace.window_definition AS d;
SELECT results_eq('SELECT DISTINCT w.outside, w.skewed FROM millrace.windows AS w', 'VALUES (6::bigint, 7::bigint)', 'what is not folded counts');
SELECT count(millrace._lock_window(d.id, true)), count(millrace._rebuild_range(d, '2026-01-01', '2026-01-02', true)) FROM millrace.window_definition AS d;
SELECT results_eq('SELECT DISTINCT w.outside, w.skewed FROM millrace.windows AS w', 'VALUES (6::bigint, 7::bigint)', 'after a rebuild of a part, too');
INSERT INTO millrace.window_outside (window_id, stream, seq, rows, skewed) SELECT d.id, 63, 1000001, 5, 1 FROM millrace.window_definition AS d;
SELECT count(millrace._rebuild_range(d, '-infinity', 'infinity', true)) FROM millrace.window_definition AS d;
SELECT results_eq('SELECT DISTINCT w.outside, w.skewed FROM millrace.windows AS w', 'VALUES (3::bigint, 8::bigint)', 'and once after one of all');
INSERT INTO millrace.window_outside (window_id, stream, seq, rows, skewed) SELECT d.id, 63, 1000002, 3, 1 FROM millrace.window_definition AS d;
SELECT count(millrace._count_outside(d)) FROM millrace.window_definition AS d;
SELECT results_eq('SELECT DISTINCT w.outside, w.skewed FROM millrace.windows AS w', 'VALUES (3::bigint, 9::bigint)', 'as when a window is filled');
SELECT is_empty('SELECT FROM millrace.window_outside', 'and what they have counted is gone');

-- all at once, without an index on the event time
SET ROLE mrt_owner;
SELECT millrace.drop_window(w.name) FROM millrace.windows AS w;
DROP INDEX mrt.reading_at_idx;
SELECT pg_temp.make('whole', 'count(*) AS n', 'size => ''1 h''');
RESET ROLE;
SELECT is(pg_temp.step('whole'), false, 'without an index on the event time there is one stretch');
SELECT is((SELECT sum(w.n) FROM millrace.window_whole AS w), 601::numeric, 'of all rows');
SELECT is((SELECT w.outside FROM millrace.windows AS w WHERE w.name = 'whole'), 3::bigint, 'those outside, too');

-- an index in whose order the latest rows are not found; of a child that has none; and one in the other direction
SET ROLE mrt_owner;
CREATE TABLE mrt.child () INHERITS (mrt.reading);
CREATE FUNCTION pg_temp.has_index(ddl text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  has boolean;
BEGIN
  EXECUTE ddl;
  RESET ROLE;
  SELECT millrace._has_time_index(w, 'mrt.reading'::regclass) INTO has FROM millrace.window_definition AS w WHERE w.name = 'whole';
  SET ROLE mrt_owner;
  RETURN has;
END $$;
CREATE INDEX child_idx ON mrt.child (at);
SELECT is(pg_temp.has_index('CREATE INDEX reading_at_idx ON mrt.reading (at NULLS FIRST)'), false, 'nulls first: no index');
SELECT is(pg_temp.has_index('DROP INDEX mrt.reading_at_idx; CREATE INDEX reading_at_idx ON mrt.reading (at DESC NULLS LAST)'), false, 'nulls last, descending: no index');
SELECT pg_temp.make('nulls', 'count(*) AS n', 'size => ''1 h''');
RESET ROLE;
SELECT is(pg_temp.step('nulls'), false, 'and there is one stretch');
SET ROLE mrt_owner;
SELECT is(pg_temp.has_index('DROP INDEX mrt.reading_at_idx; CREATE INDEX reading_at_idx ON mrt.reading (at DESC, id)'), true, 'descending: an index');
SELECT is(pg_temp.has_index('DROP INDEX mrt.child_idx'), false, 'none of a child');
DROP TABLE mrt.child;
SELECT is(pg_temp.has_index('DROP INDEX mrt.reading_at_idx; CREATE INDEX reading_at_idx ON mrt.reading (at)'), true, 'ascending: an index');

-- how far back
SELECT pg_temp.make('since', 'count(*) AS n', 'size => ''1 h'', target_since => ''2026-03-25''');
SELECT pg_temp.make('young', 'count(*) AS n', format('size => ''1 h'', retention => %L', now() - timestamptz '2026-03-25'));
SELECT pg_temp.make('few', 'count(*) AS n', 'size => ''1 h'', max_groups => 20');
RESET ROLE;
DO $$ BEGIN WHILE pg_temp.step('since') LOOP END LOOP; WHILE pg_temp.step('young') LOOP END LOOP; END $$;
SELECT is((SELECT min(s.window_start) FROM millrace.window_since AS s), (SELECT min(date_bin('1 h', at, '2000-01-01')) FROM mrt.reading WHERE isfinite(at) AND at >= '2026-03-25'), 'back to target_since');
SELECT is((SELECT min(f.window_start) >= '2026-03-24 22:00:00+00' FROM millrace.window_young AS f), true, 'back to where retention ends');
SELECT is(pg_temp.step('few'), true, 'a step');
UPDATE millrace.window_cursor AS c SET kept_from = '2026-04-01' FROM millrace.window_definition AS w WHERE w.id = c.window_id AND w.name = 'few';
DO $$ BEGIN WHILE pg_temp.step('few') LOOP END LOOP; END $$;
SELECT is((SELECT min(f.window_start) >= '2026-04-01' FROM millrace.window_few AS f), true, 'and not what has left');

-- a rebuild, in part and as a whole
SET ROLE mrt_owner;
SELECT pg_temp.make('again', 'count(*) AS n', 'size => ''1 h''');
SELECT millrace.rebuild_window('again', '2026-03-28', '2026-03-29');
SELECT is((SELECT count(*) FROM millrace.window_again), 0::bigint, 'a rebuild of what is in between shows nothing');
SELECT millrace.rebuild_window('again', '2026-03-28');
SELECT is((SELECT (SELECT min(a.window_start) FROM millrace.window_again AS a) >= w.backfill_reached AND w.backfill_reached = '2026-03-28' FROM millrace.windows AS w WHERE w.name = 'again'), true,
          'of the latest windows, these');
SELECT isnt(millrace.rebuild_window('again'), 0::bigint, 'of all, all');
SELECT results_eq($$ SELECT w.backfilled, (SELECT sum(a.n) FROM millrace.window_again AS a), w.outside FROM millrace.windows AS w WHERE w.name = 'again' $$, $$ VALUES (true, 601::numeric, 3::bigint) $$, 'and it is filled');
SELECT lives_ok('CALL millrace.wait_for_window(''again'')', 'nobody has to wait for that');

-- nothing to do
SELECT pg_temp.make('without', 'count(*) AS n', 'size => ''1 h'', backfill => false');
SELECT is((SELECT w.backfilled FROM millrace.windows AS w WHERE w.name = 'without'), true, 'without a backfill');
DELETE FROM mrt.reading;
SELECT pg_temp.make('empty', 'count(*) AS n', 'size => ''1 h''');
SELECT is((SELECT w.backfilled FROM millrace.windows AS w WHERE w.name = 'empty'), true, 'an empty target');

-- what fails
INSERT INTO mrt.reading (id, source, at, value) VALUES (1, 's', '2026-03-20', 0);
SELECT pg_temp.make('fails', 'sum(1 / value) AS s', 'size => ''1 h'', group_by => ''{source}''');
RESET ROLE;
SELECT millrace._window_fails(w.id, 'backfill', '22012', 'division by zero') FROM millrace.window_definition AS w WHERE w.name = 'fails';
SELECT results_eq($$ SELECT failing, failing_sqlstate, failing_error FROM millrace.windows WHERE name = 'fails' $$, $$ VALUES ('backfill', '22012', 'division by zero') $$, 'an error is shown');
UPDATE millrace.window_failure SET since = since - interval '2 min';
SELECT results_eq($$ SELECT severity, what FROM millrace.doctor() WHERE what LIKE 'window "fails"%' $$, $$ VALUES ('error', 'window "fails" cannot be filled') $$, 'and found');
UPDATE millrace.window_definition SET created_at = created_at - interval '1 s' WHERE name = 'fails';
SELECT pg_temp.refused('CALL millrace.wait_for_window(''fails'')', '55000', 'window "fails" is not filled', 'doctor', 'nobody waits for it');
SELECT millrace._window_fails(w.id, 'fold', '55000', 'folding fails') FROM millrace.window_definition AS w WHERE w.name = 'fails';
UPDATE millrace.window_failure SET since = since - interval '1 h' WHERE step = 'fold';
SELECT results_eq($$ SELECT failing, backfill_error FROM millrace.windows WHERE name = 'fails' $$, $$ VALUES ('fold', 'division by zero') $$, 'an error that came later than another is not hidden by it');
SELECT pg_temp.refused('CALL millrace.wait_for_window(''fails'')', '55000', 'window "fails" is not filled', 'doctor', 'nor does anybody wait for it');
SELECT results_eq($$ SELECT severity, what, strpos(detail, 'division by zero') > 0 FROM millrace.doctor() WHERE what LIKE 'window "fails"%' ORDER BY 1 $$,
                  $$ VALUES ('error', 'window "fails" cannot be folded', false), ('warning', 'window "fails" is not filled yet', true) $$, 'both are found');
DELETE FROM millrace.window_failure;
SELECT pg_temp.refused('CALL millrace.wait_for_window(''fails'', ''0'')', '55000', 'window "fails" is not filled', 'how far', 'a timeout');
SELECT pg_temp.refused('CALL millrace.wait_for_window(''fails'')', '25001', 'wait_for_window() cannot wait in a transaction block without a timeout', 'outside of a transaction block', 'a block may have locks');
SELECT lives_ok('SELECT millrace.drop_window(''fails'')', 'dropped');
SELECT is((SELECT count(*) FROM millrace.window_backfill), 0::bigint, 'with all of it');

-- months end on different days, and in another time zone than UTC not with those of UTC: rows up to the end of the last window are read, wherever a stretch or a rebuild ends
SET ROLE mrt_owner;
SELECT millrace.drop_window(w.name) FROM millrace.windows AS w;
DELETE FROM mrt.reading;
INSERT INTO mrt.reading (id, source, at, value) SELECT i, 's', timestamptz '2019-01-01 04:30:00+00' + i * interval '6 h', i FROM generate_series(0, 8068) AS i;
SELECT pg_temp.make('months', 'count(DISTINCT value) AS n', 'size => ''2 months'', slide => ''1 month'', time_zone => ''Europe/Berlin''');
RESET ROLE;
CREATE FUNCTION pg_temp.by_months() RETURNS text LANGUAGE sql AS $$
  SELECT $q$/* window_start, n */ SELECT (date_trunc('month', at AT TIME ZONE 'Europe/Berlin') - k * interval '1 month') AT TIME ZONE 'Europe/Berlin' AS window_start, count(DISTINCT value) AS n
    FROM mrt.reading CROSS JOIN generate_series(0, 1) AS k GROUP BY 1 $q$;
$$;
SELECT pg_temp.filled('months', pg_temp.by_months(), 'months that slide');
CREATE FUNCTION pg_temp.wrong_after_rebuild(name text, query text, later interval) RETURNS timestamptz[] LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz;
  wrong timestamptz[] := '{}';
BEGIN
  FOR i IN 0..11 LOOP
    until := (timestamp '2022-03-01' + i * interval '1 month') AT TIME ZONE 'Europe/Berlin' + later;
    PERFORM millrace.rebuild_window(name, until - interval '40 days', until);
    IF pg_temp.differences(name, query, '-infinity') > 0 THEN
      wrong := wrong || until;
    END IF;
  END LOOP;
  RETURN wrong;
END $$;
SELECT is(pg_temp.wrong_after_rebuild('months', pg_temp.by_months(), '0'), '{}', 'and after a rebuild up to the beginning of each month');
SELECT is(pg_temp.wrong_after_rebuild('months', pg_temp.by_months(), '27 days 3 hours'), '{}', 'and its end');
SELECT pg_temp.make('calendar', 'count(*) AS n', 'size => ''1 month'', time_zone => ''Europe/Berlin''');
CREATE FUNCTION pg_temp.by_month() RETURNS text LANGUAGE sql AS $$
  SELECT $q$/* window_start, n */ SELECT date_trunc('month', at, 'Europe/Berlin') AS window_start, count(*) AS n FROM mrt.reading GROUP BY 1 $q$;
$$;
SELECT pg_temp.filled('calendar', pg_temp.by_month(), 'months');
SELECT is(pg_temp.wrong_after_rebuild('calendar', pg_temp.by_month(), '30 min'), '{}', 'a rebuild that ends soon after one begins');

-- a pane that has more rows than were asked for
SET ROLE mrt_owner;
SELECT pg_temp.make('panes', 'count(*) AS n', 'size => ''1 month''');
RESET ROLE;
SELECT is((SELECT b.total BETWEEN 4000 AND 16000 FROM millrace.window_backfill AS b), true, 'about how many rows there are, though there were few when it was last counted');
SELECT pg_temp.step('panes');
SELECT results_eq($$ SELECT w.backfill_rows, w.backfill_rows > 60, abs(w.backfill_share - w.backfill_rows / b.total::double precision) < 0.001 FROM millrace.windows AS w CROSS JOIN millrace.window_backfill AS b WHERE w.name = 'panes' $$,
                  $$ SELECT count(*), true, true FROM mrt.reading AS r WHERE r.at >= (SELECT w.backfill_reached FROM millrace.windows AS w WHERE w.name = 'panes') $$, 'the rows that its windows have are counted, however many were looked for');
UPDATE millrace.window_backfill AS b SET total = 1e17, began_at = b.began_at - interval '60 days';
SELECT is((SELECT w.backfill_share FROM millrace.windows AS w WHERE w.name = 'panes'), (SELECT round(w.backfill_share::numeric, 4)::double precision FROM millrace.windows AS w WHERE w.name = 'panes'), 'in hundredths of a percent');
SELECT results_eq($$ SELECT w.backfill_share BETWEEN 0 AND 1e-12, w.backfill_eta FROM millrace.windows AS w WHERE w.name = 'panes' $$, $$ VALUES (true, NULL::timestamptz) $$, 'an end beyond all time is not known');
UPDATE millrace.window_backfill AS b SET total = 4 * b.rows;
SELECT is((SELECT round(extract(epoch FROM w.backfill_eta - now()) / 86400) FROM millrace.windows AS w WHERE w.name = 'panes'), 180::numeric, 'one in the future is');
UPDATE millrace.window_backfill AS b SET total = b.rows / 2;
SELECT is((SELECT w.backfill_share FROM millrace.windows AS w WHERE w.name = 'panes'), 0.99::double precision, 'more rows than there were');

-- how long it rests
SELECT is((SELECT array_agg(millrace._backfill_rest(t) ORDER BY t) FROM unnest(ARRAY[0.25, 10, 100000]) AS t), ARRAY[0.75, 30, 3600]::double precision[], 'three times as long as a stretch took, and no more than an hour');
SELECT is((SELECT array_agg(millrace._backfill_rests(clock_timestamp() + t) ORDER BY t) FROM unnest(ARRAY['-1 s', '1 min', millrace._backfill_rest(100000) * interval '1 s', '1 h 1 min']::interval[]) AS t), ARRAY[false, true, true, false],
          'which is not taken for a clock that was set');
SELECT is(pg_temp.step('panes'), true, 'a stretch');
SELECT isnt((SELECT millrace._backfill_step(b.window_id) FROM millrace.window_backfill AS b), 0::bigint, 'it rests');

-- the number of a process that has met its end may be another one's
UPDATE millrace.window_backfill AS b SET due_at = '-infinity', tried_by = a.pid, tried_of = a.backend_start FROM pg_stat_get_activity(pg_backend_pid()) AS a;
DO $$ BEGIN PERFORM millrace._backfill_window(w.pipeline_id) FROM millrace.window_definition AS w; END $$;
SELECT is((SELECT array_agg(b.crashes) FROM millrace.window_backfill AS b), ARRAY[0], 'one that is at work');
UPDATE millrace.window_backfill AS b SET due_at = '-infinity', tried_of = b.tried_of - interval '1 min';
DO $$ BEGIN PERFORM millrace._backfill_window(w.pipeline_id) FROM millrace.window_definition AS w; END $$;
SELECT is((SELECT array_agg(b.crashes) FROM millrace.window_backfill AS b), ARRAY[1], 'another one of its number');

SELECT * FROM finish();
ROLLBACK;
