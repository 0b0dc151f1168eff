BEGIN;
\ir helper.psql
SELECT plan(33);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('u', 'update', '{id}') AS upsert \gset
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 0) $$, '55000', 'has no partitions yet', 'start_at', 'not before the first start');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,200,300}'), millrace.add_partitions('u', 0, '{100,200,300}');
-- as if events had been processed
RESET ROLE;
UPDATE millrace.progress SET events = 7, written = 5, filtered = 2, last_offset = next_offset - 1, last_ts = 1, last_crc = 2;
CREATE TEMP TABLE before AS SELECT * FROM millrace.partition;

SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.rewind('p') $$, '22023', 'either an offset or a time, found neither', 'to_time', 'neither offset nor time');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 1, to_time => now()) $$, '22023', 'found both', NULL, 'both');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', -2) $$, '22023', 'offset is -2', '-infinity', 'a negative offset');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', to_time => 'infinity') $$, '22023', 'is in the future', NULL, 'the future');
SELECT pg_temp.refused($$ SELECT millrace.rewind('nix', 0) $$, '42704', 'does not exist', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 0, partition => 3) $$, '42704', 'no partition 3', '0 to 2', 'unknown partition');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 101, partition => 0) $$, '22023', 'offset 101 is ahead of partition 0, whose position is 100', 'skip_to(''p'', partition => 0, "offset" => 101)', 'ahead');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 50) $$, '55000', 'would write rows twice', 'allow_duplicates => true', 'rows twice');
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', to_time => '2026-01-01') $$, '55000', 'would write rows twice', 'allow_duplicates', 'rows twice by a time');
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.rewind('p', 50, allow_duplicates => true) $$, '42501', 'must be owner', NULL, 'not by a stranger');
RESET ROLE;
SELECT is_empty($$ SELECT epoch FROM millrace.partition EXCEPT SELECT epoch FROM before $$, 'so far nothing has moved');

SET ROLE mrt_owner;
SELECT is(millrace.rewind('p', 100, partition => 0), 1, 'to where it stands: no row twice');
SELECT is(millrace.rewind('p', 150, allow_duplicates => true), 2, 'two partitions stand behind 150');
SELECT results_eq($$ SELECT partition, next_offset, last_offset, events, written, filtered FROM millrace.partitions WHERE pipeline = 'p' $$,
  $$ VALUES (0, 100::bigint, NULL::bigint, 7::bigint, 5::bigint, 2::bigint), (1, 150, NULL, 7, 5, 2), (2, 150, NULL, 7, 5, 2) $$,
  'positions moved, counters did not, the last message is forgotten');
SELECT results_eq($$ SELECT partition, verb, from_offset, to_offset, left_out, by FROM millrace.position_changes
                     WHERE pipeline = 'p' AND verb <> 'start' ORDER BY at $$,
  $$ VALUES (0, 'rewind', 100::bigint, 100::bigint, NULL::bigint, 'mrt_owner'), (1, 'rewind', 200, 150, NULL, 'mrt_owner'),
            (2, 'rewind', 300, 150, NULL, 'mrt_owner') $$, 'each move is on record');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.partition AS t JOIN before AS b USING (pipeline_id, partition, epoch) WHERE t.pipeline_id = :id),
          0::bigint, 'every one has a new epoch');
SELECT results_eq($$ SELECT partition, array_agg(seq ORDER BY seq) FROM millrace.progress
                     WHERE pipeline_id = (SELECT id FROM millrace.pipeline WHERE name = 'p') GROUP BY 1 ORDER BY 1 $$,
  $$ VALUES (0, '{0,1}'::bigint[]), (1, '{0,1}'), (2, '{0,1}') $$, 'progress was appended');

-- upserts may be done again
SET ROLE mrt_owner;
SELECT is(millrace.rewind('u', 0), 3, 'an upserting pipeline needs no permission');
SELECT is(millrace.rewind('u', to_time => '2026-01-31 12:00:00.5+00', partition => 1), 1, 'a rewind to a time');
SELECT is((SELECT rewinding_to FROM millrace.partitions WHERE pipeline = 'u' AND partition = 1), '2026-01-31 12:00:00.5+00', 'waits for the ingestor');
SELECT is((SELECT next_offset FROM millrace.partitions WHERE pipeline = 'u' AND partition = 1), 0::bigint, 'with the position unmoved');

-- and the ingestor's answer
RESET ROLE;
UPDATE millrace.progress SET next_offset = 70 WHERE pipeline_id = :upsert AND partition = 1 AND seq = 1;
SET ROLE mrt_ingestor;
SELECT epoch AS epoch0 FROM millrace.positions('u') WHERE partition = 0 \gset
SELECT epoch AS epoch1 FROM millrace.positions('u') WHERE partition = 1 \gset
SELECT pg_temp.refused(format('SELECT millrace.set_position(''u'', 1, %s, 30)', :epoch1 # 1), 'MR001', 'partition 1 of pipeline "u"', 'new assignment', 'a stale epoch moves nothing');
SELECT pg_temp.refused(format('SELECT millrace.set_position(''u'', 0, %s, 30)', :epoch0), '55000', 'no rewind to a time is pending', 'rewind', 'a partition without a rewind');
SELECT pg_temp.refused('SELECT millrace.set_position(''u'', 9, 1, 30)', 'MR003', 'no partition 9', NULL, 'a partition that is not there');
SELECT is(millrace.set_position('u', 1, :epoch1, 30), 30::bigint, 'the position is set');
SELECT results_eq($$ SELECT epoch, next_offset FROM millrace.positions('u') WHERE partition = 1 $$, format('SELECT %s::bigint, 30::bigint', :epoch1), 'the assignment stays');
SELECT pg_temp.refused(format('SELECT millrace.set_position(''u'', 1, %s, 20)', :epoch1), '55000', 'no rewind to a time is pending', NULL, 'once');
SET ROLE mrt_owner;
SELECT is((SELECT rewinding_to FROM millrace.partitions WHERE pipeline = 'u' AND partition = 1), NULL, 'the rewind is done');
SELECT millrace.rewind('u', to_time => '-infinity', partition => 1);
RESET ROLE;
SELECT is((SELECT seek_ts FROM millrace.partition WHERE pipeline_id = :upsert AND partition = 1), 0::bigint, '-infinity: all that Kafka has');
SET ROLE mrt_ingestor;
SELECT epoch AS epoch1 FROM millrace.positions('u') WHERE partition = 1 \gset
SELECT is(millrace.set_position('u', 1, :epoch1, 99), 30::bigint, 'a time never moves a partition ahead');

-- an old snapshot would not see what the locks protect
SET ROLE mrt_owner;
SELECT is((SELECT count(*) FROM millrace.position_changes WHERE pipeline = 'u' AND partition = 1 AND verb = 'rewind'), 3::bigint, 'all on record');
SELECT is((SELECT by FROM millrace.position_changes WHERE pipeline = 'u' AND partition = 1 AND to_offset = 0), 'mrt_owner', 'with who asked for it');

SELECT * FROM finish();
ROLLBACK;
