BEGIN;
\ir helper.psql
SELECT plan(61);

CREATE ROLE mrt_api LOGIN;
SELECT lives_ok($$ SELECT millrace.grant_api('mrt_api') $$, 'a superuser lets a role serve the API');
SELECT ok(NOT pg_has_role('mrt_api', 'pg_monitor', 'MEMBER'), 'and not into the server');
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p');
SELECT throws_ok($$ SELECT millrace.grant_api('mrt_owner') $$, '42501', NULL, 'not everybody may grant it');
RESET ROLE;
SET ROLE mrt_api;
SELECT is((SELECT count(*) FROM millrace.pipelines), 1::bigint, 'it sees the state of all pipelines');
SELECT is((SELECT count(*) FROM millrace.topic_grants WHERE role = 'mrt_owner'::regrole), (SELECT 2::bigint), 'and their topics');
SELECT is((SELECT count(*) FROM millrace.stats), 1::bigint, 'and their figures');
SELECT isnt(millrace.engine_status() -> 'workers', NULL, 'and what runs');
SELECT is((SELECT count(*) FROM millrace.dead_letters), 0::bigint, 'no event is');
RESET ROLE;

CREATE TABLE mrt.event (id uuid, at timestamptz, type text, n bigint, doc json, topic text, partition integer, "offset" bigint);
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('nothing', 'id', 'at') $$, '42P01', 'relation "nothing" does not exist',
                       'name another one', 'a relation that is not there');
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'time') $$, '42703', 'has no column "time"',
                       'orders the rows', 'a column that is not there');
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'type') $$, '42804', 'has type text', NULL,
                       'a time that is none');
SET ROLE mrt_api;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'at') $$, '42501', 'permission denied',
                       'GRANT SELECT ON mrt.event TO mrt_api', 'a relation that is not granted');
RESET ROLE;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'at') $$, '55000', 'may be null',
                       'ALTER TABLE mrt.event ALTER id SET NOT NULL', 'keys that may be null');
ALTER TABLE mrt.event ALTER id SET NOT NULL, ALTER at SET NOT NULL;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'at') $$, '55000', 'no index of relation',
                       'CREATE INDEX ON mrt.event (at, id);', 'an order without an index');
CREATE INDEX ON mrt.event (at, id);
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.event', 'id', 'at') $$, '55000', 'look-up by "id"',
                       'CREATE UNIQUE INDEX ON mrt.event (id);', 'an id without an index');
CREATE UNIQUE INDEX ON mrt.event (id);
CREATE INDEX ON mrt.event (type, at, id);
SELECT results_eq($$ SELECT name, type, is_bigint, use, filterable FROM millrace.served_columns('mrt.event', 'id', 'at') $$,
  $$ VALUES ('id', 'uuid', false, 'id', true), ('at', 'timestamp with time zone', false, 'time', true), ('type', 'text', false, '', true),
            ('n', 'bigint', true, '', false), ('doc', 'json', false, '', false), ('topic', 'text', false, '', false),
            ('partition', 'integer', false, '', false), ('offset', 'bigint', true, '', false) $$, 'columns, and what indexes serve');
CREATE UNIQUE INDEX ON mrt.event (topic, partition, "offset");
SELECT results_eq($$ SELECT name, use FROM millrace.served_columns('mrt.event', 'id', 'at') WHERE use NOT IN ('id', 'time', '') $$,
  $$ VALUES ('topic', 'topic'), ('partition', 'partition'), ('offset', 'offset') $$, 'the coordinate, once an index serves it');

-- what can be followed: the column alone is not enough, and neither is one of another type
ALTER TABLE mrt.event ADD xid xid8 NOT NULL DEFAULT pg_current_xact_id(), ADD other bigint;
SELECT is((SELECT use FROM millrace.served_columns('mrt.event', 'id', 'at') WHERE name = 'xid'), '', 'no index serves the order by transaction');
CREATE INDEX ON mrt.event (xid, id);
CREATE INDEX ON mrt.event (other, id);
SELECT is((SELECT use FROM millrace.served_columns('mrt.event', 'id', 'at') WHERE name = 'xid'), 'xid', 'one does');
SELECT is((SELECT count(*) FROM millrace.served_columns('mrt.event', 'id', 'at', 'other') WHERE use IN ('xid', 'other')), 0::bigint, 'it must be an xid8');
CREATE VIEW mrt.followed AS SELECT id, at, xid FROM mrt.event;
SELECT is((SELECT use FROM millrace.served_columns('mrt.followed', 'id', 'at') WHERE name = 'xid'), 'xid', 'a view over it can be followed, too');
SET ROLE mrt_stranger;
SELECT matches(millrace.stream_system('mrt.event'), format('^[0-9]+-[0-9A-F]{8}-[0-9]+-%s$', 'mrt.event'::regclass::oid), 'where it is followed, for everybody');
RESET ROLE;
SELECT isnt(millrace.stream_system('mrt.event'), millrace.stream_system('mrt.followed'), 'each relation for itself');

