BEGIN;
\ir helper.psql
SELECT plan(46);

-- a finding with this severity, holding these words in what, detail and command
CREATE FUNCTION pg_temp.finds(severity text, what text, detail text, command text, description text) RETURNS text LANGUAGE sql AS $$
  SELECT ok(EXISTS (SELECT FROM millrace.doctor() AS d WHERE d.severity = finds.severity AND strpos(d.what, finds.what) > 0
                    AND strpos(d.detail, finds.detail) > 0 AND strpos(d.command, finds.command) > 0), description)
         || coalesce((SELECT string_agg(E'\n# ' || d::text, '') FROM millrace.doctor() AS d
                      WHERE NOT EXISTS (SELECT FROM millrace.doctor() AS e WHERE e.severity = finds.severity AND strpos(e.what, finds.what) > 0
                                        AND strpos(e.detail, finds.detail) > 0 AND strpos(e.command, finds.command) > 0)), '');
$$;
-- the workers of a pipeline that is not committed never start: not what is tested here
CREATE FUNCTION pg_temp.count(words text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM millrace.doctor() AS d WHERE strpos(d.what, words) > 0 AND d.what NOT LIKE '%no worker' AND d.what NOT LIKE '%not preloaded%';
$$;
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p', 'update', '{id}') AS id \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0}');
SELECT millrace.report_watermarks('p', '{0}', '{0}');
SET ROLE mrt_owner;
SELECT is(pg_temp.count('"p"'), 0::bigint, 'a young pipeline: nothing to say');

RESET ROLE;
UPDATE millrace.pipeline SET created_at = now() - interval '1 h';
SET ROLE mrt_owner;
SELECT is(pg_temp.count('ingestor'), 0::bigint, 'an ingestor is there');
RESET ROLE;
-- a young server gives ingestors the time to come back
SELECT pg_sleep(greatest(0, 9.5 - extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()))) IS NOT NULL AS waited \gset
UPDATE millrace.watermark SET reported_at = now() - interval '3 min', read_at = now() - interval '3 min';
SAVEPOINT reported;
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"version": "0"}');
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p": its ingestor cannot read topic "events"', 'has read no partition', 'may be read', 'an ingestor without partitions');
SELECT is(pg_temp.count('has no ingestor'), 0::bigint, 'is one');
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0}', '{1}', '{0}', false);
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p": its ingestor cannot read topic "events"', 'has read no partition', 'may be read', 'to ask for the end is not to read');
ROLLBACK TO reported;
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p" has no ingestor', 'No ingestor has reported on topic "events" since', 'millrace-ingestor', 'no ingestor any more');
RESET ROLE;
DELETE FROM millrace.watermark;
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p" has no ingestor', 'No ingestor has ever reported', 'grant_ingestor', 'none ever');

-- lag
SET ROLE mrt_ingestor;
SELECT millrace.report_watermarks('p', '{0}', '{1000}');
SELECT millrace.report('p', '{"retention_ms": 3600000}');
RESET ROLE;
UPDATE millrace.progress SET last_ts = extract(epoch FROM now() - interval '50 min') * 1000;
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p" is about to lose events', 'keeps messages for 01:00:00', 'retention.ms', 'retention is shorter than the lag');
RESET ROLE;
SET LOCAL millrace.backup_age = '30 min';
SELECT is(pg_temp.count('than backups go back'), 0::bigint, 'backups are younger than what the topic keeps');
SET LOCAL millrace.backup_age = '2 d';
SELECT pg_temp.finds('warning', 'pipeline "p": its topic keeps messages for a shorter time than backups go back', 'keeps messages for 01:00:00', 'at least 172800000', 'backups are older');
SELECT is((SELECT value FROM millrace.metrics('pipeline') WHERE name = 'millrace_backup_age_seconds' AND labels ->> 'pipeline' = 'p'), 172800::float8, 'and a metric has it');
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"retention_ms": -1}');
SET ROLE mrt_owner;
SELECT is(pg_temp.count('about to lose'), 0::bigint, 'unlimited retention');

