-- rewind, skip_to: where a pipeline continues. A position moves only here and in the workers' settling: under the locks, with
-- a new epoch, so that events staged under the old one are ignored.

-- Caller holds the partition's lock. Of a partition whose rows are lost: no position, and what its failures still show of its
-- counters: so what is not open is counted again, too.
CREATE FUNCTION millrace._progress(pipeline_id integer, partition integer) RETURNS millrace.progress
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  g millrace.progress;
BEGIN
  SELECT * INTO g FROM millrace.progress AS r
  WHERE r.pipeline_id = _progress.pipeline_id AND r.partition = _progress.partition
  ORDER BY r.seq DESC LIMIT 1 FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM FROM millrace.dead_letter AS l  -- no verb is at them, and none begins
    WHERE l.pipeline_id = _progress.pipeline_id AND l.partition = _progress.partition ORDER BY l.id FOR UPDATE;
    DELETE FROM millrace.dead_letter_aside AS a WHERE a.pipeline_id = _progress.pipeline_id AND a.partition = _progress.partition;
    INSERT INTO millrace.dead_letter_aside (pipeline_id, partition, letters)
    SELECT _progress.pipeline_id, _progress.partition, count(*) FROM millrace.dead_letter AS l
    WHERE l.pipeline_id = _progress.pipeline_id AND l.partition = _progress.partition AND l.state IN ('discarded', 'replaying');
    SELECT _progress.pipeline_id, _progress.partition, -1, NULL, NULL, NULL, NULL,
           d.dead + w.retrying, 0, 0, 0, 0, d.dead, 0, 0, clock_timestamp(), w.retrying, 0, 0, 0, 0, w.parked INTO g
    FROM (SELECT count(*) AS dead FROM millrace.dead_letter AS l
          WHERE l.pipeline_id = _progress.pipeline_id AND l.partition = _progress.partition AND l.state <> 'replayed') AS d
    CROSS JOIN (SELECT count(*) FILTER (WHERE r.replay_of IS NULL) AS retrying, count(*) FILTER (WHERE r.state = 'parked') AS parked FROM millrace.retry AS r
                WHERE r.pipeline_id = _progress.pipeline_id AND r.partition = _progress.partition) AS w;
  END IF;
  RETURN g;
