BEGIN;
\ir helper.psql
SELECT plan(52);

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


-- what else is refused with a command
SELECT pg_temp.pasted(pg_temp.hint_of(statement), statement)
FROM unnest(ARRAY['SELECT millrace.alter_pipeline(''p'')', 'SELECT millrace.alter_pipeline(''p'', topic => ''other'')',
  'SELECT millrace.alter_pipeline(''a-b.c'', start_at => ''2026-02-01 12:00+00'')', 'SELECT millrace.alter_pipeline(''u'', start_at => ''2026-02-01 12:00+00'')',
  'SELECT millrace.alter_pipeline(''p'', paused => true)', 'SELECT millrace.alter_pipeline(''p'', paused => false)',
  'SELECT millrace.drop_error_class(''23505'', ''p'')', 'SELECT millrace.discard(''p'')',
  'SELECT millrace.pause(''nix'')', 'SELECT pg_temp.pipeline(''p'')', 'SELECT millrace.dry_run(''nix'')']) AS statement;
SELECT pg_temp.pasted(pg_temp.hint_of($$ SELECT millrace.create_pipeline('x', topic => 'events', target => 'mrt.reading', on_conflict => 'update',
  conflict_key => '{source}', transform => 'SELECT 1 AS id, ''a'' AS source FROM event') $$), 'no unique index');
RESET ROLE;
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.drop_error_class(''23505'')'), 'no class for all');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.grant_topics(''mrt_owner'')'), 'which topics');

-- and what needs a superuser, who runs the command then; as the member that tried it before
CREATE FUNCTION pg_temp.refused_to(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role);
  hint := pg_temp.hint_of(statement);
  RESET ROLE;
  RETURN hint;
END $$;
CREATE ROLE mrt_nobody NOLOGIN;
CREATE ROLE mrt_poor LOGIN;
CREATE TABLE mrt.private (id bigint);
REVOKE CONNECT ON DATABASE :DBNAME FROM PUBLIC;
CREATE FUNCTION pg_temp.create_on(t text) RETURNS text LANGUAGE sql AS $$
  SELECT format('SELECT millrace.create_pipeline(''x'', topic => ''events'', target => %L, fields => ''id bigint'', transform => ''SELECT event.id FROM event'')', t);
$$;
SELECT pg_temp.pasted(pg_temp.refused_to('mrt_nobody', pg_temp.create_on('mrt.reading')), 'who cannot log in')
WHERE current_setting('server_version_num')::integer < 170000
UNION ALL SELECT skip('sessions without LOGIN', 1) WHERE current_setting('server_version_num')::integer >= 170000;
SELECT pg_temp.pasted(pg_temp.refused_to('mrt_poor', pg_temp.create_on('mrt.reading')), 'who cannot connect');
GRANT CONNECT ON DATABASE :DBNAME TO PUBLIC;
SELECT pg_temp.pasted(pg_temp.refused_to('mrt_poor', pg_temp.create_on('mrt.private')), 'who cannot insert');
GRANT INSERT ON mrt.private TO mrt_poor;
SELECT pg_temp.pasted(pg_temp.refused_to('mrt_poor', pg_temp.create_on('mrt.private')), 'who was not granted the topic');

-- states of a pipeline
SAVEPOINT states;
ALTER TABLE mrt.reading OWNER TO mrt_member;
UPDATE millrace.pipeline SET owner = 4000000000 WHERE name = 'p';
SELECT pg_temp.pasted((SELECT hint FROM millrace.pipelines WHERE name = 'p'), 'its owner was dropped: that of its target');
ROLLBACK TO states;
UPDATE millrace.instance SET id = gen_random_uuid();
SELECT pg_temp.pasted((SELECT hint FROM millrace.pipelines WHERE name = 'u'), 'foreign');
SELECT pg_temp.pasted(pg_temp.hint_of('SELECT millrace.pause(''u'')'), 'foreign, changed');
ROLLBACK TO states;
SELECT millrace.revoke_topics('mrt_owner');
SELECT pg_temp.pasted((SELECT hint FROM millrace.pipelines WHERE name = 'u'), 'the topic is not granted any more');
ROLLBACK TO states;
SELECT millrace.pause('u');
SELECT pg_temp.pasted((SELECT hint FROM millrace.pipelines WHERE name = 'u'), 'paused');

-- doctor's: behind, with letters, letters that nobody publishes
ROLLBACK TO states;
UPDATE millrace.progress SET last_ts = extract(epoch FROM now() - interval '50 min') * 1000 WHERE pipeline_id = :upsert;
UPDATE millrace.pipeline SET created_at = now() - interval '1 h';
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('u', '{0,1,2}', '{1000,1000,1000}'), millrace.report('u', '{"retention_ms": 3600000}');
RESET ROLE;
INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
SELECT :upsert, 1, 'events', 0, n, 'write', '23505', 'no', now() - interval '1 h' FROM generate_series(1, 3) AS n;
UPDATE millrace.progress SET dead = 3 WHERE pipeline_id = :upsert AND partition = 0;
CREATE FUNCTION pg_temp.doctor(words text) RETURNS text LANGUAGE sql AS $$
  SELECT d.command FROM millrace.doctor() AS d WHERE d.what LIKE 'pipeline "u"%' || words || '%';
$$;
SET ROLE mrt_owner;
SELECT pg_temp.pasted(pg_temp.doctor('about to lose'), 'about to lose events');
SELECT pg_temp.pasted(pg_temp.doctor('open dead letters'), 'dead letters');
SELECT pg_temp.pasted(pg_temp.doctor('do not reach Kafka'), 'dead letters that do not reach Kafka');
SELECT unalike(pg_temp.doctor('about to lose'), '%superuser%', 'there is room for a worker more');
SELECT millrace.alter_pipeline('p', workers => 5), millrace.alter_pipeline('u', workers => 9);
SELECT millrace.alter_pipeline('a-b.c', workers => 2);
SELECT alike(pg_temp.doctor('about to lose'), '%as a superuser: ALTER SYSTEM SET millrace.max_workers_per_role = 32; SELECT pg_reload_conf(); then: SELECT millrace.alter_pipeline(''u'', workers => 10);', 'where there is none the limit goes first')
WHERE current_setting('millrace.max_workers_per_role', true) = '16'
UNION ALL SELECT skip('not preloaded', 1) WHERE current_setting('millrace.max_workers_per_role', true) IS NULL;

SELECT * FROM finish();
ROLLBACK;
