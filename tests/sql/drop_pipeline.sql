BEGIN;
\ir helper.psql
SELECT plan(8);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('nix') $$, '42704', 'does not exist', NULL, 'unknown pipeline');
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('p') $$, '42501', 'must be owner', NULL, 'not by a stranger');
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0,0}');
SELECT millrace.report_watermarks('p', '{0}', '{5}');
RESET ROLE;
INSERT INTO millrace.dead_letter
  (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
VALUES (:id, 1, 'events', 0, 1, 'decode', '22P02', 'wrong', now()), (:other, 1, 'events', 0, 1, 'decode', '22P02', 'wrong', now());

SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('p') $$, '2BP01', 'still has dead letters', 'discard_dead_letters => true', 'not with dead letters');
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p', discard_dead_letters => true) $$, 'with them, when told so');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.pipeline WHERE id = :id), 0::bigint, 'the pipeline is gone');
SELECT is((SELECT count(*) FROM millrace.partition WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.progress WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.pipeline_version WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.watermark WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.position_change WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.dead_letter WHERE pipeline_id = :id),
          0::bigint, 'and all that was its');
SELECT is((SELECT count(*) FROM millrace.dead_letter WHERE pipeline_id = :other), 1::bigint, 'and nothing that was another''s');
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT pg_temp.pipeline('p') $$, 'the name is free again');

SELECT * FROM finish();
ROLLBACK;
