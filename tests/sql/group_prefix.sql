BEGIN;
\ir helper.psql
SELECT plan(15);

SELECT millrace.create_pipeline('team', topic => 'events', target => 'mrt.reading', transform => 'SELECT 1 AS id FROM event', group_prefix => 'team-a.',
                                allow_superuser => true);
SELECT format('millrace.%s.team', id) AS name FROM millrace.instance \gset
SELECT is((SELECT group_id FROM millrace.ingestor_pipelines() WHERE pipeline = 'team'), 'team-a.' || :'name', 'the consumer group begins with it');
SELECT is((SELECT transactional_id FROM millrace.relay_pipelines() WHERE pipeline = 'team'), 'team-a.' || :'name' || '.dlq', 'and the transactional id');
SELECT is((SELECT (group_prefix, group_id)::text FROM millrace.pipelines WHERE name = 'team'), format('(team-a.,team-a.%s)', :'name'), 'both are shown');
SELECT is((SELECT transactional_id FROM millrace.dlqs WHERE pipeline = 'team'), 'team-a.' || :'name' || '.dlq', 'with the transactional id');
SELECT is((SELECT former_ids FROM millrace.relay_pipelines() WHERE pipeline = 'team'), NULL, 'it had no other');

SELECT is(millrace.alter_pipeline('team', group_prefix => 'team-b-'), 1, 'another prefix is no new version');
SELECT is((SELECT group_id FROM millrace.ingestor_pipelines() WHERE pipeline = 'team'), 'team-b-' || :'name', 'the group is another');
SELECT is((SELECT former_ids FROM millrace.relay_pipelines() WHERE pipeline = 'team'), 'team-a.' || :'name' || '.dlq', 'a relay with the old id is fenced');
SELECT millrace.alter_pipeline('team', group_prefix => 'team-b-', workers => 2), millrace.alter_pipeline('team', workers => 1);
SELECT millrace.alter_pipeline('team', group_prefix => '');
SELECT is((SELECT group_id FROM millrace.pipelines WHERE name = 'team'), :'name', 'none');
SELECT millrace.alter_pipeline('team', group_prefix => 'team-a.');
SELECT is((SELECT former_ids FROM millrace.relay_pipelines() WHERE pipeline = 'team'), format('team-b-%1$s.dlq,%1$s.dlq', :'name'), 'each once, the present one not');
SELECT count(millrace.alter_pipeline('team', group_prefix => 'p' || n)) FROM generate_series(1, 20) AS n;
SELECT is((SELECT string_agg(split_part(f, 'millrace', 1), ',') FROM millrace.relay_pipelines() AS r, string_to_table(r.former_ids, ',') AS f WHERE pipeline = 'team'),
          'p12,p13,p14,p15,p16,p17,p18,p19', 'the last eight are kept');

SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('team', group_prefix => 'a b') $$, '22023', 'group_prefix "a b" is not valid', 'group_prefix => ''team-a.''', 'a space');
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('team', group_prefix => 'team/') $$, '22023', 'group_prefix "team/" is not valid', NULL, 'a slash');
SELECT pg_temp.refused(format($$ SELECT millrace.alter_pipeline('team', group_prefix => %L) $$, repeat('x', 101)), '22023', 'is not valid', NULL, 'too long');
SELECT pg_temp.refused($$ SELECT millrace.create_pipeline('q', topic => 'events', target => 'mrt.reading', transform => 'SELECT 1 AS id FROM event', group_prefix => NULL,
  allow_superuser => true) $$, '22004', 'group_prefix', NULL, 'null');
SELECT * FROM finish();
ROLLBACK;
