-- Publishing windows to Kafka: the other kind of messages of the relay (62_relay.sql). 68_window_output.sql writes them to the outbox.

-- 0: the dead letters; otherwise the id of a window.
CREATE FUNCTION millrace._outlet(p millrace.pipeline, "window" text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  id integer;
BEGIN
  IF "window" IS NULL THEN
    RETURN 0;
  END IF;
  SELECT w.id INTO id FROM millrace.window_definition AS w JOIN millrace.window_outlet AS o ON o.window_id = w.id
  WHERE w.pipeline_id = p.id AND w.name = _outlet."window" AND o.topic IS NOT NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" publishes no window "%"', p.name, "window"
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name, pipeline, output_topic FROM millrace.windows; lists the windows.';
  END IF;
  RETURN id;
END $$;
REVOKE ALL ON FUNCTION millrace._outlet FROM PUBLIC;
COMMENT ON FUNCTION millrace._outlet IS 'Internal: what a relay publishes, as a number.';

CREATE FUNCTION millrace._outlet_topic(pipeline_id integer, outlet integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE outlet WHEN 0 THEN (SELECT q.topic FROM millrace.dlq AS q WHERE q.pipeline_id = _outlet_topic.pipeline_id)
                     ELSE (SELECT o.topic FROM millrace.window_outlet AS o WHERE o.window_id = outlet) END;
$$;
REVOKE ALL ON FUNCTION millrace._outlet_topic FROM PUBLIC;
COMMENT ON FUNCTION millrace._outlet_topic IS 'Internal: the topic that a relay publishes to.';

CREATE FUNCTION millrace._relay_windows()
RETURNS TABLE (pipeline text, topic text, delivery text, transactional_id text, source_topic text, partitions integer, due boolean,
               former_ids text, "window" text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
BEGIN
  -- called every two seconds: PL/pgSQL keeps the plan
  RETURN QUERY
  SELECT p.name, o.topic, q.delivery, p.group_id || '.window.' || w.name, coalesce(s.topic, p.topic), coalesce(s.partitions, p.partitions),
         EXISTS (SELECT FROM millrace.window_output AS l WHERE l.window_id = w.id) AND millrace._is_relay_free(p.id, w.id),
         CASE WHEN q.former_prefixes <> '{}' THEN millrace._former_ids(p, q.former_prefixes, '.window.' || w.name) END, w.name
  FROM millrace.window_outlet AS o JOIN millrace.window_definition AS w ON w.id = o.window_id
  JOIN millrace.pipeline AS p ON p.id = w.pipeline_id JOIN millrace.dlq AS q ON q.pipeline_id = p.id
  CROSS JOIN LATERAL (SELECT FROM millrace._topic_use AS t WHERE t.pipeline_id = p.id AND t.use = 'output' AND t.topic = o.topic AND t.is_granted OFFSET 0) AS u
  LEFT JOIN LATERAL (
    SELECT t.topic, count(*)::integer AS partitions FROM millrace.topic_partition AS t
    WHERE t.pipeline_id = p.id GROUP BY t.topic ORDER BY 2 DESC, 1 LIMIT 1) AS s ON true
  WHERE p.instance = millrace._instance();
END $$;
REVOKE ALL ON FUNCTION millrace._relay_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._relay_windows IS 'Internal: relay_pipelines for windows.';

-- Ids are origin/window/start-end/group/revision/content, start and end in microseconds since 1970.
CREATE FUNCTION millrace._window_id_prefix(window_id integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('%s/%s/', o.origin, w.name) FROM millrace.window_outlet AS o JOIN millrace.window_definition AS w ON w.id = o.window_id
  WHERE o.window_id = _window_id_prefix.window_id;
$$;
REVOKE ALL ON FUNCTION millrace._window_id_prefix FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_id_prefix IS 'Internal: what the ids of a window''s messages begin with.';

-- What is in the topic is done, and leaves the outbox. Others may write to the topic, too: ids that are not of this window are ignored.
-- What is not in the outbox may come yet, as long as its window is not final here.
CREATE FUNCTION millrace._mark_window_output(p millrace.pipeline, window_id integer, ids text[], partitions integer[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  prefix text := millrace._window_id_prefix(window_id);
  done_to timestamptz := millrace._done_to(window_id);
  marked bigint;
BEGIN
  WITH found AS MATERIALIZED (
    SELECT DISTINCT ON (f.id) f.id, f.partition FROM unnest(ids, partitions) AS f (id, partition)
    WHERE starts_with(f.id, prefix) ORDER BY f.id
  ), done AS (
    DELETE FROM millrace.window_output AS o USING found AS f WHERE o.window_id = _mark_window_output.window_id AND o.id = f.id RETURNING o.id
  ), early AS (
    INSERT INTO millrace.window_sighting AS s (window_id, id, window_end, topic_partition)
    SELECT _mark_window_output.window_id, e.id, e.window_end, e.partition
    FROM (SELECT f.id, f.partition, timestamptz '1970-01-01 00:00:00+00'
                 + substring(substr(f.id, length(prefix) + 1) FROM '^-?\d+-(-?\d+)/')::bigint * interval '1 us' AS window_end FROM found AS f
          -- what is far enough away to be no number of that size is published again by a database that went back
          WHERE substr(f.id, length(prefix) + 1) ~ '^-?\d{1,18}--?\d{1,18}/[0-9a-f]{32}/\d{1,9}/[0-9a-f]{32}$') AS e
    WHERE e.window_end > done_to AND e.id NOT IN (SELECT d.id FROM done AS d)
    ON CONFLICT ON CONSTRAINT window_sighting_pkey DO NOTHING
  )
  SELECT count(*) INTO marked FROM done;
  UPDATE millrace.window_outlet AS o SET published = o.published + marked WHERE o.window_id = _mark_window_output.window_id AND marked > 0;
  RETURN marked;
END $$;
REVOKE ALL ON FUNCTION millrace._mark_window_output FROM PUBLIC;
COMMENT ON FUNCTION millrace._mark_window_output IS 'Internal: relay_mark for a window.';

-- Windows that end up to there get no other value to publish: they are final, and none of their groups is still due.
CREATE FUNCTION millrace._done_to(window_id integer) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  due timestamptz;
BEGIN
  EXECUTE format('SELECT min(d.window_start) FROM millrace._window_%s_due AS d', window_id) INTO due;
  RETURN (SELECT least(o.closed_to, coalesce((millrace._window_mark(o.window_id)).final, '-infinity'), due) FROM millrace.window_outlet AS o
          WHERE o.window_id = _done_to.window_id);
END $$;
REVOKE ALL ON FUNCTION millrace._done_to FROM PUBLIC;
COMMENT ON FUNCTION millrace._done_to IS 'Internal: up to where the windows of a window are final and published.';

-- What is to be published, in the order in which it was written: so the revisions of a group come in their order.
CREATE FUNCTION millrace._window_output_batch(window_id integer, "limit" integer, after bigint, max_bytes bigint) RETURNS SETOF millrace.window_output
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  done_to timestamptz;
BEGIN
  -- what was seen in the topic before it was written here
  IF current_setting('transaction_read_only') = 'off' AND EXISTS (SELECT FROM millrace.window_sighting AS s WHERE s.window_id = _window_output_batch.window_id) THEN
    done_to := millrace._done_to(window_id);
    WITH claimed AS (
      DELETE FROM millrace.window_output AS o USING millrace.window_sighting AS s
      WHERE o.window_id = _window_output_batch.window_id AND s.window_id = o.window_id AND s.id = o.id RETURNING o.id
    )
    DELETE FROM millrace.window_sighting AS s
    WHERE s.window_id = _window_output_batch.window_id
          AND (s.id IN (SELECT c.id FROM claimed AS c)
               OR s.window_end <= done_to
                  AND NOT EXISTS (SELECT FROM millrace.window_output AS o WHERE o.window_id = s.window_id AND o.id = s.id));
  END IF;
  RETURN QUERY
  SELECT o.* FROM (
    SELECT d.number, sum(d.bytes) OVER (ORDER BY d.number) - d.bytes AS before
    FROM (SELECT o.number, octet_length(o.payload) + octet_length(o.key) AS bytes FROM millrace.window_output AS o
          WHERE o.window_id = _window_output_batch.window_id AND o.number > coalesce(after, 0)
                AND NOT EXISTS (SELECT FROM millrace.window_sighting AS s WHERE s.window_id = o.window_id AND s.id = o.id)
          ORDER BY o.number LIMIT greatest("limit", 1)) AS d) AS f
  JOIN millrace.window_output AS o ON o.window_id = _window_output_batch.window_id AND o.number = f.number
  WHERE f.before < coalesce(max_bytes, 16777216)
  ORDER BY o.number;
END $$;
REVOKE ALL ON FUNCTION millrace._window_output_batch FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_output_batch IS 'Internal: relay_batch for a window.';
