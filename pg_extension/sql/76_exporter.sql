-- Queries for exporters, made from metric_family: no second list of metrics.

CREATE VIEW millrace.exporter_query WITH (security_barrier) AS
SELECT s.source, s.prefix, s.labels, CASE
  -- a histogram has a source of its own
  WHEN value.histogram IS NOT NULL THEN pg_catalog.format(
    'SELECT %1$s, array_agg((m.labels ->> ''le'')::float8 ORDER BY (m.labels ->> ''le'')::float8) FILTER (WHERE m.labels ->> ''le'' <> ''+Inf'') AS %3$s, '
    'array_agg(m.value::bigint ORDER BY (m.labels ->> ''le'')::float8) FILTER (WHERE m.labels ->> ''le'' <> ''+Inf'') AS %3$s_bucket, '
    'max(m.value) FILTER (WHERE m.name LIKE ''%%\_sum'') AS %3$s_sum, (max(m.value) FILTER (WHERE m.name LIKE ''%%\_count''))::bigint AS %3$s_count '
    'FROM millrace.metrics(%4$L) AS m GROUP BY %2$s', label.columns, label.numbers, value.histogram, s.source)
  ELSE pg_catalog.format('SELECT %1$s, %2$s FROM millrace.metrics(%3$L) AS m GROUP BY %4$s',
                         label.columns, value.columns, s.source, label.numbers)
  END AS query
FROM millrace.metric_source AS s
CROSS JOIN LATERAL (
  SELECT pg_catalog.string_agg(pg_catalog.format('m.labels ->> %1$L AS %1$I', l.name), ', ' ORDER BY l.i) AS columns,
         pg_catalog.string_agg(l.i::text, ', ' ORDER BY l.i) AS numbers
  FROM pg_catalog.unnest(s.labels) WITH ORDINALITY AS l (name, i)) AS label
CROSS JOIN LATERAL (
  SELECT pg_catalog.string_agg(pg_catalog.format('max(m.value) FILTER (WHERE m.name = %1$L) AS %2$I', f.name,
                                                 pg_catalog.substr(f.name, pg_catalog.length(s.prefix) + 2)), ', ' ORDER BY f.name) AS columns,
         pg_catalog.max(pg_catalog.substr(f.name, pg_catalog.length(s.prefix) + 2)) FILTER (WHERE f.type = 'histogram') AS histogram
  FROM millrace.metric_family AS f WHERE f.source = s.source) AS value;
COMMENT ON VIEW millrace.exporter_query IS 'The query by which an exporter reads a source of metrics: a row for each set of labels, a column for each metric.';
COMMENT ON COLUMN millrace.exporter_query.source IS 'of metric_source';
COMMENT ON COLUMN millrace.exporter_query.prefix IS 'with which the names of its metrics begin';
COMMENT ON COLUMN millrace.exporter_query.labels IS 'columns that say which row it is';
COMMENT ON COLUMN millrace.exporter_query.query IS 'a column is named as its metric without the prefix';
GRANT SELECT ON millrace.exporter_query TO PUBLIC;

-- Its file of custom queries: a query is named by the prefix, a metric by prefix and column.
CREATE FUNCTION millrace.postgres_exporter_queries() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
SELECT rtrim(string_agg(format(E'%s:\n  query: %s\n  metrics:\n%s%s', q.prefix, to_json(q.query),
  (SELECT string_agg(format(E'    - %s:\n        usage: LABEL\n        description: %s\n', l.name, to_json(initcap(l.name) || '.')), '' ORDER BY l.i)
   FROM unnest(q.labels) WITH ORDINALITY AS l (name, i)),
  (SELECT string_agg(format(E'    - %s:\n        usage: %s\n        description: %s\n',
                            substr(f.name, length(q.prefix) + 2), upper(f.type), to_json(f.help)), '' ORDER BY f.name)
   FROM millrace.metric_family AS f WHERE f.source = q.source)), '' ORDER BY q.source), E'\n')
FROM millrace.exporter_query AS q;
$$;
COMMENT ON FUNCTION millrace.postgres_exporter_queries() IS
'Custom queries for postgres_exporter (and CloudNativePG) that export every metric of metric_family.
In: nothing. Out: YAML; it depends on the version of the extension only. Errors: none.';

-- A histogram is three metrics here: sql_exporter has no type for it, Prometheus takes them by their names.
CREATE FUNCTION millrace.sql_exporter_collector() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
WITH metric AS (
  SELECT f.name, f.type, f.help, q.labels, q.source AS query_name, q.query, substr(f.name, length(q.prefix) + 2) AS value
  FROM millrace.metric_family AS f JOIN millrace.exporter_query AS q ON q.source = f.source WHERE f.type <> 'histogram'
  UNION ALL
  SELECT f.name || p.part, 'counter', f.help, q.labels || p.label, q.source || p.part,
         format('SELECT %s, m.value FROM millrace.metrics(%L) AS m WHERE m.name = %L',
                (SELECT string_agg(format('m.labels ->> %1$L AS %1$I', l.name), ', ' ORDER BY l.i)
                 FROM unnest(q.labels || p.label) WITH ORDINALITY AS l (name, i)), q.source, f.name || p.part), 'value'
  FROM millrace.metric_family AS f JOIN millrace.exporter_query AS q ON q.source = f.source
  CROSS JOIN (VALUES ('_bucket', '{le}'::text[]), ('_sum', '{}'), ('_count', '{}')) AS p (part, label) WHERE f.type = 'histogram'
)
SELECT rtrim(E'collector_name: millrace\nmetrics:\n'
  || (SELECT string_agg(format(E'  - metric_name: %s\n    type: %s\n    help: %s\n    key_labels: [%s]\n    values: [%s]\n    query_ref: %s\n',
                               m.name, m.type, to_json(m.help), array_to_string(m.labels, ', '), m.value, m.query_name), '' ORDER BY m.name)
      FROM metric AS m)
  || E'queries:\n'
  || (SELECT string_agg(format(E'  - query_name: %s\n    query: %s\n', q.query_name, to_json(q.query)), '' ORDER BY q.query_name)
      FROM (SELECT DISTINCT m.query_name, m.query FROM metric AS m) AS q), E'\n');
$$;
COMMENT ON FUNCTION millrace.sql_exporter_collector() IS
'A collector for sql_exporter that exports every metric of metric_family.
In: nothing. Out: YAML; it depends on the version of the extension only. Errors: none.';
