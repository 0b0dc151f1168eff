-- What the server has room for, and whether that is enough for the pipelines of this database.

CREATE FUNCTION millrace._capacity()
RETURNS TABLE (max_lanes integer, lanes_used integer, lanes_elsewhere integer, workers_elsewhere integer, databases integer,
               held boolean)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_capacity';
REVOKE ALL ON FUNCTION millrace._capacity() FROM PUBLIC;
COMMENT ON FUNCTION millrace._capacity() IS
'Internal: lanes of this server and how many of them have a writer, in all and in other databases; workers of other databases; databases with a supervisor; held: stop_workers() was called in this one. No row: not preloaded.';

-- Each ingestor opens a lane for each worker of a pipeline, paused or not, and a lane is a connection.
CREATE FUNCTION millrace._shortages() RETURNS TABLE (what text, detail text, command text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN QUERY
  WITH need AS (
    SELECT coalesce(sum(p.workers) FILTER (WHERE p.state = 'running'), 0) AS workers, coalesce(sum(p.workers), 0) AS lanes,
           coalesce(max(p.partitions), 0) AS partitions, coalesce(sum(p.partitions), 0) AS all_partitions
    FROM millrace.pipeline AS p WHERE p.instance = (SELECT millrace._instance())
  ), setting AS (
    SELECT current_setting('max_worker_processes')::integer AS processes,
           current_setting('millrace.max_workers', true)::integer AS workers, current_setting('max_connections')::integer AS connections,
           current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true), '0')::integer AS reserved,
           current_setting('max_locks_per_transaction')::integer AS locks
  ), lock AS (
    -- An assignment, a verb, the first wide batch of a lane lock all partitions of a pipeline; when an ingestor starts, all
    -- lanes of all pipelines are assigned at once. Others are to have some, too.
    SELECT greatest(2 * n.partitions, n.all_partitions + n.all_partitions / 4) AS needed FROM need AS n
  ), room AS (
    -- besides the launchers, millrace's and that of logical replication, and a supervisor for each database
    SELECT s.processes - 1 - greatest(c.databases, 1) - (current_setting('max_logical_replication_workers')::integer > 0)::integer AS workers,
           s.connections - s.reserved AS connections,
           -- transactions for which the lock table has room
           s.connections + s.processes + current_setting('autovacuum_max_workers')::integer + current_setting('max_wal_senders')::integer
           + current_setting('max_prepared_transactions')::integer AS transactions
    FROM setting AS s CROSS JOIN millrace._capacity() AS c
  )
  SELECT v.what, v.detail, v.command
  FROM need AS n CROSS JOIN lock AS k CROSS JOIN setting AS s CROSS JOIN room AS r CROSS JOIN millrace._capacity() AS c
  CROSS JOIN LATERAL (VALUES
    (1, n.workers + c.workers_elsewhere > r.workers, 'too few worker slots',
     format('Pipelines of this database need %s workers, those of other databases have %s, and max_worker_processes = %s leaves room for %s: workers of an owner share processes by turns.',
            n.workers, c.workers_elsewhere, s.processes, r.workers),
     format('ALTER SYSTEM SET max_worker_processes = %s; then restart the server', n.workers + c.workers_elsewhere + 8)),
    (2, n.workers + c.workers_elsewhere > s.workers, 'too little memory for workers',
     format('Pipelines of this database need %s workers, those of other databases have %s, and millrace.max_workers = %s is how many shared memory has room for.',
            n.workers, c.workers_elsewhere, s.workers),
     format('ALTER SYSTEM SET millrace.max_workers = %s; then restart the server', (n.workers + c.workers_elsewhere) * 2)),
    (3, n.lanes + c.lanes_elsewhere > c.max_lanes OR c.lanes_used >= c.max_lanes, 'too few staging lanes',
     format('Pipelines of this database need %s lanes for each ingestor; of millrace.max_lanes = %s are %s in use, %s of them by other databases.',
            n.lanes, c.max_lanes, c.lanes_used, c.lanes_elsewhere),
     format('ALTER SYSTEM SET millrace.max_lanes = %s; then restart the server', greatest(n.lanes + c.lanes_elsewhere, c.max_lanes) * 2)),
    (4, n.lanes + c.lanes_elsewhere + 3 > r.connections, 'too few connections',
     format('Each ingestor opens %s connections for the lanes of this database, those of other databases have %s, and max_connections = %s leaves room for %s.',
            n.lanes, c.lanes_elsewhere, s.connections, r.connections),
     format('ALTER SYSTEM SET max_connections = %s; then restart the server', n.lanes + c.lanes_elsewhere + s.reserved + 50)),
    (5, k.needed > s.locks * r.transactions, 'too few locks',
     format('Pipelines of this database have %s partitions, the largest %s, and a lock each; max_locks_per_transaction = %s leaves room for %s locks in all: transactions would fail with "out of shared memory".',
            n.all_partitions, n.partitions, s.locks, s.locks * r.transactions),
     format('ALTER SYSTEM SET max_locks_per_transaction = %s; then restart the server', k.needed / r.transactions + 1))
  ) AS v (rank, applies, what, detail, command)
  WHERE v.applies ORDER BY v.rank;
END $$;
REVOKE ALL ON FUNCTION millrace._shortages() FROM PUBLIC;
COMMENT ON FUNCTION millrace._shortages() IS 'Internal: what the server has too little of for the pipelines of this database, and the command that helps.';

-- For the verbs that make a pipeline need something.
CREATE FUNCTION millrace._warn_of_shortages(pipeline text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  s record;
BEGIN
  IF NOT millrace._preloaded() THEN
    PERFORM millrace._warn('not_preloaded', format('nothing runs pipeline "%s": millrace is not preloaded', pipeline), NULL,
                           'Add millrace to shared_preload_libraries in postgresql.conf and restart the server.');
  END IF;
  FOR s IN SELECT * FROM millrace._shortages() LOOP
    PERFORM millrace._warn('may_wait', format('pipeline "%s" may have to wait: %s', pipeline, s.what), s.detail, s.command || '.');
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._warn_of_shortages(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._warn_of_shortages(text) IS 'Internal: warns when there is too little room for the pipelines of this database.';
