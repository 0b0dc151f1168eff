-- event_status: the outcome of one event. It is asked for often, by the API, and planning costs as much as it does: PL/pgSQL keeps the
-- plans. Failures are recorded; the outcome of other events follows from the counters of the
-- seconds around them, as long as progress keeps these (five minutes or more) and all events of that range had the same outcome.

-- The rows of progress between which an offset was settled last; nulls when they are no longer kept, or it never was.
CREATE FUNCTION millrace._settling(pipeline_id integer, partition integer, "offset" bigint, OUT outcome text,
                                   OUT after timestamptz, OUT settled_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  WITH state AS (
    SELECT g.seq, g.next_offset, g.events, g.written, g.filtered, g.superseded, g.skipped, g.dead, g.retrying, g.settled_at
    FROM millrace.progress AS g
    WHERE g.pipeline_id = _settling.pipeline_id AND g.partition = _settling.partition
    UNION ALL
    SELECT g.seq, g.next_offset, g.events, g.written, g.filtered, g.superseded, g.skipped, g.dead, g.retrying, g.settled_at
    FROM millrace._ledger_entry AS g
    WHERE g.pipeline_id = _settling.pipeline_id AND g.partition = _settling.partition
  )
  SELECT CASE
           -- the difference is not exact while an event is tried again
           WHEN b.events = a.events THEN 'left_out'
           WHEN a.retrying <> 0 OR b.retrying <> 0 THEN NULL
           WHEN b.events - a.events = b.written - a.written + b.dead - a.dead THEN 'processed'
           WHEN b.events - a.events = b.filtered - a.filtered + b.dead - a.dead THEN 'filtered'
           WHEN b.events - a.events = b.superseded - a.superseded + b.dead - a.dead THEN 'superseded'
           WHEN b.events - a.events = b.skipped - a.skipped + b.dead - a.dead THEN 'skipped'
         END, a.settled_at, b.settled_at
  INTO outcome, after, settled_at
  FROM (SELECT * FROM state AS g WHERE g.next_offset <= _settling."offset" ORDER BY g.seq DESC LIMIT 1) AS a
  CROSS JOIN LATERAL (SELECT * FROM state AS g WHERE g.seq > a.seq ORDER BY g.seq LIMIT 1) AS b;
END $$;
REVOKE ALL ON FUNCTION millrace._settling(integer, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._settling(integer, integer, bigint) IS 'Internal: outcome of an offset by the counters around it.';

-- As an entry of a timeline has it.
CREATE FUNCTION millrace._document_place(document integer) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('document', document));
$$;
REVOKE ALL ON FUNCTION millrace._document_place(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._document_place(integer) IS 'Internal: which document of its message an entry of a timeline is about.';

-- What is recorded about an event, oldest first.
CREATE FUNCTION millrace._timeline(pipeline_id integer, partition integer, "offset" bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN (
  WITH letter AS (
    SELECT l.*, millrace._document_place(l.document) AS place FROM millrace.dead_letter AS l
    WHERE l.pipeline_id = _timeline.pipeline_id AND l.partition = _timeline.partition AND l."offset" = _timeline."offset"
  ), waiting AS (
    SELECT r.*, millrace._document_place(r.document) AS place FROM millrace.retry AS r
    WHERE r.pipeline_id = _timeline.pipeline_id AND r.partition = _timeline.partition AND r."offset" = _timeline."offset"
  ), entry (at, step, entry) AS (
    SELECT c.at, 0, jsonb_build_object('at', c.at, 'what', c.verb, 'from_offset', c.from_offset, 'to_offset', c.to_offset, 'by', c.by)
    FROM millrace.position_change AS c
    WHERE c.pipeline_id = _timeline.pipeline_id AND c.partition = _timeline.partition
          AND ((c.verb = 'start' AND c.to_offset <= _timeline."offset")
               OR _timeline."offset" BETWEEN least(c.from_offset, c.to_offset) AND greatest(c.from_offset, c.to_offset) - 1)
    UNION ALL
    SELECT coalesce(l.first_failed_at, l.failed_at), h.nth, jsonb_build_object('what', 'failed', 'try', h.nth) || h.failure || l.place
    FROM letter AS l CROSS JOIN LATERAL jsonb_array_elements(l.history) WITH ORDINALITY AS h (failure, nth)
    UNION ALL
    SELECT l.failed_at, 1000000,
           jsonb_build_object('at', l.failed_at, 'what', 'dead', 'id', l.id, 'ended', l.ended, 'stage', l.stage, 'sqlstate', l.sqlstate,
                              'message', l.message) || l.place
    FROM letter AS l
    UNION ALL
    SELECT l.published_at, 1000001,
           jsonb_build_object('at', l.published_at, 'what', 'published', 'id', l.id, 'dlq_partition', l.dlq_partition, 'dlq_offset', l.dlq_offset) || l.place
    FROM letter AS l WHERE l.published_at IS NOT NULL
    UNION ALL
    SELECT l.changed_at, 2000001, jsonb_build_object('at', l.changed_at, 'what', l.state, 'id', l.id) || l.place
    FROM letter AS l WHERE l.state IN ('replayed', 'discarded') AND l.changed_at IS NOT NULL
    UNION ALL
    -- of a replay, earlier failures are listed with the dead letter
    SELECT r.first_failed_at, 2000000 + h.nth, jsonb_build_object('what', 'failed', 'try', h.nth) || h.failure || r.place
    FROM waiting AS r CROSS JOIN LATERAL jsonb_array_elements(r.history) WITH ORDINALITY AS h (failure, nth)
    WHERE r.replay_of IS NULL OR h.nth > jsonb_array_length(r.history) - r.attempts
    UNION ALL
    SELECT r.first_failed_at, 2000000, jsonb_build_object('at', r.first_failed_at, 'what', 'parked') || r.place FROM waiting AS r WHERE r.state = 'parked'
    UNION ALL
    SELECT 'infinity', 0, jsonb_build_object('at', nullif(r.next_at, 'infinity'), 'what',
             CASE WHEN r.state = 'held' THEN 'its key waits' WHEN r.replay_of IS NULL THEN 'next try' ELSE 'replay' END, 'id', r.id) || r.place
    FROM waiting AS r
  )
  SELECT coalesce(jsonb_agg(e.entry ORDER BY e.at, e.step), '[]') FROM entry AS e);
END $$;
REVOKE ALL ON FUNCTION millrace._timeline(integer, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._timeline(integer, integer, bigint) IS 'Internal: what is recorded about an event.';

-- The state of an event in each pipeline on its topic, whoever owns it.
CREATE FUNCTION millrace._event_states(topic text, partition integer, "offset" bigint)
RETURNS TABLE (pipeline_id integer, pipeline text, owner regrole, instance uuid, "number" integer, status text, attempt integer,
               next_try timestamptz, since timestamptz, reason text, settled_to bigint, document integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN QUERY
  SELECT p.id, p.name, p.owner, p.instance, n.partition, s.status, s.attempt, r.next_at, s.since, s.reason, g.next_offset,
         CASE WHEN s.rank <= 2 THEN r.document WHEN s.rank IN (7, 8) THEN l.document END
  FROM millrace.pipeline AS p
  CROSS JOIN LATERAL (SELECT millrace._partition_of(p, _event_states.topic, _event_states.partition) AS partition) AS n
  LEFT JOIN millrace._position AS g ON g.pipeline_id = p.id AND g.partition = n.partition
  LEFT JOIN LATERAL (
    SELECT * FROM millrace.retry AS c
    WHERE c.pipeline_id = p.id AND c.partition = n.partition AND c."offset" = _event_states."offset"
          AND c.state <> 'held'
    ORDER BY c.id DESC LIMIT 1) AS r ON true
  LEFT JOIN LATERAL (
    SELECT c."offset" FROM millrace.retry AS c
    WHERE c.pipeline_id = p.id AND c.partition = r.partition AND c.order_key = r.order_key
          AND (c."offset", c.id) < (r."offset", r.id)
    ORDER BY c."offset", c.id LIMIT 1) AS front ON true
  LEFT JOIN LATERAL (
    SELECT c.*, greatest(c.attempts, jsonb_array_length(c.history)) AS tries FROM millrace.dead_letter AS c
    WHERE c.pipeline_id = p.id AND c.partition = n.partition AND c."offset" = _event_states."offset"
    -- of several documents, one that is still open
    ORDER BY (c.document IS NOT NULL AND c.state = 'open') DESC, c.id DESC LIMIT 1) AS l ON true
  LEFT JOIN LATERAL (
    SELECT min(c.to_offset) AS first FROM millrace.position_change AS c
    WHERE c.pipeline_id = p.id AND c.partition = n.partition) AS began ON true
  LEFT JOIN millrace.partition AS k ON k.pipeline_id = p.id AND k.partition = n.partition
  LEFT JOIN millrace._watermark AS w ON w.pipeline_id = p.id AND w.partition = n.partition
  -- the position was moved over it: what counts is the last time
  LEFT JOIN LATERAL (
    SELECT c.verb, c.at FROM millrace.position_change AS c
    WHERE c.pipeline_id = p.id AND c.partition = n.partition
          AND _event_states."offset" >= least(c.from_offset, c.to_offset) AND _event_states."offset" < greatest(c.from_offset, c.to_offset)
    ORDER BY c.at DESC LIMIT 1) AS moved ON true
  LEFT JOIN LATERAL millrace._settling(p.id, n.partition, _event_states."offset") AS t ON true
  -- the first that applies
  CROSS JOIN LATERAL (
    SELECT v.rank, v.status, v.attempt, v.since, v.reason
    FROM (VALUES
      (0, r.state = 'parked', 'parked', NULL, r.first_failed_at,
       coalesce(format('waits behind offset %s of its key', front."offset"), 'it is due')),
      (1, r.id IS NOT NULL AND r.replay_of IS NULL, 'retrying', r.attempts, r.first_failed_at, r.history -> -1 ->> 'message'),
      (2, r.id IS NOT NULL, 'replaying', r.attempts, r.first_failed_at, l.message),
      (3, g.seq IS NULL, 'unknown', NULL, NULL, 'the pipeline has no such partition'),
      (4, _event_states."offset" < 0, 'unknown', NULL, NULL, 'offsets begin at 0'),
      (5, _event_states."offset" >= g.next_offset AND _event_states."offset" < w.low AND l.id IS NULL, 'lost', NULL, NULL,
       format('Kafka''s retention has removed it before it was processed: the partition begins at %s', w.low)),
      (6, _event_states."offset" >= greatest(g.next_offset, w.low), 'pending', NULL, NULL,
       CASE WHEN k.state = 'stopped' THEN format('the partition is stopped: %s', k.error)
            WHEN w.high <= _event_states."offset" THEN format('the topic ended at %s when the ingestor last looked', w.high) END),
      (7, l.state = 'open', 'dead', l.tries, l.failed_at, l.message),
      (8, l.id IS NOT NULL, l.state, l.tries, coalesce(l.changed_at, l.failed_at), l.message),
      (9, began.first > _event_states."offset", 'unknown', NULL, NULL, format('the pipeline began at %s', began.first)),
      (10, moved.verb = 'skip_to', 'left_out', NULL, moved.at, 'skip_to'),
      (11, t.outcome IS NOT NULL, t.outcome, NULL, t.settled_at,
       CASE WHEN t.outcome = 'left_out' THEN 'no event of the topic' END),
      (12, true, 'settled', NULL, t.settled_at, 'written, filtered, superseded or skipped: no longer known which')
    ) AS v (rank, applies, status, attempt, since, reason)
    WHERE v.applies ORDER BY v.rank LIMIT 1) AS s
  WHERE EXISTS (SELECT FROM millrace._source AS c WHERE c.pipeline_id = p.id AND c.topic = _event_states.topic);
END $$;
REVOKE ALL ON FUNCTION millrace._event_states(text, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._event_states(text, integer, bigint) IS 'Internal: the state of an event in each pipeline on its topic; number is that of its partition in the pipeline.';

CREATE FUNCTION millrace._event_trace(caller regrole, topic text, partition integer, "offset" bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  RETURN (
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'pipeline', s.pipeline, 'status', s.status, 'attempt', s.attempt, 'next_try', s.next_try, 'since', s.since,
           'detail', jsonb_strip_nulls(jsonb_build_object('reason', s.reason, 'position', s.settled_to, 'document', s.document))
                     || jsonb_build_object('timeline', millrace._timeline(s.pipeline_id, s.number, _event_trace."offset")))
           ORDER BY s.pipeline), '[]')
  FROM millrace._event_states(topic, partition, "offset") AS s
  WHERE pg_has_role(caller, s.owner::oid, 'USAGE'));
END $$;
REVOKE ALL ON FUNCTION millrace._event_trace(regrole, text, integer, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._event_trace(regrole, text, integer, bigint) IS 'Internal: event_trace for a role.';

CREATE FUNCTION millrace.event_trace(topic text, partition integer, "offset" bigint) RETURNS jsonb
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.event_trace(text, integer, bigint) IS
'event_status() as one document.
In: as event_status(). Out: array of objects with the columns of event_status(). Errors: none.';

CREATE FUNCTION millrace.event_status(topic text, partition integer, "offset" bigint)
RETURNS TABLE (pipeline text, status text, attempt integer, next_try timestamptz, since timestamptz, detail jsonb)
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT s.* FROM jsonb_to_recordset(millrace.event_trace(topic, partition, "offset"))
    AS s (pipeline text, status text, attempt integer, next_try timestamptz, since timestamptz, detail jsonb);
$$;
COMMENT ON FUNCTION millrace.event_status(text, integer, bigint) IS
'The outcome of one event, in each of the caller''s pipelines on its topic.
In: topic, partition, "offset".
Out: pipeline; status: pending, lost (removed by Kafka''s retention before it was processed), processed, filtered, superseded, skipped (a tombstone), left_out (by skip_to), retrying, parked (waits behind another event of its key), dead, replaying, replayed, discarded, settled (processed, filtered, superseded or skipped; which one is no longer known) or unknown; attempt: tries that failed; next_try, infinity for parked; since: when it reached this status; detail: reason, position of the partition, document (with format ndjson the number of the one that this is said of; of several, one that is not done with), and timeline of what is recorded, of each document. No row: no pipeline of the caller''s reads the topic.
Errors: none.';

-- Asked many times a second, for thousands of events: the position and what is tried again say whether one is final; its state,
-- which costs more, is looked up only where it is asked for.
CREATE FUNCTION millrace.final_events(topic text, partitions integer[], offsets bigint[], named boolean[])
RETURNS TABLE (nth bigint, pipelines jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off AS $$
  WITH asked AS (
    SELECT a.partition, a."offset", a.named, a.nth
    FROM unnest(partitions, offsets, named) WITH ORDINALITY AS a (partition, "offset", named, nth)
  ), reader AS MATERIALIZED (
    SELECT d.partition, p.id AS pipeline_id, millrace._partition_of(p, final_events.topic, d.partition) AS number
    FROM (SELECT DISTINCT a.partition FROM asked AS a) AS d CROSS JOIN millrace.pipeline AS p
    WHERE p.instance = millrace._instance()
          AND EXISTS (SELECT FROM millrace._source AS c WHERE c.pipeline_id = p.id AND c.topic = final_events.topic)
  ), passed AS MATERIALIZED (
    -- up to where all pipelines of this installation that read the topic have come
    SELECT r.partition, min(g.next_offset) AS next_offset
    FROM reader AS r LEFT JOIN millrace._position AS g ON g.pipeline_id = r.pipeline_id AND g.partition = r.number
    GROUP BY r.partition HAVING bool_and(g.next_offset IS NOT NULL)
  )
  SELECT a.nth, CASE WHEN a.named THEN
           (SELECT jsonb_agg(jsonb_build_object('pipeline', s.pipeline, 'status', s.status) ORDER BY s.pipeline)
            FROM millrace._event_states(final_events.topic, a.partition, a."offset") AS s WHERE s.instance = millrace._instance())
         ELSE '[]' END
  FROM asked AS a JOIN passed AS b ON b.partition = a.partition AND a."offset" < b.next_offset
  WHERE NOT EXISTS (SELECT FROM reader AS r JOIN millrace.retry AS c ON c.pipeline_id = r.pipeline_id AND c.partition = r.number
                    WHERE r.partition = a.partition AND c."offset" = a."offset" AND c.state <> 'held');
$$;
REVOKE ALL ON FUNCTION millrace.final_events(text, integer[], bigint[], boolean[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace.final_events(text, integer[], bigint[], boolean[]) IS
'For the API: which of these events have reached a final state in all pipelines of this installation that read their topic. Words only, no content: granted by grant_api().
In: topic; partitions, offsets and named, one of each for each event; named: its states are wanted.
Out: a row for each such event: nth, its number from 1; pipelines, an array of objects with pipeline and status, as of event_status(), empty unless it is named. Errors: none.';
