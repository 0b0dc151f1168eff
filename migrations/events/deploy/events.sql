-- Deploy events:events to pg

BEGIN;

-- How to get from a unit to the one that is kept: value * factor + shift.
CREATE TABLE event_unit (
  unit   text             PRIMARY KEY,
  kept   text             NOT NULL,
  factor double precision NOT NULL DEFAULT 1,
  shift  double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE event_unit IS 'Units of readings, and how to convert from them. A unit that is not here is kept as it is.';

INSERT INTO event_unit (unit, kept, factor, shift) VALUES
  ('°C',   '°C',  1, 0),       ('C',    '°C',  1, 0),       ('degC', '°C',  1, 0),
  ('°F',   '°C',  5.0 / 9, -160.0 / 9), ('F', '°C', 5.0 / 9, -160.0 / 9), ('degF', '°C', 5.0 / 9, -160.0 / 9),
  ('K',    '°C',  1, -273.15),
  ('hPa',  'hPa', 1, 0),       ('mbar', 'hPa', 1, 0),       ('Pa',   'hPa', 0.01, 0),  ('kPa', 'hPa', 10, 0),
  ('inHg', 'hPa', 33.8638866667, 0),
  ('%',    '%',   1, 0),
  ('m/s',  'm/s', 1, 0),       ('km/h', 'm/s', 1 / 3.6, 0), ('mph',  'm/s', 0.44704, 0), ('kn', 'm/s', 0.514444444444, 0),
  ('mm',   'mm',  1, 0),       ('cm',   'mm',  10, 0),      ('in',   'mm',  25.4, 0);

CREATE TABLE event_source (
  source text PRIMARY KEY,
  site   text NOT NULL
);
COMMENT ON TABLE event_source IS 'Where sources are. Events of a source that is not here have no site.';

CREATE TABLE events (
  id        uuid             PRIMARY KEY,
  type      text             NOT NULL,
  source    text             NOT NULL,
  site      text,
  time      timestamptz      NOT NULL,
  value     double precision,
  unit      text,
  note      text,
  topic     text             NOT NULL,
  partition integer          NOT NULL,
  "offset"  bigint           NOT NULL,
  xid       xid8             NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE events IS 'What pipeline events has made of each event of topic events.';
COMMENT ON COLUMN events.id IS 'the event''s id when it is a uuid, else derived from source and id, or from the Kafka coordinate';
COMMENT ON COLUMN events.site IS 'of event_source';
COMMENT ON COLUMN events.value IS 'the number of the data, in unit';
COMMENT ON COLUMN events.note IS 'data that has no number, as text';
COMMENT ON COLUMN events.xid IS 'the transaction that wrote the row: the order of /events/stream';

-- for the API: order, filters, look-up by coordinate, stream
CREATE INDEX events_time ON events (time, id);
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_source ON events (source, time, id);
CREATE UNIQUE INDEX events_coordinate ON events (topic, partition, "offset");
CREATE INDEX events_xid ON events (xid, id);

GRANT SELECT ON event_unit, event_source TO events_owner, millrace_api;
GRANT SELECT, INSERT ON events TO events_owner;
GRANT SELECT ON events TO millrace_api;

COMMIT;
