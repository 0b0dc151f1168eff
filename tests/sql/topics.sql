BEGIN;
\ir helper.psql
SELECT plan(61);
SELECT millrace.revoke_topics('mrt_owner', read => '{*}'), millrace.grant_topics('mrt_owner', read => '{t.*,a,b}');

CREATE FUNCTION pg_temp.make(name text, topic text, dlq text DEFAULT NULL, start_at text DEFAULT 'earliest') RETURNS integer LANGUAGE sql AS $$
  SELECT millrace.create_pipeline(name, topic => topic, dlq => dlq, start_at => start_at, target => 'mrt.reading', fields => 'id bigint',
                                  transform => 'SELECT event.id FROM event');
$$;
CREATE FUNCTION pg_temp.served(name text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', topics, '| late ' || late_topics) FROM millrace.ingestor_pipelines() WHERE pipeline = name;
$$;

-- what the argument may be
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', '^t\.(') $$, '2201B', 'topic pattern "^t\.(" is not valid: ', 'topic => ''^sensors\..*''', 'a broken regular expression');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'a,b c') $$, '42602', 'topic "b c" is not a valid', NULL, 'a wrong name in a list');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'a,,b') $$, '42602', 'topic "" is not a valid', NULL, 'an empty one');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'a, b,a') $$, '22023', 'topic "a" is in the list twice', NULL, 'one twice');
SELECT pg_temp.refused(format($$ SELECT pg_temp.make('x', %L) $$, '^' || repeat('t', 1000)), '22023', 'has 1001 characters', NULL, 'a pattern without end');
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', 'a,payments,b,salaries') $$, '42501', 'not allowed to read topic "payments"',
                       'read => ''{payments,salaries}''', 'each of a list is granted');
SELECT lives_ok($$ SELECT pg_temp.make('list', ' b , a ') $$, 'a list');
SELECT lives_ok($$ SELECT pg_temp.make('pattern', '^t\.') $$, 'a pattern');
SELECT results_eq($$ SELECT name, topic, dlq FROM millrace.pipelines ORDER BY name $$,
  $$ VALUES ('list', 'b,a', 'list.dlq'), ('pattern', '^t\.', 'pattern.dlq') $$, 'the DLQ has the name of the pipeline');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('list', dlq => 'a') $$, '22023', 'dlq is "a", a topic the pipeline reads', 'list.dlq', 'not one of its own');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('list', topic => 'a,b') $$, '0A000', 'the topic of pipeline "list" cannot be changed', NULL, 'another list');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('list', topic => 'b, a', workers => 2) $$, 'the same');
RESET ROLE;
CREATE ROLE mrt_nobody LOGIN;
GRANT INSERT ON mrt.reading TO mrt_nobody;
GRANT USAGE ON SCHEMA mrt TO mrt_nobody;
SELECT millrace.grant_topics('mrt_nobody', dlq => '{*}');
SET ROLE mrt_nobody;
SELECT pg_temp.refused($$ SELECT pg_temp.make('x', '^t\.') $$, '42501', 'role "mrt_nobody" is not allowed to read any topic', 'grant_topics(', 'a pattern wants some grant');

-- what there is
SET ROLE mrt_ingestor;
SELECT is(pg_temp.served('list'), 'a,b', 'a list is served at once');
SELECT is(pg_temp.served('pattern'), '', 'and a pattern, though it matches nothing yet');
SELECT is(millrace.report_topics('list', '{a,c}'), 0, 'a list is what it is');
SELECT is(millrace.report_topics('pattern', '{a,t.1,t.2,xt.3,t.4/,pattern.dlq,__t.5}'), 2, 'two match');
SELECT is(millrace.report_topics('pattern', '{a,t.1,t.2}'), 0, 'nothing new');
SELECT is(pg_temp.served('pattern'), 't.1,t.2', 'they are served');
SELECT is(millrace.report_topics('pattern', '{t.2,t.3}'), 2, 'one is gone, one is new');
SELECT is(pg_temp.served('pattern'), 't.2,t.3 | late t.3', 'one that appears later begins at its beginning');
SELECT is(millrace.report_topics('pattern', '{t.1,t.2,t.3}'), 1, 'it is back');
SELECT pg_temp.refused($$ SELECT millrace.report_topics('nix', '{}') $$, '42704', 'runs no pipeline "nix"', NULL, 'unknown pipeline');
SELECT pg_temp.refused($$ SELECT millrace.report_topics('pattern', NULL) $$, '22004', 'topics', NULL, 'null');

