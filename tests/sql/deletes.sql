-- Rows that are deleted: by a tombstone, and where delete_when is true.
BEGIN;
\ir helper.psql
SELECT plan(31);

SET ROLE mrt_owner;
CREATE TABLE mrt.t (id bigint PRIMARY KEY, name text NOT NULL, lsn bigint, made text DEFAULT 'default');
CREATE FUNCTION pg_temp.made(pipeline text, more text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  id integer;
BEGIN
  EXECUTE format($call$ SELECT millrace.create_pipeline(%L, topic => 'events', target => 'mrt.t', on_conflict => 'update', conflict_key => '{id}',
    fields => 'op text, id bigint, name text, lsn bigint', transform => 'SELECT e.id, e.name, e.lsn FROM event AS e', %s) $call$, pipeline, more) INTO id;
  RETURN id;
END $$;
CREATE FUNCTION pg_temp.wrong(more text, state text, message text, hint text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(format('SELECT pg_temp.made(''wrong'', %L)', more), state, message, hint, 'refused: ' || more);
$$;

-- what may be said wrongly
SELECT pg_temp.wrong($$ delete_when => 'nix = 1' $$, '42703', 'column "nix" does not exist', NULL);
SELECT pg_temp.wrong($$ delete_when => 'id' $$, '42804', 'must be type boolean', NULL);
SELECT pg_temp.wrong($$ delete_when => 'count(*) > 1' $$, '42803', 'aggregate functions are not allowed', NULL);
SELECT pg_temp.wrong($$ delete_when => 'op = ''d'', true' $$, '42601', 'must be one condition', 'as in WHERE');
SELECT pg_temp.wrong($$ delete_when => 'op = ''d'' FROM event' $$, '42601', 'must be one condition', NULL);
SELECT pg_temp.wrong($$ delete_when => 'op =' $$, '42601', 'syntax error', NULL);
SELECT pg_temp.wrong($$ delete_when => 'EXISTS (SELECT FROM event)' $$, '0A000', 'names "event" 2 times', NULL);
SELECT pg_temp.wrong($$ tombstone_key => 'id bigint' $$, '22023', 'tombstone is "skip"', 'tombstone => ''delete''');
SELECT pg_temp.wrong($$ tombstone => 'delete', tombstone_key => 'id text' $$, '42804', 'as text, but the target has bigint', 'Write: id bigint');
SELECT pg_temp.wrong($$ tombstone => 'delete', tombstone_key => 'number bigint' $$, '42703', 'not in conflict_key', 'Name these: id');
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.t', transform => 'SELECT 1 AS id, ''x'' AS name FROM event',
  delete_when => 'true') $$, '22023', 'delete_when is given, but on_conflict is "error"', 'on_conflict => ''update''', 'without a conflict key no row can be named');
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.t', transform => 'SELECT 1 AS id, ''x'' AS name FROM event',
  on_conflict => 'ignore', conflict_key => '{id}', tombstone => 'delete') $$, '22023', 'tombstone "delete" is given, but on_conflict is "ignore"', NULL, 'nor is ignore enough');

RESET ROLE;
CREATE TABLE mrt.kept (id bigint PRIMARY KEY, name text, lsn bigint);
GRANT SELECT, INSERT, UPDATE ON mrt.kept TO mrt_owner;
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('wrong', topic => 'events', target => 'mrt.kept', transform => 'SELECT id, name FROM event',
  fields => 'id bigint, name text', on_conflict => 'update', conflict_key => '{id}', tombstone => 'delete') $$,
  '42501', 'no DELETE privilege on table', 'GRANT DELETE ON', 'who deletes must be allowed to');

