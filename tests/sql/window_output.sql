BEGIN;
\ir helper.psql
SELECT plan(80);

SELECT millrace.grant_topics('mrt_owner', output => '{closed,closed.*}');
CREATE FUNCTION pg_temp.messages(name text) RETURNS TABLE (key text, value jsonb, id text) LANGUAGE sql AS $$
  SELECT convert_from(o.key, 'UTF8'), convert_from(o.payload, 'UTF8')::jsonb, o.id
  FROM millrace.window_output AS o JOIN millrace.window_definition AS w ON w.id = o.window_id WHERE w.name = messages.name ORDER BY o.number;
$$;
-- as a fold would that finds events up to there
CREATE FUNCTION pg_temp.watermark(name text, watermark timestamptz, final timestamptz DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO millrace.window_mark (window_id, at, partitions, highs, risen_at, watermark, final)
  SELECT w.id, clock_timestamp(), '{0}', ARRAY[watermark], clock_timestamp(), watermark, coalesce(watermark.final, watermark)
  FROM millrace.window_definition AS w WHERE w.name = watermark.name;
$$;
CREATE FUNCTION pg_temp.publish(name text, "limit" integer DEFAULT 5000) RETURNS boolean LANGUAGE sql AS $$
  SELECT millrace._publish_window(w.id, "limit") FROM millrace.window_definition AS w WHERE w.name = publish.name;
$$;
-- the next revision of a group may come
CREATE FUNCTION pg_temp.later(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE (SELECT format('UPDATE millrace._window_%s_revision SET written_at = written_at - interval ''1 s''', w.id) FROM millrace.window_definition AS w WHERE w.name = later.name);
END $$;
CREATE FUNCTION pg_temp.relayed(name text) RETURNS bigint LANGUAGE sql AS $$
  SELECT millrace.relay_mark('p', 0, 0, array_agg(o.id), array_agg(0), array_agg(o.number), relayed.name)
  FROM millrace.window_output AS o JOIN millrace.window_definition AS w ON w.id = o.window_id WHERE w.name = relayed.name HAVING count(*) > 0;
$$;

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS pipeline \gset
INSERT INTO mrt.reading (id, source, at, value) VALUES
  (1, 'a', '2026-01-01 00:00:10+00', 1), (2, 'a', '2026-01-01 00:00:50+00', 2.5), (3, 'b', '2026-01-01 00:00:20+00', 0), (4, NULL, '2026-01-01 00:00:30+00', NULL),
  (5, 'a', '2026-01-01 00:01:10+00', 7), (6, 'a', '2026-01-01 00:05:00+00', 9);

-- what may be said wrongly
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', output_topic => 'not valid') $$, '42602', 'topic "not valid"', NULL, 'no name of a topic');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', output_topic => 'events') $$, '22023',
  'output_topic is "events", which the pipeline reads', 'output_topic => ''w''', 'the topic it reads');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', output_topic => 'secret') $$, '42501',
  'not allowed to publish windows to topic "secret"', 'output => ''{secret}''', 'a topic that was not granted');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS deleted') $$, '42701', 'column "deleted"', 'deleted and error are taken', 'a column that messages have');
RESET ROLE;
SELECT millrace.grant_topics('mrt_owner', read => '{closed}', dlq => '{events}');
SET ROLE mrt_owner;
SELECT millrace.create_pipeline('r', topic => 'closed', dlq => 'events', target => 'mrt.reading', fields => 'id bigint', transform => 'SELECT id FROM event');
SELECT pg_temp.refused($$ SELECT millrace.create_window('w', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*)', output_topic => 'closed') $$,
  '22023', 'windows in topic "closed" would return to topic "events"', 'Name another topic', 'a loop through another pipeline');
SELECT millrace.drop_pipeline('r');

-- closing
SELECT isnt(millrace.create_window('w', 'p', event_time => 'at', size => '1 min', group_by => '{source}', aggregates => 'count(*) AS n, sum(value) AS s, 6 / sum(value) AS inverse',
  lateness => '2 min', output_topic => 'closed'), NULL, 'a window that is published');
