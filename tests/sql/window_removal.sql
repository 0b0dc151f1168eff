-- What windows keep goes in steps that are bounded, however much there is to remove. Nothing is truncated, written again as a whole, or updated by a fold:
-- who reads with an old snapshot, or has locked the tables as pg_dump does, has all that was there.
BEGIN;
\ir helper.psql
SELECT plan(44);
\ir windows.psql

SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS pipeline \gset
SELECT millrace.create_window('sums', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s', lateness => '30 days', output_topic => 'closed') AS sums \gset
RESET ROLE;

-- what happens to the tables of a window, and to those of all windows
CREATE TEMP TABLE changed (part text, what text, rows bigint);
CREATE FUNCTION pg_temp.count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pg_temp.changed SELECT TG_ARGV[0], TG_OP, count(*) FROM gone;
  RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pg_temp.changed VALUES (TG_ARGV[0], TG_OP, 1);
  RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.parts() RETURNS TABLE (part text, relation regclass) LANGUAGE sql AS $$
  SELECT regexp_replace(c.relname, '^_window_\d+_', ''), c.oid FROM pg_class AS c
  WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname ~ '^(_window_\d+|window)_';
$$;
CREATE FUNCTION pg_temp.watch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT p.* FROM pg_temp.parts() AS p WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = p.relation AND g.tgname = 'removed') LOOP
    EXECUTE format('CREATE TRIGGER removed AFTER DELETE ON %s REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.count_removed(%L)', t.relation, t.part);
    EXECUTE format('CREATE TRIGGER updated AFTER UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION pg_temp.note(%L)', t.relation, t.part);
    EXECUTE format('CREATE TRIGGER truncated BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.note(%L)', t.relation, t.part);
  END LOOP;
END $$;
SELECT pg_temp.watch();
SELECT set_eq('SELECT DISTINCT part FROM pg_temp.parts()',
  ARRAY['partial', 'folded', 'due', 'revision', 'window_definition', 'window_cursor', 'window_outside', 'window_mark', 'window_late', 'window_outlet', 'window_output', 'window_sighting',
        'window_backfill', 'window_failure'], 'the tables that have the state of windows');
CREATE TEMP TABLE files AS SELECT p.*, pg_relation_filenode(p.relation) AS node FROM pg_temp.parts() AS p;
-- the most that a statement has removed of a table since this was asked
CREATE FUNCTION pg_temp.most_removed(part text) RETURNS bigint LANGUAGE sql AS $$
  WITH seen AS (DELETE FROM pg_temp.changed AS c WHERE c.part = most_removed.part AND c.what = 'DELETE' RETURNING c.rows) SELECT coalesce(max(s.rows), 0) FROM seen AS s;
$$;
-- a step, and how many rows are left
CREATE FUNCTION pg_temp.left_by_step(name text, part text) RETURNS bigint LANGUAGE sql AS $$
  SELECT pg_temp.compact(name);
  SELECT pg_temp.kept(name, part);
$$;

-- 21,000 groups of a window that is closed and published; all of them have changed since, and rows came late for as many windows
SELECT pg_temp.add('sums', 0, (SELECT array_agg('s' || i) FROM generate_series(1, 21000) AS i));
SELECT pg_temp.fold('sums');
SELECT is(pg_temp.most_removed('partial'), 1::bigint, 'a fold removes what it has merged');
SELECT pg_temp.watermark('sums', '2026-01-01 00:30:00+00');
SELECT count(millrace._publish_window(:sums, 5000)) AS published FROM generate_series(1, 5) \gset
SELECT pg_temp.add('sums', 0, (SELECT array_agg('s' || i) FROM generate_series(1, 21000) AS i));
SELECT pg_temp.fold('sums');
INSERT INTO millrace.window_late SELECT :sums, a, a + interval '1 min', 1, now() FROM generate_series(timestamptz '2025-01-01 00:00:00+00', '2026-01-01 00:00:00+00', '1 min') AS a LIMIT 21000;
SELECT pg_temp.compact('sums');
SELECT results_eq($$ SELECT pg_temp.kept('sums'), pg_temp.kept('sums', 'revision'), pg_temp.kept('sums', 'due'), (SELECT count(*) FROM millrace.window_late) $$,
                  $$ VALUES (21000::bigint, 21000::bigint, 21000::bigint, 21000::bigint) $$, 'there is a lot of each kind');
