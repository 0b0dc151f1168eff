-- Ended dead letters (replayed, discarded) go for good: by a verb, and by themselves when they are older than the pipeline's
-- dead_letter_retention. Counters stay as they are. Rows are deleted in bounded steps, by an index, and never by TRUNCATE: a
-- pg_dump, an old snapshot or a worker in the middle of a batch is in nobody's way.

CREATE FUNCTION millrace._purge_ids(caller regrole, pipeline text, ids bigint[], older_than interval, reason text, condition text,
                                    "limit" integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p      millrace.pipeline := millrace._owned(caller, pipeline);
  named  boolean := ids IS NOT NULL AND condition IS NULL;
  letter record;
  n      bigint;
BEGIN
  IF ids IS NULL AND older_than IS NULL THEN
    RAISE EXCEPTION 'purge_dead_letters needs a condition, an age or ids'
      USING ERRCODE = 'null_value_not_allowed',
            HINT = format('To purge all that have ended: SELECT millrace.purge_dead_letters(%L, ''true'');', pipeline);
  END IF;
  PERFORM millrace._check_given(ARRAY['limit'], ARRAY["limit" IS NULL]);
  PERFORM millrace._check_range('limit', "limit", 1, 1000000);
  IF older_than < interval '0' THEN
    RAISE EXCEPTION 'older_than is %, expected an age', older_than
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass older_than => ''30 days'', for example.';
  END IF;
  -- the pipeline cannot be dropped concurrently, but continues to run
  PERFORM FROM millrace.pipeline AS c WHERE c.id = p.id FOR KEY SHARE;
  SELECT w.id, l.state INTO letter
  FROM unnest(ids) AS w (id) LEFT JOIN millrace.dead_letter AS l ON l.id = w.id AND l.pipeline_id = p.id
  WHERE named AND (l.state IS NULL OR l.state NOT IN ('replayed', 'discarded')) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'dead letter % of pipeline "%" cannot be purged: %', letter.id, p.name,
                    CASE WHEN letter.state IS NULL THEN 'it does not exist' ELSE 'it is ' || letter.state END
      USING ERRCODE = CASE WHEN letter.state IS NULL THEN 'undefined_object' ELSE 'object_not_in_prerequisite_state' END,
            HINT = CASE WHEN letter.state IS NULL THEN 'SELECT id FROM millrace.dead_letters; lists them.'
                   ELSE format('Only those that were replayed or discarded are purged. Discard it first: SELECT millrace.discard(%L, ids => ''{%s}'');', p.name, letter.id) END;
  END IF;
  n := millrace._purge_ended(p.id, ids, older_than, "limit");
  PERFORM millrace._record_action(caller, p, 'purge', n,
    nullif(concat_ws(' AND ', condition, CASE WHEN older_than IS NOT NULL THEN format('older than %s', older_than) END), ''), ids, reason);
  IF n = "limit" THEN
    RAISE NOTICE 'as many dead letters were purged as limit allows: %', n
      USING HINT = 'Call it again, in another transaction, until it returns less.';
  END IF;
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._purge_ids(regrole, text, bigint[], interval, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._purge_ids(regrole, text, bigint[], interval, text, text, integer) IS 'Internal: purge_ids for a role.';

-- Not those that something refers to: a discarded letter that held its key, until a worker has seen that.
CREATE FUNCTION millrace._purge_ended(pipeline_id integer, ids bigint[], older_than interval, "limit" bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  n bigint;
BEGIN
  WITH ended AS MATERIALIZED (
    SELECT l.id FROM millrace.dead_letter AS l
    WHERE l.pipeline_id = _purge_ended.pipeline_id AND l.state IN ('replayed', 'discarded')
          AND (older_than IS NULL OR l.changed_at < clock_timestamp() - older_than) AND (ids IS NULL OR l.id = ANY (ids))
          AND NOT EXISTS (SELECT FROM millrace.retry AS r WHERE r.pipeline_id = l.pipeline_id AND r.partition = l.partition
                          AND r."offset" = l."offset" AND r.replay_of = l.id)
    ORDER BY l.changed_at LIMIT "limit" FOR UPDATE SKIP LOCKED
  )
  DELETE FROM millrace.dead_letter AS l USING ended AS e WHERE l.id = e.id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
REVOKE ALL ON FUNCTION millrace._purge_ended(integer, bigint[], interval, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._purge_ended(integer, bigint[], interval, bigint) IS 'Internal: deletes ended dead letters, so many at most.';

CREATE FUNCTION millrace.purge_ids(pipeline text, ids bigint[], older_than interval, reason text, condition text, "limit" integer) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.purge_ids(text, bigint[], interval, text, text, integer) IS
'What purge_dead_letters() calls once it knows the ids. Use purge_dead_letters().
In: as purge_dead_letters(); condition: is recorded, and not evaluated. Out: as purge_dead_letters(). Errors: as purge_dead_letters().';

CREATE FUNCTION millrace.purge_dead_letters(pipeline text, "where" text DEFAULT NULL, older_than interval DEFAULT NULL, ids bigint[] DEFAULT NULL,
                                            reason text DEFAULT NULL, "limit" integer DEFAULT 100000) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace.purge_ids(pipeline, CASE WHEN "where" IS NULL THEN ids ELSE millrace.dead_letter_ids(pipeline, "where", ids, true) END,
                            older_than, reason, "where", "limit");
$$;
COMMENT ON FUNCTION millrace.purge_dead_letters(text, text, interval, bigint[], text, integer) IS
'Deletes dead letters that were replayed or discarded, payload and history, for good. Counters stay. One that was not published to the DLQ topic yet never is.
In: pipeline; where: SQL over the columns of millrace.dead_letters, run with the caller''s privileges and an empty search_path; older_than: only those that ended so long ago; ids: these (with where: of these); reason: recorded with the condition in millrace.dead_letter_actions; limit: most in one call, so that a transaction stays short.
Out: number of dead letters deleted; when it is limit, call it again.
Errors: null_value_not_allowed without where, older_than and ids; those of the condition; object_not_in_prerequisite_state for an id that is open or being replayed; undefined_object for an unknown pipeline or id; insufficient_privilege unless the caller is the owner or a member of it.';

-- A step of what goes by itself, for the supervisor: of each pipeline with a dead_letter_retention so many letters, and so many
-- records of who did what.
CREATE FUNCTION millrace._purge_expired("limit" integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p     record;
  n     bigint;
  total bigint := 0;
BEGIN
  FOR p IN SELECT c.id, c.name, d.dead_letter_retention AS retention
           FROM millrace.pipeline AS c JOIN millrace.pipeline_version AS d ON d.pipeline_id = c.id AND d.version = c.version
           WHERE d.dead_letter_retention IS NOT NULL AND c.instance = millrace._instance()
  LOOP
    n := millrace._purge_ended(p.id, NULL, p.retention, "limit");
    IF n > 0 THEN
      INSERT INTO millrace.dead_letter_action (pipeline_id, verb, by, count, condition)
      VALUES (p.id, 'purge', 'dead_letter_retention', n, format('older than %s', p.retention));
    END IF;
    DELETE FROM millrace.dead_letter_action AS a
    WHERE a.ctid = ANY (ARRAY(SELECT o.ctid FROM millrace.dead_letter_action AS o
                              WHERE o.pipeline_id = p.id AND o.at < clock_timestamp() - p.retention ORDER BY o.at LIMIT "limit"));
    total := total + n;
  END LOOP;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION millrace._purge_expired(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._purge_expired(integer) IS 'Internal: deletes some of the ended dead letters that are older than their pipeline keeps them.';
