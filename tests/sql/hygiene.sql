BEGIN;
\ir helper.psql
SELECT plan(17);

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'millrace';
CREATE TEMP VIEW func AS SELECT p.* FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;
CREATE TEMP VIEW rel AS SELECT c.* FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

SELECT isnt_empty('SELECT FROM func', 'the extension has functions');
SELECT set_eq($$ SELECT oid::regprocedure::text FROM func WHERE obj_description(oid, 'pg_proc') IS NULL $$, ARRAY[]::text[], 'every function has a comment');
SELECT set_eq($$ SELECT oid::regprocedure::text FROM func WHERE proname NOT LIKE '\_%' AND prorettype <> 'table_am_handler'::regtype
                 AND obj_description(oid, 'pg_proc') !~ 'Out:' $$, ARRAY[]::text[], 'public ones say what comes out');
SELECT set_eq($$ SELECT oid::regprocedure::text FROM func WHERE proname NOT LIKE '\_%' AND prorettype <> 'table_am_handler'::regtype
                 AND obj_description(oid, 'pg_proc') !~ 'Errors:' $$, ARRAY[]::text[], 'and what goes wrong');
-- an aggregate is not a function that could: those it is made of do; nor may a procedure that commits, which does so itself
SELECT set_eq($$ SELECT oid::regprocedure::text FROM func WHERE prorettype <> 'table_am_handler'::regtype AND prokind <> 'a' AND proname <> 'wait_for_window'
                 AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false) AND prosqlbody IS NULL $$,
              ARRAY['millrace._add_double(double precision,double precision)', 'millrace._add_numeric(numeric,numeric)',
                    'millrace._merge_states(double precision[],double precision[])',
                    'millrace.window_pane(timestamp with time zone,interval,text,timestamp without time zone)', 'millrace.window_later(timestamp with time zone,interval,text)',
                    'millrace.window_earlier(timestamp with time zone,interval,text)'],
              'every function pins its search_path, or was parsed at creation, but those in C that are called for each value and look nothing up');
SELECT set_eq($$ SELECT f.oid::regprocedure::text FROM func AS f JOIN pg_language AS l ON l.oid = f.prolang
                 WHERE l.lanname IN ('sql', 'plpgsql') AND NOT coalesce(f.proconfig @> ARRAY['standard_conforming_strings=on'], false)
                 AND f.prosqlbody IS NULL $$,
              ARRAY[]::text[], 'and what a backslash in it means');
SELECT set_eq($$ SELECT f.oid::regprocedure::text FROM func AS f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
                 WHERE a.grantee = 0 AND f.proname LIKE '\_%' $$, ARRAY[]::text[], 'internal functions are not PUBLIC''s');
SELECT set_eq($$ SELECT f.oid::regprocedure::text FROM func AS f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
                 WHERE a.grantee = 0 AND f.prosecdef $$, ARRAY[]::text[], 'nor is any SECURITY DEFINER function');
SELECT set_eq($$ SELECT f.oid::regprocedure::text FROM func AS f WHERE f.proargnames IS NULL AND f.pronargs > 0
                 AND f.prorettype <> 'table_am_handler'::regtype $$, ARRAY[]::text[], 'arguments have names');
-- a verb and what stands behind it
SELECT set_eq($$ SELECT f.oid::regprocedure::text FROM func AS f WHERE f.prosrc = 'mr_verb' AND NOT EXISTS (
                   SELECT FROM func AS i WHERE i.proname = '_' || f.proname AND i.prorettype = f.prorettype
                   AND i.proargtypes::text = btrim(concat_ws(' ', 'regrole'::regtype::oid::text, f.proargtypes::text)))
                 UNION ALL
                 SELECT f.oid::regprocedure::text FROM func AS f WHERE f.prosrc = 'mr_verb_by_name' AND to_regprocedure(
                   format('millrace._%I(regrole, jsonb)', f.proname)) IS NULL $$,
              ARRAY[]::text[], 'every verb has its internal function, with the caller first');
SELECT set_eq($$ SELECT oid::regclass::text FROM rel WHERE relkind IN ('r', 'v', 'p') AND relname NOT LIKE 'segment\_%' AND obj_description(oid, 'pg_class') IS NULL $$,
              ARRAY[]::text[], 'every table and view has a comment');

SELECT set_eq($$ SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute AS a WHERE a.attrelid::regclass::text IN
                   ('millrace.stats', 'millrace.stats_by_type', 'millrace.stats_history', 'millrace.rates', 'millrace.latency', 'millrace.lag', 'millrace.metric',
                    'millrace.partitions', 'millrace.workers', 'millrace.lanes', 'millrace.breakers', 'millrace.windows', 'millrace.metric_source', 'millrace.metric_family', 'millrace.exporter_query')
                 AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL $$, ARRAY[]::text[], 'so has every column of the statistics');

-- what pg_dump carries: all that a pipeline is; not who we are, nor what lives in this server alone
SELECT set_eq($$ SELECT c.oid::regclass::text FROM pg_extension AS e, unnest(e.extconfig) AS c (oid) WHERE e.extname = 'millrace' $$,
  ARRAY['millrace.pipeline', 'millrace.pipeline_id_seq', 'millrace.pipeline_version', 'millrace.partition', 'millrace.progress', 'millrace.ledger',
        'millrace.position_change', 'millrace.pipeline_change', 'millrace.dead_letter', 'millrace.dead_letter_id_seq', 'millrace.error_class',
        'millrace.error_class_id_seq', 'millrace.retry', 'millrace.retry_id_seq', 'millrace.breaker', 'millrace.dead_letter_action', 'millrace.dead_letter_aside',
        'millrace.dlq', 'millrace.dlq_scan', 'millrace.dlq_sighting', 'millrace.topic_grant', 'millrace.stats_minute', 'millrace.unread_key', 'millrace.window_id_seq', 'millrace.window_seq',
        'millrace.window_definition', 'millrace.window_cursor', 'millrace.window_outside', 'millrace.window_mark', 'millrace.window_late',
        'millrace.window_outlet', 'millrace.window_output', 'millrace.window_output_number_seq', 'millrace.window_sighting', 'millrace.window_backfill',
        'millrace.dlq_topic', 'millrace.pipeline_topic', 'millrace.topic_partition', 'millrace.event_type', 'millrace.event_type_count'], 'pg_dump carries the catalogue');
SELECT set_eq($$ SELECT c.relname::text FROM rel AS c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'segment\_%'
                 AND c.oid <> ALL (SELECT unnest(e.extconfig) FROM pg_extension AS e WHERE e.extname = 'millrace') $$,
  ARRAY['instance', 'lane', 'segment', 'watermark', 'ingestor_report', 'ingestor_presence', 'crash_suspect', 'crash', 'lag_minute', 'idempotency_key', 'window_failure'], 'and leaves out what belongs to this server');
SELECT set_eq($$ SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'millrace'::regnamespace AND c.relkind IN ('r', 'v', 'S')
                 AND c.oid NOT IN (SELECT oid FROM rel) $$, ARRAY[]::text[], 'all that is in the schema belongs to the extension');
SELECT set_eq($$ SELECT c.oid::regclass::text FROM rel AS c WHERE c.relkind = 'r' AND c.relname NOT LIKE 'segment\_%' AND c.relreplident <> 'f'
                 AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) $$,
  ARRAY[]::text[], 'a publication FOR ALL TABLES lets the verbs update and delete');
SELECT is((SELECT extrelocatable FROM pg_extension WHERE extname = 'millrace'), false, 'the extension stays in its schema');

SELECT * FROM finish();
ROLLBACK;
