-- Approximate aggregates of the extensions hll and tdigest, where they are installed: their sketches are partial values that can be merged. The
-- extensions are asked for by name when a window is made, and nothing of theirs is needed else. What a window runs as whoever reads it is of such
-- an extension, and a superuser's: a member that somebody else has added to it is not trusted (src/window/foreign.c).

-- The schema of an aggregate of such an extension, as SQL has it; null: it is none. aggregate: as format_procedure() has it.
CREATE FUNCTION millrace._sketch_schema(aggregate text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT quote_ident(n.nspname)
  FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace JOIN pg_roles AS o ON o.oid = f.proowner
  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid
  WHERE f.oid = to_regprocedure(aggregate) AND o.rolsuper AND e.extname IN ('hll', 'tdigest');
$$;
REVOKE ALL ON FUNCTION millrace._sketch_schema FROM PUBLIC;
COMMENT ON FUNCTION millrace._sketch_schema IS 'Internal: where an approximate aggregate is.';

-- As _window_states(), of which it is a part. A percentile is one of the merged sketch, so the percentile itself has to be a constant.
CREATE FUNCTION millrace._sketch_states(
  schema text, name text, arguments text, first_argument text, last_argument text, argument_type text, type text, OUT states text[], OUT types text[], OUT merges text[], OUT final text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  -- %1$s and the like are filled in later
  in_schema text := replace(schema, '%', '%%');
BEGIN
  IF name IN ('hll_add_agg', 'hll_union_agg', 'tdigest') THEN
    states := ARRAY[format('%s.%I(%s)', schema, name, arguments)];
    types := ARRAY[type];
    merges := ARRAY[in_schema || CASE name WHEN 'tdigest' THEN '.tdigest(%s)' ELSE '.hll_union_agg(%s)' END];
    final := '%1$s';
  ELSIF name IN ('tdigest_percentile', 'tdigest_percentile_of') AND last_argument ~ '^\(?(''[-0-9.{},]+''|[-0-9.]+)\)?(::(double precision|numeric)(\[\])?)?$' THEN
    states := ARRAY[format('%s.tdigest(%s)', schema, left(arguments, - length(', ' || last_argument)))];
    types := ARRAY[schema || '.tdigest'];
    merges := ARRAY[in_schema || '.tdigest(%s)'];
    final := format('(SELECT %s.%I(v.v, %s) FROM (SELECT %%1$s AS v) AS v)', in_schema, name, last_argument);
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._sketch_states FROM PUBLIC;
COMMENT ON FUNCTION millrace._sketch_states IS 'Internal: how an approximate aggregate is kept in a window; null states: it cannot be.';
