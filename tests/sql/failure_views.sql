BEGIN;
\ir helper.psql
SELECT plan(40);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id, pg_temp.pipeline('q') AS other \gset
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{0}');
RESET ROLE;
UPDATE millrace.progress SET events = 10, written = 3, retrying = 3, dead = 4 WHERE pipeline_id = :id;
INSERT INTO millrace.retry
  (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, key, headers, payload, history)
SELECT :id, 1, 'events', 0, v.o, CASE v.o WHEN 1 THEN 1767225601500 ELSE -1 END, 0, v.attempts, timestamptz '2030-01-01', timestamptz '2026-01-01' + v.o * interval '1 h',
       v.replay, '\x6b', '\x00000000', '\xff',
       format('[{"at": "a", "stage": "transform", "sqlstate": "22012", "message": "first"}, {"at": "b", "stage": "%s", "sqlstate": "%s", "message": "%s", "detail": "why", "constraint_name": %s}]', v.stage, v.state, v.message, coalesce(to_json(v.con)::text, 'null'))::jsonb
FROM (VALUES (1, 2, NULL, 'write', '23503', 'no station', NULL), (2, 1, NULL, 'write', '23503', 'no station', NULL),
             (3, 1, NULL, 'write', '40001', 'serialization', NULL), (4, 0, 4, 'write', '23503', 'not tried yet', NULL),
             (5, 1, NULL, 'write', '23505', 'wrong 5', 'reading_pkey')) AS v (o, attempts, replay, stage, state, message, con);
INSERT INTO millrace.dead_letter
  (id, pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, constraint_name, failed_at, first_failed_at, ended, attempts, history, state,
   replay_count, edited_payload, payload)
SELECT v.id, :id, 1, 'events', 0, 10 + v.id, v.stage, v.sqlstate, 'wrong ' || v.id, v.con, timestamptz '2026-02-01' + v.id * interval '1 h',
       CASE v.id WHEN 1 THEN timestamptz '2026-01-31' END, 'exhausted', 2, '[{}, {}, {}]', v.state, 1, '\x65', '\x66'
FROM (VALUES (1, 'write', '23505', 'reading_pkey', 'open'), (2, 'decode', '23502', NULL, 'open'), (3, 'write', 'ZZ999', NULL, 'open'),
             (4, 'write', '23503', NULL, 'replaying'), (5, 'write', '23505', 'reading_pkey', 'discarded'), (6, 'write', '23505', 'reading_pkey', 'replayed'))
  AS v (id, stage, sqlstate, con, state);
INSERT INTO millrace.breaker VALUES (:id, 'open', timestamptz '2026-01-01', 'disk full', '53100', timestamptz '2026-01-02', 3);
SELECT millrace.set_error_class('23', 'retry', 'p', 'reading_pkey');

SET ROLE mrt_owner;
SELECT results_eq($$ SELECT "offset", kafka_ts, attempts, max_retries, stage, sqlstate, condition, message, replay_of, key, headers, payload, raw FROM millrace.retries WHERE pipeline = 'p' ORDER BY 1 LIMIT 2 $$,
  $$ VALUES (1::bigint, timestamptz '2026-01-01 00:00:01.5+00', 2, 3, 'write', '23503', 'foreign_key_violation', 'no station', NULL::bigint, 'k', '{}'::jsonb, '\377', '\xff'::bytea),
            (2, NULL, 1, 3, 'write', '23503', 'foreign_key_violation', 'no station', NULL, 'k', '{}', '\377', '\xff') $$, 'retries');
