-- Deploy events:extension to pg
-- An extension that is there already stays as it is.

BEGIN;

CREATE EXTENSION IF NOT EXISTS millrace;

COMMIT;
