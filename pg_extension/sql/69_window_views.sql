-- The windows there are.
CREATE VIEW millrace.windows WITH (security_barrier) AS
SELECT w.name, p.name AS pipeline, w.kind, pg_catalog.to_regclass(pg_catalog.format('millrace.%I', 'window_' || w.name)) AS relation, w.event_time,
       CASE WHEN w.gap IS NULL THEN w.size END AS size, CASE WHEN w.gap IS NULL THEN w.slide END AS slide, w.group_by, w.aggregates, w.condition AS "where", w.time_zone, w.origin, w.delay, w.lateness,
       w.max_skew_us * interval '1 us' AS max_skew, w.close_idle, w.retention,
       CASE WHEN pg_catalog.isfinite(m.watermark) THEN m.watermark END AS watermark,
       CASE WHEN m.held_by IS NOT NULL THEN coalesce(n.topic, p.topic) END AS held_topic, coalesce(n.topic_partition, m.held_by) AS held_by, m.held_why, m.stalled_since,
       (coalesce(c.outside, 0) + coalesce(o.rows, 0))::bigint AS outside, (coalesce(c.skewed, 0) + coalesce(o.skewed, 0))::bigint AS skewed,
       coalesce(c.late, 0) AS late, w.created_at, t.topic AS output_topic, coalesce(t.published, 0) AS published,
       coalesce(q.waiting, 0) AS output_waiting, q.waiting_since AS output_waiting_since,
       CASE WHEN NOT u.is_granted THEN pg_catalog.format('role "%s" is not allowed to publish to it', u.owner)
            ELSE i.about ->> ('relay_error.' || w.name) END AS output_error, coalesce(u.is_granted, true) AS output_is_granted,
       w.max_groups, coalesce(c.groups, 0) AS groups, CASE WHEN pg_catalog.isfinite(c.kept_from) THEN c.kept_from END AS kept_from, c.left_at,
       w.gap, CASE WHEN w.gap IS NOT NULL THEN w.size END AS max_session, w.target_since, coalesce(c.not_recomputed, 0) AS not_recomputed,
       f.step AS failing, f.since AS failing_since, f.sqlstate AS failing_sqlstate, f.error AS failing_error,
       b.window_id IS NULL AS backfilled, CASE WHEN b.window_id IS NULL THEN 1 ELSE pg_catalog.round(b.share::numeric, 4)::double precision END AS backfill_share, b.rows AS backfill_rows, b.began_at AS backfill_since,
       CASE WHEN pg_catalog.isfinite(b.reached) THEN b.reached END AS backfill_reached,
       CASE WHEN b.share > 0 AND b.took / b.share < 3e9 THEN b.began_at + b.took / b.share * interval '1 s' END AS backfill_eta,  -- not beyond what a timestamptz can be
       CASE WHEN b.window_id IS NULL THEN NULL WHEN p.is_foreign THEN 'its pipeline is another instance''s' WHEN p.state <> 'running' THEN 'its pipeline is ' || p.state END AS backfill_waits,
       CASE WHEN b.window_id IS NOT NULL THEN (SELECT e.error FROM millrace.window_failure AS e WHERE e.window_id = w.id AND e.step = 'backfill') END AS backfill_error
FROM millrace.window_definition AS w JOIN millrace._visible AS p ON p.id = w.pipeline_id
LEFT JOIN LATERAL (SELECT k.* FROM millrace.window_cursor AS k WHERE k.window_id = w.id ORDER BY k.fold DESC LIMIT 1) AS c ON true
LEFT JOIN LATERAL (SELECT k.* FROM millrace.window_mark AS k WHERE k.window_id = w.id ORDER BY k.at DESC LIMIT 1) AS m ON true
LEFT JOIN millrace.topic_partition AS n ON n.pipeline_id = w.pipeline_id AND n.partition = m.held_by
-- what is not folded, from the cursor on in each stream: what is below may be kept by an old snapshot
LEFT JOIN LATERAL (SELECT pg_catalog.sum(o.rows) AS rows, pg_catalog.sum(o.skewed) AS skewed FROM pg_catalog.unnest(c.seqs) WITH ORDINALITY AS s (seq, place)
                   CROSS JOIN LATERAL (SELECT u.rows, u.skewed FROM millrace.window_outside AS u
                                       WHERE u.window_id = w.id AND u.stream = (s.place - 1)::integer AND u.seq > s.seq OFFSET 0) AS o) AS o ON true
LEFT JOIN LATERAL (SELECT f.* FROM millrace.window_failure AS f WHERE f.window_id = w.id ORDER BY f.since, f.step LIMIT 1) AS f ON true
LEFT JOIN LATERAL (SELECT b.*, GREATEST(LEAST(b.rows / GREATEST(b.total, 1)::double precision, 0.99), 0) AS share,
                          GREATEST(pg_catalog.date_part('epoch', pg_catalog.statement_timestamp() - b.began_at), 0) AS took FROM millrace.window_backfill AS b WHERE b.window_id = w.id) AS b ON true
