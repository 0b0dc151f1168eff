-- What an ingestor asks for every two seconds looks at each pipeline once, however many there are.
BEGIN;
\ir helper.psql
SELECT plan(4);

SET ROLE mrt_owner;
SELECT millrace.create_pipeline('s' || i, topic => 'events', dlq => 'events.dlq', target => 'mrt.reading', fields => 'id bigint',
                                transform => 'SELECT event.id FROM event')
FROM generate_series(1, 12) AS i;
RESET ROLE;

CREATE FUNCTION pg_temp.looks() RETURNS bigint LANGUAGE sql AS $$
  SELECT pg_stat_get_xact_numscans('millrace.topic_grant'::regclass)
         + coalesce((SELECT sum(pg_stat_get_xact_numscans(i.indexrelid)) FROM pg_index AS i WHERE i.indrelid = 'millrace.topic_grant'::regclass), 0);
$$;
-- A bitmap scan counts for the index and for the table.
CREATE FUNCTION pg_temp.looks_of(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := pg_temp.looks();
BEGIN
  EXECUTE query;
  RETURN pg_temp.looks() - before;
END $$;

SELECT is((SELECT count(*) FROM millrace.ingestor_pipelines()), 12::bigint, 'all are served');
SELECT is((SELECT count(*) FROM millrace.relay_pipelines()), 12::bigint, 'and relayed');
SELECT cmp_ok(pg_temp.looks_of('SELECT count(*) FROM millrace.ingestor_pipelines()'), '<=', 3 * 12::bigint, 'one look at the grants for each source');
SELECT cmp_ok(pg_temp.looks_of('SELECT count(*) FROM millrace.relay_pipelines()'), '<=', 3 * 12::bigint, 'one for each DLQ topic');
SELECT * FROM finish();
ROLLBACK;
