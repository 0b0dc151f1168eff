-- Days and months where a midnight comes twice or not at all, and years before the first one. What a batch would note of recomputed windows is noted here by hand.
BEGIN;
\ir helper.psql
SELECT plan(39);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
ALTER TABLE mrt.reading DROP CONSTRAINT reading_source_at_key;
CREATE INDEX ON mrt.reading (at);

-- Clocks are changed over midnight: in Cuba, on the Azores, in Egypt and in Chile; in Germany they are not. Each row is an hour.
CREATE TEMP TABLE zone (nick text, name text);
INSERT INTO zone VALUES ('cuba', 'America/Havana'), ('azores', 'Atlantic/Azores'), ('egypt', 'Africa/Cairo'), ('chile', 'America/Santiago'), ('germany', 'Europe/Berlin');
INSERT INTO mrt.reading (id, at) SELECT row_number() OVER (ORDER BY i), i FROM generate_series(timestamptz '2023-03-01 00:00:00+00', '2024-05-01 00:00:00+00', '1 h') AS i;
ANALYZE mrt.reading;
-- a day begins with its first hour
CREATE TEMP TABLE day AS
SELECT z.nick, d.day, min(i.at) AS "start" FROM zone AS z CROSS JOIN generate_series(timestamptz '2023-02-01 00:00:00+00', '2024-06-01 00:00:00+00', '1 h') AS i (at)
CROSS JOIN LATERAL (SELECT (i.at AT TIME ZONE z.name)::date AS day) AS d GROUP BY 1, 2;
CREATE FUNCTION pg_temp.truth(zone text, days integer) RETURNS TABLE (window_start timestamptz, window_end timestamptz, n bigint) LANGUAGE sql AS $$
  SELECT f."start", t."start", count(*) FROM day AS f JOIN day AS t ON t.nick = f.nick AND t.day = f.day + days
  JOIN mrt.reading AS r ON r.at >= f."start" AND r.at < t."start" WHERE f.nick = zone GROUP BY 1, 2;
$$;
SELECT millrace.create_window(z.nick || '_' || k.name, 'p', event_time => 'at', size => k.size::interval, slide => k.slide::interval, time_zone => z.name, aggregates => k.aggregates,
                              "where" => 'id > 0')
FROM zone AS z CROSS JOIN (VALUES ('days', '1 day', NULL, 'count(*) AS n'), ('moving', '3 days', '1 day', 'count(*) AS n'), ('again', '1 day', NULL, 'count(DISTINCT id) AS n'),
                                  ('moving_again', '3 days', '1 day', 'count(DISTINCT id) AS n'), ('months', '1 month', NULL, 'count(*) AS n')) AS k (name, size, slide, aggregates);
CREATE FUNCTION pg_temp.different(window_name text, zone text, days integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM (SELECT window_start, window_end, n FROM millrace.window_%s) AS w FULL JOIN pg_temp.truth(%L, %s) AS t USING (window_start, window_end, n) '
                 'WHERE w IS NULL OR t IS NULL', window_name, zone, days) INTO n;
  RETURN n;
END $$;
CREATE FUNCTION pg_temp.all_equal(description text) RETURNS text LANGUAGE sql AS $$
  SELECT is((SELECT string_agg(format('%s_%s', z.nick, k.name), ' ' ORDER BY z.nick, k.name) FROM zone AS z
             CROSS JOIN (VALUES ('days', 1), ('moving', 3), ('again', 1), ('moving_again', 3)) AS k (name, days)
             WHERE pg_temp.different(z.nick || '_' || k.name, z.nick, k.days) > 0), NULL, description);
