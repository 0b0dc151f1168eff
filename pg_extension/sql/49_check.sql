-- check_pipeline: what a definition would do, before it runs.

CREATE FUNCTION millrace.input_fields(pipeline text) RETURNS TABLE (name text, type text, required boolean, path text[])
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_input_fields';
COMMENT ON FUNCTION millrace.input_fields(text) IS
'The fields of a pipeline, and where each is read.
In: pipeline. Out: per field its name, type, whether an event without it is a dead letter, and its path in the payload as the operator #> takes it.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the session is the pipeline''s owner; those of the definition. In a session of another role, by SET ROLE, insufficient_privilege for a DEFAULT that sets the role, makes a temporary table or prepares a statement.';

CREATE FUNCTION millrace.output_columns(pipeline text)
RETURNS TABLE (name text, given text, type text, severity text, code text, problem text, hint text)
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_output_columns';
COMMENT ON FUNCTION millrace.output_columns(text) IS
'The columns that a pipeline''s transform gives, and whether those of its target can hold them.
In: pipeline. Out: per column its name, the type that is given, that of the target, and what of a value may be lost or refused: null for nothing.
Errors: as input_fields().';

-- The documents of samples, one for each that is in the pipeline's format; a sample that is not has a finding by dry_run().
CREATE FUNCTION millrace.sample_documents(format text, samples text[]) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  sample text;
BEGIN
  FOREACH sample IN ARRAY coalesce(samples, '{}') LOOP
    BEGIN
      RETURN QUERY SELECT d.event -> 'payload' FROM millrace.decode_event(NULL, sample, format) AS e (v)
      -- with format ndjson several
      CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.v) WHEN 'array' THEN e.v ELSE jsonb_build_array(e.v) END) AS d (event);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
      NULL;
    END;
  END LOOP;
END $$;
COMMENT ON FUNCTION millrace.sample_documents(text, text[]) IS
'The JSON documents of messages in a format, except those that are not in it.
In: format, as in create_pipeline; samples: payloads. Out: a document each. Errors: invalid_parameter_value for a format that does not exist.';

CREATE FUNCTION millrace.pipeline_findings(pipeline text, samples text[] DEFAULT NULL)
RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p      record;
  -- named by the transform, the whole payload is read
  whole  boolean;
  tried  jsonb;
