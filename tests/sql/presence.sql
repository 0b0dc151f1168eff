-- What ingestors report about themselves, and what is made of it.
BEGIN;
\ir helper.psql
SELECT plan(28);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
SELECT pg_temp.refused($$ SELECT millrace.report_presence(gen_random_uuid(), '[]') $$, '42501', 'permission denied', NULL, 'an owner is no ingestor');
SELECT results_eq($$ SELECT pipeline, ingestors, failing, is_unserved, is_unread, heard_at IS NULL FROM millrace.service $$,
  $$ VALUES ('p', 0::bigint, 0::bigint, false, false, true), ('q', 0, 0, false, false, true) $$, 'young pipelines, and nobody yet');

SET ROLE mrt_ingestor;
SELECT lives_ok($$ SELECT millrace.report_presence('00000000-0000-4000-8000-000000000001', '[{"pipeline": "p"}, {"pipeline": "q", "kafka_error": null}, {"pipeline": "none"}]') $$, 'one is there');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT pipeline, ingestor, pid, is_present, kafka_error, kafka_hint, lane_stuck FROM millrace.ingestors $$,
  $$ SELECT v.pipeline, '00000000-0000-4000-8000-000000000001'::uuid, pg_backend_pid(), true, NULL::text, NULL::text, NULL::text FROM (VALUES ('p'), ('q')) AS v (pipeline) $$, 'for each pipeline that exists');
SELECT results_eq($$ SELECT ingestors, failing, is_unread, heard_at IS NULL FROM millrace.service WHERE pipeline = 'p' $$, $$ VALUES (1::bigint, 0::bigint, false, false) $$, 'it serves it');

-- errors come, and go by being left out; since when
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000001',
  '[{"pipeline": "p", "kafka_error": "no \"topic\" \u00e9", "kafka_hint": "make it"}, {"pipeline": "q", "lane_stuck": "lane 0 has been copying for 31 s"}]');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT pipeline, kafka_error, kafka_hint, lane_stuck FROM millrace.ingestors $$,
  $$ VALUES ('p', 'no "topic" é', 'make it', NULL), ('q', NULL, NULL, 'lane 0 has been copying for 31 s') $$, 'what keeps it from serving');
SELECT results_eq($$ SELECT ingestors, failing, is_unread, kafka_error, kafka_hint FROM millrace.service WHERE pipeline = 'p' $$,
  $$ VALUES (1::bigint, 1::bigint, true, 'no "topic" é', 'make it') $$, 'nobody reads it');
SELECT results_eq($$ SELECT severity, what, detail, command FROM millrace.doctor() WHERE what LIKE '%"p"%topic%' $$,
  $$ VALUES ('error', 'pipeline "p": its ingestor cannot read topic "events"', 'no "topic" é', 'make it') $$, 'doctor passes it on');
SELECT results_eq($$ SELECT severity, what, detail FROM millrace.doctor() WHERE what LIKE '%lane%' $$,
  $$ VALUES ('error', 'pipeline "q": a lane of its ingestor does not move', 'In the ingestor, lane 0 has been copying for 31 s: the server does not answer it.') $$, 'and the lane');
SELECT lives_ok((SELECT command FROM millrace.doctor() WHERE what LIKE '%lane%'), 'its command can be pasted');
RESET ROLE;
UPDATE millrace.ingestor_presence SET changed_at = '2026-01-01';
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000001', '[{"pipeline": "p", "kafka_error": "no \"topic\" \u00e9", "kafka_hint": "make it"}, {"pipeline": "q"}]');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT pipeline, lane_stuck, changed_at = '2026-01-01' FROM millrace.ingestors $$, $$ VALUES ('p', NULL::text, true), ('q', NULL, false) $$, 'since when');

-- a second one that can
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000002', '[{"pipeline": "p"}]');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT ingestors, failing, is_unread, kafka_error FROM millrace.service WHERE pipeline = 'p' $$, $$ VALUES (2::bigint, 1::bigint, false, 'no "topic" é') $$, 'one of two');
SELECT results_eq($$ SELECT severity, what FROM millrace.doctor() WHERE what LIKE '%"p"%topic%' $$,
  $$ VALUES ('warning', 'pipeline "p": 1 of its 2 ingestors cannot read topic "events"') $$, 'is a warning');
