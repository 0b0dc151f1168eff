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

CREATE FUNCTION millrace.headers(packed bytea) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_headers';
COMMENT ON FUNCTION millrace.headers(bytea) IS
'Packed Kafka headers (as dead letters keep them) as a jsonb object; of a repeated name the last counts. Values are text as of readable().
In: packed. Out: object, of bytes that are no packed headers whatever could be read. Errors: none.';

CREATE FUNCTION millrace.fingerprint(stage text, sqlstate text, constraint_name text, column_name text, message text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT left(md5(concat_ws(E'\x1f', stage, sqlstate, coalesce(constraint_name, ''), coalesce(column_name, ''),
                            regexp_replace(message, '"[^"]*"|[0-9]+', '?', 'g'))), 12);
$$;
COMMENT ON FUNCTION millrace.fingerprint(text, text, text, text, text) IS
'Equal for failures of the same kind: the message counts without its numbers and quoted words.
In: stage; sqlstate; constraint_name; column_name; message. Out: 12 hexadecimal digits. Errors: none.';
