-- An upsert whose events may take effect in another order than that of their offsets: said at creation, at a change, and at
-- replay() of letters that later events have passed. Warnings are read the way check_pipeline() does.
BEGIN;
\ir helper.psql
SELECT plan(14);

CREATE FUNCTION pg_temp.warnings(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  said jsonb;
BEGIN
  PERFORM set_config('millrace_check.warnings', '[]', true);
  EXECUTE statement;
  said := current_setting('millrace_check.warnings');
  PERFORM set_config('millrace_check.warnings', '', true);
  RETURN ARRAY(SELECT w ->> 'code' || ': ' || (w ->> 'message') FROM jsonb_array_elements(said) AS w WHERE w ->> 'code' LIKE 'late%');
END $$;
CREATE FUNCTION pg_temp.creates(more text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  said text[];
BEGIN
  said := pg_temp.warnings(format($f$ SELECT millrace.create_pipeline('u', topic => 'events', target => 'mrt.reading', dlq => 'off',
    fields => 'id bigint NOT NULL, at timestamptz', transform => 'SELECT id, at FROM event' %s) $f$, more));
  PERFORM millrace.drop_pipeline('u');
  RETURN said;
END $$;

SET ROLE mrt_owner;
\set warned '{"late_upserts: an event of pipeline \\"u\\" that is tried again may undo a newer one of its key"}'
SELECT is(pg_temp.creates($$, on_conflict => 'update', conflict_key => '{id}'$$), :'warned', 'an upsert without an order');
SELECT is(pg_temp.creates($$, on_conflict => 'update', conflict_key => '{id}', newer_by => 'at'$$), '{}', 'newer_by is one');
SELECT is(pg_temp.creates($$, on_conflict => 'update', conflict_key => '{id}', ordering => 'key'$$), '{}', 'so is ordering');
SELECT is(pg_temp.creates($$, on_conflict => 'ignore', conflict_key => '{id}'$$), '{}', 'nothing is replaced');
SELECT is(pg_temp.creates(''), '{}', 'nor without conflicts');
SELECT set_has($$ SELECT severity, code FROM millrace.check_pipeline('u', topic => 'events', target => 'mrt.reading', dlq => 'off', on_conflict => 'update', conflict_key => '{id}',
                       fields => 'id bigint NOT NULL', transform => 'SELECT id FROM event') $$,
               $$ VALUES ('warning', 'late_upserts') $$, 'a finding of check_pipeline()');

SELECT pg_temp.pipeline('u', 'update', '{id}') AS id, pg_temp.pipeline('plain') AS plain \gset
SELECT is(pg_temp.warnings($$ SELECT millrace.alter_pipeline('u', newer_by => 'at') $$), '{}', 'a change that keeps an order');
SELECT is(pg_temp.warnings($$ SELECT millrace.alter_pipeline('u', newer_by => '') $$), :'warned', 'one that takes it away');

-- letters at 5, 6 and 9, the position is 10: two were passed
RESET ROLE;
INSERT INTO millrace.progress (pipeline_id, partition, seq, next_offset, events, written, filtered, superseded, skipped, dead, retrying, rows, bytes, settled_at)
SELECT p, 0, 1, 10, 10, 7, 0, 0, 0, 3, 0, 7, 0, now() FROM unnest(ARRAY[:id, :plain]) AS p;
INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", payload, stage, sqlstate, message, failed_at)
SELECT 1000 + p * 100 + n, p, 1, 'events', 0, n, '{"id": 1}', 'write', '23503', 'no', now() FROM unnest(ARRAY[:id, :plain]) AS p, unnest(ARRAY[5, 6, 9]) AS n;
SET ROLE mrt_owner;
SAVEPOINT letters;
SELECT is(pg_temp.warnings($$ SELECT millrace.replay('u') $$), '{"late_replays: 2 of 3 dead letters may undo newer changes of their rows"}', 'replays are counted');
ROLLBACK TO letters;
SELECT is(pg_temp.warnings($$ SELECT millrace.replay('u', '"offset" = 9') $$), '{}', 'the last event of its partition is not late');
SELECT is(pg_temp.warnings($$ SELECT millrace.replay('plain') $$), '{}', 'what replaces nothing is not');
ROLLBACK TO letters;
SELECT millrace.alter_pipeline('u', newer_by => 'at');
SELECT is(pg_temp.warnings($$ SELECT millrace.replay('u') $$), '{}', 'nor is it with newer_by');
ROLLBACK TO letters;
SELECT millrace.alter_pipeline('u', ordering => 'key', on_dead => 'hold');
RESET ROLE;
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, state, order_key)
SELECT :id, 1, 'events', 0, 5, -1, 0, 0, 'infinity', now(), 1000 + :id * 100 + 5, 'held', 7;
SET ROLE mrt_owner;
SELECT is(pg_temp.warnings($$ SELECT millrace.replay('u') $$), '{"late_replays: 1 of 3 dead letters may undo newer changes of their rows"}', 'nor one that held its key');
RESET ROLE;
SELECT results_eq(format('SELECT id FROM millrace.retry WHERE pipeline_id = %s AND order_key IS NOT NULL', :id),
                  $$ SELECT min(id) FROM millrace.retry $$, 'which keeps its place in the queue');
SELECT finish();
ROLLBACK;
