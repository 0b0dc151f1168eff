-- Trying a field list on a payload: what the workers would make of it.

CREATE FUNCTION millrace.decode(fields text, payload bytea) RETURNS jsonb
  LANGUAGE C STABLE STRICT PARALLEL UNSAFE
  SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'mr_decode_sql';
COMMENT ON FUNCTION millrace.decode(text, bytea) IS
  'the fields of a payload as an object, or the error that would make the event a dead letter';
