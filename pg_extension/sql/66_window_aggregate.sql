-- What the aggregates of a window are kept as: states that can be merged, which give what the aggregate itself gives over
-- all rows, to the last digit for integers and numeric.

-- The state of avg, variance and stddev of double precision: count, sum, sum of squared deviations.
CREATE AGGREGATE millrace.window_state(value double precision) (
  SFUNC = pg_catalog.float8_accum, STYPE = double precision[], COMBINEFUNC = pg_catalog.float8_combine,
  INITCOND = '{0,0,0}', PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_state(double precision) IS
'What a window keeps of numbers for their avg, variance and stddev.
In: value. Out: number of values, their sum, and the sum of their squared deviations. Errors: numeric_value_out_of_range.';
-- The server's own functions refuse what leaves the range of double precision: one group would keep all others from being merged.
-- These steps pin no search_path: they look nothing up, and it would be set and reset for each partial value.
CREATE FUNCTION millrace._add_double(a double precision, b double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_add_double';
REVOKE ALL ON FUNCTION millrace._add_double FROM PUBLIC;
COMMENT ON FUNCTION millrace._add_double IS 'Internal: a step of window_sum().';
CREATE FUNCTION millrace._merge_states(a double precision[], b double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_merge_states';
REVOKE ALL ON FUNCTION millrace._merge_states FROM PUBLIC;
COMMENT ON FUNCTION millrace._merge_states IS 'Internal: a step of window_merge().';
CREATE AGGREGATE millrace.window_sum(value double precision) (
  SFUNC = millrace._add_double, STYPE = double precision, COMBINEFUNC = millrace._add_double, PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_sum(double precision) IS
'Merges sums that a window keeps.
In: value. Out: their sum, Infinity when it is out of range; null when there is none. Errors: none.';
CREATE AGGREGATE millrace.window_sum(value bigint) (
  SFUNC = pg_catalog.int8pl, STYPE = bigint, COMBINEFUNC = pg_catalog.int8pl, PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_sum(bigint) IS
'Merges numbers of rows that a window keeps: unlike sum(bigint), it adds them up without numeric.
In: value. Out: their sum; null when there is none. Errors: numeric_value_out_of_range.';
CREATE FUNCTION millrace._add_numeric(a numeric, b numeric) RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mr_sql_add_numeric';
REVOKE ALL ON FUNCTION millrace._add_numeric FROM PUBLIC;
COMMENT ON FUNCTION millrace._add_numeric IS 'Internal: a step of window_sum().';
CREATE AGGREGATE millrace.window_sum(value numeric) (
  SFUNC = millrace._add_numeric, STYPE = numeric, COMBINEFUNC = millrace._add_numeric, PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_sum(numeric) IS
'Merges sums that a window keeps.
In: value. Out: their sum, Infinity when it has more than 131072 digits before the point; null when there is none. Errors: none.';
CREATE AGGREGATE millrace.window_merge(state double precision[]) (
  SFUNC = millrace._merge_states, STYPE = double precision[], COMBINEFUNC = millrace._merge_states,
  INITCOND = '{0,0,0}', PARALLEL = SAFE);
COMMENT ON AGGREGATE millrace.window_merge(double precision[]) IS
'Merges states of window_state().
In: state. Out: the state of all their values, with Infinity for a sum that is out of range. Errors: array_subscript_error for what is no such state.';

-- Values of types without an infinity (interval, money, bit strings), merged by "+", "&", "|" or "#". The state is the value, or the two that
-- could not be merged: what is merged with these stays so. Then there is no value, and an error.
CREATE FUNCTION millrace._merge_step(state anyarray, operator text, value anyelement) RETURNS anyarray
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF value IS NULL OR cardinality(state) > 1 THEN
    RETURN state;
  ELSIF state IS NULL THEN
    RETURN ARRAY[value];
  ELSIF operator = '+' THEN
    RETURN ARRAY[state[1] + value];
  ELSIF operator = '&' THEN
    RETURN ARRAY[state[1] & value];
  ELSIF operator = '|' THEN
    RETURN ARRAY[state[1] | value];
  END IF;
  RETURN ARRAY[state[1] # value];
EXCEPTION WHEN data_exception THEN
  RETURN array_append(state, value);
END $$;
REVOKE ALL ON FUNCTION millrace._merge_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._merge_step IS 'Internal: a step of window_merged() and window_merge_error().';
CREATE FUNCTION millrace._merged_value(state anyarray) RETURNS anyelement
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$ SELECT CASE cardinality(state) WHEN 1 THEN state[1] END $$;
REVOKE ALL ON FUNCTION millrace._merged_value FROM PUBLIC;
COMMENT ON FUNCTION millrace._merged_value IS 'Internal: the end of window_merged().';
CREATE FUNCTION millrace._merge_failure(state anyarray) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF coalesce(cardinality(state), 0) < 2 THEN
    RETURN NULL;
  ELSIF pg_typeof(state[1]) IN ('bit'::regtype, 'varbit'::regtype) THEN
    RETURN format('bit strings have different lengths, %s and %s', length(state[1]), length(state[2]));
  END IF;
  RETURN format('%s out of range', state[1] + state[2]);
EXCEPTION WHEN data_exception THEN
  RETURN SQLERRM;
END $$;
REVOKE ALL ON FUNCTION millrace._merge_failure FROM PUBLIC;
COMMENT ON FUNCTION millrace._merge_failure IS 'Internal: the end of window_merge_error().';

CREATE AGGREGATE millrace.window_merged(operator text, value anyelement) (SFUNC = millrace._merge_step, STYPE = anyarray, FINALFUNC = millrace._merged_value);
COMMENT ON AGGREGATE millrace.window_merged(text, anyelement) IS
'Merges partial values that a window keeps, where that may fail.
In: operator: +, &, | or #; value: of type interval, money, bit or bit varying. Out: the merged value; null when there is none, or it could not be merged: window_merge_error() has the reason. Errors: undefined_function for a type without the operator.';
CREATE AGGREGATE millrace.window_merge_error(operator text, value anyelement) (SFUNC = millrace._merge_step, STYPE = anyarray, FINALFUNC = millrace._merge_failure);
COMMENT ON AGGREGATE millrace.window_merge_error(text, anyelement) IS
'Why partial values that a window keeps cannot be merged.
In: as of window_merged(). Out: the message of the error, null when there is none. Errors: undefined_function for a type without the operator.';

CREATE FUNCTION millrace._first_step(state internal, value anyelement, at timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_first_step';
REVOKE ALL ON FUNCTION millrace._first_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._first_step IS 'Internal: a step of first().';
CREATE FUNCTION millrace._last_step(state internal, value anyelement, at timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_last_step';
REVOKE ALL ON FUNCTION millrace._last_step FROM PUBLIC;
COMMENT ON FUNCTION millrace._last_step IS 'Internal: a step of last().';
CREATE FUNCTION millrace._extreme_value(state internal, value anyelement, at timestamptz) RETURNS anyelement
LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_extreme_value';
REVOKE ALL ON FUNCTION millrace._extreme_value FROM PUBLIC;
COMMENT ON FUNCTION millrace._extreme_value IS 'Internal: the end of first() and last().';

CREATE AGGREGATE millrace.first(value anyelement, at timestamptz) (
  SFUNC = millrace._first_step, STYPE = internal, FINALFUNC = millrace._extreme_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE millrace.first(anyelement, timestamptz) IS
'The value with the earliest time; of several values at that time the smallest. For windows, and for any other query.
In: value; at. Rows where one of them is null do not count. Out: a value, null when no row counts. Errors: undefined_function for a type without an order.';
CREATE AGGREGATE millrace.last(value anyelement, at timestamptz) (
  SFUNC = millrace._last_step, STYPE = internal, FINALFUNC = millrace._extreme_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE millrace.last(anyelement, timestamptz) IS
'The value with the latest time; of several values at that time the greatest. For windows, and for any other query.
In: value; at. Rows where one of them is null do not count. Out: a value, null when no row counts. Errors: undefined_function for a type without an order.';

-- states: aggregates over the rows; types of the same; merges: of each, where %1$s is its column and %2$s the next one; final: the aggregate's value,
-- where %1$s, %2$s … are the merged states. operator: by which the last state is merged, when that may fail; then all groups have an error besides.
-- safe: the states of many rows, of which a total that is out of range is as merging makes it; safe_error: why there is none, null: there always is. They cost more.
-- type, argument_type: of the aggregate's result and of its first argument; aggregate: as format_procedure() has it.
CREATE FUNCTION millrace._window_states(
  name text, arguments text, first_argument text, last_argument text, argument_type text, type text, filter text, aggregate text, OUT states text[], OUT types text[], OUT merges text[], OUT final text, OUT operator text,
  OUT safe text[], OUT safe_error text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  is_float boolean := argument_type::regtype IN ('real'::regtype, 'double precision'::regtype);
  is_exact boolean := argument_type::regtype IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype);
  sample   boolean := name NOT IN ('var_pop', 'stddev_pop');
  spread   text;
  sketches text := millrace._sketch_schema(aggregate);
BEGIN
  final := '%1$s';
  IF sketches IS NOT NULL THEN
    SELECT * INTO states, types, merges, final FROM millrace._sketch_states(sketches, name, arguments, first_argument, last_argument, argument_type, type);
  ELSIF aggregate NOT LIKE (CASE WHEN name IN ('first', 'last') THEN 'millrace.%' ELSE 'pg\_catalog.%' END) THEN
    RETURN;
  ELSIF name = 'count' THEN
    states := ARRAY[format('count(%s)', arguments)];
    types := ARRAY['bigint'];
    merges := ARRAY['millrace.window_sum(%s)'];
  ELSIF name = 'sum' AND is_float THEN  -- of real: added up as double precision
    states := ARRAY[format('sum((%s)::double precision)', arguments)];
    types := ARRAY['double precision'];
    merges := ARRAY['millrace.window_sum(%s)'];
    final := CASE WHEN argument_type::regtype = 'real'::regtype THEN '%1$s::real' ELSE '%1$s' END;
  ELSIF name = 'sum' AND argument_type::regtype = 'numeric'::regtype THEN
    states := ARRAY[format('sum(%s)', arguments)];
    types := ARRAY['numeric'];
    merges := ARRAY['millrace.window_sum(%s)'];
  ELSIF name = 'sum' AND NOT is_exact OR argument_type::regtype IN ('bit'::regtype, 'varbit'::regtype) AND name LIKE 'bit\_%' THEN
    operator := CASE name WHEN 'sum' THEN '+' WHEN 'bit_and' THEN '&' WHEN 'bit_or' THEN '|' ELSE '#' END;
    states := ARRAY[format('%I(%s)', name, arguments)];
    types := ARRAY[type];
    merges := ARRAY[format('millrace.window_merged(%L, %%s)', operator)];
  ELSIF name IN ('sum', 'min', 'max', 'bool_and', 'bool_or', 'every', 'bit_and', 'bit_or', 'bit_xor') THEN
    states := ARRAY[format('%I(%s)', name, arguments)];
    types := ARRAY[type];
    merges := ARRAY[CASE WHEN name = 'sum' AND type = 'bigint' THEN 'millrace.window_sum(%s)' ELSE format('%I(%%s)::%s', name, type) END];  -- sum(bigint) is numeric
  ELSIF name IN ('first', 'last') THEN  -- the value, and its time: two of these are merged as rows are
    states := ARRAY[format('millrace.%I(%s)', name, arguments),
                    format('%s(CASE WHEN (%s) IS NOT NULL THEN %s END)', CASE name WHEN 'first' THEN 'min' ELSE 'max' END, first_argument, last_argument)];
    types := ARRAY[type, 'timestamptz'];
    merges := ARRAY[format('millrace.%I(%%1$s, %%2$s)', name), CASE name WHEN 'first' THEN 'min(%s)' ELSE 'max(%s)' END];
  ELSIF name = 'avg' AND (is_exact OR argument_type::regtype = 'interval'::regtype) THEN
    states := ARRAY[format('count(%s)', arguments), format('sum(%s)', arguments)];
    types := ARRAY['bigint', CASE argument_type::regtype WHEN 'interval'::regtype THEN 'interval' WHEN 'bigint'::regtype THEN 'numeric'
                             WHEN 'numeric'::regtype THEN 'numeric' ELSE 'bigint' END];
    operator := CASE WHEN NOT is_exact THEN '+' END;
    merges := ARRAY['millrace.window_sum(%s)', CASE WHEN NOT is_exact THEN 'millrace.window_merged(''+'', %s)' WHEN argument_type::regtype = 'numeric'::regtype OR types[2] = 'bigint' THEN 'millrace.window_sum(%s)'
                                            ELSE format('sum(%%s)::%s', types[2]) END];
    final := CASE WHEN is_exact THEN '%2$s::numeric / nullif(%1$s, 0)::numeric' ELSE '%2$s / nullif(%1$s, 0)::double precision' END;
  ELSIF name IN ('avg', 'variance', 'var_samp', 'var_pop', 'stddev', 'stddev_samp', 'stddev_pop') AND is_float THEN
    states := ARRAY[format('millrace.window_state((%s)::double precision)', arguments)];
    types := ARRAY['double precision[]'];
    merges := ARRAY['millrace.window_merge(%s)'];
    final := format('float8_%s(%%1$s)', CASE name WHEN 'variance' THEN 'var_samp' WHEN 'stddev' THEN 'stddev_samp' ELSE name END);
  ELSIF name IN ('variance', 'var_samp', 'var_pop', 'stddev', 'stddev_samp', 'stddev_pop') AND is_exact THEN
    states := ARRAY[format('count(%s)', arguments), format('sum((%s)::numeric)', arguments),
                    format('sum((%1$s)::numeric * (%1$s)::numeric)', arguments)];
    types := ARRAY['bigint', 'numeric', 'numeric'];
    merges := ARRAY['millrace.window_sum(%s)', 'millrace.window_sum(%s)', 'millrace.window_sum(%s)'];
    -- as the server computes it: n * sum(x²) - sum(x)² over n * (n - 1), with the digits numeric division chooses
    spread := '(%1$s::numeric * %3$s - %2$s * %2$s)';
    final := format('CASE WHEN %%1$s > %s THEN CASE WHEN %s <= 0 THEN 0 ELSE %2$s / (%%1$s::numeric * %s) END END',
                    CASE WHEN sample THEN 1 ELSE 0 END, spread, CASE WHEN sample THEN '(%1$s::numeric - 1)' ELSE '%1$s::numeric' END);
    IF name LIKE 'stddev%' THEN  -- its root has as many digits; some more keep it from being rounded twice
      final := format('(SELECT CASE WHEN v.v = ''NaN'' THEN v.v ELSE round(sqrt(v.v * 1.00000000000000000000), scale(v.v)) END '
                      'FROM (SELECT %s AS v) AS v)', final);
    END IF;
  END IF;
  safe := ARRAY(SELECT CASE WHEN operator IS NOT NULL AND s.place = cardinality(states) THEN format('millrace.window_merged(%L, %s)', operator, arguments)
                            WHEN merges[s.place] LIKE 'millrace.window\_sum(%' AND types[s.place] <> 'bigint' THEN regexp_replace(s.state, '^sum', 'millrace.window_sum')
                            WHEN types[s.place] = 'double precision[]' THEN  -- of one value: infinities and NaN have no deviation
                              format('millrace.window_merge(CASE WHEN (%1$s) IS NOT NULL THEN ARRAY[1, (%1$s)::double precision, (%1$s)::double precision * 0] END)', arguments)
                            ELSE s.state END
                FROM unnest(states) WITH ORDINALITY AS s (state, place) ORDER BY s.place);
  safe_error := format('millrace.window_merge_error(%L, %s)', operator, arguments);
  IF filter IS NOT NULL THEN
    states := ARRAY(SELECT format('%s FILTER (WHERE %s)', s.state, filter) FROM unnest(states) WITH ORDINALITY AS s (state, place) ORDER BY s.place);
    safe := ARRAY(SELECT format('%s FILTER (WHERE %s)', s.state, filter) FROM unnest(safe) WITH ORDINALITY AS s (state, place) ORDER BY s.place);
    safe_error := format('%s FILTER (WHERE %s)', safe_error, filter);
  END IF;
  safe_error := CASE WHEN operator IS NOT NULL THEN safe_error END;
END $$;
REVOKE ALL ON FUNCTION millrace._window_states FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_states IS 'Internal: how an aggregate is kept in a window; null states: it cannot be.';

CREATE FUNCTION millrace._window_parts(
  pipeline_id integer, version integer, event_time text, group_by text[], aggregates text, condition text)
RETURNS TABLE (part text, name text, sql text, type text, "collation" text, aggregate text, argument_type text, filter text,
               first_argument text, last_argument text, whole text)
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_window_parts';
REVOKE ALL ON FUNCTION millrace._window_parts FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_parts IS
'Internal: analyses the SQL of a window as its owner, raises the error found with the position in the user''s text, and gives it back in parts that mean the same under search_path pg_catalog.';

CREATE FUNCTION millrace._window_fill(pipeline_id integer, query text, window_id integer, OUT rows bigint, OUT outside bigint)
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp SET enable_seqscan = on AS 'MODULE_PATHNAME', 'mr_sql_window_fill';
REVOKE ALL ON FUNCTION millrace._window_fill FROM PUBLIC;
COMMENT ON FUNCTION millrace._window_fill IS 'Internal: appends what a query, run as the owner in the snapshot of the caller''s statement, gives to the folded table of a window. Out: how many rows, and how many rows of the target are in no window.';

CREATE FUNCTION millrace._fold_rows(window_id integer, fold bigint, packed text, merging text, seqs bigint[], up_to bigint, kept_from timestamptz, "from" timestamptz, "to" timestamptz,
                                    OUT rows bigint, OUT lowest timestamptz, OUT first_end timestamptz)
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_fold_rows';
REVOKE ALL ON FUNCTION millrace._fold_rows FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_rows IS 'Internal: merges partial values, read in the snapshot of the caller''s statement, and appends what that gives to the folded table of a window. Out: how many rows, and the first start of their windows; the first end of all, those that are left out, too. Null when there are none.';

CREATE FUNCTION millrace._lock_window(window_id integer, wait boolean) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_sql_lock_window';
REVOKE ALL ON FUNCTION millrace._lock_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._lock_window IS 'Internal: makes this transaction the one that folds a window; false when another one does and wait is false.';
