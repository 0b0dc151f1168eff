-- Bytes of strangers made readable, for views. Nothing here ever fails, whatever the bytes.

-- Catching an error takes a subtransaction, which parallel workers cannot start.
CREATE FUNCTION millrace.readable(bytes bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN encode(bytes, 'escape');
END $$;
COMMENT ON FUNCTION millrace.readable(bytea) IS
'Bytes as text: as they are when they are valid UTF-8 without NUL, else in the escape format of bytea.
In: bytes. Out: text. Errors: none.';

-- Packed as the ingestor does it: int32 count, then for each int32 length and name, int32 length (-1: null) and value;
-- all big-endian.
CREATE FUNCTION millrace.headers(packed bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  at      integer := 0;
  bytes   integer;
  strings text[] := '{}';
BEGIN
  FOR i IN 0 .. 2 * (get_byte(packed, 0) << 24 | get_byte(packed, 1) << 16 | get_byte(packed, 2) << 8 | get_byte(packed, 3))
  LOOP
    bytes := get_byte(packed, at) << 24 | get_byte(packed, at + 1) << 16 | get_byte(packed, at + 2) << 8
             | get_byte(packed, at + 3);
    at := at + 4;
    CONTINUE WHEN i = 0;  -- the count
    strings := strings || CASE WHEN bytes >= 0 THEN millrace.readable(substr(packed, at + 1, bytes)) END;
    at := at + greatest(bytes, 0);
  END LOOP;
  RETURN jsonb_object(strings);
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;
COMMENT ON FUNCTION millrace.headers(bytea) IS
'Packed Kafka headers as a jsonb object; of a repeated name the last counts. Values are text as of readable().
In: packed. Out: object, NULL when the bytes are no packed headers. Errors: none.';

CREATE FUNCTION millrace.fingerprint(stage text, sqlstate text, constraint_name text, column_name text, message text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT left(md5(concat_ws(E'\x1f', stage, sqlstate, coalesce(constraint_name, ''), coalesce(column_name, ''),
                            regexp_replace(message, '"[^"]*"|[0-9]+', '?', 'g'))), 12);
$$;
COMMENT ON FUNCTION millrace.fingerprint(text, text, text, text, text) IS
'Equal for failures of the same kind: the message counts without its numbers and quoted words.
In: stage; sqlstate; constraint_name; column_name; message. Out: 12 hexadecimal digits. Errors: none.';
