-- What is read every second is read by plans that the session keeps, and each reader still sees his own.
BEGIN;
\ir helper.psql
SELECT plan(9);

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

-- made as one role, run as another
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.stats) + (SELECT count(*) FROM millrace.metric), 0::bigint, 'a stranger sees nothing by the plans of another role');
SET ROLE mrt_member;
SELECT isnt((SELECT count(*) FROM millrace.stats WHERE pipeline = 'p') * (SELECT count(*) FROM millrace.metric WHERE labels ->> 'pipeline' = 'p'), 0::bigint,
            'and a member what is his');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
