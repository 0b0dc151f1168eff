-- format => 'ndjson' in previews: each document of a sample by itself; and previews of a message with key, headers, topic and
-- time. What comes of real messages is in tests/e2e/test_ndjson.py.
BEGIN;
\ir helper.psql
SELECT plan(21);
SET ROLE mrt_owner;
CREATE TABLE doc (id int CHECK (id < 100), document int, topic text, key text, at timestamptz, tag text);

-- decode()
SELECT is(millrace.decode('id int', E'{"id": 1}\r\n\n{"id": 2}\n', 'ndjson'), '[{"id": 1, "document": 1}, {"id": 2, "document": 2}]', 'an array');
SELECT is(millrace.decode('id int', E' \n', 'ndjson'), '[]', 'of none');
SELECT is(jsonb_array_length(millrace.decode('id int', repeat(E'{"id": 1}\n', 20000), 'ndjson')), 20000, 'of many');
SELECT throws_ok($$ SELECT millrace.decode('id int NOT NULL', E'{"id": 1}\n{}', 'ndjson') $$, '23502', 'field "id" is missing', 'one that fails');
SELECT is(millrace.decode_event('id int', E'{"id": 1, "x": 2}', 'ndjson'), '[{"id": 1, "payload": {"x": 2, "id": 1}, "document": 1}]', 'with payload');
SELECT is(millrace.decode('id int, k text PATH ''key'', h text PATH ''header.a''', '{"id": 1}', key => 'K', headers => '[["a", "1"], ["a", "2"]]'),
          '{"h": "2", "k": "K", "id": 1}', 'key and headers');
SELECT is(millrace.decode('id int', '{"id": 1}', 'cloudevents', headers => '{"ce_specversion": "1.0", "ce_id": "a", "ce_source": "/s", "ce_type": "t"}') ->> 'ce_id',
          'a', 'a binary CloudEvent');
SELECT is(millrace.decode('k text PATH ''key''', '{}'), '{"k": null}', 'none by default');
SELECT throws_ok($$ SELECT millrace.decode('id int', '{}', headers => '[1]') $$, '22023', NULL, 'headers of another form');
SELECT is(millrace.decode_event('id int', '{}', NULL), NULL, 'no format, no result');
SELECT is(millrace.header_list(millrace.pack_headers('[["a", "1"], ["a", null]]')), ARRAY[('a', '1'), ('a', NULL)]::millrace.header[], 'packed headers');

-- a definition
SELECT is(millrace.format_columns('ndjson'), 'document integer', 'its column');
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('own', topic => 't', fields => 'document int', format => 'ndjson',
                          transform => 'SELECT document FROM event', target => 'doc') $$, '42939', 'field name "document" is reserved with format "ndjson"', NULL, 'its name is reserved');
SELECT lives_ok($$ SELECT millrace.create_pipeline('docs', topic => 'docs', fields => 'id int NOT NULL', format => 'ndjson', target => 'doc', dlq => 'off',
                   transform => 'SELECT id, document, topic, millrace.readable(key) AS key, kafka_ts AS at, headers ->> ''tag'' AS tag FROM event WHERE id <> 7') $$,
                'a pipeline');
SELECT results_eq($$ SELECT sample, document, outcome, rows -> 0 ->> 'id', sqlstate FROM millrace.dry_run('docs',
                       ARRAY[E'{"id": 1}\n{"id": "x"}\n{"id": 100}\n{"id": 7}\n{"id": 2}', '{"id": 3}', E'\n', NULL]) $$,
                  $$ VALUES (1, 1, 'written', '1', NULL), (1, 2, 'dead', NULL, '22P02'), (1, 3, 'dead', NULL, '23514'), (1, 4, 'filtered', NULL, NULL),
                            (1, 5, 'written', '2', NULL), (2, 1, 'written', '3', NULL), (3, NULL, 'skipped', NULL, NULL), (4, NULL, 'dead', NULL, '22004') $$,
                  'an outcome for each');
SELECT is((SELECT rows -> 0 FROM millrace.dry_run('docs', ARRAY['{"id": 1}'], key => 'K', headers => '{"tag": "T"}', topic => 'other', "time" => '2026-01-31Z')),
          '{"id": 1, "at": "2026-01-31T00:00:00+00:00", "key": "K", "tag": "T", "topic": "other", "document": 1}', 'which has what the message has');
SELECT ok((SELECT bool_or(message LIKE 'sample 1, document 2 fails in stage decode%') FROM millrace.pipeline_findings('docs', ARRAY[E'{"id": 1}\n{"id": "x"}'])),
          'findings name the document');
SELECT isnt_empty($$ SELECT 1 FROM millrace.pipeline_findings('docs', ARRAY[E'{"id": 1}\n{"id": 2, "extra": 1}']) WHERE code = 'key_not_read' AND message LIKE '%extra%' $$,
                  'keys of all documents are looked at');

-- of documents with one key the last one counts, in whatever order the transform gives their rows
CREATE TABLE latest (id int PRIMARY KEY, document int);
SELECT millrace.create_pipeline('last', topic => 'docs', fields => 'id int', format => 'ndjson', target => 'latest', dlq => 'off', on_conflict => 'update', conflict_key => '{id}',
                                transform => 'SELECT id, document FROM event ORDER BY document DESC');
SELECT results_eq($$ SELECT document, outcome FROM millrace.dry_run('last', ARRAY[E'{"id": 1}\n{"id": 2}\n{"id": 1}\n{"id": 1}']) $$,
                  $$ VALUES (1, 'superseded'), (2, 'written'), (3, 'superseded'), (4, 'written') $$, 'the last document of a key stays');
SELECT millrace.alter_pipeline('last', merge => 'document = 1 / (new.document - old.document + 1)');
SELECT results_eq($$ SELECT document, outcome FROM millrace.dry_run('last', ARRAY[E'{"id": 1}\n{"id": 1}']) $$, $$ VALUES (1, 'written'), (2, 'written') $$,
                  'and they are merged in their order');

-- explain(): a transform that divides by what it is to get
SELECT lives_ok($$ SELECT millrace.alter_pipeline('docs', transform => 'SELECT id / (CASE WHEN document = 2 AND topic = ''other'' AND key = ''K''
                     AND headers ->> ''tag'' = ''T'' AND millrace.header_first(header_list, ''tag'') = ''T'' AND kafka_ts = ''2026-01-31Z'' THEN 0 ELSE 1 END) AS id FROM event');
                   DO $d$ BEGIN
                     PERFORM millrace.explain('docs', true, ARRAY[E'{"id": 1}\n{"id": 2}']);
                     BEGIN
                       PERFORM millrace.explain('docs', true, ARRAY[E'{"id": 1}\n{"id": 2}'], key => 'K', headers => '{"tag": "T"}', topic => 'other', "time" => '2026-01-31Z');
                       RAISE EXCEPTION 'it did not run on them';
                     EXCEPTION WHEN division_by_zero THEN NULL; END;
                   END $d$ $$, 'explain() runs on documents, with key, headers, topic and time');
SELECT finish();
ROLLBACK;