SELECT results_eq($$ SELECT output_topic, published, output_waiting, output_waiting_since, output_error FROM millrace.windows WHERE name = 'w' $$,
  $$ VALUES ('closed', 0::bigint, 0::bigint, NULL::timestamptz, NULL::text) $$, 'as the view has it');
RESET ROLE;
SELECT is(pg_temp.publish('w'), false, 'no watermark: nothing to publish');
SELECT pg_temp.watermark('w', '2026-01-01 00:01:30+00', '2025-12-31 23:59:30+00');
SELECT is(pg_temp.publish('w'), false, 'one is closed');
SELECT results_eq($$ SELECT key, value FROM pg_temp.messages('w') ORDER BY key $$, $$ VALUES
  ('{"window_start":"2026-01-01T00:00:00+00:00","source":"a"}', '{"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-01T00:01:00+00:00", "source": "a", "n": 2, "s": 3.5, "inverse": 1.7142857142857142, "final": false, "revision": 1}'::jsonb),
  ('{"window_start":"2026-01-01T00:00:00+00:00","source":"b"}', '{"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-01T00:01:00+00:00", "source": "b", "error": "division by zero", "final": false, "revision": 1}'),
  ('{"window_start":"2026-01-01T00:00:00+00:00","source":null}', '{"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-01T00:01:00+00:00", "source": null, "n": 1, "s": null, "inverse": null, "final": false, "revision": 1}') $$,
  'its groups, and the error of the one that has no value');
SELECT is((SELECT count(DISTINCT id) FROM pg_temp.messages('w')), 3::bigint, 'with ids of their own');
SELECT matches((SELECT min(id) FROM pg_temp.messages('w')), '^[0-9a-f-]{36}/w/1767225600000000-1767225660000000/[0-9a-f]{32}/1/[0-9a-f]{32}$', 'that have the window, the group, the revision and a hash of the values');
SELECT set_eq($$ SELECT window_start, source, closed, final, revision FROM millrace.window_w WHERE source IS DISTINCT FROM 'b' $$, $$ VALUES
  (timestamptz '2026-01-01 00:00:00+00', 'a', true, false, 1), ('2026-01-01 00:00:00+00', NULL, true, false, 1), ('2026-01-01 00:01:00+00', 'a', false, false, NULL), ('2026-01-01 00:05:00+00', 'a', false, false, NULL) $$, 'the view has the revisions');
SELECT is(pg_temp.publish('w'), false, 'again');
SELECT is((SELECT count(*) FROM pg_temp.messages('w')), 3::bigint, 'nothing new');

-- repairs
SELECT pg_temp.relayed('w');
SET ROLE mrt_owner;
UPDATE mrt.reading SET value = value + 1 WHERE id = 1;
UPDATE mrt.reading SET value = 2 WHERE id = 3;
SELECT millrace.rebuild_window('w');
RESET ROLE;
SELECT is(pg_temp.publish('w'), false, 'within a second of the last revision');
SELECT is((SELECT count(*) FROM pg_temp.messages('w')), 0::bigint, 'nothing is written');
SELECT pg_temp.later('w');
SELECT is(pg_temp.publish('w'), false, 'then it is');
SELECT results_eq($$ SELECT value ->> 'source', value ->> 's', value ->> 'inverse', value ->> 'revision' FROM pg_temp.messages('w') ORDER BY 1 $$,
  $$ VALUES ('a', '4.5', '1.3333333333333333', '2'), ('b', '2', '3', '2') $$, 'what has changed, and what has a value now; not what is as it was');
SELECT set_eq($$ SELECT source, revision FROM millrace.window_w WHERE closed $$, $$ VALUES ('a', 2), ('b', 2), (NULL, 1) $$, 'revisions of the view');
SELECT pg_temp.later('w');
SET ROLE mrt_owner;
SELECT millrace.rebuild_window('w');
RESET ROLE;
SELECT is((SELECT pg_temp.publish('w') OR count(*) <> 2 FROM pg_temp.messages('w')), false, 'unchanged values publish nothing');

