-- Deploy weather:weather to pg

BEGIN;

-- What an observation is measured in, and how to get to SI: si = value * factor + shift.
CREATE TABLE unit (
  unit    text             PRIMARY KEY,
  si_unit text             NOT NULL,
  factor  double precision NOT NULL DEFAULT 1,
  shift   double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE unit IS 'Units of the events, and how to convert from them.';

INSERT INTO unit (unit, si_unit, factor, shift) VALUES
  ('F',    '°C',  5.0 / 9, -160.0 / 9),
  ('mph',  'm/s', 0.44704, 0),
  ('in',   'mm',  25.4,    0),
  ('mi',   'km',  1.609344, 0),
  ('mbar', 'hPa', 1,       0),
  ('deg',  '°',   1,       0),
  ('%',    '%',   1,       0);

-- Events of a station or in a unit that nobody knows leave a NOT NULL column empty: a dead letter that says so.
-- The first empty column is the one it names, so unit stands before the value computed by it.
CREATE TABLE weather (
  station     text             NOT NULL REFERENCES station,
  observed_at timestamptz      NOT NULL,
  quantity    text             NOT NULL,
  unit        text             NOT NULL,
  value       double precision NOT NULL,
  event_id    uuid             NOT NULL,
  PRIMARY KEY (station, observed_at, quantity)
);
COMMENT ON TABLE weather IS 'Hourly observations in SI units: one row per station, hour and quantity.';
COMMENT ON COLUMN weather.event_id IS 'the event that the row stems from';

GRANT SELECT ON unit TO weather_owner, weather_reader;
GRANT SELECT, INSERT, UPDATE ON weather TO weather_owner;
GRANT SELECT ON weather TO weather_reader;

COMMIT;