SELECT is((SELECT count(*) FROM millrace.window_sums), 21000::bigint, 'nothing is removed before its time');
DELETE FROM changed;

-- retention passes them all at once
SET ROLE mrt_owner;
SELECT millrace.alter_window('sums', retention => '1 day');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.window_sums), 0::bigint, 'what retention has passed is gone from the view at once');
SELECT is(pg_temp.left_by_step('sums', 'folded'), 11000::bigint, 'its rows go in steps');
SELECT results_eq($$ SELECT pg_temp.kept('sums', 'revision'), pg_temp.kept('sums', 'due'), (SELECT count(*) FROM millrace.window_late) $$, $$ VALUES (11000::bigint, 11000::bigint, 11000::bigint) $$, 'of each table');
SELECT is(pg_temp.left_by_step('sums', 'folded'), 1000::bigint, 'of 10,000');
SELECT results_eq($$ SELECT pg_temp.kept('sums', 'revision'), pg_temp.kept('sums', 'due'), (SELECT count(*) FROM millrace.window_late) $$, $$ VALUES (1000::bigint, 1000::bigint, 1000::bigint) $$, 'or less');
SELECT is(pg_temp.left_by_step('sums', 'folded'), 0::bigint, 'until nothing is left');
SELECT results_eq($$ SELECT pg_temp.kept('sums', 'revision'), pg_temp.kept('sums', 'due'), (SELECT count(*) FROM millrace.window_late) $$, $$ VALUES (0::bigint, 0::bigint, 0::bigint) $$, 'of any table');
SELECT is(pg_temp.most_removed(p.part), 10000::bigint, 'no statement removes more: ' || p.part) FROM unnest(ARRAY['folded', 'revision', 'due', 'window_late']) AS p (part);
SELECT is((SELECT groups FROM millrace.windows WHERE name = 'sums'), 0::bigint, 'and they are counted');

-- twice as many as have come are removed with them, so that a backlog becomes smaller
SET ROLE mrt_owner;
SELECT millrace.alter_window('sums', retention => '100 years');
RESET ROLE;
SELECT pg_temp.add('sums', 1, (SELECT array_agg('t' || i) FROM generate_series(1, 21000) AS i));
SELECT pg_temp.fold('sums');
SELECT pg_temp.compact('sums');
SELECT pg_temp.add('sums', 1, (SELECT array_agg('u' || i) FROM generate_series(1, 2500) AS i));
SELECT pg_temp.fold('sums');
UPDATE millrace.window_definition SET retention = '1 day' WHERE id = :sums;
DELETE FROM changed;
SELECT is(pg_temp.left_by_step('sums', 'folded'), 8500::bigint, '10,000 and twice the 2,500 that have come');
SELECT is(pg_temp.most_removed('folded'), 15000::bigint, 'in one step');
SELECT is(pg_temp.left_by_step('sums', 'folded'), 0::bigint, 'and the rest');

