-- dry_run() and explain(): they keep to the statement_timeout of the session that calls them, say why a row is refused as
-- PostgreSQL does, and leave SQLSTATEs of the user's functions alone.
BEGIN;
\ir helper.psql
SELECT plan(32);

SET ROLE mrt_owner;
CREATE FUNCTION pg_temp.made(pipeline text, sleep text, timeout interval) RETURNS integer LANGUAGE sql AS $$
  SELECT millrace.create_pipeline(pipeline, topic => 'events', target => 'mrt.reading', fields => 'id bigint',
                                  transform => format('SELECT event.id FROM event WHERE pg_sleep(%s) IS NOT NULL', sleep),
                                  statement_timeout => timeout);
$$;
CREATE FUNCTION pg_temp.end_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'completed';
EXCEPTION WHEN query_canceled THEN
  RETURN sqlerrm;
END $$;

-- A limit of the session, and one of the pipeline.
SELECT pg_temp.made('slow', '2', '60 s'), pg_temp.made('bounded', '20', '100 ms');
SET LOCAL statement_timeout = '500 ms';
SELECT is(pg_temp.end_of($$SELECT FROM millrace.dry_run('slow', ARRAY['{"id": 1}'])$$),
          'canceling statement due to statement timeout', 'a limit of the session that ends first ends the call');
SET LOCAL statement_timeout = '2 s';
SELECT is(array_agg(d.sqlstate), ARRAY['57014'], 'a limit of the pipeline that ends first fails the event')
FROM millrace.dry_run('bounded', ARRAY['{"id": 1}']) AS d;
SELECT is(pg_temp.end_of($$SELECT FROM millrace.dry_run('bounded', ARRAY['{"id": 1}']); SELECT pg_sleep(10)$$),
          'canceling statement due to statement timeout', 'and that of the session is in force again behind it');
SET LOCAL statement_timeout = 0;
SELECT is(pg_temp.end_of($$SELECT FROM millrace.dry_run('bounded', ARRAY['{"id": 1}']); SELECT pg_sleep(0.5)$$),
          'completed', 'no limit of the session is none behind it');

