-- The type of an argument that is a payload, as bytes or as text. A literal is what it looks like: were the argument bytea, the
-- backslashes of JSON would be escapes of bytea's. Two functions instead, one of text and one of bytea, would make a call that
-- leaves the payload out ambiguous.

CREATE TYPE millrace.payload;

CREATE FUNCTION millrace._payload_in(given cstring) RETURNS millrace.payload
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'textin';
REVOKE ALL ON FUNCTION millrace._payload_in FROM PUBLIC;
COMMENT ON FUNCTION millrace._payload_in IS 'Internal: a literal, as it is.';

CREATE FUNCTION millrace._payload_out(payload millrace.payload) RETURNS cstring
LANGUAGE internal STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'byteaout';
REVOKE ALL ON FUNCTION millrace._payload_out FROM PUBLIC;
COMMENT ON FUNCTION millrace._payload_out IS 'Internal: a payload as bytea is shown.';

CREATE FUNCTION millrace._payload_recv(given internal) RETURNS millrace.payload
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'bytearecv';
REVOKE ALL ON FUNCTION millrace._payload_recv FROM PUBLIC;
COMMENT ON FUNCTION millrace._payload_recv IS 'Internal: the bytes of a binary argument.';

CREATE FUNCTION millrace._payload_send(payload millrace.payload) RETURNS bytea
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'byteasend';
REVOKE ALL ON FUNCTION millrace._payload_send FROM PUBLIC;
COMMENT ON FUNCTION millrace._payload_send IS 'Internal: the bytes of a binary result.';

CREATE TYPE millrace.payload (
  INPUT = millrace._payload_in, OUTPUT = millrace._payload_out, RECEIVE = millrace._payload_recv, SEND = millrace._payload_send,
  INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended);
COMMENT ON TYPE millrace.payload IS 'A payload given as text or as bytea; a literal is text, as it is.';

-- Inside they are alike; a database with the extension has UTF-8 as its encoding.
CREATE CAST (text AS millrace.payload) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (bytea AS millrace.payload) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (millrace.payload AS bytea) WITHOUT FUNCTION AS ASSIGNMENT;
