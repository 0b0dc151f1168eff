-- Events that failed. They hold users' data: for the pipeline's owner and its members alone, pg_monitor or not.

CREATE VIEW millrace.dead_letters WITH (security_barrier) AS
SELECT l.id, p.name AS pipeline, l.version, l.topic, coalesce(n.topic_partition, l.partition) AS partition, l."offset", l.kafka_ts, l.stage, l.sqlstate, l.message,
       l.detail, l.hint, l.constraint_name, l.column_name,
       millrace.fingerprint(l.stage, l.sqlstate, l.constraint_name, l.column_name, l.message) AS fingerprint,
       millrace.readable(l.key) AS key, millrace.headers(l.headers) AS headers, millrace.readable(l.payload) AS payload,
       l.payload AS raw, l.failed_at, millrace.condition_name(l.sqlstate) AS condition, l.state, l.ended,
       greatest(l.attempts, pg_catalog.jsonb_array_length(l.history)) AS attempts, l.history,
       coalesce(l.first_failed_at, l.failed_at) AS first_failed_at, l.replay_count,
       millrace.readable(l.edited_payload) AS edited_payload, l.published_at, l.dlq_partition, l.dlq_offset,
       coalesce(l.changed_at, l.failed_at) AS changed_at, l.document
FROM millrace.dead_letter AS l JOIN millrace.pipeline AS p ON p.id = l.pipeline_id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = l.pipeline_id AND n.partition = l.partition
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.dead_letters IS 'Events that failed: where each came from, why it failed, its data, and its state.';
COMMENT ON COLUMN millrace.dead_letters.stage IS 'decode (the payload does not fit fields), transform, write, or window (an expression of a window fails on the row)';
COMMENT ON COLUMN millrace.dead_letters.payload IS 'as text; bytes that are not UTF-8 in the escape format of bytea';
COMMENT ON COLUMN millrace.dead_letters.raw IS 'the payload as it came';
COMMENT ON COLUMN millrace.dead_letters.failed_at IS 'the last time';
COMMENT ON COLUMN millrace.dead_letters.condition IS 'name of the SQLSTATE';
COMMENT ON COLUMN millrace.dead_letters.state IS 'open, replaying, replayed (processed after all) or discarded';
COMMENT ON COLUMN millrace.dead_letters.ended IS
'why it is not tried again: permanent (trying again would not help), exhausted (max_retries), too_old (retry_age) or crashed (it crashed the server)';
COMMENT ON COLUMN millrace.dead_letters.attempts IS 'number of tries, replays included';
COMMENT ON COLUMN millrace.dead_letters.history IS 'of each try: at, stage, sqlstate, message, detail, constraint_name';
COMMENT ON COLUMN millrace.dead_letters.edited_payload IS 'what the last replay processed instead of payload';
COMMENT ON COLUMN millrace.dead_letters.published_at IS 'when it was seen in the DLQ topic, at dlq_partition and dlq_offset';
COMMENT ON COLUMN millrace.dead_letters.changed_at IS 'when state last changed';
COMMENT ON COLUMN millrace.dead_letters.document IS 'with format ndjson its number in the message, and payload is this document; null: the message as a whole';

CREATE VIEW millrace.dead_letter_groups WITH (security_barrier) AS
SELECT p.name AS pipeline, g.fingerprint, g.count, g.first_at, g.last_at, l.stage, l.sqlstate, l.message, l.constraint_name,
       l.column_name, l.id AS sample_id, l.topic, coalesce(n.topic_partition, l.partition) AS partition, l."offset", millrace.readable(l.payload) AS payload,
       millrace.condition_name(l.sqlstate) AS condition, g.open, g.replaying, g.replayed, g.discarded