-- the other ways of keeping a window
SET ROLE mrt_owner;
SELECT count(millrace.create_window('kinds', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(DISTINCT value) AS n')),
       count(millrace.create_session_window('runs', 'p', event_time => 'at', gap => '1 s', group_by => '{source}', aggregates => 'count(*) AS n')) \gset more_
RESET ROLE;
SELECT id AS kinds FROM millrace.window_definition WHERE name = 'kinds' \gset
SELECT pg_temp.watch();
INSERT INTO files SELECT p.*, pg_relation_filenode(p.relation) FROM pg_temp.parts() AS p WHERE p.relation NOT IN (SELECT f.relation FROM files AS f);
SELECT is(pg_temp.kept(w.name) > 20000, true, 'there is a lot: ' || w.name) FROM unnest(ARRAY['kinds', 'runs']) AS w (name);
DELETE FROM changed;
UPDATE millrace.window_definition SET retention = '1 day' WHERE name IN ('kinds', 'runs');
CREATE TEMP TABLE before AS SELECT w.name, pg_temp.kept(w.name) AS n FROM unnest(ARRAY['kinds', 'runs']) AS w (name);
SELECT is(pg_temp.left_by_step(b.name, 'folded'), b.n - 10000, '10,000 go: ' || b.name) FROM before AS b ORDER BY b.name;
SELECT is(pg_temp.most_removed('folded'), 10000::bigint, 'not more of either');
SELECT is(pg_temp.left_by_step(b.name, 'folded'), b.n - 20000, '10,000 more: ' || b.name) FROM before AS b ORDER BY b.name;
UPDATE millrace.window_definition SET retention = NULL WHERE name IN ('kinds', 'runs');

-- a window of many groups leaves, since there are more than max_groups
SELECT is(millrace.rebuild_window(b.name), b.n, 'they come back: ' || b.name) FROM before AS b ORDER BY b.name;
SELECT pg_temp.compact(b.name) FROM before AS b;
UPDATE millrace.window_definition SET max_groups = 1 WHERE name IN ('kinds', 'runs');
SELECT pg_temp.watermark(b.name, '2026-01-01 00:30:00+00') FROM before AS b;
DELETE FROM changed;
SELECT pg_temp.fold(b.name) FROM before AS b;
SELECT is(pg_temp.kept(b.name), b.n - 10000, '10,000 go: ' || b.name) FROM before AS b ORDER BY b.name;
SELECT is((SELECT count(*) FROM millrace.window_kinds), 0::bigint, 'all have left');
SELECT pg_temp.fold(b.name) FROM before AS b;
SELECT is(pg_temp.kept(b.name), b.n - 20000, '10,000 more: ' || b.name) FROM before AS b ORDER BY b.name;
SELECT is(pg_temp.most_removed('folded'), 10000::bigint, 'not more of either');

-- notes of a recomputed window: a fold takes those of 100 batches
SELECT format('INSERT INTO millrace._window_%s_partial (stream, seq, rows) SELECT 5, nextval(''millrace.window_seq''), ''{}'' FROM generate_series(1, 250)', :kinds) AS notes \gset
:notes;
CREATE FUNCTION pg_temp.left_by_fold(id integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  UPDATE millrace.window_cursor SET due_at = clock_timestamp() WHERE window_id = id;
  DELETE FROM pg_temp.changed AS c WHERE c.what = 'UPDATE';
  PERFORM millrace._fold_window(id, true, false);
  RETURN pg_temp.kept('kinds', 'partial');
END $$;
SELECT is(pg_temp.left_by_fold(:kinds), 150::bigint, '100 are taken');
SELECT is(pg_temp.left_by_fold(:kinds), 50::bigint, 'and 100');
SELECT is(pg_temp.left_by_fold(:kinds), 0::bigint, 'and the rest');
SELECT is(pg_temp.most_removed('partial'), 100::bigint, 'not more');

-- what a fold and a step write is appended
DELETE FROM changed;
SELECT pg_temp.add('sums', 2, '{a,b}'), pg_temp.add('sums', 40, '{a,b}');
SELECT pg_temp.fold('sums');
SELECT pg_temp.add('sums', 3 + i, '{a,b}'), pg_temp.fold('sums') FROM generate_series(1, 20) AS i;
UPDATE millrace.window_definition SET retention = '100 years' WHERE id = :sums;
SELECT pg_temp.fold(b.name) FROM before AS b;
SELECT is((SELECT count(*) FROM changed AS c WHERE c.part = 'window_cursor' AND c.what = 'DELETE') > 20, true, 'folded, and merged');
SELECT is((SELECT c.fold - c.compacted < 16 FROM millrace.window_cursor AS c WHERE c.window_id = :sums ORDER BY c.fold DESC LIMIT 1), true, 'what they left');
SELECT is_empty($$ SELECT DISTINCT part FROM changed WHERE what = 'UPDATE' AND part NOT IN ('window_definition') $$, 'no row was updated');
SELECT is((SELECT max(n) FROM (SELECT count(*) AS n FROM millrace.window_cursor AS c GROUP BY c.window_id) AS c), 2::bigint, 'two rows of a cursor are kept');
SELECT is_empty($$ SELECT part FROM changed WHERE what = 'TRUNCATE' $$, 'nothing was truncated');
SELECT is_empty('SELECT f.part FROM files AS f WHERE f.node IS DISTINCT FROM pg_relation_filenode(f.relation)', 'and each table is the file it was');

SELECT * FROM finish();
ROLLBACK;
