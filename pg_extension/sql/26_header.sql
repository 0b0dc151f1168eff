-- Kafka headers without a loss: with their bytes, in their order, with names that come again.

CREATE TYPE millrace.header AS (name text, value bytea);
COMMENT ON TYPE millrace.header IS 'A header of a Kafka message; a null value is null.';

CREATE FUNCTION millrace.header_list(packed bytea) RETURNS millrace.header[]
LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_header_list_sql';
COMMENT ON FUNCTION millrace.header_list(bytea) IS
'Packed Kafka headers (as dead letters keep them), all of them in their order.
In: packed. Out: array, of bytes that are no packed headers whatever could be read. Errors: none.';

CREATE FUNCTION millrace.pack_headers(headers jsonb) RETURNS bytea
LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_pack_headers_sql';
COMMENT ON FUNCTION millrace.pack_headers(jsonb) IS
'Headers that somebody wrote down, as header_list() and headers() take them.
In: headers: an object, or an array of pairs of name and value, where a value is a string, with \x hexadecimal digits for bytes, or null. Out: packed. Errors: invalid_parameter_value for another form.';

CREATE FUNCTION millrace.header_first(list millrace.header[], name text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT h.value FROM unnest(list) WITH ORDINALITY AS h (name, value, nth) WHERE h.name = header_first.name ORDER BY h.nth LIMIT 1;
$$;
COMMENT ON FUNCTION millrace.header_first(millrace.header[], text) IS
'The value of the first header of a name.
In: list, as in event.header_list; name. Out: bytes, null when there is none or it is null. Errors: none.';

CREATE FUNCTION millrace.header_last(list millrace.header[], name text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT h.value FROM unnest(list) WITH ORDINALITY AS h (name, value, nth) WHERE h.name = header_last.name ORDER BY h.nth DESC LIMIT 1;
$$;
COMMENT ON FUNCTION millrace.header_last(millrace.header[], text) IS
'The value of the last header of a name.
In: list, as in event.header_list; name. Out: bytes, null when there is none or it is null. Errors: none.';

-- As Java, Spring and Kafka Streams write integers: big-endian, in two's complement.
CREATE FUNCTION millrace.big_endian(bytes bytea) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  n     integer := length(bytes);
  value bigint;
BEGIN
  IF n NOT BETWEEN 1 AND 8 THEN
    RAISE EXCEPTION 'an integer has % bytes, expected 1 to 8', n
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Take a part of the bytes with substring().';
  END IF;
  value := CASE WHEN get_byte(bytes, 0) > 127 THEN -1 ELSE 0 END;
  FOR i IN 0..n - 1 LOOP
    value := (value << 8) | get_byte(bytes, i);
  END LOOP;
  RETURN value;
END $$;
COMMENT ON FUNCTION millrace.big_endian(bytea) IS
'The integer that bytes are, the most significant first, as Java writes short, int and long.
In: bytes, 1 to 8. Out: number. Errors: invalid_parameter_value for another length.';
