BEGIN;
\ir helper.psql
SELECT plan(21);

SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
SET ROLE mrt_stranger;
SELECT pg_temp.refused($$ SELECT millrace.pause('p') $$, '42501', 'must be owner', NULL, 'a stranger cannot pause');
SELECT pg_temp.refused($$ SELECT millrace.resume('p') $$, '42501', 'must be owner', NULL, 'a stranger cannot resume');
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.pause('nix') $$, '42704', 'does not exist', NULL, 'unknown pipeline');
SELECT lives_ok($$ SELECT millrace.pause('p') $$, 'pause');
SELECT is((SELECT status FROM millrace.pipelines WHERE name = 'p'), 'paused', 'it is paused');
SELECT lives_ok($$ SELECT millrace.pause('p') $$, 'pause again does nothing');
SELECT lives_ok($$ SELECT millrace.resume('p') $$, 'resume');
SELECT cmp_ok((SELECT status FROM millrace.pipelines WHERE name = 'p'), '<>', 'paused', 'it is not paused');

-- a stopped partition
SET ROLE mrt_ingestor;
SELECT millrace.add_partitions('p', 0, '{5,6}');
SELECT epoch AS epoch0 FROM millrace.positions('p') WHERE partition = 0 \gset
SELECT epoch AS epoch1 FROM millrace.positions('p') WHERE partition = 1 \gset
SELECT is(millrace.stop_partition('p', 1, :epoch1 # 1, 'gone', 'skip'), false, 'a stale epoch stops nothing');
SELECT is(millrace.stop_partition('p', 1, :epoch1, 'offset 6 is gone', 'skip over it'), true, 'the present one does');
SELECT results_eq($$ SELECT partition, state, next_offset FROM millrace.positions('p') $$,
                  $$ VALUES (0, 'active', 5::bigint), (1, 'stopped', 6::bigint) $$, 'one partition is stopped');
SET ROLE mrt_owner;
SELECT results_eq($$ SELECT error, hint FROM millrace.partitions WHERE pipeline = 'p' AND partition = 1 $$,
                  $$ VALUES ('offset 6 is gone', 'skip over it') $$, 'with its reason');
SELECT is((SELECT state FROM millrace.partitions WHERE pipeline = 'p' AND partition = 0), 'active', 'the other goes on');
SELECT lives_ok($$ SELECT millrace.resume('p') $$, 'resume');
SELECT results_eq($$ SELECT state, error FROM millrace.partitions WHERE pipeline = 'p' ORDER BY partition $$,
                  $$ VALUES ('active', NULL::text), ('active', NULL) $$, 'makes it active again');
SET ROLE mrt_ingestor;
SELECT cmp_ok((SELECT epoch FROM millrace.positions('p') WHERE partition = 1), '<>', :epoch1::bigint, 'with a new epoch');
SELECT is((SELECT epoch FROM millrace.positions('p') WHERE partition = 0), :epoch0, 'and leaves the other alone');

-- on record: what changed something
SET ROLE mrt_owner;
SET application_name = 'a test';
SELECT millrace.pause('p'), millrace.resume('p'), millrace.resume('p');
SELECT results_eq($$ SELECT verb, by, via = 'a test' FROM millrace.pipeline_changes WHERE pipeline = 'p' ORDER BY at $$,
  $$ VALUES ('pause', 'mrt_owner', false), ('resume', 'mrt_owner', false), ('resume', 'mrt_owner', false),
            ('pause', 'mrt_owner', true), ('resume', 'mrt_owner', true) $$, 'who did it, and with which program');
SET ROLE mrt_stranger;
SELECT is((SELECT count(*) FROM millrace.pipeline_changes), 0::bigint, 'a stranger sees nothing of it');
-- verbs run without just-in-time compilation, and leave the setting as it was
RESET ROLE;
SET LOCAL jit = on;
CREATE TABLE seen (jit text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mrt.seen VALUES (current_setting('jit')); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE ON millrace.pipeline FOR EACH ROW EXECUTE FUNCTION mrt.note();
SELECT millrace.pause('p');
SELECT is((SELECT string_agg(DISTINCT jit, ',') FROM seen), 'off', 'a verb runs without just-in-time compilation');
SELECT is(current_setting('jit'), 'on', 'and leaves the setting as it was');

SELECT * FROM finish();
ROLLBACK;
