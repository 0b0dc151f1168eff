-- Counters by type: the setting, what the view adds up, and when they begin again. That the batches count rightly is shown by
-- real events in tests/e2e/test_stats_by_type.py.
BEGIN;
\ir helper.psql
SELECT no_plan();

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE DOMAIN label AS varchar(10);
CREATE FUNCTION pg_temp.altered(fields text, type_field text) RETURNS text LANGUAGE sql AS $$
  SELECT format('SELECT millrace.alter_pipeline(''p'', fields => %L, type_field => %L)',
                'id bigint NOT NULL, source text, at timestamptz, value double precision' || fields, type_field)
$$;

-- what it may be
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', type_field => 'kind') $$, '42703',
                       'type_field names "kind", which is no column of event', 'fields => ''kind text', 'a field that is not there');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', type_field => 'value') $$, '42804',
                       'type_field "value" is of type double precision, expected text', 'few different values', 'a number that is measured');
SELECT pg_temp.refused(pg_temp.altered(', d jsonb', 'd'), '42804', 'is of type jsonb', NULL, 'a document');
SELECT lives_ok(pg_temp.altered(', t text', 't'), 'text');
SELECT lives_ok(pg_temp.altered(', t varchar(7)', 't'), 'varchar');
SELECT lives_ok(pg_temp.altered(', t label', 't'), 'a domain over it');
SELECT lives_ok(pg_temp.altered(', t int', 't'), 'an integer');
SELECT lives_ok(pg_temp.altered(', t boolean', 't'), 'a boolean');
SELECT lives_ok(pg_temp.altered(', t kind', 't'), 'an enum');
SELECT lives_ok(pg_temp.altered('', 'topic'), 'the topic');
SELECT is((SELECT type_field FROM millrace.pipelines WHERE name = 'p'), 'topic', 'it is shown');
SELECT millrace.alter_pipeline('p', type_field => '');
SELECT is((SELECT type_field FROM millrace.pipelines WHERE name = 'p'), NULL, 'and can be removed');
SELECT millrace.alter_pipeline('p', fields => 'id bigint NOT NULL, source text, at timestamptz, value double precision, t text', type_field => 't');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', fields => 'id bigint NOT NULL, source text, at timestamptz, value double precision') $$,
                       '42703', 'type_field names "t"', NULL, 'its field cannot go');
RESET ROLE;

-- what the view adds up: two streams, of which one has been replaced
CREATE FUNCTION pg_temp.counts(number integer, at bigint[]) RETURNS bigint[] LANGUAGE sql AS $$
  SELECT array_agg(CASE WHEN i / 10 = number THEN at[i % 10 + 1] ELSE 0 END ORDER BY i) FROM generate_series(0, 129) AS i
$$;
INSERT INTO millrace.event_type SELECT p.id, v.number, v.name FROM millrace.pipeline AS p
CROSS JOIN (VALUES (2, 'temperature'), (12, 'wind'), (13, 'rain')) AS v (number, name) WHERE p.name = 'p';
INSERT INTO millrace.event_type_count SELECT p.id, v.stripe, v.seq, 0, v.counts FROM millrace.pipeline AS p
CROSS JOIN (VALUES (0, 1, pg_temp.counts(2, '{9,9,9,9,9,9,9,9,9,9}')), (0, 2, pg_temp.counts(2, '{10,100,4,3,2,1,5,6,7,8}')),
                   (1, 1, pg_temp.counts(0, '{1,10,1,0,0,0,0,0,0,0}')),
                   (4, 7, pg_temp.counts(2, '{20,200,1,1,1,1,1,1,1,1}')), (64, 1, pg_temp.counts(1, '{5,50,5,0,0,0,0,0,0,0}')),
                   (252, 3, pg_temp.counts(0, '{2,20,0,0,0,0,2,0,2,0}'))) AS v (stripe, seq, counts)
WHERE p.name = 'p';
PREPARE shown AS SELECT type, events, bytes, written, filtered, superseded, skipped, failed, retried, dead_lettered, replayed
FROM millrace.stats_by_type WHERE pipeline = 'p';
SELECT results_eq('shown', $$ VALUES
  ('none', 2::bigint, 20::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 2::bigint, 0::bigint, 2::bigint, 0::bigint),
  ('other', 5, 50, 5, 0, 0, 0, 0, 0, 0, 0), ('temperature', 30, 300, 5, 4, 3, 2, 6, 7, 8, 9),
  ('rain', 1, 10, 1, 0, 0, 0, 0, 0, 0, 0) $$,
  'the newest row of each stripe, added up; a type without events is not there');
