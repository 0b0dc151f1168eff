-- What only some versions of PostgreSQL have. What a version lacks is skipped there.
BEGIN;
\ir helper.psql
SELECT plan(18);
SELECT current_setting('server_version_num')::int >= 160000 AS v16, current_setting('server_version_num')::int >= 180000 AS v18 \gset
SET ROLE mrt_owner;
SELECT pg_temp.pipeline('p') AS id \gset
RESET ROLE;

-- 16: a member may have the rights of a role without being allowed to SET ROLE to it
\if :v16
GRANT INSERT ON mrt.reading TO mrt_stranger;
SELECT millrace.grant_topics('mrt_stranger', read => '{events}', dlq => '{events.dlq}');
GRANT mrt_stranger TO mrt_owner WITH INHERIT TRUE, SET FALSE;
SET ROLE mrt_owner;
SELECT pg_temp.refused($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_stranger') $$, '42501',
                       'must be member of role "mrt_stranger"', 'GRANT mrt_stranger TO mrt_owner', 'an owner that the caller may not SET ROLE to');
RESET ROLE;
GRANT mrt_stranger TO mrt_owner WITH INHERIT FALSE, SET TRUE;
SET ROLE mrt_owner;
SELECT lives_ok($$ SELECT millrace.alter_pipeline('p', owner => 'mrt_stranger') $$, 'an owner that the caller may SET ROLE to');
RESET ROLE;
\else
SELECT skip('membership without SET: PostgreSQL 16', 2);
\endif

-- 18: virtual generated columns, with NOT NULL and CHECK; constraints that are not enforced, or not valid; keys of ranges
\if :v18
CREATE TABLE mrt.product (id bigint PRIMARY KEY, price numeric, twice numeric GENERATED ALWAYS AS (price * 2) VIRTUAL NOT NULL,
                          CHECK (twice < 100));
CREATE TABLE mrt.kept (id bigint PRIMARY KEY, price numeric, twice numeric GENERATED ALWAYS AS (price * 2),
                       by_default numeric DEFAULT 7, UNIQUE (price));
CREATE TABLE mrt.relaxed (id bigint, value numeric, CONSTRAINT big CHECK (value > 1000) NOT ENFORCED,
                          CONSTRAINT small CHECK (value < 5000));
