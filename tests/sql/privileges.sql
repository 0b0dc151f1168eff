BEGIN;
\ir helper.psql
-- every table, every internal function
SELECT plan((SELECT count(*) * 4 FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind IN ('r', 'S'))::integer
            + (SELECT count(*) FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'v')::integer
            + 16);

SELECT is(has_table_privilege(r.role, c.oid, p.privilege), false, format('%s cannot %s %s', r.role, p.privilege, c.relname))
FROM pg_class AS c
CROSS JOIN unnest(ARRAY['mrt_owner', 'mrt_ingestor']) AS r (role)
CROSS JOIN unnest(CASE c.relkind WHEN 'S' THEN ARRAY['USAGE', 'UPDATE'] ELSE ARRAY['SELECT', 'INSERT'] END) AS p (privilege)
WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'r';
SELECT is(has_sequence_privilege(r.role, c.oid, p.privilege), false, format('%s cannot %s %s', r.role, p.privilege, c.relname))
FROM pg_class AS c
CROSS JOIN unnest(ARRAY['mrt_owner', 'mrt_ingestor']) AS r (role)
CROSS JOIN unnest(ARRAY['USAGE', 'UPDATE']) AS p (privilege)
WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'S';
SELECT is(has_table_privilege('mrt_stranger', c.oid, 'SELECT'), c.relname NOT LIKE '\_%', format('view %s is for everybody, or internal', c.relname))
FROM pg_class AS c WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind = 'v';

SELECT set_eq(
  $$ SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.pronamespace = 'millrace'::regnamespace
     AND p.proname LIKE '\_%' AND has_function_privilege('mrt_owner', p.oid, 'EXECUTE') $$,
  ARRAY[]::text[], 'no internal function is for users');
SELECT set_eq(
  $$ SELECT DISTINCT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = 'millrace'::regnamespace
     AND NOT has_function_privilege('mrt_owner', p.oid, 'EXECUTE') AND has_function_privilege('mrt_ingestor', p.oid, 'EXECUTE') $$,
  $$ SELECT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = 'millrace'::regnamespace AND p.proname IN
     ('ingestor_pipelines', 'add_partitions', 'add_topic_partitions', 'topic_partitions', 'report_topics', 'positions', 'stop_partition', 'set_position', 'report_watermarks',
      'lane_open', 'lane_next', 'assign', 'stage', 'report', 'report_presence', 'relay_pipelines', 'relay_lock', 'relay_scan_positions', 'relay_mark', 'relay_batch') $$, 'an ingestor may do what ingestors do');
SELECT is((SELECT count(*) FROM pg_proc AS p WHERE p.pronamespace = 'millrace'::regnamespace AND p.proname LIKE '\_%'
           AND has_function_privilege('mrt_ingestor', p.oid, 'EXECUTE')), 0::bigint, 'and no more');

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
SELECT throws_ok($$ UPDATE millrace.progress SET next_offset = 0 $$, '42501', NULL, 'a position cannot be forged');
SELECT throws_ok($$ DELETE FROM millrace.dead_letter $$, '42501', NULL, 'a dead letter cannot be deleted');
SELECT throws_ok($$ UPDATE millrace.pipelines SET name = 'x' $$, NULL, NULL, 'views cannot be written');
SELECT throws_ok($$ SELECT millrace._wake() $$, '42501', NULL, 'internal functions cannot be called');
SELECT throws_ok($$ SELECT millrace._pause('postgres', 'p') $$, '42501', NULL, 'not in another''s name');
SELECT throws_ok($$ SELECT millrace._lock_pipeline(1) $$, '42501', NULL, 'locks cannot be taken');
SELECT throws_ok($$ SELECT millrace.set_position('p', 0, 0, 0) $$, '42501', NULL, 'positions cannot be set');
SELECT throws_ok($$ CREATE TABLE millrace.mine () $$, '42501', NULL, 'nothing can be created in the schema');
SET ROLE mrt_ingestor;
SELECT throws_ok($$ SELECT millrace.pause('p') $$, '42501', NULL, 'an ingestor is no owner');
SELECT throws_ok($$ UPDATE millrace.partition SET epoch = 0 $$, '42501', NULL, 'and writes no catalogue');

-- the caller is who calls, through a function of the owner's too
SET ROLE mrt_owner;
CREATE FUNCTION mrt.pause_it() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT millrace.pause('p') $$;
SET ROLE mrt_stranger;
SELECT throws_ok($$ SELECT millrace.pause('p') $$, '42501', NULL, 'a stranger cannot pause');
SELECT lives_ok($$ SELECT mrt.pause_it() $$, 'but may call a function of the owner''s that does');
SELECT is((SELECT current_user::text), 'mrt_stranger', 'and is who it was afterwards');

SELECT * FROM finish();
ROLLBACK;
