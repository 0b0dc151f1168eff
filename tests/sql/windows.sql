BEGIN;
\ir helper.psql
SELECT plan(151);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
SELECT pg_temp.pipeline('upserts', 'update', '{id}');
CREATE FUNCTION mrt.twice(value double precision) RETURNS double precision IMMUTABLE LANGUAGE sql AS 'SELECT 2 * value';
CREATE FUNCTION mrt.recent(at timestamptz) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT at > now() - interval ''1 day''';
CREATE OPERATOR mrt.? (FUNCTION = mrt.recent, RIGHTARG = timestamptz);
CREATE FUNCTION mrt.drawn(value double precision) RETURNS double precision VOLATILE LANGUAGE sql AS 'SELECT value + random()';
CREATE AGGREGATE mrt.total(double precision) (SFUNC = float8pl, STYPE = double precision, COMBINEFUNC = float8pl);
-- a type whose values are compared by functions of its own
RESET ROLE;
CREATE TYPE mrt.own;
CREATE FUNCTION mrt.own_in(cstring) RETURNS mrt.own IMMUTABLE STRICT LANGUAGE internal AS 'int4in';
CREATE FUNCTION mrt.own_out(mrt.own) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out';
CREATE TYPE mrt.own (INPUT = mrt.own_in, OUTPUT = mrt.own_out, LIKE = integer);
CREATE FUNCTION mrt.own(integer) RETURNS mrt.own IMMUTABLE STRICT LANGUAGE internal AS 'int4up';
CREATE FUNCTION mrt.own_cmp(mrt.own, mrt.own) RETURNS integer IMMUTABLE STRICT LANGUAGE internal AS 'btint4cmp';
DO $$
DECLARE
  name   text;
  "like" text;
BEGIN
  FOR name, "like" IN VALUES ('<', 'int4lt'), ('<=', 'int4le'), ('=', 'int4eq'), ('>=', 'int4ge'), ('>', 'int4gt') LOOP
    EXECUTE format('CREATE FUNCTION mrt.own_%1$s(mrt.own, mrt.own) RETURNS boolean IMMUTABLE STRICT LANGUAGE internal AS %1$L', "like");
    EXECUTE format('CREATE OPERATOR mrt.%s (FUNCTION = mrt.own_%s, LEFTARG = mrt.own, RIGHTARG = mrt.own)', name, "like");
  END LOOP;
END $$;
CREATE OPERATOR CLASS mrt.own_ops DEFAULT FOR TYPE mrt.own USING btree AS
  OPERATOR 1 mrt.<, OPERATOR 2 mrt.<=, OPERATOR 3 mrt.=, OPERATOR 4 mrt.>=, OPERATOR 5 mrt.>, FUNCTION 1 mrt.own_cmp(mrt.own, mrt.own);
CREATE DOMAIN mrt.own_domain AS mrt.own;
SET ROLE mrt_owner;
INSERT INTO mrt.reading (id, source, at, value)
SELECT i, 's' || i % 3, timestamptz '2026-01-01 00:00:00+00' + i * interval '7 s', i / 8.0 FROM generate_series(1, 100) AS i;

-- what may be said wrongly
CREATE FUNCTION pg_temp.wrong(arguments text, state text, message text, hint text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(
    format('SELECT millrace.create_window(%s)', string_agg(format('%I => %s', a.key, a.value), ', ')),
    state, message, hint, 'refused: ' || left(replace(arguments, E'\n', ' '), 100))
  FROM jsonb_each_text('{"name": "''w''", "pipeline": "''p''", "event_time": "''at''", "size": "''1 min''", "aggregates": "''count(*)''"}' || arguments::jsonb) AS a;
$$;
SELECT pg_temp.wrong('{"name": "NULL", "size": "NULL"}', '22004', 'argument must not be null: name, size', 'Give the argument a value');
SELECT pg_temp.wrong('{"name": "''By minute''"}', '42602', 'window name "By minute" is not valid', 'by_minute');
SELECT pg_temp.wrong('{"name": "''state''", "pipeline": "''nix''"}', '42704', 'pipeline "nix" does not exist', NULL);
SELECT pg_temp.wrong('{"name": "''definition''"}', '42P07', 'there is a relation millrace.window_definition', 'another name');
SELECT pg_temp.wrong('{"pipeline": "''upserts''"}', '55000', 'no index of table "mrt.reading" serves window "w"', 'CREATE INDEX ON mrt.reading (at);');
SELECT pg_temp.wrong('{"output_topic": "''closed''"}', '42501', 'not allowed to publish windows to topic "closed"', 'output => ''{closed}''');
SELECT pg_temp.wrong('{"delay": "''-1 min''"}', '22023', 'delay is "-00:01:00", expected 0 to 10 years', '1 min');
SELECT pg_temp.wrong('{"lateness": "''11 years''"}', '22023', 'lateness is "11 years"', NULL);
SELECT pg_temp.wrong('{"max_skew": "''-1 s''"}', '22023', 'max_skew is "-00:00:01"', NULL);
SELECT pg_temp.wrong('{"close_idle": "''-1 s''"}', '22023', 'close_idle is "-00:00:01"', NULL);
SELECT pg_temp.wrong('{"time_zone": "''Europe/Nowhere''"}', '22023', 'time zone "Europe/Nowhere" does not exist', 'pg_timezone_names');
SELECT pg_temp.wrong('{"retention": "''-1 day''"}', '22023', 'retention is "-1 days"', '30 days');
SELECT pg_temp.wrong('{"size": "''0''"}', '22023', 'size is "00:00:00"', '1 min');
SELECT pg_temp.wrong('{"size": "''-1 min''"}', '22023', 'size is "-00:01:00"', NULL);
SELECT pg_temp.wrong('{"size": "''1 day 1 h''"}', '22023', 'expected months, or days, or a time', '1 day');
SELECT pg_temp.wrong('{"size": "''11 years''"}', '22023', '1 ms to 10 years', NULL);
SELECT pg_temp.wrong('{"slide": "''7 s''"}', '22023', 'expected a whole number from 1 to 1000', 'larger slide');
SELECT pg_temp.wrong('{"slide": "''50 ms''"}', '22023', '1200 times the slide', NULL);
SELECT pg_temp.wrong('{"slide": "''2 min''"}', '22023', '0.5', NULL);
SELECT pg_temp.wrong('{"size": "''1 day''", "slide": "''1 h''"}', '22023', 'expected the same unit', 'both in days');
SELECT pg_temp.wrong('{"size": "''1 month''", "origin": "''2026-01-15''"}', '22023', 'expected the beginning of a month', '2026-01-01');
SELECT pg_temp.wrong('{"size": "''1 day''", "origin": "''infinity''"}', '22023', 'origin is infinity', NULL);
SELECT pg_temp.wrong('{"event_time": "''ats''"}', '42703', 'column "ats" does not exist', NULL);
SELECT pg_temp.wrong('{"event_time": "''value''"}', '42804', 'event_time of a window is of type double precision', 'AT TIME ZONE');
SELECT pg_temp.wrong('{"event_time": "''at, at''"}', '42601', 'event_time of a window has 2 expressions', NULL);
SELECT pg_temp.wrong('{"event_time": "''max(at)''"}', '0A000', 'event_time of a window cannot have an aggregate', NULL);
SELECT pg_temp.wrong('{"aggregates": "''avg(value2)''"}', '42703', 'column "value2" does not exist', 'reading.value');
SELECT pg_temp.wrong('{"aggregates": "''value''"}', '0A000', 'an expression without an aggregate', 'group_by');
SELECT pg_temp.wrong('{"aggregates": "''value + count(*)''"}', '42803', 'must appear in the GROUP BY', NULL);
SELECT pg_temp.wrong('{"aggregates": "''count(*) FROM pg_class''"}', '42601', 'must be expressions alone', 'no FROM');
SELECT pg_temp.wrong('{"aggregates": "''count(*); DROP TABLE mrt.reading''"}', '42601', 'must be expressions alone', NULL);
SELECT pg_temp.wrong('{"aggregates": "''count(*) LIMIT 1''"}', '42601', 'must be expressions alone', NULL);
SELECT pg_temp.wrong('{"aggregates": "''count(*) ORDER BY 1''"}', '42601', 'must be expressions alone', NULL);
SELECT pg_temp.wrong('{"aggregates": "''count(DISTINCT source)''"}', '55000', 'no index of table', 'CREATE INDEX ON mrt.reading (at);');
SELECT pg_temp.wrong('{"aggregates": "''percentile_cont(0.5) WITHIN GROUP (ORDER BY value)''"}', '55000', 'no index of table', NULL);
SELECT pg_temp.wrong('{"aggregates": "''array_agg(value)''"}', '55000', 'no index of table', NULL);
SELECT pg_temp.wrong('{"aggregates": "''mrt.total(value)''"}', '55000', 'no index of table', NULL);
SELECT pg_temp.wrong('{"aggregates": "''mrt.twice(max(value))''"}', '55000', 'no index of table', NULL);
SELECT pg_temp.wrong('{"aggregates": "''sum(mrt.drawn(value))''"}', '0A000', 'a volatile function', 'transform');
SELECT pg_temp.wrong('{"aggregates": "''sum((SELECT 1))''"}', '0A000', 'a subquery', 'transform');
SELECT pg_temp.wrong('{"aggregates": "''count(reading)''"}', '0A000', 'whole row', NULL);
SELECT pg_temp.wrong('{"aggregates": "''max(xmin::text)''"}', '0A000', 'system column', NULL);
SELECT pg_temp.wrong('{"aggregates": "''sum(count(*)) OVER ()''"}', '0A000', 'a window function', 'window''s view');
SELECT pg_temp.wrong('{"aggregates": "''count(*), count(*)''"}', '42701', 'column "count" of window "w" is there twice', 'AS');
SELECT pg_temp.wrong('{"aggregates": "''count(*) AS window_start''"}', '42701', 'column "window_start"', NULL);
SELECT pg_temp.wrong('{"group_by": "''{doc}''"}', '0A000', 'group_by of a window cannot have type json', 'Cast it');
SELECT results_eq($$ SELECT mrt.own(id::integer)::text, count(*) FROM mrt.reading WHERE id < 3 GROUP BY mrt.own(id::integer) $$, $$ VALUES ('1', 1::bigint), ('2', 1) $$, 'a type that can be grouped by');
SELECT pg_temp.wrong(format('{"group_by": "''{\"%s\"}''"}', e), '0A000', 'group_by of a window cannot have type ' || t, 'Cast it')
FROM (VALUES ('mrt.own(id::integer)', 'own'), ('ARRAY[mrt.own(id::integer)]', 'own[]'), ('mrt.own(id::integer)::mrt.own_domain', 'own'),
             ('ARRAY[mrt.own(id::integer)::mrt.own_domain]', 'own_domain[]')) AS v (e, t);
