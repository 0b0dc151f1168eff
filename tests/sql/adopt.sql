BEGIN;
\ir helper.psql
SELECT plan(18);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SELECT pg_temp.refused($$ SELECT millrace.adopt('p') $$, '55000', 'already belongs to this installation', 'resume', 'our own needs no adoption');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{1,2}');
SELECT epoch AS epoch0 FROM millrace.positions('p') WHERE partition = 0 \gset

-- as after a restore
RESET ROLE;
UPDATE millrace.pipeline SET instance = gen_random_uuid() WHERE name = 'p';
SET ROLE mrt_ingestor;
SELECT is_empty($$ SELECT * FROM millrace.ingestor_pipelines() WHERE pipeline = 'p' $$, 'no ingestor serves a foreign pipeline');
SELECT pg_temp.refused($$ SELECT * FROM millrace.positions('p') $$, '42704', 'runs no pipeline "p"', 'ingestor_pipelines()', 'nor learns its positions');
SELECT pg_temp.refused($$ SELECT millrace.add_partitions('p', 2, '{3}') $$, '42704', 'runs no pipeline "p"', NULL, 'nor adds to it');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT status, hint FROM millrace.pipelines WHERE name = 'p' $$, $$ VALUES ('foreign', 'SELECT millrace.adopt(''p'');') $$, 'it is shown as foreign');
SELECT pg_temp.refused(statement, '55000', 'belongs to another installation', 'millrace.adopt(''p'')', statement)
FROM unnest(ARRAY['SELECT millrace.pause(''p'')', 'SELECT millrace.resume(''p'')', 'SELECT millrace.rewind(''p'', 0)',
                  'SELECT millrace.skip_to(''p'', 0, 9)', 'SELECT millrace.alter_pipeline(''p'', workers => 2)']) AS statement;
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.adopt('p') $$, '42501', 'must be owner', NULL, 'not by a stranger');
SET ROLE mrt_owner;
REVOKE INSERT ON reading FROM mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.adopt('p') $$, '42501', 'no INSERT privilege', 'GRANT INSERT', 'the definition is checked again');
GRANT INSERT ON reading TO mrt_owner;
SELECT lives_ok($$ SELECT millrace.adopt('p') $$, 'adopt');
SELECT cmp_ok((SELECT status FROM millrace.pipelines WHERE name = 'p'), '<>', 'foreign', 'it is ours');
SET ROLE mrt_ingestor;
SELECT is((SELECT count(*) FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), 1::bigint, 'and served');
SELECT cmp_ok((SELECT epoch FROM millrace.positions('p') WHERE partition = 0), '<>', :epoch0::bigint, 'with new epochs');
SELECT is((SELECT next_offset FROM millrace.positions('p') WHERE partition = 1), 2::bigint, 'at the positions that came with it');
RESET ROLE;
UPDATE millrace.pipeline SET instance = gen_random_uuid() WHERE name = 'p';
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p') $$, 'a foreign pipeline can be dropped');

SELECT * FROM finish();
ROLLBACK;