END $$;
REVOKE ALL ON FUNCTION millrace._progress(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._progress(integer, integer) IS 'Internal: the position of a partition, with its counters.';

-- The command that moves a position back, as a hint prints it: it can be run as it is.
CREATE FUNCTION millrace._rewind_command(pipeline text, goal text, place text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT millrace.rewind(%L, %s%s%s);', p.name, goal, place,
                CASE WHEN v.on_conflict = 'error' THEN ', allow_duplicates => true' END)
  FROM millrace.pipeline AS p JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version
  WHERE p.name = _rewind_command.pipeline;
$$;
REVOKE ALL ON FUNCTION millrace._rewind_command(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._rewind_command(text, text, text) IS 'Internal: a call of rewind() for a hint; place: as of _place().';

-- Ends of partitions in Kafka. What was reported before a partition was stopped says nothing of it: the topic was recreated,
-- say, or retention has removed what was there.
CREATE VIEW millrace._watermark WITH (security_barrier) AS
SELECT w.pipeline_id, w.partition, w.high, w.low, w.reported_at, w.read_at
FROM millrace.watermark AS w
JOIN millrace.partition AS t ON t.pipeline_id = w.pipeline_id AND t.partition = w.partition
WHERE t.state <> 'stopped' OR w.reported_at >= t.changed_at;
COMMENT ON VIEW millrace._watermark IS 'Internal: ends of partitions in Kafka, as far as they are known.';

-- The end of a partition; null when no ingestor has reported it for a while: it may be outdated.
CREATE FUNCTION millrace._end(pipeline_id integer, partition integer) RETURNS millrace._watermark
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT w FROM millrace._watermark AS w
  WHERE w.pipeline_id = _end.pipeline_id AND w.partition = _end.partition AND w.reported_at BETWEEN clock_timestamp() - interval '30 s' AND clock_timestamp() + interval '30 s';
$$;
REVOKE ALL ON FUNCTION millrace._end(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._end(integer, integer) IS 'Internal: the end of a partition, as reported lately.';

-- How to leave out what is before `goal`, where the position is `position` and the end, as far as it is known, `high`.
CREATE FUNCTION millrace._skip_hint(pipeline text, place text, goal bigint, "position" bigint, high bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE
    WHEN high < "position" THEN format('The topic is shorter than what was processed of it. If it was recreated: %s',
                                       millrace._rewind_command(pipeline, 'to_time => ''-infinity''', place))
    ELSE format('To leave out %s: SELECT millrace.skip_to(%L%s, "offset" => %s);%s',
                CASE WHEN goal > high THEN 'all there is' ELSE 'what is before it' END, pipeline, place, least(goal, high),
                CASE WHEN goal > high THEN ' If the topic has grown since, try again.' END) END;
$$;
REVOKE ALL ON FUNCTION millrace._skip_hint(text, text, bigint, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._skip_hint(text, text, bigint, bigint, bigint) IS 'Internal: a hint with a call of skip_to().';

-- Of a partition that has no position: assign() found that its rows are lost. Caller holds the partition's lock.
CREATE FUNCTION millrace._stop_lost(pipeline_id integer, partition integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.partition AS t (pipeline_id, partition, epoch, state, error, hint, changed_at)
  SELECT p.id, _stop_lost.partition, millrace._random_epoch(), 'stopped',
         'its position is lost: it has no row in millrace.partition or millrace.progress',
         format('To process again all that Kafka has of it: %s To go on where it was: millrace.skip_to() with the offset that consumer group %s has committed in Kafka.',
                millrace._rewind_command(p.name, '"offset" => 0', millrace._place(p.id, _stop_lost.partition)), p.group_id),
         clock_timestamp()
  FROM millrace.pipeline AS p WHERE p.id = _stop_lost.pipeline_id
  ON CONFLICT ON CONSTRAINT partition_pkey DO UPDATE
  SET epoch = excluded.epoch, lane = NULL, state = excluded.state, error = excluded.error, hint = excluded.hint,
      seek_ts = NULL, changed_at = excluded.changed_at;
$$;
REVOKE ALL ON FUNCTION millrace._stop_lost(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._stop_lost(integer, integer) IS 'Internal: stops a partition whose position is lost.';

-- The same of any partition, without a lock; null for one that there is not.
CREATE FUNCTION millrace._next_offset(pipeline_id integer, partition integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce(
    (SELECT l.entries[i + 4] FROM millrace.ledger AS l CROSS JOIN LATERAL generate_series(0, cardinality(l.entries) - 1, 23) AS i
     WHERE l.pipeline_id = _next_offset.pipeline_id
           AND _next_offset.partition BETWEEN l.entries[1] AND l.entries[cardinality(l.entries) - 22]
           AND l.entries[i + 1] = _next_offset.partition),
    (SELECT r.next_offset FROM millrace.progress AS r
     WHERE r.pipeline_id = _next_offset.pipeline_id AND r.partition = _next_offset.partition
     ORDER BY r.seq DESC LIMIT 1));
$$;
REVOKE ALL ON FUNCTION millrace._next_offset(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._next_offset(integer, integer) IS 'Internal: the position of a partition.';

-- Appends the new position with the same counters. The identity of the message before it is not known.
CREATE FUNCTION millrace._set_position(present millrace.progress, next_offset bigint, verb text, by text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.progress
    (pipeline_id, partition, seq, next_offset, last_offset, last_ts, last_crc,
     events, written, filtered, superseded, skipped, dead, retrying, rows, bytes, settled_at,
     failed, retried, dead_lettered, replayed, parked)
  VALUES
    (present.pipeline_id, present.partition, present.seq + 1, next_offset, NULL, NULL, NULL,
     present.events, present.written, present.filtered, present.superseded, present.skipped, present.dead,
     present.retrying, present.rows, present.bytes, clock_timestamp(), present.failed, present.retried, present.dead_lettered,
     present.replayed, present.parked);
  -- events processed again after a rewind are not under suspicion
  DELETE FROM millrace.crash_suspect AS s
  WHERE s.pipeline_id = present.pipeline_id AND s.partition = present.partition AND s.kind = 'lane';
  INSERT INTO millrace.position_change (pipeline_id, partition, verb, from_offset, to_offset, by)
  VALUES (present.pipeline_id, present.partition, verb, present.next_offset, next_offset, by);
$$;
REVOKE ALL ON FUNCTION millrace._set_position(millrace.progress, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._set_position(millrace.progress, bigint, text, text) IS 'Internal: moves a position and records it.';

-- Staged events of the partition are void from here on; the ingestor notices and requests a new assignment.
CREATE FUNCTION millrace._restart_partition(pipeline_id integer, partition integer, seek_ts bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.partition AS t (pipeline_id, partition, epoch, seek_ts, changed_at)
  VALUES (_restart_partition.pipeline_id, _restart_partition.partition, millrace._random_epoch(), _restart_partition.seek_ts,
          clock_timestamp())
  ON CONFLICT ON CONSTRAINT partition_pkey DO UPDATE
  SET epoch = excluded.epoch, lane = NULL, state = 'active', error = NULL, hint = NULL, seek_ts = excluded.seek_ts,
      changed_at = excluded.changed_at;
$$;
REVOKE ALL ON FUNCTION millrace._restart_partition(integer, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._restart_partition(integer, integer, bigint) IS 'Internal: a new epoch for an active partition.';

-- The partitions a verb works on, ascending (the order of their locks).
CREATE FUNCTION millrace._partitions(p millrace.pipeline, topic text, partition integer) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  found integer[];
  known text;
BEGIN
  IF p.partitions = 0 THEN
    RAISE EXCEPTION 'pipeline "%" has no partitions yet', p.name
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = format('No ingestor has reported topic "%s" so far.', p.topic),
            HINT = 'To choose where it begins, create the pipeline with start_at; or start an ingestor first.';
  ELSIF topic IS NULL AND partition IS NOT NULL AND p.topic_kind <> 'one' THEN
    RAISE EXCEPTION 'partition % of which topic of pipeline "%"?', partition, p.name
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It reads several topics, and each has partitions of its own.',
            HINT = 'Pass topic => …, too; SELECT pipeline, topic, partition FROM millrace.partitions; lists them.';
  ELSIF p.topic_kind = 'one' THEN
    -- those whose rows are lost, too
    found := (SELECT array_agg(n ORDER BY n) FROM generate_series(0, p.partitions - 1) AS n
              WHERE (partition IS NULL OR n = partition) AND (topic IS NULL OR p.topic = topic));
    known := format('Its partitions are 0 to %s%s.', p.partitions - 1, CASE WHEN topic <> p.topic THEN format(', of topic "%s"', p.topic) END);
  ELSE
    found := (SELECT array_agg(t.partition ORDER BY t.partition) FROM millrace.topic_partition AS t
              WHERE t.pipeline_id = p.id AND (_partitions.topic IS NULL OR t.topic = _partitions.topic)
                    AND (_partitions.partition IS NULL OR t.topic_partition = _partitions.partition));
    known := coalesce((SELECT format('The partitions of that topic are 0 to %s.', max(t.topic_partition)) FROM millrace.topic_partition AS t
                       WHERE t.pipeline_id = p.id AND t.topic = _partitions.topic HAVING count(*) > 0),
                      'SELECT pipeline, topic, partition FROM millrace.partitions; lists them.');
  END IF;
  IF found IS NULL THEN
    RAISE EXCEPTION 'pipeline "%" has no %', p.name,
                    concat_ws(' of ', 'partition ' || partition, 'topic "' || topic || '"')
      USING ERRCODE = 'undefined_object', HINT = known;
  END IF;
  RETURN found;
END $$;
REVOKE ALL ON FUNCTION millrace._partitions(millrace.pipeline, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._partitions(millrace.pipeline, text, integer) IS 'Internal: the partitions a verb works on, in lock order.';

CREATE FUNCTION millrace._rewind(caller regrole, pipeline text, "offset" bigint, to_time timestamptz, partition integer,
                                 allow_duplicates boolean, topic text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  -- the windows before the pipeline: a rebuild may have one for long, and batches would wait with this
  folding integer[] := CASE WHEN allow_duplicates THEN millrace._lock_windows(millrace._owned(caller, pipeline)) END;
  p       millrace.pipeline := millrace._lock_owned(caller, pipeline);
  conflict text := (SELECT v.on_conflict FROM millrace.pipeline_version AS v
                    WHERE v.pipeline_id = p.id AND v.version = p.version);
  present millrace.progress;
  seek_ts bigint := CASE WHEN isfinite(to_time) THEN greatest(trunc(extract(epoch FROM to_time) * 1000), 0)
                         WHEN to_time = '-infinity' THEN 0 END;
  place   text := millrace._place(topic, partition);
  t       integer;
  moved   integer := 0;
BEGIN
  IF ("offset" IS NULL) = (to_time IS NULL) THEN
    RAISE EXCEPTION 'rewind needs either an offset or a time, found %',
                    CASE WHEN "offset" IS NULL THEN 'neither' ELSE 'both' END
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('For example: %s or: %s', millrace._rewind_command(pipeline, '"offset" => 0', place),
                          millrace._rewind_command(pipeline, 'to_time => now() - interval ''1 hour''', place));
  ELSIF "offset" < 0 THEN
    RAISE EXCEPTION 'offset is %, expected 0 or more', "offset"
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('For all that Kafka still has: %s', millrace._rewind_command(pipeline, 'to_time => ''-infinity''', place));
  ELSIF to_time > clock_timestamp() THEN
    RAISE EXCEPTION 'to_time is %, which is in the future', to_time
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a time in the past.';
  END IF;

  FOREACH t IN ARRAY millrace._partitions(p, topic, partition)
  LOOP
    PERFORM millrace._lock_partition(p.id, t);
    present := millrace._progress(p.id, t);
    IF present.next_offset IS NULL AND to_time IS NOT NULL THEN
      RAISE EXCEPTION 'partition % of pipeline "%" has no position to go back from', millrace._partition_text(p.id, t), pipeline
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Its rows in millrace.progress are lost.',
              HINT = format('For all that Kafka still has: %s', millrace._rewind_command(pipeline, '"offset" => 0', millrace._place(p.id, t)));
    ELSIF "offset" > present.next_offset THEN
      CONTINUE WHEN partition IS NULL;
      RAISE EXCEPTION 'offset % is ahead of partition %, whose position is %', "offset", millrace._partition_text(p.id, t), present.next_offset
        USING ERRCODE = 'invalid_parameter_value',
              DETAIL = 'A rewind moves back; moving ahead leaves events out.',
              HINT = millrace._skip_hint(pipeline, millrace._place(p.id, t), "offset", present.next_offset, (millrace._end(p.id, t)).high);
    END IF;
    IF ("offset" = present.next_offset) IS NOT TRUE AND conflict = 'error'
       AND NOT coalesce(allow_duplicates, false)
    THEN
      RAISE EXCEPTION 'rewinding pipeline "%" would write rows twice', pipeline
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = format('The position of partition %s is %s, and on_conflict is "error": events from %s on would be processed again.',
                              millrace._partition_text(p.id, t), coalesce(present.next_offset::text, 'lost'), coalesce("offset"::text, to_time::text)),
              HINT = format('Delete these rows from the target first; then: %s',
                            millrace._rewind_command(pipeline, CASE WHEN to_time IS NULL THEN '"offset" => ' || "offset"
                                                                    ELSE format('to_time => %L', to_time) END, place));
    END IF;
    IF to_time IS NULL THEN
      PERFORM millrace._set_position(present, "offset", 'rewind', caller::text);
    END IF;
    -- only Kafka knows offsets by time: the ingestor asks it at its next assignment, see set_position()
    PERFORM millrace._restart_partition(p.id, t, seek_ts);
    moved := moved + 1;
  END LOOP;
  IF allow_duplicates AND moved > 0 THEN
    PERFORM millrace._rewind_windows(caller, p, folding);
  END IF;
  IF conflict <> 'error' AND moved > 0 THEN
    RAISE NOTICE 'events of % will be processed again', CASE moved WHEN 1 THEN '1 partition' ELSE moved || ' partitions' END
      USING DETAIL = format('on_conflict "%s" handles rows that exist already; triggers run again.', conflict);
  END IF;
  PERFORM millrace._wake();
  RETURN moved;
END $$;
REVOKE ALL ON FUNCTION millrace._rewind(regrole, text, bigint, timestamptz, integer, boolean, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._rewind(regrole, text, bigint, timestamptz, integer, boolean, text) IS 'Internal: rewind for a role.';

CREATE FUNCTION millrace.rewind(
  pipeline         text,
  "offset"         bigint      DEFAULT NULL,
  to_time          timestamptz DEFAULT NULL,
  partition        integer     DEFAULT NULL,
  allow_duplicates boolean     DEFAULT false,
  topic            text        DEFAULT NULL)
RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.rewind(text, bigint, timestamptz, integer, boolean, text) IS
'Moves a pipeline back, to process events again.
In: pipeline; either "offset", or to_time (first event with this Kafka timestamp or a later one; -infinity: all that Kafka still has); partition: only this one; allow_duplicates: true to rewind a pipeline whose on_conflict is error: its incremental windows are computed again from the rows that the target has, as by rebuild_window(), so that those which were removed from it count once, and from before their target_since keep what they have; topic: only this one, of a pipeline that reads several, where partition needs it.
Out: number of partitions moved back. Without partition, partitions whose position is before the offset are not moved. A time never moves a partition ahead.
Errors: object_not_in_prerequisite_state when rows would be written twice, when windows would be erased that begin before the first row of the target, with what keeps them, or before the first start; invalid_parameter_value for an offset ahead of the position; serialization_failure when a window is created meanwhile; undefined_object for an unknown pipeline or partition; insufficient_privilege unless the caller is the owner or a member of it.';

CREATE FUNCTION millrace._skip_to(caller regrole, pipeline text, partition integer, "offset" bigint, topic text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p       millrace.pipeline := millrace._lock_owned(caller, pipeline);
  present millrace.progress;
  mark    millrace._watermark;
  t       integer;
BEGIN
  PERFORM millrace._check_given(ARRAY['partition', 'offset'], ARRAY[partition IS NULL, "offset" IS NULL]);
  t := (millrace._partitions(p, topic, partition))[1];
  PERFORM millrace._lock_partition(p.id, t);
  present := millrace._progress(p.id, t);
  IF "offset" < present.next_offset THEN
    RAISE EXCEPTION 'offset % is behind partition %, whose position is %', "offset", millrace._partition_text(p.id, t), present.next_offset
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('To process events again: %s', millrace._rewind_command(pipeline, '"offset" => ' || "offset", millrace._place(p.id, t)));
  END IF;
  mark := millrace._end(p.id, t);
  IF "offset" > mark.high THEN  -- the partition would stop there
    RAISE EXCEPTION 'offset % is beyond the end of partition %, which is %', "offset", millrace._partition_text(p.id, t), mark.high
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('The ingestor last asked Kafka at %s.', mark.reported_at),
            HINT = millrace._skip_hint(pipeline, millrace._place(p.id, t), "offset", present.next_offset, mark.high);
  END IF;
  PERFORM millrace._set_position(present, "offset", 'skip_to', caller::text);
  PERFORM millrace._restart_partition(p.id, t, NULL);
  PERFORM millrace._wake();
  RETURN "offset" - present.next_offset;
END $$;
REVOKE ALL ON FUNCTION millrace._skip_to(regrole, text, integer, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._skip_to(regrole, text, integer, bigint, text) IS 'Internal: skip_to for a role.';

CREATE FUNCTION millrace.skip_to(pipeline text, partition integer, "offset" bigint, topic text DEFAULT NULL) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.skip_to(text, integer, bigint, text) IS
'Moves one partition of a pipeline ahead and leaves out the events between, on purpose: past retention, or past events that are not wanted. The range is recorded in millrace.position_changes. To the current position: continues there without comparing the message before it.
In: pipeline; partition; "offset" to continue at; topic of the partition, of a pipeline that reads several.
Out: number of offsets left out; null when the position was lost.
Errors: invalid_parameter_value for an offset behind the position, or beyond the end that an ingestor has reported in the last half minute; undefined_object for an unknown pipeline or partition; insufficient_privilege unless the caller is the owner or a member of it.';
