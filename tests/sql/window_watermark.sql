-- What moves a watermark: when the fold began that saw the rows, and partitions that it did not know.
BEGIN;
\ir helper.psql
SELECT plan(6);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS pipeline \gset
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n', close_idle => '1 min') AS w \gset
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{0,0}'), millrace.report_watermarks('p', '{0,1}', '{0,0}', '{NULL,NULL}', true);

-- As a batch would that has written a row of this time.
CREATE FUNCTION pg_temp.added(partition integer, at text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  id integer := (SELECT d.id FROM millrace.window_definition AS d);
BEGIN
  EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows, partitions, highs) SELECT 0, nextval(''millrace.window_seq''), '
                 'ARRAY[ROW(0, date_trunc(''minute'', $2), date_trunc(''minute'', $2) + interval ''1 min'', 1, 1)::millrace._window_%1$s_folded], ARRAY[$1], ARRAY[$2]', id)
  USING partition, ('2026-01-01 ' || at || '+00')::timestamptz;
END $$;
CREATE FUNCTION pg_temp.move(partitions integer[], highs timestamptz[], known integer[], began timestamptz) RETURNS void LANGUAGE sql AS $$
  SELECT millrace._move_watermark(d, millrace._window_mark(d.id), partitions, highs, known, array_fill(NULL::text, ARRAY[cardinality(known)]), '{}', '{}', began) FROM millrace.window_definition AS d;
$$;
CREATE FUNCTION pg_temp.mark() RETURNS millrace.window_mark LANGUAGE sql AS $$ SELECT millrace._window_mark(d.id) FROM millrace.window_definition AS d $$;

-- a fold sees what was there when it began, and says nothing of what has come since
CREATE TEMP TABLE during (at timestamptz);
CREATE FUNCTION pg_temp.noticed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pg_temp.during VALUES (clock_timestamp()); RETURN NULL; END $$;
SELECT format('CREATE TRIGGER noticed BEFORE DELETE ON millrace._window_%s_partial FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.noticed()', :w) \gexec
SELECT pg_temp.added(0, '00:05:30');
SELECT ok(millrace._fold_window(:w, true, true), 'folded');
SELECT ok((SELECT (pg_temp.mark()).risen_at < d.at FROM during AS d), 'what it has seen came before it began');
SELECT is((pg_temp.mark()).watermark, '2026-01-01 00:05:30+00'::timestamptz, 'nothing is closed yet');
SELECT pg_temp.move(NULL, NULL, '{0,1}', (pg_temp.mark()).risen_at + interval '1 min');
SELECT is((pg_temp.mark()).watermark, '2026-01-01 00:05:30+00'::timestamptz, 'nor by a fold that began within close_idle, however long it took');
SELECT pg_temp.move(NULL, NULL, '{0,1}', (pg_temp.mark()).risen_at + interval '1 min 1 us');
SELECT is((pg_temp.mark()).watermark, '2026-01-01 00:06:00+00'::timestamptz, 'but by the next one');

-- rows of a partition that was not there when the fold asked which ones are idle
SELECT pg_temp.move('{0,2}', '{2026-01-01 00:09:30+00,2026-01-01 00:07:30+00}', '{0,1}', clock_timestamp());
SELECT results_eq('SELECT (m).watermark, (m).held_by FROM pg_temp.mark() AS m', $$ VALUES (timestamptz '2026-01-01 00:07:30+00', 2) $$, 'a new partition is not idle');

SELECT * FROM finish();
ROLLBACK;