-- states
RESET ROLE;
UPDATE millrace.partition SET state = 'stopped', error = 'retention passed', hint = 'SELECT millrace.skip_to(…);';
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p": stopped', 'retention passed', 'skip_to', 'a stopped partition')
WHERE (millrace.engine_status() ->> 'preloaded')::boolean
UNION ALL SELECT skip('not preloaded', 1) WHERE NOT (millrace.engine_status() ->> 'preloaded')::boolean;
SELECT is((SELECT max(severity) FROM millrace.doctor() WHERE what LIKE '%foreign%'), NULL, 'not foreign');
RESET ROLE;
UPDATE millrace.partition SET state = 'active', error = NULL, hint = NULL;
INSERT INTO millrace.breaker VALUES (:id, 'open', now(), 'disk full', '53100', now(), 1);
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'pipeline "p": breaker open', 'disk full', 'Fix the cause', 'an open breaker')
WHERE (millrace.engine_status() ->> 'preloaded')::boolean
UNION ALL SELECT skip('not preloaded', 1) WHERE NOT (millrace.engine_status() ->> 'preloaded')::boolean;
RESET ROLE;
UPDATE millrace.breaker SET kind = 'retry';
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p": its retries are held back', 'disk full', 'millrace.resume(''p'')', 'retries that meet trouble');
RESET ROLE;
DELETE FROM millrace.breaker;
SAVEPOINT held;
UPDATE millrace.pipeline_version SET ordering = 'key', on_dead = 'hold';
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, state)
SELECT :id, 1, 'events', 0, n, -1, 0, 1, 'infinity', now(), CASE n WHEN 7 THEN 'held' ELSE 'parked' END FROM generate_series(7, 8) AS n;
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p": keys wait for 1 dead letter', '1 event waits behind them until they are replayed or discarded; the first at offset 7 of partition 0.',
                     'on_dead => ''release''', 'a dead letter that holds its key');
RESET ROLE;
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, state)
SELECT :id, 1, 'events', 0, n, -1, 0, 1, 'infinity', now(), CASE n WHEN 9 THEN 'held' ELSE 'parked' END FROM generate_series(9, 10) AS n;
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p": keys wait for 2 dead letters', '2 events wait behind them', 'millrace.replay(''p'')', 'and two');
RESET ROLE;
ROLLBACK TO held;
SELECT millrace.pause('p');
SET ROLE mrt_owner;
SELECT is((SELECT severity FROM millrace.doctor() WHERE what = 'pipeline "p": paused'), 'info', 'paused is said, not blamed');
SELECT is((SELECT command FROM millrace.doctor() WHERE what = 'pipeline "p": paused'), 'SELECT millrace.resume(''p'');', 'with the way back');
SELECT millrace.resume('p');
RESET ROLE;
SAVEPOINT foreign_one;
UPDATE millrace.instance SET id = gen_random_uuid();
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p": foreign', 'another installation', 'millrace.adopt(''p'')', 'foreign');
SELECT is(pg_temp.count('no ingestor'), 0::bigint, 'needs no ingestor');
ROLLBACK TO foreign_one;

-- the target
SAVEPOINT target;
ALTER TABLE mrt.reading DROP CONSTRAINT reading_pkey;
SET ROLE mrt_owner;
SELECT pg_temp.finds('error', 'its target has no unique index on (id)', 'every event fails', 'CREATE UNIQUE INDEX ON mrt.reading (id);', 'the index was dropped');
RESET ROLE;
ALTER TABLE mrt.reading SET UNLOGGED;
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'its target is unlogged', 'A crash', 'ALTER TABLE mrt.reading SET LOGGED;', 'an unlogged target');
ROLLBACK TO target;
SET ROLE mrt_owner;
SELECT is(pg_temp.count('its target'), 0::bigint, 'a good target');

-- failures
RESET ROLE;
INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
SELECT :id, 1, 'events', 0, n, 'write', '23505', 'no', now() - interval '1 h' FROM generate_series(1, 3) AS n;
UPDATE millrace.progress SET dead = 3;
SET ROLE mrt_monitor;
SELECT is(pg_temp.count('pipeline "p" has 3 open dead letters'), 1::bigint, 'who sees no letter sees that there are some');
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p" has 3 open dead letters', 'not tried again', 'dead_letter_groups', 'dead letters');
SELECT pg_temp.finds('warning', 'pipeline "p": dead letters do not reach Kafka', 'topic "events.dlq"', 'dlq => ''off''', 'the relay is stuck');
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"relay_error": "transactions are not supported"}');
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'pipeline "p": dead letters do not reach Kafka', 'transactions are not supported', 'at_least_once', 'and says why');
SELECT millrace.alter_pipeline('p', dlq => 'off');
SELECT is(pg_temp.count('reach Kafka'), 0::bigint, 'no relay, no finding');
SELECT millrace.discard('p', 'true');
SELECT is(pg_temp.count('dead letters'), 0::bigint, 'discarded');

