BEGIN;
\ir helper.psql
SELECT plan(35);
SELECT millrace.revoke_topics('mrt_owner');
CREATE ROLE mrt_group;

CREATE FUNCTION pg_temp.make(name text, topic text, dlq text, workers integer DEFAULT 1) RETURNS integer LANGUAGE sql AS $$
  SELECT millrace.create_pipeline(name, topic => topic, dlq => dlq, workers => workers, target => 'mrt.reading', fields => 'id bigint',
                                  transform => 'SELECT event.id FROM event');
$$;
CREATE FUNCTION pg_temp.served() RETURNS text[] LANGUAGE sql AS $$
  SELECT ARRAY[(SELECT string_agg(pipeline, ',' ORDER BY pipeline) FROM millrace.ingestor_pipelines()),
               (SELECT string_agg(pipeline, ',' ORDER BY pipeline) FROM millrace.relay_pipelines())];
$$;

-- nothing is granted by default
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT pg_temp.make('p', 'payments', 'off') $$, '42501', 'role "mrt_owner" is not allowed to read topic "payments"',
                       'SELECT millrace.grant_topics(''mrt_owner'', read => ''{payments}'');', 'no topic is everybody''s to read');
SELECT pg_temp.refused($$ SELECT pg_temp.make('p', 'payments', NULL) $$, '42501', 'read topic "payments"',
                       'read => ''{payments}'', dlq => ''{payments.dlq}''', 'the hint has all that is missing');
-- who grants
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('mrt_owner', read => '{*}') $$, '42501', 'must be owner of extension millrace to grant topics', 'superuser', 'nobody grants to himself');
SELECT pg_temp.refused($$ SELECT millrace.revoke_topics('mrt_owner') $$, '42501', 'must be owner of extension millrace to revoke topics', 'superuser', 'or revokes');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT millrace.grant_topics(NULL, read => '{*}') $$, '22004', 'role', NULL, 'to no role');
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('-', read => '{*}') $$, '42704', 'role with OID 0', NULL, 'nor to none');
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('mrt_owner') $$, '22004', 'no topics to grant to role "mrt_owner"', 'read =>', 'no topics');
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('mrt_owner', read => '{a b}') $$, '22023', '"a b" is not a valid topic pattern', '{sales.*}', 'no pattern');
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('mrt_owner', dlq => '{^x|y$}') $$, '22023', 'is not a valid topic pattern', NULL, 'nor a regular expression');
SELECT pg_temp.refused($$ SELECT millrace.grant_topics('mrt_owner', read => ARRAY[NULL]) $$, '22023', '"null" is not', NULL, 'nor null');
SELECT is(millrace.grant_topics('mrt_owner', read => '{events,events,a.b-*}', dlq => '{*.dlq}'), 3, 'granted');
SELECT is(millrace.grant_topics('mrt_owner', read => '{events}'), 0, 'again: nothing new');

-- what a pattern allows
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT pg_temp.make('p', 'events', NULL) $$, 'topics that are granted');
SELECT lives_ok($$ SELECT pg_temp.make('q', 'a.b-c', 'off') $$, 'by a pattern');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'a_b-c', 'off') $$, '42501', 'read topic "a_b-c"', NULL, 'a dot is a dot');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'events2', 'off') $$, '42501', 'read topic "events2"', NULL, 'a name is the whole name');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'events', 'payments') $$, '42501', 'publish dead letters to topic "payments"', 'dlq => ''{payments}''', 'nor may dead letters go anywhere');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', dlq => 'payments') $$, '42501', 'publish dead letters to topic "payments"', NULL, 'or be sent there later');
SELECT results_eq($$ SELECT role::text, use, pattern FROM millrace.topic_grants WHERE role = 'mrt_owner'::regrole $$,
  $$ VALUES ('mrt_owner', 'read', 'a.b-*'), ('mrt_owner', 'read', 'events'), ('mrt_owner', 'dlq', '*.dlq') $$, 'the view, for the role');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.topic_grants WHERE role = 'mrt_owner'::regrole), 0::bigint, 'not for a stranger');

-- a new owner needs them himself; a grant to a group counts for its members
RESET ROLE;
GRANT SELECT, INSERT ON mrt.reading TO mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('q', owner => 'mrt_stranger') $$, '42501', 'role "mrt_stranger" is not allowed to read topic "a.b-c"', NULL, 'a new owner');
SELECT millrace.grant_topics('mrt_group', read => '{a.*}');
GRANT mrt_group TO mrt_stranger;
SELECT lives_ok($$ SELECT millrace.alter_pipeline('q', owner => 'mrt_stranger') $$, 'by a group');

-- revoked afterwards
SELECT is(pg_temp.served(), ARRAY['p,q', 'p'], 'ingestors and relays serve both');
SELECT is(millrace.revoke_topics('mrt_owner', dlq => '{*.dlq}'), 1, 'revoked');
SELECT is(pg_temp.served(), ARRAY['p,q', NULL], 'no dead letters go out');
SELECT results_eq($$ SELECT is_granted, error FROM millrace.dlqs WHERE pipeline = 'p' $$, $$ VALUES (false, 'role "mrt_owner" is not allowed to publish to it') $$, 'the view dlqs has the reason');
SELECT is(millrace.revoke_topics('mrt_owner'), 2, 'all that is left');
SELECT is(pg_temp.served(), ARRAY['q', NULL], 'the pipeline is not served');
SELECT results_eq($$ SELECT status, reason, hint FROM millrace.pipelines WHERE name = 'p' $$,
  $$ VALUES ('topic not granted', 'role "mrt_owner" is not allowed to read topic "events"', 'As a superuser: SELECT millrace.grant_topics(''mrt_owner'', read => ''{events}'');') $$,
  'and says why');
SELECT is((SELECT count(*) FROM millrace.doctor() WHERE what = 'pipeline "p": topic not granted'), 1::bigint, 'so does doctor');
REVOKE mrt_group FROM mrt_stranger;
SELECT is(pg_temp.served(), ARRAY[NULL, NULL]::text[], 'who leaves the group loses it');

-- workers of a role
SELECT millrace.grant_topics('mrt_owner', read => '{*}');
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT pg_temp.make('w', 'events', 'off', workers => 15) $$, 'as many workers as allowed');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'events', 'off') $$, '53400', 'pipelines of role "mrt_owner" would have 17 workers, expected at most 16', 'max_workers_per_role', 'and no more');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('w', workers => 16) $$, '53400', 'would have 17 workers', NULL, 'nor by a change');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('w', workers => 14), pg_temp.make('x', 'events', 'off') $$, 'others make room');
SELECT * FROM finish();
ROLLBACK;