-- groups that are gone, and come back
SELECT pg_temp.relayed('w');
SET ROLE mrt_owner;
DELETE FROM mrt.reading WHERE source = 'b' OR id = 5;
SELECT millrace.rebuild_window('w');
RESET ROLE;
SELECT pg_temp.publish('w');
SELECT set_eq($$ SELECT value FROM pg_temp.messages('w') $$, $$ VALUES
  ('{"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-01T00:01:00+00:00", "source": "b", "deleted": true, "final": false, "revision": 3}'::jsonb) $$, 'a group that is gone is deleted, one that was not published is not');
SELECT is_empty($$ SELECT * FROM millrace.window_w WHERE source = 'b' $$, 'the view has it no more');
SELECT pg_temp.later('w');
SET ROLE mrt_owner;
INSERT INTO mrt.reading (id, source, at, value) VALUES (3, 'b', '2026-01-01 00:00:20+00', 2);
SELECT millrace.rebuild_window('w');
RESET ROLE;
SELECT pg_temp.publish('w');
SELECT results_eq($$ SELECT value ->> 'revision', value ->> 'inverse' FROM pg_temp.messages('w') $$, $$ VALUES ('3', NULL), ('4', '3') $$, 'it comes back as another revision');

-- rows that batches add to closed windows: what the fold notes
SELECT pg_temp.relayed('w');
SELECT w.id AS w, format('millrace._window_%s_partial', w.id) AS partial, format('millrace._window_%s_folded', w.id) AS folded FROM millrace.window_definition AS w WHERE w.name = 'w' \gset
CREATE FUNCTION pg_temp.add(seq integer, at timestamptz, source text, value double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE (SELECT format('INSERT INTO millrace._window_%1$s_partial (stream, seq, rows) SELECT 0, $1, ARRAY[ROW(0, $2, $2 + interval ''1 min'', 1, $3, 1, $4)::millrace._window_%1$s_folded]', w.id)
           FROM millrace.window_definition AS w WHERE w.name = 'w') USING seq, at, source, value;
END $$;
SELECT pg_temp.add(1, '2026-01-01 00:00:00+00', 'a', 10), pg_temp.add(2, '2026-01-01 00:00:00+00', 'new', 1), pg_temp.add(3, '2026-01-01 00:05:00+00', 'a', 1), pg_temp.add(4, '2025-12-31 23:58:00+00', 'a', 1);
SELECT is(millrace._fold_window(:w, true, true), true, 'folded');
SELECT pg_temp.later('w');
SELECT pg_temp.publish('w');
SELECT results_eq($$ SELECT value ->> 'window_start', value ->> 'source', value ->> 's', value ->> 'revision' FROM pg_temp.messages('w') ORDER BY value ->> 'source' $$,
  $$ VALUES ('2026-01-01T00:00:00+00:00', 'a', '14.5', '3'), ('2026-01-01T00:00:00+00:00', 'new', '1', '1') $$,
  'the next revision of the one, the first of the other; nothing of what is open, nor of what was final');
SELECT is((SELECT sum(l.rows) FROM millrace.window_late AS l WHERE l.window_id = :w), 1::numeric, 'which is late');
SELECT is((SELECT count(*) FROM millrace.window_mark AS m WHERE m.window_id = :w AND isfinite(m.watermark)), 1::bigint, 'under the same watermark');

-- final
SELECT pg_temp.relayed('w');
SELECT pg_temp.watermark('w', '2026-01-01 00:10:00+00', '2026-01-01 00:08:00+00');
SELECT pg_temp.publish('w');
SELECT results_eq($$ SELECT value ->> 'window_start', value ->> 's', value ->> 'final' FROM pg_temp.messages('w') $$, $$ VALUES ('2026-01-01T00:05:00+00:00', '10', 'true') $$, 'closed and final at once; what was published before is not said to be final');
SELECT pg_temp.later('w');
SELECT pg_temp.add(5, '2026-01-01 00:00:00+00', 'a', 10);
SELECT millrace._fold_window(:w, true, true);
SELECT is((SELECT pg_temp.publish('w') OR count(*) <> 1 FROM pg_temp.messages('w')), false, 'what comes later repairs the table alone');
SELECT is((SELECT s FROM millrace.window_w WHERE source = 'a' AND window_start = '2026-01-01 00:00:00+00'), 24.5::double precision, 'as the view has it');

-- what the relay does
SET ROLE mrt_ingestor;
SELECT results_eq($$ SELECT pipeline, topic, delivery, source_topic, due, "window" FROM millrace.relay_pipelines() WHERE pipeline = 'p' AND "window" IS NOT NULL $$,
  $$ VALUES ('p', 'closed', 'exactly_once', 'events', true, 'w') $$, 'it is to be relayed');
SELECT matches((SELECT transactional_id FROM millrace.relay_pipelines() WHERE "window" = 'w'), '^millrace\.[0-9a-f-]{36}\.p\.window\.w$', 'under an id of its own');
SELECT is(millrace.relay_lock('p', 'w'), true, 'this session relays');
SELECT pg_temp.refused($$ SELECT millrace.relay_lock('p', 'nix') $$, '42704', 'pipeline "p" publishes no window "nix"', 'millrace.windows', 'an unknown window');
SELECT results_eq($$ SELECT convert_from(payload, 'UTF8')::jsonb ->> 's', convert_from(key, 'UTF8')::jsonb ->> 'source', revision, partition >= 0, topic, headers FROM millrace.relay_batch('p', 10, "window" => 'w') $$,
  $$ VALUES ('10', 'a', 1, true, NULL::text, NULL::bytea) $$, 'what is to be published');
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p', 'w')), 1::bigint, 'and where the topic is read from');
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p')), 0::bigint, 'which is not where the dead letters are read from');
SELECT id, replace(id, '/1/', '/2/') AS next FROM millrace.relay_batch('p', 10, "window" => 'w') \gset
SELECT is(millrace.relay_mark('p', 0, 5, ARRAY['garbage', 'x' || :'id', :'next', NULL], '{0,0,0,0}', '{1,2,3,4}', 'w'), 0::bigint, 'ids of others do not count');
SELECT is(millrace.relay_mark('p', 0, 6, ARRAY[:'id', :'id'], '{0,0}', '{5,6}', 'w'), 1::bigint, 'what is found in the topic');
SELECT is((SELECT count(*) FROM millrace.relay_batch('p', 10, "window" => 'w')), 0::bigint, 'has left the outbox');
SELECT results_eq($$ SELECT next_offset FROM millrace.relay_scan_positions('p', 'w') $$, 'VALUES (6::bigint)', 'the position has moved');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.window_sighting), 0::bigint, 'a window that is final gets no other value: nothing is kept of that');
SELECT is((SELECT published FROM millrace.windows WHERE name = 'w'), 10::bigint, 'published in all');

