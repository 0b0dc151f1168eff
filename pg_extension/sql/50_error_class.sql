-- set_error_class, drop_error_class: what happens to an event that failed, by SQLSTATE. The workers read millrace.error_class at
-- each failure (src/pipeline/error_class.c): a change is used from the next one on.

CREATE FUNCTION millrace._error_class_pipeline(caller regrole, pipeline text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF pipeline IS NOT NULL THEN
    RETURN (millrace._owned(caller, pipeline)).id;
  END IF;
  PERFORM millrace._check_extension_owner(caller, 'change an error class of every pipeline', 'It applies to pipelines of all owners.',
                                          'Name one of your pipelines: pipeline => ''…''; or ask a superuser.');
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION millrace._error_class_pipeline(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._error_class_pipeline(regrole, text) IS 'Internal: id of a pipeline whose error classes the caller may change; NULL: of all.';

CREATE FUNCTION millrace._set_error_class(caller regrole, sqlstate text, action text, pipeline text, constraint_name text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
  of_pipeline integer := millrace._error_class_pipeline(caller, pipeline);
BEGIN
  PERFORM millrace._check_given(ARRAY['sqlstate', 'action'], ARRAY[sqlstate IS NULL, action IS NULL]);
  PERFORM millrace._check_choice('action', action, ARRAY['retry', 'dead_letter', 'break']);
  IF sqlstate !~ '^[0-9A-Z]{2}([0-9A-Z]{3})?$' OR sqlstate ~ '^0[0-2]' THEN
    RAISE EXCEPTION 'sqlstate is "%", expected the two characters of a class of errors or the five of one error', left(sqlstate, 100)
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass sqlstate => ''23503'' for foreign_key_violation, ''23'' for all integrity constraints.';
  END IF;
  INSERT INTO millrace.error_class AS e (pipeline_id, sqlstate, constraint_name, action)
  VALUES (of_pipeline, sqlstate, nullif(constraint_name, ''), action)
  ON CONFLICT (coalesce(pipeline_id, 0), sqlstate, coalesce(constraint_name, ''), builtin)
  DO UPDATE SET action = excluded.action;
END $$;
REVOKE ALL ON FUNCTION millrace._set_error_class(regrole, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._set_error_class(regrole, text, text, text, text) IS 'Internal: set_error_class for a role.';

CREATE FUNCTION millrace.set_error_class(
  sqlstate        text,
  action          text,
  pipeline        text DEFAULT NULL,
  constraint_name text DEFAULT NULL)
RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.set_error_class(text, text, text, text) IS
'Sets what happens to events that fail with an SQLSTATE in transform or write. The most specific class decides: of the pipeline before of all, with the constraint before without, an SQLSTATE before its class, set before built in. An event that no class matches becomes a dead letter immediately.
In: sqlstate: five characters, or two for a class of them; action: retry, dead_letter, or break (possibly not the event''s fault: opens the circuit breaker if that proves true); pipeline: only there, by default everywhere; constraint_name: only where this constraint was violated.
Out: nothing.
Errors: invalid_parameter_value for a wrong sqlstate or action; undefined_object for an unknown pipeline; insufficient_privilege unless the caller is the pipeline''s owner or a member of it, of the extension''s owner when no pipeline is named.';

CREATE FUNCTION millrace._drop_error_class(caller regrole, sqlstate text, pipeline text, constraint_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  of_pipeline integer := millrace._error_class_pipeline(caller, pipeline);
BEGIN
  PERFORM millrace._check_given(ARRAY['sqlstate'], ARRAY[sqlstate IS NULL]);
  DELETE FROM millrace.error_class AS e
  WHERE e.pipeline_id IS NOT DISTINCT FROM of_pipeline AND e.sqlstate = _drop_error_class.sqlstate
        AND e.constraint_name IS NOT DISTINCT FROM nullif(_drop_error_class.constraint_name, '') AND NOT e.builtin;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no error class for SQLSTATE "%" was set %', left(sqlstate, 100),
                    CASE WHEN pipeline IS NULL THEN 'for every pipeline' ELSE format('for pipeline "%s"', pipeline) END
      USING ERRCODE = 'undefined_object',
            DETAIL = 'Built-in classes cannot be dropped; they apply where none is set.',
            HINT = format('millrace.error_classes lists them. To set one: SELECT millrace.set_error_class(%L, ''retry''%s);',
                          CASE WHEN sqlstate ~ '^[0-9A-Z]{2}([0-9A-Z]{3})?$' THEN sqlstate ELSE '23503' END,
                          ', pipeline => ' || quote_literal(pipeline));
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._drop_error_class(regrole, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._drop_error_class(regrole, text, text, text) IS 'Internal: drop_error_class for a role.';

CREATE FUNCTION millrace.drop_error_class(sqlstate text, pipeline text DEFAULT NULL, constraint_name text DEFAULT NULL)
RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.drop_error_class(text, text, text) IS
'Removes what set_error_class set.
In: sqlstate, pipeline, constraint_name: as they were set. Out: nothing.
Errors: undefined_object for a class that was not set (built-in ones cannot be dropped) or an unknown pipeline; insufficient_privilege as set_error_class.';

CREATE VIEW millrace.error_classes WITH (security_barrier) AS
SELECT p.name AS pipeline, e.sqlstate, millrace.condition_name(e.sqlstate || pg_catalog.repeat('0', 5 - pg_catalog.length(e.sqlstate))) AS condition,
       e.constraint_name, e.action, e.builtin
FROM millrace.error_class AS e LEFT JOIN millrace._visible AS p ON p.id = e.pipeline_id
WHERE e.pipeline_id IS NULL OR p.id IS NOT NULL
ORDER BY p.name NULLS LAST, e.constraint_name IS NULL, pg_catalog.length(e.sqlstate) DESC, e.builtin, e.sqlstate, e.constraint_name;
COMMENT ON VIEW millrace.error_classes IS 'What happens to events that fail: the first row that matches decides; without a match the event becomes a dead letter.';
COMMENT ON COLUMN millrace.error_classes.pipeline IS 'null: every pipeline';
COMMENT ON COLUMN millrace.error_classes.sqlstate IS 'five characters, or the two of a class';
GRANT SELECT ON millrace.error_classes TO PUBLIC;