SELECT pg_temp.wrong('{"group_by": "''{NULL}''"}', '22004', 'null element', NULL);
SELECT pg_temp.wrong('{"group_by": "''{nix}''"}', '42703', 'column "nix"', NULL);
SELECT pg_temp.wrong('{"where": "''value''"}', '42804', '"where" of a window is of type double precision, expected boolean', 'which rows');
SELECT pg_temp.wrong('{"where": "''at > now() - interval ''''1 day''''''"}', '0A000', '"where" of a window cannot have the present time, user or setting', 'retention');
SELECT pg_temp.wrong('{"aggregates": "''count(*) FILTER (WHERE source = current_user)''"}', '0A000', 'cannot have the present time, user or setting', 'transform');
SELECT pg_temp.wrong('{"aggregates": "''max(age(at))''"}', '0A000', 'cannot have the present time, user or setting', 'transform');
SELECT pg_temp.wrong('{"group_by": "''{current_date}''"}', '0A000', 'group_by of a window cannot have the present time, user or setting', 'transform');
SELECT pg_temp.wrong('{"aggregates": "''max(current_database())''"}', '0A000', 'cannot have the present time, user or setting', 'transform');
SELECT pg_temp.wrong('{"where": "''mrt.recent(at)''"}', '0A000', '"where" of a window cannot have function recent(timestamp with time zone), which is not IMMUTABLE', 'ALTER FUNCTION mrt.recent(timestamp with time zone) IMMUTABLE;');
SELECT pg_temp.wrong('{"aggregates": "''count(*) FILTER (WHERE OPERATOR(mrt.?) at)''"}', '0A000', 'which is not IMMUTABLE', 'into a column of the target');
SELECT pg_temp.wrong('{"group_by": "''{mrt.recent(at)}''"}', '0A000', 'which is not IMMUTABLE', 'into a column of the target');
ALTER FUNCTION mrt.recent(timestamptz) IMMUTABLE;
SELECT lives_ok($$ SELECT millrace.create_window('promised', 'p', event_time => 'at', size => '1 h', "where" => 'mrt.recent(at)', aggregates => 'count(*)'), millrace.drop_window('promised') $$,
                'what its owner promises is believed, as by an index');
SELECT pg_temp.wrong('{"retention": "''1001 years''"}', '22023', 'retention is "1001 years", expected more than nothing, up to 1000 years', '30 days');
SELECT is((SELECT count(*) FROM pg_class WHERE relname ~ '^_?window_([0-9]|w)' AND relkind IN ('r', 'v')), 0::bigint, 'what is refused leaves nothing behind');

-- what is kept equals GROUP BY
SELECT isnt(millrace.create_window('by_minute', 'p', event_time => 'at', size => '1 min', group_by => '{source}',
  aggregates => 'count(*) AS n, avg(value) AS mean, max(value) - min(value) AS spread, stddev(id) AS sd, sum(id)'), NULL, 'a window is made');
SELECT set_eq('SELECT window_start, window_end, source, n, mean, spread, sd, sum FROM millrace.window_by_minute',
  $$ SELECT date_trunc('minute', at), date_trunc('minute', at) + interval '1 min', source, count(*) AS n, avg(value) AS mean,
            max(value) - min(value) AS spread, stddev(id) AS sd, sum(id) FROM mrt.reading GROUP BY 1, 2, 3 $$, 'with the rows there are');
SET TimeZone = 'America/New_York';
SELECT millrace.create_window('by_day', 'p', event_time => 'at', size => '1 day', group_by => '{at::date AS day}', aggregates => 'count(*) AS n');
RESET TimeZone;
SELECT results_eq('SELECT day, n FROM millrace.window_by_day', $$ VALUES ('2026-01-01'::date, 100::bigint) $$,
                  'a backfill has the settings of the definition, not of the session');
SELECT millrace.drop_window('by_day');
SET TimeZone = 'America/New_York';
SET DateStyle = 'SQL, DMY';
SELECT millrace.create_window('literals', 'p', event_time => 'at', size => '1 day', aggregates => 'count(*) AS n, min(at - timestamptz ''02/01/2026'') AS least',
  "where" => 'at >= ''2026-01-01 00:05:00''');
