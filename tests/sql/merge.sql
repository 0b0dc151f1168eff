-- merge: what becomes of the old and the new row; and transforms that read their own target instead.
BEGIN;
\ir helper.psql
SELECT plan(31);

SET ROLE mrt_owner;
CREATE TABLE mrt.t (id bigint PRIMARY KEY, hits bigint NOT NULL DEFAULT 0, big int, note text, twice bigint GENERATED ALWAYS AS (hits * 2) STORED);
CREATE FUNCTION pg_temp.made(pipeline text, merge text, more text DEFAULT '') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  id integer;
BEGIN
  EXECUTE format($call$ SELECT millrace.create_pipeline(%L, topic => 'events', target => 'mrt.t', on_conflict => 'update', conflict_key => '{id}',
    fields => 'id bigint, hits bigint, big int', transform => 'SELECT e.id, e.hits, e.big FROM event AS e', merge => %L %s) $call$, pipeline, merge, more) INTO id;
  RETURN id;
END $$;
CREATE FUNCTION pg_temp.wrong(merge text, state text, message text, hint text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format('SELECT pg_temp.made(''wrong'', %L)', merge), state, message, hint, 'refused: ' || merge);
$$;

SELECT pg_temp.wrong('hits', '42601', 'syntax error', NULL);
SELECT pg_temp.wrong('hits = ', '42601', 'syntax error', NULL);
SELECT pg_temp.wrong('hits = 1 WHERE true', '42601', 'must be a list of assignments', 'hits = old.hits + new.hits');
SELECT pg_temp.wrong('hits = 1 FROM mrt.reading', '42601', 'must be a list of assignments', NULL);
SELECT pg_temp.wrong('hits = 1 RETURNING hits', '42601', 'must be a list of assignments', NULL);
SELECT pg_temp.wrong('hits = 1; SELECT 1', '42601', 'must be a list of assignments', NULL);
SELECT pg_temp.wrong('(hits, big) = (1, 2)', '0A000', 'must assign an expression to a whole column', 'column = expression');
SELECT pg_temp.wrong('hits = DEFAULT', '0A000', 'must assign an expression', NULL);
SELECT pg_temp.wrong('id = old.id', '42P10', 'assigns to column "id", which is in conflict_key', 'Leave it out');
SELECT pg_temp.wrong('nix = 1', '42703', 'column "nix"', NULL);
SELECT pg_temp.wrong('hits = old.nix', '42703', 'column old.nix does not exist', NULL);
SELECT pg_temp.wrong('hits = new.note', '42703', 'new has no column "note"', 'Add the column to the transform');
SELECT pg_temp.wrong('hits = hits + 1', '42702', 'column reference "hits" is ambiguous', NULL);
SELECT pg_temp.wrong('hits = ''x'' || old.note', '42804', 'column "hits" is of type bigint', NULL);
SELECT pg_temp.wrong('hits = sum(old.hits)', '42803', 'aggregate functions are not allowed', NULL);
SELECT pg_temp.wrong('twice = 1', '428C9', 'column "twice"', NULL);
SELECT pg_temp.wrong('hits = 1, hits = 2', '42601', 'multiple assignments', NULL);
SELECT pg_temp.wrong('hits = (SELECT count(*) FROM mrt.t)', '0A000', 'merge reads the pipeline''s own target "t"', NULL);
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.t', transform => 'SELECT 1 AS id FROM event', merge => 'hits = 1') $$,
  '22023', 'merge is given, but on_conflict is "error"', 'on_conflict => ''update''', 'without upserts there is no old row');

-- errors point into what the user wrote
CREATE FUNCTION pg_temp.context(merge text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  context text;
BEGIN
  PERFORM pg_temp.made('wrong', merge);
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
  RETURN context;
END $$;

-- events of one batch, in their order
CREATE FUNCTION pg_temp.outcomes(pipeline text, VARIADIC events text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(coalesce(d.sqlstate, d.outcome), ' ' ORDER BY d.sample) FROM millrace.dry_run(pipeline, events) AS d;
$$;
SELECT is(pg_temp.made('merges', $$ hits = old.hits + new.hits, big = greatest(new.big, old.big), -- a comment
                                  note = concat(old.note, new.big) -- and another$$) > 0, true, 'a pipeline that merges');
SELECT is((SELECT merge ~ 'a comment' FROM millrace.pipelines WHERE name = 'merges'), true, 'it is shown');
SELECT is(pg_temp.outcomes('merges', '{"id": 1, "hits": 1}', '{"id": 1, "hits": 1, "big": 7}', '{"id": 2, "hits": 1}', '{"id": 1, "hits": 1}'),
  'written written written written', 'nothing is superseded');
SELECT is(pg_temp.made('divides', 'hits = old.hits / new.hits') > 0, true, 'an expression that fails');
SELECT is(pg_temp.outcomes('divides', '{"id": 1, "hits": 6}', '{"id": 1, "hits": 0}', '{"id": 1, "hits": 2}', '{"id": 1, "hits": 3}'),
  'written 22012 written written', 'it is that event''s failure');
SELECT is(pg_temp.made('sub', 'note = (SELECT new.source FROM mrt.reading AS new WHERE new.id = old.id)') > 0, true, 'a relation named new is its own');
SELECT millrace.alter_pipeline('merges', merge => '');
SELECT is((SELECT merge FROM millrace.pipelines WHERE name = 'merges'), NULL, 'it can be removed');

-- transforms that read their own target
CREATE VIEW mrt.of_t AS SELECT id, hits FROM mrt.t WHERE hits > 0;
CREATE FUNCTION pg_temp.reads(transform text, on_conflict text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format($call$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.t', fields => 'id bigint, hits bigint', transform => %L %s) $call$,
    transform, CASE on_conflict WHEN 'error' THEN '' ELSE format(', on_conflict => %L, conflict_key => ''{id}''', on_conflict) END),
    '0A000', 'the transform reads the pipeline''s own target "t"', 'merge => ', 'refused: ' || transform);
$$;
SELECT pg_temp.reads('SELECT e.id, coalesce(t.hits, 0) + e.hits AS hits FROM event AS e LEFT JOIN mrt.t ON t.id = e.id', 'update');
SELECT pg_temp.reads('SELECT e.id, (SELECT t.hits FROM mrt.t WHERE t.id = e.id) AS hits FROM event AS e', 'update');
SELECT pg_temp.reads('SELECT e.id, v.hits FROM event AS e JOIN mrt.of_t AS v USING (id)', 'update');
SELECT pg_temp.reads('WITH w AS (SELECT id FROM mrt.t) SELECT e.id FROM event AS e WHERE e.id NOT IN (SELECT id FROM w)', 'error');
CREATE TABLE mrt.parted (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE mrt.part PARTITION OF mrt.parted DEFAULT;
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.part', fields => 'id bigint',
  transform => 'SELECT e.id FROM event AS e LEFT JOIN mrt.parted AS p USING (id) WHERE p.id IS NULL') $$, '0A000', 'own target', 'ignore', 'through what it is a partition of');

SELECT * FROM finish();
ROLLBACK;
