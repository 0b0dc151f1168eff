-- Deploy weather:pipeline to pg
-- The same hour is in the data twice where the clocks went back: the later event counts.

BEGIN;

SET LOCAL ROLE weather_owner;

SELECT millrace.create_pipeline(
  'weather',
  topic     => 'weather',
  fields    => $$
    id     uuid             NOT NULL,
    type   text             NOT NULL,
    source text             NOT NULL,
    ts     timestamptz      NOT NULL,
    value  double precision,
    unit   text             NOT NULL
  $$,
  transform => $$
    SELECT station.code                                                   AS station,
           event.ts                                                       AS observed_at,
           event.type                                                     AS quantity,
           unit.si_unit                                                   AS unit,
           round((event.value * unit.factor + unit.shift)::numeric, 3)::double precision AS value,
           event.id                                                       AS event_id
    FROM event
    LEFT JOIN station ON station.code = event.source
    LEFT JOIN unit ON unit.unit = event.unit
    WHERE event.value IS NOT NULL
  $$,
  target       => 'weather',
  on_conflict  => 'update',
  conflict_key => ARRAY['station', 'observed_at', 'quantity'],
  type_field   => 'type',
  workers      => 2,
  search_path  => 'public');

RESET ROLE;

COMMIT;
