-- Rows of a batch reach the transform once each, whatever its plan does with them: reads them one by one, twice, or inside of
-- a subquery, and also while a function of the transform runs another pipeline's.
BEGIN;
\ir helper.psql
SELECT plan(8);

SET ROLE mrt_owner;
-- of a page for each row, so that a plan rather reads the events again than this table
CREATE TABLE mrt.kind (n int PRIMARY KEY, name text NOT NULL, filler text NOT NULL);
ALTER TABLE mrt.kind ALTER filler SET STORAGE PLAIN;
INSERT INTO mrt.kind SELECT i, 'kind ' || i, repeat('x', 7000) FROM generate_series(0, 9) AS i;
ANALYZE mrt.kind;
CREATE TABLE mrt.made (id bigint, name text);

-- What 100 events give, as text: ids and names in order.
CREATE FUNCTION pg_temp.made(pipeline text, transform text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM millrace.create_pipeline(pipeline, topic => 'events', target => 'mrt.made', fields => 'id bigint, name text',
                                   transform => transform);
  RETURN (SELECT string_agg(concat_ws('=', r ->> 'id', r ->> 'name'), ',' ORDER BY (r ->> 'id')::bigint, r ->> 'name')
          FROM millrace.dry_run(pipeline, ARRAY(SELECT format('{"id": %s, "name": "n%s"}', i, i % 10)
                                                FROM generate_series(1, 100) AS i)) AS d
               CROSS JOIN LATERAL jsonb_array_elements(d.rows) AS r);
END $$;
CREATE FUNCTION pg_temp.expected(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  EXECUTE format('SELECT string_agg(concat_ws(''='', e.id, e.name), '','' ORDER BY e.id, e.name) FROM (%s) AS e (id, name)', query)
    INTO found;
  RETURN found;
END $$;

SELECT is(pg_temp.made('plain', 'SELECT event.id, event.name FROM event WHERE event.id % 2 = 0'),
          pg_temp.expected('SELECT i, ''n'' || i % 10 FROM generate_series(2, 100, 2) AS i'), 'a projection with a filter');
SELECT is(pg_temp.made('hashed', 'SELECT event.id, kind.name FROM event LEFT JOIN mrt.kind ON kind.n = event.id % 20'),
          pg_temp.expected('SELECT i, CASE WHEN i % 20 < 10 THEN ''kind '' || i % 20 END FROM generate_series(1, 100) AS i'), 'a hash join');
SET LOCAL enable_material = off;
SELECT is(pg_temp.made('twice', 'SELECT event.id, kind.name FROM mrt.kind JOIN event ON event.id + kind.n < 10'),
          pg_temp.expected('SELECT i, ''kind '' || n FROM generate_series(1, 100) AS i, generate_series(0, 9) AS n WHERE i + n < 10'),
          'the inner side of a nested loop');
RESET enable_material;
SELECT is(pg_temp.made('sorted', 'SELECT event.id, event.name FROM event ORDER BY event.name DESC, event.id'),
          pg_temp.expected('SELECT i, ''n'' || i % 10 FROM generate_series(1, 100) AS i'), 'a sort');
SELECT is(pg_temp.made('lateral', 'SELECT event.id, k.name FROM event CROSS JOIN LATERAL (SELECT kind.name FROM mrt.kind WHERE kind.n = event.id OFFSET 0) AS k'),
          pg_temp.expected('SELECT i, ''kind '' || i FROM generate_series(1, 9) AS i'), 'the outer side of a nested loop');
SELECT is(pg_temp.made('sub', 'SELECT event.id, (SELECT max(kind.name) FROM mrt.kind WHERE kind.n = event.id % 10) AS name FROM event'),
          pg_temp.expected('SELECT i, ''kind '' || i % 10 FROM generate_series(1, 100) AS i'), 'a subquery for each row');

-- A function that runs another pipeline in the middle, and one that fails there.
CREATE FUNCTION mrt.inner_run(id bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(d.rows -> 0 ->> 'id', '+' ORDER BY d.sample) FROM millrace.dry_run('plain', ARRAY['{"id": 2}', format('{"id": %s}', id * 2)]) AS d
$$;
SELECT is(pg_temp.made('nested', 'SELECT event.id, mrt.inner_run(event.id) AS name FROM event WHERE event.id <= 3'),
          '1=2+2,2=2+4,3=2+6', 'a run inside of a run');
CREATE FUNCTION mrt.inner_failure(id bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM millrace.dry_run('fails', ARRAY['{"id": 1}', '{"id": 0}', '{"id": 2}']);
  RETURN 1 / (id - 2);
EXCEPTION WHEN division_by_zero THEN
  RETURN 'failed';
END $$;
SELECT millrace.create_pipeline('fails', topic => 'events', target => 'mrt.made', fields => 'id bigint',
                                transform => 'SELECT 1 / event.id AS id FROM event');
SELECT is(pg_temp.made('around', 'SELECT event.id, mrt.inner_failure(event.id) AS name FROM event WHERE event.id <= 3'),
          '1=-1,2=failed,3=1', 'a run inside of a run that fails');

SELECT * FROM finish();
ROLLBACK;