-- what is not in the list is not served any more
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000001', '[{"pipeline": "q"}]');
SET ROLE mrt_owner;
SELECT set_eq($$ SELECT pipeline, right(ingestor::text, 1) FROM millrace.ingestors $$, $$ VALUES ('p', '2'), ('q', '1') $$, 'a pipeline that it does not serve any more');
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000001', '[]');
SET ROLE mrt_owner;
SELECT set_eq($$ SELECT pipeline FROM millrace.ingestors $$, $$ VALUES ('p') $$, 'none at all');

-- silence
RESET ROLE;
UPDATE millrace.pipeline SET created_at = now() - interval '1 h';
-- as for a young pipeline, it takes a server that has run for some seconds
SELECT pg_sleep(greatest(0, 9.5 - extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()))) IS NOT NULL AS waited \gset
UPDATE millrace.ingestor_presence SET seen_at = statement_timestamp() - interval '8 s';
SELECT is((SELECT is_unserved FROM millrace.service WHERE pipeline = 'p'), false, 'not yet');
UPDATE millrace.ingestor_presence SET pid = 0;
SELECT results_eq($$ SELECT ingestors, is_unserved FROM millrace.service WHERE pipeline = 'p' $$, $$ VALUES (0::bigint, false) $$, 'its session has ended: it may connect again');
UPDATE millrace.ingestor_presence SET seen_at = statement_timestamp() - interval '10 s', pid = pg_backend_pid();
SELECT results_eq($$ SELECT ingestors, is_unserved FROM millrace.service WHERE pipeline = 'p' $$, $$ VALUES (0::bigint, true) $$, 'silent for ten seconds');
UPDATE millrace.ingestor_presence SET seen_at = statement_timestamp() + interval '1 h', pid = 0;
SELECT results_eq($$ SELECT ingestors, is_unserved FROM millrace.service WHERE pipeline = 'p' $$, $$ VALUES (0::bigint, true) $$, 'gone, and the clock was set back by an hour since');
UPDATE millrace.ingestor_presence SET seen_at = statement_timestamp() - interval '10 s', pid = pg_backend_pid();
SELECT is((SELECT count(*) FROM millrace.doctor() WHERE what = 'pipeline "p" has no ingestor' AND detail LIKE 'No ingestor has reported on topic "events" since %'), 1::bigint, 'doctor says so');
SELECT is((SELECT count(*) FROM millrace.doctor() WHERE what = 'pipeline "q" has no ingestor' AND detail = 'No ingestor has ever reported on topic "events".'), 1::bigint, 'or that none ever was');
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('q', '{}', '{}');
SELECT millrace.report('q', '{"version": "0", "lane_error": null}');
SET ROLE mrt_owner;
SELECT is((SELECT about FROM millrace.ingestor_reports WHERE pipeline = 'q'), '{"version": "0"}', 'null is nothing in a first report, too');
SELECT is((SELECT is_unserved FROM millrace.service WHERE pipeline = 'q'), false, 'any report is a sign of life');
RESET ROLE;
UPDATE millrace.ingestor_presence SET seen_at = now() - interval '61 min';
SET ROLE mrt_ingestor;
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000003', '[]');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.ingestor_presence), 0::bigint, 'one that is gone is forgotten after an hour');

SET ROLE mrt_ingestor;
SELECT pg_temp.refused($$ SELECT millrace.report_presence(gen_random_uuid(), '{"pipeline": "p"}') $$, '22023', 'jsonb_to_recordset', NULL, 'no array');
SELECT millrace.report_presence('00000000-0000-4000-8000-000000000004', '[{"pipeline": "p"}]');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.ingestors) + (SELECT count(*) FROM millrace.service), 0::bigint, 'a stranger sees none');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.service), 2::bigint, 'a monitor all');
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p') $$, 'nothing holds a pipeline that is dropped');

SELECT * FROM finish();
ROLLBACK;
