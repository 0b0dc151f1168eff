-- Staging lanes: what an ingestor's lane connections call, and the table access method of their segments.

CREATE FUNCTION millrace._segment_handler(internal) RETURNS table_am_handler
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_segment_handler';
REVOKE ALL ON FUNCTION millrace._segment_handler(internal) FROM PUBLIC;
COMMENT ON FUNCTION millrace._segment_handler(internal) IS 'Internal: handler of the access method millrace_segment.';

CREATE ACCESS METHOD millrace_segment TYPE TABLE HANDLER millrace._segment_handler;
COMMENT ON ACCESS METHOD millrace_segment IS 'heap that only appends: staging segments of millrace';

CREATE FUNCTION millrace.unpack(pack bytea)
RETURNS TABLE (partition integer, "offset" bigint, kafka_ts bigint, kind smallint, key bytea, headers bytea, payload bytea)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_unpack';
COMMENT ON FUNCTION millrace.unpack(bytea) IS
'The events that lie in one row of a staging segment, to look into staging with.
In: pack: payload of a row with kind 16.
Out: a row per event, as rows of a segment are: kafka_ts in ms since 1970, -1 none; kind: bits, 2 the payload was left out as too large, 4 kafka_ts is the broker''s time, 8 its headers could not be read; headers are packed, see headers().
Errors: invalid_binary_representation for bytes that are no pack.';

CREATE FUNCTION millrace.lane_open(pipeline text, preferred integer)
RETURNS TABLE (lane integer, incarnation bigint, segment text, segment_bytes bigint)
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_lane_open';
REVOKE ALL ON FUNCTION millrace.lane_open(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace.lane_open(text, integer) IS
'For the ingestor: gives this session a staging lane until it ends.
In: pipeline; preferred: number of the lane wanted, modulo the pipeline''s workers it says which worker serves it.
Out: lane; incarnation of the server''s shared memory; segment: the table to COPY into; segment_bytes: size at which it is full.
Errors: undefined_object for an unknown pipeline; configuration_limit_exceeded when millrace.max_lanes are in use; object_in_use when all segments are locked by others.';

CREATE FUNCTION millrace.stage(lane integer, incarnation bigint, partitions integer[], epochs bigint[], events integer DEFAULT 0,
                               bytes bigint DEFAULT 0) RETURNS bigint
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_stage';
REVOKE ALL ON FUNCTION millrace.stage(integer, bigint, integer[], bigint[], integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace.stage(integer, bigint, integer[], bigint[], integer, bigint) IS
'For the ingestor: first statement of a staging transaction, before its COPY; at commit the lane''s worker is woken.
In: lane; incarnation; partitions in the batch and, in the same order, their epochs; for statistics, how many events the batch has, and bytes of payload.
Out: bytes in the segment so far.
Errors: MR001 when an epoch is not the present one: assign again; MR002 when the lane is not this session''s or the server was restarted: open a new lane.';

CREATE FUNCTION millrace.lane_next(lane integer, incarnation bigint, wait_ms integer) RETURNS text
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_lane_next';
REVOKE ALL ON FUNCTION millrace.lane_next(integer, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace.lane_next(integer, bigint, integer) IS
'For the ingestor: the segment to continue with when one is full.
In: lane; incarnation; wait_ms: how long to wait for one, 60000 at most.
Out: the table to COPY into, or null when none became free: the worker is behind, call again.
Errors: MR002 as in stage().';

CREATE FUNCTION millrace.assign(pipeline text, lane integer, partitions integer[])
RETURNS TABLE (partition integer, epoch bigint, next_offset bigint, last_offset bigint, last_ts bigint, last_crc bigint,
               state text, seek_ts bigint, topic text, topic_partition integer)
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_assign';
REVOKE ALL ON FUNCTION millrace.assign(text, integer, integer[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace.assign(text, integer, integer[]) IS
'For the ingestor: takes partitions over. Waits for the batch in flight of each; their previous holder can settle nothing any more.
In: pipeline; lane of this session; partitions.
Out: a row per partition: epoch to stage with (null: stopped, do not consume), next_offset to continue at, identity of the last message settled (offset, timestamp in ms, CRC-32 of key and payload), state, seek_ts: time in ms to rewind to first, by set_position(); topic and topic_partition, what Kafka calls it. No row for a partition that the pipeline does not have: add_partitions() first. One that it had and whose position is lost is stopped.
Errors: MR002 when the lane is not this session''s, or of a pipeline that was dropped.';

-- Segments are members of the extension made at run time, so they leave it before they can be dropped.
CREATE FUNCTION millrace._drop_lanes(pipeline_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  segment regclass;
BEGIN
  FOR segment IN
    SELECT c.oid FROM millrace.segment AS s
    JOIN millrace.lane AS l ON l.id = s.lane_id
    JOIN pg_class AS c ON c.oid = s.relation AND c.relnamespace = 'millrace'::regnamespace
    WHERE l.pipeline_id = _drop_lanes.pipeline_id ORDER BY s.lane_id, s.number
  LOOP
    EXECUTE format('ALTER EXTENSION millrace DROP TABLE %s', segment);
    EXECUTE format('DROP TABLE %s', segment);
  END LOOP;
  DELETE FROM millrace.segment AS s USING millrace.lane AS l
  WHERE l.id = s.lane_id AND l.pipeline_id = _drop_lanes.pipeline_id;
  DELETE FROM millrace.lane AS l WHERE l.pipeline_id = _drop_lanes.pipeline_id;
END $$;
REVOKE ALL ON FUNCTION millrace._drop_lanes(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._drop_lanes(integer) IS 'Internal: drops the staging tables of a pipeline.';