$$;
SELECT pg_temp.all_equal('days begin with their first hour and end where the next one begins');
SELECT set_has($$ SELECT window_end - window_start FROM millrace.window_azores_days $$, $$ VALUES (interval '23 h'), ('24 h'), ('25 h') $$, 'and have 23 to 25 hours');
SELECT is((SELECT sum(n) FROM millrace.window_cuba_days), (SELECT count(*)::numeric FROM mrt.reading), 'each row is in one');
SELECT set_eq($$ SELECT window_start, window_end, n FROM millrace.window_azores_months WHERE window_start > '2023-03-15' AND window_end < '2024-04-15' $$,
  $$ SELECT f."start" AS s, t."start" AS e, count(*) FROM day AS f JOIN day AS t ON t.nick = f.nick AND t.day = f.day + interval '1 month' JOIN mrt.reading AS r ON r.at >= f."start" AND r.at < t."start"
     WHERE f.nick = 'azores' AND extract(day FROM f.day) = 1 AND f."start" > '2023-03-15' AND t."start" < '2024-04-15' GROUP BY 1, 2 $$, 'months, too');

-- rows that come again are counted once, however a group is computed
RESET ROLE;
CREATE FUNCTION pg_temp.note() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  FOR w IN SELECT * FROM millrace.window_definition AS d WHERE d.kind = 'recompute' LOOP
    EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 5, nextval(''millrace.window_seq''), array_agg(p.p) FROM ('
                   'SELECT ROW(0, q.*)::millrace._window_%1$s_folded AS p FROM (%2$s FROM mrt.reading AS written %3$s) AS q) AS p', w.id, w.selects, w.grouped);
  END LOOP;
END $$;
SELECT pg_temp.note();
SELECT pg_temp.all_equal('what is noted is computed by who reads');
SELECT millrace._fold_window(w.id, true, true) FROM millrace.window_definition AS w ORDER BY w.id;
SELECT pg_temp.all_equal('and by the fold');
SELECT is((SELECT count(*) FROM millrace.window_definition AS w CROSS JOIN LATERAL millrace._has_unfolded(w.id) AS u WHERE u), 0::bigint, 'which leaves nothing');

-- a rebuild in parts, a backfill does the same
SET ROLE mrt_owner;
SELECT count(*) FROM (SELECT millrace.rebuild_window(z.nick || k.name, d."start", e."start") FROM zone AS z CROSS JOIN (VALUES ('_days'), ('_again'), ('_moving')) AS k (name)
  JOIN day AS d ON d.nick = z.nick JOIN day AS e ON e.nick = d.nick AND e.day = d.day + 1
  WHERE d.day BETWEEN '2023-03-08' AND '2023-04-03' OR d.day BETWEEN '2023-10-25' AND '2023-11-08') AS r;
SELECT pg_temp.all_equal('a rebuild day by day changes nothing');
RESET ROLE;

-- the first and the last hour of a day are in the pane that begins with it
SELECT is((SELECT count(*) FROM zone AS z JOIN day AS d ON d.nick = z.nick JOIN millrace.window_definition AS w ON w.name = z.nick || '_days' WHERE d.day > '2023-02-02' AND NOT millrace._is_pane_start(w, d."start")), 0::bigint,
          'where a day begins a pane does');

-- years before the first one: no year has the number 0
SET ROLE mrt_owner;
INSERT INTO mrt.reading (id, source, at) VALUES (-1, 'bc', '4700-01-01 00:00:00+00 BC'), (-2, 'bc', '0001-01-01 00:00:00+00 BC'), (-3, 'bc', '0001-12-31 23:59:59+00 BC'),
  (-4, 'bc', '0001-01-01 00:00:00+00'), (-5, 'bc', '0044-03-15 12:00:00+00 BC'), (-6, 'bc', '284999-12-31 23:59:59+00'), (-7, 'bc', '1899-12-31 23:59:59+00');
SELECT millrace.create_window('old_' || k.name, 'p', event_time => 'at', size => k.size::interval, slide => k.slide::interval, aggregates => 'count(*) AS n', "where" => 'source = ''bc''',
                              group_by => '{id}')
