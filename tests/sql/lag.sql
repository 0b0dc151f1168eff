BEGIN;
\ir helper.psql
SELECT plan(31);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,200,300}');
SELECT epoch AS epoch0 FROM millrace.positions('p') WHERE partition = 0 \gset
RESET ROLE;
UPDATE millrace.progress SET last_ts = extract(epoch FROM now() - interval '2 h') * 1000, last_offset = next_offset - 1 WHERE pipeline_id = :id;

-- who reports what
SET ROLE mrt_ingestor;
SELECT results_eq($$ SELECT partition, end_age FROM millrace.positions('p') $$, $$ VALUES (0, NULL::bigint), (1, NULL), (2, NULL) $$, 'no end is known');
SELECT millrace.report_watermarks('p', '{0}', '{150}', '{NULL}', true), millrace.report_watermarks('p', '{1}', '{260}', '{180}', false);
SELECT results_eq($$ SELECT partition, end_age < 10000 FROM millrace.positions('p') $$, $$ VALUES (0, true), (1, true), (2, NULL) $$, 'how long ago they were reported');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT partition, end_offset, lag, start_offset, lost, read_at IS NOT NULL FROM millrace.lag WHERE pipeline = 'p' $$,
  $$ VALUES (0, 150::bigint, 50::bigint, NULL::bigint, 0::bigint, true), (1, 260, 60, 180, 0, false), (2, NULL, NULL, NULL, NULL, false) $$,
  'by one that reads it, or by one that has only asked');
RESET ROLE;
UPDATE millrace.watermark SET reported_at = reported_at - interval '10 s', read_at = read_at - interval '10 s';
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0,1}', '{150,260}', '{NULL,NULL}', true);
RESET ROLE;
SELECT results_eq($$ SELECT partition, reported_at > clock_timestamp() - interval '5 s', low, read_at IS NOT NULL FROM millrace.watermark ORDER BY 1 $$,
  $$ VALUES (0, false, NULL::bigint, true), (1, true, NULL, true) $$, 'the same end is written again after 15 s only, but when it is read now');
UPDATE millrace.watermark SET reported_at = reported_at + interval '1 h', read_at = read_at + interval '1 h';
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0}', '{150}');
RESET ROLE;
SELECT ok((SELECT reported_at < clock_timestamp() + interval '1 min' FROM millrace.watermark WHERE partition = 0), 'after the clock was set back, too');
UPDATE millrace.watermark SET reported_at = now(), read_at = now();

-- Kafka has removed offsets up to 400 of partition 0, and all of it; what was reported before the stop says nothing
SELECT millrace.stop_partition('p', 0, :epoch0, 'retention', 'a hint');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT lag, lost, end_offset FROM millrace.lag WHERE pipeline = 'p' AND partition = 0 $$, $$ VALUES (NULL::bigint, NULL::bigint, NULL::bigint) $$, 'stopped: not known');
SELECT cmp_ok((SELECT behind FROM millrace.lag WHERE pipeline = 'p' AND partition = 0), '>', interval '119 min', 'but for how long');
SELECT is((SELECT status FROM millrace.event_status('events', 0, 120)), 'pending', 'nobody has looked yet');
SELECT is((SELECT detail ->> 'reason' FROM millrace.event_status('events', 0, 120)), 'the partition is stopped: retention', 'but it is stopped');
SELECT is(millrace.skip_to('p', 0, 400), 300::bigint, 'an end from before the stop does not refuse the hint');
SELECT is((SELECT lag FROM millrace.stats WHERE pipeline = 'p'), 60::bigint, 'nor does the sum of lags have anything of it');
SET ROLE mrt_ingestor;
SELECT epoch AS epoch0 FROM millrace.positions('p') WHERE partition = 0 \gset
RESET ROLE;
INSERT INTO millrace.progress SELECT pipeline_id, partition, seq + 1, 100, 99, last_ts, 1, events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at, retrying
FROM millrace.progress WHERE pipeline_id = :id AND partition = 0 ORDER BY seq DESC LIMIT 1;
DELETE FROM millrace.position_change WHERE verb = 'skip_to';
SELECT millrace.stop_partition('p', 0, :epoch0, 'retention', 'a hint');
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0}', '{400}', '{400}', false);
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT lag, lost, start_offset, end_offset FROM millrace.lag WHERE pipeline = 'p' AND partition = 0 $$, $$ VALUES (300::bigint, 300::bigint, 400::bigint, 400::bigint) $$, 'reported since: all of it is lost');
SELECT is((SELECT lag FROM millrace.stats WHERE pipeline = 'p'), 360::bigint, 'in the sum, too');
SELECT results_eq($$ SELECT o, s.status FROM unnest('{99,100,399,400}'::bigint[]) AS o, millrace.event_status('events', 0, o) AS s ORDER BY 1 $$,
  $$ VALUES (99::bigint, 'unknown'), (100, 'lost'), (399, 'lost'), (400, 'pending') $$, 'each of these events is lost');