RESET TimeZone;
RESET DateStyle;
SELECT results_eq('SELECT n, least FROM millrace.window_literals',
  $$ SELECT count(*), min(at) - '2026-02-01 00:00:00+00' FROM mrt.reading WHERE at >= '2026-01-01 00:05:00+00' $$, 'and so have literals');
SELECT millrace.drop_window('literals');
SELECT isnt(millrace.create_window('later', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', backfill => false), NULL, 'without a backfill');
SELECT is_empty('SELECT * FROM millrace.window_later', 'or without them');
SELECT is((SELECT count(*) FROM (SELECT millrace.create_window('functions', 'p', event_time => 'at + interval ''1 h''', size => '1 h', group_by => '{"upper(source) AS s", "value > 5 AS big"}',
  aggregates => 'sum(mrt.twice(value)) AS twice, count(*) FILTER (WHERE value::numeric % 2 = 0) AS even, ''$1 "%s"'' || max(source) AS label', "where" => 'id <> 7')) AS c), 1::bigint, 'expressions');
SELECT set_eq('SELECT window_start, s, big, twice, even, label FROM millrace.window_functions',
  $$ SELECT date_trunc('hour', at + interval '1 h'), upper(source), value > 5 AS big, sum(2 * value), count(*) FILTER (WHERE value::numeric % 2 = 0), '$1 "%s"' || max(source) AS label
     FROM mrt.reading WHERE id <> 7 GROUP BY 1, 2, 3 $$, 'see the columns as they are');

-- first and last: by time, then by value, in whatever order the rows come
SELECT results_eq($$ SELECT millrace.first(v, t), millrace.last(v, t), millrace.first(v, t) FILTER (WHERE v > 'x') FROM (VALUES
  ('b', timestamptz '2026-01-01'), ('a', '2026-01-01'), (NULL, '2025-01-01'), ('d', '2026-01-02'), ('c', '2026-01-02'), ('z', NULL)) AS r (v, t) $$,
  $$ VALUES ('a', 'd', NULL) $$, 'first and last');
SELECT throws_ok($$ SELECT millrace.first('{}'::json, now()) $$, '42883', NULL, 'need an order of the values');
SELECT isnt(millrace.create_window('ends', 'p', event_time => 'at', size => '1 min', group_by => '{source}',
  aggregates => 'millrace.first(value, at) AS f, millrace.last(source, date_trunc(''hour'', at)) AS l'), NULL, 'a window of them');
SELECT set_eq('SELECT window_start, source, f, l FROM millrace.window_ends', $$
  SELECT date_trunc('minute', at), source, (array_agg(value ORDER BY at, value))[1], max(source) FROM mrt.reading GROUP BY 1, 2 $$, 'equals GROUP BY');

-- the calendar: days of 23 and 25 hours, months, and both ends
INSERT INTO mrt.reading (id, source, at, value)
SELECT 1000 + i, 'dst', timestamptz '2026-03-27 22:30:00+00' + i * interval '1 h', i FROM generate_series(0, 100) AS i
UNION ALL SELECT 2000 + i, 'dst', timestamptz '2026-10-23 22:30:00+00' + i * interval '1 h', i FROM generate_series(0, 100) AS i;
SELECT isnt(millrace.create_window(w.name, 'p', event_time => 'at', size => w.size::interval, slide => w.slide::interval, aggregates => 'count(*) AS n, sum(value) AS s',
  time_zone => 'Europe/Berlin', "where" => 'source = ''dst'''), NULL, w.name)
FROM (VALUES ('days', '1 day', NULL), ('weeks', '7 days', NULL), ('months', '1 month', NULL), ('quarters', '3 months', NULL), ('moving', '7 days', '1 day'),
             ('year', '1 year', '1 month')) AS w (name, size, slide);
SELECT set_eq('SELECT window_start, window_end, n, s FROM millrace.window_days', $$
  SELECT date_trunc('day', at, 'Europe/Berlin') AS s, (date_trunc('day', at AT TIME ZONE 'Europe/Berlin') + interval '1 day') AT TIME ZONE 'Europe/Berlin', count(*), sum(value)
  FROM mrt.reading WHERE source = 'dst' GROUP BY 1, 2 $$, 'days of a calendar');
SELECT set_has('SELECT window_end - window_start FROM millrace.window_days', $$ VALUES (interval '23 h'), ('24 h'), ('25 h') $$, 'of 23, 24 and 25 hours');
SELECT set_eq('SELECT window_start, n FROM millrace.window_weeks', $$
  SELECT date_trunc('week', at, 'Europe/Berlin'), count(*) FROM mrt.reading WHERE source = 'dst' GROUP BY 1 $$, 'weeks begin on Monday');
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_months', $$
  SELECT date_trunc('month', at, 'Europe/Berlin'), (date_trunc('month', at AT TIME ZONE 'Europe/Berlin') + interval '1 month') AT TIME ZONE 'Europe/Berlin', count(*)
  FROM mrt.reading WHERE source = 'dst' GROUP BY 1, 2 $$, 'months');
SELECT set_eq('SELECT window_start, n FROM millrace.window_quarters', $$
  SELECT date_trunc('quarter', at, 'Europe/Berlin'), count(*) FROM mrt.reading WHERE source = 'dst' GROUP BY 1 $$, 'quarters');
SELECT set_eq('SELECT window_start, window_end, n, s FROM millrace.window_moving', $$
  SELECT d AT TIME ZONE 'Europe/Berlin' AS s, (d + interval '7 days') AT TIME ZONE 'Europe/Berlin' AS e, count(*), sum(value)
  FROM mrt.reading CROSS JOIN LATERAL (SELECT date_trunc('day', at AT TIME ZONE 'Europe/Berlin') - k * interval '1 day' AS d FROM generate_series(0, 6) AS k) AS d
  WHERE source = 'dst' GROUP BY 1, 2 $$, 'sliding days');
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_year', $$
  SELECT d AT TIME ZONE 'Europe/Berlin' AS s, (d + interval '1 year') AT TIME ZONE 'Europe/Berlin' AS e, count(*)
  FROM mrt.reading CROSS JOIN LATERAL (SELECT date_trunc('month', at AT TIME ZONE 'Europe/Berlin') - k * interval '1 month' AS d FROM generate_series(0, 11) AS k) AS d
  WHERE source = 'dst' GROUP BY 1, 2 $$, 'sliding months');