LEFT JOIN millrace.window_outlet AS t ON t.window_id = w.id AND t.topic IS NOT NULL
LEFT JOIN millrace._topic_use AS u ON u.pipeline_id = p.id AND u.use = 'output' AND u.topic = t.topic
LEFT JOIN millrace.ingestor_report AS i ON i.pipeline_id = p.id AND t.window_id IS NOT NULL
-- the outbox is bounded
LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS waiting, pg_catalog.min(q.written_at) AS waiting_since
                   FROM millrace.window_output AS q WHERE q.window_id = t.window_id) AS q ON t.window_id IS NOT NULL;
GRANT SELECT ON millrace.windows TO PUBLIC;
COMMENT ON VIEW millrace.windows IS 'Windows over the targets of the pipelines the reader may see.';
COMMENT ON COLUMN millrace.windows.name IS 'Its name.';
COMMENT ON COLUMN millrace.windows.pipeline IS 'The pipeline whose target it is over.';
COMMENT ON COLUMN millrace.windows.kind IS 'How it is kept: incremental, each batch adds what its rows give; recompute, each batch notes the groups it has touched, and these are computed from the target again.';
COMMENT ON COLUMN millrace.windows.relation IS 'The view that has its values.';
COMMENT ON COLUMN millrace.windows.event_time IS 'Expression that gives the event time of a row.';
COMMENT ON COLUMN millrace.windows.group_by IS 'Columns by which rows are grouped; empty: there is one group.';
COMMENT ON COLUMN millrace.windows.aggregates IS 'What is computed of the rows of a group.';
COMMENT ON COLUMN millrace.windows."where" IS 'Rows for which it is not true are in no window; null: all are.';
COMMENT ON COLUMN millrace.windows.time_zone IS 'Of its days and months.';
COMMENT ON COLUMN millrace.windows.origin IS 'Windows begin at multiples of their slide from there on.';
COMMENT ON COLUMN millrace.windows.delay IS 'How far the watermark stays behind the highest event time.';
COMMENT ON COLUMN millrace.windows.lateness IS 'How long after its end a closed window is final.';
COMMENT ON COLUMN millrace.windows.max_skew IS 'An event time further in the future moves no watermark.';
COMMENT ON COLUMN millrace.windows.close_idle IS 'When nothing has come for so long, the watermark moves on; null: it waits.';
COMMENT ON COLUMN millrace.windows.retention IS 'Windows that ended so long ago are removed; null: they are kept for good.';
COMMENT ON COLUMN millrace.windows.slide IS 'From the beginning of one window to the next; null: they are sessions.';
COMMENT ON COLUMN millrace.windows.created_at IS 'When it was created.';
COMMENT ON COLUMN millrace.windows.size IS 'How long its windows are; null: they are sessions.';
COMMENT ON COLUMN millrace.windows.gap IS 'Of a window of sessions: rows of a group that are less than that apart, from one to the next, are of one session.';
COMMENT ON COLUMN millrace.windows.max_session IS 'Of a window of sessions: what would be longer is cut at multiples of it, counted from origin.';
COMMENT ON COLUMN millrace.windows.watermark IS 'Windows that end up to here are closed; null: not known yet, some partition had no rows.';
COMMENT ON COLUMN millrace.windows.held_topic IS 'The topic whose partition holds the watermark back; null: all are idle.';
COMMENT ON COLUMN millrace.windows.held_by IS 'That partition.';
COMMENT ON COLUMN millrace.windows.held_why IS 'Why that partition is not idle.';
COMMENT ON COLUMN millrace.windows.stalled_since IS 'Since then event times have risen, and the watermark has not; null: it has, or nothing came.';
COMMENT ON COLUMN millrace.windows.outside IS 'Rows that are in no window: their event time is null, infinite, before 4700 BC or after 285000 AD.';
COMMENT ON COLUMN millrace.windows.skewed IS 'Rows whose event time was further in the future than max_skew: they moved no watermark.';
COMMENT ON COLUMN millrace.windows.output_topic IS 'Topic that it is published to; null: none.';
COMMENT ON COLUMN millrace.windows.published IS 'Messages that were found in its topics.';
COMMENT ON COLUMN millrace.windows.output_waiting IS 'Messages that wait to be published; at 50000 nothing more is written until they are.';
COMMENT ON COLUMN millrace.windows.output_waiting_since IS 'When the oldest of them was written.';
COMMENT ON COLUMN millrace.windows.output_error IS 'What its relay last reported; null: it works.';
COMMENT ON COLUMN millrace.windows.output_is_granted IS 'Whether the owner may publish to the topic, see topic_grants.';
COMMENT ON COLUMN millrace.windows.max_groups IS 'Groups above which the oldest windows that are closed, and published, leave.';
COMMENT ON COLUMN millrace.windows.groups IS 'Rows that are kept: one for each group of each window (of a sliding one: of each pane), and more until what folds have left is merged.';
COMMENT ON COLUMN millrace.windows.kept_from IS 'Windows that begin before have left, since there were more than max_groups; null: none.';
COMMENT ON COLUMN millrace.windows.left_at IS 'When the last of them left.';
COMMENT ON COLUMN millrace.windows.target_since IS 'Windows (of an incremental sliding one: panes) that begin before are not computed from the target, whose rows were removed; null: all are.';
COMMENT ON COLUMN millrace.windows.not_recomputed IS 'How many groups of windows that begin before target_since were touched by rows that came or changed, and kept what they had. Each fold counts a group once.';
COMMENT ON COLUMN millrace.windows.failing IS 'What fails again and again of what workers do for it: fold, publish, backfill; null: nothing. With several, what has failed for longest.';
COMMENT ON COLUMN millrace.windows.failing_since IS 'Since when.';
COMMENT ON COLUMN millrace.windows.failing_sqlstate IS 'The SQLSTATE of the last time.';
COMMENT ON COLUMN millrace.windows.failing_error IS 'The message of that. It is tried again by itself.';
COMMENT ON COLUMN millrace.windows.backfilled IS 'Whether it has all rows that were there before it. While it has not, it shows what is filled, and nothing is published.';
COMMENT ON COLUMN millrace.windows.backfill_share IS 'About which share of these rows it has, from 0 to 1; less than 1 while it is being filled.';
COMMENT ON COLUMN millrace.windows.backfill_rows IS 'About how many of them were read; null: all, or there were none.';
COMMENT ON COLUMN millrace.windows.backfill_since IS 'When it was created, if it is being filled.';
COMMENT ON COLUMN millrace.windows.backfill_reached IS 'Windows that begin then or later are filled, and shown; null: none yet, or all.';
COMMENT ON COLUMN millrace.windows.backfill_eta IS 'When all will be, if it goes on as before; null: not known, or all are.';
COMMENT ON COLUMN millrace.windows.backfill_waits IS 'Why it is not being filled now; null: it is, or is filled. An error is in backfill_error.';
COMMENT ON COLUMN millrace.windows.backfill_error IS 'Why it could not be filled the last time, whatever else fails; null: it could, or is filled. It is tried again by itself.';
COMMENT ON COLUMN millrace.windows.late IS 'Rows that came when a window they are in was final, each once; late_rows has them by window.';

