BEGIN;
\ir helper.psql
SELECT plan(41);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,0}');
SELECT millrace.report_watermarks('p', '{0}', '{1005}');
RESET ROLE;
-- partition 0 began at 100: up to 200 written, to 300 filtered, to 400 both, to 500 superseded, to 510 skipped, 10 dead of
-- 20 to 530, 10 retrying of 20 to 550, done with at 560; skip_to 900; written to 1000
INSERT INTO millrace.progress
  (pipeline_id, partition, seq, next_offset, events, written, filtered, superseded, skipped, dead, retrying, rows, bytes, settled_at)
SELECT :id, 0, v.seq, v.next, v.written + v.filtered + v.superseded + v.skipped + v.dead + v.retrying, v.written, v.filtered, v.superseded, v.skipped,
       v.dead, v.retrying, 0, 0, now() - interval '1 min' + v.seq * interval '1 s'
FROM (VALUES (1, 200, 100, 0, 0, 0, 0, 0), (2, 300, 100, 100, 0, 0, 0, 0), (3, 400, 150, 150, 0, 0, 0, 0), (4, 500, 150, 150, 100, 0, 0, 0),
             (5, 510, 150, 150, 100, 10, 0, 0), (6, 530, 160, 150, 100, 10, 10, 0), (7, 550, 170, 150, 100, 10, 10, 10),
             (8, 560, 190, 150, 100, 10, 10, 0), (9, 900, 190, 150, 100, 10, 10, 0), (10, 1000, 290, 150, 100, 10, 10, 0))
  AS v (seq, next, written, filtered, superseded, skipped, dead, retrying);
INSERT INTO millrace.position_change (pipeline_id, partition, verb, from_offset, to_offset, by) VALUES (:id, 0, 'skip_to', 560, 900, 'somebody');
INSERT INTO millrace.dead_letter
  (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at, first_failed_at, ended, attempts, history, state,
   published_at, dlq_partition, dlq_offset, changed_at)
SELECT v.id, :id, 1, 'events', 0, v.o, 'write', '23503', 'no station', now() - interval '50 s', now() - interval '55 s', 'exhausted', 2,
       '[{"at": "a", "stage": "write", "sqlstate": "23503", "message": "first"}, {"at": "b", "stage": "write", "sqlstate": "23503", "message": "no station"}]',
       v.state, CASE WHEN v.id = 1 THEN now() END, 3, 4, CASE WHEN v.state <> 'open' THEN now() - interval '40 s' END
FROM (VALUES (1, 510, 'open'), (2, 511, 'replayed'), (3, 512, 'discarded'), (4, 513, 'replaying'), (5, 1002, 'open')) AS v (id, o, state);
INSERT INTO millrace.retry
  (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, history)
VALUES (:id, 1, 'events', 0, 530, -1, 0, 2, '2030-01-01', '2026-01-01', NULL,
        '[{"at": "a", "stage": "write", "sqlstate": "40001", "message": "one"}, {"at": "b", "stage": "write", "sqlstate": "40P01", "message": "two"}]'),
       (:id, 1, 'events', 0, 513, -1, 0, 0, '2030-01-02', '2030-01-02', 4, '[{}, {}]');

CREATE FUNCTION pg_temp.status(o bigint, OUT status text) LANGUAGE sql AS $$ SELECT s.status FROM millrace.event_status('events', 0, o) AS s $$;
SET ROLE mrt_owner;
SELECT is(pg_temp.status(150), 'processed', 'all of its stretch were written');
SELECT is(pg_temp.status(100), 'processed', 'the first');
SELECT is(pg_temp.status(199), 'processed', 'the last of a stretch');
SELECT is(pg_temp.status(200), 'filtered', 'the first of the next');
SELECT is(pg_temp.status(350), 'settled', 'some were written, some filtered: not decidable');
SELECT is(pg_temp.status(450), 'superseded', 'superseded');
SELECT is(pg_temp.status(505), 'skipped', 'a tombstone');
SELECT is(pg_temp.status(529), 'processed', 'none of the dead');
SELECT is(pg_temp.status(549), 'settled', 'while others were tried again');
SELECT is(pg_temp.status(555), 'settled', 'and after');
SELECT is(pg_temp.status(700), 'left_out', 'skipped by hand');
SELECT is(pg_temp.status(999), 'processed', 'the last one');
SELECT is(pg_temp.status(1000), 'pending', 'the next one');
SELECT is(pg_temp.status(99), 'unknown', 'before the start');
SELECT is(pg_temp.status(-1), 'unknown', 'no offset');
SELECT is(pg_temp.status(510), 'dead', 'a dead letter');
SELECT is(pg_temp.status(511), 'replayed', 'replayed');
SELECT is(pg_temp.status(512), 'discarded', 'discarded');
SELECT is(pg_temp.status(513), 'replaying', 'being replayed');
SELECT is(pg_temp.status(530), 'retrying', 'being tried again');
SELECT is(pg_temp.status(1002), 'pending', 'a dead letter before a rewind comes again');
SELECT results_eq($$ SELECT pipeline, attempt, next_try, since, detail ->> 'reason' FROM millrace.event_status('events', 0, 530) $$,
  $$ VALUES ('p', 2, timestamptz '2030-01-01', timestamptz '2026-01-01', 'two') $$, 'which try, when again, why');