-- event times that are in no window
INSERT INTO mrt.reading (id, at, value) VALUES (3000, NULL, 1), (3001, 'infinity', 1), (3002, '-infinity', 1), (3003, '294276-12-31 23:59:59.999999+00', 1),
  (3004, '4713-11-24 00:00:00+00 BC', 1), (3005, '9999-12-31 23:59:59+00', 1), (3006, '4000-01-01 00:00:30+00 BC', 1), (3007, '1969-12-31 23:59:59.999999+00', 1),
  (3008, '1899-12-31 23:59:00+00', 1);
SELECT isnt(millrace.create_window('far', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n', "where" => 'id >= 3000'), NULL, 'far away');
SELECT set_eq('SELECT window_start, n FROM millrace.window_far', $$ VALUES (timestamptz '9999-12-31 23:59:00+00', 1::bigint), ('4000-01-01 00:00:00+00 BC', 1),
  ('1969-12-31 23:59:00+00', 1), ('1899-12-31 23:59:00+00', 1) $$, 'those that are near enough are in a window that begins before them');
SELECT is((SELECT outside FROM millrace.windows WHERE name = 'far'), 5::bigint, 'the others are counted');

-- retention
SELECT lives_ok($$ SELECT millrace.create_window('kept_long', 'p', event_time => 'at', size => '10 years', aggregates => 'count(*) AS n', retention => '1000 years') $$, 'a retention may be long');
SELECT is((SELECT count(*) FROM millrace.window_kept_long WHERE window_end < '1026-01-01 00:00:00+00'), 0::bigint, 'and what is older is not there');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('kept_long', retention => '10000 years') $$, '22023', 'expected a time up to 1000 years, or 0', '30 days', 'but not longer than there was time');
SELECT isnt(millrace.create_window('kept', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n'), NULL, 'all of it');
SELECT millrace.alter_window('kept', retention => '1 day');  -- a backfill leaves out what retention has passed
SELECT is((SELECT min(window_end) > now() - interval '1 day' FROM millrace.window_kept), true, 'what is older is not there');
SELECT lives_ok($$ SELECT millrace.alter_window('kept', retention => '0') $$, 'it can be removed');
SELECT is((SELECT count(*) > 10 FROM millrace.window_kept WHERE window_start < '2026-10-01'), true, 'what is not removed yet is there again');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('kept', retention => NULL) $$, '22023', 'nothing to change', 'retention, delay, lateness, output_topic, max_groups and target_since', 'nothing');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('kept', retention => '-1 s') $$, '22023', 'retention', '30 days', 'retention of less than nothing');
SELECT pg_temp.refused($$ SELECT millrace.alter_window('kept', lateness => '-1 s') $$, '22023', 'lateness', '1 min', 'lateness of less than nothing');
SELECT lives_ok($$ SELECT millrace.alter_window('kept', retention => '1 day') $$, 'kept for a day');
RESET ROLE;
SELECT format('millrace._window_%s_folded', w.id) AS kept FROM millrace.window_definition AS w WHERE w.name = 'kept' \gset
SELECT count(*) AS young FROM :kept WHERE window_end > now() - interval '1 day' \gset
SELECT pg_temp.compact('kept');
SELECT results_eq('SELECT count(*), count(*) FILTER (WHERE window_end <= now() - interval ''1 day'') FROM ' || :'kept', format('VALUES (%s::bigint, 0::bigint)', :young),
                  'what retention has passed is removed, and nothing else');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.alter_window('nix', retention => '1 day') $$, '42704', 'window "nix" does not exist', 'millrace.windows', 'an unknown window');

