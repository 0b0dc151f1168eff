-- What the tables are for whoever meets them in \dt+ millrace.*: nobody but the extension's owner reads or writes them.

COMMENT ON TABLE millrace.instance IS 'Internal: who this installation is; pipelines of another one are foreign.';
COMMENT ON TABLE millrace.pipeline IS 'Internal: pipelines, see the view pipelines.';
COMMENT ON TABLE millrace.pipeline_version IS 'Internal: every definition a pipeline has had, see the view pipelines for the one in force.';
COMMENT ON TABLE millrace.partition IS 'Internal: partitions of the pipelines'' topics, see the view partitions.';
COMMENT ON TABLE millrace.progress IS 'Internal: position and counters of each partition, the newest row counts; see the views partitions and stats.';
COMMENT ON TABLE millrace.position_change IS 'Internal: see the view position_changes.';
COMMENT ON TABLE millrace.dead_letter IS 'Internal: see the view dead_letters.';
COMMENT ON TABLE millrace.dead_letter_action IS 'Internal: see the view dead_letter_actions.';
COMMENT ON TABLE millrace.error_class IS 'Internal: see the view error_classes.';
COMMENT ON TABLE millrace.retry IS 'Internal: events that are tried again or wait behind one, and replays; see the view retries.';
COMMENT ON TABLE millrace.breaker IS 'Internal: see the view breakers.';
COMMENT ON TABLE millrace.crash_suspect IS 'Internal: see the view crashes.';
COMMENT ON TABLE millrace.crash IS 'Internal: crashes of the last hour, by pipeline; too many stop it.';
COMMENT ON TABLE millrace.lane IS 'Internal: staging lanes, see the view lanes.';
COMMENT ON TABLE millrace.segment IS 'Internal: segments of staging lanes, tables of their own.';
COMMENT ON TABLE millrace.watermark IS 'Internal: ends of partitions in Kafka as ingestors report them, see the view lag.';
COMMENT ON TABLE millrace.dlq IS 'Internal: see the view dlqs.';
COMMENT ON TABLE millrace.dlq_scan IS 'Internal: how far the relay has read each DLQ topic.';
COMMENT ON TABLE millrace.ingestor_report IS 'Internal: see the view ingestor_reports.';
