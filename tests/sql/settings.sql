BEGIN;
\ir helper.psql
\set docs `cat ../../docs/sql.md`
SELECT plan(8);

-- the list against everything that has a place for each setting
CREATE TEMP VIEW setting AS SELECT * FROM millrace._settings() WITH ORDINALITY AS s;
CREATE TEMP VIEW argument AS
SELECT p.proname, a.name COLLATE "default" AS name, format_type(p.proargtypes[a.nth - 1], NULL) AS type, a.nth
FROM pg_proc AS p CROSS JOIN unnest(p.proargnames) WITH ORDINALITY AS a (name, nth)
WHERE p.pronamespace = 'millrace'::regnamespace AND p.proname IN ('create_pipeline', 'alter_pipeline');

SELECT results_eq($$ SELECT name, type FROM argument WHERE proname = 'create_pipeline' ORDER BY nth $$,
  $$ SELECT name, type::regtype::text FROM setting WHERE verbs <> 'alter' ORDER BY ordinality $$, 'create_pipeline takes what the list says');
SELECT results_eq($$ SELECT name, type FROM argument WHERE proname = 'alter_pipeline' ORDER BY nth $$,
  $$ SELECT name, type::regtype::text FROM setting WHERE verbs <> 'create' ORDER BY ordinality $$, 'so does alter_pipeline');
SELECT set_eq($$ SELECT a.attname::text COLLATE "default" FROM pg_attribute AS a WHERE a.attrelid = 'millrace.pipeline_version'::regclass AND a.attnum > 0
                 AND a.attname NOT IN ('pipeline_id', 'version', 'created_at', 'created_by') $$,
  $$ SELECT name FROM setting WHERE verbs = 'both' AND name NOT IN ('pipeline', 'workers', 'allow_superuser', 'dlq', 'dlq_delivery', 'group_prefix') $$,
  'each setting of the definition has its column');
SELECT set_eq($$ SELECT name FROM setting WHERE name NOT IN ('pipeline', 'paused', 'allow_superuser', 'samples')
                 EXCEPT SELECT attname::text COLLATE "default" FROM pg_attribute WHERE attrelid = 'millrace.pipelines'::regclass $$,
  ARRAY[]::text[], 'each is shown');
SELECT is(obj_description('millrace.create_pipeline'::regproc, 'pg_proc') ~ 'retry_jitter: share of the delay', true, 'and explained');
SELECT set_eq($$ SELECT name FROM setting WHERE strpos($$ || quote_literal(:'docs') || $$, format(E'\n| `%s` | `%s` | %s | %s |\n', name, type,
                 CASE verbs WHEN 'alter' THEN 'alter only' ELSE coalesce('`' || nullif("default", 'NULL') || '`', CASE "default" WHEN 'NULL' THEN '' ELSE 'required' END) END,
                 about)) = 0 $$, ARRAY[]::text[], 'docs/sql.md has the list');

-- exact on its way, whatever the session's output is set to
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
SET LOCAL extra_float_digits = -15;
SET LOCAL intervalstyle = 'sql_standard';
SELECT millrace.alter_pipeline('p', retry_jitter => 0.123456789012345678, retry_factor => 1.1, retry_delay => '1 s 234 ms');
RESET extra_float_digits;
RESET intervalstyle;
SELECT results_eq($$ SELECT retry_jitter, retry_factor, retry_delay FROM millrace.pipelines WHERE name = 'p' $$,
  $$ VALUES (0.123456789012345678::float8, 1.1::float8, interval '1.234 s') $$, 'numbers and intervals are stored exactly');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', retry_jitter => 'NaN') $$, '22023', 'retry_jitter is NaN, expected 0 to 1', NULL, 'not a number');
SELECT * FROM finish();
ROLLBACK;