FROM (VALUES ('months', '1 month', NULL), ('years', '1 year', NULL), ('moving', '1 year', '1 month')) AS k (name, size, slide);
SELECT is((SELECT count(*) FROM millrace.window_old_months AS w JOIN mrt.reading AS r ON r.id = w.id WHERE r.at >= w.window_start AND r.at < w.window_end), 7::bigint, 'each row is in its month');
SELECT is((SELECT count(*) FROM millrace.window_old_years AS w JOIN mrt.reading AS r ON r.id = w.id WHERE r.at >= w.window_start AND r.at < w.window_end), 7::bigint, 'each row is in its year');
SELECT is((SELECT count(*) FROM millrace.window_old_moving AS w JOIN mrt.reading AS r ON r.id = w.id WHERE r.at >= w.window_start AND r.at < w.window_end), 84::bigint, 'and in twelve that slide');
SELECT set_eq('SELECT window_start, id FROM millrace.window_old_years', $$ SELECT date_trunc('year', at, 'UTC'), id FROM mrt.reading WHERE source = 'bc' $$, 'that of the calendar');

-- clocks that are put back from 0:01 to 23:01: a window has what is from its start to its end, in whichever order it comes, and however it is kept
INSERT INTO mrt.reading (id, source, at) SELECT -100 - row_number() OVER (ORDER BY i DESC), 'minutes', i FROM generate_series(timestamptz '2010-11-06 00:00:00+00', '2010-11-09 00:00:00+00', '1 min') AS i ORDER BY i DESC;
SELECT millrace.create_window('minutes_' || k.name, 'p', event_time => 'at', size => '1 day', time_zone => 'America/St_Johns', aggregates => k.aggregates || ', min(at) AS low, max(at) AS high',
                              "where" => 'source = ''minutes''')
FROM (VALUES ('days', 'count(*) AS n'), ('again', 'count(DISTINCT id) AS n')) AS k (name, aggregates);
SELECT is_empty('SELECT * FROM millrace.window_minutes_days WHERE low < window_start OR high >= window_end', 'a row is in the window that has its time');
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_minutes_again', 'SELECT window_start, window_end, n FROM millrace.window_minutes_days', 'and in no other when it is computed again');
SELECT is((SELECT sum(n) FROM millrace.window_minutes_days), 4321::numeric, 'each of them');
SELECT is(millrace.window_pane('2010-11-07 02:30:00+00', '1 day', 'America/St_Johns', '1900-01-01'), timestamptz '2010-11-06 02:30:00+00', 'one time by itself, too');

SELECT pg_temp.refused($$ SELECT millrace.window_pane('2026-01-01', '2147483647 days', 'UTC', '1900-01-01') $$, '22023', 'a number of days or months', NULL, 'slides have a limit');
SELECT pg_temp.refused($$ SELECT millrace.window_pane('2026-01-01', '1 day 1 h', 'UTC', '1900-01-01') $$, '22023', 'a number of days or months', NULL, 'and one unit');
SELECT pg_temp.refused($$ SELECT millrace.window_pane('294276-12-31 23:59:59+00', '1 day', 'UTC', '4713-01-01 00:00:00 BC') $$, '22008', 'out of range', NULL, 'a time may be too far away');
SELECT is(millrace.window_pane('infinity', '1 month', 'Europe/Berlin', '1900-01-01'), 'infinity', 'infinity is in no day');

-- a day that there was not: Samoa went from the 29th to the 31st
INSERT INTO mrt.reading (id, source, at) SELECT -10000 - row_number() OVER (ORDER BY i), 'samoa', i FROM generate_series(timestamptz '2011-12-25 10:00:00+00', '2012-01-05 09:00:00+00', '1 h') AS i;
SELECT millrace.create_window('samoa_' || k.name, 'p', event_time => 'at', size => '3 days', slide => '1 day', time_zone => 'Pacific/Apia', aggregates => k.aggregates, "where" => 'source = ''samoa''')
FROM (VALUES ('days', 'count(*) AS n'), ('again', 'count(DISTINCT id) AS n')) AS k (name, aggregates);
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_samoa_days',
  $$ SELECT w.window_start, w.window_end, count(*) FROM millrace.window_samoa_again AS w JOIN mrt.reading AS r ON r.source = 'samoa' AND r.at >= w.window_start AND r.at < w.window_end GROUP BY 1, 2 $$,
  'a day that was left out counts no row twice');
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_samoa_again', 'SELECT window_start, window_end, n FROM millrace.window_samoa_days', 'nor when it is computed again');
SELECT is(millrace.window_earlier('2011-12-30 10:00:00+00', '1 day', 'Pacific/Apia'), NULL, 'it begins at no time');

