-- unread_keys: what producers send and nobody takes.

CREATE VIEW millrace.unread_keys WITH (security_barrier) AS
SELECT p.name AS pipeline, u.key, pg_catalog.sum(u.count)::bigint AS count,
       (pg_catalog.array_agg(u.example_type ORDER BY u.last_seen DESC))[1] AS example_type,
       pg_catalog.min(u.first_seen) AS first_seen, pg_catalog.max(u.last_seen) AS last_seen
FROM millrace.unread_key AS u JOIN millrace._visible AS p ON p.id = u.pipeline_id
GROUP BY p.name, u.key;
GRANT SELECT ON millrace.unread_keys TO PUBLIC;
COMMENT ON VIEW millrace.unread_keys IS 'Keys of payloads that no field reads, as seen in samples: all events of small batches, some of large ones. At most 200 per pipeline.';
COMMENT ON COLUMN millrace.unread_keys.key IS 'as in PATH, without the leading $.';
COMMENT ON COLUMN millrace.unread_keys.count IS 'of the events that were looked at; it grows every ten minutes';
COMMENT ON COLUMN millrace.unread_keys.example_type IS 'of the value last seen: string, number, boolean, null, array or object';

-- One row a key, and of a pipeline the 200 most frequent.
CREATE FUNCTION millrace._fold_unread_keys() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  WITH kind AS (
    SELECT u.pipeline_id, u.key, count(*) AS rows, row_number() OVER (PARTITION BY u.pipeline_id ORDER BY sum(u.count) DESC, u.key) AS rank
    FROM millrace.unread_key AS u GROUP BY u.pipeline_id, u.key
  ), gone AS (
    DELETE FROM millrace.unread_key AS u USING kind AS k
    WHERE u.pipeline_id = k.pipeline_id AND u.key = k.key AND (k.rows > 1 OR k.rank > 200)
    RETURNING u.*, k.rank
  )
  INSERT INTO millrace.unread_key
  SELECT g.pipeline_id, g.key, sum(g.count), (array_agg(g.example_type ORDER BY g.last_seen DESC))[1], min(g.first_seen), max(g.last_seen)
  FROM gone AS g WHERE g.rank <= 200 GROUP BY g.pipeline_id, g.key;
$$;
REVOKE ALL ON FUNCTION millrace._fold_unread_keys() FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_unread_keys() IS 'Internal, for the supervisor: keeps millrace.unread_key small.';
