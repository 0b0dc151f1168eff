-- The topics of a pipeline, and the partitions of each as one number (millrace.topic_partition).

CREATE VIEW millrace._source WITH (security_barrier) AS
SELECT p.id AS pipeline_id, p.topic, NULL::timestamptz AS gone_at FROM millrace.pipeline AS p WHERE p.topic_kind = 'one'
UNION ALL
SELECT t.pipeline_id, t.topic, t.gone_at FROM millrace.pipeline_topic AS t;
COMMENT ON VIEW millrace._source IS 'Internal: the topics that pipelines read.';

CREATE FUNCTION millrace._partition_of(p millrace.pipeline, topic text, partition integer) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  IF p.topic_kind = 'one' THEN
    RETURN CASE WHEN p.topic = topic THEN partition END;
  END IF;
  RETURN (SELECT t.partition FROM millrace.topic_partition AS t
          WHERE t.pipeline_id = p.id AND t.topic = _partition_of.topic AND t.topic_partition = _partition_of.partition);
END $$;
REVOKE ALL ON FUNCTION millrace._partition_of(millrace.pipeline, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._partition_of(millrace.pipeline, text, integer) IS 'Internal: the number of a partition of a topic, null when the pipeline does not read it.';

CREATE FUNCTION millrace._partition_text(pipeline_id integer, partition integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce((SELECT format('%s of topic "%s"', t.topic_partition, t.topic) FROM millrace.topic_partition AS t
                   WHERE t.pipeline_id = _partition_text.pipeline_id AND t.partition = _partition_text.partition),
                  _partition_text.partition::text);
$$;
REVOKE ALL ON FUNCTION millrace._partition_text(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._partition_text(integer, integer) IS 'Internal: a partition in words, for messages.';

-- ', topic => 'a', partition => 3': the arguments of a verb, behind others; '' for both null.
CREATE FUNCTION millrace._place(topic text, partition integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT concat(', topic => ' || quote_literal(topic), ', partition => ' || partition);
$$;
REVOKE ALL ON FUNCTION millrace._place(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._place(text, integer) IS 'Internal: arguments that name a partition, for a hint.';

CREATE FUNCTION millrace._place(pipeline_id integer, partition integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT coalesce((SELECT millrace._place(t.topic, t.topic_partition) FROM millrace.topic_partition AS t
                   WHERE t.pipeline_id = _place.pipeline_id AND t.partition = _place.partition),
                  millrace._place(NULL::text, _place.partition));
$$;
REVOKE ALL ON FUNCTION millrace._place(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._place(integer, integer) IS 'Internal: the same of a partition by its number.';

-- What the argument topic is: one name, several with commas, or a regular expression that begins with ^.
CREATE FUNCTION millrace._check_source(given text, OUT kind text, OUT source text, OUT topics text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  name text;
BEGIN
  source := btrim(given);
  IF source IS NULL THEN
    RETURN;
  END IF;
  IF starts_with(source, '^') THEN
    kind := 'pattern';
    IF length(source) > 1000 THEN
      RAISE EXCEPTION 'the topic pattern has % characters, expected at most 1000', length(source)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Name what the topics have in common: topic => ''^sensors\..*''.';
    END IF;
    BEGIN
      PERFORM '' ~ source;
    EXCEPTION WHEN invalid_regular_expression THEN
      RAISE EXCEPTION 'topic pattern "%" is not valid: %', left(source, 300), SQLERRM
        USING ERRCODE = 'invalid_regular_expression',
              HINT = 'It is a regular expression of PostgreSQL''s. For all topics that begin with "sensors.": topic => ''^sensors\..*''.';
    END;
  ELSIF strpos(source, ',') = 0 THEN
    kind := 'one';
    PERFORM millrace._check_topic(source);
  ELSE
    kind := 'list';
    FOREACH name IN ARRAY string_to_array(source, ',') LOOP
      name := btrim(name);
      PERFORM millrace._check_topic(name);
      IF name = ANY (topics) THEN
        RAISE EXCEPTION 'topic "%" is in the list twice', name
          USING ERRCODE = 'invalid_parameter_value', HINT = 'Name each topic once.';
      END IF;
      topics := topics || name;
    END LOOP;
    source := array_to_string(topics, ',');
    IF cardinality(topics) > 1000 THEN
      RAISE EXCEPTION '% topics are given, expected at most 1000', cardinality(topics)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a pattern: topic => ''^sensors\..*''.';
    END IF;
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_source(text) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_source(text) IS 'Internal: reads the argument topic; refuses what is no topic, list of topics or pattern.';
