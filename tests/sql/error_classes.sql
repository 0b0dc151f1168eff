BEGIN;
\ir helper.psql
SELECT plan(30);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SELECT pg_temp.refused($$ SELECT millrace.set_error_class(NULL, 'retry', 'p') $$, '22004', 'sqlstate', NULL, 'no sqlstate');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('23503', NULL, 'p') $$, '22004', 'action', NULL, 'no action');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('23503', 'ignore', 'p') $$, '22023', 'action is "ignore", expected one of: retry, dead_letter, break', NULL, 'no such action');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('unique_violation', 'retry', 'p') $$, '22023', 'sqlstate is "unique_violation"', '23503', 'no SQLSTATE');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('2350', 'retry', 'p') $$, '22023', 'sqlstate is "2350"', NULL, 'four characters');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('00000', 'retry', 'p') $$, '22023', 'sqlstate is "00000"', NULL, 'success is no error');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('23503', 'retry', 'nix') $$, '42704', 'pipeline "nix" does not exist', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('23503', 'dead_letter') $$, '42501', 'every pipeline', 'pipeline =>', 'an owner does not decide for all');
SELECT lives_ok($$ SELECT millrace.set_error_class('23505', 'retry', 'p') $$, 'for a pipeline of one''s own');
SELECT lives_ok($$ SELECT millrace.set_error_class('23505', 'break', 'p') $$, 'set again');
SELECT lives_ok($$ SELECT millrace.set_error_class('23', 'retry', 'p', 'reading_pkey') $$, 'a class of errors with a constraint');
SELECT results_eq($$ SELECT sqlstate, condition, constraint_name, action, builtin FROM millrace.error_classes WHERE pipeline = 'p' $$,
  $$ VALUES ('23', 'integrity_constraint_violation', 'reading_pkey', 'retry', false), ('23505', 'unique_violation', NULL::text, 'break', false) $$,
  'the more specific first');
RESET ROLE;
SELECT lives_ok($$ SELECT millrace.set_error_class('23503', 'dead_letter') $$, 'a superuser decides for all');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT pipeline, action, builtin FROM millrace.error_classes WHERE sqlstate = '23503' $$,
  $$ VALUES (NULL::text, 'dead_letter', false), (NULL, 'retry', true) $$, 'what was set comes before what is built in');
SELECT results_eq($$ SELECT action, array_agg(sqlstate ORDER BY sqlstate) FROM millrace.error_classes WHERE builtin GROUP BY 1 ORDER BY 1 $$,
  $$ VALUES ('break', '{08,3F000,42,53,57,58,XX}'::text[]), ('dead_letter', '{22,23,P0}'), ('retry', '{23503,40,55P03,57014,MR012}') $$, 'built in');
SELECT pg_temp.refused($$ SELECT millrace.drop_error_class('23503') $$, '42501', 'every pipeline', NULL, 'nor takes back');
SELECT pg_temp.refused($$ SELECT millrace.drop_error_class('22', 'p') $$, '42704', 'no error class for SQLSTATE "22" was set for pipeline "p"', 'set_error_class(''22''', 'what was not set');
SELECT pg_temp.refused($$ SELECT millrace.drop_error_class('23', 'p') $$, '42704', 'no error class', NULL, 'the constraint counts');
SELECT lives_ok($$ SELECT millrace.drop_error_class('23', 'p', 'reading_pkey') $$, 'taken back');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT millrace.drop_error_class('22') $$, '42704', 'for every pipeline', NULL, 'what is built in stays');
SELECT lives_ok($$ SELECT millrace.drop_error_class('23503') $$, 'for all');
SELECT is((SELECT count(*) FROM millrace.error_class WHERE NOT builtin AND pipeline_id IS NULL), 0::bigint, 'back to what is built in');

SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.set_error_class('23503', 'retry', 'p') $$, '42501', 'must be owner of pipeline "p"', NULL, 'not by a stranger');
SELECT is((SELECT count(*) FROM millrace.error_classes WHERE pipeline = 'p'), 0::bigint, 'who does not see them');
SELECT cmp_ok((SELECT count(*) FROM millrace.error_classes), '>', 0::bigint, 'but those of all');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.error_classes WHERE pipeline = 'p'), 1::bigint, 'a monitor does');
RESET ROLE;

SELECT is(millrace.condition_name('23505'), 'unique_violation', 'a name');
SELECT is(millrace.condition_name('MR010'), 'millrace_failure_share', 'one of ours, that breakers show');
SELECT is(millrace.condition_name('ZZZZZ'), NULL, 'of none');
SELECT is(millrace.condition_name(NULL), NULL, 'null');

SELECT * FROM finish();
ROLLBACK;
