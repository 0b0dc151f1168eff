-- What the extension has made in a database, one fact a line, without anything that depends on OIDs, on the order of creation
-- or on use (segments, values of sequences). Two databases with the same facts have the same extension.
WITH e AS (SELECT * FROM pg_extension WHERE extname = 'millrace'),
n AS (SELECT oid FROM pg_namespace WHERE nspname = 'millrace'),
c AS (SELECT * FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relname !~ '^segment_\d')
SELECT 'member ' || pg_describe_object(classid, objid, objsubid) AS fact FROM pg_depend, e WHERE refobjid = e.oid AND deptype = 'e' AND refclassid = 'pg_extension'::regclass
      AND pg_describe_object(classid, objid, objsubid) !~ 'millrace\.segment_\d'
UNION ALL
SELECT format('extension in schema %s, relocatable %s', extnamespace::regnamespace, extrelocatable) FROM e
UNION ALL
SELECT format('config %s %L', k.c::regclass, extcondition[k.i]) FROM e, unnest(extconfig) WITH ORDINALITY AS k (c, i)
UNION ALL
SELECT format('schema acl %s comment %s', nspacl, obj_description(oid, 'pg_namespace')) FROM pg_namespace WHERE nspname = 'millrace'
UNION ALL
SELECT format('class %s kind %s persistence %s acl %s options %s am %s comment %s', c.oid::regclass, relkind, relpersistence, relacl, reloptions, (SELECT amname FROM pg_am WHERE oid = relam), obj_description(c.oid, 'pg_class')) FROM c
UNION ALL
SELECT format('column %s %s %s %s notnull %s default %s acl %s collation %s comment %s', c.oid::regclass, a.attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(d.adbin, d.adrelid), attacl, attcollation, col_description(c.oid, a.attnum)) FROM c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
UNION ALL
SELECT format('constraint %s %s %s comment %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')) FROM pg_constraint AS k, n WHERE connamespace = n.oid AND conrelid::regclass::text !~ '\.segment_\d'
UNION ALL
SELECT format('index %s', pg_get_indexdef(c.oid)) FROM c WHERE relkind = 'i'
UNION ALL
SELECT format('sequence %s', to_jsonb(s) - 'last_value') FROM pg_sequences AS s WHERE schemaname = 'millrace'
UNION ALL
SELECT format('sequence %s owned by %s', d.objid::regclass, pg_describe_object(refclassid, refobjid, refobjsubid)) FROM pg_depend AS d JOIN c ON c.oid = d.objid AND c.relkind = 'S' WHERE d.deptype = 'a'
UNION ALL
SELECT format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM c WHERE relkind = 'v'
UNION ALL
SELECT format('function %s owner-rights %s acl %s comment %s %s', p.oid::regprocedure, prosecdef, proacl, obj_description(p.oid, 'pg_proc'), CASE WHEN prokind <> 'a' THEN pg_get_functiondef(p.oid) END) FROM pg_proc AS p, n WHERE pronamespace = n.oid
UNION ALL
SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger AS t JOIN c ON c.oid = tgrelid
UNION ALL
SELECT format('am %s %s %s', amname, amhandler::regprocedure, obj_description(oid, 'pg_am')) FROM pg_am WHERE amname LIKE 'millrace%'
UNION ALL
SELECT format('replica identity of %s %s', c.oid::regclass, c.relreplident) FROM c WHERE relkind = 'r'
UNION ALL
SELECT format('row %s', to_jsonb(k) - 'id') FROM millrace.error_class AS k WHERE builtin
ORDER BY 1;
