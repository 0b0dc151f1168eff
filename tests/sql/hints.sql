-- Hints for mistakes that a new user makes: what is pasted from a hint works.
BEGIN;
\ir helper.psql
SELECT plan(39);

-- the command or condition in a statement's hint that this pattern's group finds; not refused, or no such hint: the whole of what was said
CREATE FUNCTION pg_temp.from_hint(statement text, pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  hint    text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
  RETURN coalesce(substring(hint FROM pattern), format('%s / %s', message, hint));
END $$;
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset

-- a payload that is null
SELECT matches((SELECT hint FROM millrace.dry_run('p', ARRAY[NULL])), 'alter_pipeline\(''p'', tombstone => ''skip''\);', 'a tombstone letter says how to skip such messages');
SELECT substring(hint FROM 'SELECT .*;$') AS command FROM millrace.dry_run('p', ARRAY[NULL]) \gset
:command
SELECT is((SELECT outcome FROM millrace.dry_run('p', ARRAY[NULL])), 'skipped', 'pasted, it skips them');

-- what alter_pipeline cannot change
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', topic => 'other') $$, '0A000', 'the topic of pipeline "p" cannot be changed', 'create_pipeline(''p_2'', topic => ''other''', 'another topic');
SELECT lives_ok(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('p', topic => 'other') $$, 'topic: (SELECT .*?;)'), 'its command makes a pipeline');
SELECT results_eq($$ SELECT topic, fields, transform, target, search_path, tombstone FROM millrace.pipelines WHERE name = 'p_2' $$,
  $$ SELECT 'other', fields, transform, target, search_path, tombstone FROM millrace.pipelines WHERE name = 'p' $$, 'of the same definition');
SELECT lives_ok(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('p_2', topic => 'events') $$, 'are processed: (SELECT .*;)'), 'and the other drops this one');
SELECT is((SELECT count(*) FROM millrace.pipelines WHERE name = 'p_2'), 0::bigint, 'indeed');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', topic => 'a b') $$, '42602', 'not a valid Kafka topic name', NULL, 'no topic at all');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', start_at => 'latest') $$, '0A000', 'start_at of pipeline "p" cannot be changed', 'Move its position instead: SELECT millrace.skip_to(', 'another start');
SELECT lives_ok(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('p', start_at => 'latest') $$, 'instead: (.*)$'), 'its command can be pasted');
SELECT is(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('p', start_at => '2026-01-31 12:00+00') $$, 'instead: (.*)$'), 'SELECT millrace.rewind(''p'', to_time => ''2026-01-31 12:00+00'', allow_duplicates => true);', 'a time');
SELECT millrace.create_pipeline('late', topic => 'events', target => 'mrt.reading', start_at => 'latest', on_conflict => 'ignore', conflict_key => '{id}', fields => 'id bigint', transform => 'SELECT id FROM event');
SELECT is(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('late', start_at => 'earliest') $$, 'instead: (.*)$'), 'SELECT millrace.rewind(''late'', to_time => ''-infinity'');', 'the beginning');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('late', 0, '{0}');
SET ROLE mrt_owner;
SELECT lives_ok(pg_temp.from_hint($$ SELECT millrace.alter_pipeline('late', start_at => 'earliest') $$, 'instead: (.*)$'), 'can be pasted, too');
SELECT millrace.drop_pipeline('late');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', paused => true) $$, '0A000', 'paused is no setting', 'SELECT millrace.pause(''p'');', 'paused');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', paused => false) $$, '0A000', 'paused is no setting', 'SELECT millrace.resume(''p'');', 'not paused');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', topic => 'events', start_at => 'earliest', batch_rows => 1000) $$, 'the same as before is no change');

-- field lists
CREATE FUNCTION pg_temp.fields_hint(fields text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.from_hint(format('SELECT millrace.decode(%L, %L)', fields, '{}'), '^.*$');
$$;
SELECT matches(pg_temp.fields_hint('id bigint NOT NULL value text'), '^Write name type \[NOT NULL\]', 'a comma is missing');
SELECT matches(pg_temp.fields_hint('id bigint,'), '^Write name type \[NOT NULL\]', 'one too many');
SELECT matches(pg_temp.fields_hint('id'), '^Write name type \[NOT NULL\]', 'no type');
SELECT matches(pg_temp.fields_hint('value double'), '^Write name type \[NOT NULL\]', 'no such type');
SELECT is(pg_temp.fields_hint('id bigint, order int'), '"order" is a reserved word: write it in double quotes, here and in the transform.', 'a reserved word');
SELECT is(pg_temp.fields_hint(E'User text'), '"User" is a reserved word: write it in double quotes, here and in the transform.', 'at the beginning');
SELECT is(pg_temp.fields_hint(E'ä text,\n  left\ttext'), '"left" is a reserved word: write it in double quotes, here and in the transform.', 'of those that may name functions');
SELECT matches(pg_temp.fields_hint('id bigint order'), '^Write name type', 'not where a name is expected');
SELECT matches(pg_temp.fields_hint('id bigint, offset bigint'), 'as in: event_offset text PATH ''\$\.offset''', 'one that comes with every event');
SELECT matches(pg_temp.fields_hint('Topic text'), 'as in: event_topic text PATH ''\$\.Topic''', 'with the key as it is written');
SELECT matches(pg_temp.fields_hint('a int, "orderId" int, A int'), '^Names that differ in capitals only are one name', 'one name twice');
SELECT is(millrace.decode('id bigint, "order" int', '{"order": 3}'), '{"id": null, "order": 3}', 'in double quotes it is a name');
SELECT is(millrace.decode('event_offset text PATH ''$.offset''', '{"offset": 3}'), '{"event_offset": "3"}', 'a path leads to the other');

-- the relation event
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', transform => 'SELECT id FROM events') $$, '42P01', 'relation "events" does not exist',
  'The events are the relation "event", named without a schema; other tables are looked up in the pipeline''s search_path: mrt, public.', 'another name');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', transform => 'SELECT id FROM mrt.event') $$, '42P01', 'mrt.event', 'without a schema', 'with a schema');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', transform => 'SELECT event.idd AS id FROM event') $$, '42703', 'idd', 'Perhaps you meant', 'hints of the server stay');