FROM millrace.pipeline AS p
CROSS JOIN LATERAL (
  SELECT f.fingerprint, pg_catalog.count(*) AS count, pg_catalog.min(coalesce(d.first_failed_at, d.failed_at)) AS first_at,
         pg_catalog.max(d.failed_at) AS last_at, pg_catalog.max(d.id) AS sample_id,
         pg_catalog.count(*) FILTER (WHERE d.state = 'open') AS open,
         pg_catalog.count(*) FILTER (WHERE d.state = 'replaying') AS replaying,
         pg_catalog.count(*) FILTER (WHERE d.state = 'replayed') AS replayed,
         pg_catalog.count(*) FILTER (WHERE d.state = 'discarded') AS discarded
  FROM millrace.dead_letter AS d
  CROSS JOIN LATERAL millrace.fingerprint(d.stage, d.sqlstate, d.constraint_name, d.column_name, d.message) AS f (fingerprint)
  WHERE d.pipeline_id = p.id
  GROUP BY f.fingerprint) AS g
JOIN millrace.dead_letter AS l ON l.id = g.sample_id
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = l.pipeline_id AND n.partition = l.partition
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.dead_letter_groups IS 'Dead letters by kind of failure, with the latest of each as a sample.';
COMMENT ON COLUMN millrace.dead_letter_groups.count IS '= open + replaying + replayed + discarded';

CREATE VIEW millrace.dead_letter_actions WITH (security_barrier) AS
SELECT p.name AS pipeline, a.at, a.verb, a.by, a.count, a.condition, a.reason, a.via
FROM millrace.dead_letter_action AS a JOIN millrace.pipeline AS p ON p.id = a.pipeline_id
WHERE pg_catalog.pg_has_role(p.owner::oid, 'USAGE');
COMMENT ON VIEW millrace.dead_letter_actions IS 'Who replayed, discarded or purged dead letters, when, and which.';
COMMENT ON COLUMN millrace.dead_letter_actions.via IS 'application_name of the session; of the API with the name of the key';

GRANT SELECT ON millrace.dead_letters, millrace.dead_letter_groups, millrace.dead_letter_actions TO PUBLIC;

-- replay, discard: dead letters back into their pipeline, or closed. The condition is the caller's SQL: it runs
-- in dead_letter_ids(), with the caller's privileges, over a view. What runs as the extension's owner gets numbers only.

CREATE FUNCTION millrace.dead_letter_ids(pipeline text, "where" text, ids bigint[] DEFAULT NULL, ended boolean DEFAULT false) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  selected   bigint[];
  candidates bigint[];
  good       integer := 0;  -- so many candidates pass
  bad        integer;       -- this one does not, or one before it
  middle     integer;
  letter     millrace.dead_letters;
  states     text[] := CASE WHEN ended THEN ARRAY['replayed', 'discarded'] ELSE ARRAY['open'] END;
