-- One fold of a window, from its cursor on: the statement of 68_window_fold.sql, the watermark, and how far it has come.

-- Nothing of a cursor is updated: its versions would have to be stepped over as long as an old snapshot keeps them. was: the newest one; c: what is different now, under the
-- same number if nothing was folded, and then under the next one.
CREATE FUNCTION millrace._append_cursor(was millrace.window_cursor, c millrace.window_cursor) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF c IS NOT DISTINCT FROM was THEN
    RETURN;
  ELSIF c.fold = was.fold THEN
    c.compacted := c.compacted + CASE WHEN c.compacted = c.fold THEN 1 ELSE 0 END;
    c.fold := c.fold + 1;
  END IF;
  INSERT INTO millrace.window_cursor VALUES (c.*);
  DELETE FROM millrace.window_cursor AS k WHERE k.window_id = was.window_id AND k.fold = was.fold - 1;
END $$;
REVOKE ALL ON FUNCTION millrace._append_cursor FROM PUBLIC;
COMMENT ON FUNCTION millrace._append_cursor IS 'Internal: notes how far a window is folded, and what of it is kept.';

-- One fold, from the cursor on; the caller has locked the window. What it adds up to and what it counts are of one statement, and so of one
-- snapshot; with a query (see _fold_sql()) so is what is read of the target. Index scans only: most of what is in the tables may be gone, and kept by an
-- old snapshot. Out: groups that were computed from the target.
CREATE FUNCTION millrace._fold(w millrace.window_definition, c millrace.window_cursor, merge boolean, up_to bigint,
                               "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, query text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET enable_seqscan = off SET jit = off AS $$
DECLARE
  began timestamptz := clock_timestamp();  -- before all that it sees
  was   millrace.window_cursor := c;
  mark  millrace.window_mark := millrace._window_mark(w.id);
  folded record;
  staged integer[] := ARRAY(SELECT l.lane_id FROM millrace._lanes() AS l WHERE l.pipeline_id = w.pipeline_id AND l.staged > 0);  -- asked before all that says how far they are settled
  known integer[];   -- partitions
  whys  text[];      -- of these
BEGIN
  -- of an idle partition all is settled; where some of that is left to the next fold it is not idle for this one
  SELECT array_agg(a.partition ORDER BY a.partition), array_agg(coalesce(a.why, CASE WHEN up_to IS NOT NULL THEN 'rows are to be folded' END) ORDER BY a.partition) INTO known, whys
  FROM millrace._partition_activity(w.pipeline_id, staged) AS a;
  EXECUTE millrace._fold_sql(w, merge, query IS NOT NULL) INTO folded
  USING c.seqs, c.fold + 1, mark.final, mark.watermark, c.kept_from, up_to, "from", "to", query, w.pipeline_id;
  IF folded.seqs IS DISTINCT FROM c.seqs OR query IS NOT NULL THEN
    c.fold := c.fold + 1;
    c.seqs := folded.seqs;
    c.added := c.added + greatest(folded.groups, 0);
    c.groups := c.groups + folded.groups + folded.filled;
    c.outside := coalesce(folded.recounted, c.outside + folded.outside);
    c.skewed := c.skewed + folded.skewed;
    c.late := c.late + coalesce((SELECT sum(l) FROM unnest(folded.rows) AS l), 0);
    c.not_recomputed := c.not_recomputed + folded.not_recomputed;
    c.lowest := least(c.lowest, folded.lowest, "from");
    c.left_at := CASE WHEN "from" < c.kept_from THEN NULL ELSE c.left_at END;
    c.kept_from := least(c.kept_from, "from");
    c.as_of := CASE WHEN up_to IS NULL THEN began ELSE c.as_of END;
    c.due_at := clock_timestamp() + least(9 * (clock_timestamp() - began), interval '9 min');
  END IF;
  PERFORM millrace._count_late(w, mark.final, folded.starts, folded.ends, folded.rows);
  PERFORM millrace._move_watermark(w, mark, folded.partitions, folded.highs, known, whys, folded.failed, folded.held, began);
  IF merge AND (was.fold - was.compacted >= 16 OR c.groups > w.max_groups OR c.lowest < c.kept_from) THEN
    c := millrace._compact_window(w, c);
  END IF;
  PERFORM millrace._append_cursor(was, c);
  RETURN folded.filled;
END $$;
REVOKE ALL ON FUNCTION millrace._fold FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold IS 'Internal: one fold of a window, which is locked.';

-- Moves what batches have added to the folded table, merged, and the watermark; false: another session does, or some is left.
CREATE FUNCTION millrace._fold_window(window_id integer, merge boolean, wait boolean) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  w    millrace.window_definition;
  c    millrace.window_cursor;
  step record;      -- of a recomputed window
BEGIN
  IF NOT millrace._lock_window(window_id, wait) THEN
    RETURN false;
  END IF;
  SELECT * INTO w FROM millrace.window_definition AS d WHERE d.id = window_id;
  SELECT * INTO c FROM millrace.window_cursor AS k WHERE k.window_id = w.id ORDER BY k.fold DESC LIMIT 1;
  IF c.fold IS NULL THEN
    RETURN true;
  END IF;
  SELECT * INTO step FROM millrace._fold_step(w, c, wait);
  IF step.rests THEN
    RETURN false;
  END IF;
  PERFORM millrace._lock_target(w.id, true);
  PERFORM millrace._fold(w, c, merge, step.up_to);
  IF merge THEN  -- what is not merged is put off
    PERFORM millrace._window_works(w.id, 'fold');
  END IF;
  RETURN step.up_to IS NULL;
END $$;
REVOKE ALL ON FUNCTION millrace._fold_window FROM PUBLIC;
COMMENT ON FUNCTION millrace._fold_window IS 'Internal: merges what batches have added to a window.';