-- a view is served by the indexes of what it is made of
CREATE VIEW mrt.recent AS SELECT id, at, type, upper(type) AS shout FROM mrt.event WHERE at > '2020-01-01';
SELECT results_eq($$ SELECT name, filterable FROM millrace.served_columns('mrt.recent', 'id', 'at') $$,
  $$ VALUES ('id', true), ('at', true), ('type', true), ('shout', false) $$, 'a view over it');

-- where the index that a filter needs would be
SELECT results_eq($$ SELECT name, index_hint FROM millrace.served_columns('mrt.event', 'id', 'at') WHERE name IN ('type', 'n') $$,
  $$ VALUES ('type', NULL), ('n', 'CREATE INDEX ON mrt.event (n, at, id)') $$, 'of a table');
CREATE VIEW mrt."renamed View" AS SELECT r.id AS "Key", r.at AS "when", r.n AS number, upper(r.type) AS shout, 1 AS one
  FROM (SELECT * FROM mrt.event WHERE at > '2020-01-01') AS r;
SELECT results_eq($$ SELECT name, index_hint FROM millrace.served_columns('mrt."renamed View"', 'Key', 'when') WHERE index_hint IS NOT NULL $$,
  $$ VALUES ('number', 'CREATE INDEX ON mrt.event (n, at, id)'),
            ('shout', 'Index the table mrt.event under the view mrt."renamed View" by what is (shout, "when", "Key") there'),
            ('one', 'Index the table mrt.event under the view mrt."renamed View" by what is (one, "when", "Key") there') $$, 'of a view: on its table, when it is a column there');
CREATE TABLE mrt.parted (id uuid, at timestamptz, n bigint) PARTITION BY RANGE (at);
CREATE TABLE mrt.parted_1 PARTITION OF mrt.parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE mrt.parted_2 PARTITION OF mrt.parted DEFAULT;
CREATE VIEW mrt.over_parted AS SELECT id, at, n FROM mrt.parted;
CREATE VIEW mrt.over_one AS SELECT id, at, n FROM mrt.parted WHERE at = '2020-01-01';
SELECT is(millrace.index_hint('mrt.' || v, '{n,at,id}'), 'CREATE INDEX ON mrt.parted (n, at, id)', 'not of one partition: ' || v) FROM unnest('{over_parted,over_one}'::text[]) AS v;
CREATE VIEW mrt.joined AS SELECT e.id, e.at, p.n FROM mrt.event AS e JOIN mrt.parted_1 AS p USING (id);
SELECT matches(millrace.index_hint('mrt.joined', '{n,at,id}'), '^Index the table under the view mrt.joined', 'a view of several');
CREATE VIEW mrt.sorted AS SELECT id, max(at) AS at FROM mrt.event GROUP BY id;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.sorted', 'id', 'at') $$, '55000', 'serves the order',
                       'out of the view. Index the table mrt.event under the view mrt.sorted by what is (at, id) there;', 'a view that must be sorted');
-- the hints of the start can be run, or name the table
CREATE TABLE mrt.bare (key uuid, "when" timestamptz, n bigint);
CREATE VIEW mrt."over Bare" AS SELECT key AS id, "when" AS at, n FROM mrt.bare;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt."over Bare"', 'id', 'at') $$, '55000', 'serves the order',
                       'out of the view. CREATE INDEX ON mrt.bare ("when", key);', 'the order, of the table under the view');
CREATE INDEX ON mrt.bare ("when", key);
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt."over Bare"', 'id', 'at') $$, '55000', 'serves a look-up',
                       'CREATE UNIQUE INDEX ON mrt.bare (key);', 'the look-up, too');