BEGIN
  SELECT v.* INTO p FROM millrace.pipelines AS v WHERE v.name = pipeline;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" does not exist', pipeline
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM millrace.pipelines; lists the pipelines.';
  END IF;
  whole := p.transform ~* '\y(payload|raw)\y';

  RETURN QUERY
  SELECT c.severity, c.code, format('column "%s" of %s %s', c.name, p.target, c.problem), c.hint
  FROM millrace.output_columns(pipeline) AS c WHERE c.severity IS NOT NULL;

  RETURN QUERY
  SELECT CASE WHEN a.attnotnull THEN 'error' ELSE 'info' END, 'column_not_filled',
         format('column "%s" of %s gets no value from the transform and has no default%s', a.attname, p.target,
                CASE WHEN a.attnotnull THEN ', but is NOT NULL' ELSE '' END),
         CASE WHEN a.attnotnull THEN 'Add it to the transform, give it a default, or see to it that a trigger fills it.'
              ELSE 'Add it to the transform unless NULL is meant.' END
  FROM pg_attribute AS a
  WHERE a.attrelid = p.target AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
        AND a.attname NOT IN (SELECT c.name FROM millrace.output_columns(pipeline) AS c)
  ORDER BY a.attnum;

  IF coalesce(cardinality(samples), 0) = 0 THEN
    RETURN QUERY VALUES ('info', 'no_samples', 'there are no samples: what messages hold is not checked',
                         'Pass some payloads of the topic: samples => ARRAY[''{…}''].');
    RETURN;
  END IF;

  tried := (SELECT jsonb_agg(to_jsonb(d)) FROM millrace.dry_run(pipeline, samples) AS d);
  RETURN QUERY
  SELECT CASE WHEN d.outcome IN ('dead', 'retrying') THEN 'error' ELSE 'info' END, 'sample_' || d.outcome,
         format('sample %s%s %s', d.sample, ', document ' || d.document, CASE WHEN d.outcome IN ('dead', 'retrying')
                  THEN format('fails in stage %s: %s (%s)', d.stage, d.message, d.sqlstate) ELSE 'is ' || d.outcome END),
         nullif(concat_ws(' ', d.detail, d.hint), '')
  FROM jsonb_to_recordset(tried) AS d (sample integer, document integer, outcome text, stage text, sqlstate text, message text, detail text, hint text)
  WHERE d.outcome <> 'written' ORDER BY d.sample, d.document;

  RETURN QUERY
  SELECT 'warning', 'unlikely_time',
         format('sample %s gives column "%s" the time %s', d.sample, c.name, r.row ->> c.name),
         'If the field is a number, another unit (seconds, milliseconds) or, if it is a date, another order of day and month may be meant.'
  FROM jsonb_to_recordset(tried) AS d (sample integer, rows jsonb)
  CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(d.rows) WHEN 'array' THEN d.rows ELSE '[]' END) AS r (row)
  JOIN millrace.output_columns(pipeline) AS c ON c.type ~ '^(timestamp|date)' AND c.type !~ '\[\]$'
  WHERE r.row ->> c.name ~ '^(\d{5,}|1970-01-|0|[2-9][1-9]\d\d-)|BC$' ORDER BY d.sample;

  RETURN QUERY
  WITH document AS MATERIALIZED (SELECT s.d FROM millrace.sample_documents(p.format, samples) AS s (d)),
  field AS MATERIALIZED (SELECT * FROM millrace.input_fields(pipeline))
  SELECT CASE WHEN f.required THEN 'error' ELSE 'warning' END, 'field_not_in_samples',
         format('field "%s" is in none of the samples', f.name),
         format('It is read from %s: compare the spelling, capitals included, with the samples, and give a PATH if it is elsewhere.', f.path)
  FROM field AS f
  WHERE EXISTS (SELECT FROM document) AND NOT EXISTS (SELECT FROM document AS s WHERE s.d #> f.path IS NOT NULL);

  RETURN QUERY
  WITH field AS MATERIALIZED (SELECT * FROM millrace.input_fields(pipeline)),
  -- objects that fields are read out of, none of which is a field itself
  object AS (
    SELECT DISTINCT f.path[1:n] AS path FROM field AS f CROSS JOIN generate_series(0, cardinality(f.path) - 1) AS n
    WHERE NOT EXISTS (SELECT FROM field AS w WHERE w.path = f.path[1:cardinality(w.path)] AND cardinality(w.path) <= n)
  )
  SELECT 'info', 'key_not_read', format('no field reads key %s of the samples', array_to_string(o.path || k.name, '.')),
         'Declare it in fields if it is wanted.'
  FROM millrace.sample_documents(p.format, samples) AS s (d) CROSS JOIN object AS o
  CROSS JOIN LATERAL jsonb_object_keys(CASE jsonb_typeof(s.d #> o.path) WHEN 'object' THEN s.d #> o.path ELSE '{}' END) AS k (name)
  WHERE NOT whole AND NOT EXISTS (SELECT FROM field AS f WHERE f.path[1:cardinality(o.path) + 1] = o.path || k.name)
  GROUP BY o.path, k.name ORDER BY o.path, k.name;
END $$;
COMMENT ON FUNCTION millrace.pipeline_findings(text, text[]) IS
'What may be wrong with a pipeline''s definition. It changes nothing.
In: pipeline; samples: payloads of its topic.
Out: per finding its severity (error, warning, info), a code, a message, and a hint how to fix it:
column_narrow, column_overflow, column_rounds, column_inexact, column_zone, column_cut: the target cannot hold what the transform gives, or not all of it; column_not_filled; no_samples; sample_dead, sample_retrying, sample_filtered, sample_superseded, sample_skipped: what became of a sample; unlikely_time; field_not_in_samples; key_not_read.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the session is the pipeline''s owner; those of the definition.';

CREATE FUNCTION millrace.report_findings(pipeline text, samples text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT c.severity, c.message, coalesce(c.hint, '') AS hint FROM millrace.pipeline_findings(pipeline, samples) AS c LOOP
    IF f.severity = 'info' THEN
      RAISE NOTICE '%', f.message USING HINT = f.hint;
    ELSE
      RAISE WARNING '%', f.message USING HINT = f.hint;
    END IF;
  END LOOP;
END $$;
COMMENT ON FUNCTION millrace.report_findings(text, text[]) IS
'Says what pipeline_findings() finds: an error or a warning as a warning, an info as a notice. create_pipeline() calls it when it is given samples.
In: pipeline; samples: payloads of its topic. Out: nothing. Errors: as pipeline_findings().';

-- Made from the list of settings, as create_pipeline() is: it makes the pipeline, looks, and takes everything back.
DO $do$
BEGIN
  EXECUTE format($function$
CREATE FUNCTION millrace.check_pipeline(%s)
RETURNS TABLE (severity text, code text, message text, hint text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_variable
DECLARE
  found  jsonb := '[]';
  trial  text := pipeline;
  looked boolean := false;
  state  text;
  words  text;
  detail text;
  advice text;
BEGIN
  -- the rest is of interest all the same, to whoever means to alter it
  IF EXISTS (SELECT FROM millrace.pipelines AS p WHERE p.name = pipeline) THEN
    found := jsonb_build_array(jsonb_build_object('severity', 'error', 'code', 'duplicate_object', 'message', format('pipeline "%%s" already exists', pipeline),
                                                  'hint', 'Change it with millrace.alter_pipeline(), or choose another name.'));
    trial := left(pipeline, 30) || '.' || md5(pipeline);
  END IF;
  BEGIN
    PERFORM set_config('millrace_check.warnings', '[]', true);
    PERFORM millrace.create_pipeline(%s);
    found := found || current_setting('millrace_check.warnings')::jsonb;
    PERFORM set_config('millrace_check.warnings', '', true);
    found := found || coalesce((SELECT jsonb_agg(to_jsonb(f)) FROM millrace.pipeline_findings(trial, samples) AS f), '[]');
    looked := true;
    RAISE EXCEPTION USING ERRCODE = 'MR000', MESSAGE = 'undo';
  EXCEPTION WHEN OTHERS THEN
    IF NOT looked THEN
      GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, words = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
      found := found || jsonb_build_object('severity', 'error', 'code', coalesce(millrace.condition_name(state), state), 'message', words,
                                           'hint', nullif(concat_ws(' ', nullif(detail, ''), nullif(advice, '')), ''));
    END IF;
  END;
  RETURN QUERY SELECT f.severity, f.code, f.message, f.hint
  FROM ROWS FROM (jsonb_to_recordset(found) AS (severity text, code text, message text, hint text)) WITH ORDINALITY AS f
  ORDER BY array_position(ARRAY['error', 'warning', 'info'], f.severity), f.ordinality;
END $$$function$,
    (SELECT a.declared FROM millrace._setting_arguments('create') AS a),
    (SELECT string_agg(format('%1$I => %2$s', s.name, CASE s.name WHEN 'pipeline' THEN 'trial' WHEN 'samples' THEN 'NULL' ELSE format('check_pipeline.%I', s.name) END), ', ' ORDER BY s.ordinality)
     FROM millrace._settings() WITH ORDINALITY AS s WHERE s.verbs IN ('create', 'both', 'fixed')));
END $do$;
COMMENT ON FUNCTION millrace.check_pipeline IS
'What would be wrong with a pipeline: create_pipeline() with these arguments is tried, its definition is looked at, the samples are run, and everything is taken back.
In: the arguments of create_pipeline.
Out: per finding its severity (error, warning, info), a code, a message, and a hint: what create_pipeline() would raise as an error (the code is the name of its SQLSTATE) or as a warning (code warning), and the findings of pipeline_findings().
Errors: none of its own but a cancel.';
