-- Keys that no field reads: in dry_run(), and how what workers have seen is folded and shown.
BEGIN;
\ir helper.psql
SELECT plan(12);

SET ROLE mrt_owner;
SELECT millrace.create_pipeline('unread', topic => 'events', target => 'mrt.reading', fields => 'id bigint, v text PATH ''$.place.city''', transform => 'SELECT id FROM event');
SELECT results_eq($$ SELECT sample, unread FROM millrace.dry_run('unread', ARRAY['{"id": 1}', '{"id": 2, "loyaltyTier": "gold", "place": {"city": "a", "zip": 1}}', '{"ID": 3}', '{"id": "x", "a b": 1}', 'no JSON', NULL]) $$,
  $$ VALUES (1, NULL::text[]), (2, '{loyaltyTier,place.zip}'), (3, '{ID}'), (4, '{"\"a b\""}'), (5, NULL), (6, NULL) $$, 'of each sample, also of one that fails');
SELECT millrace.alter_pipeline('unread', transform => 'SELECT id FROM event WHERE payload IS NOT NULL');
SELECT results_eq($$ SELECT unread FROM millrace.dry_run('unread', ARRAY['{"id": 1, "x": 2}']) $$, $$ VALUES (NULL::text[]) $$, 'a transform that has the payload may read any');
SELECT millrace.alter_pipeline('unread', fields => 'id bigint, all_of_it jsonb PATH ''$''', transform => 'SELECT id FROM event');
SELECT results_eq($$ SELECT unread FROM millrace.dry_run('unread', ARRAY['{"id": 1, "x": 2}']) $$, $$ VALUES (NULL::text[]) $$, 'so does a field that is all of it');

-- what two workers have written
RESET ROLE;
INSERT INTO millrace.unread_key SELECT p.id, k.key, k.count, k.type, k.first, k.last FROM millrace.pipeline AS p,
  (VALUES ('naam', 3, 'string', '2026-01-01'::timestamptz, '2026-01-02'::timestamptz), ('naam', 5, 'null', '2026-01-03', '2026-01-04'), ('x', 1, 'array', '2026-01-01', '2026-01-01')) AS k (key, count, type, first, last)
WHERE p.name = 'unread';
SET ROLE mrt_owner;
PREPARE shown AS SELECT key, count, example_type, first_seen, last_seen FROM millrace.unread_keys WHERE pipeline = 'unread' ORDER BY key;
PREPARE expected AS VALUES ('naam', 8::bigint, 'null', '2026-01-01'::timestamptz, '2026-01-04'::timestamptz), ('x', 1, 'array', '2026-01-01', '2026-01-01');
SELECT results_eq('shown', 'expected', 'in one');
SELECT throws_ok('SELECT FROM millrace.unread_key', '42501', NULL, 'the table is not for everybody');
RESET ROLE;
SELECT millrace._fold_unread_keys();
SELECT is((SELECT count(*) FROM millrace.unread_key), 2::bigint, 'folded to one row a key');
SELECT results_eq('shown', 'expected', 'which shows the same');
INSERT INTO millrace.unread_key SELECT p.id, 'k' || n, n, 'string', now(), now() FROM millrace.pipeline AS p, generate_series(1, 500) AS n WHERE p.name = 'unread';
SELECT millrace._fold_unread_keys();
SELECT is((SELECT count(*) FROM millrace.unread_key), 200::bigint, 'and bounded');
SELECT is((SELECT min(count) FROM millrace.unread_key), 301::bigint, 'the rarest go');
SET ROLE mrt_stranger;
SELECT is_empty('SELECT FROM millrace.unread_keys', 'a stranger sees nothing of it');
SET ROLE mrt_owner;
SELECT millrace.alter_pipeline('unread', fields => 'id bigint');
SELECT is_empty('SELECT FROM millrace.unread_keys', 'other fields leave other keys');
RESET ROLE;
INSERT INTO millrace.unread_key SELECT p.id, 'k', 1, 'string', now(), now() FROM millrace.pipeline AS p WHERE p.name = 'unread';
SELECT millrace.drop_pipeline('unread');
SELECT is_empty('SELECT FROM millrace.unread_key', 'a pipeline goes with them');

SELECT * FROM finish();
ROLLBACK;
