/*
 * stored_row.c: see stored_row.h. Made where programs are made; runs in workers.
 */
#include "program/stored_row.h"

#include "access/genam.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "program/plain_target.h"
#include "server/compat.h"

#define STORED_RELATION "millrace_stored"

/* Each other row of an index, and each expression in one, would be asked for the rows between. */
static bool
is_of_conflict_key(const MrProgram *program, const Form_pg_index index)
{
	Bitmapset *columns = NULL;
	Bitmapset *keys = NULL;

	for (int i = 0; i < index->indnkeyatts; i++)
		columns = bms_add_member(columns, index->indkey.values[i]);
	for (int i = 0; i < program->nconflict; i++)
		keys = bms_add_member(keys, program->columns[program->keys[i].column].attnum);
	return bms_equal(columns, keys);
}

static bool
indexes_allow(const MrProgram *program, Relation target)
{
	List *indexes = RelationGetIndexList(target);
	bool allow = true;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		const Form_pg_index form = index->rd_index;

		if (RelationGetIndexExpressions(index) != NIL || RelationGetIndexPredicate(index) != NIL ||
			((form->indisunique || form->indisexclusion) && !is_of_conflict_key(program, form)))
			allow = false;
		index_close(index, AccessShareLock);
	}
	return allow;
}

typedef struct Reference
{
	const MrProgram *program;
	int excluded; /* its index in the range table */
} Reference;

/* A walker: whether a system column is read, or a column of new that only the statement could fill. */
static bool
reads_more(Node *node, Reference *reference)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		const Var *var = (const Var *) node;

		return var->varattno < 0 || (var->varno == reference->excluded &&
									 !bms_is_member(var->varattno, reference->program->given));
	}
	if (IsA(node, SubLink) || IsA(node, Query))
		return true; /* its references are at another level, which is not looked into */
	return expression_tree_walker(node, reads_more, reference);
}

bool
mr_target_folds(const MrProgram *program, Relation target, const Query *query)
{
	Reference reference = {.program = program, .excluded = query->onConflict->exclRelIndex};
	AclMode needed = ACL_SELECT | ACL_INSERT | ACL_UPDATE;

	return mr_target_is_plain(target, program->given) && indexes_allow(program, target) &&
		   pg_class_aclmask(RelationGetRelid(target), GetUserId(), needed, ACLMASK_ALL) == needed &&
		   !reads_more((Node *) query->onConflict->onConflictSet, &reference) &&
		   !reads_more(query->onConflict->onConflictWhere, &reference);
}

TupleDesc
mr_stored_row_describe(TupleDesc target, bool with_number)
{
	int n = 0;
	TupleDesc desc;

	for (int i = 0; i < target->natts; i++)
		n += TupleDescAttr(target, i)->attisdropped ? 0 : 1;
	desc = CreateTemplateTupleDesc(n + (with_number ? 1 : 0));
	n = 0;
	for (int i = 0; i < target->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(target, i);

		if (attribute->attisdropped)
			continue;
		TupleDescInitEntry(desc, ++n, NameStr(attribute->attname), attribute->atttypid,
						   attribute->atttypmod, attribute->attndims);
		TupleDescInitEntryCollation(desc, n, attribute->attcollation);
	}
	if (with_number)
		TupleDescInitEntry(desc, n + 1, "number", INT4OID, -1, 0);
	return desc;
}

static bool
is_key(const MrProgram *program, AttrNumber attnum)
{
	for (int i = 0; i < program->nconflict; i++)
		if (program->columns[program->keys[i].column].attnum == attnum)
			return true;
	return false;
}

static const char *
name_at(TupleDesc desc, int i)
{
	return quote_identifier(NameStr(TupleDescAttr(desc, i)->attname));
}

/* The row is there, and locked: it is found as any upsert finds it. */
static const char *
store_statement(const MrProgram *program, TupleDesc target, TupleDesc visible)
{
	StringInfoData names;
	StringInfoData sql;
	int n = 0;

	initStringInfo(&names);
	for (int i = 0; i < visible->natts; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", name_at(visible, i));
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM " STORED_RELATION
					 " ON CONFLICT (",
					 mr_target_name(program->definition), names.data, names.data);
	for (int i = 0; i < program->nconflict; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(program->columns[program->keys[i].column].name));
	appendStringInfoString(&sql, ") DO UPDATE SET ");
	for (int i = 0; i < target->natts; i++)
		if (!TupleDescAttr(target, i)->attisdropped && !is_key(program, i + 1) &&
			TupleDescAttr(target, i)->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			appendStringInfo(&sql, "%s%s = EXCLUDED.%s", n++ > 0 ? ", " : "", name_at(target, i),
							 name_at(target, i));
	return sql.data;
}

/* The statement's expression as one over two rows. */
static Node *
over_rows(const Query *query, Node *expression)
{
	Node *copy = copyObject(expression);

	ChangeVarNodes(copy, query->onConflict->exclRelIndex, INNER_VAR, 0);
	return copy;
}

MrStoredRow *
mr_stored_row_create(const MrProgram *program, Relation target, const Query *query)
{
	MrStoredRow *stored = palloc0(sizeof(MrStoredRow));
	TupleDesc visible;

	stored->target = CreateTupleDescCopyConstr(RelationGetDescr(target));
	visible = mr_stored_row_describe(stored->target, false);
	stored->rows = mr_stored_row_describe(stored->target, true);
	stored->store =
		mr_plan_create(store_statement(program, stored->target, visible), STORED_RELATION, visible,
					   stored->rows, program->definition->target, NULL, NULL);
	mr_check_query_permissions(mr_plan_analyze(stored->store));
	stored->assignments = (List *) over_rows(query, (Node *) query->onConflict->onConflictSet);
	stored->condition = (Expr *) over_rows(query, query->onConflict->onConflictWhere);
	return stored;
}

void
mr_stored_row_put(const MrStoredRow *stored, Tuplestorestate *rows, TupleTableSlot *slot,
				  int32 number)
{
	Datum values[MaxTupleAttributeNumber];
	bool isnull[MaxTupleAttributeNumber];
	int n = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < stored->target->natts; i++)
	{
		if (TupleDescAttr(stored->target, i)->attisdropped)
			continue;
		values[n] = slot->tts_values[i];
		isnull[n++] = slot->tts_isnull[i];
	}
	values[n] = Int32GetDatum(number);
	isnull[n] = false;
	tuplestore_putvalues(rows, stored->rows, values, isnull);
}
