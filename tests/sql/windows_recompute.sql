-- Windows kept by recompute. What a batch would note is noted here by hand; tests/e2e/test_windows_recompute.py has batches.
BEGIN;
\ir helper.psql
SELECT plan(67);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p', 'update', '{id}');
SELECT pg_temp.pipeline('grows');
SELECT pg_temp.pipeline('nullable', 'update', '{source,at}');
CREATE FUNCTION mrt.who() RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT current_user::text';
CREATE FUNCTION mrt.add(state double precision, value double precision) RETURNS double precision IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF value = 13 THEN RAISE EXCEPTION '13 is not added'; END IF;
  RETURN state + value;
END $$;
CREATE AGGREGATE mrt.total(double precision) (SFUNC = mrt.add, STYPE = double precision, INITCOND = '0');
INSERT INTO mrt.reading (id, source, at, value)
SELECT i, CASE WHEN i % 4 > 0 THEN 's' || i % 4 END, timestamptz '2026-01-01 00:00:00+00' + i * interval '7 s', i % 12 FROM generate_series(1, 100) AS i;
INSERT INTO mrt.reading (id, source, at, value) VALUES (200, 's1', NULL, 1), (201, 's1', 'infinity', 1);

-- the index
CREATE FUNCTION pg_temp.make(name text, pipeline text, more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
  SELECT format($f$ SELECT millrace.create_window(%L, %L, event_time => 'at', size => '1 min', group_by => '{source}',
    aggregates => 'count(DISTINCT value) AS kinds, percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS middle, mrt.total(value) AS total, mrt.who() || count(*) AS who'%s) $f$, name, pipeline, more);
$$;
ALTER TABLE mrt.reading DROP CONSTRAINT reading_source_at_key;
SELECT pg_temp.refused(pg_temp.make('w', 'grows'), '55000', 'no index of table "mrt.reading" serves window "w"', 'CREATE INDEX ON mrt.reading (source, at);', 'without an index');
SELECT pg_temp.pasted(pg_temp.hint_of(pg_temp.make('w', 'grows')), 'the hint makes it');
CREATE INDEX partial ON mrt.reading (at) WHERE source = 's1';
CREATE INDEX hashed ON mrt.reading USING hash (at);
CREATE INDEX other_order ON mrt.reading (source, value, at);
SELECT pg_temp.refused(pg_temp.make('w', 'grows'), '55000', 'no index of table', NULL, 'one that does not help is none');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at + interval ''1 h''', size => '1 min', group_by => '{"at::date AS day"}', aggregates => 'count(*)') $$,
  '55000', 'no index', 'CREATE INDEX ON mrt.reading ((', 'an expression that no index may have is left out');
SELECT pg_temp.refused(pg_temp.make('w', 'nullable'), '55000', 'column "source" of the conflict_key of pipeline "nullable" may be null', 'ALTER COLUMN source SET NOT NULL', 'a key that may be null');
RESET ROLE;
CREATE COLLATION mrt.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE mrt.named (LIKE mrt.reading);
ALTER TABLE mrt.named OWNER TO mrt_owner;
SET ROLE mrt_owner;
ALTER TABLE mrt.named ALTER source SET NOT NULL;
CREATE UNIQUE INDEX named_source ON mrt.named (source COLLATE mrt.blind);
SELECT millrace.alter_pipeline('nullable', target => 'mrt.named', conflict_key => '{source}') > 0 AS altered \gset
SELECT pg_temp.refused(pg_temp.make('w', 'nullable'), '55000', 'unique index "mrt.named_source" compares column "source" otherwise than "="', 'the collation of the column',
  'a key that its index takes for another one''s');
SELECT pg_temp.refused(pg_temp.make(repeat('w', 50), 'p'), '42622', 'is too long', 'at most 49', 'a name that is too long');
CREATE INDEX by_time ON mrt.reading (at);

-- equal to GROUP BY, by either index
CREATE FUNCTION pg_temp.truth(OUT window_start timestamptz, OUT source text, OUT kinds bigint, OUT middle double precision, OUT total double precision, OUT who text)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT date_trunc('minute', at), source, count(DISTINCT value), percentile_cont(0.5) WITHIN GROUP (ORDER BY value), sum(value), 'mrt_owner' || count(*)
  FROM mrt.reading WHERE isfinite(at) GROUP BY 1, 2;
$$;
SELECT lives_ok(pg_temp.make('w', 'p'), 'a window over rows that change');
SELECT lives_ok(pg_temp.make('g', 'grows'), 'and one of other aggregates');
SELECT results_eq('SELECT name, kind, outside FROM millrace.windows ORDER BY 1', $$ VALUES ('g', 'recompute', 2::bigint), ('w', 'recompute', 2) $$, 'are recomputed');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'equals GROUP BY');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w_folded', 'SELECT * FROM pg_temp.truth()', 'and so does what is folded');
SELECT ok((SELECT bool_and(as_of = now()) FROM millrace.window_w_folded), 'as of now');
SELECT millrace.create_window('v_folded', 'grows', event_time => 'at', size => '1 min', aggregates => 'count(*)');
SELECT pg_temp.refused($$ SELECT millrace.create_window('v', 'grows', event_time => 'at', size => '1 min', aggregates => 'count(DISTINCT id)') $$,
  '42P07', 'window name "v" is not possible: there is a relation millrace.window_v_folded', 'another name', 'a window that has two views needs both names');
SELECT millrace.drop_window('v_folded');
SELECT id AS w FROM millrace.windows AS v JOIN LATERAL (SELECT substring(pg_get_viewdef(v.relation) FROM '_window_(\d+)_folded') AS id) AS i ON true WHERE v.name = 'w' \gset

-- what a batch would note that has touched these rows
RESET ROLE;
CREATE FUNCTION pg_temp.note(ids integer[], rows bigint DEFAULT 1) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  w integer;
BEGIN
  FOR w IN SELECT d.id FROM millrace.window_definition AS d WHERE d.name = 'w' LOOP
    EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 5, nextval(''millrace.window_seq''), '
                   'array_agg(ROW(0, date_trunc(''minute'', r.at), date_trunc(''minute'', r.at) + interval ''1 min'', $2, r.source, NULL, NULL, NULL, NULL, NULL)::millrace._window_%1$s_folded) '
                   'FROM mrt.reading AS r WHERE r.id = ANY ($1)', w) USING ids, rows;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.fold(wait boolean DEFAULT true) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT millrace._fold_window(d.id, true, wait) FROM millrace.window_definition AS d WHERE d.name = 'w' $$;
SET ROLE mrt_owner;
SELECT pg_temp.note('{1,2,4,100}');
UPDATE mrt.reading SET value = 77, at = at + interval '2 min', source = CASE WHEN source IS NULL THEN 'new' END WHERE id IN (1, 2, 4);
DELETE FROM mrt.reading WHERE id = 100;
SELECT pg_temp.note('{1,2,4}', 0);
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'the reader has what was noted');
SELECT ok((SELECT bool_and(as_of <= now()) AND count(*) FILTER (WHERE total = 77) = 0 FROM millrace.window_w_folded), 'what is folded is as it was');
SELECT is((SELECT count(*) FROM millrace.window_w WHERE window_start = '2026-01-01 00:02:00+00'), (SELECT count(*) FROM pg_temp.truth() AS t WHERE t.window_start = '2026-01-01 00:02:00+00'), 'of one window');
CREATE INDEX by_group ON mrt.reading (source, at);
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'through an index of the groups, too');
SELECT ok(pg_temp.fold(), 'folded');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w_folded', 'SELECT * FROM pg_temp.truth()', 'it has all');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'and so has the reader');

-- as much as a tenth of the time has room for, unless a worker waits
SELECT pg_temp.note(ARRAY[5]) FROM generate_series(1, 120);
RESET ROLE;
SELECT max(c.fold) AS fold FROM millrace.window_cursor AS c WHERE c.window_id = :w \gset
UPDATE millrace.window_cursor SET due_at = clock_timestamp() + interval '1 min' WHERE window_id = :w;
SELECT ok(NOT pg_temp.fold(false), 'not yet');
SELECT is((SELECT max(c.fold) FROM millrace.window_cursor AS c WHERE c.window_id = :w), :fold::bigint, 'nothing was folded');
UPDATE millrace.window_cursor SET due_at = clock_timestamp() WHERE window_id = :w;
SELECT ok(NOT pg_temp.fold(false), 'some is left');
SELECT isnt((SELECT as_of FROM millrace.window_w_folded LIMIT 1), now(), 'which the time says');
-- what it took is at least the time from as_of, which is when it began, to the end of its statement
SELECT format('millrace._window_%s_partial', :w) AS partial \gset
CREATE FUNCTION pg_temp.computed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('mrt.computed_at', clock_timestamp()::text, false); RETURN NULL; END $$;
CREATE TRIGGER computed AFTER DELETE ON :partial FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.computed();
SELECT ok(pg_temp.fold(true), 'all, since a worker waits');
SELECT is((SELECT due_at - as_of < least(10 * (current_setting('mrt.computed_at')::timestamptz - as_of), interval '9 min') FROM millrace.window_cursor WHERE window_id = :w ORDER BY fold DESC LIMIT 1),
          false, 'then it rests for nine times as long as it took: a tenth of the time is its');
DROP TRIGGER computed ON :partial;
SET ROLE mrt_owner;

-- a group on which a function fails
UPDATE mrt.reading SET value = 13 WHERE id = 30;
SELECT pg_temp.note('{30,31,32,33}');
SELECT is((SELECT error FROM millrace.window_w WHERE window_start = '2026-01-01 00:03:00+00' AND source = 's2'), '13 is not added', 'has its error');
SELECT is((SELECT count(*) FROM millrace.window_w WHERE error IS NOT NULL), 1::bigint, 'and no other one');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w WHERE error IS NULL',
  $$ SELECT * FROM pg_temp.truth() AS t WHERE t.window_start <> '2026-01-01 00:03:00+00' OR t.source IS DISTINCT FROM 's2' $$, 'these have their values');
SELECT ok(pg_temp.fold(), 'a fold goes on');
SELECT is((SELECT error FROM millrace.window_w_folded WHERE total IS NULL), '13 is not added', 'and keeps it');
CREATE FUNCTION pg_temp.values_of(relation text) RETURNS TABLE (window_start timestamptz, source text, kinds bigint, total double precision, error text) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT window_start, source, kinds, total, error FROM millrace.%I', relation);
END $$;
CREATE TEMP TABLE computed AS SELECT * FROM pg_temp.values_of('window_w_folded');
SELECT is(millrace.rebuild_window('w'), (SELECT count(*) FROM computed), 'so does a rebuild');
SELECT set_eq($$ SELECT * FROM pg_temp.values_of('window_w_folded') $$, 'TABLE computed', 'which keeps it, too');
SELECT lives_ok(pg_temp.make('filled', 'p'), 'and a backfill');
SELECT set_eq($$ SELECT * FROM pg_temp.values_of('window_filled_folded') $$, 'TABLE computed', 'has it');
SELECT millrace.drop_window('filled');
SELECT lives_ok(pg_temp.make('filled', 'p', ', slide => ''30 s'''), 'of a sliding one');
SELECT set_eq('SELECT window_start, source FROM millrace.window_filled WHERE error = ''13 is not added''',
  $$ SELECT date_bin('30 s', at, '2026-01-01 00:00:00+00') - k * interval '30 s', source FROM mrt.reading CROSS JOIN generate_series(0, 1) AS k WHERE id = 30 $$, 'in each of its windows');