CREATE UNIQUE INDEX ON mrt.bare (key);
SELECT lives_ok($$ SELECT * FROM millrace.served_columns('mrt."over Bare"', 'id', 'at') $$, 'both have been added');
CREATE VIEW mrt.halves AS SELECT id, at, n FROM mrt.parted_1 UNION ALL SELECT key, "when", n FROM mrt.bare;
SELECT matches(millrace.index_hint('mrt.halves', '{n,at,id}'), '^Index the table under the view mrt.halves', 'tables of two: none is named');

SELECT ok(millrace.is_index_served('SELECT id FROM mrt.event WHERE type = $1 ORDER BY at DESC, id DESC LIMIT 1', '{text}'), 'served');
SELECT ok(NOT millrace.is_index_served('SELECT id FROM mrt.event WHERE n = $1 ORDER BY at DESC, id DESC LIMIT 1', '{bigint}'), 'not served');
SELECT throws_ok($$ SELECT millrace.is_index_served('SELECT nothing', '{}') $$, '42703', NULL, 'errors of the statement are raised');

-- What is in a table does not matter: of one that is known to be empty all indexes cost the same, and where all rows have one value,
-- another index than the filter's is the cheaper one. Nor which index was made first.
CREATE TABLE mrt.fill (id uuid NOT NULL, at timestamptz NOT NULL, type text, kind text, flag boolean);
CREATE INDEX ON mrt.fill (id) WHERE type = 'a';
CREATE INDEX ON mrt.fill USING brin (id);
CREATE INDEX ON mrt.fill (type, at, id);
CREATE INDEX ON mrt.fill (at, id);
CREATE INDEX ON mrt.fill (flag, at, id);
ANALYZE mrt.fill;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.fill', 'id', 'at') $$, '55000', 'look-up by "id"', NULL, 'empty, without an index on the id');
ALTER TABLE mrt.fill ADD PRIMARY KEY (id);
CREATE VIEW mrt.over_fill AS SELECT * FROM mrt.fill WHERE at > '2020-01-01';
CREATE FUNCTION pg_temp.served(relation text, what text) RETURNS text LANGUAGE sql AS $$
  SELECT results_eq(format('SELECT name, filterable FROM millrace.served_columns(%L, %L, %L)', relation, 'id', 'at'),
                    $q$ VALUES ('id', true), ('at', true), ('type', true), ('kind', false), ('flag', true) $q$, relation || ', ' || what) $$;
