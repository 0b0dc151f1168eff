-- The settings of a pipeline, in one list: create_pipeline() and alter_pipeline() are made from it (43_pipeline.sql), their
-- arguments are checked by it, and docs/sql.md is compared with it (tests/sql/settings.sql). A setting of the definition is
-- stored in the column of its name of millrace.pipeline_version and shown in that of the view pipelines.

-- name, type; "default": an expression, NULL = must be given; verbs: create, alter, both, or fixed, which alter_pipeline()
-- takes only to say what to do instead; rule and bounds: what _checked() checks a value by; removes: the value that removes the setting; about: for the comments of the verbs.
CREATE FUNCTION millrace._settings()
RETURNS TABLE (name text, type text, "default" text, verbs text, rule text, bounds text[], removes text, about text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $list$
  VALUES
  ('pipeline', 'text', NULL, 'both', NULL, NULL::text[], NULL, 'its name'),
  ('topic', 'text', NULL, 'fixed', NULL, NULL, NULL, 'Kafka topic to read, several with commas, or a regular expression that begins with ^, for all topics that it matches'),
  ('transform', 'text', NULL, 'both', NULL, NULL, NULL,
   'one SELECT over the relation event, its output columns named as columns of the target'),
  ('target', 'regclass', NULL, 'both', NULL, NULL, NULL, 'an ordinary or partitioned table'),
  ('fields', 'text', 'NULL', 'both', NULL, NULL, '',
   'columns to read from the JSON payload, e.g. ''id bigint NOT NULL, station text PATH ''''$.source'''' '''),
  ('format', 'text', '''json''', 'both', 'choice', '{json,confluent-json,connect,debezium,cloudevents,ndjson}', NULL,
   'what a message is: json, confluent-json (behind a schema registry''s prefix), connect (schema and payload), debezium (change events), cloudevents, or ndjson (several documents, one a line)'),
  ('start_at', 'text', '''earliest''', 'fixed', NULL, NULL, NULL, 'earliest, latest or a time, for the first start'),
  ('on_conflict', 'text', '''error''', 'both', 'choice', '{error,ignore,update}', NULL, 'error, ignore or update'),
  ('conflict_key', 'text[]', 'NULL', 'both', NULL, NULL, '[]', 'the columns of a unique index, for on_conflict ignore or update'),
  ('newer_by', 'text', 'NULL', 'both', NULL, NULL, '',
   'for on_conflict update: a row with a smaller value of this column does not replace one'),
  ('merge', 'text', 'NULL', 'both', NULL, NULL, '',
   'for on_conflict update: what columns become of the old and the new row, e.g. ''hits = old.hits + new.hits''; the others get the new value'),
  ('tombstone', 'text', 'NULL', 'both', 'choice', '{dead_letter,skip,delete}', NULL,
   'what a null payload does: dead_letter, skip, or delete (the row of its key, for on_conflict update), by default skip for on_conflict update'),
  ('tombstone_key', 'text', 'NULL', 'both', NULL, NULL, '',
   'for tombstone delete: how the columns of conflict_key are read from the message key, a field list; by default each under its own name, or a single one as text'),
  ('delete_when', 'text', 'NULL', 'both', NULL, NULL, '',
   'for on_conflict update: a condition over event; where it is true the row of the conflict key is deleted'),
  ('workers', 'integer', '1', 'both', 'integer', '{1,64}', NULL, 'how many work in parallel'),
  ('batch_rows', 'integer', '50000', 'both', 'integer', '{1,100000}', NULL, 'most events in one commit; more than 20000 only while such a batch takes half a second at most'),
  ('rows_per_event', 'integer', '10000', 'both', 'integer', '{1,100000000}', NULL, 'most rows one event may give'),
  ('statement_timeout', 'interval', '''60 s''', 'both', 'timeout', NULL, NULL, 'for each statement over a batch, 0 for none'),
  ('paused', 'boolean', 'false', 'fixed', NULL, NULL, NULL, 'true to resume() it later'),
  ('allow_superuser', 'boolean', 'false', 'both', NULL, NULL, NULL, 'true to let a superuser own it'),
  ('search_path', 'text', 'pg_catalog.current_setting(''search_path'')', 'both', NULL, NULL, NULL,
   'for the transform, by default the session''s'),
  ('owner', 'regrole', NULL, 'alter', NULL, NULL, NULL, 'the new owner, a role the caller is a member of'),
  ('max_retries', 'integer', '3', 'both', 'integer', '{0,1000}', NULL, 'how often a failing event is tried again'),
  ('retry_delay', 'interval', '''1 s''', 'both', 'interval', '{0,1 day}', NULL, 'before the first retry'),
  ('retry_factor', 'float8', '2', 'both', 'number', '{1,100}', NULL, 'each delay is the previous one multiplied by it'),
  ('retry_max_delay', 'interval', '''1 min''', 'both', 'interval', '{0,1 day}', NULL, 'upper bound of the delay'),
  ('retry_jitter', 'float8', '0.2', 'both', 'number', '{0,1}', NULL, 'share of the delay that is added or subtracted at random'),
  ('retry_age', 'interval', '''1 day''', 'both', 'interval', '{0,24 days}', NULL,
   'no retry later than this after the first failure, 0 for no limit'),
  ('failure_share', 'float8', 'NULL', 'both', 'number', '{0,1}', '0',
   'share of the last failure_window events above which the circuit breaker opens'),
  ('failure_window', 'integer', '1000', 'both', 'integer', '{10,1000000}', NULL, 'number of events failure_share is taken of'),
  ('ordering', 'text', '''none''', 'both', 'choice', '{none,key}', NULL,
   'key makes later events of a failing key (of its partition) wait behind it, none lets them pass'),
  ('on_dead', 'text', '''release''', 'both', 'choice', '{release,hold}', NULL,
   'with ordering key, events behind one that becomes a dead letter continue at once (release), or when it is replayed or discarded (hold)'),
  ('max_parked', 'integer', '10000', 'both', 'integer', '{1,1000000}', NULL, 'events that may wait behind a failing key before the pipeline itself waits'),
  ('max_parked_per_key', 'integer', '1000', 'both', 'integer', '{1,1000000}', NULL, 'the same, of one key'),
  ('date_order', 'text', '''ISO''', 'both', 'choice', '{ISO,DMY,MDY,YMD}', NULL,
   'how dates such as 03/04/2026 are read; ISO refuses them'),
  ('time_zone', 'text', '''UTC''', 'both', NULL, NULL, NULL, 'zone of times that have none, and of the transform'),
  ('other_zone', 'text', '''error''', 'both', 'choice', '{error,convert,drop}', NULL,
   'what a value with another zone becomes where the type has none (date, time, timestamp)'),
  ('bytea_format', 'text', '''auto''', 'both', 'choice', '{auto,base64,hex,text}', NULL,
   'how bytes are written; auto takes \x, 0x and base64, and refuses what could be hexadecimal digits as well'),
  ('epoch', 'text', '''none''', 'both', 'choice', '{none,d,s,ms,us,ns}', NULL,
   'unit of numbers for dates and times (since 1970) and intervals; none refuses them'),
  ('number_style', 'text', '''plain''', 'both', 'choice', '{plain,point,comma}', NULL,
   'how numbers in strings are written: 1234.5, 1,234.5 or 1.234,5'),
  ('interval_style', 'text', '''postgres''', 'both', 'choice', '{postgres,sql_standard}', NULL,
   'how intervals in strings are read, as the server''s setting'),
  ('dead_letter_retention', 'interval', 'NULL', 'both', 'age', '{1 s,100 years}', '00:00:00',
   'dead letters that were replayed or discarded so long ago are deleted, and what is recorded about it; 0 to keep them'),
  ('type_field', 'text', 'NULL', 'both', NULL, NULL, '',
   'the column of event with the type of an event: they are counted by it (view stats_by_type)'),
  ('dlq', 'text', 'NULL', 'both', NULL, NULL, NULL,
   'Kafka topic that gets the dead letters, by default the topic''s name (of several the pipeline''s) and .dlq, off for none'),
  ('dlq_delivery', 'text', '''exactly_once''', 'both', 'choice', '{exactly_once,at_least_once}', NULL,
   'exactly_once, or at_least_once for brokers without transactions'),
  ('group_prefix', 'text', '''''', 'both', 'prefix', NULL, NULL,
   'what the names of its consumer group and transactional id in Kafka begin with'),
  ('samples', 'text[]', 'NULL', 'create', NULL, NULL, NULL,
   'payloads of the topic to try it on: what pipeline_findings() says of it is shown as notices and warnings');
$list$;
REVOKE ALL ON FUNCTION millrace._settings FROM PUBLIC;
COMMENT ON FUNCTION millrace._settings IS 'Internal: the arguments of create_pipeline and alter_pipeline.';

-- Values the rules allow, in the form they are stored in: intervals in milliseconds, null for what is removed. What is
-- not given is left out.
CREATE FUNCTION millrace._checked(given jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  stored jsonb := jsonb_strip_nulls(given);
  s      record;
BEGIN
  FOR s IN SELECT c.*, given ->> c.name AS value FROM millrace._settings() WITH ORDINALITY AS c
           WHERE given ->> c.name IS NOT NULL ORDER BY c.ordinality
  LOOP
    CASE s.rule
      WHEN 'integer' THEN PERFORM millrace._check_range(s.name, s.value::bigint, s.bounds[1]::bigint, s.bounds[2]::bigint);
      WHEN 'number' THEN PERFORM millrace._check_number(s.name, s.value::float8, s.bounds[1]::float8, s.bounds[2]::float8);
      WHEN 'prefix' THEN PERFORM millrace._check_prefix(s.name, s.value);
      WHEN 'choice' THEN PERFORM millrace._check_choice(s.name, s.value, s.bounds);
      WHEN 'interval' THEN
        stored := stored || jsonb_build_object(s.name,
          millrace._interval_ms(s.name, s.value::interval, s.bounds[1]::interval, s.bounds[2]::interval));
      WHEN 'age' THEN
        IF s.value::interval <> interval '0' THEN
          PERFORM millrace._check_interval(s.name, s.value::interval, s.bounds[1]::interval, s.bounds[2]::interval);
        END IF;
      WHEN 'timeout' THEN stored := stored || jsonb_build_object(s.name, millrace._timeout_ms(s.value::interval));
      ELSE NULL;
    END CASE;
    IF (CASE s.rule WHEN 'number' THEN s.value::float8 = s.removes::float8 ELSE btrim(s.value) = s.removes END) THEN  -- -0 is 0
      stored := stored || jsonb_build_object(s.name, NULL);
    END IF;
  END LOOP;
  RETURN stored;
END $$;
REVOKE ALL ON FUNCTION millrace._checked FROM PUBLIC;
COMMENT ON FUNCTION millrace._checked IS 'Internal: settings within their bounds, as they are stored.';

-- The arguments of a verb as CREATE FUNCTION takes them, and as its comment explains them.
CREATE FUNCTION millrace._setting_arguments(verb text, OUT declared text, OUT explained text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT string_agg(format('%I %s%s', s.name, s.type,
                           CASE WHEN s.name = 'pipeline' THEN NULL
                                WHEN verb = 'alter' AND s.name <> 'allow_superuser' THEN ' DEFAULT NULL'
                                ELSE ' DEFAULT ' || s."default" END), ', ' ORDER BY s.ordinality),
         string_agg(format('%s: %s', s.name, s.about), '; ' ORDER BY s.ordinality) FILTER (WHERE verb = 'create' OR s.verbs <> 'fixed')
  FROM millrace._settings() WITH ORDINALITY AS s WHERE s.verbs IN (verb, 'both', 'fixed');
$$;
REVOKE ALL ON FUNCTION millrace._setting_arguments FROM PUBLIC;
COMMENT ON FUNCTION millrace._setting_arguments IS 'Internal: arguments of create_pipeline or alter_pipeline.';
