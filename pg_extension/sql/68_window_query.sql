-- The queries that compute a window from its target, of the parts that _make_window() has stored.

-- What the rows of the target add: all of them, or those of the panes (of the window itself, where it does not slide) that
-- begin in [from, to), read by an index on the event time if there is one. safe: so that no group makes it fail: with states that cannot, or, of a recomputed
-- window, without values.
CREATE FUNCTION millrace._window_query(window_id integer, "from" timestamptz, "to" timestamptz, safe boolean) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  w        millrace.window_definition;
  selects  text;
  longest  interval;                 -- of what begins before to, rows of it may be so much behind
  -- sessions around the first one say where it begins, and whether it is cut
  before   interval := interval '0';
BEGIN
  SELECT * INTO STRICT w FROM millrace.window_definition AS d WHERE d.id = window_id;
  selects := CASE WHEN w.kind = 'incremental' THEN CASE WHEN safe THEN w.fill_selects ELSE w.selects END
                  WHEN safe THEN replace(w.fill_selects, w.computed, millrace._no_values(w)) ELSE w.fill_selects END;
  IF "from" = '-infinity' AND "to" = 'infinity' THEN
    RETURN format('%s FROM %s AS written %s', selects, millrace._target_name(w), coalesce(w.fill_grouped, w.grouped));
  ELSIF w.gap IS NOT NULL THEN
    longest := 3 * w.size;
    before := 3 * w.size;
  ELSE
    longest := CASE w.kind WHEN 'recompute' THEN w.size ELSE w.slide END - CASE WHEN millrace._is_pane_start(w, "to") THEN w.slide ELSE interval '0' END;
  END IF;
  IF millrace._window_unit('slide', w.slide) <> 'time' AND longest > interval '0' THEN
    longest := longest + interval '4 days';  -- months and days are of different lengths, and here they are those of UTC
  END IF;
  RETURN format('SELECT q.* FROM (%s FROM (SELECT * FROM %s AS written WHERE (%s) >= %8$L::timestamptz AND (%3$s) < %5$L::timestamptz) AS written %6$s) AS q '
                'WHERE q.window_start >= %4$L::timestamptz AND q.window_start < %7$L::timestamptz',
                selects, millrace._target_name(w), w.at, "from", CASE WHEN "to" < '285000-01-01 00:00:00+00' THEN "to" + longest ELSE 'infinity' END, coalesce(w.fill_grouped, w.grouped), "to", "from" - before);
END $$;
REVOKE ALL ON FUNCTION millrace._window_query FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_query IS 'Internal: the query that computes a window from the target.';

CREATE FUNCTION millrace._is_pane_start(w millrace.window_definition, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = postgres AS $$
DECLARE
  start timestamptz;
BEGIN
  IF at < '4700-01-01 00:00:00+00 BC' OR at >= '285000-01-01 00:00:00+00' THEN
    RETURN false;
  END IF;
  EXECUTE 'SELECT ' || millrace._pane_start('$1', w.slide, w.time_zone, w.origin) INTO start USING at;
  RETURN start = at;
END $$;
REVOKE ALL ON FUNCTION millrace._is_pane_start FROM PUBLIC;
COMMENT ON FUNCTION millrace._is_pane_start IS 'Internal: whether windows (or panes) begin at a time.';

-- What has no time that is in a window: it gives no groups, and is counted. No group of it makes it fail.
CREATE FUNCTION millrace._outside_query(window_id integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('%s FROM (SELECT * FROM %s AS written WHERE (%s) IS NULL OR (%3$s) < ''4700-01-01 00:00:00+00 BC'' OR (%3$s) >= ''285000-01-01 00:00:00+00'') AS written %4$s',
                CASE w.kind WHEN 'incremental' THEN w.fill_selects ELSE replace(w.fill_selects, w.computed, millrace._no_values(w)) END, millrace._target_name(w), w.at,
                coalesce(w.fill_grouped, w.grouped))
  FROM millrace.window_definition AS w WHERE w.id = window_id;
$$;
REVOKE ALL ON FUNCTION millrace._outside_query FROM PUBLIC;
COMMENT ON FUNCTION millrace._outside_query IS 'Internal: the query that counts rows of the target that are in no window.';

CREATE FUNCTION millrace._target_name(w millrace.window_definition) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('%I.%I', n.nspname, c.relname)
  FROM millrace.pipeline AS p JOIN millrace.pipeline_version AS v ON v.pipeline_id = p.id AND v.version = p.version
  JOIN pg_class AS c ON c.oid = v.target JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE p.id = w.pipeline_id;
$$;
REVOKE ALL ON FUNCTION millrace._target_name FROM PUBLIC;
COMMENT ON FUNCTION millrace._target_name IS 'Internal: the target of a window, as SQL.';