-- what says that the relay is stuck
SELECT pg_temp.add(6, '2026-01-01 00:20:00+00', 'a', 3);
SELECT millrace._fold_window(:w, true, true);
SELECT pg_temp.watermark('w', '2026-01-01 01:00:00+00');
SELECT pg_temp.publish('w');
UPDATE millrace.window_output SET written_at = now() - interval '90 s';
SET ROLE mrt_ingestor;
SELECT millrace.report('p', '{"relay_error.w": "broker down", "relay_error": "no window''s"}');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT output_waiting, output_waiting_since < now(), output_error FROM millrace.windows WHERE name = 'w' $$, $$ VALUES (1::bigint, true, 'broker down') $$, 'the view has what waits, and why');
SELECT results_eq($$ SELECT d.severity, d.detail LIKE 'Waiting for topic "closed": 1, the oldest since %: broker down.', d.command LIKE '%alter_window(''w'', output_topic => ''off'')%' FROM millrace.doctor() AS d WHERE d.what = 'window "w": its values do not reach Kafka' $$,
  $$ VALUES ('warning', true, true) $$, 'doctor reports it');
SELECT results_eq($$ SELECT m.name, CASE WHEN m.name LIKE '%seconds' THEN (m.value >= 90)::integer::double precision ELSE m.value END FROM millrace.metric AS m WHERE m.labels ->> 'window' = 'w' AND m.name LIKE '%output%' ORDER BY 1 $$, $$ VALUES
  ('millrace_window_output_published_total', 10::double precision), ('millrace_window_output_waiting_messages', 1), ('millrace_window_output_waiting_seconds', 1) $$, 'metrics');