SELECT set_eq('SELECT window_start, source, kinds, total FROM millrace.window_filled WHERE error IS NULL', $$
  SELECT date_bin('30 s', at, '2026-01-01 00:00:00+00') - k * interval '30 s', source, count(DISTINCT value), sum(value) FROM mrt.reading CROSS JOIN generate_series(0, 1) AS k
  WHERE isfinite(at) GROUP BY 1, 2 HAVING bool_and(value IS DISTINCT FROM 13) $$, 'the others have values');
SELECT millrace.drop_window('filled');
UPDATE mrt.reading SET value = 1 WHERE id = 30;
SELECT pg_temp.note('{30}');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w WHERE error IS NULL', 'SELECT * FROM pg_temp.truth()', 'until it passes');

-- who may; what the user wrote runs as the owner, whoever reads
GRANT SELECT ON millrace.window_w TO mrt_stranger;
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.window_w WHERE who NOT LIKE 'mrt\_owner%'), 0::bigint, 'as the owner');
SELECT throws_ok('SELECT * FROM millrace.window_w_folded', '42501', NULL, 'each view is granted by itself');
SELECT throws_ok(format('SELECT * FROM millrace.window_groups(%s, gen_random_uuid(), ARRAY[NULL::millrace._window_%1$s_folded])', :'w'), '42501', NULL, 'nobody computes groups by himself');
SELECT throws_ok(format('SELECT * FROM millrace._window_values(1, ''SELECT 1'', ARRAY[NULL::millrace._window_%s_folded])', :'w'), '42501', NULL, 'nor runs queries');
SET ROLE mrt_owner;

