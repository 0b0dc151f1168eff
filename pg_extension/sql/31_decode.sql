-- Trying a field list on a payload: what the workers would make of it. Types outside pg_catalog are named with
-- their schema here; a pipeline's own field list is read with the search_path its creator had.

CREATE FUNCTION millrace.decode(fields text, payload bytea) RETURNS jsonb
  LANGUAGE C STABLE STRICT PARALLEL UNSAFE
  SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'mr_decode_sql';
COMMENT ON FUNCTION millrace.decode(text, bytea) IS
'What a field list makes of a payload.
In: fields, as in create_pipeline; payload, e.g. ''{"a": 1}''.
Out: an object with the value of each field.
Errors: the one that would make the event a dead letter; those of a field list that is wrong.';