RESET ROLE;
SELECT pg_temp.relayed('w');

-- a database that went back: the topic has what is written here later
SET ROLE mrt_owner;
SELECT millrace.create_window('back', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n', output_topic => 'closed.2', lateness => '1 day');
RESET ROLE;
SELECT pg_temp.watermark('back', '2026-01-01 00:01:00+00', '2025-12-31 00:01:00+00');
SELECT pg_temp.publish('back');
SELECT id AS first FROM pg_temp.messages('back') \gset
SELECT count(*) FROM pg_temp.messages('back') \gset
DELETE FROM millrace.window_output;
UPDATE millrace.window_outlet SET closed_to = '-infinity';
SELECT format('DELETE FROM millrace._window_%s_revision', id) AS forget FROM millrace.window_definition WHERE name = 'back' \gset
:forget;
SELECT is(millrace.relay_mark('p', 3, 5, ARRAY[:'first'], '{3}', '{4}', 'back'), 0::bigint, 'it is seen');
SELECT pg_temp.publish('back');
SELECT is((SELECT count(*) FROM pg_temp.messages('back') WHERE id = :'first'), 1::bigint, 'the window is closed again, with the same value');
SELECT is((SELECT count(*) FROM millrace.relay_batch('p', 10, "window" => 'back')), 0::bigint, 'which is not published again');
SELECT is((SELECT count(*) FROM millrace.window_sighting), 0::bigint, 'and settles it');
:forget;
SELECT millrace.relay_mark('p', 3, 6, ARRAY[:'first'], '{3}', '{5}', 'back');
SELECT millrace.relay_mark('p', 3, 0, '{}', '{}', '{}', 'back');
SELECT is((SELECT count(*) FROM millrace.window_sighting), 0::bigint, 'a topic that was re-created has nothing of it');

-- the same of a group that is due, and whose window has become final meanwhile
SET ROLE mrt_owner;
SELECT millrace.create_window('again', 'p', event_time => 'at', size => '1 min', aggregates => 'count(*) AS n', output_topic => 'closed.4', lateness => '1 day');
RESET ROLE;
SELECT pg_temp.watermark('again', '2026-01-01 00:01:00+00', '2025-12-31 00:01:00+00');
SELECT pg_temp.publish('again');
SELECT pg_temp.relayed('again');
SELECT pg_temp.later('again');
SET ROLE mrt_owner;
INSERT INTO mrt.reading (id, source, at, value) VALUES (500, 'a', '2026-01-01 00:00:40+00', 1);
SELECT millrace.rebuild_window('again');
RESET ROLE;
SELECT pg_temp.watermark('again', '2026-01-02 00:00:00+00', '2026-01-01 12:00:00+00');
SAVEPOINT lost;
SELECT pg_temp.publish('again');
SELECT id AS second FROM pg_temp.messages('again') WHERE value ->> 'revision' = '2' \gset
ROLLBACK TO lost;
SELECT millrace.relay_mark('p', 0, 50, ARRAY[:'second'], '{0}', '{49}', 'again');
SELECT pg_temp.publish('again');
SELECT is((SELECT count(*) FROM millrace.relay_batch('p', 100, "window" => 'again') AS b WHERE b.id = :'second'), 0::bigint, 'a revision that is in the topic is not published again');

-- steps, and a full outbox
SET ROLE mrt_owner;
INSERT INTO mrt.reading (id, source, at, value) SELECT 1000 + i, 'g' || i, '2026-02-01 00:00:00+00', i - 500 FROM generate_series(1, 1000) AS i;
SELECT millrace.create_window('many', 'p', event_time => 'at', size => '10 min', slide => '5 min', group_by => '{source}', aggregates => '1 / sum(value) AS inverse', "where" => 'id > 1000', output_topic => 'closed');
RESET ROLE;
SELECT pg_temp.watermark('many', '2026-02-02 00:00:00+00');
SELECT is(pg_temp.publish('many', 300), true, 'a step');
SELECT is((SELECT count(*) FROM pg_temp.messages('many')), 300::bigint, 'of so many groups');
SELECT is(pg_temp.publish('many', 5000), false, 'the rest');
SELECT is((SELECT count(DISTINCT (value ->> 'window_start', value ->> 'source')) FROM pg_temp.messages('many')), 2000::bigint, 'each group of both windows');
SELECT is((SELECT count(*) FROM pg_temp.messages('many')), 2000::bigint, 'once');
SELECT is((SELECT count(*) FROM pg_temp.messages('many') WHERE value ->> 'error' = 'division by zero'), 2::bigint, 'an error where there is one, and nowhere else');
INSERT INTO millrace.window_output (window_id, id, revision, place, key, payload, written_at)
SELECT w.id, i, 1, 0, '', '', now() FROM millrace.window_definition AS w CROSS JOIN generate_series(1, 48000) AS i WHERE w.name = 'many';
UPDATE millrace.window_outlet SET closed_to = '-infinity';
SELECT format('DELETE FROM millrace._window_%s_revision', id) AS forget FROM millrace.window_definition WHERE name = 'many' \gset
:forget;
SELECT is(pg_temp.publish('many'), false, 'a full outbox');
SELECT is((SELECT output_waiting FROM millrace.windows WHERE name = 'many'), 50000::bigint, 'gets no more');

-- types of a user's are text, whatever casts he has made
SET ROLE mrt_owner;
CREATE TYPE mrt.color AS ENUM ('red', 'green');
CREATE FUNCTION mrt.steal(mrt.color) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$;
CREATE CAST (mrt.color AS json) WITH FUNCTION mrt.steal(mrt.color);
CREATE FUNCTION mrt.name(mrt.color) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$;
CREATE CAST (mrt.color AS text) WITH FUNCTION mrt.name(mrt.color);
SELECT millrace.create_window('colors', 'p', event_time => 'at', size => '1 day', group_by => '{"(CASE WHEN id < 3 THEN ''red'' ELSE ''green'' END)::mrt.color AS color"}', aggregates => 'count(*) AS n, max(''red''::mrt.color) AS best', "where" => 'id < 10', output_topic => 'closed');
RESET ROLE;
SELECT pg_temp.watermark('colors', '2026-02-02 00:00:00+00');
SELECT pg_temp.publish('colors');
SELECT results_eq($$ SELECT value ->> 'color', value ->> 'best', value ->> 'n', value ->> 'error' FROM pg_temp.messages('colors') ORDER BY 1 $$, $$ VALUES ('green', 'red', '3', NULL), ('red', 'red', '2', NULL) $$, 'as its output function writes it');

-- another topic, and none
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.alter_window('w', output_topic => 'secret') $$, '42501', 'not allowed to publish windows', 'output => ''{secret}''', 'not every topic');
SELECT lives_ok($$ SELECT millrace.alter_window('back', output_topic => 'closed.3') $$, 'another topic');
SELECT is((SELECT output_topic FROM millrace.windows WHERE name = 'back'), 'closed.3', 'is set');
RESET ROLE;
SELECT is((SELECT count(*) FROM millrace.relay_scan_positions('p', 'back')), 0::bigint, 'and read from its beginning');
SET ROLE mrt_owner;
RESET ROLE;
SELECT millrace._window_fails(w.id, 'publish', '58030', 'no publishing') FROM millrace.window_definition AS w WHERE w.name = 'back';
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.alter_window('back', output_topic => 'off') $$, 'none');
SELECT is((SELECT w.failing FROM millrace.windows AS w WHERE w.name = 'back'), NULL, 'what has failed is no more');
RESET ROLE;
SELECT millrace._window_fails(w.id, 'publish', '58030', 'no publishing') FROM millrace.window_definition AS w WHERE w.name = 'back';
SELECT pg_temp.publish('back');
SET ROLE mrt_owner;
SELECT is((SELECT w.failing FROM millrace.windows AS w WHERE w.name = 'back'), NULL, 'nor what a worker notes afterwards');
SELECT results_eq($$ SELECT output_topic, output_waiting FROM millrace.windows WHERE name = 'back' $$, $$ VALUES (NULL::text, 0::bigint) $$, 'nothing waits any more');
RESET ROLE;
SELECT pg_temp.watermark('back', '2026-01-01 00:02:00+00', '2025-12-31 00:01:00+00');
SELECT pg_temp.publish('back');
SET ROLE mrt_owner;
SELECT millrace.alter_window('back', output_topic => 'closed.2');
RESET ROLE;
SELECT pg_temp.publish('back');
SELECT is((SELECT count(*) FROM pg_temp.messages('back')), 0::bigint, 'what was closed meanwhile is not published');
SELECT pg_temp.watermark('back', '2026-01-01 00:06:00+00', '2025-12-31 00:01:00+00');
SELECT pg_temp.publish('back');
SELECT results_eq($$ SELECT value ->> 'window_start' FROM pg_temp.messages('back') $$, $$ VALUES ('2026-01-01T00:05:00+00:00') $$, 'but what is closed from then on');

