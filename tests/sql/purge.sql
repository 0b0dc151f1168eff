-- Ended dead letters are deleted: by purge_dead_letters(), and when dead_letter_retention has passed.
BEGIN;
\ir helper.psql
SELECT plan(27);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
RESET ROLE;
CREATE FUNCTION pg_temp.die(n integer, how text, ago interval) RETURNS void LANGUAGE sql AS $$
  INSERT INTO millrace.dead_letter (id, pipeline_id, version, topic, partition, "offset", payload, stage, sqlstate, message, failed_at, state, changed_at)
  SELECT n, p.id, 1, 'events', 0, n, convert_to(format('{"id": %s}', n), 'UTF8'), 'write', '23514', 'no', now() - ago, how, CASE WHEN how <> 'open' THEN now() - ago END
  FROM millrace.pipeline AS p WHERE p.name = 'p';
$$;
SELECT pg_temp.die(n, (ARRAY['open', 'replaying', 'replayed', 'discarded'])[n % 4 + 1], n * interval '1 day') FROM generate_series(1, 20) AS n;
SET ROLE mrt_owner;
CREATE FUNCTION pg_temp.letters() RETURNS bigint[] LANGUAGE sql AS $$ SELECT array_agg(id ORDER BY id) FROM millrace.dead_letters $$;

SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p') $$, '22004', 'needs a condition, an age or ids', 'purge_dead_letters(''p'', ''true'')', 'nothing is said');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', ids => '{4}') $$, '55000', 'dead letter 4 of pipeline "p" cannot be purged: it is open', 'discard(''p'', ids => ''{4}'')', 'an open one');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', ids => '{5}') $$, '55000', 'it is replaying', NULL, 'one that is replayed at the moment');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', ids => '{99}') $$, '42704', 'it does not exist', 'lists them', 'none of that id');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', 'true', older_than => '-1 day') $$, '22023', 'older_than is -1 day', NULL, 'an age that is none');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', 'true', "limit" => 0) $$, '22023', 'limit is 0', NULL, 'a limit that is none');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', ' ') $$, '22023', 'the condition is empty', NULL, 'an empty condition');
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('nix', 'true') $$, '42704', 'pipeline "nix" does not exist', NULL, 'no such pipeline');

SELECT is(millrace.purge_dead_letters('p', ids => '{2,3}'), 2::bigint, 'by number');
SELECT is(millrace.purge_dead_letters('p', $$ (payload::jsonb ->> 'id')::int = ANY ('{4,5,6,7}') $$, reason => 'asked for'), 2::bigint, 'by a condition: only those that have ended');
SELECT is(millrace.purge_dead_letters('p', older_than => '18 days 12 hours'), 1::bigint, 'by age');
SELECT is(millrace.purge_dead_letters('p', 'true', older_than => '14 days 12 hours'), 2::bigint, 'by both');
SELECT is(pg_temp.letters(), '{1,4,5,8,9,10,11,12,13,14,16,17,20}', 'the others stay');
SELECT is(millrace.purge_dead_letters('p', 'true', "limit" => 1), 1::bigint, 'so many at most');
SELECT is(millrace.purge_dead_letters('p', 'true', "limit" => 1), 1::bigint, 'the oldest first');
SELECT is(pg_temp.letters(), '{1,4,5,8,9,10,12,13,16,17,20}', 'by when they ended');
SELECT results_eq($$ SELECT verb, by, count, condition, reason FROM millrace.dead_letter_actions ORDER BY at LIMIT 3 $$,
  $$ VALUES ('purge', 'mrt_owner', 2::bigint, 'id = ANY (''{2,3}'')', NULL), ('purge', 'mrt_owner', 2, ' (payload::jsonb ->> ''id'')::int = ANY (''{4,5,6,7}'') ', 'asked for'),
            ('purge', 'mrt_owner', 1, 'older than 18 days 12:00:00', NULL) $$, 'it is on record');
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.purge_dead_letters('p', 'true') $$, '42501', 'must be owner', NULL, 'not by a stranger');
RESET ROLE;

-- one that still holds its key
INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of, state)
SELECT p.id, 1, 'events', 0, 10, -1, 0, 0, 'infinity', now(), 10, 'held' FROM millrace.pipeline AS p WHERE p.name = 'p';
SET ROLE mrt_owner;
SELECT is(millrace.purge_dead_letters('p', 'true'), 0::bigint, 'not before its key was released');

-- by themselves
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', dead_letter_retention => '-1 day') $$, '22023', 'dead_letter_retention is -1 days', NULL, 'no age');
SELECT millrace.alter_pipeline('p', dead_letter_retention => '5 years');
SELECT is((SELECT dead_letter_retention FROM millrace.pipelines WHERE name = 'p'), '5 years', 'it is shown');
RESET ROLE;
SELECT pg_temp.die(100 + n, 'discarded', n * interval '1 year') FROM generate_series(3, 8) AS n;
UPDATE millrace.dead_letter_action SET at = now() - interval '6 years' WHERE condition = 'older than 18 days 12:00:00';
SELECT is(millrace._purge_expired(3), 3::bigint, 'in steps');
SELECT is(millrace._purge_expired(3), 1::bigint, 'until none is so old');
SET ROLE mrt_owner;
SELECT is(pg_temp.letters(), '{1,4,5,8,9,10,12,13,16,17,20,103,104}', 'those that ended later stay, and those that are open');
SELECT is((SELECT count(*) FROM millrace.dead_letter_actions WHERE condition = 'older than 18 days 12:00:00'), 0::bigint, 'old records go, too');
SELECT results_eq($$ SELECT by, count FROM millrace.dead_letter_actions WHERE condition LIKE 'older than 5 years' ORDER BY at $$,
  $$ VALUES ('dead_letter_retention', 3::bigint), ('dead_letter_retention', 1) $$, 'and it is on record');
SELECT millrace.alter_pipeline('p', dead_letter_retention => '0');
SELECT is((SELECT dead_letter_retention FROM millrace.pipelines WHERE name = 'p'), NULL, '0 keeps them');
SELECT * FROM finish();
ROLLBACK;
