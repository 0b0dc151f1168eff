-- What a server has too little of is judged from all pipelines together: each alone would have room.
BEGIN;
\ir helper.psql
SELECT CASE WHEN millrace._preloaded() THEN plan(17) ELSE plan(1) END;

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p' || i) FROM generate_series(1, 16) AS i;
RESET ROLE;
CREATE FUNCTION pg_temp.shortage(what text, OUT detail text, OUT command text) LANGUAGE sql AS $$
  SELECT s.detail, s.command FROM millrace._shortages() AS s WHERE s.what = shortage.what;
$$;
CREATE FUNCTION pg_temp.short() RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(s.what), '{}') FROM millrace._shortages() AS s;
$$;
-- locks there is room for
SELECT current_setting('max_locks_per_transaction')::bigint
       * sum(current_setting(s)::integer) AS locks
FROM unnest('{max_connections,max_worker_processes,autovacuum_max_workers,max_wal_senders,max_prepared_transactions}'::text[]) AS s \gset
SELECT current_setting('max_worker_processes')::integer AS processes, current_setting('max_connections')::integer AS connections,
       current_setting('millrace.max_lanes', true)::integer AS lanes, current_setting('millrace.max_workers', true)::integer AS entries,
       millrace._preloaded() AS preloaded \gset

SELECT is(pg_temp.short(), '{}', 'there is room for sixteen small pipelines');
\if :preloaded
-- no pipeline has more than half of what there is
UPDATE millrace.pipeline SET workers = :processes / 8;
SELECT is(pg_temp.short(), '{too few worker slots}', 'workers');
SELECT alike((pg_temp.shortage('too few worker slots')).detail, format('%%need %s workers%%', :processes / 8 * 16), 'how many there are');
UPDATE millrace.pipeline SET state = 'paused';
SELECT is(pg_temp.short(), '{}', 'not when they are paused');
UPDATE millrace.pipeline SET workers = :connections / 8;
SELECT is(pg_temp.short(), '{too few connections}', 'connections, which paused pipelines have, too');
SELECT alike((pg_temp.shortage('too few connections')).detail, format('%%opens %s connections%%', :connections / 8 * 16), 'how many');
UPDATE millrace.pipeline SET workers = :lanes / 8;
SELECT ok('too few staging lanes' = ANY (pg_temp.short()), 'lanes');
SELECT alike((pg_temp.shortage('too few staging lanes')).detail, format('%%need %s lanes%%', :lanes / 8 * 16), 'how many of them');
SELECT ok(NOT 'too little memory for workers' = ANY (pg_temp.short()), 'a paused pipeline has no workers');
UPDATE millrace.pipeline SET workers = :entries / 8, state = 'running';
SELECT alike((pg_temp.shortage('too little memory for workers')).detail, format('%%need %s workers%%millrace.max_workers = %s%%', :entries / 8 * 16, :entries), 'entries for workers');
SELECT is((pg_temp.shortage('too little memory for workers')).command,
          format('ALTER SYSTEM SET millrace.max_workers = %s; then restart the server', :entries / 8 * 16 * 2), 'and what helps');
-- a worker without an entry
UPDATE millrace.pipeline SET created_at = now() - interval '1 min';
SELECT is((SELECT ARRAY[p.status, p.reason] FROM millrace.pipelines AS p WHERE p.name = 'p1'), '{no worker,shared memory has no room for its worker}', 'a pipeline says so')
WHERE pg_postmaster_start_time() < now() - interval '10 s'
UNION ALL SELECT skip('the server is young') WHERE pg_postmaster_start_time() >= now() - interval '10 s';
UPDATE millrace.pipeline SET workers = 1;

SELECT is(pg_temp.short(), '{}', 'no locks are lacking');
UPDATE millrace.pipeline SET partitions = :locks / 16;
SELECT is(pg_temp.short(), '{too few locks}', 'all lanes are assigned at once when an ingestor starts');
SELECT is((pg_temp.shortage('too few locks')).command,
          format('ALTER SYSTEM SET max_locks_per_transaction = %s; then restart the server', 5 * current_setting('max_locks_per_transaction')::integer / 4 + 1),
          'a quarter is for others');
UPDATE millrace.pipeline SET partitions = :locks / 32;
SELECT is(pg_temp.short(), '{}', 'half of it is enough');
UPDATE millrace.pipeline SET partitions = CASE name WHEN 'p1' THEN :locks / 2 + 1 ELSE 0 END;
SELECT is(pg_temp.short(), '{too few locks}', 'a large one alone takes twice its partitions');
\endif
SELECT * FROM finish();
ROLLBACK;