-- sliding, with a condition, published, rebuilt
SELECT lives_ok($$ SELECT millrace.create_window('sliding', 'p', event_time => 'at', size => '3 min', slide => '1 min', aggregates => 'count(DISTINCT source) AS n', "where" => 'value > 3') $$, 'sliding');
CREATE VIEW pg_temp.slid AS SELECT s AS window_start, s + interval '3 min' AS window_end, count(DISTINCT source) AS n
  FROM mrt.reading CROSS JOIN LATERAL (SELECT date_trunc('minute', at) - k * interval '1 min' AS s FROM generate_series(0, 2) AS k) AS k WHERE isfinite(at) AND value > 3 GROUP BY 1;
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_sliding', 'SELECT * FROM pg_temp.slid', 'equals GROUP BY, too');
SELECT is((SELECT outside FROM millrace.windows WHERE name = 'sliding'), 0::bigint, 'what is in no window counts once, if the condition has it');
DELETE FROM mrt.reading WHERE id BETWEEN 50 AND 60;
SELECT isnt(millrace.rebuild_window(w.name, '2026-01-01 00:04:00+00', '2026-01-01 00:09:00+00'), NULL, 'rebuilt: ' || w.name) FROM (VALUES ('w'), ('sliding')) AS w (name);
SELECT set_eq('SELECT window_start, window_end, n FROM millrace.window_sliding WHERE window_start >= ''2026-01-01 00:04:00+00''',
              $$ SELECT * FROM pg_temp.slid WHERE window_start >= '2026-01-01 00:04:00+00' $$, 'as the target is');