SELECT results_eq($$ SELECT detail, constraint_name FROM millrace.retries WHERE pipeline = 'p' AND "offset" = 5 $$, $$ VALUES ('why', 'reading_pkey') $$, 'which constraint, and why');
SELECT results_eq($$ SELECT stage, sqlstate, condition, constraint_name, action, retrying, dead FROM millrace.errors WHERE pipeline = 'p' ORDER BY sqlstate, dead $$,
  $$ VALUES ('decode', '23502', 'not_null_violation', NULL::text, 'dead_letter', 0::bigint, 1::bigint),
            ('write', '23503', 'foreign_key_violation', NULL, 'retry', 2, 0),
            ('write', '23505', 'unique_violation', 'reading_pkey', 'retry', 1, 1),
            ('write', '40001', 'serialization_failure', NULL, 'retry', 1, 0),
            ('write', 'ZZ999', NULL, NULL, 'dead_letter', 0, 1) $$, 'errors, with what their classes say');
SELECT results_eq($$ SELECT first_at, last_at, message FROM millrace.errors WHERE sqlstate = '23505' $$,
  $$ VALUES (timestamptz '2026-01-01 05:00', timestamptz '2026-02-01 01:00', 'wrong 1') $$, 'since when, until when, an example');
SELECT results_eq($$ SELECT state, since, reason, sqlstate, condition, next_probe_at, opened FROM millrace.breakers WHERE pipeline = 'p' $$,
  $$ VALUES ('open', timestamptz '2026-01-01', 'disk full', '53100', 'disk_full', timestamptz '2026-01-02', 3::bigint) $$, 'an open breaker');
CREATE FUNCTION pg_temp.breaker_metrics(pipeline text) RETURNS float8[] LANGUAGE sql AS $$
  SELECT array_agg(m.value ORDER BY m.name) FROM millrace.metric AS m WHERE m.labels = jsonb_build_object('pipeline', pipeline)
  AND m.name IN ('millrace_breaker_open', 'millrace_breaker_opened_total', 'millrace_retries_breaker_open');
$$;
SELECT results_eq($$ SELECT pg_temp.breaker_metrics(p) FROM unnest('{p,q}'::text[]) AS p $$, $$ VALUES ('{1,3,0}'::float8[]), ('{0,0,0}') $$, 'as metrics: one that is open, and one that never was');
RESET ROLE;
SAVEPOINT workers;
INSERT INTO millrace.breaker (pipeline_id, worker, kind, state, since, reason, sqlstate, next_probe_at, opened, command) VALUES
  (:id, 1, 'lane', 'half_open', timestamptz '2026-01-01', 'another', '42P01', NULL, 1, NULL),
  (:id, 2, 'lane', 'closed', timestamptz '2026-01-03', NULL, NULL, NULL, 1, NULL),
  (:id, 0, 'retry', 'open', timestamptz '2026-01-04', 'no table', '42P01', timestamptz '2026-01-05', 1, 'CREATE TABLE …;');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT state, since, reason, next_probe_at, opened FROM millrace.breakers WHERE pipeline = 'p' $$,
  $$ VALUES ('open', timestamptz '2026-01-01', 'disk full', timestamptz '2026-01-02', 5::bigint) $$, 'of several workers the one with the worst');
SELECT results_eq($$ SELECT retries_state, retries_since, retries_reason, retries_sqlstate, retries_next_probe_at, retries_command FROM millrace.breakers WHERE pipeline = 'p' $$,
  $$ VALUES ('open', timestamptz '2026-01-04', 'no table', '42P01', timestamptz '2026-01-05', 'CREATE TABLE …;') $$, 'and that of the retries');
SELECT is(pg_temp.breaker_metrics('p'), '{1,5,1}', 'as metrics');
SELECT millrace.resume('p');
SELECT ok((SELECT next_probe_at > '2026-01-03' AND retries_next_probe_at > '2026-01-06' FROM millrace.breakers WHERE pipeline = 'p'), 'resume() asks for a probe of both');
RESET ROLE;
UPDATE millrace.breaker SET next_probe_at = '2026-01-02' WHERE pipeline_id = :id AND state = 'open';
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('p', workers => 1);
RESET ROLE;
SELECT results_eq(format($$ SELECT worker, kind, state, reason, opened FROM millrace.breaker WHERE pipeline_id = %s AND worker > 0 ORDER BY 1 $$, :id),
  $$ VALUES (1, 'lane', 'closed', NULL::text, 1::bigint), (2, 'lane', 'closed', NULL, 1) $$, 'a worker that is taken away has none that is open');
