-- Which role may use which Kafka topic. Ingestors read and write Kafka with credentials of their own, on behalf of the owners
-- of pipelines: nobody may have them read a topic, or publish dead letters or windows to one, that was not granted to him.

-- Whether each topic that a pipeline uses is granted to its owner. A superuser needs no grant; a grant to a role counts for its
-- members. The one place that decides: the verbs refuse by it, what ingestors are given to do is filtered by it, views explain it.
CREATE VIEW millrace._topic_use WITH (security_barrier) AS
SELECT p.id AS pipeline_id, p.owner, u.use, u.topic,
       EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = p.owner AND r.rolsuper)
       OR EXISTS (SELECT FROM millrace.topic_grant AS g
                  WHERE g.use = u.use AND pg_catalog.pg_has_role(p.owner::oid, g.role::oid, 'USAGE')
                        -- the characters of a topic name mean themselves in a regular expression, but for the dot
                        AND u.topic ~ pg_catalog.concat('^', pg_catalog.replace(pg_catalog.replace(g.pattern, '.', '[.]'), '*', '.*'), '$'))
       AS is_granted
FROM millrace.pipeline AS p
LEFT JOIN millrace.dlq AS q ON q.pipeline_id = p.id AND q.enabled
CROSS JOIN LATERAL (
  SELECT 'read', s.topic FROM millrace._source AS s WHERE s.pipeline_id = p.id AND s.gone_at IS NULL
  UNION ALL
  SELECT 'dlq', q.topic WHERE q.topic IS NOT NULL
  UNION ALL
  SELECT DISTINCT 'output', o.topic FROM millrace.window_definition AS w JOIN millrace.window_outlet AS o ON o.window_id = w.id
  WHERE w.pipeline_id = p.id AND o.topic IS NOT NULL) AS u (use, topic);
COMMENT ON VIEW millrace._topic_use IS 'Internal: the topics pipelines use, and whether they are granted to the owner.';

-- Of each pipeline whether it may be served: of several topics it reads those that are granted, as long as one is; a pattern may
-- match some later.
CREATE VIEW millrace._source_use WITH (security_barrier) AS
SELECT p.id AS pipeline_id, p.topic_kind = 'pattern' OR coalesce(u.is_granted, false) AS is_served, u.lacking, u.topics
FROM millrace.pipeline AS p
CROSS JOIN LATERAL (
  SELECT pg_catalog.bool_or(u.is_granted) AS is_granted, pg_catalog.array_agg(u.topic ORDER BY u.topic) FILTER (WHERE NOT u.is_granted) AS lacking,
         pg_catalog.array_agg(u.topic ORDER BY u.topic) FILTER (WHERE u.is_granted) AS topics
  FROM millrace._topic_use AS u WHERE u.pipeline_id = p.id AND u.use = 'read') AS u;
COMMENT ON VIEW millrace._source_use IS 'Internal: which topics of each pipeline are granted to its owner and read, and which are lacking.';

