-- Keys of payloads that no field reads, as workers see them in samples (src/program/unread.h). Appended to, and folded once a minute,
-- so that no old snapshot can make it slow, and that workers of a pipeline never wait for each other.
CREATE TABLE millrace.unread_key (
  pipeline_id  integer     NOT NULL,
  key          text        NOT NULL,  -- its path without the leading $.
  count        bigint      NOT NULL,  -- of the events looked at
  example_type text        NOT NULL,
  first_seen   timestamptz NOT NULL,
  last_seen    timestamptz NOT NULL
);
ALTER TABLE millrace.unread_key REPLICA IDENTITY FULL;
COMMENT ON TABLE millrace.unread_key IS 'Internal: keys that no field reads, see the view unread_keys.';
SELECT pg_catalog.pg_extension_config_dump('millrace.unread_key', '');
