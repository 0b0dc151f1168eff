/*
 * conflict_index.c: see conflict_index.h. Runs where programs are made.
 */
#include "program/conflict_index.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Whether rows are unique by these columns, as far as ON CONFLICT is concerned. */
static bool
is_unique_by(Relation index, const Bitmapset *key)
{
	Form_pg_index form = index->rd_index;
	Bitmapset *columns = NULL;
	bool equal;

	if (!form->indisunique || form->indisexclusion || !form->indisvalid)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
		columns = bms_add_member(columns, form->indkey.values[i]);
	equal = bms_equal(columns, key);
	bms_free(columns);
	return equal;
}

static bool
is_usable(Relation index)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relam == BTREE_AM_OID && form->indimmediate && form->indisready &&
		   !form->indnullsnotdistinct && RelationGetIndexPredicate(index) == NIL;
}

/* Rows are compared as they are sorted, an UPDATE ... WHERE new >= old compares them by the operator of that name. */
static bool
orders_by_operator(const MrColumn *column)
{
	TypeCacheEntry *type = lookup_type_cache(column->type_id, TYPECACHE_BTREE_OPFAMILY);
	Oid named =
		OpernameGetOprid(list_make1(makeString(">=")), type->btree_opintype, type->btree_opintype);

	return OidIsValid(named) &&
		   named == get_opfamily_member(type->btree_opf, type->btree_opintype, type->btree_opintype,
										BTGreaterEqualStrategyNumber);
}

static bool
has_more_than_key(const MrProgram *program)
{
	for (int i = 0; i < program->ncolumns; i++)
		if (!program->columns[i].is_key)
			return true;
	return false;
}

Oid
mr_conflict_index(const MrProgram *program, Relation target)
{
	Bitmapset *key = NULL;
	Oid found = InvalidOid;
	int n = 0;
	ListCell *cell;

	if (!has_more_than_key(program) ||
		(program->newer_column >= 0 &&
		 !orders_by_operator(&program->columns[program->newer_column])))
		return InvalidOid;
	for (int i = 0; i < program->nconflict; i++)
		key = bms_add_member(key, program->columns[program->keys[i].column].attnum);
	foreach (cell, RelationGetIndexList(target))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_unique_by(index, key))
		{
			n++;
			if (is_usable(index))
				found = RelationGetRelid(index);
		}
		index_close(index, AccessShareLock);
	}
	return n == 1 ? found : InvalidOid;
}
