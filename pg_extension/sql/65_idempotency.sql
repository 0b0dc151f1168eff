-- Idempotency-Key of POST /events: one request with a key publishes, the others get its answer. The claim is committed before the
-- event is sent to Kafka, the answer is recorded when Kafka has acknowledged it.

CREATE FUNCTION millrace._lock_idempotency_key(hash bigint) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_idempotency_key';
REVOKE ALL ON FUNCTION millrace._lock_idempotency_key(bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_idempotency_key(bigint) IS 'Internal: one transaction at a time claims a key.';

CREATE FUNCTION millrace._idempotency_slot(at timestamptz) RETURNS smallint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT (floor(extract(epoch FROM at) / 3600)::bigint % 26)::smallint;
$$;
REVOKE ALL ON FUNCTION millrace._idempotency_slot(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION millrace._idempotency_slot(timestamptz) IS 'Internal: the partition of idempotency_key for an hour.';

-- The lock makes the look-up and the insert one step: two requests at the turn of the hour would insert into two partitions.
CREATE FUNCTION millrace.claim_idempotency_key(topic text, client text, key text, fingerprint bytea, lease interval)
RETURNS TABLE (outcome text, slot smallint, claim uuid, status smallint, location text, body text, lease_expired boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_variable
DECLARE
  at    timestamptz;
  found record;
BEGIN
  PERFORM millrace._lock_idempotency_key(hashtextextended(concat_ws(E'\x1f', topic, client, key), 0));
  at := clock_timestamp();
  lease_expired := false;
  SELECT k.* INTO found FROM millrace.idempotency_key AS k
  WHERE k.topic = topic AND k.client = client AND k.key = key AND k.created_at > at - interval '24 hours';
  IF found.key IS NULL THEN
    outcome := 'claimed';
  ELSIF found.fingerprint <> fingerprint THEN
    outcome := 'other_body';
  ELSIF found.status IS NOT NULL THEN
    outcome := 'answered';
    status := found.status;
    location := found.location;
    body := found.body;
  ELSIF found.leased_until > at THEN
    outcome := 'in_flight';
  ELSE
    -- the row goes to the present hour: its answer is kept from now on
    DELETE FROM millrace.idempotency_key AS k
    WHERE k.slot = found.slot AND k.topic = topic AND k.client = client AND k.key = key;
    outcome := 'claimed';
    lease_expired := found.leased_until > '-infinity'; -- else it was given back
  END IF;
  IF outcome = 'claimed' THEN
    slot := millrace._idempotency_slot(at);
    claim := gen_random_uuid();
    -- what is in the way is older than a day
    INSERT INTO millrace.idempotency_key AS k (slot, topic, client, key, fingerprint, claim, leased_until, created_at)
    VALUES (slot, topic, client, key, fingerprint, claim, at + lease, at)
    ON CONFLICT ON CONSTRAINT idempotency_key_pkey DO UPDATE
    SET fingerprint = excluded.fingerprint, claim = excluded.claim, leased_until = excluded.leased_until,
        created_at = excluded.created_at, status = NULL, location = NULL, body = NULL;
  END IF;
  RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION millrace.claim_idempotency_key(text, text, text, bytea, interval) FROM PUBLIC;
COMMENT ON FUNCTION millrace.claim_idempotency_key(text, text, text, bytea, interval) IS
'For the API: claims the Idempotency-Key of a request before its events are published. Committed before anything is sent.
In: topic that is published to; client, the name of its API key; key; fingerprint of the request; lease, how long the claim holds without an answer.
Out: outcome: claimed (slot and claim are for end_idempotency_claim), answered (status, location and body of the first answer, kept for 24 hours), in_flight (another request has claimed it and is not answered), other_body (the key came with another fingerprint); lease_expired: it is claimed after a request that ended without an answer and may have published.
Errors: not_null_violation without one of the arguments; serialization_failure in a transaction that is not read committed.';

CREATE FUNCTION millrace.end_idempotency_claim(slot smallint, topic text, client text, key text, claim uuid, status smallint, location text, body text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_variable
BEGIN
  UPDATE millrace.idempotency_key AS k
  SET status = status, location = location, body = body,
      leased_until = CASE WHEN status IS NULL THEN '-infinity' ELSE k.leased_until END
  WHERE k.slot = slot AND k.topic = topic AND k.client = client AND k.key = key AND k.claim = claim AND k.status IS NULL;
  RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION millrace.end_idempotency_claim(smallint, text, text, text, uuid, smallint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace.end_idempotency_claim(smallint, text, text, text, uuid, smallint, text, text) IS
'For the API: records the answer to a request with an Idempotency-Key, or gives the claim back.
In: slot and claim, as claim_idempotency_key() gave them; topic, client, key; status, location, body of the answer; status null: nothing is known to be published, and the next request with the key may try.
Out: false when the lease has ended and another request has claimed the key.
Errors: none.';

-- The lock is waited for, for a second: claims hold it for milliseconds, and with many of them there is no moment without one.
CREATE FUNCTION millrace._empty_idempotency_slot() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET lock_timeout = '1s' AS $$
DECLARE
  next smallint := millrace._idempotency_slot(clock_timestamp() + interval '1 hour');
BEGIN
  IF NOT EXISTS (SELECT FROM millrace.idempotency_key AS k WHERE k.slot = next) THEN
    RETURN false;
  END IF;
  EXECUTE format('LOCK TABLE millrace.idempotency_key_%s IN ACCESS EXCLUSIVE MODE', next);
  -- the hour may have turned while it waited
  IF next <> millrace._idempotency_slot(clock_timestamp() + interval '1 hour') THEN
    RETURN false;
  END IF;
  EXECUTE format('TRUNCATE millrace.idempotency_key_%s', next);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;
REVOKE ALL ON FUNCTION millrace._empty_idempotency_slot() FROM PUBLIC;
COMMENT ON FUNCTION millrace._empty_idempotency_slot() IS 'Internal, for the supervisor: empties the partition of the next hour, which holds keys older than a day. True: it had some.';
