-- Deploy weather:temperature to pg
-- A second pipeline over the same topic, into a table that only grows, and a window over it. What is wrong with an event is a dead
-- letter of pipeline weather, in Kafka too; here it only does not count.

BEGIN;

CREATE TABLE temperature (
  station text             NOT NULL,
  at      timestamptz      NOT NULL,
  celsius double precision NOT NULL
);
COMMENT ON TABLE temperature IS 'Temperatures as they were measured, in the order in which they came.';
GRANT SELECT, INSERT ON temperature TO weather_owner;
GRANT SELECT ON temperature TO weather_reader;

SET LOCAL ROLE weather_owner;

SELECT millrace.create_pipeline(
  'temperature',
  topic       => 'weather',
  fields      => $$
    type   text             NOT NULL,
    source text             NOT NULL,
    ts     timestamptz      NOT NULL,
    value  double precision
  $$,
  transform   => $$
    SELECT station.code                     AS station,
           event.ts                         AS at,
           (event.value - 32) * (5.0 / 9.0) AS celsius
    FROM event
    JOIN station ON station.code = event.source
    WHERE event.type = 'temp' AND event.value IS NOT NULL
  $$,
  target      => 'temperature',
  dlq         => 'off',
  search_path => 'public');

SELECT millrace.create_window(
  'temperature_by_day',
  'temperature',
  event_time => 'at',
  size       => '1 day',
  time_zone  => 'America/New_York',
  group_by   => '{station}',
  aggregates => 'count(*) AS n, avg(celsius) AS mean, min(celsius) AS low, max(celsius) AS high');

GRANT SELECT ON millrace.window_temperature_by_day TO weather_reader;

RESET ROLE;

COMMIT;
