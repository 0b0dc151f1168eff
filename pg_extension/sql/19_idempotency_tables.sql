-- What POST /events remembers of requests with an Idempotency-Key (65_idempotency.sql). A ring of 26 partitions, one for each
-- hour: a key is looked for in the last 24 hours, which touch 25 of them, while the one of the next hour is emptied. Members of
-- the extension that pg_dump leaves out, so that it locks none of them.

CREATE TABLE millrace.idempotency_key (
  slot         smallint    NOT NULL,  -- hours since 1970, modulo 26
  topic        text        NOT NULL,  -- that is published to
  client       text        NOT NULL,  -- name of the API key, '' without one
  key          text        NOT NULL,
  fingerprint  bytea       NOT NULL,  -- SHA-256 of the request
  claim        uuid        NOT NULL,  -- who publishes, or has published; random
  leased_until timestamptz NOT NULL,  -- when it may be claimed again unless it is answered
  created_at   timestamptz NOT NULL,
  status       smallint,              -- of the answer; null: there is none yet
  location     text,
  body         text,
  CONSTRAINT idempotency_key_pkey PRIMARY KEY (slot, topic, client, key)
) PARTITION BY LIST (slot);
COMMENT ON TABLE millrace.idempotency_key IS 'Internal: requests with an Idempotency-Key, and their answers, of the last 24 hours.';

DO $do$
BEGIN
  FOR slot IN 0 .. 25 LOOP
    EXECUTE format('CREATE TABLE millrace.idempotency_key_%1$s PARTITION OF millrace.idempotency_key FOR VALUES IN (%1$s)', slot);
    EXECUTE format('COMMENT ON TABLE millrace.idempotency_key_%s IS %L', slot, 'Internal: the keys of requests of one hour.');
  END LOOP;
END $do$;