CREATE FUNCTION millrace._grant_hint(pipeline_id integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT format('SELECT millrace.grant_topics(%L, %s);', min(u.owner::text),
                string_agg(format('%s => %L', u.use, u.topics), ', ' ORDER BY u.use DESC))
  FROM (SELECT u.owner, u.use, array_agg(u.topic ORDER BY u.topic) AS topics
        FROM millrace._topic_use AS u WHERE u.pipeline_id = _grant_hint.pipeline_id AND NOT u.is_granted GROUP BY u.owner, u.use) AS u;
$$;
REVOKE ALL ON FUNCTION millrace._grant_hint(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._grant_hint(integer) IS 'Internal: the command that grants what a pipeline lacks.';

-- After a change of a pipeline's topics, owner or workers.
CREATE FUNCTION millrace._check_grants(pipeline_id integer) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  lacking record;
BEGIN
  SELECT u.owner, u.topic, CASE u.use WHEN 'read' THEN 'read' WHEN 'dlq' THEN 'publish dead letters to' ELSE 'publish windows to' END AS action INTO lacking
  FROM millrace._topic_use AS u WHERE u.pipeline_id = _check_grants.pipeline_id AND NOT u.is_granted
        -- a topic that a pattern matches is not read before it is granted: doctor() names it
        AND NOT (u.use = 'read' AND EXISTS (SELECT FROM millrace.pipeline AS c WHERE c.id = u.pipeline_id AND c.topic_kind = 'pattern'))
  ORDER BY u.use DESC, u.topic LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'role "%" is not allowed to % topic "%"', lacking.owner, lacking.action, lacking.topic
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'Ingestors use Kafka with their own credentials, for pipelines whose owner was granted the topic.',
            HINT = format('Ask a superuser to run: %s', millrace._grant_hint(pipeline_id));
  END IF;
  SELECT c.owner, c.topic INTO lacking FROM millrace.pipeline AS c JOIN pg_roles AS r ON r.oid = c.owner AND NOT r.rolsuper
  WHERE c.id = _check_grants.pipeline_id AND c.topic_kind = 'pattern'
        AND NOT EXISTS (SELECT FROM millrace.topic_grant AS g WHERE g.use = 'read' AND pg_has_role(c.owner::oid, g.role::oid, 'USAGE'));
  IF FOUND THEN
    RAISE EXCEPTION 'role "%" is not allowed to read any topic', lacking.owner
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Of the topics that "%s" matches those are read that are granted.', lacking.topic),
            HINT = format('Ask a superuser to run: SELECT millrace.grant_topics(%L, read => ''{sensors.*}''); with * for any characters.', lacking.owner);
  END IF;
  PERFORM millrace._check_workers(c.owner) FROM millrace.pipeline AS c WHERE c.id = _check_grants.pipeline_id;
END $$;
REVOKE ALL ON FUNCTION millrace._check_grants(integer) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_grants(integer) IS 'Internal: refuses topics that were not granted to a pipeline''s owner, and too many workers.';

-- VOLATILE: sees what was committed while the caller waited. NULL or absent limit (a server without millrace preloaded): none.
CREATE FUNCTION millrace._check_workers(owner regrole) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  allowed integer := current_setting('millrace.max_workers_per_role', true);
  taken   integer;
BEGIN
  SELECT sum(p.workers) INTO taken
  FROM millrace.pipeline AS p JOIN pg_roles AS r ON r.oid = p.owner AND NOT r.rolsuper
  WHERE p.owner = _check_workers.owner AND p.instance = millrace._instance();
  IF taken > allowed THEN
    RAISE EXCEPTION 'pipelines of role "%" would have % workers, expected at most %', owner, taken, allowed
      USING ERRCODE = 'configuration_limit_exceeded',
            HINT = 'Use fewer workers, or ask a superuser to raise millrace.max_workers_per_role.';
  END IF;
END $$;
REVOKE ALL ON FUNCTION millrace._check_workers(regrole) FROM PUBLIC;
COMMENT ON FUNCTION millrace._check_workers(regrole) IS 'Internal: refuses more workers than a role may have.';

-- Verbs that run at the same time do not see each other's pipelines. So the workers are counted again when each commits, one
-- after the other: no verb waits for a transaction that is merely open.
CREATE FUNCTION millrace._recheck_workers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
  PERFORM millrace._lock_owner(new.owner);
  PERFORM millrace._check_workers(new.owner);
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION millrace._recheck_workers() FROM PUBLIC;
COMMENT ON FUNCTION millrace._recheck_workers() IS 'Internal: counts the workers of a role when a verb commits.';
CREATE CONSTRAINT TRIGGER recheck_workers AFTER INSERT OR UPDATE OF owner, workers, instance ON millrace.pipeline
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION millrace._recheck_workers();

-- The patterns of all uses as rows, checked.
CREATE FUNCTION millrace._topic_patterns(read text[], dlq text[], output text[]) RETURNS TABLE (use text, pattern text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  wrong text := (SELECT coalesce(p, 'null') FROM unnest(read || dlq || output) AS p WHERE p ~ '^[A-Za-z0-9._*-]{1,249}$' IS NOT TRUE LIMIT 1);
BEGIN
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION '"%" is not a valid topic pattern', left(wrong, 300)
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'A pattern is the name of a topic, in which * stands for any characters.',
            HINT = 'Pass read => ''{events}'' for one topic, ''{sales.*}'' for all that begin with "sales.", ''{*}'' for all.';
  END IF;
  RETURN QUERY SELECT DISTINCT v.use, p FROM (VALUES ('read', read), ('dlq', dlq), ('output', output)) AS v (use, patterns) CROSS JOIN unnest(v.patterns) AS p;
END $$;
REVOKE ALL ON FUNCTION millrace._topic_patterns(text[], text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._topic_patterns(text[], text[], text[]) IS 'Internal: patterns of grant_topics() and revoke_topics(), checked.';

CREATE FUNCTION millrace._grant_topics(caller regrole, role regrole, read text[], dlq text[], output text[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  granted integer;
BEGIN
  PERFORM millrace._check_given(ARRAY['role'], ARRAY[role IS NULL]);
  PERFORM millrace._check_extension_owner(caller, 'grant topics', 'Ingestors use Kafka with their own credentials, for pipelines of all owners.');
  IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
    RAISE EXCEPTION 'role with OID % does not exist', role::oid
      USING ERRCODE = 'undefined_object', HINT = 'Grant to a role: a grant to one that all owners are members of is for all of them.';
  ELSIF coalesce(read, dlq, output) IS NULL THEN
    RAISE EXCEPTION 'no topics to grant to role "%"', role
      USING ERRCODE = 'null_value_not_allowed',
            HINT = format('Name them: SELECT millrace.grant_topics(%L, read => ''{events}'', dlq => ''{events.dlq}'');', role);
  END IF;
  -- a later role may get the number of one that was dropped
  DELETE FROM millrace.topic_grant AS g WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = g.role);
  INSERT INTO millrace.topic_grant AS g (role, use, pattern, granted_by)
  SELECT _grant_topics.role, p.use, p.pattern, caller::text FROM millrace._topic_patterns(read, dlq, output) AS p
  ON CONFLICT ON CONSTRAINT topic_grant_pkey DO NOTHING;
  GET DIAGNOSTICS granted = ROW_COUNT;
  RETURN granted;
END $$;
REVOKE ALL ON FUNCTION millrace._grant_topics(regrole, regrole, text[], text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._grant_topics(regrole, regrole, text[], text[], text[]) IS 'Internal: grant_topics for a role.';

CREATE FUNCTION millrace.grant_topics(role regrole, read text[] DEFAULT NULL, dlq text[] DEFAULT NULL, output text[] DEFAULT NULL) RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.grant_topics(regrole, text[], text[], text[]) IS
'Allows a role, and its members, to create pipelines that use these Kafka topics through the ingestors. Without it only superusers may.
In: role; read: topics that pipelines may read; dlq: topics that dead letters may be published to; output: topics that windows may be published to; all are patterns: names of topics, in which * stands for any characters.
Out: number of patterns that were not granted yet.
Errors: invalid_parameter_value for what is no pattern; null_value_not_allowed without read, dlq and output; undefined_object for no role; insufficient_privilege unless the caller is a superuser or a member of the extension''s owner.';

CREATE FUNCTION millrace._revoke_topics(caller regrole, role regrole, read text[], dlq text[], output text[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
  revoked integer;
BEGIN
  PERFORM millrace._check_given(ARRAY['role'], ARRAY[role IS NULL]);
  PERFORM millrace._check_extension_owner(caller, 'revoke topics', 'Pipelines of the role are no longer served.');
  DELETE FROM millrace.topic_grant AS g
  WHERE g.role = _revoke_topics.role
        AND (coalesce(read, dlq, output) IS NULL OR (g.use, g.pattern) IN (SELECT p.use, p.pattern FROM millrace._topic_patterns(read, dlq, output) AS p));
  GET DIAGNOSTICS revoked = ROW_COUNT;
  RETURN revoked;
END $$;
REVOKE ALL ON FUNCTION millrace._revoke_topics(regrole, regrole, text[], text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION millrace._revoke_topics(regrole, regrole, text[], text[], text[]) IS 'Internal: revoke_topics for a role.';

CREATE FUNCTION millrace.revoke_topics(role regrole, read text[] DEFAULT NULL, dlq text[] DEFAULT NULL, output text[] DEFAULT NULL) RETURNS integer
LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mr_verb';
COMMENT ON FUNCTION millrace.revoke_topics(regrole, text[], text[], text[]) IS
'Removes what grant_topics() granted. Ingestors stop serving pipelines that lack a topic then, within seconds; events that are staged already are still processed.
In: role; read, dlq, output: patterns as they were granted; none: all of the role.
Out: number of patterns removed.
Errors: invalid_parameter_value for what is no pattern; insufficient_privilege unless the caller is a superuser or a member of the extension''s owner.';

CREATE VIEW millrace.topic_grants WITH (security_barrier) AS
SELECT g.role, g.use, g.pattern, g.granted_by, g.granted_at
FROM millrace.topic_grant AS g JOIN pg_catalog.pg_roles AS r ON r.oid = g.role
WHERE pg_catalog.pg_has_role(g.role::oid, 'USAGE') OR (SELECT r.sees_all FROM millrace._reader AS r)
ORDER BY r.rolname, g.use DESC, g.pattern;
COMMENT ON VIEW millrace.topic_grants IS 'Kafka topics that roles may use in pipelines.';
COMMENT ON COLUMN millrace.topic_grants.use IS 'read, dlq (dead letters may be published to it), or output (windows may be)';
COMMENT ON COLUMN millrace.topic_grants.pattern IS 'name of a topic, * stands for any characters';
GRANT SELECT ON millrace.topic_grants TO PUBLIC;
