-- Windows at rest. Folding a window costs milliseconds, whatever it finds, and without events it mostly finds nothing: so a worker
-- that has added nothing looks at all windows of its pipeline at once before it folds them again (src/window/fold.c).

-- Sought by index in each stream, as readers do: what was folded may still be in the table for an old snapshot.
CREATE FUNCTION millrace._has_unfolded(window_id integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off AS $$
DECLARE
  is_left boolean;
BEGIN
  IF to_regclass(format('millrace._window_%s_partial', window_id)) IS NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM unnest((SELECT c.seqs FROM millrace.window_cursor AS c WHERE c.window_id = $1 ORDER BY c.fold DESC LIMIT 1)) WITH ORDINALITY AS s (seq, place) '
                 'CROSS JOIN LATERAL (SELECT FROM millrace._window_%s_partial AS p WHERE p.stream = (s.place - 1)::integer AND p.seq > s.seq LIMIT 1) AS p)', window_id) INTO is_left USING window_id;
  RETURN is_left;
END $$;
REVOKE ALL ON FUNCTION millrace._has_unfolded FROM PUBLIC;
COMMENT ON FUNCTION millrace._has_unfolded IS 'Internal: batches have added to a window what is not folded.';

-- All that may move a watermark, close a window, publish a group or wait to be folded while the worker that calls it adds nothing, as a number: while it
-- stays the same, another fold would do what the last one did. What is to go on by itself makes it another number each time.
CREATE FUNCTION millrace._windows_state(pipeline_id integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off AS $$
DECLARE
  staged integer[] := ARRAY(SELECT l.lane_id FROM millrace._lanes() AS l WHERE l.pipeline_id = _windows_state.pipeline_id AND l.staged > 0);
  state  text;
  w      record;
  is_due boolean;
  is_left boolean;
BEGIN
  state := concat((SELECT string_agg(concat(a.partition, a.why), ',' ORDER BY a.partition) FROM millrace._partition_activity(pipeline_id, staged) AS a), ';',
                  (SELECT string_agg(concat(f.partition, ' ', f.since), ',' ORDER BY f.partition) FROM millrace._partition_failures(pipeline_id) AS f));
  FOR w IN
    SELECT d.id, hash_record_extended(d, 0) AS version, m.risen_at < clock_timestamp() - d.close_idle AS is_idle,
           c.lowest < c.kept_from OR c.groups > d.max_groups OR c.fold - c.compacted >= 16 OR EXISTS (SELECT FROM millrace.window_backfill AS b WHERE b.window_id = d.id) AS has_surplus, o.window_id IS NOT NULL AS is_published,
           o.closed_to < m.watermark AS is_closing
    FROM millrace.window_definition AS d
    LEFT JOIN LATERAL (SELECT k.* FROM millrace.window_mark AS k WHERE k.window_id = d.id ORDER BY k.at DESC LIMIT 1) AS m ON true
    LEFT JOIN LATERAL (SELECT k.* FROM millrace.window_cursor AS k WHERE k.window_id = d.id ORDER BY k.fold DESC LIMIT 1) AS c ON true
    LEFT JOIN millrace.window_outlet AS o ON o.window_id = d.id AND o.topic IS NOT NULL
    WHERE d.pipeline_id = _windows_state.pipeline_id ORDER BY d.id
  LOOP
    is_due := w.has_surplus OR w.is_closing;
    IF w.is_published AND is_due IS NOT TRUE THEN
      EXECUTE format('SELECT EXISTS (SELECT FROM millrace._window_%s_due)', w.id) INTO is_due;
    END IF;
    is_left := millrace._has_unfolded(w.id);  -- by a worker that was taken away, or is about to do it
    state := concat_ws(' ', state, w.id, w.version, w.is_idle, CASE WHEN is_due OR is_left THEN clock_timestamp() END);
  END LOOP;
  RETURN hashtextextended(state, 0);
END $$;
REVOKE ALL ON FUNCTION millrace._windows_state FROM PUBLIC;
COMMENT ON FUNCTION millrace._windows_state IS 'Internal: a number that changes when windows of a pipeline are to be folded though nothing was added.';
