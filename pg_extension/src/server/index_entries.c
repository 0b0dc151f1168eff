/* index_entries.c: see index_entries.h. Runs in workers. */
#include "server/index_entries.h"

#include "access/genam.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"

#include "server/compat.h"

static bool is_plain(Relation index, const IndexInfo *info);
static bool calls_users(Node *node, void *arg);
static bool is_in_index(IndexInfo *info, TupleTableSlot *slot, EState *estate);

void
mr_index_entries_begin(MrIndexEntries *entries, ResultRelInfo *result, EState *estate)
{
	bool plain = true;

	*entries = (MrIndexEntries){.result = result, .estate = estate};
	if (result->ri_NumIndices == 0)
		return;
	entries->leaves = palloc0(result->ri_NumIndices * sizeof(MrKeptLeaf));
	for (int i = 0; plain && i < result->ri_NumIndices; i++)
	{
		Relation index = result->ri_IndexRelationDescs[i];
		IndexInfo *info = result->ri_IndexRelationInfo[i];

		plain = is_plain(index, info) &&
				mr_leaf_begin(&entries->leaves[i], index, result->ri_RelationDesc);
	}
	if (!plain)
	{
		pfree(entries->leaves);
		entries->leaves = NULL;
	}
}

void
mr_index_entries_add(MrIndexEntries *entries, TupleTableSlot *slot)
{
	ResultRelInfo *result = entries->result;
	Datum values[INDEX_MAX_KEYS];
	bool isnull[INDEX_MAX_KEYS];

	if (entries->leaves == NULL)
	{
		if (result->ri_NumIndices > 0)
			list_free(mr_insert_index_tuples(result, slot, entries->estate));
		return;
	}
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		Relation index = result->ri_IndexRelationDescs[i];
		IndexInfo *info = result->ri_IndexRelationInfo[i];

		if (!is_in_index(info, slot, entries->estate))
			continue;
		FormIndexDatum(info, slot, entries->estate, values, isnull);
		if (mr_leaf_insert(&entries->leaves[i], values, isnull, &slot->tts_tid))
			continue;
		if (info->ii_Unique)
			mr_index_entries_release(entries); /* it may wait for a transaction; others do not */
		(void) index_insert(index, values, isnull, &slot->tts_tid, result->ri_RelationDesc,
							info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	}
}

void
mr_index_entries_release(MrIndexEntries *entries)
{
	if (entries->leaves == NULL)
		return;
	for (int i = 0; i < entries->result->ri_NumIndices; i++)
		mr_leaf_release(&entries->leaves[i]);
}

static bool
is_users(Oid function, void *arg)
{
	return function >= FirstUnpinnedObjectId;
}

static bool
calls_users(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_CoerceToDomain: /* these call functions that are not named in them */
		case T_MinMaxExpr:
		case T_SubscriptingRef:
		case T_RowCompareExpr:
			return true;
		default:
			return check_functions_in_node(node, is_users, arg) ||
				   expression_tree_walker(node, calls_users, arg);
	}
}

/*
 * No entry depends on more than the values of columns, and a unique one is checked at once. A leaf is kept while a predicate is
 * looked at, so none that may wait.
 */
static bool
is_plain(Relation index, const IndexInfo *info)
{
	return index->rd_rel->relam == BTREE_AM_OID && RelationNeedsWAL(index) &&
		   info->ii_ReadyForInserts && info->ii_Expressions == NIL &&
		   !calls_users((Node *) info->ii_Predicate, NULL) && info->ii_ExclusionOps == NULL &&
		   (!info->ii_Unique || index->rd_index->indimmediate);
}

/* As ExecInsertIndexTuples() finds out. */
static bool
is_in_index(IndexInfo *info, TupleTableSlot *slot, EState *estate)
{
	ExprContext *context;

	if (info->ii_Predicate == NIL)
		return true;
	if (info->ii_PredicateState == NULL)
		info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, estate);
	context = GetPerTupleExprContext(estate);
	context->ecxt_scantuple = slot;
	return ExecQual(info->ii_PredicateState, context);
}