-- windows come in the order of their ends, whatever a step has room for
SET ROLE mrt_owner;
SELECT millrace.create_window('ordered', 'p', event_time => 'at', size => '3 min', slide => '1 min', group_by => '{source}', aggregates => 'count(*) AS n', output_topic => 'closed.5', lateness => '1 day');
RESET ROLE;
SELECT pg_temp.watermark('ordered', '2026-01-01 00:10:00+00', '2025-12-31 00:10:00+00');
SELECT pg_temp.publish('ordered', 2) FROM generate_series(1, 20);
SELECT results_eq($$ SELECT value ->> 'window_end' FROM pg_temp.messages('ordered') $$, $$ SELECT value ->> 'window_end' FROM pg_temp.messages('ordered') ORDER BY 1 $$, 'in the order of their ends');
SELECT is((SELECT count(DISTINCT value ->> 'window_end') FROM pg_temp.messages('ordered')), (SELECT count(DISTINCT window_end) FROM millrace.window_ordered WHERE closed), 'all of them');

-- rights that are taken back
SELECT millrace.revoke_topics('mrt_owner', output => '{closed,closed.*}');
SELECT is((SELECT count(*) FROM millrace.relay_pipelines() WHERE "window" IS NOT NULL), 0::bigint, 'nothing is relayed to a topic that was revoked');
SELECT is((SELECT output_error FROM millrace.windows WHERE name = 'w'), 'role "mrt_owner" is not allowed to publish to it', 'the view says so');
SELECT is((SELECT d.command FROM millrace.doctor() AS d WHERE d.what = 'window "many": its values do not reach Kafka'), 'as a superuser: SELECT millrace.grant_topics(''mrt_owner'', output => ''{closed}'');', 'doctor the command'),
  output_is_granted FROM millrace.windows WHERE name = 'many';

SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.drop_window(w.name) FROM millrace.windows AS w $$, 'dropped');
RESET ROLE;
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname ~ '^_window_[0-9]' AND relkind = 'r' $$, 'with their tables');
SELECT is((SELECT (SELECT count(*) FROM millrace.window_output) + (SELECT count(*) FROM millrace.window_outlet) + (SELECT count(*) FROM millrace.window_sighting)
           + (SELECT count(*) FROM millrace.dlq_scan WHERE window_id > 0)), 0::bigint, 'and all that was to be published');

SELECT * FROM finish();
ROLLBACK;
