-- Trying a pipeline on events without their having any effect.

CREATE FUNCTION millrace.dry_run(pipeline text, samples text[] DEFAULT NULL, staged integer DEFAULT 100)
RETURNS TABLE (sample integer, partition integer, "offset" bigint, outcome text, rows jsonb, stage text, sqlstate text,
               message text, detail text, hint text)
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_dry_run';
COMMENT ON FUNCTION millrace.dry_run(text, text[], integer) IS
'What would become of events: each is decoded, transformed and written, and everything is rolled back.
In: pipeline; samples: payloads to try; or, without samples, staged: so many events that wait in staging.
Out: per event its number, coordinate (of staged events), outcome (written, filtered, superseded, skipped, dead, retrying), the rows it gives, and why it fails.
Errors: undefined_object for an unknown pipeline; insufficient_privilege unless the session is the pipeline''s owner; those of the definition.';