-- a condition that fails on a letter
RESET ROLE;
INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at, payload)
SELECT :id, 1, 'events', 0, n, CASE n WHEN 7 THEN 'decode' ELSE 'write' END, '23505', 'no', now(), convert_to(CASE n WHEN 7 THEN 'calm' ELSE format('{"n": %s}', n) END, 'UTF8')
FROM generate_series(1, 10) AS n;
SELECT id AS calm FROM millrace.dead_letter WHERE pipeline_id = :id AND "offset" = 7 \gset
SELECT id AS other FROM millrace.dead_letter WHERE pipeline_id = :id AND "offset" = 3 \gset
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.replay('p', $w$ payload::jsonb ->> 'n' = '4' $w$) $$, '22P02', format('fails for dead letter %s: invalid input syntax for type json', :calm),
  'stage <> ''decode'' AND ( payload::jsonb', 'a payload that is no JSON: which letter');
SELECT pg_temp.refused($$ SELECT millrace.discard('p', $w$ payload::jsonb ->> 'n' = '4' $w$) $$, '22P02', format('fails for dead letter %s', :calm), NULL, 'discard says it, too');
SELECT is(millrace.replay('p', pg_temp.from_hint($$ SELECT millrace.replay('p', $w$ payload::jsonb ->> 'n' = '4' $w$) $$, 'Leave them out: (.*)$')), 1::bigint, 'pasted, the condition works');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', $w$ 1 / ("offset" - 3) > 5 $w$) $$, '22012', format('fails for dead letter %s: division by zero', :other), format('id <> %s AND (', :other), 'any data exception');
SELECT is(millrace.replay('p', pg_temp.from_hint($$ SELECT millrace.replay('p', $w$ 1 / ("offset" - 3) > 5 $w$) $$, 'Leave it out: (.*)$')), 0::bigint, 'and the way around it');
SELECT pg_temp.refused($$ SELECT millrace.replay('p', $w$ nonsense = 1 $w$) $$, '42703', 'nonsense', NULL, 'another mistake is reported as it is');
SELECT is(millrace.replay('p', $$ stage = 'write' AND payload::jsonb ->> 'n' = '5' $$), 1::bigint, 'a careful condition is not disturbed');

SELECT * FROM finish();
ROLLBACK;
