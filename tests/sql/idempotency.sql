BEGIN;
\ir helper.psql
SELECT plan(26);

CREATE ROLE mrt_api LOGIN;
SELECT throws_ok($$ SET LOCAL ROLE mrt_stranger; SELECT * FROM millrace.claim_idempotency_key('t', '', 'k', '\x01', '1 min') $$, '42501', NULL, 'keys are not for everybody');
SELECT throws_ok($$ SET LOCAL ROLE mrt_stranger; SELECT millrace.end_idempotency_claim(0::smallint, 't', '', 'k', gen_random_uuid(), 202::smallint, '', '') $$, '42501', NULL, 'nor are their answers');
RESET ROLE;
SELECT millrace.grant_api('mrt_api');

CREATE TABLE mrt.seen (nth serial, outcome text, slot smallint, claim uuid, status smallint, location text, body text, lease_expired boolean);
GRANT INSERT, SELECT ON mrt.seen TO mrt_api;
GRANT USAGE ON SEQUENCE mrt.seen_nth_seq TO mrt_api;
CREATE FUNCTION pg_temp.claim(key text, fingerprint bytea DEFAULT '\x01', client text DEFAULT '', topic text DEFAULT 't') RETURNS text
LANGUAGE sql AS $$
  INSERT INTO mrt.seen (outcome, slot, claim, status, location, body, lease_expired)
  SELECT * FROM millrace.claim_idempotency_key(topic, client, key, fingerprint, '1 min') RETURNING outcome;
$$;
CREATE FUNCTION pg_temp.ended(key text, nth integer, status integer, body text DEFAULT NULL) RETURNS boolean
LANGUAGE sql AS $$
  SELECT millrace.end_idempotency_claim(s.slot, 't', '', ended.key, s.claim, ended.status::smallint, '/events/t:0:1', ended.body) FROM mrt.seen AS s WHERE s.nth = ended.nth;
$$;
SET ROLE mrt_api;
SELECT is(pg_temp.claim('k'), 'claimed', 'a new key');                                    -- 1
SELECT is(pg_temp.claim('k'), 'in_flight', 'the same while it is not answered');          -- 2
SELECT is(pg_temp.claim('k', '\x02'), 'other_body', 'the same with another body');        -- 3
SELECT is(pg_temp.claim('k', client => 'c'), 'claimed', 'each client has its keys');      -- 4
SELECT is(pg_temp.claim('k', topic => 'u'), 'claimed', 'and each topic');                 -- 5
SELECT ok(pg_temp.ended('k', 1, 202, '{}'), 'it is answered');
SELECT ok(NOT pg_temp.ended('k', 1, 202, '[]'), 'once');
SELECT is(pg_temp.claim('k'), 'answered', 'the same then');                               -- 6
SELECT results_eq('SELECT status::int, location, body FROM mrt.seen WHERE nth = 6', $$ VALUES (202, '/events/t:0:1', '{}') $$, 'gets the answer');
SELECT is(pg_temp.claim('k', '\x02'), 'other_body', 'another body still does not');       -- 7

-- a claim that is given back, and one whose lease ends
SELECT is(pg_temp.claim('l'), 'claimed', 'a key');                                        -- 8
SELECT ok(pg_temp.ended('l', 8, NULL), 'nothing was published');
SELECT is(pg_temp.claim('l'), 'claimed', 'so the next may try');                          -- 9
SELECT ok(NOT pg_temp.ended('l', 8, 202, '{}'), 'the first claim holds no more');
RESET ROLE;
UPDATE millrace.idempotency_key SET leased_until = now() WHERE key = 'l';
SET ROLE mrt_api;
SELECT is(pg_temp.claim('l'), 'claimed', 'a lease has ended');                            -- 10
SELECT is((SELECT array_agg(nth) FROM mrt.seen WHERE lease_expired), '{10}', 'and that claim alone says so');
SELECT is((SELECT count(*)::int FROM mrt.seen AS a JOIN mrt.seen AS b ON a.claim = b.claim AND a.nth < b.nth), 0, 'each claim has a number of its own');
SELECT throws_ok($$ SELECT * FROM millrace.claim_idempotency_key('t', '', 'n', NULL, '1 min') $$, '23502', NULL, 'no argument may be missing');
RESET ROLE;
SELECT is((SELECT count(*)::int FROM millrace.idempotency_key WHERE key = 'l'), 1, 'a key is one row');

-- another hour, another day
UPDATE millrace.idempotency_key SET slot = (slot + 2) % 26, created_at = created_at - interval '23 hours 59 min' WHERE key = 'k' AND client = '' AND topic = 't';
SET ROLE mrt_api;
SELECT is(pg_temp.claim('k'), 'answered', 'the answer is kept for a day');
RESET ROLE;
UPDATE millrace.idempotency_key SET created_at = created_at - interval '1 min' WHERE key = 'k' AND client = '' AND topic = 't';
SET ROLE mrt_api;
SELECT is(pg_temp.claim('k', '\x02'), 'claimed', 'then the key is free');
RESET ROLE;

-- what is older than a day is emptied before its hour comes again
SELECT is(millrace._empty_idempotency_slot(), false, 'nothing to empty');
UPDATE millrace.idempotency_key SET slot = millrace._idempotency_slot(clock_timestamp() + interval '1 hour') WHERE client = 'c';
SELECT is(millrace._empty_idempotency_slot(), true, 'the next hour''s is emptied');
SELECT is((SELECT count(*)::int FROM millrace.idempotency_key WHERE client = 'c'), 0, 'its keys are gone');

SELECT * FROM finish();
ROLLBACK;