SELECT set_eq($$ SELECT name, labels, value FROM millrace.metric WHERE name LIKE 'millrace\_type\_%' AND labels ->> 'type' = 'temperature' $$,
  $$ SELECT 'millrace_type_' || v.name AS name, '{"type": "temperature", "pipeline": "p"}'::jsonb || coalesce(v.label, '{}') AS labels, v.value::float8 AS value
     FROM (VALUES ('events_total', NULL::jsonb, 30), ('payload_bytes_total', NULL, 300), ('events_failed_total', NULL, 6), ('retries_total', NULL, 7),
                  ('dead_letters_made_total', NULL, 8), ('dead_letters_replayed_total', NULL, 9),
                  ('events_ended_total', '{"outcome": "written"}', 5), ('events_ended_total', '{"outcome": "filtered"}', 4),
                  ('events_ended_total', '{"outcome": "superseded"}', 3), ('events_ended_total', '{"outcome": "skipped"}', 2)) AS v (name, label, value) $$,
  'each is a metric');
SELECT is((SELECT bool_and(c.storage) FROM (SELECT a.attstorage = 'p' AS storage FROM pg_attribute AS a
           WHERE a.attrelid = 'millrace.event_type_count'::regclass AND a.attname = 'counts') AS c), true, 'counters are in the row itself');

-- a row that was replaced a thousand times is found at once, and so are the stripes: no version of it is stepped over
INSERT INTO millrace.event_type_count SELECT p.id, s, n, 0, pg_temp.counts(2, '{1,1,1,1,1,1,1,1,1,1}')
FROM millrace.pipeline AS p, generate_series(0, 8, 4) AS s, generate_series(100, 1000) AS n WHERE p.name = 'p';
CREATE FUNCTION pg_temp.rows_read(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE plan jsonb; total bigint;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) ' || query INTO plan;
  SELECT sum(((n ->> 'Actual Rows')::float8 + coalesce((n ->> 'Rows Removed by Filter')::float8, 0)) * (n ->> 'Actual Loops')::float8) INTO total
  FROM jsonb_path_query(plan, 'strict $.** ? (@."Relation Name" == "event_type_count")') AS n;
  RETURN total;
END $$;
CREATE FUNCTION pg_temp.cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
  RETURN (plan #>> '{0,Plan,Total Cost}')::float8;
END $$;
SELECT cmp_ok(pg_temp.rows_read('SELECT * FROM millrace.stats_by_type'), '<=', 7::bigint, 'one row is read for each stripe');
SELECT cmp_ok(pg_temp.cost('SELECT * FROM millrace.stats_by_type'), '<', 100000::float8, 'and the planner does not take it for something to be compiled');

-- who sees them
SET ROLE mrt_member;
SELECT is((SELECT count(*) FROM millrace.stats_by_type), 4::bigint, 'a member of the owner sees them');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.stats_by_type), 4::bigint, 'and so does pg_monitor');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.stats_by_type), 0::bigint, 'others do not');
RESET ROLE;

-- when they begin again
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('p', batch_rows => 100);
SELECT is((SELECT count(*) FROM millrace.stats_by_type), 4::bigint, 'another change of the pipeline leaves them alone');
SELECT millrace.alter_pipeline('p', type_field => 't');
SELECT is((SELECT count(*) FROM millrace.stats_by_type), 4::bigint, 'and so does the same field');
SELECT millrace.alter_pipeline('p', type_field => 'source');
SELECT is_empty('shown', 'with another field they begin again');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.event_type), 0::bigint, 'with all names');
INSERT INTO millrace.event_type SELECT p.id, 2, 'a' FROM millrace.pipeline AS p;
INSERT INTO millrace.event_type_count SELECT p.id, 0, 1, 0, pg_temp.counts(2, '{1,1,1,1,1,1,1,1,1,1}') FROM millrace.pipeline AS p;
SET ROLE mrt_owner;
SELECT millrace.drop_pipeline('p');
RESET ROLE;
SELECT is((SELECT (SELECT count(*) FROM millrace.event_type) + (SELECT count(*) FROM millrace.event_type_count)), 0::bigint, 'a dropped pipeline leaves nothing');

SELECT * FROM finish();
ROLLBACK;
