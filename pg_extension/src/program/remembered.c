/*
 * remembered.c: see remembered.h. Runs in workers, in a transaction.
 */
#include "program/remembered.h"

#include "access/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

MrRememberedTable *
mr_remember_table(Relation rel)
{
	MrRememberedTable *table = palloc0(sizeof(MrRememberedTable));
	TupleDesc desc = RelationGetDescr(rel);

	table->oid = RelationGetRelid(rel);
	table->schema = get_namespace_name(RelationGetNamespace(rel));
	table->name = pstrdup(RelationGetRelationName(rel));
	table->ncolumns = desc->natts;
	table->columns = palloc0(Max(desc->natts, 1) * sizeof(MrRememberedColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		table->columns[i].name = pstrdup(NameStr(attribute->attname));
		table->columns[i].type =
			format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
		table->columns[i].not_null = attribute->attnotnull;
	}
	return table;
}

List *
mr_remember(const MrProgram *program)
{
	List *oids =
		list_concat_unique_oid(list_make1_oid(program->definition->target), program->relations);
	List *tables = NIL;
	ListCell *cell;

	foreach (cell, oids)
	{
		Relation rel = try_relation_open(lfirst_oid(cell), AccessShareLock);

		if (rel == NULL)
			continue;
		tables = lappend(tables, mr_remember_table(rel));
		relation_close(rel, NoLock);
	}
	return tables;
}
