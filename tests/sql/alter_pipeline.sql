BEGIN;
\ir helper.psql
SELECT plan(21);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');

SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p') $$, '22023', 'nothing to change', 'batch_rows => 1000', 'nothing to change');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('nix', workers => 2) $$, '42704', 'pipeline "nix" does not exist', 'millrace.pipelines', 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline(NULL, workers => 2) $$, '22004', 'pipeline', NULL, 'no name');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', workers => 0) $$, '22023', 'workers is 0', NULL, 'too few workers');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', on_conflict => 'update') $$, '22023', 'needs a conflict_key', NULL, 'update needs its key');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', transform => 'SELEC') $$, '42601', 'syntax error', NULL, 'the new transform is checked');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', target => 'millrace.lane') $$, '42809', 'cannot be the target', NULL, 'the new target is checked');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_stranger') $$, '42501', 'must be member of role "mrt_stranger"', 'GRANT mrt_stranger', 'not to a stranger');

SELECT is(millrace.alter_pipeline('p', workers => 4), 1, 'another number of workers is no new version');
SELECT is(millrace.alter_pipeline('p', on_conflict => 'update', conflict_key => '{id}', newer_by => 'at'), 2, 'a new version');
SELECT is(millrace.alter_pipeline('p', newer_by => ''), 3, 'newer_by taken away');
SELECT is(millrace.alter_pipeline('p', on_conflict => 'error'), 4, 'conflict_key goes with on_conflict');
SELECT is(millrace.alter_pipeline('p', transform => 'SELECT event.id FROM event', statement_timeout => '0'), 5, 'a new transform');
RESET ROLE;
SELECT results_eq(
  $$ SELECT v.version, v.on_conflict, v.conflict_key, v.newer_by, v.transform, v.statement_timeout
     FROM millrace.pipeline_version v ORDER BY v.pipeline_id DESC, v.version LIMIT 5 $$,
  $$ VALUES (1, 'error', NULL::text[], NULL, 'SELECT event.id, event.source, event.at, event.value FROM event', 60000),
            (2, 'update', '{id}', 'at', 'SELECT event.id, event.source, event.at, event.value FROM event', 60000),
            (3, 'update', '{id}', NULL, 'SELECT event.id, event.source, event.at, event.value FROM event', 60000),
            (4, 'error', NULL, NULL, 'SELECT event.id, event.source, event.at, event.value FROM event', 60000),
            (5, 'error', NULL, NULL, 'SELECT event.id FROM event', 0) $$, 'every version is kept');
SELECT results_eq($$ SELECT version, workers FROM millrace.pipeline WHERE name = 'p' $$, $$ VALUES (5, 4) $$, 'the last is in force');

SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', workers => 2) $$, '42501', 'must be owner of pipeline "p"', 'SET ROLE mrt_owner', 'not by a stranger');
SET ROLE mrt_member;
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', batch_rows => 7) $$, 'by a member of the owner');
RESET ROLE;
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', batch_rows => 8) $$, 'by a superuser');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_stranger') $$, '42501', '"mrt_stranger" has no INSERT privilege', 'GRANT INSERT ON mrt.reading TO mrt_stranger', 'the new owner must be able to write');
GRANT INSERT ON mrt.reading TO mrt_stranger;
SELECT millrace.grant_topics('mrt_stranger', read => '{events}', dlq => '{events.dlq}');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_stranger') $$, 'a new owner');
SELECT is((SELECT owner FROM millrace.pipeline WHERE name = 'p'), 'mrt_stranger'::regrole, 'is stored');

SELECT * FROM finish();
ROLLBACK;
