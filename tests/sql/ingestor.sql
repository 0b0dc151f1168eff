BEGIN;
\ir helper.psql
SELECT plan(30);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
SELECT millrace.create_pipeline('timed', topic => 'events', target => 'mrt.reading', start_at => '2013-01-01 00:00:00+00', workers => 3,
  paused => true, fields => 'id bigint', transform => 'SELECT event.id FROM event');

SELECT pg_temp.refused($$ SELECT * FROM millrace.ingestor_pipelines() $$, '42501', 'permission denied', NULL, 'an owner is no ingestor');
SELECT pg_temp.refused($$ SELECT millrace.grant_ingestor('mrt_owner') $$, '42501', 'must be owner of extension', 'superuser', 'and cannot make itself one');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT millrace.grant_ingestor(NULL) $$, '22004', 'role', NULL, 'which role');

SET ROLE mrt_ingestor;
SELECT results_eq(
  $$ SELECT pipeline, topic, lanes, partitions, start_at FROM millrace.ingestor_pipelines() WHERE pipeline IN ('p', 'timed') ORDER BY 1 $$,
  $$ VALUES ('p', 'events', 1, 0, 'earliest'), ('timed', 'events', 3, 0, '1356998400000') $$, 'what to serve; a time in milliseconds');
SELECT matches((SELECT group_id FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), '^millrace\.[0-9a-f-]{36}\.p$', 'the group holds the instance');
SELECT ok((SELECT incarnation IS NOT NULL FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), 'and the incarnation of shared memory');

SELECT is(millrace.add_partitions('p', 0, '{10,20}'), 2, 'first sight of the topic');
SELECT is(millrace.add_partitions('p', 0, '{11,21}'), 2, 'a second ingestor changes nothing');
SELECT is(millrace.add_partitions('p', 0, '{11,21,31}'), 3, 'but adds what the first has not seen');
SELECT is(millrace.add_partitions('p', 2, '{32,42}'), 4, 'nor does one that is behind');
SELECT is(millrace.add_partitions('p', 4, '{}'), 4, 'nothing to add');
SELECT results_eq($$ SELECT partition, next_offset, state FROM millrace.positions('p') $$,
  $$ VALUES (0, 10::bigint, 'active'), (1, 20, 'active'), (2, 31, 'active'), (3, 42, 'active') $$, 'every partition at the start that was set first');
SELECT is((SELECT count(DISTINCT epoch) FROM millrace.positions('p')), 4::bigint, 'each with its own epoch');
SELECT moves AS moves0 FROM millrace.ingestor_pipelines() WHERE pipeline = 'p' \gset
SELECT is((SELECT moves FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), :moves0::bigint, 'moves is the same as long as nothing happens');
SELECT is((SELECT moves FROM millrace.ingestor_pipelines() WHERE pipeline = 'timed'), NULL, 'and null without partitions');
RESET ROLE;
UPDATE millrace.partition AS t SET epoch = millrace._random_epoch() FROM millrace.pipeline AS p WHERE p.id = t.pipeline_id AND p.name = 'p' AND t.partition = 2;
SET ROLE mrt_ingestor;
SELECT isnt((SELECT moves FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), :moves0::bigint, 'another one after an assignment');
SELECT moves AS moves1, (SELECT epoch FROM millrace.positions('p') WHERE partition = 3) AS epoch3 FROM millrace.ingestor_pipelines() WHERE pipeline = 'p' \gset
SELECT ok(millrace.stop_partition('p', 3, :epoch3::bigint, 'why', 'how'), 'a partition stops');
SELECT isnt((SELECT moves FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), :moves1::bigint, 'that is a move');
RESET ROLE;
UPDATE millrace.partition SET state = 'active', error = NULL, hint = NULL WHERE state = 'stopped';
SET ROLE mrt_ingestor;
SELECT is((SELECT moves FROM millrace.ingestor_pipelines() WHERE pipeline = 'p'), :moves1::bigint, 'active again: as before');
SELECT pg_temp.refused($$ SELECT millrace.add_partitions('p', 5, '{1}') $$, 'MR003', 'known is 5, but pipeline "p" has 4', 'ingestor_pipelines()', 'no gap');
SELECT pg_temp.refused($$ SELECT millrace.add_partitions('p', 4, '{-1}') $$, '22023', 'negative or null', NULL, 'no logical offset');
SELECT pg_temp.refused($$ SELECT millrace.add_partitions('p', 4, NULL) $$, '22004', 'starts', NULL, 'no starts');
SELECT pg_temp.refused($$ SELECT millrace.add_partitions('nix', 0, '{1}') $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');
RESET ROLE;
SELECT results_eq($$ SELECT c.partition, c.verb, c.from_offset, c.to_offset FROM millrace.position_changes c WHERE c.pipeline = 'p' ORDER BY 1 $$,
  $$ VALUES (0, 'start', NULL::bigint, 10::bigint), (1, 'start', NULL, 20), (2, 'start', NULL, 31), (3, 'start', NULL, 42) $$, 'starts are on record');

SET ROLE mrt_ingestor;
SELECT lives_ok($$ SELECT millrace.report_watermarks('p', '{0,1,7}', '{15,20,99}') $$, 'watermarks');
SELECT lives_ok($$ SELECT millrace.report_watermarks('p', '{0}', '{16}') $$, 'again');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT partition, end_offset, lag FROM millrace.lag WHERE pipeline = 'p' $$,
  $$ VALUES (0, 16::bigint, 6::bigint), (1, 20, 0), (2, NULL, NULL), (3, NULL, NULL) $$, 'give the lag; where nobody reported the end there is none');
SELECT is((SELECT behind FROM millrace.lag WHERE pipeline = 'p' AND partition = 1), interval '0', 'nothing to process: nothing behind');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.watermark WHERE pipeline_id = :id), 2::bigint, 'a partition that is not there is left out');
SELECT is((SELECT count(*) FROM millrace.partition WHERE pipeline_id = :other), 0::bigint, 'another pipeline on the same topic has its own');

SELECT * FROM finish();
ROLLBACK;
