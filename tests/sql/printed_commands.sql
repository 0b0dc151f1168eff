BEGIN;
\ir helper.psql
SELECT plan(24);

-- p would write rows twice, u does not mind
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('u', 'update', '{id}') AS upsert \gset
SELECT pg_temp.pipeline('a-b.c');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions(name, 0, '{100,200,300}') FROM unnest(ARRAY['p', 'u', 'a-b.c']) AS name;
SET ROLE mrt_owner;

SELECT pg_temp.pasted(pg_temp.hint_of(format(statement, name)), format(statement, name))
FROM unnest(ARRAY['p', 'u', 'a-b.c']) AS name, unnest(ARRAY[
  'SELECT millrace.rewind(%L)', 'SELECT millrace.rewind(%L, -1)', 'SELECT millrace.rewind(%L, 101, partition => 0)',
  'SELECT millrace.skip_to(%L, 1, 199)']) AS statement;
SELECT pg_temp.pasted(pg_temp.hint_of(statement), statement)
FROM unnest(ARRAY['SELECT millrace.rewind(''p'', 50)', 'SELECT millrace.rewind(''p'', 50, partition => 1)',
  'SELECT millrace.rewind(''p'', to_time => ''2026-01-31 12:00+01'')', 'SELECT millrace.rewind(''p'', to_time => ''-infinity'', partition => 2)',
  'SELECT millrace.rewind(''nix'', 1)', 'SELECT millrace.adopt(''p'')']) AS statement;

-- beyond the end, that is known or outdated; the topic is shorter than the position
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0,1}', '{150,90}');
SET ROLE mrt_owner;
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.skip_to(''p'', 0, 151)'), 'to beyond the end');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.skip_to(''p'', 1, 201)'), 'to beyond the end of a shorter topic');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.rewind(''p'', 151, partition => 0)'), 'ahead, and beyond the end');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.rewind(''p'', 201, partition => 1)'), 'ahead of a position beyond the end');

-- a position that is lost
RESET ROLE;
DELETE FROM millrace.progress WHERE pipeline_id = :id AND partition = 2;
SELECT millrace._stop_lost(:id, 2);
SET ROLE mrt_owner;
SELECT pg_temp.pasted((SELECT hint FROM millrace.pipelines WHERE name = 'p'), 'a lost position');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.rewind(''p'', to_time => ''-infinity'', partition => 2)'), 'which has nothing to go back from');

SELECT * FROM finish();
ROLLBACK;
