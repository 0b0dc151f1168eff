BEGIN;
\ir helper.psql
SELECT plan(48);

-- what may be said wrongly, by an owner with all rights needed
CREATE FUNCTION pg_temp.wrong(arguments text, state text, message text, hint text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.refused(
    format('SELECT millrace.create_pipeline(%s)', string_agg(format('%s => %s', a.key, a.value), ', ')),
    state, message, hint, 'refused: ' || left(replace(arguments, E'\n', ' '), 100))
  FROM jsonb_each_text('{"pipeline": "''p''", "topic": "''events''", "target": "''mrt.reading''",
                         "fields": "''id bigint NOT NULL, source text''",
                         "transform": "''SELECT event.id, event.source FROM event''"}' || arguments::jsonb) AS a;
$$;
SET ROLE mrt_owner;

SELECT pg_temp.wrong('{"pipeline": "NULL"}', '22004', 'argument must not be null: pipeline', 'Give the argument a value');
SELECT pg_temp.wrong('{"topic": "NULL", "transform": "NULL"}', '22004', 'topic, transform', NULL);
SELECT pg_temp.wrong('{"target": "NULL"}', '22004', 'target', NULL);
SELECT pg_temp.wrong('{"pipeline": "''''"}', '42602', 'pipeline name "" is not valid', 'such as');
SELECT pg_temp.wrong('{"pipeline": "''two words''"}', '42602', '"two words"', NULL);
SELECT pg_temp.wrong('{"pipeline": "repeat(''x'', 64)"}', '42602', 'is not valid', NULL);
SELECT pg_temp.wrong('{"topic": "''a b''"}', '42602', 'topic "a b" is not a valid', 'beginning with');
SELECT pg_temp.wrong('{"topic": "''..''"}', '42602', 'topic ".."', NULL);
SELECT pg_temp.wrong('{"start_at": "''sometime''"}', '22023', 'start_at is "sometime", expected earliest, latest', 'latest');
SELECT pg_temp.wrong('{"start_at": "''infinity''"}', '22023', 'start_at is "infinity"', NULL);
SELECT pg_temp.wrong('{"start_at": "''1950-01-01''"}', '22023', 'since 1970', NULL);
SELECT pg_temp.wrong('{"workers": "0"}', '22023', 'workers is 0, expected 1 to 64', 'workers =>');
SELECT pg_temp.wrong('{"workers": "65"}', '22023', 'workers is 65', NULL);
SELECT pg_temp.wrong('{"batch_rows": "0"}', '22023', 'batch_rows is 0', NULL);
SELECT pg_temp.wrong('{"rows_per_event": "-1"}', '22023', 'rows_per_event is -1', NULL);
SELECT pg_temp.wrong('{"statement_timeout": "interval ''-1 s''"}', '22023', 'statement_timeout is -00:00:01', '60 s');
SELECT pg_temp.wrong('{"statement_timeout": "interval ''1 year''"}', '22023', 'statement_timeout is 1 year', NULL);
SELECT pg_temp.wrong('{"on_conflict": "''upsert''"}', '22023', 'on_conflict is "upsert", expected one of: error, ignore, update', 'update');
SELECT pg_temp.wrong('{"tombstone": "''drop''"}', '22023', 'tombstone is "drop"', 'skip');
SELECT pg_temp.wrong('{"tombstone": "''delete''"}', '22023', 'tombstone "delete" is given', 'on_conflict => ''update''');
SELECT pg_temp.wrong('{"conflict_key": "''{id}''"}', '22023', 'on_conflict is "error"', 'Leave conflict_key out');
SELECT pg_temp.wrong('{"on_conflict": "''update''"}', '22023', 'needs a conflict_key', 'columns of a unique index');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{nix}''"}', '42703', 'column "nix"', 'id, source, at, value');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{value}''"}', '42P10', 'matches no unique index', 'CREATE UNIQUE INDEX ON mrt.reading (value)');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{source}''"}', '42P10', 'matches no unique index', NULL);
SELECT pg_temp.wrong('{"newer_by": "''at''"}', '22023', 'newer_by is given', 'on_conflict =>');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{id}''", "newer_by": "''nix''"}', '42703', 'newer_by names column "nix"', 'id, source');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{id}''", "newer_by": "''doc''"}', '42804', 'type json, which has no ordering', 'timestamptz');
SELECT pg_temp.wrong('{"on_conflict": "''update''", "conflict_key": "''{id}''", "newer_by": "''id''"}', '22023', 'part of conflict_key', NULL);

