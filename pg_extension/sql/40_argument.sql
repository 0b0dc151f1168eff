-- Checks of the verbs' arguments. They run as the extension's owner on behalf of `caller`, read catalogues only and
-- evaluate nothing of the caller's. An error says what was found and what was expected; its hint says how to fix it.

CREATE FUNCTION millrace._check_name(name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF name !~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$' THEN
    RAISE EXCEPTION 'pipeline name "%" is not valid', left(name, 100)
      USING ERRCODE = 'invalid_name',
            DETAIL = 'A name is 1 to 63 letters, digits, "_", "-" or "." and does not begin with "-" or ".".',
            HINT = 'Choose a name such as "readings"; it becomes part of the Kafka consumer group and of metrics.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_name(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_name(text) IS 'Internal: refuses a pipeline name that Kafka or metrics could not carry.';

CREATE FUNCTION millrace._check_topic(topic text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF topic !~ '^[A-Za-z0-9._-]{1,249}$' OR topic IN ('.', '..') THEN
    RAISE EXCEPTION 'topic "%" is not a valid Kafka topic name', left(topic, 300)
      USING ERRCODE = 'invalid_name',
            DETAIL = 'Kafka allows 1 to 249 letters, digits, ".", "_" and "-".',
            HINT = 'Several topics: topic => ''a,b''; all that a regular expression matches: topic => ''^sensors\..*'', beginning with "^".';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_topic(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_topic(text) IS 'Internal: refuses what is not a Kafka topic name.';

-- What groups and transactional ids begin with: any characters would do for Kafka, but not for who reads its lists.
CREATE FUNCTION millrace._check_prefix(argument text, given text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given !~ '^[A-Za-z0-9._-]{0,100}$' THEN
    RAISE EXCEPTION '% "%" is not valid', argument, left(given, 150)
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'A prefix is up to 100 letters, digits, ".", "_" and "-".',
            HINT = format('Pass %s => ''team-a.'' with the separator at its end, or '''' for none.', argument);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_prefix(text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_prefix(text, text) IS 'Internal: refuses what no name in Kafka should begin with.';

CREATE FUNCTION millrace._check_range(argument text, given bigint, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given NOT BETWEEN low AND high THEN
    RAISE EXCEPTION '% is %, expected % to %', argument, given, low, high
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Pass %s => a number from %s to %s.', argument, low, high);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_range(text, bigint, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_range(text, bigint, bigint, bigint) IS 'Internal: refuses a number outside its bounds.';

CREATE FUNCTION millrace._check_number(argument text, given float8, low float8, high float8) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given NOT BETWEEN low AND high THEN
    RAISE EXCEPTION '% is %, expected % to %', argument, given, low, high
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Pass %s => a number from %s to %s; fractions are fine.', argument, low, high);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_number(text, float8, float8, float8) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_number(text, float8, float8, float8) IS 'Internal: refuses a fraction outside its bounds.';

CREATE FUNCTION millrace._check_choice(argument text, given text, choices text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given <> ALL (choices) THEN
    RAISE EXCEPTION '% is "%", expected one of: %', argument, left(given, 100), array_to_string(choices, ', ')
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Pass %s => ''%s''.', argument, array_to_string(choices, ''' or '''));
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_choice(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_choice(text, text, text[]) IS 'Internal: refuses a word that is not among the choices.';

CREATE FUNCTION millrace._check_given(arguments text[], missing boolean[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  absent text := (SELECT string_agg(a.name, ', ')
                  FROM unnest(arguments, missing) AS a (name, is_missing) WHERE a.is_missing);
BEGIN
  IF absent IS NOT NULL THEN
    RAISE EXCEPTION 'argument must not be null: %', absent
      USING ERRCODE = 'null_value_not_allowed',
            HINT = 'Give the argument a value, or leave it out where it has a default.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_given(text[], boolean[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_given(text[], boolean[]) IS 'Internal: refuses NULL where a value is needed.';

-- what: 'to …' in the message.
CREATE FUNCTION millrace._check_extension_owner(caller regrole, what text, detail text, hint text DEFAULT 'Ask a superuser.')
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF NOT pg_has_role(caller, (SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'millrace'), 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of extension millrace to %', what
      USING ERRCODE = 'insufficient_privilege', DETAIL = detail, HINT = hint;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_extension_owner(regrole, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_extension_owner(regrole, text, text, text) IS 'Internal: refuses a role that does not own the extension.';

-- 'earliest', 'latest', or a time as ISO 8601 in UTC.
CREATE FUNCTION millrace._start_at(start_at text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  at timestamptz;
BEGIN
  IF start_at IN ('earliest', 'latest') THEN
    RETURN start_at;
  END IF;
  BEGIN
    at := start_at::timestamptz;
  EXCEPTION WHEN data_exception THEN
    NULL;
  END;
  IF at IS NULL OR NOT isfinite(at) OR at < 'epoch' THEN
    RAISE EXCEPTION 'start_at is "%", expected earliest, latest or a time since 1970', left(start_at, 100)
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass start_at => ''earliest'', ''latest'' or a time such as ''2026-01-31 12:00:00+00''.';
  END IF;
  RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
END $$;
REVOKE ALL ON FUNCTION millrace._start_at(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._start_at(text) IS 'Internal: checks start_at and normalizes a time.';

CREATE FUNCTION millrace._timeout_ms(statement_timeout interval) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  ms numeric := extract(epoch FROM statement_timeout) * 1000;
BEGIN
  IF ms NOT BETWEEN 0 AND 2147483647 OR (ms > 0 AND ms < 1) THEN
    RAISE EXCEPTION 'statement_timeout is %, expected 1 ms to 24 days, or 0 for none', statement_timeout
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass statement_timeout => ''60 s'', for example.';
  END IF;
  RETURN ms::integer;
END $$;
REVOKE ALL ON FUNCTION millrace._timeout_ms(interval) FROM PUBLIC;
COMMENT ON FUNCTION millrace._timeout_ms(interval) IS 'Internal: a statement timeout in milliseconds.';

CREATE FUNCTION millrace._check_interval(argument text, given interval, low interval, high interval) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given NOT BETWEEN low AND high THEN
    RAISE EXCEPTION '% is %, expected % to %', argument, given, low, high
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Pass %s => ''%s'', for example.', argument, greatest(low, least(interval '1 min', high)));
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_interval(text, interval, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_interval(text, interval, interval, interval) IS 'Internal: refuses an interval outside its bounds.';

CREATE FUNCTION millrace._interval_ms(argument text, given interval, low interval, high interval) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._check_interval(argument, given, low, high);
  RETURN (extract(epoch FROM given) * 1000)::integer;
END $$;
REVOKE ALL ON FUNCTION millrace._interval_ms(text, interval, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION millrace._interval_ms(text, interval, interval, interval) IS 'Internal: an interval within its bounds, in milliseconds.';

-- A warning of a verb; check_pipeline() collects them in a setting of its transaction, as findings. detail may be null.
CREATE FUNCTION millrace._warn(code text, message text, detail text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  collected text := current_setting('millrace_check.warnings', true);
BEGIN
  IF collected LIKE '[%' THEN
    PERFORM set_config('millrace_check.warnings', (collected::jsonb || jsonb_build_object(
      'severity', 'warning', 'code', code, 'message', message, 'hint', concat_ws(' ', detail, hint)))::text, true);
  ELSIF detail IS NULL THEN
    RAISE WARNING '%', message USING HINT = hint;
  ELSE
    RAISE WARNING '%', message USING DETAIL = detail, HINT = hint;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._warn(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._warn(text, text, text, text) IS 'Internal: warns, or adds to the findings of check_pipeline().';
