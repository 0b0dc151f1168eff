-- Publishing to Kafka: what the relay in the ingestor calls, here for dead letters, in 63_window_relay.sql for windows. The table defines what must be in the DLQ
-- topic, the topic shows what is: the relay reads it from the scan position to its end, marks what it finds, and only
-- then produces the rest. So neither a crash between the two nor a database restored to an earlier time publishes one twice.

-- NULL leaves a setting as it is.
CREATE FUNCTION millrace._set_dlq(pipeline_id integer, dlq text, delivery text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  proposed text := (SELECT millrace._default_dlq(p.name, p.topic_kind, p.topic) FROM millrace.pipeline AS p WHERE p.id = pipeline_id);
  former   text := (SELECT q.topic FROM millrace.dlq AS q WHERE q.pipeline_id = _set_dlq.pipeline_id);
BEGIN
  IF dlq <> 'off' THEN
    PERFORM millrace._check_topic(dlq);
    -- one verb at a time: of two that close a loop together, the second sees the topic of the first
    PERFORM FROM millrace.instance FOR UPDATE;
  END IF;
  IF EXISTS (SELECT FROM millrace._source AS s WHERE s.pipeline_id = _set_dlq.pipeline_id AND s.topic = dlq) THEN
    RAISE EXCEPTION 'dlq is "%", %', dlq, (SELECT CASE p.topic_kind WHEN 'one' THEN 'the topic the pipeline reads' ELSE 'a topic the pipeline reads' END
                                           FROM millrace.pipeline AS p WHERE p.id = pipeline_id)
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Its dead letters would be read as events again, in an endless loop.',
            HINT = format('Pass dlq => %L, another topic, or ''off''.', proposed);
  END IF;
  INSERT INTO millrace.dlq AS q (pipeline_id, enabled, topic, delivery, origin)
  VALUES (_set_dlq.pipeline_id, dlq IS DISTINCT FROM 'off', coalesce(nullif(dlq, 'off'), proposed),
          coalesce(_set_dlq.delivery, 'exactly_once'), gen_random_uuid())
  ON CONFLICT ON CONSTRAINT dlq_pkey DO UPDATE
  SET enabled = coalesce(dlq <> 'off', q.enabled), topic = coalesce(nullif(dlq, 'off'), q.topic),
      delivery = coalesce(_set_dlq.delivery, q.delivery);
  INSERT INTO millrace.dlq_topic (topic) SELECT q.topic FROM millrace.dlq AS q WHERE q.pipeline_id = _set_dlq.pipeline_id AND q.enabled
  ON CONFLICT ON CONSTRAINT dlq_topic_pkey DO NOTHING;
  IF dlq <> 'off' THEN
    PERFORM millrace._check_loop(pipeline_id, dlq, 'dead letters');
  END IF;
  -- another topic is read from its beginning; the relay of the same one goes on, and what it has seen must not be forgotten behind its back
  IF dlq <> 'off' AND dlq IS DISTINCT FROM former THEN
    DELETE FROM millrace.dlq_scan AS s WHERE s.pipeline_id = _set_dlq.pipeline_id AND s.window_id = 0;
    DELETE FROM millrace.dlq_sighting AS s WHERE s.pipeline_id = _set_dlq.pipeline_id;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._set_dlq(integer, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._set_dlq(integer, text, text) IS 'Internal: sets the DLQ topic of a pipeline.';

CREATE FUNCTION millrace._default_dlq(pipeline text, topic_kind text, topic text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE topic_kind WHEN 'one' THEN topic ELSE pipeline END || '.dlq';
$$;
REVOKE ALL ON FUNCTION millrace._default_dlq(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._default_dlq(text, text, text) IS 'Internal: the DLQ topic of a pipeline that names none: that of its topic, with several topics that of the pipeline.';

-- What pipelines publish, by topic.
CREATE VIEW millrace._published WITH (security_barrier) AS
SELECT q.pipeline_id, q.topic FROM millrace.dlq AS q WHERE q.enabled
UNION ALL
SELECT w.pipeline_id, o.topic
FROM millrace.window_definition AS w JOIN millrace.window_outlet AS o ON o.window_id = w.id WHERE o.topic IS NOT NULL;
COMMENT ON VIEW millrace._published IS 'Internal: the topics that the relays of pipelines publish to.';

-- What this pipeline publishes and the next one makes dead letters or windows of, and so on, must not come back.
CREATE FUNCTION millrace._check_loop(pipeline_id integer, topic text, what text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  others record;
BEGIN
  WITH RECURSIVE reached (topic) AS (
    SELECT _check_loop.topic
    UNION
    SELECT q.topic FROM reached AS r JOIN millrace._source AS s ON s.topic = r.topic
    JOIN millrace._published AS q ON q.pipeline_id = s.pipeline_id
  )
  SELECT q.topic AS source, string_agg(format('"%s" (%s to %s)', p.name, s.topic, q.topic), ', ' ORDER BY p.name, s.topic) AS names INTO others
  FROM reached AS r JOIN millrace._source AS s ON s.topic = r.topic JOIN millrace.pipeline AS p ON p.id = s.pipeline_id
  JOIN millrace._published AS q ON q.pipeline_id = p.id
  JOIN millrace._source AS own ON own.pipeline_id = _check_loop.pipeline_id AND own.topic = q.topic
  GROUP BY q.topic ORDER BY q.topic LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% in topic "%" would return to topic "%"', what, topic, others.source
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('They are published there again by: %s.', others.names),
            HINT = CASE what WHEN 'dead letters' THEN format('Pass dlq => ''%s.dlq'', another topic that no pipeline reads, or ''off''.', others.source)
                   ELSE 'Name another topic, which none of these pipelines reads.' END;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_loop(integer, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_loop(integer, text, text) IS 'Internal: refuses pipelines whose own topics lead back to their source.';

-- A transactional id keeps an old relay from publishing: those of former prefixes are fenced, too. A relay cannot be that old
-- that the last eight do not have its own.
CREATE FUNCTION millrace._note_prefix(p millrace.pipeline, prefix text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  UPDATE millrace.dlq AS q
  SET former_prefixes = (array_remove(array_remove(q.former_prefixes, p.group_prefix), prefix) || p.group_prefix)
  WHERE q.pipeline_id = p.id AND prefix <> p.group_prefix;
  UPDATE millrace.dlq AS q
  SET former_prefixes = q.former_prefixes[cardinality(q.former_prefixes) - 7 : cardinality(q.former_prefixes)]
  WHERE q.pipeline_id = p.id AND cardinality(q.former_prefixes) > 8;
$$;
REVOKE ALL ON FUNCTION millrace._note_prefix(millrace.pipeline, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._note_prefix(millrace.pipeline, text) IS 'Internal: the group_prefix of a pipeline changes to this one; NULL: it does not.';

CREATE FUNCTION millrace.relay_pipelines()
RETURNS TABLE (pipeline text, topic text, delivery text, transactional_id text, source_topic text, partitions integer, due boolean,
               former_ids text, "window" text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
SET jit = off AS $$
#variable_conflict use_column
BEGIN
  -- called every two seconds: PL/pgSQL keeps the plan
  RETURN QUERY
  SELECT p.name, q.topic, q.delivery, p.group_id || '.dlq', coalesce(s.topic, p.topic), coalesce(s.partitions, p.partitions),
         EXISTS (SELECT FROM millrace.dead_letter AS l WHERE l.pipeline_id = p.id AND l.published_at IS NULL)
         AND millrace._is_relay_free(p.id, 0),
         CASE WHEN q.former_prefixes <> '{}' THEN millrace._former_ids(p, q.former_prefixes, '.dlq') END, NULL
  FROM millrace.pipeline AS p JOIN millrace.dlq AS q ON q.pipeline_id = p.id
  -- OFFSET 0: as in ingestor_pipelines()
  CROSS JOIN LATERAL (SELECT FROM millrace._topic_use AS t WHERE t.pipeline_id = p.id AND t.use = 'dlq' AND t.is_granted OFFSET 0) AS u
  -- of several the one with the most partitions
  LEFT JOIN LATERAL (
    SELECT t.topic, count(*)::integer AS partitions FROM millrace.topic_partition AS t
    WHERE t.pipeline_id = p.id GROUP BY t.topic ORDER BY 2 DESC, 1 LIMIT 1) AS s ON true
  WHERE p.instance = millrace._instance() AND q.enabled
  UNION ALL
  SELECT * FROM millrace._relay_windows()
  ORDER BY 1, 9 NULLS FIRST;
END $$;
REVOKE ALL ON FUNCTION millrace.relay_pipelines() FROM PUBLIC;
COMMENT ON FUNCTION millrace.relay_pipelines() IS
'For the ingestor: the pipelines whose dead letters go to Kafka, and the windows that do, of paused ones too; not those whose topic is not granted to the owner.
In: nothing.
Out: pipeline; topic that gets them, to be created when it is missing, with as many partitions as the source; delivery: exactly_once or at_least_once; transactional_id of the producer, which fences an old relay that is still running; source_topic (of several the one with the most partitions) and the number of its partitions known; due: messages wait, and no session is the relay; former_ids: transactional ids it had before, separated by commas, to be fenced, too (null: none); window (null: the dead letters).
Errors: none.';

CREATE FUNCTION millrace._former_ids(p millrace.pipeline, prefixes text[], suffix text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(f.prefix || substr(p.group_id, length(p.group_prefix) + 1) || suffix, ',' ORDER BY f.nth)
  FROM unnest(prefixes) WITH ORDINALITY AS f (prefix, nth);
$$;
REVOKE ALL ON FUNCTION millrace._former_ids(millrace.pipeline, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._former_ids(millrace.pipeline, text[], text) IS 'Internal: transactional ids of a relay under former prefixes.';

CREATE FUNCTION millrace.relay_lock(pipeline text, "window" text DEFAULT NULL) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace._try_lock_relay(p.id, millrace._outlet(p, "window")) FROM millrace._served(pipeline) AS p;
$$;
REVOKE ALL ON FUNCTION millrace.relay_lock(text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.relay_lock(text, text) IS
'For the ingestor: makes this session the relay of a pipeline''s dead letters, or of a window, until the session ends. It only keeps two relays from fencing each other in turn.
In: pipeline; window (null: the dead letters). Out: false when another session is its relay.
Errors: undefined_object for an unknown pipeline, and a window that is not published.';

CREATE FUNCTION millrace.relay_scan_positions(pipeline text, "window" text DEFAULT NULL, of_topic text DEFAULT NULL) RETURNS TABLE (partition integer, next_offset bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT s.partition, s.next_offset
  FROM millrace._served(pipeline) AS p CROSS JOIN LATERAL (SELECT millrace._outlet(p, "window")) AS o (id)
  JOIN millrace.dlq_scan AS s ON s.pipeline_id = p.id AND s.window_id = o.id
                                 AND s.topic = coalesce(of_topic, millrace._outlet_topic(p.id, o.id)) ORDER BY s.partition;
$$;
REVOKE ALL ON FUNCTION millrace.relay_scan_positions(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.relay_scan_positions(text, text, text) IS
'For the ingestor, after init_transactions and before anything is produced: positions to read the topic from (read_committed), to its end.
In: pipeline; window (null: the dead letters); of_topic: the topic that is read (null: the one it is published to now).
Out: next_offset for each partition of the topic that was read so far; the others from their low watermark. A position below the low watermark or above the end (the topic was recreated): from the low watermark.
Errors: undefined_object for an unknown pipeline, and a window that is not published.';

-- The millrace-id header: the same whenever the same dead letter is published, by any relay.
CREATE FUNCTION millrace._dead_letter_id_prefix(p millrace.pipeline) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('%s/%s/', q.origin, p.name) FROM millrace.dlq AS q WHERE q.pipeline_id = p.id;
$$;
REVOKE ALL ON FUNCTION millrace._dead_letter_id_prefix(millrace.pipeline) FROM PUBLIC;
COMMENT ON FUNCTION millrace._dead_letter_id_prefix(millrace.pipeline) IS 'Internal: what the ids of a pipeline''s dead letters begin with.';

-- Whether an event that is no dead letter may yet become one: it is not settled, or waits to be tried again, or is a document of a
-- message that is a letter as a whole and will be taken apart.
CREATE FUNCTION millrace._may_die(pipeline_id integer, partition integer, "offset" bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT "offset" >= coalesce(millrace._next_offset(_may_die.pipeline_id, _may_die.partition), 0)
         OR EXISTS (SELECT FROM millrace.retry AS r
                    WHERE r.pipeline_id = _may_die.pipeline_id AND r.partition = _may_die.partition AND r."offset" = _may_die."offset")
         OR EXISTS (SELECT FROM millrace.dead_letter AS l
                    WHERE l.pipeline_id = _may_die.pipeline_id AND l.partition = _may_die.partition AND l."offset" = _may_die."offset"
                          AND l.document IS NULL AND l.state <> 'replayed');
$$;
REVOKE ALL ON FUNCTION millrace._may_die(integer, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._may_die(integer, integer, bigint) IS 'Internal: whether an event may become a dead letter.';

-- Letters that have died since they were seen in the topic are marked; those that cannot die any more are forgotten.
CREATE FUNCTION millrace._claim_sightings(pipeline_id integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  WITH claimed AS (
    DELETE FROM millrace.dlq_sighting AS s USING millrace.dead_letter AS l
    WHERE s.pipeline_id = _claim_sightings.pipeline_id AND l.pipeline_id = s.pipeline_id AND l.partition = s.partition
          AND l."offset" = s."offset" AND l.replay_count = s.replay_count AND coalesce(l.document, 0) = s.document
    RETURNING l.id, s.dlq_partition, s.dlq_offset
  )
  UPDATE millrace.dead_letter AS l
  SET published_at = clock_timestamp(), dlq_partition = c.dlq_partition, dlq_offset = c.dlq_offset
  FROM claimed AS c WHERE l.id = c.id AND l.published_at IS NULL;
  -- a dead letter of the same number of replays is one that died after the statement before: it is claimed next time
  DELETE FROM millrace.dlq_sighting AS s
  WHERE s.pipeline_id = _claim_sightings.pipeline_id
        AND NOT EXISTS (SELECT FROM millrace.dead_letter AS l
                        WHERE l.pipeline_id = s.pipeline_id AND l.partition = s.partition AND l."offset" = s."offset"
                              AND coalesce(l.document, 0) = s.document AND l.replay_count <= s.replay_count)
        AND NOT millrace._may_die(s.pipeline_id, s.partition, s."offset");
$$;
REVOKE ALL ON FUNCTION millrace._claim_sightings(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._claim_sightings(integer) IS 'Internal: letters that were in the DLQ topic before they died here are published.';

-- Others may write to the topic, too: ids that are not of this pipeline are ignored.
CREATE FUNCTION millrace.relay_mark(pipeline text, partition integer, next_offset bigint, ids text[],
                                    dlq_partitions integer[], dlq_offsets bigint[], "window" text DEFAULT NULL,
                                    of_topic text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p      millrace.pipeline := millrace._served(pipeline);
  outlet integer := millrace._outlet(p, "window");
  place  text := coalesce(of_topic, millrace._outlet_topic(p.id, outlet));
  marked bigint;
BEGIN
  PERFORM millrace._check_given(ARRAY['ids', 'dlq_partitions', 'dlq_offsets', 'next_offset'],
    ARRAY[ids IS NULL, dlq_partitions IS NULL, dlq_offsets IS NULL, partition IS NOT NULL AND next_offset IS NULL]);
  IF cardinality(ids) <> cardinality(dlq_partitions) OR cardinality(ids) <> cardinality(dlq_offsets) THEN
    RAISE EXCEPTION '% ids, % partitions and % offsets are given, expected the same number of each', cardinality(ids),
                    cardinality(dlq_partitions), cardinality(dlq_offsets)
      USING ERRCODE = 'array_subscript_error', HINT = 'Pass the coordinate of each id, in the order of the ids.';
  END IF;
  -- The topic was re-created: what was seen in the old one is gone.
  IF EXISTS (SELECT FROM millrace.dlq_scan AS c WHERE c.pipeline_id = p.id AND c.window_id = outlet AND c.topic = place
             AND c.partition = relay_mark.partition AND c.next_offset > relay_mark.next_offset) THEN
    DELETE FROM millrace.dlq_sighting AS s WHERE outlet = 0 AND s.pipeline_id = p.id AND s.dlq_partition = relay_mark.partition;
    DELETE FROM millrace.window_sighting AS s WHERE s.window_id = outlet AND s.topic_partition = relay_mark.partition;
  END IF;
  IF outlet = 0 THEN
    marked := millrace._mark_dead_letters(p, ids, dlq_partitions, dlq_offsets);
  ELSE
    marked := millrace._mark_window_output(p, outlet, ids, dlq_partitions);
  END IF;
  IF partition IS NOT NULL THEN
    INSERT INTO millrace.dlq_scan AS s (pipeline_id, window_id, topic, partition, next_offset)
    VALUES (p.id, outlet, place, relay_mark.partition, relay_mark.next_offset)
    ON CONFLICT ON CONSTRAINT dlq_scan_pkey DO UPDATE SET next_offset = excluded.next_offset
    WHERE s.next_offset <> excluded.next_offset;
  END IF;
  RETURN marked;
END $$;
REVOKE ALL ON FUNCTION millrace.relay_mark(text, integer, bigint, text[], integer[], bigint[], text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.relay_mark(text, integer, bigint, text[], integer[], bigint[], text, text) IS
'For the ingestor: these ids were read in the topic. Marks the messages as published, and moves the scan position in the same transaction. Positions of a topic that it was published to before do not count for another one.
In: pipeline; partition of the topic and next_offset, up to which it was read (both null: only mark, as at_least_once does on delivery reports); ids: millrace-id headers found; dlq_partitions, dlq_offsets: where, in the same order; window (null: the dead letters); of_topic: the topic that was read (null: the one it is published to now).
Out: number of messages marked; ids of others, or marked before, do not count.
Errors: undefined_object for an unknown pipeline, and a window that is not published; array_subscript_error for arrays of different lengths.';

CREATE FUNCTION millrace._mark_dead_letters(p millrace.pipeline, ids text[], dlq_partitions integer[], dlq_offsets bigint[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  prefix text := millrace._dead_letter_id_prefix(p);
  marked bigint;
BEGIN
  -- One statement, so one snapshot: a letter that dies meanwhile is either marked or noted as seen.
  WITH found AS MATERIALIZED (
    SELECT DISTINCT ON (f.id COLLATE "C") string_to_array(substr(f.id, length(prefix) + 1), '/') AS part, f.at_partition, f.at_offset
    FROM unnest(ids, dlq_partitions, dlq_offsets) AS f (id, at_partition, at_offset)
    WHERE starts_with(f.id, prefix) AND substr(f.id, length(prefix) + 1) ~ '^[^/]+/\d{1,9}/\d{1,18}/\d{1,9}(/\d{1,9})?$'
    ORDER BY f.id COLLATE "C", f.at_offset
  ), seen AS MATERIALIZED (
    SELECT n.partition, f.part[3]::bigint AS "offset", f.part[4]::integer AS replay_count,
           coalesce(f.part[5]::integer, 0) AS document, f.at_partition, f.at_offset
    FROM found AS f
    CROSS JOIN LATERAL (
      -- with one topic they are the same, and the call costs as much as the mark; OFFSET 0: once
      SELECT CASE WHEN p.topic_kind = 'one' AND p.topic = f.part[1] THEN f.part[2]::integer
                  ELSE millrace._partition_of(p, f.part[1], f.part[2]::integer) END OFFSET 0) AS n (partition)
    WHERE n.partition IS NOT NULL
  ), letter AS MATERIALIZED (
    SELECT l.id, f.*
    FROM seen AS f JOIN millrace.dead_letter AS l
      ON l.pipeline_id = p.id AND l.partition = f.partition
         AND l."offset" = f."offset" AND l.replay_count = f.replay_count AND coalesce(l.document, 0) = f.document
    -- published_at IS NULL, written so that the planner does not read all unpublished ones for each id
    WHERE coalesce(l.published_at, 'infinity') = 'infinity'
    ORDER BY l.id FOR UPDATE OF l
  ), early AS (
    INSERT INTO millrace.dlq_sighting AS s (pipeline_id, partition, "offset", replay_count, document, dlq_partition, dlq_offset)
    SELECT p.id, f.partition, f."offset", f.replay_count, f.document, f.at_partition, f.at_offset
    FROM seen AS f
    CROSS JOIN LATERAL (
      SELECT max(l.replay_count) AS replay_count FROM millrace.dead_letter AS l
      WHERE l.pipeline_id = p.id AND l.partition = f.partition AND l."offset" = f."offset"
            AND coalesce(l.document, 0) = f.document) AS known
    -- what is a letter is not looked up a second time: NOT IN, as a table of hashes whatever the planner expects
    WHERE (f.partition, f."offset", f.replay_count, f.document)
          NOT IN (SELECT l.partition, l."offset", l.replay_count, l.document FROM letter AS l)
          AND (known.replay_count < f.replay_count
               OR known.replay_count IS NULL AND millrace._may_die(p.id, f.partition, f."offset"))
    ON CONFLICT ON CONSTRAINT dlq_sighting_pkey DO NOTHING
  )
  UPDATE millrace.dead_letter AS l
  SET published_at = clock_timestamp(), dlq_partition = t.at_partition, dlq_offset = t.at_offset
  FROM letter AS t WHERE l.id = t.id;
  GET DIAGNOSTICS marked = ROW_COUNT;
  RETURN marked;
END $$;
REVOKE ALL ON FUNCTION millrace._mark_dead_letters(millrace.pipeline, text[], integer[], bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._mark_dead_letters(millrace.pipeline, text[], integer[], bigint[]) IS 'Internal: relay_mark for dead letters.';

CREATE FUNCTION millrace.relay_batch(pipeline text, "limit" integer, after bigint DEFAULT 0, max_bytes bigint DEFAULT 16777216, "window" text DEFAULT NULL,
                                     of_topic text DEFAULT NULL)
RETURNS TABLE (dead_letter bigint, id text, topic text, partition integer, "offset" bigint, kafka_ts bigint, key bytea,
               headers bytea, payload bytea, version integer, stage text, sqlstate text, condition text, message text,
               detail text, hint text, constraint_name text, column_name text, ended text, attempts integer,
               replay_count integer, fingerprint text, first_failed_at bigint, failed_at bigint, revision integer, document integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
  p      millrace.pipeline := millrace._served(pipeline);
  prefix text := millrace._dead_letter_id_prefix(p);
BEGIN
  IF of_topic <> millrace._outlet_topic(p.id, millrace._outlet(p, "window")) THEN
    RETURN;
  ELSIF "window" IS NOT NULL THEN
    RETURN QUERY
    SELECT o.number, o.id, NULL::text, o.place, NULL::bigint, -1::bigint, o.key, NULL::bytea, o.payload, NULL::integer, NULL::text, NULL::text, NULL::text,
           NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::text, NULL::bigint, NULL::bigint, o.revision, NULL::integer
    FROM millrace._window_output_batch(millrace._outlet(p, "window"), "limit", after, max_bytes) AS o;
    RETURN;
  END IF;
  IF current_setting('transaction_read_only') = 'off'
     AND EXISTS (SELECT FROM millrace.dlq_sighting AS s WHERE s.pipeline_id = p.id) THEN
    PERFORM millrace._claim_sightings(p.id);
  END IF;
  RETURN QUERY
  WITH due AS MATERIALIZED (
    SELECT l.id, l.partition, l."offset", l.replay_count, l.document,
           coalesce(octet_length(l.payload), 0) + coalesce(octet_length(l.headers), 0) + coalesce(octet_length(l.key), 0) AS bytes
    FROM millrace.dead_letter AS l
    WHERE l.pipeline_id = p.id AND l.published_at IS NULL AND l.id > coalesce(after, 0)
          AND NOT EXISTS (SELECT FROM millrace.dlq_sighting AS s
                          WHERE s.pipeline_id = p.id AND s.partition = l.partition AND s."offset" = l."offset"
                                AND s.replay_count = l.replay_count AND s.document = coalesce(l.document, 0))
    ORDER BY l.id LIMIT greatest("limit", 1)
  ), fitting AS (
    -- the first always fits; of one event that died twice (before and after a rewind) one is published, both are marked
    SELECT d.id, row_number() OVER same AS nth, sum(d.bytes) OVER (ORDER BY d.id) - d.bytes AS before
    FROM due AS d WINDOW same AS (PARTITION BY d.partition, d."offset", d.replay_count, d.document ORDER BY d.id)
  )
  SELECT l.id, concat_ws('/', format('%s%s/%s/%s/%s', prefix, l.topic, coalesce(n.topic_partition, l.partition),
                                     l."offset", l.replay_count), l.document),
         l.topic, coalesce(n.topic_partition, l.partition), l."offset",
         coalesce(round(extract(epoch FROM l.kafka_ts) * 1000)::bigint, -1), l.key, l.headers, l.payload, l.version,
         l.stage, l.sqlstate, millrace.condition_name(l.sqlstate), l.message, l.detail, l.hint, l.constraint_name,
         l.column_name, l.ended, greatest(l.attempts, jsonb_array_length(l.history)), l.replay_count,
         millrace.fingerprint(l.stage, l.sqlstate, l.constraint_name, l.column_name, l.message),
         round(extract(epoch FROM coalesce(l.first_failed_at, l.failed_at)) * 1000)::bigint,
         round(extract(epoch FROM l.failed_at) * 1000)::bigint, NULL::integer, l.document
  FROM fitting AS f JOIN millrace.dead_letter AS l ON l.id = f.id
  LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = l.pipeline_id AND n.partition = l.partition
  WHERE f.nth = 1 AND f.before < coalesce(max_bytes, 16777216)
  ORDER BY l.id;
END $$;
REVOKE ALL ON FUNCTION millrace.relay_batch(text, integer, bigint, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.relay_batch(text, integer, bigint, bigint, text, text) IS
'For the ingestor, when the topic was read to its end: messages that are not in it. Outside of a read-only transaction it first marks those that were seen there before they were made here.
In: pipeline; limit: maximum number; after: only those with a greater dead_letter (the last one produced: until the next scan they are not marked), 0 again after a scan, since ids can commit out of order; max_bytes: maximum size of keys, headers and payloads, but at least one message; window (null: the dead letters); of_topic: the topic they will go to (null: whatever it is now).
Out: dead_letter: its number; id: the millrace-id header; topic, partition, "offset" and kafka_ts (ms, -1 none) of the event; key; headers (packed, as staged) and payload as they came; and what failed: version of the pipeline, stage, sqlstate, condition, message, detail, hint, constraint_name, column_name, ended, attempts, replay_count, fingerprint, first_failed_at and failed_at in ms since 1970; document: its number in the message with format ndjson, null for a whole message. Of a window dead_letter (its number in the outbox), id, partition (to be taken modulo those there are), key, payload and revision. No row: nothing to do.
Errors: undefined_object for an unknown pipeline, and a window that is not published.';

CREATE VIEW millrace.dlqs WITH (security_barrier) AS
SELECT p.name AS pipeline, q.enabled, q.topic, q.delivery, w.failed_at AS waiting_since, 
       CASE WHEN NOT u.is_granted THEN pg_catalog.format('role "%s" is not allowed to publish to it', u.owner)
            ELSE i.about ->> 'relay_error' END AS error, i.reported_at, coalesce(u.is_granted, true) AS is_granted,
       p.group_id || '.dlq' AS transactional_id
FROM millrace._visible AS p
JOIN millrace.dlq AS q ON q.pipeline_id = p.id
LEFT JOIN LATERAL (SELECT u.owner, u.is_granted FROM millrace._topic_use AS u WHERE u.pipeline_id = p.id AND u.use = 'dlq' OFFSET 0) AS u ON true
LEFT JOIN millrace.ingestor_report AS i ON i.pipeline_id = p.id
LEFT JOIN LATERAL (
  SELECT l.failed_at FROM millrace.dead_letter AS l
  WHERE l.pipeline_id = p.id AND l.published_at IS NULL ORDER BY l.id LIMIT 1) AS w ON q.enabled
ORDER BY p.name;
COMMENT ON VIEW millrace.dlqs IS 'Where the dead letters of each pipeline are published, and whether the relay keeps up.';
COMMENT ON COLUMN millrace.dlqs.waiting_since IS 'failure time of the oldest dead letter that is not in the topic yet, null: all are';
COMMENT ON COLUMN millrace.dlqs.transactional_id IS 'of the producer, for exactly_once';
COMMENT ON COLUMN millrace.dlqs.is_granted IS 'whether the owner may publish to the topic, see topic_grants';
COMMENT ON COLUMN millrace.dlqs.error IS 'what the relay last reported, null: it works';
GRANT SELECT ON millrace.dlqs TO PUBLIC;
