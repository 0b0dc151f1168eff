BEGIN;
\ir helper.psql
SELECT plan(13);

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

INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at)
VALUES (:id, 1, 'events', 0, 2, -1, 0, 1, now(), now()), (:other, 1, 'events', 0, 2, -1, 0, 1, now(), now());
INSERT INTO millrace.breaker VALUES (:id, 'open', now()), (:other, 'open', now());
INSERT INTO millrace.dlq_scan (pipeline_id, topic, partition, next_offset) VALUES (:id, 'd', 0, 1), (:other, 'd', 0, 1);
INSERT INTO millrace.dlq_sighting VALUES (:id, 0, 1, 0, 0, 1), (:other, 0, 1, 0, 0, 1);
SELECT millrace.report('p', '{}'), millrace.report('q', '{}');
SELECT millrace.set_error_class('23505', 'retry', 'p'), millrace.set_error_class('23505', 'retry', 'q');

SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('p') $$, '2BP01', 'still has dead letters', 'discard_dead_letters => true', 'not with dead letters');
SELECT millrace.discard('p', 'true'), millrace.discard('q', 'true');
SELECT pg_temp.refused($$ SELECT millrace.drop_pipeline('p') $$, '2BP01', 'or events to try again', 'millrace.retries', 'nor with events to try again');
RESET ROLE;
SAVEPOINT tried;
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p', discard_dead_letters => true) $$, 'with a publication FOR ALL TABLES');
ROLLBACK TO tried;
DELETE FROM millrace.retry;
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p') $$, 'discarded ones do not count');
ROLLBACK TO tried;
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_pipeline('p', discard_dead_letters => true) $$, 'with them, when the argument says so');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.pipeline WHERE id = :id), 0::bigint, 'the pipeline is gone');
SELECT is((SELECT count(*) FROM millrace.partition WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.progress WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.pipeline_version WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.watermark WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.position_change WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.dead_letter WHERE pipeline_id = :id),
          0::bigint, 'and all that was its');
SELECT is((SELECT count(*) FROM millrace.retry WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.breaker WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.dlq WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.dlq_scan WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.dlq_sighting WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.ingestor_report WHERE pipeline_id = :id) + (SELECT count(*) FROM millrace.error_class WHERE pipeline_id = :id)
          + (SELECT count(*) FROM millrace.dead_letter_action WHERE pipeline_id = :id), 0::bigint, 'of failures too');
SELECT is((SELECT count(*) FROM millrace.retry WHERE pipeline_id = :other) + (SELECT count(*) FROM millrace.breaker WHERE pipeline_id = :other)
          + (SELECT count(*) FROM millrace.dlq WHERE pipeline_id = :other) + (SELECT count(*) FROM millrace.dlq_scan WHERE pipeline_id = :other)
          + (SELECT count(*) FROM millrace.dlq_sighting WHERE pipeline_id = :other)
          + (SELECT count(*) FROM millrace.ingestor_report WHERE pipeline_id = :other) + (SELECT count(*) FROM millrace.error_class WHERE pipeline_id = :other)
          + (SELECT count(*) FROM millrace.dead_letter_action WHERE pipeline_id = :other), 8::bigint, 'another''s stay');
SELECT is((SELECT count(*) FROM millrace.dead_letter WHERE pipeline_id = :other), 1::bigint, 'and nothing that was another''s');
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT pg_temp.pipeline('p') $$, 'the name is free again');

SELECT * FROM finish();
ROLLBACK;
