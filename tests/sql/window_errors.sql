-- Partial values that cannot be merged: the error of their group, and of no other. What batches would add is added here by hand.
BEGIN;
\ir helper.psql
SELECT plan(44);

SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
CREATE FUNCTION pg_temp.make(name text, aggregates text, more text DEFAULT '') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  id integer;
BEGIN
  EXECUTE format('SELECT millrace.create_window(%L, ''p'', event_time => ''at'', size => ''1 min'', group_by => ''{source}'', aggregates => %L%s)', name, aggregates, more) INTO id;
  RETURN id;
END $$;
-- Sums of these fit for each row, and not for two of them.
SELECT pg_temp.make('spans', 'sum(value * interval ''1 month'') AS sum, count(*) AS n');
SELECT pg_temp.make('means', 'avg(value * interval ''1 month'') AS mean');
SELECT pg_temp.make('prices', 'sum(value::numeric::money) AS sum');
SELECT pg_temp.make('bits', 'bit_or(left(''111100001111'', value::integer)::varbit) AS bits, count(*) AS n', ', slide => ''30 s'', retention => ''100 years''');
SELECT pg_temp.make('exact', 'sum((''1e'' || value)::numeric) AS sum, avg((''1e'' || value)::numeric) AS mean');
SELECT is((SELECT count(*) FROM millrace.windows WHERE kind = 'incremental'), 5::bigint, 'they are incremental');
RESET ROLE;

-- As a batch would that has written one row.
CREATE SEQUENCE pg_temp.seq;
CREATE FUNCTION pg_temp.add(name text, source text, value double precision) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  INSERT INTO mrt.reading (id, source, at, value) SELECT n, add.source, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 us', add.value FROM nextval('pg_temp.seq') AS n;
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.name = add.name;
  EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, currval(''pg_temp.seq''), '
                 '(SELECT array_agg(ROW(0, q.*)::millrace._window_%1$s_folded) FROM (%2$s FROM (SELECT * FROM mrt.reading WHERE id = currval(''pg_temp.seq'')) AS written %3$s) AS q)',
                 w.id, w.selects, w.grouped);
END $$;
CREATE FUNCTION pg_temp.fold(name text) RETURNS boolean LANGUAGE sql AS $$
  SELECT millrace._fold_window(w.id, true, true) FROM millrace.window_definition AS w WHERE w.name = fold.name;
