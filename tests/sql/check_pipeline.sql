-- check_pipeline(): what would be wrong with a definition, as findings; nothing is changed.
BEGIN;
\ir helper.psql
SELECT plan(36);
SET ROLE mrt_owner;
CREATE DOMAIN mrt.short AS varchar(2);
CREATE TABLE mrt.fit (
  id int PRIMARY KEY, small smallint, whole int, big bigint, money numeric(8,2), r real, d double precision, n numeric, code varchar(3),
  domained mrt.short, list varchar(3)[], note text, at timestamp, tz timestamptz, tz0 timestamptz(0), day date,
  made int GENERATED ALWAYS AS (1) STORED, filled int DEFAULT 1);
CREATE FUNCTION pg_temp.found(fields text, transform text, samples text[] DEFAULT NULL, target regclass DEFAULT 'mrt.fit', pipeline text DEFAULT 'checked',
                              OUT severity text, OUT code text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE sql AS $$
  SELECT * FROM millrace.check_pipeline(pipeline, topic => 'events', target => target, fields => fields, transform => transform, samples => samples);
$$;

-- Types: what a column of the target may lose of, or refuse, a value of this type.
CREATE FUNCTION pg_temp.fit(type text, target_column text, expression text DEFAULT 'v') RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(f.severity || ' ' || f.code, ', '), 'fits')
  FROM pg_temp.found('id int, v ' || type, format('SELECT id, %s AS %I FROM event', expression, target_column)) AS f
  WHERE f.message LIKE format('column "%s" %%', target_column) AND f.code <> 'column_not_filled' OR f.severity = 'error';
