-- Events that are suspected of having crashed the server: how the supervisor records what workers have left behind, and what
-- users see.

CREATE FUNCTION millrace._note_crash(pipeline_id integer, version integer, kind text, partition integer, first_offset bigint,
                                     last_offset bigint, suspect_offset bigint, events integer, stage text,
                                     began_at timestamptz, run bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.crash_suspect AS s
    (pipeline_id, version, kind, partition, first_offset, last_offset, suspect_offset, events, stage, crashes, began_at,
     crashed_at, run)
  SELECT p.id, _note_crash.version, _note_crash.kind, _note_crash.partition, _note_crash.first_offset, _note_crash.last_offset,
         _note_crash.suspect_offset, _note_crash.events, _note_crash.stage, CASE WHEN _note_crash.events = 1 THEN 1 ELSE 0 END,
         _note_crash.began_at, clock_timestamp(), _note_crash.run
  FROM millrace.pipeline AS p
  WHERE p.id = _note_crash.pipeline_id
        -- it crashed after its commit
        AND NOT (_note_crash.kind = 'lane' AND _note_crash.last_offset < millrace._next_offset(p.id, _note_crash.partition))
  ON CONFLICT ON CONSTRAINT crash_suspect_pkey DO UPDATE
  SET version = EXCLUDED.version, suspect_offset = EXCLUDED.suspect_offset, events = least(s.events, EXCLUDED.events),
      stage = EXCLUDED.stage, crashes = s.crashes + EXCLUDED.crashes, began_at = EXCLUDED.began_at,
      crashed_at = EXCLUDED.crashed_at, run = EXCLUDED.run
  WHERE s.run <> EXCLUDED.run;
$$;
REVOKE ALL ON FUNCTION millrace._note_crash(integer, integer, text, integer, bigint, bigint, bigint, integer, text, timestamptz, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._note_crash(integer, integer, text, integer, bigint, bigint, bigint, integer, text, timestamptz, bigint) IS
'Internal: one partition''s part of a batch during which the server crashed.';

-- Called by the supervisor after each crash. A function that crashes with every event would crash the server twice for each.
CREATE FUNCTION millrace._count_crash(pipeline_id integer, run bigint, allowed integer) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  DELETE FROM millrace.crash AS k WHERE k.at < now() - interval '1 hour';
  INSERT INTO millrace.crash (pipeline_id, run)
  SELECT p.id, _count_crash.run FROM millrace.pipeline AS p WHERE p.id = _count_crash.pipeline_id
  ON CONFLICT DO NOTHING;
  UPDATE millrace.pipeline AS p SET state = 'crashing'
  WHERE p.id = _count_crash.pipeline_id AND p.state = 'running'
        AND (SELECT count(*) FROM millrace.crash AS k WHERE k.pipeline_id = p.id) >= _count_crash.allowed;
  SELECT EXISTS (SELECT FROM millrace.pipeline AS p WHERE p.id = _count_crash.pipeline_id AND p.state = 'crashing');
$$;
REVOKE ALL ON FUNCTION millrace._count_crash(integer, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._count_crash(integer, bigint, integer) IS
'Internal: counts a crash; with `allowed` of them in an hour the pipeline is stopped. Returns whether it is.';

CREATE FUNCTION millrace._forget_crashes() RETURNS integer
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  DELETE FROM millrace.crash_suspect AS s
  WHERE CASE s.kind
        WHEN 'lane' THEN s.last_offset < millrace._next_offset(s.pipeline_id, s.partition)
        ELSE s.crashed_at < now() - interval '1 hour' OR NOT EXISTS (  -- events may be parked for long
          SELECT FROM millrace.retry AS r
          WHERE r.pipeline_id = s.pipeline_id AND r.partition = s.partition AND r."offset" BETWEEN s.first_offset AND s.last_offset
                AND (r.next_at <= s.began_at OR r.next_at = 'infinity' AND r.first_failed_at <= s.began_at)) END;
  SELECT count(*)::integer FROM millrace.crash_suspect;
$$;
REVOKE ALL ON FUNCTION millrace._forget_crashes() FROM PUBLIC;
COMMENT ON FUNCTION millrace._forget_crashes() IS 'Internal: removes suspicions whose events were processed since; returns how many are left.';

CREATE VIEW millrace.crashes WITH (security_barrier) AS
SELECT p.name AS pipeline, s.version, s.kind, coalesce(n.topic_partition, s.partition) AS partition, s.first_offset, s.last_offset, s.suspect_offset, s.events, s.stage,
       s.crashes, s.crashed_at, coalesce(n.topic, p.topic) AS topic
FROM millrace.crash_suspect AS s JOIN millrace._visible AS p ON p.id = s.pipeline_id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = s.pipeline_id AND n.partition = s.partition
ORDER BY p.name, s.kind, s.partition, s.first_offset, s.last_offset;
COMMENT ON VIEW millrace.crashes IS 'Events among which one may have crashed the server: they are processed in smaller and smaller batches, until it is alone.';
COMMENT ON COLUMN millrace.crashes.kind IS 'lane (events as they came) or retry (they were tried again)';
COMMENT ON COLUMN millrace.crashes.suspect_offset IS 'of the event that was being processed, null: not known, or of another partition';
COMMENT ON COLUMN millrace.crashes.events IS 'in the batch, of all its partitions';
COMMENT ON COLUMN millrace.crashes.crashes IS 'how often the server crashed with the event alone; at millrace.max_crashes it is a dead letter';
GRANT SELECT ON millrace.crashes TO PUBLIC;