SELECT set_eq('SELECT window_start, source, kinds, middle, total, who FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'both');

-- closed, late, published: as any other window
RESET ROLE;
SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
DELETE FROM mrt.reading;
INSERT INTO mrt.reading (id, source, at, value) VALUES (1, 'a', '2026-02-01 00:00:10+00', 1), (2, 'a', '2026-02-01 00:00:20+00', 2), (3, 'b', '2026-02-01 00:00:30+00', 13), (4, 'c', '2026-02-01 00:00:40+00', 4);
SELECT lives_ok($$ SELECT millrace.drop_window('w') $$, 'dropped');
UPDATE mrt.reading SET value = 3 WHERE id = 3;
SELECT lives_ok(pg_temp.make('w', 'p', ', output_topic => ''closed'''), 'published');
RESET ROLE;
CREATE FUNCTION pg_temp.messages() RETURNS TABLE (source text, total text, error text, deleted text, revision text) LANGUAGE sql AS $$
  SELECT v ->> 'source', v ->> 'total', v ->> 'error', v ->> 'deleted', v ->> 'revision' FROM (SELECT convert_from(o.payload, 'UTF8')::jsonb AS v FROM millrace.window_output AS o) AS o;
$$;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT id, clock_timestamp(), '{0}', ARRAY[timestamptz '2026-02-01 01:00:00+00'], clock_timestamp(), '2026-02-01 01:00:00+00', '2026-01-31 00:00:00+00' FROM millrace.window_definition WHERE name = 'w';
SELECT millrace._publish_window(id, 100) FROM millrace.window_definition WHERE name = 'w';
SELECT set_eq('SELECT source, total, revision FROM pg_temp.messages()', $$ VALUES ('a', '3', '1'), ('b', '3', '1'), ('c', '4', '1') $$, 'what is closed is published');
SELECT ok((SELECT bool_and(closed AND NOT final AND revision = 1) FROM millrace.window_w), 'the view says so');
SELECT pg_temp.note('{1,3,4}');
UPDATE mrt.reading SET value = 5 WHERE id = 1;
UPDATE mrt.reading SET value = 13 WHERE id = 3;
DELETE FROM mrt.reading WHERE id = 4;
DELETE FROM millrace.window_output;
SELECT pg_temp.fold();
DO $$ BEGIN EXECUTE (SELECT format('UPDATE millrace._window_%s_revision SET written_at = written_at - interval ''1 s''', id) FROM millrace.window_definition WHERE name = 'w'); END $$;
SELECT millrace._publish_window(id, 100) FROM millrace.window_definition WHERE name = 'w';
SELECT set_eq('SELECT * FROM pg_temp.messages()', $$ VALUES ('a', '7', NULL, NULL, '2'), ('b', NULL, '13 is not added', NULL, '2'), ('c', NULL, NULL, 'true', '2') $$,
              'what changes is published again: values, an error, and that a group is gone');
UPDATE millrace.window_mark SET final = '2026-02-01 01:00:00+00' WHERE window_id = (SELECT id FROM millrace.window_definition WHERE name = 'w');
SELECT pg_temp.note('{2}', 3);
SELECT pg_temp.note('{2}', 0);
SELECT pg_temp.fold();
SELECT results_eq('SELECT rows FROM millrace.late_rows WHERE "window" = ''w''', 'VALUES (3::bigint)', 'rows that came when it was final are counted, not those they take the place of');
SELECT is((SELECT late FROM millrace.windows WHERE name = 'w'), 3::bigint, 'once');
SET ROLE mrt_owner;

-- the pipeline may begin to change rows, and cease to
SELECT lives_ok($$ SELECT millrace.alter_pipeline('grows', on_conflict => 'update', conflict_key => '{id}') $$, 'a recomputed window follows changes');
SELECT lives_ok($$ SELECT millrace.drop_window(w.name) FROM millrace.windows AS w $$, 'dropped');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname ~ '^_?window_([0-9]|w|g|sliding)' AND relkind IN ('r', 'v') $$, 'with both views');