BEGIN
  IF btrim("where", E' \t\n\r') = '' THEN
    RAISE EXCEPTION 'the condition is empty'
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass a condition over the columns of millrace.dead_letters, such as ''sqlstate = 23503''; or true.';
  END IF;
  BEGIN
    -- a loop takes one query, where EXECUTE would take several; the line break ends a comment in the condition
    FOR selected IN EXECUTE format(
      E'SELECT array_agg(d.id ORDER BY d.id) FROM (SELECT * FROM millrace.dead_letters AS v '
      'WHERE v.pipeline = $1 AND v.state = ANY ($3) AND ($2 IS NULL OR v.id = ANY ($2))) AS d WHERE (%s\n)',
      coalesce("where", 'true')) USING pipeline, ids, states
    LOOP
      NULL;
    END LOOP;
    RETURN coalesce(selected, '{}');
  EXCEPTION WHEN data_exception THEN
    -- which letter? OFFSET 0 keeps the condition from being evaluated on others than these
    SELECT array_agg(v.id ORDER BY v.id) INTO candidates FROM millrace.dead_letters AS v
    WHERE v.pipeline = dead_letter_ids.pipeline AND v.state = ANY (states) AND (dead_letter_ids.ids IS NULL OR v.id = ANY (dead_letter_ids.ids));
    bad := cardinality(candidates) + 1;
    WHILE good + 1 < bad LOOP
      middle := (good + bad) / 2;
      BEGIN
        EXECUTE format(E'SELECT FROM (SELECT * FROM millrace.dead_letters AS v WHERE v.id = ANY ($1) OFFSET 0) AS d WHERE (%s\n)', "where")
        USING candidates[good + 1 : middle];
        good := middle;
      EXCEPTION WHEN data_exception THEN
        bad := middle;
      END;
    END LOOP;
    SELECT * INTO letter FROM millrace.dead_letters AS v WHERE v.id = candidates[bad];
    IF NOT FOUND THEN
      RAISE;
    END IF;
    RAISE EXCEPTION 'the condition fails for dead letter %: %', letter.id, SQLERRM
      USING ERRCODE = SQLSTATE, DETAIL = format('Its stage is %s, its payload: %s', letter.stage, coalesce(left(letter.payload, 100), 'null')),
            HINT = CASE WHEN letter.stage = 'decode'
                   THEN format('Payloads that could not be decoded may be no JSON. Leave them out: stage <> ''decode'' AND (%s)', "where")
                   ELSE format('Leave it out: id <> %s AND (%s)', letter.id, "where") END;
  END;
END $$;
COMMENT ON FUNCTION millrace.dead_letter_ids(text, text, bigint[], boolean) IS
'The open dead letters of a pipeline that a condition selects: what replay() and discard() would take; or those that have ended, for purge_dead_letters().
In: pipeline; where: SQL over the columns of millrace.dead_letters, run with the caller''s privileges and an empty search_path (name functions and tables with their schema); ids: only among these; ended: true for those that were replayed or discarded instead of the open ones.
Out: ids, {} for none.
Errors: those of the condition, a data exception with the id of the first letter that raises it; invalid_parameter_value for an empty one.';

-- The ids a verb may work on, locked. Given by number, each must qualify; selected by a condition, the others are left out.
CREATE FUNCTION millrace._take_dead_letters(p millrace.pipeline, ids bigint[], named boolean, max_replays integer, edited boolean, locks boolean DEFAULT true)
RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  taken  bigint[];
  letter record;
  left_out integer := 0;
  reason text;
  remedy text;
