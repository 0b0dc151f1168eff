-- create_window, alter_window, drop_window: definitions of windows. A verb is two functions, as in 43_pipeline.sql.

CREATE FUNCTION millrace._check_window_name(name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF name !~ '^[a-z_][a-z0-9_]{0,55}$' THEN
    RAISE EXCEPTION 'window name "%" is not valid', left(name, 100)
      USING ERRCODE = 'invalid_name',
            DETAIL = 'A name is 1 to 56 small letters, digits or "_" and does not begin with a digit.',
            HINT = 'Choose a name such as "by_minute"; its view is millrace.window_by_minute then.';
  ELSIF EXISTS (SELECT FROM millrace.window_definition AS w WHERE w.name = _check_window_name.name) THEN
    RAISE EXCEPTION 'window "%" already exists', name
      USING ERRCODE = 'duplicate_object', HINT = format('Drop it first: SELECT millrace.drop_window(%L);', name);
  ELSIF to_regclass('millrace.window_' || name) IS NOT NULL THEN
    RAISE EXCEPTION 'window name "%" is not possible: there is a relation millrace.window_%', name, name
      USING ERRCODE = 'duplicate_table', HINT = 'Choose another name.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_name FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_name IS 'Internal: refuses a window name that cannot be part of a view''s.';

-- months, days or time: what a size is a number of. A day is one of the calendar, of 23 to 25 hours; 24 hours are not.
CREATE FUNCTION millrace._window_unit(argument text, given interval) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  is_time boolean := isfinite(given);
  months  integer := CASE WHEN is_time THEN extract(year FROM given) * 12 + extract(month FROM given) ELSE 1 END;
  days    integer := CASE WHEN is_time THEN extract(day FROM given) ELSE 0 END;
  rest    interval := CASE WHEN is_time THEN given - make_interval(months => months, days => days) ELSE '0' END;
BEGIN
  IF (months <> 0)::integer + (days <> 0)::integer + (rest <> interval '0')::integer <> 1 THEN
    RAISE EXCEPTION '% is "%", expected months, or days, or a time', argument, given
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Months and days are those of a calendar and differ in length; they cannot be added to each other or to hours.',
            HINT = format('Pass %s => ''1 min'', ''1 day'' or ''1 month'', for example.', argument);
  ELSIF given < interval '1 ms' OR given > interval '10 years' THEN
    RAISE EXCEPTION '% is "%", expected 1 ms to 10 years', argument, given
      USING ERRCODE = 'invalid_parameter_value', HINT = format('Pass %s => ''1 min'', for example.', argument);
  END IF;
  RETURN CASE WHEN months <> 0 THEN 'months' WHEN days <> 0 THEN 'days' ELSE 'time' END;
END $$;
REVOKE ALL ON FUNCTION millrace._window_unit FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_unit IS 'Internal: the unit of a window''s size.';

-- How many panes a window has.
CREATE FUNCTION millrace._window_panes(size interval, slide interval) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  panes numeric := extract(epoch FROM size) / extract(epoch FROM slide);
  month numeric := extract(epoch FROM interval '1 month');
BEGIN
  IF millrace._window_unit('size', size) <> millrace._window_unit('slide', slide) THEN
    RAISE EXCEPTION 'size is "%" and slide "%", expected the same unit', size, slide
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Months, days and hours have no fixed ratio.',
            HINT = 'Give both in months, both in days, or both as a time.';
  END IF;
  IF extract(year FROM size) * 12 + extract(month FROM size) <> 0 THEN  -- twelve of them are a year of 365.25 days elsewhere
    panes := (extract(year FROM size) * 12 + extract(month FROM size)) / (extract(year FROM slide) * 12 + extract(month FROM slide));
  END IF;
  IF panes <> trunc(panes) OR panes NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'size is % times the slide, expected a whole number from 1 to 1000', trim_scale(panes)
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('size is "%s", slide "%s".', size, slide),
            HINT = 'A sliding window is kept in panes as long as its slide: choose a larger slide, or one that divides the size.';
  END IF;
  RETURN panes;
END $$;
REVOKE ALL ON FUNCTION millrace._window_panes FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_panes IS 'Internal: the number of slides in a window''s size.';

-- The one is called for each row of a batch, as the pipeline's owner, the others for each row of a view, as its reader; they look nothing up, and pin no search_path: it would be set and reset each
-- time. Like the server's AT TIME ZONE they are as immutable as the time zones are.
CREATE FUNCTION millrace.window_pane(at timestamptz, slide interval, time_zone text, origin timestamp) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_window_pane';
COMMENT ON FUNCTION millrace.window_pane IS
'The start of the window, or pane, of a calendar that a time is in. For windows, and for any other query.
In: at; slide: days or months; time_zone: where they begin; origin: a midnight, in that zone, at which one begins: of months the first of one. Out: the first moment of a day; ±infinity as it is. Errors: invalid_parameter_value for another slide, or an unknown time_zone.';
CREATE FUNCTION millrace.window_later(start timestamptz, by interval, time_zone text) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_window_later';
COMMENT ON FUNCTION millrace.window_later IS
'The start of a day of a calendar that is days or months later than another one. For windows, and for any other query.
In: start: of a day; by: days or months, of any sign; time_zone. Out: the first moment of the day; ±infinity as it is. Errors: invalid_parameter_value for an unknown time_zone.';

CREATE FUNCTION millrace.window_earlier(start timestamptz, by interval, time_zone text) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_window_earlier';
COMMENT ON FUNCTION millrace.window_earlier IS
'The start of a day of a calendar that is days or months earlier than another one. For windows, and for any other query.
In: start: of a day; by: days or months; time_zone. Out: the first moment of the day; null for a day that the zone has left out; ±infinity as it is. Errors: invalid_parameter_value for an unknown time_zone.';

-- SQL over the expression `at`: the start of the pane it is in, and what is `slides` later than a start.
CREATE FUNCTION millrace._pane_start(at text, slide interval, time_zone text, origin timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE millrace._window_unit('slide', slide)
    WHEN 'time' THEN format('date_bin(%L::interval, %s, %L::timestamptz)', slide, at, origin)
    ELSE format('millrace.window_pane(%s, %L::interval, %L, %L::timestamp)', at, slide, time_zone, date_trunc('day', origin AT TIME ZONE time_zone)) END;
$$;
REVOKE ALL ON FUNCTION millrace._pane_start FROM PUBLIC;
COMMENT ON FUNCTION millrace._pane_start IS 'Internal: SQL for the start of the pane of a time.';

CREATE FUNCTION millrace._later(start text, by text, slide interval, time_zone text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE millrace._window_unit('slide', slide) WHEN 'time' THEN format('(%s + %s)', start, by)
         ELSE format('millrace.window_later(%s, %s, %L)', start, by, time_zone) END;
$$;
REVOKE ALL ON FUNCTION millrace._later FROM PUBLIC;
COMMENT ON FUNCTION millrace._later IS 'Internal: SQL for a time of the calendar that is later than another one.';

-- Null for a day that there is not.
CREATE FUNCTION millrace._earlier(start text, by text, slide interval, time_zone text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE millrace._window_unit('slide', slide) WHEN 'time' THEN format('(%s - %s)', start, by)
         ELSE format('millrace.window_earlier(%s, %s, %L)', start, by, time_zone) END;
$$;
REVOKE ALL ON FUNCTION millrace._earlier FROM PUBLIC;
COMMENT ON FUNCTION millrace._earlier IS 'Internal: SQL for a time of the calendar that is earlier than another one.';

CREATE FUNCTION millrace._window_origin(origin text, unit text, time_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  -- a Monday, the first of a month and of a year
  chosen timestamptz := coalesce(origin::timestamptz, timestamp '1900-01-01 00:00' AT TIME ZONE time_zone);
BEGIN
  IF NOT isfinite(chosen) OR chosen NOT BETWEEN '1800-01-01 00:00:00+00' AND '2200-01-01 00:00:00+00' THEN
    RAISE EXCEPTION 'origin is %, expected a time from 1800 to 2200', chosen
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Windows begin there and any number of slides before and after it.';
  ELSIF unit <> 'time' AND chosen AT TIME ZONE time_zone <> date_trunc(rtrim(unit, 's'), chosen AT TIME ZONE time_zone)
        AND chosen <> date_trunc(rtrim(unit, 's'), chosen AT TIME ZONE time_zone) AT TIME ZONE time_zone THEN  -- it may not begin at midnight
    RAISE EXCEPTION 'origin is % in time zone %, expected the beginning of a %', chosen AT TIME ZONE time_zone, time_zone, rtrim(unit, 's')
      USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Pass origin => %L, for example.', date_trunc(rtrim(unit, 's'), chosen AT TIME ZONE time_zone) AT TIME ZONE time_zone);
  END IF;
  RETURN chosen;
END $$;
REVOKE ALL ON FUNCTION millrace._window_origin FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_origin IS 'Internal: where windows begin.';

-- The newest look at the watermark of a window; null: there was none yet.
CREATE FUNCTION millrace._window_mark(window_id integer) RETURNS millrace.window_mark
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT m FROM millrace.window_mark AS m WHERE m.window_id = _window_mark.window_id ORDER BY m.at DESC LIMIT 1;
$$;
REVOKE ALL ON FUNCTION millrace._window_mark(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_mark(integer) IS 'Internal: up to where a window is closed and final.';

CREATE FUNCTION millrace._check_window_time(argument text, given interval) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given NOT BETWEEN interval '0' AND interval '10 years' THEN
    RAISE EXCEPTION '% is "%", expected 0 to 10 years', argument, given
      USING ERRCODE = 'invalid_parameter_value', HINT = format('Pass %s => ''1 min'', for example.', argument);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_time FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_time IS 'Internal: refuses a time that is no part of a watermark.';

CREATE FUNCTION millrace._check_max_groups(given bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given NOT BETWEEN 1 AND 1000000000 THEN
    RAISE EXCEPTION 'max_groups is %, expected 1 to 1000000000', given
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'A group takes 100 to 200 bytes for each window it is in, and more for long keys.',
            HINT = 'Pass max_groups => 10000000, for example.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_max_groups FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_max_groups IS 'Internal: refuses a number of groups that is none.';

CREATE FUNCTION millrace._check_target_since(given timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF given >= '285000-01-01 00:00:00+00' THEN
    RAISE EXCEPTION 'target_since is %, expected a time before 285000 AD, or -infinity', given
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'The target has all rows whose event time is not before it.',
            HINT = format('Pass target_since => %L, for example, or ''-infinity'' when no rows were removed.', date_trunc('day', now()));
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_target_since FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_target_since IS 'Internal: refuses a time from which no target has its rows.';

-- Null where no window begins before it.
CREATE FUNCTION millrace._since(given timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT CASE WHEN given >= timestamptz '4700-01-01 00:00:00+00 BC' THEN given END;
$$;
REVOKE ALL ON FUNCTION millrace._since FROM PUBLIC;
COMMENT ON FUNCTION millrace._since IS 'Internal: target_since, as a window keeps it.';

CREATE FUNCTION millrace._check_window_arguments(given jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = given ->> 'time_zone') THEN
    RAISE EXCEPTION 'time zone "%" does not exist', left(given ->> 'time_zone', 100)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT name FROM pg_timezone_names; lists them.';
  ELSIF (given ->> 'retention')::interval <= interval '0' OR (given ->> 'retention')::interval > interval '1000 years' THEN
    RAISE EXCEPTION 'retention is "%", expected more than nothing, up to 1000 years', given ->> 'retention'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass retention => ''30 days'', for example, or leave it out to keep all.';
  END IF;
  PERFORM millrace._check_max_groups((given ->> 'max_groups')::bigint);
  PERFORM millrace._check_target_since((given ->> 'target_since')::timestamptz);
  PERFORM millrace._check_window_time(a.name, (given ->> a.name)::interval)
  FROM unnest(ARRAY['delay', 'lateness', 'max_skew', 'close_idle']) AS a (name);
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_arguments FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_arguments IS 'Internal: what may be wrong with arguments of create_window alone.';

CREATE FUNCTION millrace._check_window_target(p millrace.pipeline, v millrace.pipeline_version) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = v.target) THEN
    RAISE EXCEPTION 'the target table of pipeline "%" was dropped', p.name
      USING ERRCODE = 'undefined_table', HINT = format('Name another: SELECT millrace.alter_pipeline(%L, target => …);', p.name);
  ELSIF NOT has_table_privilege(p.owner, v.target, 'SELECT') THEN
    RAISE EXCEPTION 'role "%" has no SELECT privilege on table "%"', p.owner, v.target
      USING ERRCODE = 'insufficient_privilege', DETAIL = 'Windows are computed from its rows, as this role.',
            HINT = format('Run: GRANT SELECT ON %s TO %s;', v.target, p.owner);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_window_target FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_window_target IS 'Internal: refuses a target that windows cannot be kept of.';

-- A pipeline is changed: what its windows are computed from stays, and its owner reads them.
CREATE FUNCTION millrace._keep_windows(p millrace.pipeline, old millrace.pipeline_version, d millrace.pipeline_version, new_owner regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition;
  view text;
BEGIN
  FOR w IN SELECT * FROM millrace.window_definition AS c WHERE c.pipeline_id = p.id LOOP
    IF d.target <> old.target THEN
      RAISE EXCEPTION 'pipeline "%" has windows over its target "%"', p.name, old.target
        USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Window "%s" is one.', w.name),
              HINT = format('Drop them first: SELECT millrace.drop_window(w.name) FROM millrace.windows AS w WHERE w.pipeline = %L;', p.name);
    END IF;
    p.owner := new_owner;
    PERFORM millrace._check_window_target(p, d);
    PERFORM millrace._check_window_changes(w, p, d);
    FOREACH view IN ARRAY ARRAY(SELECT v.name FROM millrace._window_views(w) AS v) LOOP
      IF NOT has_table_privilege(new_owner, format('millrace.%I', view), 'SELECT') THEN
        EXECUTE format('GRANT SELECT ON millrace.%I TO %s WITH GRANT OPTION', view, new_owner);
      END IF;
    END LOOP;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION millrace._keep_windows FROM PUBLIC;
COMMENT ON FUNCTION millrace._keep_windows IS 'Internal: refuses a change of a pipeline that its windows cannot follow.';

CREATE FUNCTION millrace._create_window(caller regrole, given jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  p millrace.pipeline;
  v millrace.pipeline_version;
  w millrace.window_definition;
BEGIN
  PERFORM millrace._check_given(array_agg(a.name ORDER BY a.place), array_agg(given ->> a.name IS NULL ORDER BY a.place))
  FROM unnest(ARRAY['name', 'pipeline', 'event_time', 'size', 'aggregates', 'group_by', 'time_zone', 'backfill']) WITH ORDINALITY AS a (name, place);
  PERFORM millrace._check_window_name(given ->> 'name');
  PERFORM millrace._check_window_arguments(given);
  p := millrace._lock_owned(caller, given ->> 'pipeline');
  SELECT * INTO STRICT v FROM millrace.pipeline_version AS c WHERE c.pipeline_id = p.id AND c.version = p.version;
  PERFORM millrace._check_window_target(p, v);

  w := jsonb_populate_record(NULL::millrace.window_definition, (given - 'pipeline' - 'output_topic') || jsonb_build_object(
    'id', nextval('millrace.window_id_seq'), 'pipeline_id', p.id, 'slide', coalesce(given ->> 'slide', given ->> 'size'), 'condition', given ->> 'where',
    'origin', millrace._window_origin(given ->> 'origin', millrace._window_unit('size', (given ->> 'size')::interval), given ->> 'time_zone'),
    'delay', coalesce(given ->> 'delay', '0'), 'lateness', coalesce(given ->> 'lateness', '0'),
    'max_skew_us', (extract(epoch FROM coalesce(given ->> 'max_skew', '1 h')::interval) * 1000000)::bigint, 'created_at', now(),
    'max_groups', coalesce(given ->> 'max_groups', '10000000'), 'target_since', millrace._since((given ->> 'target_since')::timestamptz)));
  PERFORM millrace._make_window(w, p, v);
  SELECT * INTO STRICT w FROM millrace.window_definition AS d WHERE d.id = w.id;
  PERFORM millrace._set_output(w, nullif(given ->> 'output_topic', 'off'));

  IF (given ->> 'backfill')::boolean THEN
    PERFORM millrace._begin_backfill(w, v);
  END IF;
  UPDATE millrace.pipeline AS c SET windows = c.windows + 1 WHERE c.id = p.id;
  PERFORM millrace._wake();
  RETURN w.id;
END $$;
REVOKE ALL ON FUNCTION millrace._create_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._create_window IS 'Internal: create_window for a role.';

CREATE FUNCTION millrace.create_window(
  name text, pipeline text, event_time text, size interval, aggregates text, slide interval DEFAULT NULL, group_by text[] DEFAULT '{}',
  "where" text DEFAULT NULL, delay interval DEFAULT NULL, lateness interval DEFAULT NULL, max_skew interval DEFAULT NULL,
  close_idle interval DEFAULT NULL, retention interval DEFAULT NULL, time_zone text DEFAULT 'UTC', origin timestamptz DEFAULT NULL,
  backfill boolean DEFAULT true, output_topic text DEFAULT NULL, max_groups bigint DEFAULT NULL, target_since timestamptz DEFAULT NULL) RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET intervalstyle = postgres
AS 'MODULE_PATHNAME', 'mr_verb_by_name';
COMMENT ON FUNCTION millrace.create_window IS
'Keeps aggregates of a pipeline''s target by windows of event time, in the commits of its batches; millrace.window_<name> always shows what GROUP BY over the target would. Where rows of the target change, or an aggregate cannot be merged, groups that were touched are computed again from the target: in the background, or by who reads that view; millrace.window_<name>_folded shows what was computed, and as of when.
In: name; pipeline; event_time: expression of type timestamptz over columns of the target; size: a time, calendar days or months; aggregates: a select list such as ''count(*) AS n, avg(value) AS mean''; slide: from one start to the next, by default the size; group_by: expressions; "where": which rows count; delay: how far the watermark is behind the highest event time, by default not at all; lateness: how long after its end, by the watermark, a window is closed and not final yet; max_skew: an event time that is further in the future moves no watermark, by default 1 h; close_idle: when nothing has come for so long, the last window is closed, by default never; retention: how long after its end a window is kept, by default for good; time_zone and origin: where days and months begin, and windows; backfill: false to leave out the rows there are. Else they are read in the background, in stretches, while batches go on: what is filled appears in the view, the latest windows first, and nothing is published before all is; wait_for_window() waits for it. output_topic: Kafka topic to which the values of each group are published when its window is closed, and again when they change before it is final; max_groups: rows kept, one for each group of each window (of a sliding one: of each pane), by default 10000000: over it the oldest windows that are closed, and published, leave; target_since: rows with earlier event times have been removed from the target: windows (of an incremental sliding one: panes) that begin before are not computed from it.
Out: id of the window. Returns when the batch in flight has ended; a notice says that there are rows to be filled in.
Errors: each wrong argument, with a hint; the position of a mistake in the SQL; object_not_in_prerequisite_state when the window is to be recomputed (rows of the target change, or an aggregate cannot be merged) and the target has no index for that, with the command that makes it; insufficient_privilege unless the caller is the pipeline''s owner or a member of it, and the owner can read the target and was granted output_topic.';

-- Only what is not part of the values it has.
CREATE FUNCTION millrace._alter_window(caller regrole, name text, retention interval, delay interval, lateness interval, output_topic text, max_groups bigint,
                                       target_since timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  -- what a fold or rebuild has read it goes by until it has ended; before the pipeline is locked: a rebuild may have the window for long
  IF target_since IS NOT NULL OR delay IS NOT NULL OR lateness IS NOT NULL THEN
    PERFORM millrace._folding_window(caller, name);
  END IF;
  w := millrace._owned_window(caller, name);
  IF retention IS NULL AND delay IS NULL AND lateness IS NULL AND output_topic IS NULL AND max_groups IS NULL AND target_since IS NULL THEN
    RAISE EXCEPTION 'nothing to change'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass at least one of retention, delay, lateness, output_topic, max_groups and target_since.';
  ELSIF retention NOT BETWEEN interval '0' AND interval '1000 years' THEN
    RAISE EXCEPTION 'retention is "%", expected a time up to 1000 years, or 0', retention
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass retention => ''30 days'', for example, or ''0'' to keep all from now on.';
  END IF;
  PERFORM millrace._check_window_time('delay', delay);
  PERFORM millrace._check_window_time('lateness', lateness);
  PERFORM millrace._check_max_groups(max_groups);
  PERFORM millrace._check_target_since(target_since);
  IF target_since IS NOT NULL THEN  -- what was touched until now is computed from the rows that are still there
    PERFORM millrace._fold_window(w.id, false, true);
  END IF;
  UPDATE millrace.window_definition AS d
  SET retention = CASE WHEN _alter_window.retention IS NULL THEN d.retention ELSE nullif(_alter_window.retention, interval '0') END,
      delay = coalesce(_alter_window.delay, d.delay), lateness = coalesce(_alter_window.lateness, d.lateness),
      max_groups = coalesce(_alter_window.max_groups, d.max_groups),
      target_since = CASE WHEN _alter_window.target_since IS NULL THEN d.target_since ELSE millrace._since(_alter_window.target_since) END
  WHERE d.id = w.id;
  PERFORM millrace._set_output(w, output_topic);
END $$;
REVOKE ALL ON FUNCTION millrace._alter_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._alter_window IS 'Internal: alter_window for a role.';

CREATE FUNCTION millrace.alter_window(name text, retention interval DEFAULT NULL, delay interval DEFAULT NULL, lateness interval DEFAULT NULL,
                                      output_topic text DEFAULT NULL, max_groups bigint DEFAULT NULL, target_since timestamptz DEFAULT NULL) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.alter_window IS
'Changes how long and how much a window keeps of what it has, when it is closed and final, where it is published, and from when on the target has its rows. What it is made of is fixed: drop it and create another one.
In: name; retention: how long after its end a window is kept, 0 for good; delay, lateness: as in create_window; output_topic: topic for all that is not published yet, ''off'' for none; max_groups: as in create_window; target_since: as there, to be set before rows are removed from the target, -infinity when it has all rows again; null: as it is. A watermark does not go back, and what is final stays so.
Out: nothing. What is older disappears at once, and its place is freed in steps.
Errors: undefined_object for an unknown window; invalid_parameter_value, also for a topic that would come back to the pipeline; insufficient_privilege unless the caller is the pipeline''s owner or a member of it, who was granted output_topic.';

CREATE FUNCTION millrace._named_window(name text) RETURNS millrace.window_definition
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  PERFORM millrace._check_given(ARRAY['name'], ARRAY[name IS NULL]);
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.name = _named_window.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'window "%" does not exist', name
      USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM millrace.windows; lists the windows.';
  END IF;
  RETURN w;
END $$;
REVOKE ALL ON FUNCTION millrace._named_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._named_window IS 'Internal: finds a window.';

-- As it is when what keeps others from changing it has been locked.
CREATE FUNCTION millrace._window_now(former millrace.window_definition) RETURNS millrace.window_definition
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition;
BEGIN
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.id = former.id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'window "%" was dropped concurrently', former.name USING ERRCODE = 'undefined_object';
  END IF;
  RETURN w;
END $$;
REVOKE ALL ON FUNCTION millrace._window_now FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_now IS 'Internal: finds a window again.';

-- Finds a window the caller may change, and locks its pipeline.
CREATE FUNCTION millrace._owned_window(caller regrole, name text) RETURNS millrace.window_definition
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w millrace.window_definition := millrace._named_window(name);
BEGIN
  PERFORM millrace._lock_owned(caller, p.name, foreign_too => true) FROM millrace.pipeline AS p WHERE p.id = w.pipeline_id;
  RETURN millrace._window_now(w);
END $$;
REVOKE ALL ON FUNCTION millrace._owned_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._owned_window IS 'Internal: finds a window the caller may change; its pipeline is locked.';

-- pg_dump locks all tables for as long as it runs: the pipeline must not wait for it meanwhile.
CREATE FUNCTION millrace._drop_window(caller regrole, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET lock_timeout = '5s' SET client_min_messages = warning AS $$
DECLARE
  w       millrace.window_definition;
  filling text;  -- the pipeline, if workers fill the window
BEGIN
  BEGIN
    PERFORM millrace._folding_window(caller, name);  -- before the pipeline is locked: a rebuild may have the window for long
    w := millrace._owned_window(caller, name);
    EXECUTE format('DROP VIEW %s', (SELECT string_agg(format('millrace.%I', v.name), ', ') FROM millrace._window_views(w) AS v));
    EXECUTE format('DROP TABLE millrace._window_%s_partial, millrace._window_%1$s_folded', w.id);
    EXECUTE format('DROP FUNCTION IF EXISTS millrace._window_%s_values', w.id);
    EXECUTE format('DROP TABLE IF EXISTS millrace._window_%s_revision, millrace._window_%1$s_due', w.id);
  EXCEPTION WHEN lock_not_available THEN
    SELECT p.name INTO filling FROM millrace.window_definition AS d JOIN millrace.window_backfill AS b ON b.window_id = d.id JOIN millrace.pipeline AS p ON p.id = d.pipeline_id
    WHERE d.name = _drop_window.name;
    RAISE EXCEPTION 'window "%" is in use by another session', name
      USING ERRCODE = 'lock_not_available',
            DETAIL = concat('It may be a pg_dump, which locks tables as long as it runs, or rebuild_window()',
                            CASE WHEN filling IS NOT NULL THEN ', or a worker that fills it: without an index that begins with the event time it reads all rows at once' END, '.'),
            HINT = concat('Try again when it has ended.', CASE WHEN filling IS NOT NULL THEN
                            format(' To end what a worker fills: SELECT millrace.pause(%1$L); SELECT pg_cancel_backend(w.pid) FROM millrace.workers AS w WHERE w.pipeline = %1$L;', filling) END);
  END;
  DELETE FROM millrace.window_cursor AS c WHERE c.window_id = w.id;
  DELETE FROM millrace.window_outside AS o WHERE o.window_id = w.id;
  DELETE FROM millrace.window_mark AS m WHERE m.window_id = w.id;
  DELETE FROM millrace.window_late AS l WHERE l.window_id = w.id;
  DELETE FROM millrace.window_failure AS f WHERE f.window_id = w.id;
  DELETE FROM millrace.window_backfill AS b WHERE b.window_id = w.id;
  DELETE FROM millrace.window_outlet AS o WHERE o.window_id = w.id;
  DELETE FROM millrace.window_output AS o WHERE o.window_id = w.id;
  UPDATE millrace.ingestor_report AS r SET about = r.about - ('relay_error.' || w.name) WHERE r.pipeline_id = w.pipeline_id AND r.about ? ('relay_error.' || w.name);
  DELETE FROM millrace.window_sighting AS s WHERE s.window_id = w.id;
  DELETE FROM millrace.dlq_scan AS s WHERE s.pipeline_id = w.pipeline_id AND s.window_id = w.id;
  DELETE FROM millrace.window_definition AS d WHERE d.id = w.id;
  UPDATE millrace.pipeline AS p SET windows = p.windows + 1 WHERE p.id = w.pipeline_id;
  PERFORM millrace._wake();
END $$;
REVOKE ALL ON FUNCTION millrace._drop_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._drop_window IS 'Internal: drop_window for a role.';

CREATE FUNCTION millrace.drop_window(name text) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.drop_window IS
'Drops a window with what it has kept, and its view; returns when the batch in flight has ended.
In: name.
Out: nothing.
Errors: undefined_object for an unknown window; dependent_objects_still_exist when other views are made of its view; lock_not_available while another session reads it for long; insufficient_privilege unless the caller is the pipeline''s owner or a member of it.';
