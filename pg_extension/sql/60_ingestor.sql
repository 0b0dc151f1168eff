-- What an ingestor calls, besides the functions of its lanes (30_lane.sql): which pipelines to serve, positions,
-- reports from Kafka. They run as the extension's owner and are granted to nobody but by grant_ingestor().

CREATE FUNCTION millrace._grant_ingestor(caller regrole, role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  f regprocedure;
BEGIN
  PERFORM millrace._check_given(ARRAY['role'], ARRAY[role IS NULL]);
  PERFORM millrace._check_extension_owner(caller, 'make a role an ingestor', 'An ingestor reports the content of Kafka for pipelines of all owners.');
  FOR f IN
    SELECT p.oid FROM pg_proc AS p
    WHERE p.pronamespace = 'millrace'::regnamespace
          AND p.proname IN ('ingestor_pipelines', 'add_partitions', 'add_topic_partitions', 'topic_partitions', 'report_topics', 'positions', 'stop_partition', 'set_position',
                            'report_watermarks', 'report', 'report_presence', 'lane_open', 'lane_next', 'assign', 'stage',
                            'relay_pipelines', 'relay_lock', 'relay_scan_positions', 'relay_mark', 'relay_batch')
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f, role);
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._grant_ingestor(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._grant_ingestor(regrole, regrole) IS 'Internal: grant_ingestor for a role.';

CREATE FUNCTION millrace.grant_ingestor(role regrole) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.grant_ingestor(regrole) IS
'Allows a role to work as an ingestor: EXECUTE on the functions it calls, for all pipelines of this database. DROP OWNED BY the role revokes it.
In: role. Out: nothing.
Errors: insufficient_privilege unless the caller is a superuser or a member of the extension''s owner.';

CREATE FUNCTION millrace.ingestor_pipelines()
RETURNS TABLE (pipeline text, topic text, group_id text, lanes integer, partitions integer, start_at text,
               incarnation bigint, moves bigint, topics text, late_topics text, is_pattern boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
SET jit = off AS $$
#variable_conflict use_column
BEGIN
  -- called every two seconds: PL/pgSQL keeps the plan
  RETURN QUERY
  SELECT p.name, p.topic, p.group_id, p.workers, p.partitions,
         CASE WHEN p.start_at IN ('earliest', 'latest') THEN p.start_at
              ELSE trunc(extract(epoch FROM p.start_at::timestamptz) * 1000)::bigint::text END,
         millrace._incarnation(),
         -- epochs are random: the digest changes with any of them
         (SELECT bit_xor(hashint8extended(t.epoch, t.partition) # hashtextextended(t.state, t.partition))
          FROM millrace.partition AS t WHERE t.pipeline_id = p.id),
         CASE WHEN p.topic_kind <> 'one' THEN coalesce(array_to_string(u.topics, ','), '') END,
         (SELECT string_agg(t.topic, ',' ORDER BY t.topic) FROM millrace.pipeline_topic AS t WHERE t.pipeline_id = p.id AND t.is_late AND t.topic = ANY (u.topics)),
         p.topic_kind = 'pattern'
  FROM millrace.pipeline AS p
  -- of each pipeline its own: OFFSET 0 keeps a planner that expects one pipeline from looking at all for each
  CROSS JOIN LATERAL (SELECT s.topics FROM millrace._source_use AS s WHERE s.pipeline_id = p.id AND s.is_served OFFSET 0) AS u
  WHERE p.instance = millrace._instance() ORDER BY p.name;
END $$;
REVOKE ALL ON FUNCTION millrace.ingestor_pipelines() FROM PUBLIC;
COMMENT ON FUNCTION millrace.ingestor_pipelines() IS
'For the ingestor: the pipelines this installation runs, paused ones too; not those whose topic is not granted to their owner.
Out: pipeline; topic; group_id, the Kafka consumer group; lanes to open for it; partitions known; start_at: earliest, latest or milliseconds since 1970; incarnation of the server''s shared memory; moves: another number whenever a partition was assigned, moved, stopped or made active, null while there is none: positions() has news then; topics: of a pipeline that reads several, those to subscribe to, separated by commas (null: it reads one); late_topics: those of them that are read from their beginning, whatever start_at is; is_pattern: topic is a regular expression, report_topics() says what there is.
Errors: those of a server without millrace preloaded.';

-- A pipeline that ingestors serve.
CREATE FUNCTION millrace._served(pipeline text) RETURNS millrace.pipeline
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline;
BEGIN
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.name = pipeline AND c.instance = millrace._instance();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this installation runs no pipeline "%"', pipeline
      USING ERRCODE = 'undefined_object',
            HINT = 'It may have been dropped concurrently: call millrace.ingestor_pipelines() again.';
  END IF;
  RETURN p;
END $$;
REVOKE ALL ON FUNCTION millrace._served(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._served(text) IS 'Internal: a pipeline of this installation by name.';

CREATE FUNCTION millrace.add_partitions(pipeline text, known integer, starts bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._served(pipeline);
BEGIN
  PERFORM millrace._check_given(ARRAY['known', 'starts'], ARRAY[known IS NULL, starts IS NULL]);
  -- ingestors may race here: the second finds the rows of the first
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.id = p.id FOR NO KEY UPDATE;
  IF known < 0 OR known > p.partitions THEN
    RAISE EXCEPTION 'known is %, but pipeline "%" has % partitions', known, pipeline, p.partitions
      USING ERRCODE = 'MR003', HINT = 'Call millrace.ingestor_pipelines() for the number of partitions.';
  ELSIF EXISTS (SELECT FROM unnest(starts) AS s WHERE s IS NULL OR s < 0) THEN
    RAISE EXCEPTION 'a start offset is negative or null: %', starts
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Resolve each start to an offset first.';
  END IF;
  -- from the first that has no row yet
  starts := starts[p.partitions - known + 1 : cardinality(starts)];
  INSERT INTO millrace.partition (pipeline_id, partition, epoch)
  SELECT p.id, p.partitions + s.i - 1, millrace._random_epoch() FROM generate_subscripts(starts, 1) AS s (i);
  INSERT INTO millrace.progress
  SELECT p.id, p.partitions + s.i - 1, 0, s.start, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, clock_timestamp()
  FROM unnest(starts) WITH ORDINALITY AS s (start, i);
  INSERT INTO millrace.position_change (pipeline_id, partition, verb, to_offset)
  SELECT p.id, p.partitions + s.i - 1, 'start', s.start FROM unnest(starts) WITH ORDINALITY AS s (start, i);
  UPDATE millrace.pipeline AS c SET partitions = c.partitions + cardinality(starts)
  WHERE c.id = p.id AND cardinality(starts) > 0;
  RETURN p.partitions + cardinality(starts);
END $$;
REVOKE ALL ON FUNCTION millrace.add_partitions(text, integer, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace.add_partitions(text, integer, bigint[]) IS
'For the ingestor: records the start offsets of new partitions, before anything is fetched from them. Existing ones are not changed, so that several ingestors may call it at once.
In: pipeline; known: number of partitions in the ingestor''s last ingestor_pipelines(); starts: start offsets of partitions known, known + 1, ….
Out: number of partitions now.
Errors: undefined_object for an unknown pipeline; MR003 when known is more than there are.';

-- Partitions of one topic of several get the next numbers of the pipeline.
CREATE FUNCTION millrace.add_topic_partitions(pipeline text, topic text, known integer, starts bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p     millrace.pipeline := millrace._served(pipeline);
  there integer;
  total integer;
BEGIN
  PERFORM millrace._check_given(ARRAY['topic', 'known', 'starts'], ARRAY[topic IS NULL, known IS NULL, starts IS NULL]);
  -- ingestors may race here: the second finds the rows of the first
  SELECT * INTO p FROM millrace.pipeline AS c WHERE c.id = p.id FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT FROM millrace.pipeline_topic AS t WHERE t.pipeline_id = p.id AND t.topic = add_topic_partitions.topic) THEN
    RAISE EXCEPTION 'pipeline "%" does not read topic "%" among several', pipeline, topic
      USING ERRCODE = 'MR003', HINT = 'Call millrace.ingestor_pipelines() for its topics.';
  END IF;
  there := (SELECT count(*) FROM millrace.topic_partition AS t WHERE t.pipeline_id = p.id AND t.topic = add_topic_partitions.topic);
  IF known < 0 OR known > there THEN
    RAISE EXCEPTION 'known is %, but pipeline "%" has % partitions of topic "%"', known, pipeline, there, topic
      USING ERRCODE = 'MR003', HINT = 'Call millrace.topic_partitions() for what it has.';
  END IF;
  total := millrace.add_partitions(pipeline, p.partitions, starts[there - known + 1 : cardinality(starts)]);
  INSERT INTO millrace.topic_partition (pipeline_id, partition, topic, topic_partition)
  SELECT p.id, n, add_topic_partitions.topic, there + n - p.partitions FROM generate_series(p.partitions, total - 1) AS n;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION millrace.add_topic_partitions(text, text, integer, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace.add_topic_partitions(text, text, integer, bigint[]) IS
'For the ingestor: as add_partitions(), for one topic of a pipeline that reads several; topic_partitions() says which numbers the new partitions have.
In: pipeline; topic; known: number of partitions of the topic that the ingestor knows; starts: start offsets of partitions known, known + 1, … of the topic.
Out: number of partitions of the pipeline now.
Errors: undefined_object for an unknown pipeline; MR003 when known is more than there are, or the pipeline does not read the topic.';

CREATE FUNCTION millrace.topic_partitions(pipeline text, first integer DEFAULT 0)
RETURNS TABLE (partition integer, topic text, topic_partition integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT t.partition, t.topic, t.topic_partition
  FROM millrace._served(pipeline) AS p JOIN millrace.topic_partition AS t ON t.pipeline_id = p.id
  WHERE t.partition >= first ORDER BY t.partition;
$$;
REVOKE ALL ON FUNCTION millrace.topic_partitions(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace.topic_partitions(text, integer) IS
'For the ingestor: the partitions of a pipeline that reads several topics. All other functions name a partition by its number.
In: pipeline; first: only those with this number or a higher one.
Out: partition, the number; topic and topic_partition, what Kafka calls it. No row: none, or the pipeline reads one topic, whose partitions have Kafka''s numbers.
Errors: undefined_object for an unknown pipeline.';

-- Names that begin with two underscores are Kafka's own topics; topics with dead letters would bring these back as events.
CREATE FUNCTION millrace.report_topics(pipeline text, topics text[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p       millrace.pipeline := millrace._served(pipeline);
  changed integer;
  gone    integer;
BEGIN
  PERFORM millrace._check_given(ARRAY['topics'], ARRAY[topics IS NULL]);
  -- nobody waits here for a verb that is not committed: only a pipeline that is being dropped is left alone
  PERFORM FROM millrace.pipeline AS c WHERE c.id = p.id AND c.topic_kind = 'pattern' FOR KEY SHARE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  INSERT INTO millrace.pipeline_topic AS t (pipeline_id, topic, is_late)
  SELECT DISTINCT p.id, n, p.looked_at IS NOT NULL
  FROM unnest(report_topics.topics) AS n
  WHERE n ~ p.topic AND n ~ '^[A-Za-z0-9._-]{1,249}$' AND NOT starts_with(n, '__')
        AND NOT EXISTS (SELECT FROM millrace.dlq_topic AS q WHERE q.topic = n)
  ORDER BY n
  ON CONFLICT ON CONSTRAINT pipeline_topic_pkey DO UPDATE SET gone_at = NULL WHERE t.gone_at IS NOT NULL;
  GET DIAGNOSTICS changed = ROW_COUNT;
  UPDATE millrace.pipeline_topic AS t SET gone_at = clock_timestamp()
  WHERE t.pipeline_id = p.id AND t.gone_at IS NULL AND NOT t.topic = ANY (report_topics.topics);
  GET DIAGNOSTICS gone = ROW_COUNT;
  UPDATE millrace.pipeline AS c SET looked_at = clock_timestamp()
  WHERE c.id IN (SELECT l.id FROM millrace.pipeline AS l WHERE l.id = p.id AND l.looked_at IS NULL FOR NO KEY UPDATE SKIP LOCKED);
  RETURN changed + gone;
END $$;
REVOKE ALL ON FUNCTION millrace.report_topics(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace.report_topics(text, text[]) IS
'For the ingestor, when the topics of the cluster have changed: what there is. Of a pipeline with a pattern those that it matches are read from then on, as far as they are granted; those that are not there any more are not. Never matched: names that begin with two underscores, and topics that dead letters or windows of a pipeline of this database are or were published to.
In: pipeline; topics: names of all topics of the cluster.
Out: how many topics of the pipeline are new, gone or back.
Errors: undefined_object for an unknown pipeline.';

CREATE FUNCTION millrace.positions(pipeline text)
RETURNS TABLE (partition integer, epoch bigint, next_offset bigint, state text, end_age bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
  p millrace.pipeline := millrace._served(pipeline);
BEGIN
  -- called every two seconds for each pipeline: PL/pgSQL keeps the plan
  RETURN QUERY
  SELECT t.partition, t.epoch, g.next_offset, t.state,
         CASE WHEN w.reported_at IS NOT NULL THEN
           greatest(trunc(extract(epoch FROM statement_timestamp() - w.reported_at) * 1000), 0)::bigint END
  FROM millrace.partition AS t
  LEFT JOIN millrace.watermark AS w ON w.pipeline_id = t.pipeline_id AND w.partition = t.partition
  LEFT JOIN millrace._position AS g ON g.pipeline_id = t.pipeline_id AND g.partition = t.partition
  -- a number that is given, not that of a row: it is known in _position, too, which else is that of all pipelines
  WHERE t.pipeline_id = p.id
  ORDER BY t.partition;
END $$;
REVOKE ALL ON FUNCTION millrace.positions(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.positions(text) IS
'For the ingestor: epoch, position and state of each partition. An epoch that is not the ingestor''s own means that the partition was assigned to another ingestor or moved.
In: pipeline. Out: partition; epoch; next_offset; state: active or stopped; end_age: milliseconds since its end was last reported, null when it never was.
Errors: undefined_object for an unknown pipeline.';

CREATE FUNCTION millrace.stop_partition(pipeline text, partition integer, epoch bigint, error text, hint text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline := millrace._served(pipeline);
BEGIN
  PERFORM millrace._lock_partition(p.id, partition);
  UPDATE millrace.partition AS t
  SET state = 'stopped', error = coalesce(stop_partition.error, 'unknown'), hint = stop_partition.hint,
      changed_at = clock_timestamp()
  WHERE t.pipeline_id = p.id AND t.partition = stop_partition.partition AND t.epoch = stop_partition.epoch;
  IF FOUND THEN
    RAISE LOG 'partition % of pipeline "%" is stopped: %', millrace._partition_text(p.id, partition), pipeline, error;
  END IF;
  RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION millrace.stop_partition(text, integer, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.stop_partition(text, integer, bigint, text, text) IS
'For the ingestor: stops a partition that cannot continue (retention has passed its position, the topic was recreated, …). The others continue.
In: pipeline; partition; epoch of the ingestor''s assignment; error: why; hint: how to fix it.
Out: false, and nothing done, when the epoch is no longer the current one.
Errors: undefined_object for an unknown pipeline.';

CREATE FUNCTION millrace.set_position(pipeline text, partition integer, epoch bigint, "offset" bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p       millrace.pipeline := millrace._served(pipeline);
  t       millrace.partition;
  present millrace.progress;
BEGIN
  PERFORM millrace._check_given(ARRAY['epoch', 'offset'], ARRAY[epoch IS NULL, "offset" IS NULL]);
  PERFORM millrace._lock_partition(p.id, partition);
  SELECT * INTO t FROM millrace.partition AS s
  WHERE s.pipeline_id = p.id AND s.partition = set_position.partition FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" has no partition %', pipeline, partition
      USING ERRCODE = 'MR003', HINT = format('Its partitions are 0 to %s.', p.partitions - 1);
  ELSIF t.epoch <> epoch THEN
    RAISE EXCEPTION 'stale epoch of partition % of pipeline "%"', millrace._partition_text(p.id, partition), pipeline
      USING ERRCODE = 'MR001', HINT = 'Request a new assignment.';
  ELSIF t.seek_ts IS NULL THEN
    RAISE EXCEPTION 'no rewind to a time is pending for partition % of pipeline "%"', millrace._partition_text(p.id, partition), pipeline
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Positions are moved by millrace.rewind() and millrace.skip_to().';
  END IF;
  present := millrace._progress(p.id, partition);
  -- back, never ahead
  "offset" := least(greatest("offset", 0), present.next_offset);
  PERFORM millrace._set_position(present, "offset", 'rewind', session_user);
  UPDATE millrace.partition AS s SET seek_ts = NULL
  WHERE s.pipeline_id = p.id AND s.partition = set_position.partition;
  RETURN "offset";
END $$;
REVOKE ALL ON FUNCTION millrace.set_position(text, integer, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace.set_position(text, integer, bigint, bigint) IS
'For the ingestor: answers a rewind to a time, which assign() gives as seek_ts.
In: pipeline; partition; epoch of the assignment; "offset" of the first message at or after that time, the end of the partition if there is none.
Out: the position to fetch from: "offset", or the current position if that is less.
Errors: MR001 for a stale epoch; MR003 for an unknown partition; object_not_in_prerequisite_state when no rewind to a time is pending.';

CREATE FUNCTION millrace.report_watermarks(pipeline text, partitions integer[], highs bigint[], lows bigint[] DEFAULT NULL,
                                           reads boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO millrace.watermark AS w (pipeline_id, partition, high, reported_at, low, read_at)
  SELECT p.id, r.partition, r.high, c.now, r.low, CASE WHEN reads THEN c.now END
  FROM millrace._served(pipeline) AS p, clock_timestamp() AS c (now), unnest(report_watermarks.partitions, highs, lows) AS r (partition, high, low)
  WHERE r.partition < p.partitions AND r.high >= 0
  ORDER BY r.partition
  ON CONFLICT ON CONSTRAINT watermark_pkey DO UPDATE
  SET high = excluded.high, reported_at = excluded.reported_at, low = excluded.low, read_at = coalesce(excluded.read_at, w.read_at)
  -- for an idle topic written only after 15 s, to show that an ingestor is running; a time of another clock's future is no reason not to
  WHERE w.high <> excluded.high OR w.low IS DISTINCT FROM excluded.low
        OR w.reported_at NOT BETWEEN excluded.reported_at - interval '15 s' AND excluded.reported_at
        OR (w.read_at BETWEEN excluded.read_at - interval '15 s' AND excluded.read_at) IS FALSE
        OR (w.read_at IS NULL AND excluded.read_at IS NOT NULL);
END $$;
REVOKE ALL ON FUNCTION millrace.report_watermarks(text, integer[], bigint[], bigint[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace.report_watermarks(text, integer[], bigint[], bigint[], boolean) IS
'For the ingestor, every 2 s, at rest every 10: the end offsets (high watermarks) of partitions, from which lag is computed; those it reads as its fetches show them, those that nobody reads as Kafka says when it is asked.
In: pipeline; partitions; highs and lows (first offsets, null where it reads), in the same order; reads: whether they are assigned to it. Out: nothing.
Errors: undefined_object for an unknown pipeline.';

CREATE FUNCTION millrace.report(pipeline text, about jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.ingestor_report AS r (pipeline_id, about, reported_at)
  SELECT p.id, jsonb_strip_nulls(coalesce(report.about, '{}')), clock_timestamp() FROM millrace._served(pipeline) AS p
  ON CONFLICT ON CONSTRAINT ingestor_report_pkey DO UPDATE
  SET about = jsonb_strip_nulls(r.about || coalesce(report.about, '{}')), reported_at = excluded.reported_at;
$$;
REVOKE ALL ON FUNCTION millrace.report(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION millrace.report(text, jsonb) IS
'For the ingestor, once a minute or when something changed: facts for doctor().
In: pipeline; about: object with any of version, librdkafka (e.g. "2.0.2"), libevent, retention_ms (of the topic, -1 none), relay_error (of a window relay_error.<name>) and lane_error, why a lane cannot be opened (null: none any more). A key that is left out keeps its last value.
Out: nothing.
Errors: undefined_object for an unknown pipeline.';

-- Only the ingestor itself writes its rows, and nobody waits for another: drop_pipeline() leaves them to be removed here.
CREATE FUNCTION millrace.report_presence(ingestor uuid, serves jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.ingestor_presence AS i
  SELECT report_presence.ingestor, p.id, pg_backend_pid(), clock_timestamp(), s.kafka_error, s.kafka_hint, s.lane_stuck, clock_timestamp()
  FROM jsonb_to_recordset(serves) AS s (pipeline text, kafka_error text, kafka_hint text, lane_stuck text)
  JOIN millrace.pipeline AS p ON p.name = s.pipeline AND p.instance = millrace._instance()
  ORDER BY p.id
  ON CONFLICT ON CONSTRAINT ingestor_presence_pkey DO UPDATE
  SET pid = excluded.pid, seen_at = excluded.seen_at, kafka_error = excluded.kafka_error, kafka_hint = excluded.kafka_hint,
      lane_stuck = excluded.lane_stuck,
      changed_at = CASE WHEN (i.kafka_error, i.lane_stuck) IS NOT DISTINCT FROM (excluded.kafka_error, excluded.lane_stuck)
                        THEN i.changed_at ELSE excluded.changed_at END;
  DELETE FROM millrace.ingestor_presence AS i
  WHERE (i.ingestor, i.pipeline_id) IN (
    SELECT g.ingestor, g.pipeline_id FROM millrace.ingestor_presence AS g
    WHERE g.seen_at < now() - interval '1 h'
          OR (g.ingestor = report_presence.ingestor AND NOT EXISTS (
                SELECT FROM jsonb_to_recordset(serves) AS s (pipeline text) JOIN millrace.pipeline AS p ON p.name = s.pipeline
                WHERE p.id = g.pipeline_id))
    FOR UPDATE SKIP LOCKED);
$$;
REVOKE ALL ON FUNCTION millrace.report_presence(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION millrace.report_presence(uuid, jsonb) IS
'For the ingestor, every 3 s and when something changed: that it is there, and what keeps its pipelines from working. One that is silent for 9 s counts as absent.
In: ingestor: a random uuid of the process; serves: array of an object for each pipeline it serves: pipeline, kafka_error (why its topic cannot be read), kafka_hint (what to do about it), lane_stuck (a lane that waits for the server for long); left out or null: nothing of the kind. A pipeline that is not in the array is not served any more.
Out: nothing.
Errors: invalid_parameter_value when serves is not an array of objects.';

CREATE VIEW millrace.ingestors WITH (security_barrier) AS
SELECT p.name AS pipeline, i.ingestor, i.pid, i.is_present, i.seen_at, i.kafka_error, i.kafka_hint, i.lane_stuck, i.changed_at
FROM millrace._visible AS p JOIN millrace._presence AS i ON i.pipeline_id = p.id
ORDER BY p.name, i.is_present DESC, i.ingestor;
COMMENT ON VIEW millrace.ingestors IS 'Ingestors that serve each pipeline, or did within the last hour, and what keeps them from it.';
COMMENT ON COLUMN millrace.ingestors.ingestor IS 'a random number of one life of the process';
COMMENT ON COLUMN millrace.ingestors.pid IS 'server process of its control session, as in pg_stat_activity';
COMMENT ON COLUMN millrace.ingestors.is_present IS 'it is connected, and has reported within 9 s';
COMMENT ON COLUMN millrace.ingestors.kafka_error IS 'why it cannot read the topic, and kafka_hint what to do about it';
COMMENT ON COLUMN millrace.ingestors.lane_stuck IS 'a lane of it that has waited for the server for more than 30 s';
COMMENT ON COLUMN millrace.ingestors.changed_at IS 'when kafka_error or lane_stuck became what it is';

CREATE VIEW millrace.service WITH (security_barrier) AS
SELECT p.name AS pipeline, p.topic, s.ingestors, s.failing, s.is_unserved, s.is_unread, s.heard_at, s.kafka_error, s.kafka_hint, s.lane_stuck
FROM millrace._visible AS p
CROSS JOIN LATERAL (SELECT * FROM millrace._service AS s WHERE s.pipeline_id = p.id OFFSET 0) AS s
ORDER BY p.name;
COMMENT ON VIEW millrace.service IS 'Whether ingestors serve each pipeline and can read its topic.';
COMMENT ON COLUMN millrace.service.ingestors IS 'how many are present';
COMMENT ON COLUMN millrace.service.failing IS 'how many of them cannot read the topic';
COMMENT ON COLUMN millrace.service.is_unserved IS 'none is present, and none has reported for 9 s';
COMMENT ON COLUMN millrace.service.is_unread IS 'some are present, and none of them can read the topic';
COMMENT ON COLUMN millrace.service.heard_at IS 'when one last reported anything';
COMMENT ON COLUMN millrace.service.kafka_error IS 'of one of those that cannot read the topic; kafka_hint: what to do about it';
COMMENT ON COLUMN millrace.service.lane_stuck IS 'a lane that has waited for the server for more than 30 s';
GRANT SELECT ON millrace.ingestors, millrace.service TO PUBLIC;

CREATE VIEW millrace.ingestor_reports WITH (security_barrier) AS
SELECT p.name AS pipeline, i.about, i.reported_at
FROM millrace._visible AS p JOIN millrace.ingestor_report AS i ON i.pipeline_id = p.id;
COMMENT ON VIEW millrace.ingestor_reports IS 'What ingestors last reported on themselves and on their topics.';
GRANT SELECT ON millrace.ingestor_reports TO PUBLIC;
