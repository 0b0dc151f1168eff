-- What is asked for again and again (by ingestors every two seconds, by exporters, by people) looks at each pipeline once,
-- however many there are. Looks are counted, not time: a view that has a part for each pipeline, and is joined, is run for
-- each pairing of two pipelines when the planner expects one.
BEGIN;
\ir helper.psql
SELECT plan(7);

CREATE FUNCTION pg_temp.pipelines(first integer, last integer) RETURNS void LANGUAGE sql AS $$
  SELECT millrace.create_pipeline('s' || i, topic => 'events', dlq => 'events.dlq', target => 'mrt.reading', fields => 'id bigint, at timestamptz',
                                  transform => 'SELECT event.id, event.at FROM event')
  FROM generate_series(first, last) AS i;
  SELECT millrace.create_window('w' || i, 's' || i, event_time => 'at', size => '1 min', aggregates => 'count(*) AS n')
  FROM generate_series(first, last) AS i;
$$;
-- Each has two partitions, an ingestor, and trouble of most kinds: so that all parts of the views have something to do.
CREATE FUNCTION pg_temp.trouble(first integer, last integer) RETURNS void LANGUAGE sql AS $$
  SELECT millrace.add_partitions('s' || i, 0, '{0,0}'), millrace.report_watermarks('s' || i, '{0,1}', '{9,9}'),
         millrace.report('s' || i, '{"lane_error": "too many clients", "relay_error": "no", "retention_ms": 1000}')
  FROM generate_series(first, last) AS i;
  INSERT INTO millrace.ingestor_presence
  SELECT gen_random_uuid(), p.id, pg_backend_pid(), now(), 'refused', 'start it', 'a lane', now()
  FROM millrace.pipeline AS p, generate_series(first, last) AS i WHERE p.name = 's' || i;
  INSERT INTO millrace.dead_letter (pipeline_id, version, topic, partition, "offset", stage, sqlstate, message, failed_at)
  SELECT p.id, 1, 'events', 0, 1, 'write', '23505', 'no', now() - interval '1 h'
  FROM millrace.pipeline AS p, generate_series(first, last) AS i WHERE p.name = 's' || i;
  INSERT INTO millrace.retry (pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at)
  SELECT p.id, 1, 'events', 0, 2, -1, 0, 1, now() - interval '1 h', now() - interval '1 h'
  FROM millrace.pipeline AS p, generate_series(first, last) AS i WHERE p.name = 's' || i;
  INSERT INTO millrace.breaker (pipeline_id, kind, state, since)
  SELECT p.id, 'retry', 'open', now() FROM millrace.pipeline AS p, generate_series(first, last) AS i WHERE p.name = 's' || i;
  UPDATE millrace.pipeline_version SET ordering = 'key' WHERE ordering <> 'key';
  UPDATE millrace.partition SET state = 'stopped', error = 'no' WHERE partition = 1 AND state <> 'stopped';
$$;

CREATE FUNCTION pg_temp.looks(relation text) RETURNS bigint LANGUAGE sql AS $$
  SELECT sum(pg_stat_get_xact_numscans(c.oid))::bigint FROM pg_class AS c
  WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'i')
        AND (relation IS NULL OR c.oid = relation::regclass OR c.oid IN (SELECT i.indexrelid FROM pg_index AS i WHERE i.indrelid = relation::regclass));
$$;
-- At these tables, a bitmap scan counts for the index and for the table; of all: null.
CREATE FUNCTION pg_temp.looks_of(query text, relation text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := pg_temp.looks(relation);
BEGIN
  EXECUTE format('SELECT count(*) FROM (%s OFFSET 0) AS q', query);
  RETURN pg_temp.looks(relation) - before;
END $$;

CREATE TABLE pg_temp.cost (query text, pipelines integer, looks bigint);
CREATE FUNCTION pg_temp.measure(pipelines integer) RETURNS void LANGUAGE sql AS $$
  INSERT INTO pg_temp.cost
  SELECT q.query, pipelines, pg_temp.looks_of(q.query)
  FROM (SELECT 'SELECT * FROM ' || c.oid::regclass::text
        FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'millrace'
        WHERE c.relkind = 'v'
        UNION ALL
        VALUES ('SELECT * FROM millrace.doctor()'), ('SELECT * FROM millrace.metrics()'), ('SELECT millrace.engine_status()'),
               ('SELECT * FROM millrace.ingestor_pipelines()'), ('SELECT * FROM millrace.relay_pipelines()'),
               ('SELECT * FROM millrace.positions(''s1'')'), ('SELECT * FROM millrace.topic_partitions(''s1'', 0)'),
               ('SELECT * FROM millrace.relay_scan_positions(''s1'')'), ('SELECT * FROM millrace.event_status(''events'', 0, 1)')) AS q (query);
$$;

SET ROLE mrt_owner;
SELECT pg_temp.pipelines(1, 4);
RESET ROLE;
SELECT pg_temp.trouble(1, 4);
SELECT pg_temp.measure(4);
SET ROLE mrt_owner;
SELECT pg_temp.pipelines(5, 16);
RESET ROLE;
SELECT pg_temp.trouble(5, 16);
SELECT pg_temp.measure(16);

SELECT cmp_ok((SELECT count(*) FROM pg_temp.cost WHERE pipelines = 16 AND looks > 0), '>=', 40::bigint, 'most views look at something');
-- each pairing of two would be sixteen times
SELECT is_empty($$ SELECT few.query, few.looks, many.looks FROM pg_temp.cost AS few JOIN pg_temp.cost AS many USING (query)
                   WHERE few.pipelines = 4 AND many.pipelines = 16 AND many.looks > 4 * few.looks $$, 'four times the pipelines, four times the looks at most');

SELECT is_empty($$ SELECT few.query, few.looks, many.looks FROM pg_temp.cost AS few JOIN pg_temp.cost AS many USING (query)
                   WHERE few.pipelines = 4 AND many.pipelines = 16 AND many.looks > few.looks AND few.query LIKE '%(''s1''%' $$,
                'what is asked for one pipeline does not look at others');
SELECT is((SELECT count(*) FROM millrace.ingestor_pipelines()), 16::bigint, 'all are served');
SELECT is((SELECT count(*) FROM millrace.relay_pipelines()), 16::bigint, 'and relayed');
SELECT cmp_ok(pg_temp.looks_of('SELECT * FROM millrace.ingestor_pipelines()', 'millrace.topic_grant'), '<=', 3 * 16::bigint, 'one look at the grants for each source');
SELECT cmp_ok(pg_temp.looks_of('SELECT * FROM millrace.relay_pipelines()', 'millrace.topic_grant'), '<=', 3 * 16::bigint, 'one for each DLQ topic');
SELECT * FROM finish();
ROLLBACK;