$$;
SELECT is(pg_temp.fit(type, target_column, expression), expected, format('%s (%s) into %s', type, expression, target_column))
FROM (VALUES
  ('text', 'code', 'v', 'warning column_narrow'),
  ('varchar(3)', 'code', 'v', 'fits'),
  ('varchar(4)', 'code', 'v', 'warning column_narrow'),
  ('text', 'code', 'CASE v WHEN ''a'' THEN ''abc'' ELSE coalesce(NULL, ''de'') END', 'fits'),
  ('text', 'code', 'CASE v WHEN ''a'' THEN ''abcd'' ELSE '''' END', 'warning column_narrow'),
  ('smallint', 'code', 'v', 'warning column_narrow'),
  ('text', 'domained', 'v', 'warning column_narrow'),
  ('text[]', 'list', 'v', 'warning column_narrow'),
  ('text', 'note', 'v', 'fits'),
  ('bigint', 'whole', 'v', 'warning column_overflow'),
  ('int', 'small', '1', 'fits'),
  ('double precision', 'whole', 'v', 'warning column_overflow'),
  ('numeric(5,2)', 'whole', 'v', 'warning column_rounds'),
  ('numeric(8,3)', 'money', 'v', 'warning column_rounds'),
  ('numeric(9,2)', 'money', 'v', 'warning column_overflow'),
  ('numeric(8,2)', 'money', 'v', 'fits'),
  ('bigint', 'd', 'v', 'info column_inexact'),
  ('int', 'd', 'v', 'fits'),
  ('int', 'r', 'v', 'info column_inexact'),
  ('double precision', 'n', 'v', 'fits'),
  ('timestamptz', 'at', 'v', 'warning column_zone'),
  ('timestamp', 'tz', 'v', 'warning column_zone'),
  ('timestamptz', 'day', 'v', 'warning column_cut'),
  ('timestamptz', 'tz0', 'v', 'info column_rounds'),
  ('timestamptz', 'tz', 'v', 'fits')
) AS t (type, target_column, expression, expected);

-- Samples.
SELECT results_eq($$ SELECT severity, code, message FROM pg_temp.found(
    'id int NOT NULL, word text, other text, inner_a int PATH ''$.more.a'', t timestamp',
    'SELECT id, word AS note, t AS at FROM event WHERE id <> 3',
    ARRAY['{"id":1,"Word":"x","more":{"a":1,"b":2},"t":"1970-01-20 00:00:00"}', '{"id":"x"}', '{"id":3}']) WHERE code <> 'column_not_filled' $$,
  $$ VALUES ('error', 'sample_dead', 'sample 2 fails in stage decode: field "id" of type integer: found string "x", expected an integer (22P02)'),
            ('warning', 'unlikely_time', 'sample 1 gives column "at" the time 1970-01-20T00:00:00'),
            ('warning', 'field_not_in_samples', 'field "word" is in none of the samples'),
            ('warning', 'field_not_in_samples', 'field "other" is in none of the samples'),
            ('info', 'sample_filtered', 'sample 3 is filtered'),
            ('info', 'key_not_read', 'no field reads key Word of the samples'),
            ('info', 'key_not_read', 'no field reads key more.b of the samples') $$, 'what samples show');
SELECT set_eq($$ SELECT code FROM pg_temp.found('id int', 'SELECT id, payload ->> ''x'' AS note FROM event', ARRAY['{"id": 1, "x": "y"}']) $$,
  ARRAY['column_not_filled'], 'with the whole payload each key is read');
SELECT results_eq($$ SELECT severity, code, message FROM millrace.check_pipeline('c', topic => 'events', target => 'mrt.fit', format => 'connect', fields => 'id int, v text',
                       transform => 'SELECT id FROM event', samples => ARRAY['{"schema": null, "payload": {"id": 1}}', '{"id": 1}']) WHERE code <> 'column_not_filled' $$,
  $$ VALUES ('error', 'sample_dead', 'sample 2 fails in stage decode: message has no key "payload" (2203A)'),
            ('warning', 'field_not_in_samples', 'field "v" is in none of the samples') $$, 'samples are messages of the format');

-- What create_pipeline() refuses, and warns of.
SELECT results_eq($$ SELECT severity, code, message FROM pg_temp.found('id int', 'SELECT id, nix FROM event') $$,
  $$ VALUES ('error', 'undefined_column', 'column "nix" does not exist') $$, 'a fault of the definition is a finding');
SELECT results_eq($$ SELECT f.severity, f.code, f.hint ~ 'CREATE UNIQUE INDEX ON mrt.fit \(code\)' FROM millrace.check_pipeline('c', topic => 'events', target => 'mrt.fit',
                       fields => 'id int', transform => 'SELECT id FROM event', on_conflict => 'update', conflict_key => '{code}') AS f $$,
  $$ VALUES ('error', 'invalid_column_reference', true) $$, 'a conflict key without an index is one, with its hint');
SELECT results_eq($$ SELECT f.severity, f.code FROM millrace.check_pipeline('c', topic => 'events', target => 'mrt.fit', transform => 'SELECT 1 AS id FROM event', workers => 99) AS f $$,
  $$ VALUES ('error', 'invalid_parameter_value') $$, 'so is an argument');
CREATE TABLE mrt.strict (id int NOT NULL, v int NOT NULL) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE mrt.unlogged (id int);
SELECT results_eq($$ SELECT severity, code FROM pg_temp.found('id int', 'SELECT id FROM event', target => 'mrt.strict') WHERE code <> 'no_samples' $$,
  $$ VALUES ('error', 'column_not_filled') $$, 'a column that only a trigger could fill is an error');
SELECT set_has($$ SELECT severity, code, message FROM pg_temp.found('id int', 'SELECT id FROM event', target => 'mrt.unlogged') $$,
  $$ VALUES ('warning', 'target_unlogged', 'target "mrt.unlogged" is unlogged') $$, 'a warning is a finding');

-- Nothing is changed.
SELECT is_empty($$ SELECT name FROM millrace.pipelines $$, 'no pipeline is left');
SELECT pg_temp.pipeline('taken');
SELECT results_eq($$ SELECT code FROM pg_temp.found('id int', 'SELECT id, nix FROM event', pipeline => 'taken') $$,
  ARRAY['duplicate_object', 'undefined_column'], 'a name that is taken does not hide the rest');
SELECT results_eq($$ SELECT severity, code FROM millrace.pipeline_findings('taken', ARRAY['{"id": 1, "source": "s", "at": null, "value": 1, "x": 1}']) WHERE code <> 'column_not_filled' $$,
  $$ VALUES ('info', 'key_not_read') $$, 'findings of one that exists');
SELECT * FROM finish();
ROLLBACK;
