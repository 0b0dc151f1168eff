-- The windows there are.
CREATE VIEW millrace.windows WITH (security_barrier) AS
SELECT w.name, p.name AS pipeline, 'incremental'::text AS kind, pg_catalog.to_regclass(pg_catalog.format('millrace.%I', 'window_' || w.name)) AS relation, w.event_time,
       w.size, w.slide, w.group_by, w.aggregates, w.condition AS "where", w.time_zone, w.origin, w.retention,
       coalesce((SELECT pg_catalog.sum(o.rows) FROM millrace.window_outside AS o WHERE o.window_id = w.id), 0)::bigint AS outside,
       w.created_at
FROM millrace.window_definition AS w JOIN millrace._visible AS p ON p.id = w.pipeline_id;
GRANT SELECT ON millrace.windows TO PUBLIC;
COMMENT ON VIEW millrace.windows IS 'Windows over the targets of the pipelines the reader may see.';
COMMENT ON COLUMN millrace.windows.kind IS 'How it is kept: incremental, each batch adds what its rows give.';
COMMENT ON COLUMN millrace.windows.relation IS 'The view that has its values.';
COMMENT ON COLUMN millrace.windows.outside IS 'Rows that are in no window: their event time is null, infinite, before 4700 BC or after 285000 AD.';
