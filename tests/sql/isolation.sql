-- An old snapshot does not see what the locks protect: verbs refuse to run under one.
BEGIN ISOLATION LEVEL REPEATABLE READ;
\ir helper.psql
SELECT plan(6);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
SELECT pg_temp.refused(statement, '25001', 'in a repeatable read transaction', 'READ COMMITTED', statement)
FROM unnest(ARRAY['SELECT millrace.pause(''p'')', 'SELECT millrace.rewind(''p'', 0)', 'SELECT millrace.skip_to(''p'', 0, 1)',
                  'SELECT millrace.alter_pipeline(''p'', workers => 2)', 'SELECT millrace.drop_pipeline(''p'')',
                  'SELECT millrace.adopt(''p'')']) AS statement;

SELECT * FROM finish();
ROLLBACK;