SELECT pg_temp.served(v, 'empty') FROM unnest('{mrt.fill,mrt.over_fill}'::text[]) AS v;
INSERT INTO mrt.fill VALUES (gen_random_uuid(), '2026-01-01', 'a', 'a', true);
ANALYZE mrt.fill;
SELECT pg_temp.served(v, 'of a row') FROM unnest('{mrt.fill,mrt.over_fill}'::text[]) AS v;
INSERT INTO mrt.fill SELECT gen_random_uuid(), '2026-01-01'::timestamptz + i * interval '1 s', 'a', 'a', true FROM generate_series(1, 5000) AS i;
ANALYZE mrt.fill;
SELECT pg_temp.served(v, 'with one value in each row') FROM unnest('{mrt.fill,mrt.over_fill}'::text[]) AS v;
SELECT ok(NOT millrace.is_index_served('SELECT id FROM mrt.fill WHERE id = $1 ORDER BY at DESC, id DESC LIMIT 1', '{uuid}'), 'an order needs an index that has it');
SELECT throws_ok($$ SELECT millrace.full_plan('SELECT 1; SELECT 2') $$, '22023', 'query must be a single statement', 'one statement is planned');
SELECT throws_ok($$ SELECT millrace.full_plan('SELECT 1; CREATE TEMP TABLE made AS SELECT 1') $$, '22023', 'query must be a single statement', 'nor one that counts rows and gives none');
SELECT is((millrace.full_plan('SELECT FROM mrt.bare') #>> '{0,Plan,Plan Rows}')::float8, 1e8::float8, 'as of a large table');
SELECT cmp_ok((SELECT (regexp_match(string_agg(line, ''), 'rows=(\d+)'))[1]::integer FROM millrace.explain_query('SELECT FROM mrt.fill', false, 'mrt') AS line), '<', 10000, 'and as it is afterwards');

-- an index on one column of a coordinate looks up nothing
CREATE TABLE mrt.by_topic (id uuid PRIMARY KEY, at timestamptz NOT NULL, topic text, partition integer, "offset" bigint);
CREATE INDEX ON mrt.by_topic (at, id);
CREATE INDEX ON mrt.by_topic (topic, at, id);
SELECT is((SELECT use FROM millrace.served_columns('mrt.by_topic', 'id', 'at') WHERE name = 'topic'), '', 'the coordinate, by the topic alone');

-- a partitioned table
CREATE TABLE mrt.periods (id uuid NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE INDEX ON mrt.periods (at, id);
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.periods', 'id', 'at') $$, '55000', 'has no partition', 'Create one', 'without a partition');
CREATE TABLE mrt.periods_1 PARTITION OF mrt.periods DEFAULT;
SELECT pg_temp.refused($$ SELECT * FROM millrace.served_columns('mrt.periods', 'id', 'at') $$, '55000', 'look-up by "id"', 'CREATE INDEX ON mrt.periods (id);', 'it has no unique index on the id alone');
CREATE INDEX ON mrt.periods (id);
SELECT lives_ok($$ SELECT * FROM millrace.served_columns('mrt.periods', 'id', 'at') $$, 'nor needs it one');

-- windows: whoever the owner lets read one, with a key for the group
SET ROLE mrt_owner;
SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n');
SELECT is_empty($$ SELECT * FROM millrace.window_columns('nothing') $$, 'no such window');
SET ROLE mrt_api;
SELECT pg_temp.refused($$ SELECT * FROM millrace.window_columns('w') $$, '42501', 'permission denied for window "w"', 'GRANT SELECT ON millrace.window_w TO mrt_api;',
                       'a window that is not granted');
SET ROLE mrt_owner;
GRANT SELECT ON millrace.window_w TO mrt_api;
SET ROLE mrt_api;
SELECT results_eq($$ SELECT name, type, is_bigint, use FROM millrace.window_columns('w') $$,
  $$ VALUES ('window_start', 'timestamp with time zone', false, 'time'), ('window_end', 'timestamp with time zone', false, ''), ('source', 'text', false, ''),
            ('n', 'bigint', true, ''), ('closed', 'boolean', false, ''), ('final', 'boolean', false, ''),
            ('revision', 'integer', false, ''), ('error', 'text', false, ''), ('window_key', 'text', false, 'id') $$, 'its columns');
SELECT is((SELECT count(DISTINCT relation_ident) FROM millrace.window_columns('w')), 1::bigint, 'of one relation');
SELECT lives_ok((SELECT format('SELECT t.window_key FROM %s AS t WHERE t.source = $$a$$ ORDER BY t.window_start DESC, t.window_key DESC LIMIT 2', relation_ident)
                 FROM millrace.window_columns('w') LIMIT 1), 'which can be read');
RESET ROLE;
SET ROLE mrt_owner;
CREATE TYPE mrt.hue AS ENUM ('red');
CREATE FUNCTION mrt.of_hue(mrt.hue) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$;
CREATE CAST (mrt.hue AS text) WITH FUNCTION mrt.of_hue(mrt.hue);
INSERT INTO mrt.reading (id, source, at) VALUES
  (901, E'a\x1fb', '2026-05-01'), (902, 'a', '2026-05-01 00:00:01'), (903, E'\x1e', '2026-05-01 00:00:02'), (904, NULL, '2026-05-01'), (905, 'null', '2026-05-01'), (906, '","', '2026-05-01'), (907, '', '2026-05-01');
SELECT millrace.create_window('keys', 'p', event_time => 'at', size => '1 day', aggregates => 'count(*) AS n', "where" => 'id > 900',
  group_by => '{source,"CASE id WHEN 901 THEN ''c'' WHEN 902 THEN E''b\\x1fc'' END AS other","''red''::mrt.hue AS hue"}');
SELECT relation_ident AS keys FROM millrace.window_columns('keys') LIMIT 1 \gset
SELECT results_eq('SELECT count(*), count(DISTINCT k.window_key) FROM ' || :'keys' || ' AS k', 'VALUES (7::bigint, 7::bigint)', 'different groups have different keys');
SELECT is((SELECT window_key FROM :keys AS k WHERE source IS NULL), '[null, null, "red"]', 'of their values, by their output functions');
SELECT millrace.create_window('keyless', 'p', event_time => 'at', size => '1 day', aggregates => 'count(*) AS n', "where" => 'id > 900');
SELECT relation_ident AS keyless FROM millrace.window_columns('keyless') LIMIT 1 \gset
SELECT is((SELECT window_key FROM :keyless AS k), '[]', 'or of none');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