$$;
CREATE FUNCTION pg_temp.kept(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE (SELECT format('SELECT count(*) FROM millrace._window_%s_folded', w.id) FROM millrace.window_definition AS w WHERE w.name = kept.name) INTO n;
  RETURN n;
END $$;
-- Two groups in batches of their own; one of them cannot be merged.
CREATE FUNCTION pg_temp.fill(name text, good double precision, bad double precision, worse double precision) RETURNS void LANGUAGE sql AS $$
  SELECT pg_temp.add(name, 'good', good) FROM generate_series(1, 3);
  SELECT pg_temp.add(name, 'bad', bad), pg_temp.add(name, 'bad', worse), pg_temp.add(name, 'bad', bad);
$$;

SELECT pg_temp.fill('spans', 7, 2000000000, 2000000000), pg_temp.fill('means', 7, 2000000000, 2000000000), pg_temp.fill('prices', 7, 9e16, 9e16),
       pg_temp.fill('bits', 4, 3, 2), pg_temp.fill('exact', 2, 131071, 131071);
SELECT results_eq('SELECT source, sum, n, error FROM millrace.window_spans ORDER BY 1 DESC', $$ VALUES ('good', interval '21 months', 3::bigint, NULL), ('bad', NULL, NULL, 'interval out of range') $$, 'interval');
SELECT results_eq('SELECT source, mean, error FROM millrace.window_means ORDER BY 1 DESC', $$ VALUES ('good', interval '7 months', NULL), ('bad', NULL, 'interval out of range') $$, 'its mean');
SELECT results_eq('SELECT source, sum, error FROM millrace.window_prices ORDER BY 1 DESC', $$ VALUES ('good', 21::money, NULL), ('bad', NULL, 'money out of range') $$, 'money');
SELECT results_eq('SELECT DISTINCT source, bits, n, error FROM millrace.window_bits ORDER BY 1 DESC', $$ VALUES ('good', B'1111', 3::bigint, NULL), ('bad', NULL, NULL, 'bit strings have different lengths, 3 and 2') $$, 'bit strings');
SELECT results_eq('SELECT source, sum, mean, error FROM millrace.window_exact ORDER BY 1 DESC',
  $$ SELECT 'good', 300::numeric, 100::numeric, NULL::text UNION ALL SELECT 'bad', 3 * ('1e131071')::numeric, ('1e131071')::numeric, NULL $$, 'numeric as long as it fits');
SELECT pg_temp.add('exact', 'bad', 131071) FROM generate_series(1, 7);
SELECT results_eq('SELECT source, sum, error FROM millrace.window_exact ORDER BY 1 DESC', $$ VALUES ('good', 300::numeric, NULL::text), ('bad', 'Infinity', NULL) $$, 'and what does not is infinite');

-- folded and merged, and merged again
SELECT is((SELECT bool_and(pg_temp.fold(w.name)) FROM millrace.windows AS w), true, 'they are folded');
SELECT is(pg_temp.kept('spans'), 2::bigint, 'to a row for each group');
SELECT results_eq('SELECT source, sum, n, error FROM millrace.window_spans ORDER BY 1 DESC', $$ VALUES ('good', interval '21 months', 3::bigint, NULL), ('bad', NULL, NULL, 'interval out of range') $$, 'interval');
SELECT results_eq('SELECT DISTINCT source, bits, n, error FROM millrace.window_bits ORDER BY 1 DESC', $$ VALUES ('good', B'1111', 3::bigint, NULL), ('bad', NULL, NULL, 'bit strings have different lengths, 3 and 2') $$, 'bit strings');
DO $$ BEGIN
  FOR i IN 1 .. 17 LOOP
    PERFORM pg_temp.add('bits', 'good', 4), pg_temp.add('bits', 'bad', 3), pg_temp.fold('bits');
  END LOOP;
END $$;
SELECT ok(pg_temp.kept('bits') < 10, 'as often as that');
SELECT is((SELECT compacted > 0 FROM millrace.window_cursor AS c JOIN millrace.window_definition AS w ON w.id = c.window_id WHERE w.name = 'bits' ORDER BY c.fold DESC LIMIT 1), true, 'all folds');
SELECT results_eq('SELECT DISTINCT source, bits, n, error FROM millrace.window_bits ORDER BY 1 DESC', $$ VALUES ('good', B'1111', 20::bigint, NULL), ('bad', NULL, NULL, 'bit strings have different lengths, 3 and 2') $$, 'bit strings');

-- published, too
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.alter_window('spans', output_topic => 'closed') $$, 'published');
RESET ROLE;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT w.id, clock_timestamp(), '{0}', ARRAY[timestamptz '2026-01-02'], clock_timestamp(), '2026-01-02', '2026-01-01' FROM millrace.window_definition AS w WHERE w.name = 'spans';
SELECT lives_ok($$ SELECT millrace._publish_window(w.id, 100) FROM millrace.window_definition AS w WHERE w.name = 'spans' $$, 'with the groups that have values');
SELECT results_eq($$ SELECT p.m ->> 'source', p.m ->> 'n', p.m ->> 'error' FROM millrace.window_output AS o CROSS JOIN LATERAL (SELECT convert_from(o.payload, 'UTF8')::json AS m) AS p ORDER BY 1 DESC $$,
  $$ VALUES ('good', '3', NULL), ('bad', NULL, 'interval out of range') $$, 'and the error of the one that has not');

