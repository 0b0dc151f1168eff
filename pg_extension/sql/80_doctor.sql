-- doctor: what is wrong, and how to fix it. It reads the public views, so it finds what its caller may see.

CREATE FUNCTION millrace.doctor() RETURNS TABLE (severity text, what text, detail text, command text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off AS $$
  WITH pipeline AS MATERIALIZED (
    SELECT * FROM millrace.pipelines
  ), stats AS MATERIALIZED (
    SELECT s.pipeline, s.dead_letters_open, s.next_retry_at FROM millrace.stats AS s
  ), lag AS MATERIALIZED (
    SELECT l.pipeline, sum(l.lag) AS events, max(l.behind) AS behind, max(l.reported_at) AS reported_at, max(l.read_at) AS read_at
    FROM millrace.lag AS l GROUP BY l.pipeline
  ), service AS MATERIALIZED (
    SELECT s.*, a.sessions AS silent, a.elsewhere
    FROM millrace.service AS s
    CROSS JOIN (
      SELECT string_agg(format('pid %s, role "%s"', a.pid, a.usename), '; ' ORDER BY a.pid) FILTER (WHERE a.datname = current_database()) AS sessions,
             string_agg(DISTINCT format('"%s"', a.datname), ', ') FILTER (WHERE a.datname <> current_database()) AS elsewhere
      FROM pg_stat_activity AS a WHERE a.application_name = 'millrace-ingestor') AS a
  ), more_workers AS (
    -- one more, where its owner may have one more
    SELECT p.name AS pipeline,
           CASE WHEN NOT r.rolsuper AND sum(p.workers) OVER (PARTITION BY p.owner) >= current_setting('millrace.max_workers_per_role', true)::integer
                THEN format('as a superuser: ALTER SYSTEM SET millrace.max_workers_per_role = %s; SELECT pg_reload_conf(); then: ',
                            least(2 * current_setting('millrace.max_workers_per_role')::integer, 10000)) ELSE '' END
           || format('SELECT millrace.alter_pipeline(%L, workers => %s);', p.name, least(p.workers + 1, 64)) AS command
    FROM pipeline AS p LEFT JOIN pg_roles AS r ON r.oid = p.owner
    WHERE p.status <> 'foreign'
  ), finding (rank, severity, what, detail, command) AS (
    -- the server
    SELECT 1, 'error', 'millrace is not preloaded', 'Nothing runs the pipelines of this server.',
           format('ALTER SYSTEM SET shared_preload_libraries = %s; then restart the server',
                  concat_ws(', ', nullif(current_setting('shared_preload_libraries'), ''), 'millrace'))
    WHERE NOT (millrace.engine_status() ->> 'preloaded')::boolean
    UNION ALL
    SELECT 2, 'warning', s.what, s.detail, s.command
    FROM jsonb_to_recordset(millrace.engine_status() -> 'shortages') AS s (what text, detail text, command text)
    -- pipelines
    UNION ALL
    SELECT 10, CASE WHEN p.status IN ('paused', 'standby') THEN 'info' WHEN p.status = 'foreign' THEN 'warning' ELSE 'error' END,
           format('pipeline "%s": %s', p.name, p.status), p.reason, p.hint
    FROM pipeline AS p WHERE p.status NOT IN ('running', 'starting', 'not preloaded', 'no ingestor', 'kafka error')
    UNION ALL
    SELECT 11, 'warning', format('pipeline "%s" has %s of %s workers', p.name, p.workers_running, p.workers),
           coalesce(s.detail, format('The others found no slot: max_worker_processes = %s.', current_setting('max_worker_processes'))),
           coalesce(s.command, format('ALTER SYSTEM SET max_worker_processes = %s; then restart the server',
                                      current_setting('max_worker_processes')::integer + p.workers - p.workers_running))
    FROM pipeline AS p
    LEFT JOIN jsonb_to_recordset(millrace.engine_status() -> 'shortages') AS s (what text, detail text, command text)
      ON s.what = 'too little memory for workers'
    WHERE p.status = 'running' AND p.workers_running < p.workers AND p.changed_at NOT BETWEEN now() - interval '1 min' AND now() + interval '1 min'
    UNION ALL
    SELECT 11, 'warning', format('pipeline "%s" has %s of %s lanes', p.name, n.lanes, p.workers), p.reason, p.hint
    FROM pipeline AS p JOIN millrace.ingestor_reports AS r ON r.pipeline = p.name AND r.about ->> 'lane_error' = p.reason
    CROSS JOIN LATERAL (SELECT count(*) AS lanes FROM millrace.lanes AS l WHERE l.pipeline = p.name AND l.writer_pid IS NOT NULL) AS n
    WHERE p.status = 'running'
    UNION ALL
    SELECT 12, 'error', format('pipeline "%s" has no ingestor', p.name),
           CASE WHEN s.heard_at IS NULL THEN format('No ingestor has ever reported on topic "%s".', p.topic)
                ELSE format('No ingestor has reported on topic "%s" since %s.', p.topic, date_trunc('second', s.heard_at)) END
           || coalesce(' Connected, but silent, or not for this pipeline: ' || s.silent || '.', ' One is connected to database ' || s.elsewhere || '.', ''),
           format('start millrace-ingestor for database "%s", in a role that SELECT millrace.grant_ingestor(''…'') was run for',
                  current_database())
    FROM pipeline AS p JOIN service AS s ON s.pipeline = p.name
    WHERE s.is_unserved AND p.status NOT IN ('foreign', 'owner missing', 'topic not granted', 'standby', 'not preloaded')
    UNION ALL
    SELECT 12, CASE WHEN s.is_unread THEN 'error' ELSE 'warning' END,
           format(CASE WHEN s.ingestors = 1 THEN 'pipeline "%s": its ingestor cannot read topic "%s"'
                       WHEN s.is_unread THEN 'pipeline "%s": its %3$s ingestors cannot read topic "%2$s"'
                       ELSE 'pipeline "%s": %4$s of its %3$s ingestors cannot read topic "%2$s"' END, p.name, p.topic, s.ingestors, s.failing),
           s.kafka_error, coalesce(s.kafka_hint, 'the log of millrace-ingestor has its errors')
    FROM pipeline AS p JOIN service AS s ON s.pipeline = p.name
    WHERE s.kafka_error IS NOT NULL AND p.status NOT IN ('foreign', 'owner missing', 'topic not granted', 'standby')
    UNION ALL
    SELECT 12, 'error', format('pipeline "%s": its ingestor cannot read topic "%s"', p.name, p.topic),
           'It runs, and has read no partition of the topic for more than two minutes.',
           format('check that topic "%s" exists and may be read; the log of millrace-ingestor has its errors', p.topic)
    FROM pipeline AS p JOIN service AS s ON s.pipeline = p.name LEFT JOIN lag AS l ON l.pipeline = p.name
    WHERE s.kafka_error IS NULL AND NOT s.is_unserved
          AND p.status NOT IN ('foreign', 'owner missing', 'topic not granted', 'standby', 'stopped')
          AND coalesce(l.read_at, p.created_at) NOT BETWEEN now() - interval '2 min' AND now() + interval '2 min'
          -- a pattern may match nothing yet
          AND EXISTS (SELECT FROM millrace.topics AS t WHERE t.pipeline = p.name AND t.is_granted)
    UNION ALL
    SELECT 12, CASE WHEN p.status = 'topic not granted' THEN 'error' ELSE 'warning' END,
           format('pipeline "%s": %s of its topics %s not granted', p.name, cardinality(t.topics), CASE cardinality(t.topics) WHEN 1 THEN 'is' ELSE 'are' END),
           format('Role "%s" may not read, so they are not read: %s.', p.owner, array_to_string(t.topics, ', ')),
           format('as a superuser: SELECT millrace.grant_topics(%L, read => %L);', p.owner, t.topics)
    FROM pipeline AS p
    CROSS JOIN LATERAL (SELECT array_agg(t.topic ORDER BY t.topic) AS topics FROM millrace.topics AS t
                        WHERE t.pipeline = p.name AND NOT t.is_granted AND t.topic <> p.topic) AS t
    WHERE t.topics IS NOT NULL AND p.status NOT IN ('foreign', 'owner missing')
    UNION ALL
    SELECT 12, 'info', format('pipeline "%s": no topic matches "%s" yet', p.name, p.topic), 'Topics that appear are found within seconds.', NULL
    FROM pipeline AS p
    WHERE p.topic ~ '^\^' AND p.status IN ('running', 'starting')
          AND NOT EXISTS (SELECT FROM millrace.topics AS t WHERE t.pipeline = p.name AND t.gone_at IS NULL)
    UNION ALL
    SELECT 12, 'warning', format('pipeline "%s": topic "%s" is gone with events that were not processed', p.name, t.topic),
           format('The cluster has not had it since %s; offsets of it that were not processed: %s.', date_trunc('second', t.gone_at), l.lag), NULL
    FROM pipeline AS p JOIN millrace.topics AS t ON t.pipeline = p.name AND t.gone_at IS NOT NULL
    CROSS JOIN LATERAL (SELECT sum(l.lag) AS lag FROM millrace.lag AS l WHERE l.pipeline = p.name AND l.topic = t.topic) AS l
    WHERE l.lag > 0
    UNION ALL
    SELECT 12, 'error', format('pipeline "%s": a lane of its ingestor does not move', p.name),
           format('In the ingestor, %s: the server does not answer it.', s.lane_stuck),
           format('SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE application_name LIKE %L;',
                  format('millrace-ingestor %s/%%', p.name))
    FROM pipeline AS p JOIN service AS s ON s.pipeline = p.name
    WHERE s.lane_stuck IS NOT NULL AND p.status NOT IN ('foreign', 'standby')
    UNION ALL
    SELECT 13, 'error', format('pipeline "%s" is about to lose events', p.name),
           format('It is %s behind, and topic "%s" keeps messages for %s.', date_trunc('second', l.behind), p.topic, r.retention),
           format('raise retention.ms of topic "%s"; then: %s', p.topic, m.command)
    FROM pipeline AS p JOIN lag AS l ON l.pipeline = p.name
    JOIN LATERAL (SELECT make_interval(secs => (i.about ->> 'retention_ms')::float8 / 1000) AS retention
                  FROM millrace.ingestor_reports AS i
                  WHERE i.pipeline = p.name AND (i.about ->> 'retention_ms')::float8 > 0) AS r ON l.behind > r.retention * 0.8
    JOIN more_workers AS m ON m.pipeline = p.name
    WHERE l.events > 0
    UNION ALL
    SELECT 13, 'warning', format('pipeline "%s": its topic keeps messages for a shorter time than backups go back', p.name),
           format('Backups that are up to %s old would be restored (millrace.backup_age), and topic "%s" keeps messages for %s: what it has removed by then would be missing.',
                  b.age, p.topic, r.retention),
           format('raise retention.ms of topic "%s" to at least %s', p.topic, ceil(date_part('epoch', b.age) * 1000))
    FROM pipeline AS p
    CROSS JOIN (SELECT current_setting('millrace.backup_age', true)::interval AS age) AS b
    CROSS JOIN LATERAL (SELECT make_interval(secs => min((i.about ->> 'retention_ms')::float8) / 1000) AS retention
                        FROM millrace.ingestor_reports AS i
                        WHERE i.pipeline = p.name AND (i.about ->> 'retention_ms')::float8 > 0) AS r
    WHERE r.retention < b.age AND p.status <> 'foreign'
    UNION ALL
    SELECT 13, 'error', format('pipeline "%s" has lost events', p.name),
           format('Kafka''s retention has removed offsets %s to %s of partition %s%s before they were processed.', l.next_offset, l.start_offset - 1, l.partition,
                  ' of topic "' || nullif(l.topic, p.topic) || '"'),
           format('SELECT millrace.skip_to(%L%s, partition => %s, "offset" => %s);', p.name, ', topic => ' || quote_literal(nullif(l.topic, p.topic)),
                  l.partition, l.start_offset)
    FROM pipeline AS p
    CROSS JOIN LATERAL (SELECT * FROM millrace.lag AS l WHERE l.pipeline = p.name AND l.lost > 0 ORDER BY l.topic, l.partition LIMIT 1) AS l
    WHERE p.status NOT IN ('stopped', 'foreign', 'standby')
    UNION ALL
    SELECT 14, 'warning', format('pipeline "%s" lags behind', p.name),
           format('%s; the last one processed is %s old.', CASE l.events WHEN 1 THEN '1 event waits' ELSE l.events || ' events wait' END, date_trunc('second', l.behind)),
           m.command
    FROM pipeline AS p JOIN lag AS l ON l.pipeline = p.name JOIN more_workers AS m ON m.pipeline = p.name
    WHERE p.status = 'running' AND l.events > 0 AND l.behind > interval '5 min'
    UNION ALL
    SELECT 15, 'error', format('pipeline "%s": its target has no unique index on (%s)', p.name, array_to_string(p.conflict_key, ', ')),
           format('on_conflict "%s" is decided by it: every event fails.', p.on_conflict),
           format('CREATE UNIQUE INDEX ON %s (%s);', p.target, (SELECT string_agg(quote_ident(k), ', ') FROM unnest(p.conflict_key) AS k))
    FROM pipeline AS p
    WHERE p.conflict_key IS NOT NULL AND p.status <> 'target missing' AND NOT EXISTS (
      SELECT FROM pg_index AS i
      WHERE i.indrelid = p.target AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
            AND (SELECT array_agg(a.attname ORDER BY a.attname)
                 FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum)
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
                = (SELECT array_agg(c::name ORDER BY c::name) FROM unnest(p.conflict_key) AS c))
    UNION ALL
    SELECT 16, 'warning', format('pipeline "%s": its target is unlogged', p.name),
           'A crash of the server empties it, but not the pipeline''s positions: the rows are not written again.',
           format('ALTER TABLE %s SET LOGGED;', p.target)
    FROM pipeline AS p JOIN pg_class AS c ON c.oid = p.target WHERE c.relpersistence = 'u'
    -- failures
    UNION ALL
    SELECT 20, 'warning', format('pipeline "%s" has %s open dead letter%s', p.name, s.dead_letters_open, CASE WHEN s.dead_letters_open > 1 THEN 's' END),
           'Events that are not tried again; they are kept until they are replayed or discarded.',
           format('SELECT * FROM millrace.dead_letter_groups WHERE pipeline = %1$L; then SELECT millrace.replay(%1$L); or SELECT millrace.discard(%1$L, ''true'');', p.name)
    FROM pipeline AS p JOIN stats AS s ON s.pipeline = p.name
    WHERE s.dead_letters_open > 0
    UNION ALL
    SELECT 21, 'warning', format('pipeline "%s": retries are late', p.name), format('The oldest was due at %s.', date_trunc('second', s.next_retry_at)),
           'SELECT * FROM millrace.workers; the server log has their errors'
    FROM pipeline AS p
    JOIN millrace.breakers AS b ON b.pipeline = p.name AND b.retries_state = 'closed'
    JOIN stats AS s ON s.pipeline = p.name
    WHERE p.status = 'running' AND s.next_retry_at < now() - interval '1 min'
    UNION ALL
    SELECT 21, 'warning', format('pipeline "%s": its retries are held back', b.pipeline),
           format('Since %s they meet an error that is not theirs: %s. Other events are processed.', date_trunc('second', b.retries_since),
                  b.retries_reason),
           coalesce(b.retries_command, format('SELECT millrace.resume(%L);  -- Fix the cause first: they are tried from time to time. This tries them at once.', b.pipeline))
    FROM millrace.breakers AS b JOIN pipeline AS p ON p.name = b.pipeline
    WHERE b.retries_state <> 'closed' AND p.status <> 'breaker open'
    UNION ALL
    SELECT 22, 'warning', format('pipeline "%s": dead letters do not reach Kafka', q.pipeline),
           format('The oldest has waited for topic "%s" since %s%s.', q.topic, date_trunc('second', q.waiting_since), ': ' || q.error),
           CASE WHEN NOT q.is_granted THEN format('as a superuser: SELECT millrace.grant_topics(%L, dlq => %L);', p.owner, ARRAY[q.topic])
                WHEN q.delivery = 'exactly_once' AND q.error ILIKE '%transaction%'
                THEN format('SELECT millrace.alter_pipeline(%L, dlq_delivery => ''at_least_once'');', q.pipeline)
                ELSE format('make topic "%s" writable for the ingestor; or SELECT millrace.alter_pipeline(%L, dlq => ''off'');', q.topic, q.pipeline) END
    FROM millrace.dlqs AS q JOIN pipeline AS p ON p.name = q.pipeline
    WHERE q.enabled AND p.status NOT IN ('foreign', 'standby')
          AND (q.waiting_since NOT BETWEEN now() - interval '1 min' AND now() + interval '1 min' OR (q.error IS NOT NULL AND q.waiting_since IS NOT NULL))
    UNION ALL
    SELECT 23, 'warning', format('pipeline "%s": a worker crashed and restarted the server', c.pipeline),
           format('Last at %s, in stage %s. Its events are processed in smaller and smaller batches; one that crashes alone %s becomes a dead letter.',
                  date_trunc('second', c.crashed_at), c.stage, CASE m.crashes WHEN '1' THEN 'once' ELSE m.crashes || ' times' END),
           format('SELECT * FROM millrace.crashes WHERE pipeline = %L; the server log has the signal', c.pipeline)
    FROM (SELECT DISTINCT ON (c.pipeline) c.* FROM millrace.crashes AS c ORDER BY c.pipeline, c.crashed_at DESC) AS c
    CROSS JOIN (SELECT current_setting('millrace.max_crashes', true) AS crashes) AS m
    UNION ALL
    SELECT 24, 'warning', format('pipeline "%s": keys wait for %s dead letter%s', p.name, h.held, CASE WHEN h.held > 1 THEN 's' END),
           format('on_dead is hold: %s behind them until they are replayed or discarded; the first at offset %s of partition %s.',
                  CASE h.parked WHEN 1 THEN '1 event waits' ELSE h.parked || ' events wait' END, h.first[2], h.first[1]),
           format('SELECT millrace.replay(%1$L); or SELECT millrace.discard(%1$L, ''true''); or SELECT millrace.alter_pipeline(%1$L, on_dead => ''release'');', p.name)
    FROM pipeline AS p
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE r.state = 'held' AND r.next_at = 'infinity') AS held, count(*) FILTER (WHERE r.state = 'parked') AS parked,
             min(ARRAY[r.partition, r."offset"]) FILTER (WHERE r.state = 'held' AND r.next_at = 'infinity') AS first
      FROM millrace.retries AS r WHERE r.pipeline = p.name) AS h
    WHERE p.ordering = 'key' AND h.held > 0
    UNION ALL
    SELECT 25, 'error', format('pipeline "%s" waits: its queues are full', p.name),
           format('ordering is key, and of max_parked = %s, max_parked_per_key = %s events wait: %s in all, %s of key %L.',
                  p.max_parked, p.max_parked_per_key, q.total, btrim(q.longest[1]), q.longest[2]),
           format('fix what fails (SELECT * FROM millrace.errors WHERE pipeline = %1$L); or SELECT millrace.alter_pipeline(%1$L, max_parked => %2$s, max_parked_per_key => %3$s);',
                  p.name, p.max_parked * 2::bigint, p.max_parked_per_key * 2::bigint)
    FROM pipeline AS p
    CROSS JOIN LATERAL (
      SELECT sum(k.n) AS total, max(ARRAY[lpad(k.n::text, 10), k.key]) AS longest
      FROM (SELECT r.key, count(*) AS n FROM millrace.retries AS r
            WHERE r.pipeline = p.name AND r.in_queue GROUP BY r.partition, r.key) AS k) AS q
    WHERE p.ordering = 'key' AND (q.total >= p.max_parked OR btrim(q.longest[1])::bigint >= p.max_parked_per_key)
    UNION ALL
    SELECT 26, 'warning', format('window "%s": its watermark does not move', w.name),
           format('Event times rise since %s, and partition %s of topic "%s" holds it back: %s. Nothing is closed meanwhile.',
                  date_trunc('second', w.stalled_since), w.held_by, w.held_topic, w.held_why),
           format('SELECT * FROM millrace.lag WHERE pipeline = %1$L; SELECT * FROM millrace.partitions WHERE pipeline = %1$L;', w.pipeline)
    FROM millrace.windows AS w WHERE w.stalled_since NOT BETWEEN now() - interval '5 min' AND now() + interval '5 min'
    UNION ALL
    SELECT 27, 'warning', format('window "%s": rows come when their windows are final', w.name),
           format('Within the last hour to %s of them; rows that are late there: %s. They count in the window.', l.windows, l.rows),
           -- what would have been enough, in whole minutes
           format('SELECT millrace.alter_window(%L, lateness => %L);', w.name, least(date_trunc('minute', w.watermark - l.first_end) + interval '1 min', interval '10 years'))
    FROM millrace.windows AS w
    CROSS JOIN LATERAL (SELECT count(*) AS windows, sum(l.rows) AS rows, min(l.window_end) AS first_end
                        FROM millrace.late_rows AS l WHERE l."window" = w.name AND l.last_at BETWEEN now() - interval '1 h' AND now() + interval '1 h') AS l
    WHERE l.windows > 0
    UNION ALL
    SELECT 28, 'warning', format('window "%s": its oldest windows leave early', w.name),
           format('It has more groups than max_groups = %s: windows that begin before %s have left, the last of them at %s.', w.max_groups, w.kept_from,
                  date_trunc('second', w.left_at)),
           format('SELECT millrace.alter_window(%1$L, max_groups => %2$s); then, for what has left: SELECT millrace.rebuild_window(%1$L, "to" => %3$L);',
                  w.name, least(w.max_groups * 2, 1000000000), w.kept_from)
    FROM millrace.windows AS w WHERE w.left_at > now() - interval '1 h'
    UNION ALL
    SELECT 28, 'warning', format('window "%s": too many groups are open', w.name),
           format('It has %s groups, and max_groups is %s. Windows leave when they are closed%s.', w.groups, w.max_groups, CASE WHEN w.output_topic IS NOT NULL THEN ' and published' END),
           format('SELECT millrace.alter_window(%L, max_groups => %s); or choose %s', w.name, least(w.groups * 2, 1000000000),
                  CASE WHEN w.gap IS NULL THEN 'a smaller size, or fewer groups' ELSE 'fewer groups' END)
    FROM millrace.windows AS w WHERE w.groups > w.max_groups AND (w.left_at > now() - interval '1 min') IS NOT TRUE
    UNION ALL
    SELECT 29, 'warning', format('window "%s": its values do not reach Kafka', w.name),
           format('Waiting for topic "%2$s": %1$s, the oldest since %3$s%4$s.', w.output_waiting, w.output_topic, date_trunc('second', w.output_waiting_since), ': ' || w.output_error),
           CASE WHEN NOT w.output_is_granted THEN format('as a superuser: SELECT millrace.grant_topics(%L, output => %L);', p.owner, ARRAY[w.output_topic])
                ELSE format('make topic "%s" writable for the ingestor; or SELECT millrace.alter_window(%L, output_topic => ''off'');', w.output_topic, w.name) END
    FROM millrace.windows AS w JOIN pipeline AS p ON p.name = w.pipeline
    WHERE p.status NOT IN ('foreign', 'standby')
          AND (w.output_waiting_since NOT BETWEEN now() - interval '1 min' AND now() + interval '1 min' OR (w.output_error IS NOT NULL AND w.output_waiting > 0))
    UNION ALL
    SELECT 26, 'error', format('window "%s" cannot be %s', w.name, CASE w.failing WHEN 'fold' THEN 'folded' WHEN 'publish' THEN 'published' ELSE 'filled' END),
           format('Since %s: %s (SQLSTATE %s). It is not a matter of one group. %s.', date_trunc('second', w.failing_since), w.failing_error, w.failing_sqlstate,
                  CASE w.failing WHEN 'fold' THEN 'What batches add waits, nothing is closed, and workers take no batch once 200000 partial values or notes wait'
                                 WHEN 'publish' THEN 'What is to be published waits'
                                 ELSE format('Windows that begin before %s are not shown', coalesce(w.backfill_reached::text, 'the end')) END),
           CASE WHEN w.failing_sqlstate = '42501' AND p.target IS NOT NULL THEN format('GRANT SELECT ON %s TO %s;  -- if it is that. It is tried again by itself', p.target, p.owner)
                ELSE format('fix what the message says, it is tried again by itself; or SELECT millrace.drop_window(%L);', w.name) END
    FROM millrace.windows AS w JOIN pipeline AS p ON p.name = w.pipeline
    WHERE p.status NOT IN ('foreign', 'standby') AND w.failing_since NOT BETWEEN now() - interval '1 min' AND now() + interval '1 min'
    UNION ALL
    SELECT 29, CASE WHEN num_nonnulls(w.backfill_waits, w.backfill_error) = 0 THEN 'info' ELSE 'warning' END, format('window "%s" is not filled yet', w.name),
           format('It has about %s %% of the rows that were there before it, and shows %s. %s.', floor(100 * w.backfill_share),
                  coalesce('windows that begin at ' || w.backfill_reached || ' or later', 'nothing yet'),
                  coalesce('It waits: ' || w.backfill_waits, 'It fails, and is tried again by itself: ' || w.backfill_error, 'It will have all of them at about ' || date_trunc('second', w.backfill_eta), 'It was created at ' || date_trunc('second', w.backfill_since))),
           CASE WHEN w.backfill_waits IS NOT NULL AND p.status = 'paused' THEN format('SELECT millrace.resume(%L);', w.pipeline) ELSE format('CALL millrace.wait_for_window(%L);', w.name) END
    FROM millrace.windows AS w JOIN pipeline AS p ON p.name = w.pipeline 
    WHERE p.status NOT IN ('foreign', 'standby') AND NOT w.backfilled AND w.failing IS DISTINCT FROM 'backfill'
    UNION ALL
    -- the programs
    SELECT 30, 'error', format('role "%s" is no ingestor, and one is connected as it', r.rolname),
           'It may call no function of millrace, and so serves no pipeline of this database.',
           format('as a superuser: SELECT millrace.grant_ingestor(%L);', quote_ident(r.rolname))
    FROM pg_roles AS r
    WHERE r.oid IN (SELECT a.usesysid FROM pg_stat_activity AS a WHERE a.application_name = 'millrace-ingestor' AND a.datname = current_database())
          AND NOT (has_function_privilege(r.oid, 'millrace.ingestor_pipelines()', 'EXECUTE')
                   AND has_function_privilege(r.oid, 'millrace.report_presence(uuid, jsonb)', 'EXECUTE'))
    UNION ALL
    SELECT 31, 'warning', format('the ingestor runs with %s %s', i.library, i.version), i.problem,
           format('install %s %s or later where millrace-ingestor runs, and restart it', i.library, i.least)
    FROM (SELECT DISTINCT v.library, r.about ->> v.library AS version, v.least, v.problem
          FROM millrace.ingestor_reports AS r
          CROSS JOIN (VALUES
            ('librdkafka', '2.0.2', 'Earlier releases lose messages around rebalances, and are not tested.'),
            ('libevent', '2.1.12', 'Earlier releases are not tested.')) AS v (library, least, problem)
          WHERE r.reported_at BETWEEN now() - interval '10 min' AND now() + interval '10 min') AS i
    WHERE i.version ~ '^\d{1,9}(\.\d{1,9})*'
          AND string_to_array(substring(i.version FROM '^[\d.]*\d'), '.')::integer[] < string_to_array(i.least, '.')::integer[]
  )
  SELECT f.severity, f.what, f.detail, f.command FROM finding AS f
  ORDER BY array_position(ARRAY['error', 'warning', 'info'], f.severity), f.rank, f.what;
$$;
COMMENT ON FUNCTION millrace.doctor() IS
'What is wrong, with this server and with the pipelines the caller may see, and how to fix it; the worst first.
In: nothing.
Out: severity: error (events wait or are lost), warning or info; what; detail; command that fixes it. No row: nothing is wrong.
Errors: none.';