BEGIN
  IF locks THEN
    -- the pipeline cannot be dropped concurrently, but continues to run
    PERFORM FROM millrace.pipeline AS c WHERE c.id = p.id FOR KEY SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'pipeline "%" was dropped concurrently', p.name USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM FROM millrace.dead_letter AS l
    WHERE l.pipeline_id = p.id AND l.state IN ('open', 'discarded') AND (ids IS NULL OR l.id = ANY (ids))
    ORDER BY l.id FOR UPDATE;
  END IF;
  FOR letter IN
    SELECT w.id, l.state, l.replay_count, l.payload IS NULL AND l.sqlstate = '54000' AS is_too_large
    FROM unnest(ids) AS w (id) LEFT JOIN millrace.dead_letter AS l ON l.id = w.id AND l.pipeline_id = p.id
    WHERE named
  LOOP
    SELECT v.reason, v.remedy INTO reason, remedy
    FROM (VALUES
      (letter.state IS NULL, 'it does not exist', 'SELECT id FROM millrace.dead_letters; lists them.'),
      (letter.state NOT IN ('open', 'discarded') OR (letter.state = 'discarded' AND max_replays IS NULL),
       format('it is %s', letter.state), 'Only open dead letters are replayed or discarded; discarded ones are replayed by id.'),
      (letter.replay_count >= max_replays, format('it was replayed %s times', letter.replay_count),
       format('Fix the cause first; then pass max_replays => %s.', letter.replay_count + 1)),
      (letter.is_too_large AND NOT edited AND max_replays IS NOT NULL,
       'the message was too large to be staged, there is no payload', 'Pass payload => …, the bytes to process instead.')
    ) AS v (applies, reason, remedy) WHERE v.applies LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'dead letter % of pipeline "%" cannot be %', letter.id, p.name,
                      CASE WHEN max_replays IS NULL THEN 'discarded' ELSE 'replayed' END || ': ' || reason
        USING ERRCODE = CASE WHEN letter.state IS NULL THEN 'undefined_object' ELSE 'object_not_in_prerequisite_state' END,
              HINT = remedy;
    END IF;
  END LOOP;
  SELECT coalesce(array_agg(l.id ORDER BY l.id) FILTER (WHERE f.is_fit), '{}'), count(*) FILTER (WHERE NOT f.is_fit)
  INTO taken, left_out
  FROM millrace.dead_letter AS l
  CROSS JOIN LATERAL (
    SELECT max_replays IS NULL
           OR (l.replay_count < max_replays AND (edited OR l.payload IS NOT NULL OR l.sqlstate <> '54000')) AS is_fit) AS f
  WHERE l.pipeline_id = p.id AND (l.state = 'open' OR (named AND max_replays IS NOT NULL AND l.state = 'discarded'))
        AND (ids IS NULL OR l.id = ANY (ids));
  IF left_out > 0 THEN
    RAISE NOTICE '%', CASE left_out WHEN 1 THEN '1 dead letter is left out' ELSE left_out || ' dead letters are left out' END
      USING DETAIL = format('They were replayed %s times or more, or have no payload because the message was too large.', max_replays),
            HINT = 'Look at replay_count in millrace.dead_letters; replay them by id, with max_replays or a payload.';
  END IF;
  RETURN taken;