-- What was there before, or is rebuilt, is no other than what batches have added: the error, or the infinity, of one group. Windows on doubles, too: their totals and deviations
INSERT INTO mrt.reading (id, source, at, value) SELECT 9000 + v.place, v.source, timestamptz '2026-01-01 00:00:10+00' + v.place * interval '1 us', v.value
FROM unnest('{even,even,odd,odd,odd}'::text[], '{1e308,1e308,Infinity,NaN,NULL}'::double precision[]) WITH ORDINALITY AS v (source, value, place);
ALTER TABLE mrt.reading ADD COLUMN kind text;
UPDATE mrt.reading SET kind = CASE WHEN source IN ('even', 'odd') THEN 'double' WHEN value > 1e16 THEN 'money' WHEN value > 1e9 THEN 'interval' WHEN value = 131071 THEN 'numeric' ELSE 'other' END;
SET ROLE mrt_owner;
SELECT millrace.create_window('doubles', 'p', event_time => 'at', size => '1 min', group_by => '{source}', "where" => 'kind IN (''double'', ''other'')',
  aggregates => 'sum(value) AS sum, avg(value) AS mean, stddev(value) AS deviation, count(*) FILTER (WHERE value > 3) AS n, sum(value) FILTER (WHERE value < 5) AS low');
SELECT results_eq($$ SELECT source, sum, mean, low, n, error FROM millrace.window_doubles WHERE source IN ('even', 'odd') ORDER BY 1 $$,
  $$ VALUES ('even', 'Infinity'::double precision, 'Infinity'::double precision, NULL::double precision, 2::bigint, NULL::text), ('odd', 'NaN', 'NaN', NULL, 2, NULL) $$, 'backfilled: totals that are out of range');
SELECT results_eq($$ SELECT source, sum, mean, round(deviation::numeric, 12), low, n FROM millrace.window_doubles WHERE source NOT IN ('even', 'odd') ORDER BY 1 $$,
  $$ SELECT source, sum(value), avg(value), round(stddev(value)::numeric, 12), sum(value) FILTER (WHERE value < 5), count(*) FILTER (WHERE value > 3) FROM mrt.reading WHERE kind = 'other' GROUP BY 1 ORDER BY 1 $$, 'and those of others');
CREATE TEMP TABLE before AS SELECT source, sum, mean, deviation, low, n FROM millrace.window_doubles;
SELECT cmp_ok(millrace.rebuild_window('doubles'), '>', 2::bigint, 'rebuilt');
SELECT set_eq('SELECT source, sum, mean, deviation, low, n FROM millrace.window_doubles', 'TABLE before', 'as before');
SELECT millrace.create_window(w.name || '_filled', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => w.aggregates, "where" => format('kind = %L OR source = ''good'' AND value = 7', w.kind))
FROM (VALUES ('spans', 'interval', 'sum(value * interval ''1 month'') AS sum, count(*) AS n'), ('means', 'interval', 'avg(value * interval ''1 month'') AS mean'), ('prices', 'money', 'sum(value::numeric::money) AS sum')) AS w (name, kind, aggregates);
SELECT results_eq('SELECT source, sum, n, error FROM millrace.window_spans_filled ORDER BY 1 DESC', $$ SELECT 'good', sum(value * interval '1 month'), count(*), NULL::text FROM mrt.reading WHERE source = 'good' AND value = 7 UNION ALL SELECT 'bad', NULL, NULL, 'interval out of range' $$, 'interval');
SELECT results_eq('SELECT source, mean, error FROM millrace.window_means_filled ORDER BY 1 DESC', $$ VALUES ('good', interval '7 months', NULL), ('bad', NULL, 'interval out of range') $$, 'its mean');
SELECT results_eq('SELECT source, error FROM millrace.window_prices_filled ORDER BY 1 DESC', $$ VALUES ('good', NULL), ('bad', 'money out of range') $$, 'money');
SELECT lives_ok($$ SELECT millrace.rebuild_window('spans_filled') $$, 'rebuilt');
SELECT results_eq('SELECT source, error FROM millrace.window_spans_filled ORDER BY 1 DESC', $$ VALUES ('good', NULL), ('bad', 'interval out of range') $$, 'it has its error again');
SELECT pg_temp.refused($$ SELECT millrace.create_window('x', 'p', event_time => 'at', size => '1 min', aggregates => 'sum(1 / (value - 7)) AS s') $$, '22012', 'division by zero', NULL, 'a row on which an expression fails is no group');
SELECT millrace.create_window('numbers', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'sum((''1e'' || value)::numeric) AS sum, avg((''1e'' || value)::numeric) AS mean', "where" => 'kind = ''numeric'' OR source = ''good'' AND value = 2');
SELECT results_eq('SELECT source, sum, mean FROM millrace.window_numbers ORDER BY 1 DESC', $$ VALUES ('good', 300::numeric, 100::numeric), ('bad', 'Infinity', 'Infinity') $$, 'numeric');

