BEGIN;
\ir helper.psql
SELECT plan(18);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 0, 5) $$, '55000', 'has no partitions yet', NULL, 'not before the first start');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{100,200}');
SELECT epoch AS epoch1 FROM millrace.positions('p') WHERE partition = 1 \gset
SELECT millrace.stop_partition('p', 1, :epoch1, 'retention has passed 200', 'skip');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', NULL, 5) $$, '22004', 'partition', NULL, 'which partition');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 1, NULL) $$, '22004', 'offset', NULL, 'which offset');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 2, 5) $$, '42704', 'no partition 2', '0 to 1', 'unknown partition');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 1, 199) $$, '22023', 'offset 199 is behind partition 1, whose position is 200', 'rewind(''p'', "offset" => 199, partition => 1, allow_duplicates => true)', 'behind');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('nix', 1, 199) $$, '42704', 'does not exist', NULL, 'unknown pipeline');
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 1, 1000) $$, '42501', 'must be owner', NULL, 'not by a stranger');
SET ROLE mrt_owner;
SELECT is(millrace.skip_to('p', 1, 1000), 800::bigint, 'returns how many offsets are left out');
SELECT results_eq($$ SELECT state, error, next_offset FROM millrace.partitions WHERE pipeline = 'p' AND partition = 1 $$,
                  $$ VALUES ('active', NULL::text, 1000::bigint) $$, 'the partition is active again, at the new position');
SELECT results_eq($$ SELECT from_offset, to_offset, left_out, by FROM millrace.position_changes WHERE pipeline = 'p' AND verb = 'skip_to' $$,
                  $$ VALUES (200::bigint, 1000::bigint, 800::bigint, 'mrt_owner') $$, 'the range is on record');
SELECT is((SELECT next_offset FROM millrace.partitions WHERE pipeline = 'p' AND partition = 0), 100::bigint, 'the other partition stays');
SET ROLE mrt_ingestor;
SELECT cmp_ok((SELECT epoch FROM millrace.positions('p') WHERE partition = 1), '<>', :epoch1::bigint, 'with a new epoch');
SET ROLE mrt_owner;
SELECT is(millrace.skip_to('p', partition => 1, "offset" => 1000), 0::bigint, 'to the present position: goes on there');
SELECT is((SELECT last_offset FROM millrace.partitions WHERE pipeline = 'p' AND partition = 1), NULL, 'the message before it is not compared');

SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0,1}', '{150,900}');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 0, 151) $$, '22023', 'offset 151 is beyond the end of partition 0, which is 150', 'skip_to(''p'', partition => 0, "offset" => 150)', 'beyond the end');
SELECT is(millrace.skip_to('p', 0, 150), 50::bigint, 'to the end');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('p', 1, 1001) $$, '22023', 'which is 900', 'rewind(''p'', to_time => ''-infinity'', partition => 1, allow_duplicates => true)', 'the topic is shorter than the position');
RESET ROLE;
UPDATE millrace.watermark SET reported_at = reported_at - interval '1 hour';
SET ROLE mrt_owner;
SELECT is(millrace.skip_to('p', 0, 151), 1::bigint, 'an end of an hour ago counts for nothing');

SELECT * FROM finish();
ROLLBACK;