SELECT results_eq($$ SELECT attempt, next_try, since, detail ->> 'reason' FROM millrace.event_status('events', 0, 510) $$,
  $$ VALUES (2, NULL::timestamptz, now() - interval '50 s', 'no station') $$, 'a dead letter''s');
SELECT results_eq($$ SELECT t ->> 'what', t ->> 'message', t ->> 'ended', t ->> 'dlq_offset' FROM millrace.event_status('events', 0, 510) AS s, jsonb_array_elements(s.detail -> 'timeline') AS t WHERE t ->> 'what' <> 'start' $$,
  $$ VALUES ('failed', 'first', NULL::text, NULL::text), ('failed', 'no station', NULL, NULL), ('dead', 'no station', 'exhausted', NULL),
            ('published', NULL, NULL, '4') $$, 'its life, by time');
SELECT results_eq($$ SELECT t ->> 'what', t ->> 'message' FROM millrace.event_status('events', 0, 530) AS s, jsonb_array_elements(s.detail -> 'timeline') AS t WHERE t ->> 'what' <> 'start' $$,
  $$ VALUES ('failed', 'one'), ('failed', 'two'), ('next try', NULL) $$, 'of one that is tried again');
SELECT results_eq($$ SELECT t ->> 'what' FROM millrace.event_status('events', 0, 513) AS s, jsonb_array_elements(s.detail -> 'timeline') AS t WHERE t ->> 'what' <> 'start' $$,
  $$ VALUES ('failed'), ('failed'), ('dead'), ('replay') $$, 'of a replay: each failure once');
SELECT is((SELECT since FROM millrace.event_status('events', 0, 512)), now() - interval '40 s', 'discarded then, not when it failed');
SELECT results_eq($$ SELECT t ->> 'what' FROM millrace.event_status('events', 0, 511) AS s, jsonb_array_elements(s.detail -> 'timeline') AS t WHERE t ->> 'what' <> 'start' $$,
  $$ VALUES ('failed'), ('failed'), ('dead'), ('replayed') $$, 'of one that was replayed');
SELECT is((SELECT detail ->> 'reason' FROM millrace.event_status('events', 0, 2000)), 'the topic ended at 1005 when the ingestor last looked', 'not in the topic yet');
SELECT is((SELECT (status, detail ->> 'reason')::text FROM millrace.event_status('events', 7, 1)), '(unknown,"the pipeline has no such partition")', 'unknown partition');
SELECT is((SELECT count(*) FROM millrace.event_status('nix', 0, 1)), 0::bigint, 'unknown topic');
SELECT pg_temp.pipeline('q');
SELECT results_eq($$ SELECT pipeline, status FROM millrace.event_status('events', 0, 150) ORDER BY 1 $$, $$ VALUES ('p', 'processed'), ('q', 'unknown') $$, 'for each pipeline on the topic');
SET ROLE mrt_member;
SELECT is(pg_temp.status(510), 'dead', 'for members of the owner');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.event_status('events', 0, 510)), 0::bigint, 'not for a monitor: these are data');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.event_status('events', 0, 510)), 0::bigint, 'nor a stranger');

-- what waits for the end of an event
RESET ROLE;
SET ROLE mrt_stranger;
SELECT throws_ok($$ SELECT * FROM millrace.final_events('events', '{0}', '{150}', '{t}') $$, '42501', NULL, 'not for everybody');
RESET ROLE;
SELECT is_empty($$ SELECT * FROM millrace.final_events('events', '{0}', '{150}', '{t}') $$, 'all pipelines on the topic count: q has no such partition');
SET ROLE mrt_owner;
SELECT millrace.drop_pipeline('q');
RESET ROLE;
SELECT results_eq($$ SELECT nth, pipelines -> 0 ->> 'status' FROM millrace.final_events('events', '{0,0,0,0,0,0,0,1}', '{150,1000,200,510,530,513,512,5}', '{t,t,t,t,t,t,f,t}') ORDER BY nth $$,
  $$ VALUES (1::bigint, 'processed'), (3, 'filtered'), (4, 'dead'), (7, NULL) $$, 'those that are pending or tried again are not final');
SELECT is((SELECT pipelines FROM millrace.final_events('events', '{0}', '{200}', '{t}')), '[{"status": "filtered", "pipeline": "p"}]', 'the pipeline, the status, and no more');
SELECT is_empty($$ SELECT * FROM millrace.final_events('nobody', '{0}', '{1}', '{t}') $$, 'a topic that nobody reads');
SELECT is_empty($$ SELECT * FROM millrace.final_events('events', '{7}', '{1}', '{t}') $$, 'a partition that is not known yet');

SELECT * FROM finish();
ROLLBACK;
