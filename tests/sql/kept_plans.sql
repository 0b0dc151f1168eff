-- What is read every second is read by plans that the session keeps, and each reader still sees his own.
BEGIN;
\ir helper.psql
SELECT plan(14);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
RESET ROLE;
CREATE FUNCTION pg_temp.kept(text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT ident FROM pg_backend_memory_contexts WHERE name = 'CachedPlan' AND strpos(ident, $1) > 0
$$;
SELECT is_empty($$ SELECT pg_temp.kept('FROM millrace.stats_inline') $$, 'no plan of stats to begin with');
SELECT is_empty($$ SELECT pg_temp.kept('FROM millrace.stats_by_type WHERE metrics.source') $$, 'nor of metric');

SELECT count(*) FROM millrace.stats \gset
SELECT count(*) FROM millrace.metric \gset
SELECT isnt_empty($$ SELECT pg_temp.kept('FROM millrace.stats_inline') $$, 'the plan of stats is kept');
SELECT isnt_empty($$ SELECT pg_temp.kept('FROM millrace.stats_by_type WHERE metrics.source') $$, 'that of metric, too');
SELECT isnt_empty($$ SELECT pg_temp.kept('millrace._live_rates()') $$, 'what shared memory knows');
SELECT isnt_empty($$ SELECT pg_temp.kept('millrace._workers()') $$, 'and what the workers do');
SELECT is((SELECT count(*) FROM millrace.metric_source AS s CROSS JOIN LATERAL (SELECT count(*) FROM millrace.metrics(s.source)) AS m
           CROSS JOIN LATERAL pg_temp.kept('FROM millrace.stats_by_type WHERE metrics.source')),
          (SELECT count(*) FROM millrace.metric_source), 'one serves all sources');

-- and shared memory is read once
SET LOCAL track_functions = 'all';
CREATE FUNCTION pg_temp.live_reads(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := coalesce(pg_stat_get_xact_function_calls('millrace.live_status()'::regprocedure), 0);
BEGIN
  EXECUTE format('SELECT count(*) FROM (%s OFFSET 0) AS q', query);
  RETURN pg_stat_get_xact_function_calls('millrace.live_status()'::regprocedure) - before;
END $$;
SELECT is(pg_temp.live_reads('SELECT * FROM millrace.stats'), 1::bigint, 'stats reads it once');
SELECT is(pg_temp.live_reads('SELECT * FROM millrace.metric'), 1::bigint, 'and so does metric');
RESET track_functions;

-- The figures are those of the statement's snapshot: what the statement itself does, or another session meanwhile, is not in them.
SELECT millrace.add_partitions('p', 0, '{0}');
CREATE FUNCTION pg_temp.settle_one() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM millrace.pause('p');
  INSERT INTO millrace.progress (pipeline_id, partition, seq, next_offset, events, written, filtered, superseded, skipped, dead, rows, bytes, settled_at)
  SELECT p.id, 0, (SELECT max(seq) + 1 FROM millrace.progress AS g WHERE g.pipeline_id = p.id), 1, 1, 1, 0, 0, 0, 0, 1, 1, now()
  FROM millrace.pipeline AS p WHERE p.name = 'p';
  RETURN true;
END $$;
CREATE FUNCTION pg_temp.before_and_after(figure text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  before text; during text; after text;
BEGIN
  EXECUTE format('SELECT (%s)', figure) INTO before;
  BEGIN
    EXECUTE format('WITH one AS MATERIALIZED (SELECT pg_temp.settle_one() AS settled) SELECT (SELECT f.* FROM (%s) AS f WHERE one.settled) FROM one', figure) INTO during;
    EXECUTE format('SELECT (%s)', figure) INTO after;
    RAISE EXCEPTION SQLSTATE 'ZZ001';
  EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN concat_ws(' ', before, during, after);
  END;
END $$;
SELECT is(pg_temp.before_and_after($$ SELECT events FROM millrace.stats WHERE pipeline = 'p' $$), '0 0 1', 'stats is of one snapshot');
SELECT is(pg_temp.before_and_after($$ SELECT value FROM millrace.metric WHERE name = 'millrace_events_total' AND labels ->> 'pipeline' = 'p' $$),
          '0 0 1', 'and metric');
SELECT is(pg_temp.before_and_after($$ SELECT count(*) FROM millrace.doctor() WHERE severity = 'info' AND what LIKE '%paused%' $$), '0 0 1', 'and doctor()');

-- made as one role, run as another
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.stats) + (SELECT count(*) FROM millrace.metric), 0::bigint, 'a stranger sees nothing by the plans of another role');
SET ROLE mrt_member;
SELECT isnt((SELECT count(*) FROM millrace.stats WHERE pipeline = 'p') * (SELECT count(*) FROM millrace.metric WHERE labels ->> 'pipeline' = 'p'), 0::bigint,
            'and a member what is his');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