CREATE VIEW millrace.late_rows WITH (security_barrier) AS
SELECT w.name AS "window", l.window_start, l.window_end, l.rows, l.last_at
FROM millrace.window_definition AS w JOIN millrace._visible AS p ON p.id = w.pipeline_id
JOIN millrace.window_late AS l ON l.window_id = w.id;
GRANT SELECT ON millrace.late_rows TO PUBLIC;
COMMENT ON VIEW millrace.late_rows IS 'Rows that came when their window was final, by window. They are in its values all the same. Counted when they are folded, within seconds.';
COMMENT ON COLUMN millrace.late_rows.rows IS 'Rows of the target; of a sliding window each counts in every window that was final.';
COMMENT ON COLUMN millrace.late_rows.last_at IS 'When the last of them was counted.';

-- A row is one window of one group. The key stands for the group in the order and in cursors: a JSON array of the columns of group_by, as text. So
-- different groups have different keys, whatever characters are in them. Values become text by their output function: a cast could be a function of a user's.
CREATE FUNCTION millrace.window_columns("window" text)
RETURNS TABLE (relation_ident text, name text, ident text, type text, is_bigint boolean, use text, filterable boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  SELECT v.relation, v.group_by INTO w FROM millrace.windows AS v WHERE v.name = window_columns."window";
  IF w.relation IS NULL THEN
    RETURN;
  ELSIF NOT has_table_privilege(w.relation, 'SELECT') THEN
    RAISE EXCEPTION 'permission denied for window "%"', "window"
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('As the owner of its pipeline: GRANT SELECT ON millrace.%I TO %I;', 'window_' || "window", current_user);
  END IF;
  relation_ident := format('(SELECT w.*, json_build_array(%s)::text AS window_key FROM millrace.%I AS w)',
                           (SELECT string_agg(format('CASE WHEN w.%1$I IS NOT NULL THEN concat(w.%1$I) END', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a
                            WHERE a.attrelid = w.relation AND a.attnum BETWEEN 3 AND 2 + cardinality(w.group_by)),
                           'window_' || "window");
  RETURN QUERY
  SELECT relation_ident, a.attname::text, quote_ident(a.attname), format_type(a.atttypid, -1),
         'bigint'::regtype IN (a.atttypid, (SELECT t.typbasetype FROM pg_type AS t WHERE t.oid = a.atttypid)),
         CASE WHEN a.attname = 'window_start' THEN 'time' ELSE '' END, true
  FROM pg_attribute AS a WHERE a.attrelid = w.relation AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
  RETURN QUERY SELECT relation_ident, 'window_key'::text, 'window_key'::text, 'text'::text, false, 'id'::text, true;
END $$;
COMMENT ON FUNCTION millrace.window_columns(text) IS
'For the API: the columns of a window, in the form of served_columns(). Reads as the caller.
In: window, its name.
Out: as of served_columns(): relation_ident is the view with a column more, window_key, which identifies a group: a JSON array of its values, as text; use is time for window_start and id for window_key; all columns are filterable. No row: there is no such window, or it is not the caller''s to see.
Errors: insufficient_privilege without SELECT on the window, with the command that grants it.';