UPDATE millrace.breaker SET state = 'half_open' WHERE pipeline_id = :id AND worker = 0 AND kind = 'lane';
SELECT is(pg_temp.breaker_metrics('p'), '{1,5,1}', 'one that is half open is open');
UPDATE millrace.breaker SET state = 'open' WHERE pipeline_id = :id AND worker = 0 AND kind = 'lane';
SELECT ok((SELECT bool_and(next_probe_at > '2026-01-03') FROM millrace.breaker WHERE pipeline_id = :id AND state = 'open'), 'the others are probed, as the pipeline was changed');
UPDATE millrace.breaker SET state = 'closed', since = '2026-01-02', next_probe_at = NULL WHERE pipeline_id = :id AND worker = 0;
SELECT results_eq($$ SELECT state, since > '2026-01-03', opened, retries_state FROM millrace.breakers WHERE pipeline = 'p' $$,
  $$ VALUES ('closed', true, 5::bigint, 'closed') $$, 'closed since the last one was');
SELECT is(pg_temp.breaker_metrics('p'), '{0,5,0}', 'as metrics, too');
ROLLBACK TO workers;
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT state, since, opened FROM millrace.breakers WHERE pipeline = 'q' $$, $$ VALUES ('closed', NULL::timestamptz, 0::bigint) $$, 'one that never opened');
SELECT ok((SELECT (status, reason) = ('breaker open', 'disk full') OR status = 'not preloaded' FROM millrace.pipelines WHERE name = 'p'), 'the pipeline says so');
SELECT results_eq($$ SELECT events, written, dead, retrying FROM millrace.stats WHERE pipeline = 'p' $$, $$ VALUES (10::bigint, 3::bigint, 4::bigint, 3::bigint) $$, 'stats');
-- the oldest that is due, or the next one
CREATE FUNCTION pg_temp.overdue(pipeline text) RETURNS float8 LANGUAGE sql AS $$
  SELECT m.value FROM millrace.metric AS m WHERE m.name = 'millrace_retry_overdue_seconds' AND m.labels = jsonb_build_object('pipeline', pipeline);
$$;
SELECT results_eq($$ SELECT s.pipeline, s.next_retry_at, pg_temp.overdue(s.pipeline) FROM millrace.stats AS s WHERE s.pipeline IN ('p', 'q') $$,
  $$ VALUES ('p', timestamptz '2030-01-01', 0::float8), ('q', NULL, 0) $$, 'the next retry, and that none is due');
RESET ROLE;
UPDATE millrace.retry SET next_at = CASE "offset" WHEN 3 THEN timestamptz '2020-01-01' WHEN 5 THEN '2021-01-01' ELSE next_at END WHERE pipeline_id = :id;
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT s.pipeline, s.next_retry_at, pg_temp.overdue(s.pipeline) FROM millrace.stats AS s WHERE s.pipeline IN ('p', 'q') $$,
  $$ VALUES ('p', timestamptz '2020-01-01', date_part('epoch', statement_timestamp() - timestamptz '2020-01-01')), ('q', NULL, 0) $$, 'since when the oldest has been due');
SELECT is((SELECT retrying FROM millrace.partitions WHERE pipeline = 'p'), 3::bigint, 'partitions');
SELECT results_eq($$ SELECT condition, state, ended, attempts, first_failed_at, replay_count, edited_payload, payload FROM millrace.dead_letters WHERE id IN (1, 2) ORDER BY id $$,
  $$ VALUES ('unique_violation', 'open', 'exhausted', 3, timestamptz '2026-01-31', 1, 'e', 'f'),
            ('not_null_violation', 'open', 'exhausted', 3, timestamptz '2026-02-01 02:00', 1, 'e', 'f') $$, 'dead letters');
