BEGIN;
\ir helper.psql
SELECT plan(25);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0,0}');
SELECT millrace.report_watermarks('p', '{0,1}', '{1500,700}');
RESET ROLE;
-- 1,300 events, all in partition 0
UPDATE millrace.progress SET settled_at = now() - interval '1 hour' WHERE pipeline_id = :id;
INSERT INTO millrace.progress
SELECT :id, 0, v.seq, v.next_offset, v.next_offset - 1, extract(epoch FROM now() - v.ago) * 1000, 0, v.next_offset, v.next_offset - 10, 10, 0, 0, 0,
       (v.next_offset - 10) * 2, v.next_offset * 100, now() - v.ago
FROM (VALUES (1, 1000, interval '2 min'), (2, 1200, '30 s'), (3, 1300, '1 s')) AS v (seq, next_offset, ago);

SET ROLE mrt_owner;
SELECT results_eq($$ SELECT events, written, filtered, dead, rows, bytes FROM millrace.stats WHERE pipeline = 'p' $$,
  $$ VALUES (1300::bigint, 1290::bigint, 10::bigint, 0::bigint, 2580::bigint, 130000::bigint) $$, 'totals');
SELECT is((SELECT lag FROM millrace.stats WHERE pipeline = 'p'), 900::bigint, 'lag of all partitions');
SELECT results_eq($$ SELECT partition, next_offset, end_offset, lag FROM millrace.lag WHERE pipeline = 'p' $$,
  $$ VALUES (0, 1300::bigint, 1500::bigint, 200::bigint), (1, 0, 700, 700) $$, 'lag of each');
SELECT ok((SELECT behind BETWEEN '0.5 s' AND '60 s' FROM millrace.lag WHERE pipeline = 'p' AND partition = 0), 'age of the last event');
SELECT results_eq($$ SELECT partition, state, next_offset, last_offset, events FROM millrace.partitions WHERE pipeline = 'p' $$,
  $$ VALUES (0, 'active', 1300::bigint, 1299::bigint, 1300::bigint), (1, 'active', 0, NULL, 0) $$, 'partitions show the newest progress');
SELECT results_eq($$ SELECT name, topic, target, owner::text, version, partitions, on_conflict, statement_timeout FROM millrace.pipelines WHERE name = 'p' $$,
  $$ VALUES ('p', 'events', 'reading'::regclass, 'mrt_owner', 1, 2, 'error', interval '1 min') $$, 'pipelines show the definition');
SELECT ok((SELECT status IN ('running', 'starting', 'no worker', 'not preloaded') FROM millrace.pipelines WHERE name = 'p'), 'a status');
SELECT lives_ok('SELECT * FROM millrace.workers', 'workers');
SELECT lives_ok('SELECT * FROM millrace.lanes', 'lanes');

-- status: the first reason that applies
RESET ROLE;
UPDATE millrace.partition SET state = 'stopped', error = 'lost', hint = 'skip' WHERE pipeline_id = :id;
SET ROLE mrt_owner;
SELECT ok((SELECT (status, reason, hint) = ('stopped', 'partition 0: lost (and 1 more)', 'skip') OR status = 'not preloaded'
           FROM millrace.pipelines WHERE name = 'p'), 'stopped, and why');
SELECT millrace.pause('p');
SELECT is((SELECT hint FROM millrace.pipelines WHERE name = 'p' AND status = 'paused'), 'SELECT millrace.resume(''p'');', 'paused, and how to go on');
RESET ROLE;
SAVEPOINT dropped;
DROP TABLE mrt.reading;
SELECT is((SELECT status FROM millrace.pipelines WHERE name = 'p'), 'target missing', 'target dropped');
ROLLBACK TO dropped;
UPDATE pg_extension SET extversion = '9.9' WHERE extname = 'millrace';
SELECT millrace.resume('p');
UPDATE millrace.partition SET state = 'active', error = NULL, hint = NULL WHERE pipeline_id = :id;
SELECT ok((SELECT (status = 'version mismatch' AND reason LIKE '%9.9%' AND hint LIKE '%ALTER EXTENSION millrace UPDATE;%') OR status = 'not preloaded'
           FROM millrace.pipelines WHERE name = 'p'), 'another version than the library''s');
SELECT ok(EXISTS (SELECT FROM millrace.doctor() WHERE severity = 'error' AND what = 'pipeline "p": version mismatch')
          OR NOT (millrace.engine_status() ->> 'preloaded')::boolean, 'which doctor() says too');
ROLLBACK TO dropped;
UPDATE millrace.pipeline SET owner = 4000000000::oid WHERE id = :id;
SELECT is((SELECT status FROM millrace.pipelines WHERE name = 'p'), 'owner missing', 'owner dropped');
SELECT is((SELECT owner::text FROM millrace.pipelines WHERE name = 'p'), '4000000000', 'shown by number');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_owner') $$, 'a superuser gives it a new one');

-- who sees what
SET ROLE mrt_member;
SELECT is((SELECT count(*) FROM millrace.pipelines WHERE name = 'p'), 1::bigint, 'a member of the owner sees it');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.pipelines) + (SELECT count(*) FROM millrace.partitions) + (SELECT count(*) FROM millrace.lag)
          + (SELECT count(*) FROM millrace.stats) + (SELECT count(*) FROM millrace.position_changes) + (SELECT count(*) FROM millrace.workers)
          + (SELECT count(*) FROM millrace.lanes), 0::bigint, 'a stranger sees nothing');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.pipelines WHERE name = 'p'), 1::bigint, 'a monitor sees pipelines');
SELECT is((SELECT count(*) FROM millrace.partitions WHERE pipeline = 'p'), 2::bigint, 'partitions');
SELECT is((SELECT count(*) FROM millrace.lag WHERE pipeline = 'p'), 2::bigint, 'lag');
SELECT is((SELECT count(*) FROM millrace.stats WHERE pipeline = 'p'), 1::bigint, 'stats');
SELECT pg_temp.refused($$ SELECT millrace.resume('p') $$, '42501', 'must be owner', NULL, 'but changes nothing');
RESET ROLE;
SELECT is((SELECT count(*) FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'v'
           AND NOT coalesce('security_barrier=true' = ANY (reloptions), false)), 0::bigint, 'every view is a security barrier');

SELECT * FROM finish();
ROLLBACK;