-- what the owner wrote is computed as often as in a window of hours
CREATE SEQUENCE mrt.calls;
CREATE FUNCTION mrt.counted(at timestamptz) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('mrt.calls'); RETURN at; END $$;
CREATE FUNCTION pg_temp.calls(window_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := nextval('mrt.calls');
BEGIN
  PERFORM millrace.rebuild_window(window_name);
  RETURN nextval('mrt.calls') - before;
END $$;
SELECT millrace.create_window('counted_' || k.name, 'p', event_time => 'mrt.counted(at)', size => k.size::interval, time_zone => 'Europe/Berlin', aggregates => 'count(*) AS n', backfill => false)
FROM (VALUES ('hours', '1 h'), ('days', '1 day'), ('months', '1 month')) AS k (name, size);
SELECT is(pg_temp.calls('counted_days'), pg_temp.calls('counted_hours'), 'the event time is computed no more often for days');
SELECT is(pg_temp.calls('counted_months'), pg_temp.calls('counted_hours'), 'nor for months');

-- where a window may begin
SELECT lives_ok($$ SELECT millrace.create_window('cocos', 'p', event_time => 'at', size => '1 day', time_zone => 'Indian/Cocos', aggregates => 'count(*)') $$, 'the first of 1900 may have begun at 0:02');
SELECT is((SELECT sum(count) FROM millrace.window_cocos), (SELECT count(*)::numeric FROM mrt.reading), 'with all rows');
SELECT is((SELECT count(DISTINCT (window_start AT TIME ZONE 'Indian/Cocos')::time) FROM millrace.window_cocos WHERE window_start > '2000-01-01'), 1::bigint, 'and days begin at midnight');
SELECT lives_ok($$ SELECT millrace.create_window('forward', 'p', event_time => 'at', size => '7 days', time_zone => 'America/Havana', origin => '2023-03-12 05:00:00+00', aggregates => 'count(*)') $$,
                'windows begin where a day begins at 1:00');
SELECT is((SELECT count(*) FROM millrace.window_forward WHERE (window_start AT TIME ZONE 'America/Havana')::time NOT IN ('00:00', '01:00')), 0::bigint, 'of a calendar');
SELECT pg_temp.refused($$ SELECT millrace.create_window('off', 'p', event_time => 'at', size => '7 days', time_zone => 'America/Havana', origin => '2023-03-12 06:00:00+00', aggregates => 'count(*)') $$,
                       '22023', 'expected the beginning of a day', '2023-03-12 05:00:00+00', 'and nowhere else');

-- bounds at the ends of time
SELECT is(millrace.rebuild_window('old_months', '4713-11-24 00:00:00+00 BC', '294276-12-31 23:59:59+00'), 7::bigint, 'months are rebuilt up to the last one');
SELECT is(millrace.rebuild_window('old_moving', '-infinity', '294276-12-31 23:59:59+00'), 7::bigint, 'and those that slide');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('old_months', target_since => '285000-01-01 00:00:00+00') $$, '22023', 'expected a time before 285000 AD, or -infinity', 'for example',
                       'no target has its rows from when on nothing can be in a window');
SELECT lives_ok($$ SELECT millrace.create_session_window('ends', 'p', event_time => 'at', gap => '366 days', aggregates => 'count(*) AS n', target_since => '4713-11-24 00:00:00+00 BC') $$,
                'target_since may be the first time there is');
SELECT is((SELECT target_since FROM millrace.windows WHERE name = 'ends'), NULL, 'which leaves nothing out');
SELECT lives_ok($$ SELECT millrace.alter_window('ends', target_since => '4700-01-01 00:00:00+00 BC'), millrace.rebuild_window('ends'),
                          millrace.alter_window('ends', target_since => '284999-12-31 23:59:59+00'), millrace.rebuild_window('ends') $$, 'or the first or last of a window');
SELECT is((SELECT sum(n) FROM millrace.window_ends), (SELECT count(*)::numeric FROM mrt.reading), 'and nothing is lost');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