-- The detail of a row that is refused without an exception is that of PostgreSQL, which refuses it with one.
CREATE TABLE mrt.strict (id bigint, "a Name" text NOT NULL, at date DEFAULT '2020-02-02', gone int, extra text DEFAULT 'd' CHECK (extra <> 'd' OR id < 9));
ALTER TABLE mrt.strict DROP COLUMN gone;
CREATE FUNCTION pg_temp.detail(id bigint, name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  INSERT INTO mrt.strict (id, "a Name") VALUES (id, name);
  RETURN 'none';
EXCEPTION WHEN integrity_constraint_violation THEN
  GET STACKED DIAGNOSTICS found = PG_EXCEPTION_DETAIL;
  RETURN found;
END $$;
SELECT millrace.create_pipeline('strict', topic => 'events', target => 'mrt.strict', fields => 'id bigint, name text',
                                transform => 'SELECT event.id, event.name AS "a Name" FROM event');
SELECT is(d.detail, pg_temp.detail(9, repeat('ä', 100)), 'CHECK: ' || d.detail)
FROM millrace.dry_run('strict', ARRAY[json_build_object('id', 9, 'name', repeat('ä', 100))::text]) AS d;
SELECT is(d.detail, 'Failing row contains (id, a Name) = (1, null).', 'NOT NULL: the columns that the transform gives')
FROM millrace.dry_run('strict', ARRAY['{"id": 1}']) AS d;
ALTER TABLE mrt.strict ALTER COLUMN at SET DEFAULT nullif('2020-02-02', '2020-02-02')::date, ALTER COLUMN at SET NOT NULL;
SELECT is(d.detail, pg_temp.detail(2, 'x'), 'NOT NULL of a column it does not give: ' || d.detail)
FROM millrace.dry_run('strict', ARRAY['{"id": 2, "name": "x"}']) AS d;
-- The owner of a pipeline may only insert: it does not see what it may not read.
RESET ROLE;
ALTER TABLE mrt.strict OWNER TO CURRENT_USER;
GRANT INSERT ON mrt.strict TO mrt_owner;
SET ROLE mrt_owner;
SELECT is(d.detail, pg_temp.detail(3, 'y'), 'without SELECT: ' || d.detail)
FROM millrace.dry_run('strict', ARRAY['{"id": 3, "name": "y"}']) AS d;

-- Rows are bounded in bytes (millrace.batch_memory), those of an event and those of all.
CREATE TABLE mrt.wide (v text);
SELECT millrace.create_pipeline('wide', topic => 'events', target => 'mrt.wide', fields => 'n int',
                                transform => 'SELECT repeat(''x'', event.n * 1000000) AS v FROM event');
SELECT is(array_agg(coalesce(d.sqlstate || ' ' || d.message, d.outcome)), ARRAY['written', '54000 the event gives more than 65536 kB of rows'], 'an event')
FROM millrace.dry_run('wide', ARRAY['{"n": 1}', '{"n": 70}']) AS d;
SELECT pg_temp.refused($$SELECT millrace.dry_run('wide', ARRAY['{"n": 40}', '{"n": 40}'])$$, '54000', 'the events give more than 65536 kB of rows',
                       'millrace.batch_memory', 'all of them');

-- And in their number.
SELECT millrace.create_pipeline('single', topic => 'events', target => 'mrt.wide', fields => 'n int', rows_per_event => 1,
                                transform => 'SELECT event.n::text AS v FROM event CROSS JOIN generate_series(1, event.n)');
SELECT is(array_agg(coalesce(d.sqlstate || ' ' || d.message, d.outcome)), ARRAY['written', '54000 the event gives more than 1 row'], 'one row')
FROM millrace.dry_run('single', ARRAY['{"n": 1}', '{"n": 2}']) AS d;

-- A CHECK that names the table: of a new row, and of one that is replaced.
CREATE TABLE mrt.itself (id bigint PRIMARY KEY, v text);
ALTER TABLE mrt.itself ADD CHECK (tableoid = 'mrt.itself'::regclass);
INSERT INTO mrt.itself VALUES (1, 'old');
SELECT millrace.create_pipeline(name, topic => 'events', target => 'mrt.itself', fields => 'id bigint, v text', transform => 'SELECT id, v FROM event',
                                on_conflict => rule, conflict_key => CASE rule WHEN 'update' THEN '{id}'::text[] END)
FROM (VALUES ('itself', 'error'), ('itself_replaced', 'update')) AS p (name, rule);
SELECT is(array_agg(coalesce(d.message, d.outcome)), '{written,written}', 'CHECK of the table itself')
FROM millrace.dry_run('itself', ARRAY['{"id": 2, "v": "new"}', '{"id": 3, "v": "new"}']) AS d;
SELECT is(array_agg(coalesce(d.message, d.outcome)), '{written,written}', 'and of a row that is replaced')
FROM millrace.dry_run('itself_replaced', ARRAY['{"id": 1, "v": "new"}', '{"id": 2, "v": "new"}']) AS d;

-- What explain() calls takes no rows for lines that are none: numbers of a second statement would be read as places in memory.
DECLARE numbers CURSOR FOR SELECT 4096::bigint;
SELECT pg_temp.refused($$ SELECT millrace.explain_query('SELECT 1; FETCH numbers', false, 'pg_catalog') $$, '22023', 'query must be a single statement',
                       'millrace.explain(', 'a second statement');

-- MR000 is how explain() undoes what it ran.
CREATE FUNCTION mrt.raises(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine' USING ERRCODE = 'MR000'; END $$;
SELECT millrace.create_pipeline('raises', topic => 'events', target => 'mrt.reading', fields => 'id bigint',
                                transform => 'SELECT mrt.raises(event.id) AS id FROM event');
SELECT throws_ok($$SELECT millrace.explain('raises', true, ARRAY['{"id": 1}'])$$, 'MR000', 'mine', 'an MR000 of the transform is raised');
SELECT is(array_agg(d.sqlstate), ARRAY['MR000'], 'and fails an event') FROM millrace.dry_run('raises', ARRAY['{"id": 1}']) AS d;

-- In a session that has become the owner, SQL of the owner does not get back to the session's role, and leaves nothing that it would run.
CREATE FUNCTION mrt.does(command text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN 1; END $$;
SELECT millrace.create_pipeline('does', topic => 'events', target => 'mrt.reading', fields => 'command text',
                                transform => 'SELECT mrt.does(event.command) AS id FROM event');
CREATE FUNCTION pg_temp.state_of(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT coalesce(d.sqlstate, d.outcome) FROM millrace.dry_run('does', ARRAY[json_build_object('command', command)::text]) AS d);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN sqlstate;
END $$;
SELECT is(array_agg(pg_temp.state_of(c.command)), ARRAY['42501', '42501', '42501', 'written'], 'no other role, no statement that stays')
FROM unnest(ARRAY['RESET ROLE', 'PREPARE stays AS SELECT 1', 'DEALLOCATE ALL', 'SELECT 1']) AS c (command);
SELECT is_empty($$ SELECT FROM pg_prepared_statements WHERE name = 'stays' $$, 'and none is there');
SELECT throws_ok(format($$SELECT millrace.explain('does', true, ARRAY[%L])$$, json_build_object('command', c.command)), '42501', NULL,
                 'explain(analyze) neither: ' || c.command)
FROM unnest(ARRAY['RESET ROLE', 'PREPARE stays AS SELECT 1', 'DEALLOCATE ALL']) AS c (command);
SELECT isnt_empty($$SELECT millrace.explain('does', true, ARRAY['{"command": "SELECT 1"}'])$$, 'what keeps to the role is explained');
-- An immutable function is run when the plan is made.
CREATE FUNCTION mrt.made() RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN IF current_setting('application_name') = 'trap' THEN PERFORM set_config('role', 'none', true); END IF; RETURN 1; END $$;
SELECT millrace.create_pipeline('made', topic => 'events', target => 'mrt.reading', fields => 'n bigint', transform => 'SELECT mrt.made() AS id FROM event');
SELECT millrace.create_pipeline('folded', topic => 'events', target => 'mrt.reading', fields => 'n bigint DEFAULT mrt.made()', transform => 'SELECT n AS id FROM event');
SET LOCAL application_name = 'trap';
SELECT throws_ok($$SELECT millrace.explain('made')$$, '42501', NULL, 'nor does a plan');
SELECT throws_ok(format('SELECT millrace.%s', c.call), '42501', NULL, 'nor a DEFAULT: ' || c.call)
FROM unnest(ARRAY['explain(''folded'')', 'input_fields(''folded'')', 'output_columns(''folded'')', 'decode(''n bigint DEFAULT mrt.made()'', ''{}'')']) AS c (call);
RESET application_name;

-- What a value means, also in expressions of the transform, is the definition's; a session that would read and show it otherwise.
RESET ROLE;
CREATE TABLE mrt.read_so (id bigint, day date, at timestamptz, cast_day date, cast_at timestamptz, shown text);
ALTER TABLE mrt.read_so OWNER TO mrt_owner;
SET ROLE mrt_owner;
SELECT millrace.create_pipeline('read_so', topic => 'events', target => 'mrt.read_so', fields => 'id bigint, day date, at timestamptz, took interval, text text, b bytea, x float8',
  transform => $$ SELECT id, day, at, text::date AS cast_day, '2026-05-03 10:00'::timestamptz AS cast_at,
                         concat_ws(' ', at, day, took, b, x, 1234.5::money, to_char(at, 'TZ HH24'), to_char(1234.5, '9G999D9')) AS shown FROM event $$,
  date_order => 'DMY', time_zone => 'Europe/Berlin', epoch => 's');
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL datestyle = 'German, MDY';
SET LOCAL intervalstyle = 'iso_8601';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = -10;
SELECT is(d.rows, '[{"id": 1, "day": "2026-05-03", "at": "2026-01-01T01:00:00+01:00", "cast_day": "2026-05-03", "cast_at": "2026-05-03T10:00:00+02:00",
  "shown": "2026-01-01 01:00:00+01 2026-05-03 1 day 02:00:00 \\x61 0.30000000000000004 $1,234.50 CET 01  1,234.5"}]'::jsonb, 'read and shown by the definition')
FROM millrace.dry_run('read_so', ARRAY['{"id": 1, "day": "03/05/2026", "at": 1767225600, "took": "P1DT2H", "text": "3.5.2026", "b": "YQ==", "x": 0.30000000000000004}']) AS d;
SELECT is(d.hint, 'Casts read dates by date_order of the pipeline; to_date() and to_timestamp() take a pattern, as in to_date(event.day, ''DD/MM/YYYY'').', 'a hint that can be followed')
FROM millrace.dry_run('read_so', ARRAY['{"id": 1, "text": "11/25/2026"}']) AS d;
SELECT is(current_setting('timezone') || ' ' || current_setting('datestyle'), 'Asia/Tokyo German, MDY', 'the session stays as it was');
SELECT isnt_empty($$ SELECT millrace.explain('read_so', true, ARRAY['{"id": 1, "day": "25/11/2026", "at": 1767225600}']) $$, 'explain() reads so, too');
SELECT is(current_setting('timezone') || ' ' || current_setting('datestyle'), 'Asia/Tokyo German, MDY', 'and leaves the session alone');

SELECT * FROM finish();
ROLLBACK;