-- rows that do not fail, after all: rebuilt
DELETE FROM mrt.reading WHERE value NOT IN (3, 4);
SELECT is(millrace.rebuild_window('bits') > 0, true, 'rows are gone that cannot be merged');
SELECT is_empty('SELECT FROM millrace.window_bits WHERE error IS NOT NULL', 'and so is the error');

-- what is the server's own trouble is no group's: it fails, and is done again
SELECT set_eq($$ SELECT c FROM unnest('{00,08,22,23,25,40,42,53,54,55,57,58,P0,XX}'::text[]) AS c WHERE millrace.is_server_trouble(c || '001') $$, '{25,40,53,55,57,58,XX}'::text[], 'what that is');
SELECT set_eq($$ SELECT c FROM unnest('{53000,55000,55006,55P03,XX000,XX001,XX002}'::text[]) AS c WHERE NOT millrace.is_server_trouble(c) $$, '{55000,XX000}'::text[], 'and what any function raises');
SELECT is(millrace.is_server_trouble(NULL), NULL, 'nothing is nothing');
SET ROLE mrt_stranger;
SELECT is(millrace.is_server_trouble('40001'), true, 'who reads a view may ask');
SET ROLE mrt_owner;
CREATE FUNCTION mrt.risky(value double precision) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF value = 40 THEN
    RAISE EXCEPTION 'deadlock, say' USING ERRCODE = 'deadlock_detected';
  END IF;
  IF value IN (41, 42) THEN
    RAISE EXCEPTION 'no %', value USING ERRCODE = CASE value WHEN 41 THEN '55000' ELSE 'XX000' END;
  END IF;
  RETURN 6 / (value - 22);
END $$;
DELETE FROM mrt.reading;
SELECT pg_temp.make('risks', 'mrt.risky(sum(value)) AS v', ', backfill => false');
RESET ROLE;
SELECT pg_temp.add('risks', 'good', 25), pg_temp.add('risks', 'bad', 22);
SELECT results_eq('SELECT source, v, error FROM millrace.window_risks ORDER BY 1 DESC', $$ VALUES ('good', 2::double precision, NULL), ('bad', NULL, 'division by zero') $$, 'an error of a group');
SELECT ok(pg_temp.fold('risks'), 'which is folded');
SELECT pg_temp.add('risks', 'wrong state', 41), pg_temp.add('risks', 'wrong C', 42);
CREATE TEMP TABLE risks (source text, v double precision, error text);
INSERT INTO risks VALUES ('good', 2, NULL), ('bad', NULL, 'division by zero'), ('wrong state', NULL, 'no 41'), ('wrong C', NULL, 'no 42');
SELECT set_eq('SELECT source, v, error FROM millrace.window_risks', 'TABLE risks', 'what any function raises is that of its group');
SELECT ok(pg_temp.fold('risks'), 'for the fold, too');
SELECT set_eq('SELECT source, v, error FROM millrace.window_risks_folded', 'TABLE risks', 'which goes on');
SELECT is(millrace.rebuild_window('risks'), 4::bigint, 'and when it is rebuilt');
SELECT set_eq('SELECT source, v, error FROM millrace.window_risks_folded', 'TABLE risks', 'as before');
SELECT pg_temp.add('risks', 'trouble', 40);
SELECT throws_ok('SELECT * FROM millrace.window_risks', '40P01', 'deadlock, say', 'trouble is that of the reader');
SELECT throws_ok($$ SELECT pg_temp.fold('risks') $$, '40P01', 'deadlock, say', 'and of the fold, which goes on later');
SELECT is(pg_temp.kept('risks'), 4::bigint, 'with all of it');

SELECT * FROM finish();
ROLLBACK;
