BEGIN;
\ir helper.psql
SELECT plan(10);

CREATE FUNCTION pg_temp.link(name text, topic text, dlq text) RETURNS integer LANGUAGE sql AS $$
  SELECT millrace.create_pipeline(name, topic => topic, dlq => dlq, target => 'mrt.reading', fields => 'id bigint', transform => 'SELECT event.id FROM event');
$$;
SET ROLE mrt_owner;
SELECT pg_temp.link('a', 'one', 'two');
SELECT pg_temp.refused($$ SELECT pg_temp.link('x', 'two', 'two') $$, '22023', 'dlq is "two", the topic the pipeline reads', 'two.dlq', 'a pipeline that reads its own');
SELECT pg_temp.refused($$ SELECT pg_temp.link('x', 'two', 'one') $$, '22023', 'dead letters in topic "one" would return to topic "two"', 'dlq => ''two.dlq''', 'two that read each other''s');
SELECT lives_ok($$ SELECT pg_temp.link('b', 'two', 'three') $$, 'a chain is none');
SELECT lives_ok($$ SELECT pg_temp.link('c', 'two', 'three') $$, 'nor are two beside each other');
SELECT pg_temp.refused($$ SELECT pg_temp.link('x', 'three', 'one') $$, '22023', 'dead letters in topic "one" would return to topic "three"', NULL, 'three in a circle');
SELECT lives_ok($$ SELECT pg_temp.link('d', 'three', 'off') $$, 'which one that is off interrupts');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('d', dlq => 'one') $$, '22023', 'would return to topic "three"', 'off', 'until it is on');
SELECT lives_ok($$ SELECT millrace.alter_pipeline('a', dlq => 'elsewhere'), millrace.alter_pipeline('d', dlq => 'one') $$, 'or the circle is open elsewhere');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('a', dlq => 'two') $$, '22023', 'dead letters in topic "two" would return to topic "one"', NULL, 'closed there');
SELECT lives_ok($$ SELECT pg_temp.link('e', 'elsewhere', 'graveyard') $$, 'a dead end');
SELECT * FROM finish();
ROLLBACK;