-- Kafka's own, and topics with dead letters, whichever pipeline's and whenever
RESET ROLE;
SELECT millrace.grant_topics('mrt_owner', read => '{*}');
SET ROLE mrt_owner;
SELECT pg_temp.make('all', '^');
SELECT pg_temp.make('one', 'a', 'letters'), millrace.alter_pipeline('one', dlq => 'letters.new');
SELECT pg_temp.make('short', 'b', 'letters.short'), millrace.drop_pipeline('short');
SET ROLE mrt_ingestor;
SELECT is(millrace.report_topics('all', '{a,__consumer_offsets,__transaction_state,_schemas,list.dlq,pattern.dlq,all.dlq,letters,letters.new,letters.short}'), 2, 'the rest is no events');
SELECT is(pg_temp.served('all'), '_schemas,a', 'but a name with one underscore is as good as any');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('all', dlq => 'a') $$, '22023', 'dlq is "a", a topic the pipeline reads', NULL, 'what it has matched is its source');
SELECT pg_temp.refused($$ SELECT pg_temp.make('loop', 'all.dlq', '_schemas') $$, '22023', 'dead letters in topic "_schemas" would return to topic "all.dlq"', NULL, 'a loop through a pattern');

-- grants of what a pattern has matched
RESET ROLE;
SELECT millrace.revoke_topics('mrt_owner', read => '{*}');
SELECT is(pg_temp.served('pattern'), 't.1,t.2,t.3 | late t.3', 'granted');
SELECT millrace.revoke_topics('mrt_owner', read => '{t.*}'), millrace.grant_topics('mrt_owner', read => '{t.2}');
SELECT is(pg_temp.served('pattern'), 't.2', 'the others are not read');
SELECT results_eq($$ SELECT topic, is_granted FROM millrace.topics WHERE pipeline = 'pattern' $$, $$ VALUES ('t.1', false), ('t.2', true), ('t.3', false) $$, 'the view topics shows it');
SELECT is((SELECT array_agg(command) FROM millrace.doctor() WHERE what LIKE 'pipeline "pattern": 2 of its topics are not granted'),
          ARRAY['as a superuser: SELECT millrace.grant_topics(''mrt_owner'', read => ''{t.1,t.3}'');'], 'doctor() names them');
SELECT millrace.revoke_topics('mrt_owner', read => '{a}');
SELECT is(pg_temp.served('list'), 'b', 'of a list likewise');
SELECT millrace.revoke_topics('mrt_owner', read => '{b}');
SELECT is(pg_temp.served('list'), NULL, 'none is left');
SELECT is((SELECT status || ': ' || hint FROM millrace.pipelines WHERE name = 'list'),
          CASE WHEN millrace._preloaded() THEN 'topic not granted: As a superuser: SELECT millrace.grant_topics(''mrt_owner'', read => ''{a,b}'');' END, 'its status');
SELECT millrace.grant_topics('mrt_owner', read => '{*}');

