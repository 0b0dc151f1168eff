-- Groups whose keys are null, of windows that are computed from the target: each is what GROUP BY makes of it, and is found by the index.
-- What a batch would note is noted here by hand.
BEGIN;
\ir helper.psql
SELECT plan(13);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
ALTER TABLE mrt.reading DROP CONSTRAINT reading_source_at_key;
CREATE INDEX ON mrt.reading (source, value, at);
INSERT INTO mrt.reading (id, source, value, at)
SELECT i, CASE WHEN i % 2 = 0 THEN 's' || i % 8 END, CASE WHEN i % 3 = 0 THEN i % 9 END, timestamptz '2026-01-01 00:00:00+00' + i / 6 * interval '7 s' FROM generate_series(1, 12000) AS i;
ANALYZE mrt.reading;
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', group_by => '{source,value}', aggregates => 'count(*) AS n, count(DISTINCT id) AS ids');
SELECT millrace.create_session_window('s', 'p', event_time => 'at', gap => '60 s', max_session => '10 min', group_by => '{source,value}', aggregates => 'count(*) AS n, min(id) AS first');
CREATE FUNCTION pg_temp.truth(OUT window_start timestamptz, OUT source text, OUT value double precision, OUT n bigint, OUT ids bigint) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT date_trunc('minute', at), source, value, count(*), count(DISTINCT id) FROM mrt.reading GROUP BY 1, 2, 3;
$$;
CREATE FUNCTION pg_temp.sessions(OUT window_start timestamptz, OUT source text, OUT value double precision, OUT n bigint, OUT first bigint) RETURNS SETOF record LANGUAGE sql AS $$
  SELECT min(at), source, value, count(*), min(id)
  FROM (SELECT *, CASE WHEN max(at) OVER r + interval '60 s' - min(at) OVER r > interval '10 min' THEN date_bin('10 min', at, '1900-01-01 00:00:00+00') END AS part
        FROM (SELECT *, count(*) FILTER (WHERE fresh) OVER (PARTITION BY source, value ORDER BY at) AS run
              FROM (SELECT *, (at - lag(at) OVER (PARTITION BY source, value ORDER BY at) < interval '60 s') IS NOT TRUE AS fresh FROM mrt.reading) AS t) AS t
        WINDOW r AS (PARTITION BY source, value, run)) AS t
  GROUP BY source, value, run, part;
$$;
SELECT set_eq('SELECT window_start, source, value, n, ids FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'what was there');
SELECT set_eq('SELECT window_start, source, value, n, first FROM millrace.window_s', 'SELECT * FROM pg_temp.sessions()', 'its sessions');
RESET ROLE;

CREATE FUNCTION pg_temp.note(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  FOR w IN SELECT * FROM millrace.window_definition LOOP
    EXECUTE format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 5, nextval(''millrace.window_seq''), '
                   '(SELECT array_agg(ROW(0, q.*)::millrace._window_%1$s_folded) FROM (%2$s FROM (SELECT * FROM mrt.reading WHERE id = ANY ($1)) AS written %3$s) AS q)',
                   w.id, w.selects, w.grouped) USING ids;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.read() RETURNS bigint LANGUAGE sql AS $$
  SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'mrt.reading'::regclass;
$$;
-- How many rows of the target that takes.
CREATE FUNCTION pg_temp.cost(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := pg_temp.read();
BEGIN
  EXECUTE statement;
  RETURN pg_temp.read() - before;
END $$;

-- one group of each kind: no key is null, one, the other one, both
INSERT INTO mrt.reading (id, source, value, at) VALUES (90006, 's6', 6, '2026-01-01 00:10:30+00'), (90007, NULL, 6, '2026-01-01 00:10:30+00'), (90008, 's2', NULL, '2026-01-01 00:10:30+00'), (90009, NULL, NULL, '2026-01-01 00:10:30+00');
SELECT pg_temp.note(ARRAY[n]) FROM generate_series(90006, 90009) AS n;
SELECT cmp_ok(pg_temp.cost('SELECT n FROM millrace.window_w'), '<', 1000::bigint, 'a reader finds groups by the index');
SELECT cmp_ok(pg_temp.cost('SELECT n FROM millrace.window_s'), '<', 4000::bigint, 'and sessions');
SELECT set_eq('SELECT window_start, source, value, n, ids FROM millrace.window_w', 'SELECT * FROM pg_temp.truth()', 'the reader has them');
SELECT set_eq('SELECT window_start, source, value, n, first FROM millrace.window_s', 'SELECT * FROM pg_temp.sessions()', 'and the sessions');
SELECT cmp_ok(pg_temp.cost($$ SELECT millrace._fold_window(d.id, true, true) FROM millrace.window_definition AS d WHERE d.name = 'w' $$), '<', 1000::bigint, 'a fold finds groups by the index');
SELECT cmp_ok(pg_temp.cost($$ SELECT millrace._fold_window(d.id, true, true) FROM millrace.window_definition AS d WHERE d.name = 's' $$), '<', 4000::bigint, 'and sessions');
SELECT set_eq('SELECT window_start, source, value, n, ids FROM millrace.window_w_folded', 'SELECT * FROM pg_temp.truth()', 'it has them');
SELECT set_eq('SELECT window_start, source, value, n, first FROM millrace.window_s_folded', 'SELECT * FROM pg_temp.sessions()', 'and the sessions');

-- more kinds than are planned one by one
SELECT is((SELECT count(*) FROM regexp_matches(millrace._by_null_pattern(w, 'x%s%s', 'c', ARRAY(SELECT 'p' || i FROM generate_series(1, n) AS i)), 'x', 'g')), LEAST(n, CASE WHEN n > 32 THEN 2 ELSE n END)::bigint, n || ' kinds')
FROM millrace.window_definition AS w CROSS JOIN unnest(ARRAY[1, 32, 33]) AS n WHERE w.name = 'w';
SELECT * FROM finish();
ROLLBACK;