-- targets that no pipeline can write exactly once
RESET ROLE;
CREATE VIEW mrt.a_view AS SELECT 1 AS id;
CREATE FOREIGN DATA WRAPPER mrt_wrapper;
CREATE SERVER mrt_server FOREIGN DATA WRAPPER mrt_wrapper;
CREATE FOREIGN TABLE mrt.elsewhere (id bigint) SERVER mrt_server;
CREATE TABLE mrt.parted (id bigint) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE mrt.parted_elsewhere PARTITION OF mrt.parted FOR VALUES FROM (0) TO (10) SERVER mrt_server;
CREATE SEQUENCE mrt.a_sequence;
CREATE TEMP TABLE passing (id bigint);
CREATE TABLE mrt.closed (id bigint PRIMARY KEY);
SET ROLE mrt_owner;
SELECT pg_temp.wrong('{"target": "''mrt.a_view''"}', '42809', 'a_view" cannot be the target', 'ordinary or partitioned');
SELECT pg_temp.wrong('{"target": "''mrt.elsewhere''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''mrt.parted''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''mrt.a_sequence''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''pg_temp.passing''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''millrace.pipeline''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''pg_catalog.pg_class''"}', '42809', 'cannot be the target', NULL);
SELECT pg_temp.wrong('{"target": "''mrt.closed''"}', '42501', 'no INSERT privilege', 'GRANT INSERT ON mrt.closed TO mrt_owner');
RESET ROLE;
GRANT INSERT ON mrt.closed TO mrt_owner;
SET ROLE mrt_owner;
SELECT pg_temp.wrong('{"target": "''mrt.closed''", "on_conflict": "''update''", "conflict_key": "''{id}''"}', '42501', 'no UPDATE privilege', 'GRANT UPDATE');

-- owners that no worker could run as
RESET ROLE;
SELECT pg_temp.wrong('{"pipeline": "''p''"}', '42501', 'is a superuser', 'allow_superuser => true');
CREATE ROLE mrt_nobody IN ROLE mrt_owner;
SET ROLE mrt_nobody;
-- From 17 on a background worker may be a session of a role that cannot log in.
SELECT current_setting('server_version_num')::int >= 170000 AS without_login \gset
\if :without_login
SELECT lives_ok($$ SELECT pg_temp.pipeline('without_login') $$, 'an owner that cannot log in');
\else
SELECT pg_temp.wrong('{"pipeline": "''p''"}', '42501', 'cannot log in', 'ALTER ROLE mrt_nobody LOGIN');
\endif
RESET ROLE;

-- what is stored
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT pg_temp.pipeline('plain') $$, 'a pipeline with defaults');
SELECT pg_temp.refused($$ SELECT pg_temp.pipeline('plain') $$, '42710', 'pipeline "plain" already exists', 'alter_pipeline(''plain''', 'a name can be had once');
SELECT lives_ok($$
  SELECT millrace.create_pipeline('full', topic => 'events', target => 'reading', on_conflict => 'update',
    conflict_key => '{at,source}', newer_by => 'value', start_at => '2026-01-31 12:00+01', workers => 3, batch_rows => 10,
    rows_per_event => 20, statement_timeout => '1.5 s', paused => true, search_path => 'mrt',
    fields => 'id bigint, source text, at timestamptz, value double precision',
    transform => 'SELECT event.id, event.source, event.at, event.value FROM event') $$, 'a pipeline with everything');
RESET ROLE;
SELECT results_eq(
  $$ SELECT p.owner::text, p.instance = i.id, p.start_at, p.workers, p.state, p.version, p.partitions
     FROM millrace.pipeline p, millrace.instance i WHERE p.name IN ('plain', 'full') ORDER BY p.id $$,
  $$ VALUES ('mrt_owner', true, 'earliest', 1, 'running', 1, 0),
            ('mrt_owner', true, '2026-01-31T11:00:00.000Z', 3, 'paused', 1, 0) $$, 'the pipelines are stored');
SELECT results_eq(
  $$ SELECT v.target::oid, v.on_conflict, v.conflict_key, v.newer_by, v.tombstone, v.batch_rows, v.rows_per_event,
            v.statement_timeout, v.search_path, v.created_by::text
     FROM millrace.pipeline_version v JOIN millrace.pipeline p ON p.id = v.pipeline_id
     WHERE p.name IN ('plain', 'full') ORDER BY p.id $$,
  $$ VALUES ('mrt.reading'::regclass::oid, 'error', NULL::text[], NULL, 'dead_letter', 50000, 10000, 60000, 'mrt, public', 'mrt_owner'),
            ('mrt.reading'::regclass::oid, 'update', '{at,source}', 'value', 'skip', 10, 20, 1500, 'mrt', 'mrt_owner') $$,
  'the definitions are stored, with the caller''s search_path');
SELECT lives_ok($$
  SELECT millrace.create_pipeline('super', topic => 'events', target => 'mrt.reading', allow_superuser => true,
    fields => 'id bigint', transform => 'SELECT event.id FROM event') $$, 'a superuser, when allowed by name');
CREATE TABLE mrt.parts (id bigint, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE mrt.parts0 PARTITION OF mrt.parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
GRANT INSERT ON mrt.parts TO mrt_owner;
SET ROLE mrt_owner;
SELECT lives_ok($$
  SELECT millrace.create_pipeline('parts', topic => 'events', target => 'mrt.parts', fields => 'id bigint',
                                  transform => 'SELECT event.id FROM event') $$, 'a partitioned target');
SELECT pg_temp.refused($$
  SELECT millrace.create_pipeline('typo', topic => 'events', target => 'mrt.reading', fields => 'id bigint',
                                  transform => 'SELEC event.id FROM event') $$,
  '42601', 'syntax error', NULL, 'a mistake in the transform is reported when the pipeline is created');
SELECT * FROM finish();
ROLLBACK;
