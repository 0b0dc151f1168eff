-- ordering => 'key': the queues in millrace.retry as alter_pipeline() changes them. The rules are in src/fail/order.h.

CREATE FUNCTION millrace._check_ordering(ordering text, on_dead text, max_parked integer, max_parked_per_key integer) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM millrace._check_choice('ordering', ordering, ARRAY['none', 'key']);
  PERFORM millrace._check_choice('on_dead', on_dead, ARRAY['release', 'hold']);
  PERFORM millrace._check_range('max_parked', max_parked, 1, 1000000);
  PERFORM millrace._check_range('max_parked_per_key', max_parked_per_key, 1, 1000000);
END $$;
REVOKE ALL ON FUNCTION millrace._check_ordering(text, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_ordering(text, text, integer, integer) IS 'Internal: bounds and choices of ordering by key.';

-- The first of a queue that waits behind nobody is due.
CREATE FUNCTION millrace._release_parked(p millrace.pipeline) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE millrace.retry AS r SET next_at = clock_timestamp()
  WHERE r.pipeline_id = p.id AND r.state = 'parked' AND r.next_at = 'infinity'
        AND NOT EXISTS (
          SELECT FROM millrace.retry AS b
          WHERE b.pipeline_id = r.pipeline_id AND b.partition = r.partition AND b.order_key = r.order_key
                AND (b."offset", b.id) < (r."offset", r.id));
$$;
REVOKE ALL ON FUNCTION millrace._release_parked(millrace.pipeline) FROM PUBLIC;
COMMENT ON FUNCTION millrace._release_parked(millrace.pipeline) IS 'Internal: lets the queues go on whose first event waits behind nobody.';

-- After a change of ordering or on_dead; the pipeline is locked, no batch is in flight.
CREATE FUNCTION millrace._reorder(p millrace.pipeline, ordering text, on_dead text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF ordering = 'none' OR on_dead = 'release' THEN
    DELETE FROM millrace.retry AS r WHERE r.pipeline_id = p.id AND r.state = 'held';
  END IF;
  IF ordering = 'none' THEN
    UPDATE millrace.retry AS r
    SET order_key = NULL, state = CASE WHEN r.state <> 'parked' THEN r.state WHEN r.replay_of IS NULL THEN 'retrying' ELSE 'replaying' END,
        next_at = CASE r.state WHEN 'parked' THEN clock_timestamp() ELSE r.next_at END,
        -- retry_age does not count the time before its first try
        first_failed_at = CASE WHEN r.state = 'parked' AND r.attempts = 0 THEN clock_timestamp() ELSE r.first_failed_at END
    WHERE r.pipeline_id = p.id AND r.order_key IS NOT NULL;
  END IF;
  PERFORM millrace._release_parked(p);
END $$;
REVOKE ALL ON FUNCTION millrace._reorder(millrace.pipeline, text, text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._reorder(millrace.pipeline, text, text) IS 'Internal: lets go what a new ordering or on_dead no longer keeps waiting.';