-- Whoever reads a view runs nothing that somebody has made: not the CHECK of a domain either, nor a view that a function of the server reads.
CREATE DOMAIN mrt.own AS bigint CHECK (current_user = 'mrt_owner');
CREATE VIEW mrt.own_view AS SELECT 1 AS one;
SELECT pg_temp.pipeline('appends');
SELECT millrace.create_window(w.name, 'appends', event_time => 'at', size => '1 h', aggregates => w.sql)
FROM (VALUES ('domain', 'count(*)::mrt.own AS n'), ('inside', 'to_json(ARRAY[count(*)::mrt.own])::text AS n'), ('reads', 'left(table_to_xml(''mrt.own_view'', true, false, count(*)::text)::text, 9) AS n'),
             ('record', 'jsonb_populate_record(NULL::mrt.reading, jsonb_build_object(''id'', count(*)))::text AS n'), ('plain', 'coalesce(max(value), 0) / 2 + count(*) AS n')) AS w (name, sql);
SELECT results_eq('SELECT name, kind FROM millrace.windows ORDER BY 1', $$ VALUES ('domain', 'recompute'), ('inside', 'recompute'), ('plain', 'incremental'), ('reads', 'recompute'), ('record', 'recompute') $$,
                  'it is computed as the owner');
RESET ROLE;
SELECT is((SELECT bool_and(error IS NULL) FROM millrace.window_domain), true, 'whoever reads it');

-- written again, since a statement began
CREATE TABLE mrt.reading_more () INHERITS (mrt.reading);
CREATE TABLE mrt.reading_much_more () INHERITS (mrt.reading_more);
CREATE FUNCTION pg_temp.read_and_write(target text) RETURNS text LANGUAGE sql AS $f$
  SELECT format($$ SELECT pg_temp.write_again(%L), millrace._check_target_unchanged(w) FROM millrace.window_definition AS w WHERE w.name = 'domain' $$, target);
$f$;
CREATE FUNCTION pg_temp.write_again(target text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF target IS NOT NULL THEN
    EXECUTE format('TRUNCATE ONLY %s', target);
  END IF;
END $$;
SELECT lives_ok(pg_temp.read_and_write(NULL), 'nothing is written again');
SELECT throws_ok(pg_temp.read_and_write(t), '40001', 'the target of window "domain" was written again while it was read', t)
FROM unnest('{mrt.reading,mrt.reading_more,mrt.reading_much_more}'::text[]) AS t;

SELECT * FROM finish();
ROLLBACK;