-- what happens to events of one batch
CREATE FUNCTION pg_temp.outcomes(pipeline text, VARIADIC events text[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(coalesce(d.sqlstate, d.outcome), ' ' ORDER BY d.sample)
  FROM millrace.dry_run(pipeline, ARRAY(SELECT format('{"op": "%s", "id": %s, "name": "%s", "lsn": %s}', e.w[1], e.w[2], e.w[1] || e.w[3], coalesce(e.w[3], 'null'))
                                        FROM unnest(events) WITH ORDINALITY AS u (event, n), regexp_split_to_array(u.event, ' ') AS e (w) ORDER BY u.n)) AS d;
$$;
SELECT is(pg_temp.made('plain', $$ delete_when => 'event.op = ''d''' $$) > 0, true, 'a pipeline that deletes');
INSERT INTO mrt.t VALUES (1, 'old', 5), (2, 'old', 5);
SELECT is(pg_temp.outcomes('plain', 'u 1 6', 'd 1 7'), 'superseded deleted', 'a delete takes the place of what is before it');
SELECT is(pg_temp.outcomes('plain', 'd 1 6', 'u 1 7'), 'deleted written', 'it stays in front of an upsert, whose row is a new one');
SELECT is(pg_temp.outcomes('plain', 'd 99 1'), 'deleted', 'one of a key that is not there does no harm');
SELECT is(pg_temp.outcomes('plain', 'd null 1', 'd 1 1'), '22004 deleted', 'one without a key fails');
SELECT is((SELECT d.rows FROM millrace.dry_run('plain', ARRAY['{"op": "d", "id": 1}']) AS d), '[{"id": 1, "lsn": null, "name": null}]', 'what it deletes');

SELECT is(pg_temp.made('newer', $$ delete_when => 'op = ''d''', newer_by => 'lsn' $$) > 0, true, 'with newer_by');
SELECT is(pg_temp.outcomes('newer', 'd 1 4'), 'superseded', 'a late delete gives way to a newer row');
SELECT is(pg_temp.outcomes('newer', 'd 1 5', 'd 2 6', 'd 3 1'), 'deleted deleted deleted', 'not to one as new, or older, or none');
SELECT is(pg_temp.outcomes('newer', 'u 1 9', 'd 1 8', 'u 1 7'), 'written superseded superseded', 'nor is one in the batch deleted');
SELECT is(pg_temp.outcomes('newer', 'd 1 6', 'u 1 3'), 'deleted written', 'an older upsert behind a delete finds nothing that is newer');
SELECT is(pg_temp.outcomes('newer', 'd 1 null'), 'deleted', 'a delete without a value deletes what it finds');

SELECT is(millrace.create_pipeline('condition', topic => 'events', target => 'mrt.t', on_conflict => 'update', conflict_key => '{id}',
  fields => 'id bigint, name text', transform => 'SELECT e.id, e.name FROM event AS e WHERE e.name <> ''filtered''',
  delete_when => $$ id IN (SELECT r.id FROM mrt.reading AS r) AND event."offset" = 0 AND raw IS NOT NULL $$) > 0, true, 'any condition over event');
INSERT INTO mrt.reading (id) VALUES (1), (2);
SELECT is(string_agg(d.outcome, ' ' ORDER BY d.sample), 'deleted written filtered', 'with columns the transform does not name')
FROM millrace.dry_run('condition', ARRAY['{"id": 1, "name": "x"}', '{"id": 2, "name": "x"}', '{"id": 1, "name": "filtered"}']) AS d;

-- settings come and go
SELECT millrace.alter_pipeline('plain', tombstone => 'delete', tombstone_key => 'id bigint PATH ''$.payload.id''');
SELECT results_eq($$ SELECT tombstone, tombstone_key, delete_when FROM millrace.pipelines WHERE name = 'plain' $$,
  $$ VALUES ('delete', 'id bigint PATH ''$.payload.id''', 'event.op = ''d''') $$, 'both are shown');
SELECT is(d.sqlstate || ' ' || d.message, '22004 a tombstone without a message key names no row', 'a tombstone needs a key')
FROM millrace.dry_run('plain', ARRAY[NULL]) AS d;
SELECT millrace.alter_pipeline('plain', tombstone => 'skip', delete_when => '');
SELECT results_eq($$ SELECT tombstone, tombstone_key, delete_when FROM millrace.pipelines WHERE name = 'plain' $$,
  $$ VALUES ('skip', NULL::text, NULL::text) $$, 'and go together');
SELECT millrace.alter_pipeline('newer', tombstone => 'delete');
SELECT millrace.alter_pipeline('newer', on_conflict => 'error');
SELECT results_eq($$ SELECT on_conflict, tombstone, delete_when FROM millrace.pipelines WHERE name = 'newer' $$,
  $$ VALUES ('error', 'dead_letter', NULL::text) $$, 'without upserts nothing is deleted');
SELECT * FROM finish();
ROLLBACK;