-- what fails on a group is that group's error
SELECT isnt(millrace.create_window('failing', 'p', event_time => 'at', size => '1 min', group_by => '{source}',
  aggregates => 'count(*) AS n, 6 / sum(value) AS inverse, sum(value) AS o1, max(source) || ''$1 "m.a1"'' AS label, sum(value::real) AS r, avg(value) AS mean, stddev(value) AS sd',
  "where" => 'id >= 5000'), NULL, 'a window whose expressions can fail');
SELECT is((SELECT string_agg(a.attname, ' ' ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = 'millrace.window_failing'::regclass AND a.attnum > 0),
          'window_start window_end source n inverse o1 label r mean sd closed final revision error', 'error is the last column of its view');
INSERT INTO mrt.reading (id, source, at, value) VALUES (5000, 'ok', '2026-05-01', 2), (5001, 'zero', '2026-05-01', 1), (5002, 'zero', '2026-05-01 00:00:01', -1), (5003, NULL, '2026-05-01', NULL),
  (5004, 'far', '2026-05-01', 1), (5005, 'far', '2026-05-01 00:00:01', 2);
SELECT is(millrace.rebuild_window('failing'), 4::bigint, 'of some rows');
SELECT results_eq('SELECT source, n, inverse, o1, label, error FROM millrace.window_failing WHERE source IS DISTINCT FROM ''far'' ORDER BY source',
  $$ VALUES ('ok', 1::bigint, 3::double precision, 2::double precision, 'ok$1 "m.a1"', NULL::text), ('zero', NULL, NULL, NULL, NULL, 'division by zero'), (NULL, 1, NULL, NULL, NULL, NULL) $$,
  'a group on which one fails has its error, the others their values');
SELECT is((SELECT error FROM millrace.window_by_minute LIMIT 1), NULL, 'where nothing can fail there is no error');
DELETE FROM mrt.reading WHERE id = 5002;
SELECT millrace.rebuild_window('failing');
SELECT results_eq('SELECT inverse, error FROM millrace.window_failing WHERE source = ''zero''', $$ VALUES (6::double precision, NULL::text) $$, 'when it does not fail any more it has values');
RESET ROLE;
SELECT w.id AS failing, format('millrace._window_%s_folded', w.id) AS failing_folded FROM millrace.window_definition AS w WHERE w.name = 'failing' \gset
SELECT millrace._fold_window(:failing, true, true);
INSERT INTO :failing_folded SELECT (f).* FROM (SELECT jsonb_populate_record(f, jsonb_build_object('fold', k)) AS f FROM :failing_folded AS f CROSS JOIN generate_series(1, 3) AS k WHERE f.g1 IN ('far', 'ok')) AS c;
UPDATE :failing_folded SET s2 = 1.5e308, s4 = 3e38, s5 = '{1,1.5e308,0}' WHERE g1 = 'far';
INSERT INTO millrace.window_cursor (window_id, fold, seqs, compacted, groups) SELECT c.window_id, 20, c.seqs, 0, 10 FROM millrace.window_cursor AS c WHERE c.window_id = :failing LIMIT 1;
SELECT results_eq('SELECT source, n, o1, mean, error FROM millrace.window_failing WHERE source IN (''far'', ''ok'') ORDER BY source',
  $$ VALUES ('far', NULL::bigint, NULL::double precision, NULL::double precision, 'value out of range: overflow'), ('ok', 4, 8, 2, NULL) $$, 'sums that leave their range are the error of their group, before they are merged');
SELECT lives_ok(format('SELECT millrace._fold_window(%s, true, true)', :failing), 'folds are merged all the same');
SELECT results_eq('SELECT fold, compacted FROM millrace.window_cursor WHERE fold > 20', 'VALUES (21::bigint, 21::bigint)', 'all of them');
SELECT is((SELECT count(*) FROM :failing_folded), 4::bigint, 'a row of each group is left');
SELECT is((SELECT s2 FROM :failing_folded WHERE g1 = 'far'), 'Infinity'::double precision, 'of the one that is out of range, too');
SELECT is((SELECT n FROM millrace.window_failing WHERE source = 'ok'), 4::bigint, 'and the others are as before');
-- of any length
SELECT millrace.create_window('lengths', 'p', event_time => 'at', size => '1 min', group_by => '{"source::char(4) AS c","id::integer::bit(16) AS b"}',
  aggregates => 'max(source::char(4)) AS m, bit_or(id::integer::bit(16)) AS o, left(max(source::char(4)), 3) AS l', "where" => 'id = 5000');
SELECT results_eq('SELECT c, b, m, o, l FROM millrace.window_lengths', $$ SELECT 'ok'::char(4), 5000::bit(16), 'ok'::char(4), 5000::bit(16), 'ok'::text $$, 'types with a length');
-- states that cannot be merged at all do not keep rows that are to go
SELECT millrace.create_window('unmerged', 'p', event_time => 'at', size => '1 min', aggregates => 'bit_and(id::integer::bit(8)) AS b', retention => '1 day', "where" => 'id < 0') AS unmerged \gset
SELECT format('millrace._window_%s_folded', :unmerged) AS unmerged_folded \gset
INSERT INTO :unmerged_folded (fold, window_start, window_end, n, s1) VALUES (1, '2020-05-01', '2020-05-01 00:01', 1, B'1'), (2, '2020-05-01', '2020-05-01 00:01', 1, B'11'), (2, '2020-04-01', '2020-04-01 00:01', 1, B'1');
SELECT lives_ok($$ SELECT pg_temp.compact('unmerged') $$, 'states that cannot be merged');
SELECT is_empty('SELECT * FROM ' || :'unmerged_folded', 'do not keep what retention has passed');
SET ROLE mrt_owner;
GRANT SELECT ON millrace.window_failing TO mrt_stranger;
SET ROLE mrt_stranger;
SELECT is((SELECT n FROM millrace.window_failing WHERE source = 'ok'), 4::bigint, 'others may read it when the owner lets them');
SET ROLE mrt_owner;

-- others change the target
CREATE FUNCTION pg_temp.equal_days(description text) RETURNS text LANGUAGE sql AS $f$
  SELECT set_eq('SELECT window_start, n, s FROM millrace.window_days', $$
    SELECT date_trunc('day', at, 'Europe/Berlin'), count(*), sum(value) FROM mrt.reading WHERE source = 'dst' GROUP BY 1 $$, description);
$f$;
UPDATE mrt.reading SET value = value + 1 WHERE source = 'dst' AND at >= '2026-10-01';
DELETE FROM mrt.reading WHERE source = 'dst' AND id % 50 = 0;
SELECT isnt_empty('SELECT n, s FROM millrace.window_days EXCEPT SELECT count(*), sum(value) FROM mrt.reading WHERE source = ''dst'' GROUP BY date_trunc(''day'', at, ''Europe/Berlin'')',
                  'is not noticed');
CREATE TEMP TABLE before AS SELECT * FROM millrace.window_days;
SELECT is(millrace.rebuild_window('days', '2026-10-24 22:00:00+00', '2026-10-26'), 2::bigint, 'two days are rebuilt');
SELECT set_eq($$ SELECT * FROM millrace.window_days WHERE window_start NOT BETWEEN '2026-10-24 22:00:00+00' AND '2026-10-25 23:00:00+00' $$,
              $$ SELECT * FROM before WHERE window_start NOT BETWEEN '2026-10-24 22:00:00+00' AND '2026-10-25 23:00:00+00' $$, 'and no others');
SELECT set_eq($$ SELECT window_start, n, s FROM millrace.window_days WHERE window_start BETWEEN '2026-10-24 22:00:00+00' AND '2026-10-25 23:00:00+00' $$,
  $$ SELECT date_trunc('day', at, 'Europe/Berlin') AS d, count(*), sum(value) FROM mrt.reading WHERE source = 'dst' AND at >= '2026-10-24 22:00:00+00' AND at < '2026-10-26 23:00:00+00' GROUP BY 1 $$,
  'these have what the target has');
SELECT isnt(millrace.rebuild_window('days'), NULL, 'all of it');
SELECT pg_temp.equal_days('equals GROUP BY again');
SELECT isnt(millrace.rebuild_window('moving', '2026-03-01', '2026-04-01'), NULL, 'panes of a sliding one');
SELECT set_eq($$ SELECT window_start, n FROM millrace.window_moving WHERE window_start BETWEEN '2026-03-01' AND '2026-04-01' $$, $$
  SELECT d AT TIME ZONE 'Europe/Berlin' AS s, count(*)
  FROM mrt.reading CROSS JOIN LATERAL (SELECT date_trunc('day', at AT TIME ZONE 'Europe/Berlin') - k * interval '1 day' AS d FROM generate_series(0, 6) AS k) AS d
  WHERE source = 'dst' AND at BETWEEN '2026-03-01' AND '2026-05-01' GROUP BY 1 $$, 'equal, too');
SELECT isnt(millrace.rebuild_window('far'), NULL, 'with those that are in no window');
SELECT is((SELECT outside FROM millrace.windows WHERE name = 'far'), 5::bigint, 'they are counted once');
SELECT pg_temp.refused($$ SELECT millrace.rebuild_window('days', '2026-02-01', '2026-01-01') $$, '22023', 'which is not before', 'begin at "from"', 'nothing to rebuild');
SELECT pg_temp.refused($$ SELECT millrace.rebuild_window('nix') $$, '42704', 'window "nix" does not exist', NULL, 'an unknown window to rebuild');

-- who may
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)') $$, '42501', 'must be owner', 'SET ROLE', 'a stranger makes none');
SELECT pg_temp.refused($$ SELECT millrace.drop_window('far') $$, '42501', 'must be owner', NULL, 'nor drops one');
SELECT throws_ok('SELECT * FROM millrace.window_far', '42501', NULL, 'nor reads one');
SELECT is_empty('SELECT * FROM millrace.windows', 'nor sees one');
SET ROLE mrt_owner;
SELECT throws_ok(format('SELECT * FROM millrace.%I', (SELECT max(relname) FROM pg_class WHERE relname ~ '^_window_[0-9]+_folded$')), '42501', NULL,
                 'what is kept is read by its view');
