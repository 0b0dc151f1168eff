BEGIN;
\ir helper.psql
SELECT plan(6);

SET ROLE mrt_owner;
SELECT pg_temp.refused('SELECT millrace.stop_workers()', '42501', 'must be owner of database', 'millrace.pause', 'stop: for the database''s owner');
SELECT pg_temp.refused('SELECT millrace.start_workers()', '42501', 'must be owner of database', NULL, 'start: for the database''s owner');
RESET ROLE;
SELECT lives_ok('SELECT millrace.stop_workers()', 'stop');
SELECT is((SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type ~ '^millrace'), 0::bigint,
          'nobody of ours is connected');
SELECT lives_ok('SELECT millrace.stop_workers()', 'stop again');
SELECT lives_ok('SELECT millrace.start_workers()', 'start');

SELECT * FROM finish();
ROLLBACK;