SELECT results_eq($$ SELECT count, open, replaying, replayed, discarded, condition, first_at, sample_id FROM millrace.dead_letter_groups WHERE pipeline = 'p' AND sqlstate = '23505' $$,
  $$ VALUES (3::bigint, 1::bigint, 0::bigint, 1::bigint, 1::bigint, 'unique_violation', timestamptz '2026-01-31', 6::bigint) $$, 'groups');
SELECT results_eq($$ SELECT enabled, topic, delivery FROM millrace.dlqs WHERE pipeline = 'p' $$, $$ VALUES (true, 'events.dlq', 'exactly_once') $$, 'DLQ');

-- who sees what
SET ROLE mrt_member;
SELECT is((SELECT count(*) FROM millrace.retries), 5::bigint, 'a member of the owner sees retries');
SELECT is((SELECT count(*) FROM millrace.errors), 5::bigint, 'and errors');
SET ROLE mrt_monitor;
SELECT is((SELECT count(*) FROM millrace.retries) + (SELECT count(*) FROM millrace.errors) + (SELECT count(*) FROM millrace.dead_letters), 0::bigint, 'a monitor sees no event');
SELECT is((SELECT count(*) FROM millrace.breakers WHERE pipeline IN ('p', 'q')), 2::bigint, 'but breakers');
SELECT is((SELECT count(*) FROM millrace.dlqs WHERE pipeline IN ('p', 'q')), 2::bigint, 'and DLQ topics');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.retries) + (SELECT count(*) FROM millrace.errors) + (SELECT count(*) FROM millrace.breakers)
          + (SELECT count(*) FROM millrace.dlqs) + (SELECT count(*) FROM millrace.ingestor_reports), 0::bigint, 'a stranger sees nothing');
CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE EXCEPTION 'saw %', $1; END $$;
SELECT lives_ok($$ SELECT * FROM millrace.retries WHERE pg_temp.peep(payload) $$, 'not even by a function in the condition');

-- explain
SET ROLE mrt_owner;
SELECT is(millrace.field_columns('id bigint NOT NULL, "a b" numeric PATH ''$.x[0]'' DEFAULT 3, tags text[], "select" date'),
          'id bigint, "a b" numeric, tags text[], "select" date', 'columns of a field list');
SELECT is(millrace.field_columns(NULL), NULL, 'of none');
SELECT matches((SELECT string_agg(e, E'\n') FROM millrace.explain('p') AS e), 'CTE Scan on event .*rows=', 'a plan');
SELECT matches((SELECT string_agg(e, E'\n') FROM millrace.explain('p', true, ARRAY['{"id": 1}', '{"id": 2}']) AS e), 'actual time=.*Execution Time', 'run on samples');
CREATE FUNCTION mrt.note(bigint) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO mrt.reading (id) VALUES ($1) RETURNING id $$;
SELECT millrace.create_pipeline('r', topic => 'events', target => 'mrt.reading', fields => 'id bigint', batch_rows => 1,
  transform => 'SELECT note(event.id) AS id FROM event -- a comment');
SELECT lives_ok($$ SELECT * FROM millrace.explain('r', true, ARRAY['{"id": 1}']) $$, 'with functions of the search_path');
SELECT is_empty('SELECT * FROM mrt.reading', 'and nothing stays of what they do');
SELECT pg_temp.refused($$ SELECT * FROM millrace.explain('q', true) $$, '22023', 'no events to run', 'ARRAY[', 'nothing to run it on');
SELECT pg_temp.refused($$ SELECT * FROM millrace.explain('nix') $$, '42704', 'pipeline "nix" does not exist', NULL, 'unknown pipeline');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT * FROM millrace.explain('p') $$, '42501', 'must be owner', 'SET ROLE mrt_owner', 'nobody else runs the owner''s SQL, a superuser least of all');

SELECT * FROM finish();
ROLLBACK;