SELECT set_eq($$ SELECT relkind::text, relowner FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relname ~ '^_window_[0-9]|^window_far$' $$,
  $$ SELECT k.relkind, e.extowner FROM pg_extension AS e CROSS JOIN (VALUES ('r'), ('i'), ('v')) AS k (relkind) WHERE e.extname = 'millrace' $$, 'and belongs to the owner of the extension');
GRANT SELECT ON millrace.window_far TO mrt_stranger;
SET ROLE mrt_stranger;
SELECT isnt_empty('SELECT * FROM millrace.window_far', 'the owner grants it');
SET ROLE mrt_owner;

-- what failed holds its partition where it was then; of each partition one row is read, however many are tried again
RESET ROLE;
SELECT p.id AS pipeline_id, w.id AS window_id FROM millrace.pipeline AS p JOIN millrace.window_definition AS w ON w.pipeline_id = p.id WHERE w.name = 'far' \gset
SAVEPOINT failures;
SELECT millrace.add_partitions('p', (SELECT partitions FROM millrace.pipelines WHERE name = 'p'), array_fill(0::bigint, ARRAY[(SELECT partitions FROM millrace.pipelines WHERE name = 'p') + 3]));
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, entered_at)
SELECT :pipeline_id, 1, 'events', t.partition, n, -1, 0, 1, now(), now(), CASE WHEN n % 2 = 0 THEN n END, now() - n * interval '1 s'
FROM millrace.partition AS t, generate_series(1, 2000) AS n WHERE t.pipeline_id = :pipeline_id;
DELETE FROM millrace.window_mark WHERE window_id = :window_id;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT :window_id, now() - s * interval '1 s', '{0}', ARRAY['2026-01-01 12:00:00+00'::timestamptz - s * interval '1 s'], now(), '-infinity', '-infinity'
FROM generate_series(0, 400, 100) AS s;
SELECT is((SELECT array_agg(DISTINCT f.high) FROM millrace._failures_hold(:pipeline_id, :window_id) AS f WHERE f.partition = 0),
          ARRAY['2026-01-01 11:55:00+00'::timestamptz], 'where it was before the oldest failure of 5 minutes, replays aside');
