-- create_session_window: windows that last as long as rows come. The engine knows them as windows with a gap, whose size is max_session; how they
-- are kept is in 68_session.sql, the rest is as in other windows.

-- A fixed length: sessions know no calendar, so a day has 24 hours.
CREATE FUNCTION millrace._session_length(argument text, given interval) RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF extract(year FROM given) <> 0 OR extract(month FROM given) <> 0 THEN
    RAISE EXCEPTION '% is "%", expected a time, or days', argument, given
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Months are of different lengths.', HINT = format('Pass %s => ''30 min'', for example.', argument);
  ELSIF given NOT BETWEEN interval '1 ms' AND interval '366 days' THEN
    RAISE EXCEPTION '% is "%", expected 1 ms to 366 days', argument, given
      USING ERRCODE = 'invalid_parameter_value', HINT = format('Pass %s => ''30 min'', for example.', argument);
  END IF;
  RETURN extract(epoch FROM given)::double precision * interval '1 s';
END $$;
REVOKE ALL ON FUNCTION millrace._session_length FROM PUBLIC;
COMMENT ON FUNCTION millrace._session_length IS 'Internal: a gap or max_session as a time.';

-- What is computed again because of a row is at most a few times max_session, and its limits are found in steps of the gap.
CREATE FUNCTION millrace._max_session(gap interval, given interval) RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  longest interval := millrace._session_length('max_session', coalesce(given, least(100 * gap, interval '8784 h')));
BEGIN
  IF longest NOT BETWEEN gap AND 1000 * gap THEN
    RAISE EXCEPTION 'max_session is "%" and gap "%", expected 1 to 1000 times the gap', given, gap
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'A session is as long as its gap at least; one that is longer than max_session is cut.',
            HINT = format('Pass max_session => %L, for example.', least(100 * gap, interval '8784 h'));
  END IF;
  RETURN longest;
END $$;
REVOKE ALL ON FUNCTION millrace._max_session FROM PUBLIC;
COMMENT ON FUNCTION millrace._max_session IS 'Internal: the length from which sessions are cut.';

CREATE FUNCTION millrace._create_session_window(caller regrole, given jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET intervalstyle = postgres AS $$
DECLARE
  gap     interval;
  longest interval;
BEGIN
  PERFORM millrace._check_given(ARRAY['gap'], ARRAY[given ->> 'gap' IS NULL]);
  gap := millrace._session_length('gap', (given ->> 'gap')::interval);
  longest := millrace._max_session(gap, (given ->> 'max_session')::interval);
  RETURN millrace._create_window(caller, (given - 'max_session')
                                         || jsonb_build_object('gap', gap, 'size', longest, 'slide', longest, 'time_zone', 'UTC', 'origin', NULL));
END $$;
REVOKE ALL ON FUNCTION millrace._create_session_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._create_session_window IS 'Internal: create_session_window for a role.';

CREATE FUNCTION millrace.create_session_window(
  name text, pipeline text, event_time text, gap interval, aggregates text, group_by text[] DEFAULT '{}', "where" text DEFAULT NULL,
  delay interval DEFAULT NULL, lateness interval DEFAULT NULL, max_skew interval DEFAULT NULL, close_idle interval DEFAULT NULL,
  retention interval DEFAULT NULL, max_session interval DEFAULT NULL, backfill boolean DEFAULT true, output_topic text DEFAULT NULL,
  max_groups bigint DEFAULT NULL, target_since timestamptz DEFAULT NULL) RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'mr_verb_by_name';
COMMENT ON FUNCTION millrace.create_session_window IS
'Keeps aggregates of a pipeline''s target by sessions: rows of a group each of which is less than the gap behind the one before it. A row that comes late extends sessions, or makes one of two; millrace.window_<name> always shows what the target has. Sessions that were touched are computed again from the target: in the background, or by who reads that view; millrace.window_<name>_folded shows what was computed, and as of when.
In: name; pipeline, whose target must only grow; event_time: expression of type timestamptz over columns of the target; gap: 1 ms to 366 days, of 24 hours; aggregates, group_by, "where", delay, lateness, max_skew, close_idle, retention, backfill, output_topic, max_groups: as in create_window; target_since: rows with earlier event times have been removed from the target: sessions that begin before are not computed from it, nor replaced by one that is; max_session: 1 to 1000 times the gap, by default 100 times: a session that would be longer is cut at multiples of it, counted from 1900-01-01 in UTC.
Out: id of the window. A session is [time of its first row, time of its last row + gap), and ends where it is cut. Returns when the batch in flight has ended; a notice says that there are rows to be filled in.
Errors: each wrong argument, with a hint; the position of a mistake in the SQL; feature_not_supported for a pipeline that changes rows of its target; object_not_in_prerequisite_state when the target has no index on what the window is grouped by and then the event time, with the command that makes it; insufficient_privilege as create_window.';