CREATE TABLE mrt.parent (id bigint PRIMARY KEY);
CREATE TABLE mrt.child (id bigint, parent bigint REFERENCES mrt.parent NOT ENFORCED, n bigint);
ALTER TABLE mrt.child ADD CONSTRAINT n_given NOT NULL n NOT VALID;
CREATE TABLE mrt.late (id bigint PRIMARY KEY, v bigint, n bigint DEFAULT 1);
INSERT INTO mrt.late VALUES (1, 1, NULL), (2, 1, 1);
ALTER TABLE mrt.late ADD CONSTRAINT n_given NOT NULL n NOT VALID;
CREATE TABLE mrt.booking (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
ALTER TABLE mrt.product OWNER TO mrt_owner;
ALTER TABLE mrt.kept OWNER TO mrt_owner;
ALTER TABLE mrt.relaxed OWNER TO mrt_owner;
ALTER TABLE mrt.child OWNER TO mrt_owner;
ALTER TABLE mrt.late OWNER TO mrt_owner;
ALTER TABLE mrt.booking OWNER TO mrt_owner;
SET ROLE mrt_owner;
CREATE FUNCTION pg_temp.made(pipeline text, target text, fields text, more text DEFAULT '') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  id integer;
BEGIN
  EXECUTE format('SELECT millrace.create_pipeline(%L, topic => ''events'', target => %L, fields => %L, transform => %L %s)',
                 pipeline, target, fields, 'SELECT ' || (SELECT string_agg('event.' || split_part(f, ' ', 1), ', ')
                 FROM regexp_split_to_table(fields, ', ') AS f) || ' FROM event', more) INTO id;
  RETURN id;
END $$;
CREATE FUNCTION pg_temp.outcomes(pipeline text, VARIADIC samples text[]) RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(coalesce(d.sqlstate || ' ' || d.message, d.outcome) ORDER BY d.sample) FROM millrace.dry_run(pipeline, samples) AS d;
$$;

SELECT lives_ok($$ SELECT pg_temp.made('product', 'mrt.product', 'id bigint, price numeric') $$, 'a target with a virtual generated column');
SELECT is(pg_temp.outcomes('product', '{"id":1,"price":2}', '{"id":2}', '{"id":3,"price":60}', '{"id":4,"price":3}'),
          ARRAY['written', '23502 null value in column "twice" of relation "product" violates not-null constraint',
                '23514 new row for relation "product" violates check constraint "product_twice_check"', 'written'],
          'its NOT NULL and its CHECK refuse their own events alone');
SELECT pg_temp.refused($$ SELECT pg_temp.made('given', 'mrt.product', 'id bigint, twice numeric') $$, '428C9',
                       'column "twice" of "product" is generated', 'Leave it out', 'a virtual column cannot be given');
SELECT lives_ok($$ SELECT pg_temp.made('kept', 'mrt.kept', 'id bigint, price numeric',
                   ', on_conflict => ''update'', conflict_key => ''{price}''') $$, 'an upsert into one');
SELECT is(pg_temp.outcomes('kept', '{"id":1,"price":2}', '{"id":2,"price":2}', '{"id":3,"price":4}'),
          ARRAY['superseded', 'written', 'written'], 'it is written');

SELECT lives_ok($$ SELECT pg_temp.made('relaxed', 'mrt.relaxed', 'id bigint, value numeric') $$, 'a target with a CHECK that is not enforced');
SELECT is(pg_temp.outcomes('relaxed', '{"id":1,"value":1}', '{"id":2,"value":6000}'),
          ARRAY['written', '23514 new row for relation "relaxed" violates check constraint "small"'], 'the other one is');
SELECT lives_ok($$ SELECT pg_temp.made('child', 'mrt.child', 'id bigint, parent bigint, n bigint') $$, 'foreign key not enforced, NOT NULL not valid');
SELECT is(pg_temp.outcomes('child', '{"id":1,"parent":8,"n":1}', '{"id":2}'),
          ARRAY['written', '23502 null value in column "n" of relation "child" violates not-null constraint'], 'new rows are held to NOT NULL alone');
SELECT lives_ok($$ SELECT pg_temp.made('late', 'mrt.late', 'id bigint, v bigint',
                   ', on_conflict => ''update'', conflict_key => ''{id}''') $$, 'an upsert of rows that have nulls from before');
SELECT is(pg_temp.outcomes('late', '{"id":1,"v":2}', '{"id":2,"v":2}', '{"id":3,"v":2}'),
          ARRAY['23502 null value in column "n" of relation "late" violates not-null constraint', 'written', 'written'],
          'an update of one is refused, as PostgreSQL does');

SELECT lives_ok($$ SELECT pg_temp.made('booking', 'mrt.booking', 'room int4range, during daterange') $$, 'a key WITHOUT OVERLAPS');
SELECT is(pg_temp.outcomes('booking', '{"room":"[1,2)","during":"[2026-01-01,2026-02-01)"}', '{"room":"[1,2)","during":"[2026-01-15,2026-03-01)"}',
                           '{"room":"[2,3)","during":"[2026-01-15,2026-03-01)"}'),
          ARRAY['written', '23P01 conflicting key value violates exclusion constraint "booking_pkey"', 'written'], 'an overlap fails alone');
SELECT pg_temp.refused($$ SELECT pg_temp.made('upserted', 'mrt.booking', 'room int4range, during daterange',
                          ', on_conflict => ''update'', conflict_key => ''{room,during}''') $$, '42P10',
                       'matches no unique index', NULL, 'which ON CONFLICT cannot use');
RESET ROLE;
SELECT is((SELECT array_agg(k::text ORDER BY k) FROM millrace._unique_keys('mrt.kept') AS k), ARRAY['{id}', '{price}'], 'unlike the others');
SELECT is((SELECT count(*) FROM mrt.product), 0::bigint, 'nothing of a dry run stays');
\else
SELECT skip('virtual generated columns, constraints not enforced, keys WITHOUT OVERLAPS: PostgreSQL 18', 16);
\endif

SELECT * FROM finish();
ROLLBACK;
