-- Approximate aggregates of the extensions hll and tdigest: incremental, and within their error. Skipped where these are not installed.
BEGIN;
\ir helper.psql
SELECT no_plan();
SELECT count(*) = 2 AS installed FROM pg_available_extensions WHERE name IN ('hll', 'tdigest') \gset
\if :installed
CREATE SCHEMA "sketches %s";
CREATE EXTENSION hll SCHEMA "sketches %s";
CREATE EXTENSION tdigest SCHEMA "sketches %s";
GRANT USAGE ON SCHEMA "sketches %s" TO PUBLIC;
SELECT millrace.grant_topics('mrt_owner', output => '{closed}');
SET ROLE mrt_owner;
SET LOCAL search_path = mrt, public, "sketches %s";
SELECT pg_temp.pipeline('p');
SELECT millrace.alter_pipeline('p', search_path => 'mrt, public, "sketches %s"');
CREATE FUNCTION pg_temp.make(name text, aggregates text, more text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT millrace.create_window(%L, ''p'', event_time => ''at'', size => ''10 min'', group_by => ''{source}'', aggregates => %L%s)', name, aggregates, more);
  RETURN (SELECT w.kind FROM millrace.windows AS w WHERE w.name = make.name);
END $$;
SELECT is(pg_temp.make('distinct_values', 'count(*) AS n, #hll_add_agg(hll_hash_integer(value::integer)) AS about, hll_add_agg(hll_hash_integer(value::integer), 12) AS sketch'), 'incremental', 'distinct');
SELECT is(pg_temp.make('quantiles', 'tdigest_percentile(value, 100, 0.95) AS p95, tdigest_percentile(value, 200, ''{0.5,0.99}''::float8[]) FILTER (WHERE value >= 0) AS some, tdigest(value, 100) AS digest',
                       ', slide => ''5 min'', output_topic => ''closed'''), 'incremental', 'quantiles');
SELECT is(pg_temp.make('shares', 'tdigest_percentile_of(value, 100, 5000.0) AS below'), 'incremental', 'and the other way round');
-- what cannot be made of merged sketches is computed again, and needs an index; it is there
SELECT is(pg_temp.make('varying', 'tdigest_percentile(value, 100, value / 1e9) AS p'), 'recompute', 'a percentile that is no constant');
SELECT millrace.drop_window('varying');
RESET ROLE;

-- as batches would that have written these rows
CREATE SEQUENCE pg_temp.seq;
CREATE FUNCTION pg_temp.batch(low integer, high integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  INSERT INTO mrt.reading (id, source, at, value) SELECT i, (ARRAY['a', 'b'])[1 + i % 2], timestamptz '2026-01-01 00:00:00+00' + i * interval '0.1 s', i * 7919 % 10000 FROM generate_series(low, high) AS i;
  FOR w IN SELECT * FROM millrace.window_definition LOOP
    EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, nextval(''pg_temp.seq''), '
                   '(SELECT array_agg(ROW(0, q.*)::millrace._window_%1$s_folded) FROM (%2$s FROM (SELECT * FROM mrt.reading WHERE id BETWEEN %4$s AND %5$s) AS written %3$s) AS q)',
                   w.id, w.selects, w.grouped, low, high);
  END LOOP;
END $$;
SELECT pg_temp.batch(i * 1000, i * 1000 + 999) FROM generate_series(0, 19) AS i;
SET ROLE mrt_owner;
CREATE FUNCTION pg_temp.near() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT set_eq('SELECT window_start, source, about, hll_cardinality(sketch) FROM millrace.window_distinct_values', $q$
    SELECT date_bin('10 min', at, '2026-01-01 00:00:00+00'), source, #hll_add_agg(hll_hash_integer(value::integer)), hll_cardinality(hll_add_agg(hll_hash_integer(value::integer), 12)) FROM mrt.reading GROUP BY 1, 2 $q$,
    'distinct: what the aggregate gives over all rows')
  UNION ALL
  SELECT is_empty($q$ SELECT FROM millrace.window_distinct_values AS w WHERE abs(about - (SELECT count(DISTINCT value) FROM mrt.reading AS r WHERE r.at >= w.window_start AND r.at < w.window_end AND r.source = w.source)) > 0.05 * about $q$, 'which is near to it')
  UNION ALL
  SELECT is_empty($q$ SELECT w.* FROM millrace.window_quantiles AS w CROSS JOIN LATERAL (SELECT percentile_cont('{0.95,0.5,0.99}'::float8[]) WITHIN GROUP (ORDER BY value) AS p
    FROM mrt.reading AS r WHERE r.at >= w.window_start AND r.at < w.window_end AND r.source = w.source) AS r
    WHERE greatest(abs(w.p95 - r.p[1]), abs(w.some[1] - r.p[2]), abs(w.some[2] - r.p[3])) > 100 OR w.error IS NOT NULL $q$, 'quantiles: within a hundredth of the range, in sliding windows')
  UNION ALL
  SELECT is_empty($q$ SELECT FROM millrace.window_shares WHERE below NOT BETWEEN 0.48 AND 0.52 OR error IS NOT NULL $q$, 'shares, too');
$$;
SELECT isnt_empty('SELECT FROM millrace.window_quantiles', 'there are some');
SELECT * FROM pg_temp.near();
RESET ROLE;
SELECT bool_and(millrace._fold_window(w.id, true, true)) FROM millrace.window_definition AS w;
SELECT pg_temp.batch(i * 1000, i * 1000 + 999) FROM generate_series(20, 23) AS i;
SELECT bool_and(millrace._fold_window(w.id, true, true)) FROM millrace.window_definition AS w;
SELECT pg_temp.compact(w.name) FROM millrace.window_definition AS w;
SET ROLE mrt_owner;
SELECT * FROM pg_temp.near();
SELECT cmp_ok(millrace.rebuild_window('quantiles'), '>', 0::bigint, 'rebuilt');
SELECT * FROM pg_temp.near();
GRANT SELECT ON millrace.window_distinct_values, millrace.window_quantiles TO mrt_stranger;
SET ROLE mrt_stranger;
SELECT lives_ok('SELECT * FROM millrace.window_distinct_values, millrace.window_quantiles', 'others read them');
RESET ROLE;
INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
SELECT w.id, clock_timestamp(), '{0}', ARRAY[timestamptz '2026-01-02'], clock_timestamp(), '2026-01-02', '2026-01-01' FROM millrace.window_definition AS w WHERE w.name = 'quantiles';
SELECT lives_ok($$ SELECT millrace._publish_window(w.id, 100) FROM millrace.window_definition AS w WHERE w.name = 'quantiles' $$, 'published');
SELECT ok((SELECT bool_and((m ->> 'p95')::float8 > 0 AND m ->> 'error' IS NULL) FROM (SELECT convert_from(o.payload, 'UTF8')::jsonb AS m FROM millrace.window_output AS o) AS o), 'with their values');

-- a member that is no superuser's is not trusted
CREATE FUNCTION "sketches %s".hll_add_agg_step(state double precision, value text) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE AGGREGATE "sketches %s".hll_add_agg(value text) (SFUNC = "sketches %s".hll_add_agg_step, STYPE = double precision);
ALTER AGGREGATE "sketches %s".hll_add_agg(text) OWNER TO mrt_owner;
ALTER EXTENSION hll ADD AGGREGATE "sketches %s".hll_add_agg(text);
SET ROLE mrt_owner;
SELECT is(pg_temp.make('trap', 'hll_add_agg(source) AS s'), 'recompute', 'a member of the extension that is somebody''s own');
\else
SELECT skip('extensions hll and tdigest are not installed', 1);
\endif

SELECT * FROM finish();
ROLLBACK;