-- partitions
SET ROLE mrt_ingestor;
SELECT is(millrace.add_topic_partitions('list', 'b', 0, '{5,0}'), 2, 'two of one');
SELECT is(millrace.add_topic_partitions('list', 'a', 0, '{7}'), 3, 'one of the other');
SELECT is(millrace.add_topic_partitions('list', 'b', 0, '{5,0}'), 3, 'another ingestor, late: they are there');
SELECT is(millrace.add_topic_partitions('list', 'b', 1, '{0,9}'), 4, 'one more of the first');
SELECT pg_temp.refused($$ SELECT millrace.add_topic_partitions('list', 'a', 2, '{0}') $$, 'MR003', 'has 1 partitions of topic "a"', 'topic_partitions', 'too many known');
SELECT pg_temp.refused($$ SELECT millrace.add_topic_partitions('list', 'c', 0, '{0}') $$, 'MR003', 'does not read topic "c"', NULL, 'not its topic');
SELECT pg_temp.refused($$ SELECT millrace.add_topic_partitions('one', 'a', 0, '{0}') $$, 'MR003', 'does not read topic "a" among several', NULL, 'it has one topic');
SELECT pg_temp.refused($$ SELECT millrace.add_topic_partitions('list', 'a', 1, '{-1}') $$, '22023', 'negative', NULL, 'no offset');
SELECT results_eq($$ SELECT * FROM millrace.topic_partitions('list') $$, $$ VALUES (0, 'b', 0), (1, 'b', 1), (2, 'a', 0), (3, 'b', 2) $$, 'numbered as they were found');
SELECT results_eq($$ SELECT partition FROM millrace.topic_partitions('list', 3) $$, $$ VALUES (3) $$, 'from a number on');
SELECT is((SELECT count(*) FROM millrace.topic_partitions('one')), 0::bigint, 'one topic needs none');
SELECT millrace.report_watermarks('list', '{0,1,2,3}', '{10,20,30,40}');
RESET ROLE;
SELECT results_eq($$ SELECT topic, partition, next_offset FROM millrace.partitions WHERE pipeline = 'list' $$,
  $$ VALUES ('a', 0, 7::bigint), ('b', 0, 5), ('b', 1, 0), ('b', 2, 9) $$, 'views show what Kafka calls them');
SELECT results_eq($$ SELECT topic, partition, lag FROM millrace.lag WHERE pipeline = 'list' $$, $$ VALUES ('a', 0, 23::bigint), ('b', 0, 5), ('b', 1, 20), ('b', 2, 31) $$, 'so does the lag');
SELECT results_eq($$ SELECT topic, partitions FROM millrace.topics WHERE pipeline = 'list' $$, $$ VALUES ('a', 1), ('b', 3) $$, 'and how many there are');

-- the verbs
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.skip_to('list', 0, 8) $$, '22023', 'partition 0 of which topic of pipeline "list"?', 'topic =>', 'which topic?');
SELECT pg_temp.refused($$ SELECT millrace.rewind('list', 0, partition => 1) $$, '22023', 'partition 1 of which topic', NULL, 'likewise');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('list', 1, 8, 'a') $$, '42704', 'pipeline "list" has no partition 1 of topic "a"', '0 to 0', 'no such partition');
SELECT pg_temp.refused($$ SELECT millrace.rewind('list', 0, topic => 'c', allow_duplicates => true) $$, '42704', 'pipeline "list" has no topic "c"', NULL, 'no such topic');
SELECT pg_temp.refused($$ SELECT millrace.skip_to('list', 2, 8, 'b') $$, '22023', 'offset 8 is behind partition 2 of topic "b", whose position is 9',
                       'SELECT millrace.rewind(''list'', "offset" => 8, topic => ''b'', partition => 2, allow_duplicates => true);', 'the hint names it');
SELECT is(millrace.skip_to('list', 2, 12, 'b'), 3::bigint, 'skipped');
SELECT is(millrace.rewind('list', 3, topic => 'b', allow_duplicates => true), 2, 'back, of one topic where it is behind');
SELECT results_eq($$ SELECT topic, partition, verb, from_offset, to_offset FROM millrace.position_changes WHERE verb <> 'start' ORDER BY at $$,
  $$ VALUES ('b', 2, 'skip_to', 9::bigint, 12::bigint), ('b', 0, 'rewind', 5, 3), ('b', 2, 'rewind', 12, 3) $$, 'recorded');
SELECT is((SELECT status FROM millrace.event_status('b', 2, 35)), 'pending', 'an event by its topic');
SELECT is((SELECT string_agg(pipeline, ',') FROM millrace.event_status('a', 0, 0)), 'all,list,one', 'in each pipeline that reads it');
SELECT lives_ok($$ SELECT millrace.drop_pipeline('list') $$, 'dropped');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.topic_partition), 0::bigint, 'with its numbers');
SELECT * FROM finish();
ROLLBACK;