-- windows
SELECT pg_temp.pipeline('grows');
SELECT millrace.create_window('w', 'grows', event_time => 'at', size => '1 min', aggregates => 'count(*)') AS w \gset
SELECT is(pg_temp.count('window "w"'), 0::bigint, 'a young window');
RESET ROLE;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final, held_by, held_why, stalled_since)
VALUES (:w, now(), '{0}', '{2026-01-01 12:00:00+00}', now(), '2026-01-01 11:00:00+00', '2026-01-01 11:00:00+00', 0, 'events are staged', now() - interval '6 min');
INSERT INTO millrace.window_late (window_id, window_start, window_end, rows, last_at)
VALUES (:w, '2026-01-01 10:00:00+00', '2026-01-01 10:01:00+00', 7, now()), (:w, '2026-01-01 09:00:00+00', '2026-01-01 09:01:00+00', 7, now() - interval '2 h');
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'window "w": its watermark does not move', 'partition 0 of topic "events" holds it back: events are staged', 'millrace.lag', 'a stalled watermark');
SELECT pg_temp.finds('warning', 'window "w": rows come when their windows are final', 'to 1 of them; rows that are late there: 7.', 'lateness => ''01:00:00''', 'late rows');
SELECT is((SELECT jsonb_object_agg(m.name, m.value) FROM millrace.metric AS m WHERE m.labels = '{"window": "w", "pipeline": "grows"}' AND (m.name LIKE '%timestamp%' OR m.name LIKE '%late_rows%')),
          '{"millrace_window_watermark_timestamp_seconds": 1767265200, "millrace_window_late_rows_total": 0}', 'metrics of a window');
RESET ROLE;
INSERT INTO millrace.topic_partition SELECT p.id, 0, 'other', 7 FROM millrace.pipeline AS p WHERE p.name = 'grows';
SELECT results_eq($$ SELECT held_topic, held_by, held_why FROM millrace.windows WHERE name = 'w' $$, $$ VALUES ('other', 7, 'events are staged') $$,
                  'of several topics the one that holds it back is named, with the number that its partition has there');
DELETE FROM millrace.topic_partition;
SET ROLE mrt_owner;
SELECT millrace.drop_window('w');
SELECT millrace.drop_pipeline('grows');

-- programs
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"librdkafka": "1.9.2", "libevent": "2.1.12-stable"}');
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'the ingestor runs with librdkafka 1.9.2', 'lose messages', 'install librdkafka 2.0.2 or later', 'an old library');
SELECT is(pg_temp.count('libevent'), 0::bigint, 'not the other');
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"librdkafka": "2.10.0", "libevent": "nonsense"}');
SET ROLE mrt_owner;
SELECT is(pg_temp.count('the ingestor runs with'), 0::bigint, 'ten is more than two');

-- the server
SELECT is(pg_temp.count('too few worker slots'), 0::bigint, 'worker slots enough');
RESET ROLE;
UPDATE millrace.pipeline SET workers = 64 WHERE name = 'p';
SET ROLE mrt_owner;
SELECT pg_temp.finds('warning', 'too few worker slots', 'need 64 workers', 'max_worker_processes = 72', 'worker slots');
SELECT results_eq('SELECT severity FROM millrace.doctor()',
  $$ SELECT severity FROM millrace.doctor() ORDER BY array_position(ARRAY['error', 'warning', 'info'], severity) $$, 'the worst first');

SET ROLE mrt_stranger;
SELECT is(pg_temp.count('"p"'), 0::bigint, 'a stranger hears nothing of it');
SET ROLE mrt_monitor;
SELECT cmp_ok(pg_temp.count('too few worker slots'), '=', 1::bigint, 'a monitor does');

-- the lock table
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace._shortages() WHERE what = 'too few locks'), 0::bigint, 'there is room for the locks of these pipelines');
UPDATE millrace.pipeline SET partitions = 1000000;
SELECT matches((SELECT command FROM millrace.doctor() WHERE what ~ 'too few locks'),
               '^ALTER SYSTEM SET max_locks_per_transaction = [0-9]{3,5}; then restart the server$', 'but not for those of a million partitions');

SELECT * FROM finish();
ROLLBACK;
