-- When windows of a pipeline without events are folded: what millrace._windows_state() takes for a change.
BEGIN;
\ir helper.psql
SELECT plan(26);

SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS pipeline, pg_temp.pipeline('other') AS other \gset
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n', close_idle => '1 h', output_topic => 'closed') AS w \gset
SELECT millrace.create_window('v', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n') AS v \gset
RESET ROLE;
SELECT millrace.add_partitions('p', 0, '{0,0}');

CREATE TABLE pg_temp.state (seen bigint);
INSERT INTO state VALUES (0);
-- Has it changed since it was asked last?
CREATE FUNCTION pg_temp.changed(pipeline integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  last bigint := (SELECT seen FROM state);
  now  bigint := millrace._windows_state(pipeline);
BEGIN
  UPDATE state SET seen = now;
  RETURN now <> last;
END $$;
PREPARE changed AS SELECT pg_temp.changed(:pipeline);
CREATE FUNCTION pg_temp.mark(window_id integer, watermark timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
  VALUES (window_id, clock_timestamp(), '{0}', ARRAY[watermark], clock_timestamp(), watermark, watermark)
$$;

SELECT results_eq('changed', '{t}'::boolean[], 'it was not known');
SELECT results_eq('changed', '{f}'::boolean[], 'at rest');
SELECT pg_temp.mark(:v, '2026-01-01');
SELECT results_eq('changed', '{f}'::boolean[], 'a watermark that has moved is no change: a fold moved it');
SELECT millrace.report_watermarks('p', '{0,1}', '{0,0}', '{NULL,NULL}', true);
SELECT results_eq('changed', '{t}'::boolean[], 'an ingestor reads the partitions');
SELECT results_eq('changed', '{f}'::boolean[], 'as before');
UPDATE millrace.watermark SET high = 5 WHERE partition = 1;
SELECT results_eq('changed', '{t}'::boolean[], 'there are events to be read');
UPDATE millrace.watermark SET high = 7 WHERE partition = 1;
SELECT results_eq('changed', '{f}'::boolean[], 'as before');
SELECT millrace.pause('p');
SELECT results_eq('changed', '{t}'::boolean[], 'the pipeline is paused');
SELECT millrace.resume('p');
SELECT pg_temp.changed(:pipeline);
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, entered_at)
SELECT :pipeline, 1, 'events', 0, n, -1, 0, 1, 'infinity', now() + n * interval '1 s', now() + n * interval '1 s' FROM generate_series(1, 2) AS n;
SELECT results_eq('changed', '{t}'::boolean[], 'an event has failed');
SELECT results_eq('changed', '{f}'::boolean[], 'and waits');
DELETE FROM millrace.retry WHERE "offset" = 1;
SELECT results_eq('changed', '{t}'::boolean[], 'another one is the first that waits');
UPDATE millrace.retry SET entered_at = now() - interval '6 min';
SELECT results_eq('changed', '{t}'::boolean[], 'it has waited for too long');
SELECT pg_temp.mark(:w, '2026-01-01');
SELECT results_eq('changed', '{t}'::boolean[], 'a published window is to be closed');
SELECT results_eq('changed', '{t}'::boolean[], 'until it is');
UPDATE millrace.window_outlet SET closed_to = '2026-01-01';
SELECT pg_temp.changed(:pipeline);
SELECT results_eq('changed', '{f}'::boolean[], 'it is');
SELECT format('INSERT INTO millrace._window_%s_due VALUES (now(), now())', :w) \gexec
SELECT pg_temp.changed(:pipeline);
SELECT results_eq('changed', '{t}'::boolean[], 'a group of it is to be published again');
SELECT format('DELETE FROM millrace._window_%s_due', :w) \gexec
SELECT pg_temp.changed(:pipeline);
UPDATE millrace.window_mark SET risen_at = risen_at - interval '2 h' WHERE window_id = :w;
SELECT results_eq('changed', '{t}'::boolean[], 'nothing has come for close_idle');
SELECT results_eq('changed', '{f}'::boolean[], 'as before');
SELECT millrace.alter_window('v', delay => '1 min');
SELECT results_eq('changed', '{t}'::boolean[], 'a window was altered');
SELECT format('INSERT INTO millrace._window_%s_partial (stream, seq, rows) VALUES (63, nextval(''millrace.window_seq''), ARRAY[ROW(0, ''2026-01-01'', ''2026-01-01 00:01'', 1, 1)::millrace._window_%1$s_folded])', :v) \gexec
SELECT results_eq('changed', '{t}'::boolean[], 'a worker that is no longer there has left something');
SELECT results_eq('changed', '{t}'::boolean[], 'until it is folded');
SELECT millrace._fold_window(:v, true, true);
SELECT pg_temp.changed(:pipeline);
SELECT results_eq('changed', '{f}'::boolean[], 'it is');
SELECT is((SELECT n FROM millrace.window_v), 1::bigint, 'as what it has');
UPDATE millrace.window_cursor SET groups = 20000000 WHERE window_id = :v;
SELECT pg_temp.changed(:pipeline);
SELECT results_eq('changed', '{t}'::boolean[], 'a window has more groups than max_groups');
UPDATE millrace.window_cursor SET groups = 0;
SELECT pg_temp.changed(:pipeline);
SELECT millrace.drop_window('v');
SELECT results_eq('changed', '{t}'::boolean[], 'a window was dropped');
SELECT pg_temp.changed(:other);
SELECT is(pg_temp.changed(:other), false, 'of a pipeline without windows: at rest');

SELECT * FROM finish();
ROLLBACK;
