-- Trying a field list, a definition or a transform on events without any effect: decode, dry_run, explain.

-- Types outside pg_catalog are named with their schema here; a pipeline's own field list is read with the search_path its
-- creator had.
CREATE FUNCTION millrace.decode(
  fields text, payload millrace.payload, format text DEFAULT 'json', date_order text DEFAULT 'ISO',
  time_zone text DEFAULT 'UTC', other_zone text DEFAULT 'error', bytea_format text DEFAULT 'auto',
  epoch text DEFAULT 'none', number_style text DEFAULT 'plain', interval_style text DEFAULT 'postgres',
  key millrace.payload DEFAULT NULL, headers jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE C STABLE PARALLEL UNSAFE
  SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'mr_decode_sql';
COMMENT ON FUNCTION millrace.decode IS
'The result of applying a field list to a message.
In: fields and format, as in create_pipeline; payload, text or bytes, e.g. ''{"a": 1}''; key and headers of the message, as in dry_run(), by default none; the rest as in create_pipeline, and independent of the session.
Out: an object with the value of each field, and of each column that the format adds; with format ndjson an array of them, one for each document; null for null fields, a null payload or a null format.
Errors: the one that would make the event a dead letter; those of a field list that is wrong; invalid_parameter_value for headers that are neither an object nor pairs. In a session of another role, by SET ROLE, insufficient_privilege for a DEFAULT or a domain that sets the role, makes a temporary table or prepares a statement.';

CREATE FUNCTION millrace.decode_event(
  fields text, payload millrace.payload, format text, date_order text DEFAULT 'ISO',
  time_zone text DEFAULT 'UTC', other_zone text DEFAULT 'error', bytea_format text DEFAULT 'auto',
  epoch text DEFAULT 'none', number_style text DEFAULT 'plain', interval_style text DEFAULT 'postgres',
  key millrace.payload DEFAULT NULL, headers jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE C STABLE PARALLEL UNSAFE
  SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'mr_decode_event';
COMMENT ON FUNCTION millrace.decode_event IS
'The columns of event that a message gives: its fields, those that the format adds, and payload.
In: as decode(); fields may be null. Out: an object, with format ndjson an array of them; null for a null payload. Errors: as decode().';

CREATE FUNCTION millrace.dry_run(
  pipeline text, samples text[] DEFAULT NULL, staged integer DEFAULT 100, key millrace.payload DEFAULT NULL, headers jsonb DEFAULT NULL,
  topic text DEFAULT NULL, "time" timestamptz DEFAULT NULL)
RETURNS TABLE (sample integer, partition integer, "offset" bigint, outcome text, rows jsonb, stage text, sqlstate text,
               message text, detail text, hint text, unread text[], document integer)
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_dry_run';
COMMENT ON FUNCTION millrace.dry_run IS
'The outcome events would have: each is decoded, transformed and written, and everything is rolled back.
In: pipeline; samples: payloads to try; or, without samples, staged: number of events to take from staging. Of the samples: key, text or bytes; headers: an object, or an array of pairs of name and value, where a value is a string, with \\x hexadecimal digits for bytes, or null; topic, by default the pipeline''s; time: when they were produced, by default unknown.
Out: per event its number, coordinate (of staged events), outcome (written, filtered, superseded, skipped, dead, retrying), the rows it gives, why it fails, unread: the keys of its payload that no field reads, and document: its number in the sample, with format ndjson, where each document has an outcome.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the session is the pipeline''s owner; invalid_parameter_value for headers of another form; those of the definition. In a session of another role, by SET ROLE, insufficient_privilege for SQL of the pipeline that sets the role, makes a temporary table or prepares a statement.';

CREATE FUNCTION millrace.field_columns(fields text) RETURNS text
LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_field_columns';
COMMENT ON FUNCTION millrace.field_columns(text) IS
'The columns that a field list makes, as a column definition list: ''id bigint NOT NULL, at date PATH ''''$.t'''''' gives id bigint, at date.
In: fields, as in create_pipeline, with types outside pg_catalog named with their schema. Out: text. Errors: those of a field list that is wrong; as decode() for a DEFAULT.';

CREATE FUNCTION millrace.format_columns(format text) RETURNS text
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_format_columns_sql';
COMMENT ON FUNCTION millrace.format_columns(text) IS
'The columns that a format adds to event, as a column definition list: ''confluent-json'' gives schema_id integer.
In: format, as in create_pipeline. Out: text, null when it adds none. Errors: invalid_parameter_value for a format that does not exist.';

CREATE FUNCTION millrace.session_settings(pipeline text) RETURNS TABLE (name text, setting text)
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_session_settings';
COMMENT ON FUNCTION millrace.session_settings(text) IS
'The settings of the session that a pipeline''s transform runs with, which are those of its definition and not the server''s, the database''s or the role''s.
In: pipeline. Out: rows of name and setting, to be used with set_config(). Errors: undefined_object for an unknown pipeline.';

CREATE FUNCTION millrace.explain_query(query text, "analyze" boolean, path text) RETURNS SETOF text
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_explain_query';
COMMENT ON FUNCTION millrace.explain_query(text, boolean, text) IS
'What explain() calls. Use explain().
In: query: the text after EXPLAIN; analyze: true to run it; path: its search_path. Out: lines of EXPLAIN. Errors: those of the query; invalid_parameter_value for several statements; in a session of another role, by SET ROLE, insufficient_privilege when it sets the role, makes a temporary table or prepares a statement.';

-- explain: the plan of a pipeline's transform. The user's SQL is planned, and run, as the caller, who must therefore be the
-- owner: nobody's SQL runs with another role's privileges. A CTE named event represents the batch.
CREATE FUNCTION millrace.explain_batch(pipeline text, "analyze" boolean, samples text[], key bytea, headers jsonb, topic text,
                                      produced_at timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  d        record;
  payloads bytea[] := ARRAY(SELECT convert_to(s, 'UTF8') FROM unnest(samples) AS s);
  packed   bytea := millrace.pack_headers(headers);
  columns  text;
  query    text;
  lines    text[] := '{}';
  done     boolean := false;
BEGIN
  SELECT p.owner, p.topic, p.format, p.fields, p.transform, p.search_path, p.batch_rows,
         format('date_order => %L, time_zone => %L, other_zone => %L, bytea_format => %L, epoch => %L, number_style => %L, interval_style => %L',
                p.date_order, p.time_zone, p.other_zone, p.bytea_format, p.epoch, p.number_style, p.interval_style) AS reading INTO d
  FROM millrace.pipelines AS p WHERE p.name = pipeline;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" does not exist', pipeline
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM millrace.pipelines; lists the pipelines.';
  ELSIF d.owner <> quote_ident(current_user)::regrole THEN
    RAISE EXCEPTION 'must be owner of pipeline "%" to explain it', pipeline
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'Planning and running its transform runs functions of the owner with the privileges of the current role.',
            HINT = format('Run: SET ROLE %s;', d.owner);
  END IF;
  IF "analyze" AND cardinality(payloads) = 0 THEN
    payloads := ARRAY(SELECT l.raw FROM millrace.dead_letters AS l
                      WHERE l.pipeline = explain_batch.pipeline AND l.stage <> 'decode' AND l.raw IS NOT NULL LIMIT 100);
    IF cardinality(payloads) = 0 THEN
      RAISE EXCEPTION 'there are no events to run pipeline "%" on', pipeline
        USING ERRCODE = 'invalid_parameter_value',
              HINT = 'Pass some payloads of its topic: samples => ARRAY[''{…}''].';
    END IF;
  END IF;
  -- with format ndjson a payload gives several events
  columns := concat_ws(', ', millrace.field_columns(d.fields), millrace.format_columns(d.format), 'payload pg_catalog.jsonb');
  query := format(
    E'WITH event AS MATERIALIZED (SELECT fields.*, s.raw, %L::pg_catalog.text AS topic, 0 AS partition, g.i::pg_catalog.int8 AS "offset",'
    ' %L::pg_catalog.bytea AS key, %L::pg_catalog.jsonb AS headers, %L::pg_catalog.timestamptz AS kafka_ts,'
    ' %L::millrace.header[] AS header_list'
    ' FROM pg_catalog.generate_series(0, %s) AS g (i)'
    ' CROSS JOIN LATERAL (SELECT (%L::pg_catalog.bytea[])[g.i OPERATOR(pg_catalog.%%) %s OPERATOR(pg_catalog.+) 1]) AS s (raw)'
    ' CROSS JOIN LATERAL (SELECT millrace.decode_event(%L, s.raw, %L, %s, key => %L::pg_catalog.bytea, headers => %L::pg_catalog.jsonb)) AS e (v)'
    ' CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset('
    'CASE pg_catalog.jsonb_typeof(e.v) WHEN ''array'' THEN e.v ELSE pg_catalog.jsonb_build_array(e.v) END) AS fields (%s))'
    ' SELECT * FROM (%s\n) AS transform',
    coalesce(topic, d.topic), key, coalesce(millrace.headers(packed), '{}'), coalesce(produced_at, now()),
    coalesce(millrace.header_list(packed), '{}'), d.batch_rows - 1, payloads, greatest(cardinality(payloads), 1),
    d.fields, d.format, d.reading, key, headers, columns, d.transform);
  BEGIN
    -- as the workers do, until it is rolled back
    PERFORM set_config(s.name, s.setting, true) FROM millrace.session_settings(pipeline) AS s WHERE s.name <> 'search_path';
    PERFORM set_config('jit', 'off', true);
    lines := ARRAY(SELECT millrace.explain_query(query, "analyze", d.search_path));
    done := true;
    RAISE EXCEPTION USING ERRCODE = 'MR000', MESSAGE = 'undo';
  EXCEPTION WHEN SQLSTATE 'MR000' THEN
    -- everything the transform's functions have written is rolled back
    IF NOT done THEN
      RAISE;  -- one of them raised it
    END IF;
  END;
  RETURN QUERY SELECT * FROM unnest(lines);
END $$;
COMMENT ON FUNCTION millrace.explain_batch(text, boolean, text[], bytea, jsonb, text, timestamptz) IS
'What explain() calls. Use explain().
In: as explain(); produced_at is its time. Out: as explain(). Errors: as explain().';

CREATE FUNCTION millrace.explain(
  pipeline text, "analyze" boolean DEFAULT false, samples text[] DEFAULT NULL, key millrace.payload DEFAULT NULL,
  headers jsonb DEFAULT NULL, topic text DEFAULT NULL, "time" timestamptz DEFAULT NULL) RETURNS SETOF text
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT millrace.explain_batch(pipeline, "analyze", samples, key::bytea, headers, topic, "time");
$$;
COMMENT ON FUNCTION millrace.explain(text, boolean, text[], millrace.payload, jsonb, text, timestamptz) IS
'The plan of a pipeline''s transform for a whole batch (batch_rows events); "CTE event" represents the batch.
In: pipeline; analyze: true to run it, in a subtransaction that is rolled back; samples: payloads to run it on, repeated to make up a batch, by default of dead letters that could be decoded; key, headers, topic and time of all of them, as in dry_run(), by default none, none, the pipeline''s and now.
Out: lines of EXPLAIN.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the current role is its owner; invalid_parameter_value when there is nothing to run it on, and for headers that are neither an object nor pairs; those of the transform. In a session of another role, by SET ROLE, insufficient_privilege for SQL of the pipeline that sets the role, makes a temporary table or prepares a statement.';