CREATE FUNCTION pg_temp.retries_read(pipeline_id integer, window_id integer) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  read text := 'SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = ''millrace.retry''::regclass';
  before bigint;
  after bigint;
BEGIN
  EXECUTE read INTO before;
  PERFORM * FROM millrace._failures_hold(pipeline_id, window_id);
  EXECUTE read INTO after;
  RETURN after - before;
END $$;
SELECT is(pg_temp.retries_read(:pipeline_id, :window_id), (SELECT count(*) FROM millrace.partition AS t WHERE t.pipeline_id = :pipeline_id),
          'one row of each partition is read');
ROLLBACK TO failures;
SET ROLE mrt_owner;

-- the pipeline of windows
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('p') $$, '2BP01', 'pipeline "p" has windows', 'millrace.drop_window', 'drop_pipeline');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', on_conflict => 'update', conflict_key => '{id}') $$, '0A000', 'changes rows of its target', NULL, 'on_conflict');
CREATE TABLE mrt.other (LIKE mrt.reading);
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', target => 'mrt.other') $$, '2BP01', 'has windows over its target', 'millrace.drop_window', 'target');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', batch_rows => 100) $$, 'what does not matter');
CREATE VIEW mrt.over AS SELECT * FROM millrace.window_far;
SELECT pg_temp.refused($$ SELECT millrace.drop_window('far') $$, '2BP01', 'other objects depend on it', NULL, 'a view of the user''s over it');
DROP VIEW mrt.over;
SELECT lives_ok($$ SELECT millrace.drop_window(w.name) FROM millrace.windows AS w WHERE w.pipeline = 'p' $$, 'all are dropped, as the hint says');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname ~ '^_window_[0-9]' AND relkind = 'r' $$, 'with all they have kept');
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p') $$, 'and the pipeline');

SELECT * FROM finish();
ROLLBACK;