SELECT matches((SELECT detail ->> 'reason' FROM millrace.event_status('events', 0, 100)), 'begins at 400', 'and why');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 0, 401) $$, '22023', 'beyond the end', '"offset" => 400', 'this end counts');
SELECT is(millrace.skip_to('p', 0, 400), 300::bigint, 'they are left out');
SELECT results_eq($$ SELECT o, s.status FROM unnest('{100,399,400}'::bigint[]) AS o, millrace.event_status('events', 0, o) AS s ORDER BY 1 $$,
  $$ VALUES (100::bigint, 'left_out'), (399, 'left_out'), (400, 'pending') $$, 'as event_status says');
RESET ROLE;
DELETE FROM millrace.progress WHERE pipeline_id = :id AND partition = 0 AND next_offset < 400;
SET ROLE mrt_owner;
SELECT is((SELECT status FROM millrace.event_status('events', 0, 200)), 'left_out', 'also when progress of that time is no longer kept');
SELECT millrace.rewind('p', 150, partition => 0, allow_duplicates => true);
RESET ROLE;
INSERT INTO millrace.progress SELECT pipeline_id, partition, seq + 1, 300, 299, last_ts, 1, 150, 150, 0, 0, 0, 0, 150, 0, clock_timestamp(), 0
FROM millrace.progress WHERE pipeline_id = :id AND partition = 0 ORDER BY seq DESC LIMIT 1;
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT o, s.status FROM unnest('{149,150,299}'::bigint[]) AS o, millrace.event_status('events', 0, o) AS s ORDER BY 1 $$,
  $$ VALUES (149::bigint, 'left_out'), (150, 'processed'), (299, 'processed') $$, 'not what was processed after a rewind');

-- a topic that was recreated
SET ROLE mrt_ingestor;
SELECT epoch AS epoch1 FROM millrace.positions('p') WHERE partition = 1 \gset
RESET ROLE;
SELECT millrace.stop_partition('p', 1, :epoch1, 'another topic', 'a hint');
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{1}', '{150}', '{0}', false);
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT lag, lost, end_offset, behind > interval '1 h' FROM millrace.lag WHERE pipeline = 'p' AND partition = 1 $$, $$ VALUES (NULL::bigint, 0::bigint, 150::bigint, true) $$, 'its end is before the position: no number means anything');
SELECT is((SELECT lag FROM millrace.stats WHERE pipeline = 'p'), (SELECT sum(lag)::bigint FROM millrace.lag WHERE pipeline = 'p'), 'the lag of a pipeline is that of its partitions');
RESET ROLE;
SAVEPOINT others;
DELETE FROM millrace.watermark WHERE partition <> 1;
SELECT is((SELECT lag FROM millrace.stats WHERE pipeline = 'p'), NULL::bigint, 'nor is there one when no other is known');
ROLLBACK TO others;
SET ROLE mrt_owner;
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{1}', '{200}', '{0}', false);
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT lag, behind > interval '1 h' FROM millrace.lag WHERE pipeline = 'p' AND partition = 1 $$, $$ VALUES (0::bigint, true) $$, 'nothing to process is not known of a stopped partition');
RESET ROLE;
UPDATE millrace.progress SET last_ts = NULL WHERE pipeline_id = :id AND partition = 1;
SET ROLE mrt_owner;
SELECT ok((SELECT behind >= interval '0' FROM millrace.lag WHERE pipeline = 'p' AND partition = 1), 'behind since it was stopped, when no event was settled');

-- what a held partition has lost
SET ROLE mrt_owner;
SELECT millrace.resume('p');
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0}', '{900}', '{NULL}', true), millrace.report_watermarks('p', '{2}', '{900}', '{500}', true);
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT lag, lost FROM millrace.lag WHERE pipeline = 'p' AND partition = 2 $$, $$ VALUES (600::bigint, 200::bigint) $$, 'of a held partition');
SELECT results_eq($$ SELECT severity, detail FROM millrace.doctor() WHERE what = 'pipeline "p" has lost events' $$,
  $$ VALUES ('error', 'Kafka''s retention has removed offsets 300 to 499 of partition 2 before they were processed.') $$, 'doctor says so');
SELECT pg_temp.pasted((SELECT command FROM millrace.doctor() WHERE what = 'pipeline "p" has lost events'), 'with the command');
SELECT millrace.skip_to('p', 2, 500);
SELECT is((SELECT count(*) FROM millrace.doctor() WHERE what LIKE '%lost%'), 0::bigint, 'that helps');
SELECT is((SELECT status FROM millrace.event_status('events', 2, 300)), 'left_out', 'the range is on record');
SELECT is((SELECT lost FROM millrace.lag WHERE pipeline = 'p' AND partition = 2), 0::bigint, 'nothing is lost that was left out');

SELECT * FROM finish();
ROLLBACK;