END $$;
REVOKE ALL ON FUNCTION millrace._take_dead_letters(millrace.pipeline, bigint[], boolean, integer, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION millrace._take_dead_letters(millrace.pipeline, bigint[], boolean, integer, boolean, boolean) IS
'Internal: checks the dead letters of a replay (max_replays given) or discard, and locks them unless they are only counted.';

-- Before they are replayed or discarded.
CREATE FUNCTION millrace._set_letters_aside(ids bigint[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.dead_letter_aside (pipeline_id, partition, letters)
  SELECT l.pipeline_id, l.partition, count(*) FROM millrace.dead_letter AS l
  WHERE l.id = ANY (ids) AND l.state = 'open' GROUP BY l.pipeline_id, l.partition;
$$;
REVOKE ALL ON FUNCTION millrace._set_letters_aside(bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._set_letters_aside(bigint[]) IS 'Internal: counts dead letters that will not be open any more.';

CREATE FUNCTION millrace._fold_letters_aside() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  WITH gone AS (
    DELETE FROM millrace.dead_letter_aside AS a
    USING (SELECT s.pipeline_id, s.partition FROM millrace.dead_letter_aside AS s GROUP BY s.pipeline_id, s.partition HAVING count(*) > 1) AS s
    WHERE a.pipeline_id = s.pipeline_id AND a.partition = s.partition
    RETURNING a.*
  )
  INSERT INTO millrace.dead_letter_aside (pipeline_id, partition, letters)
  SELECT g.pipeline_id, g.partition, sum(g.letters) FROM gone AS g GROUP BY g.pipeline_id, g.partition;
$$;
REVOKE ALL ON FUNCTION millrace._fold_letters_aside() FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_letters_aside() IS 'Internal, for the supervisor: keeps millrace.dead_letter_aside small.';

-- The record of who did it, when, and what was requested.
CREATE FUNCTION millrace._record_action(caller regrole, p millrace.pipeline, verb text, count bigint, condition text,
                                        ids bigint[], reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  INSERT INTO millrace.dead_letter_action (pipeline_id, verb, by, count, condition, reason)
  VALUES (p.id, verb, caller::text, count,
          coalesce(condition, CASE WHEN cardinality(ids) > 100 THEN format('%s ids from %s to %s', cardinality(ids), ids[1], ids[cardinality(ids)])
                                   ELSE format('id = ANY (%L)', ids) END), reason);
$$;
REVOKE ALL ON FUNCTION millrace._record_action(regrole, millrace.pipeline, text, bigint, text, bigint[], text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._record_action(regrole, millrace.pipeline, text, bigint, text, bigint[], text) IS 'Internal: a row of dead_letter_action.';

-- A letter that held its key is replayed in order: nothing of its key has passed it.
CREATE FUNCTION millrace._warn_of_late_replays(p millrace.pipeline, ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  late bigint;
BEGIN
  SELECT count(*) INTO late
  FROM millrace.dead_letter AS l
  JOIN millrace.pipeline_version AS d ON d.pipeline_id = p.id AND d.version = p.version AND d.on_conflict = 'update' AND d.newer_by IS NULL
  WHERE l.id = ANY (ids) AND l."offset" + 1 < millrace._next_offset(p.id, l.partition)
        AND NOT EXISTS (SELECT FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state = 'held' AND r.replay_of = l.id);
  IF late > 0 THEN
    PERFORM millrace._warn('late_replays', format('%s of %s dead letters may undo newer changes of their rows', late, cardinality(ids)),
      'Later events of their partitions have been processed, and without newer_by nothing says which of two events of a key is newer.',
      'Look at the rows of their keys first, or set newer_by with millrace.alter_pipeline(); ordering => ''key'' with on_dead => ''hold'' keeps what comes later waiting.');
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._warn_of_late_replays(millrace.pipeline, bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._warn_of_late_replays(millrace.pipeline, bigint[]) IS 'Internal: counts the replays that come behind later events of an upsert.';

CREATE FUNCTION millrace._replay_ids(caller regrole, pipeline text, ids bigint[], payload bytea, rate integer,
                                     max_replays integer, condition text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p     millrace.pipeline := millrace._owned(caller, pipeline);
  taken bigint[];
  start timestamptz;
  n     bigint;
BEGIN
  PERFORM millrace._check_given(ARRAY['rate', 'max_replays'], ARRAY[rate IS NULL, max_replays IS NULL]);
  PERFORM millrace._check_range('rate', rate, 1, 1000000);
  PERFORM millrace._check_range('max_replays', max_replays, 1, 1000000);
  IF payload IS NOT NULL AND cardinality(ids) IS DISTINCT FROM 1 THEN
    RAISE EXCEPTION 'a payload is given for % dead letters', coalesce(cardinality(ids)::text, 'all')
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'An edited payload replaces that of one dead letter: select it with ids => ARRAY[…].';
  END IF;
  taken := millrace._take_dead_letters(p, ids, ids IS NOT NULL AND condition IS NULL, max_replays, payload IS NOT NULL);
  PERFORM millrace._warn_of_late_replays(p, taken);
  -- after the replays that have not begun, so that several calls together keep the rate
  start := greatest(clock_timestamp(),
                    (SELECT max(r.next_at) FROM millrace.retry AS r
                     WHERE r.pipeline_id = p.id AND r.state = 'replaying' AND r.attempts = 0) + interval '1 s' / rate);
  PERFORM millrace._set_letters_aside(taken);
  UPDATE millrace.dead_letter AS l SET state = 'replaying', changed_at = clock_timestamp(), edited_payload = _replay_ids.payload
  WHERE l.id = ANY (taken);
  -- a dead letter that holds its key keeps its place in the queue
  WITH held AS (
    DELETE FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state = 'held' AND r.replay_of = ANY (taken)
    RETURNING r.id, r.replay_of, r.order_key
  )
  INSERT INTO millrace.retry AS r
    (id, pipeline_id, version, topic, partition, "offset", kafka_ts, kind, attempts, next_at, first_failed_at, replay_of,
     key, headers, payload, history, state, order_key, document)
  -- the id is its place among documents of the same message
  SELECT coalesce(h.id, nextval('millrace.retry_id_seq')), p.id, p.version, l.topic, l.partition, l."offset", coalesce(round(extract(epoch FROM l.kafka_ts) * 1000), -1), 0, 0,
         s.at, s.at, l.id,  -- retry_age counts from this try on
         l.key, l.headers, coalesce(l.edited_payload, l.payload), l.history, 'replaying', h.order_key, l.document
  FROM unnest(taken) WITH ORDINALITY AS t (id, nth)
  JOIN millrace.dead_letter AS l ON l.id = t.id
  LEFT JOIN held AS h ON h.replay_of = l.id
  CROSS JOIN LATERAL (SELECT start + (t.nth - 1) * interval '1 s' / rate AS at) AS s;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM millrace._record_action(caller, p, 'replay', n, coalesce(condition, CASE WHEN ids IS NULL THEN 'true' END), ids,
                                  CASE WHEN payload IS NOT NULL THEN 'with an edited payload' END);
  PERFORM millrace._wake();
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._replay_ids(regrole, text, bigint[], bytea, integer, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._replay_ids(regrole, text, bigint[], bytea, integer, integer, text) IS 'Internal: replay_ids for a role.';

CREATE FUNCTION millrace.replay_ids(pipeline text, ids bigint[], payload bytea, rate integer, max_replays integer,
                                    condition text) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.replay_ids(text, bigint[], bytea, integer, integer, text) IS
'What replay() calls once it knows the ids. Use replay().
In: as replay(); ids: null for all that are open; condition: is recorded, and not evaluated. Out: as replay(). Errors: as replay().';

CREATE FUNCTION millrace.replay(
  pipeline    text,
  "where"     text     DEFAULT NULL,
  ids         bigint[] DEFAULT NULL,
  payload     millrace.payload DEFAULT NULL,
  rate        integer  DEFAULT 1000,
  max_replays integer  DEFAULT 5)
RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace.replay_ids(pipeline, CASE WHEN "where" IS NULL THEN ids ELSE millrace.dead_letter_ids(pipeline, "where", ids) END,
                             payload::bytea, rate, max_replays, "where");
$$;
COMMENT ON FUNCTION millrace.replay(text, text, bigint[], millrace.payload, integer, integer) IS
'Sends dead letters through their pipeline again, under their original Kafka coordinate. Takes effect at commit: in BEGIN … ROLLBACK it shows how many there are.
In: pipeline; where: SQL over the columns of millrace.dead_letters, run with the caller''s privileges and an empty search_path; ids: these (with where: of these); neither: all that are open; payload: text or bytes to process instead of the original, for exactly one id, both are kept; rate: maximum per second; max_replays: dead letters replayed this often are left out (a guard against endless loops).
Out: number of dead letters being replayed; each becomes replayed, or open again with its new failure.
Errors: those of the condition; object_not_in_prerequisite_state for an id that is not open (a discarded one may be named); undefined_object for an unknown pipeline or id; invalid_parameter_value for a payload for more than one; insufficient_privilege unless the caller is the owner or a member of it.';

CREATE FUNCTION millrace._discard_ids(caller regrole, pipeline text, ids bigint[], reason text, condition text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p     millrace.pipeline := millrace._owned(caller, pipeline);
  taken bigint[];
BEGIN
  IF ids IS NULL THEN
    RAISE EXCEPTION 'discard needs a condition or ids'
      USING ERRCODE = 'null_value_not_allowed',
            HINT = format('To discard all: SELECT millrace.discard(%L, ''true'');', pipeline);
  END IF;
  taken := millrace._take_dead_letters(p, ids, condition IS NULL, NULL, false);
  PERFORM millrace._set_letters_aside(taken);
  UPDATE millrace.dead_letter AS l SET state = 'discarded', changed_at = clock_timestamp() WHERE l.id = ANY (taken);
  -- a worker finds what waits behind them: an older snapshot here might not
  UPDATE millrace.retry AS r SET next_at = clock_timestamp() WHERE r.pipeline_id = p.id AND r.state = 'held' AND r.replay_of = ANY (taken);
  IF FOUND THEN
    PERFORM millrace._wake();
  END IF;
  PERFORM millrace._record_action(caller, p, 'discard', cardinality(taken), condition, ids, reason);
  RETURN cardinality(taken);
END $$;
REVOKE ALL ON FUNCTION millrace._discard_ids(regrole, text, bigint[], text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._discard_ids(regrole, text, bigint[], text, text) IS 'Internal: discard_ids for a role.';

CREATE FUNCTION millrace.discard_ids(pipeline text, ids bigint[], reason text, condition text) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.discard_ids(text, bigint[], text, text) IS
'What discard() calls once it knows the ids. Use discard().
In: as discard(); condition: is recorded, and not evaluated. Out: as discard(). Errors: as discard().';

CREATE FUNCTION millrace.discard(pipeline text, "where" text DEFAULT NULL, ids bigint[] DEFAULT NULL, reason text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace.discard_ids(pipeline, CASE WHEN "where" IS NULL THEN ids ELSE millrace.dead_letter_ids(pipeline, "where", ids) END,
                              reason, "where");
$$;
COMMENT ON FUNCTION millrace.discard(text, text, bigint[], text) IS
'Marks dead letters that will not be replayed. They stay in the table (until they are purged, or dead_letter_retention has passed), are still published, and can be replayed by id. Takes effect at commit: in BEGIN … ROLLBACK it shows how many there are.
In: pipeline; where: SQL over the columns of millrace.dead_letters, run with the caller''s privileges and an empty search_path; ids: these (with where: of these); reason: recorded in millrace.dead_letter_actions.
Out: number of dead letters discarded.
Errors: null_value_not_allowed without where and ids; those of the condition; object_not_in_prerequisite_state for an id that is not open; undefined_object for an unknown pipeline or id; insufficient_privilege unless the caller is the owner or a member of it.';

-- What the two would do, without doing it: for a preview.
CREATE FUNCTION millrace._count_replay_ids(caller regrole, pipeline text, ids bigint[], edited boolean, max_replays integer, condition text) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT cardinality(millrace._take_dead_letters(millrace._owned(caller, pipeline), ids, ids IS NOT NULL AND condition IS NULL, max_replays, edited, locks => false));
$$;
REVOKE ALL ON FUNCTION millrace._count_replay_ids(regrole, text, bigint[], boolean, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._count_replay_ids(regrole, text, bigint[], boolean, integer, text) IS 'Internal: count_replay_ids for a role.';

CREATE FUNCTION millrace.count_replay_ids(pipeline text, ids bigint[], edited boolean, max_replays integer, condition text) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.count_replay_ids(text, bigint[], boolean, integer, text) IS
'How many dead letters replay_ids() would replay.
In: as replay_ids(); edited: whether a payload is given. Out: that number; nothing is changed. Errors: as replay_ids().';

CREATE FUNCTION millrace._count_discard_ids(caller regrole, pipeline text, ids bigint[], condition text) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT cardinality(millrace._take_dead_letters(millrace._owned(caller, pipeline), ids, condition IS NULL, NULL, false, locks => false));
$$;
REVOKE ALL ON FUNCTION millrace._count_discard_ids(regrole, text, bigint[], text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._count_discard_ids(regrole, text, bigint[], text) IS 'Internal: count_discard_ids for a role.';

CREATE FUNCTION millrace.count_discard_ids(pipeline text, ids bigint[], condition text) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.count_discard_ids(text, bigint[], text) IS
'How many dead letters discard_ids() would discard.
In: as discard_ids(). Out: that number; nothing is changed. Errors: as discard_ids().';
