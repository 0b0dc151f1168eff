/*
 * conflict_index.c: see conflict_index.h. Runs where programs are made.
 */
#include "program/conflict_index.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
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

static Bitmapset *
key_columns(const MrProgram *program)
{
	Bitmapset *key = NULL;

	for (int i = 0; i < program->nconflict; i++)
		key = bms_add_member(key, program->columns[program->keys[i].column].attnum);
	return key;
}

Oid
mr_conflict_index(const MrProgram *program, Relation target)
{
	Bitmapset *key;
	Oid found = InvalidOid;
	int n = 0;
	ListCell *cell;

	if (!has_more_than_key(program) ||
		(program->newer_column >= 0 &&
		 !orders_by_operator(&program->columns[program->newer_column])))
		return InvalidOid;
	key = key_columns(program);
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

/* Two that are deterministic have no equal values but identical ones. */
static bool
are_equal_alike(Oid one, Oid other)
{
	return one == other ||
		   (OidIsValid(one) && OidIsValid(other) && get_collation_isdeterministic(one) &&
			get_collation_isdeterministic(other));
}

/* Whether a column of the index, counted from 0, takes the same values for equal as "=" does. */
static bool
compares_as_operator(Relation index, int place, const MrColumn *column)
{
	Oid type = index->rd_opcintype[place];

	return are_equal_alike(index->rd_indcollation[place], column->collation) &&
		   get_opfamily_member(index->rd_opfamily[place], type, type, BTEqualStrategyNumber) ==
			   lookup_type_cache(column->type_id, TYPECACHE_EQ_OPR)->eq_opr;
}

static const MrColumn *
key_column(const MrProgram *program, AttrNumber attnum)
{
	for (int i = 0; i < program->nconflict; i++)
		if (program->columns[program->keys[i].column].attnum == attnum)
			return &program->columns[program->keys[i].column];
	return NULL;
}

static void
check_index(const MrProgram *program, Relation index)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		const MrColumn *column = key_column(program, index->rd_index->indkey.values[i]);

		if (column != NULL && !compares_as_operator(index, i, column))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("unique index \"%s\" compares column \"%s\" otherwise than \"=\"",
							RelationGetRelationName(index), column->name),
					 errdetail("Windows follow changes of a row by its key, and an upsert may "
							   "replace the row of another key by this index."),
					 errhint("Create it with the collation and the operator class of the "
							 "column.")));
	}
}

static void
check_not_null(const MrProgram *program, Relation target, const MrColumn *column)
{
	if (TupleDescAttr(RelationGetDescr(target), column->attnum - 1)->attnotnull)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of the conflict_key of pipeline \"%s\" may be null",
					column->name, program->definition->name),
			 errdetail(
				 "Windows follow changes of a row by its key, and a null is the key of no row."),
			 errhint("Run: ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;",
					 mr_target_name(program->definition), quote_identifier(column->name))));
}

void
mr_conflict_key_check(const MrProgram *program, Relation target)
{
	Bitmapset *key = key_columns(program);
	ListCell *cell;

	for (int i = 0; i < program->nconflict; i++)
		check_not_null(program, target, &program->columns[program->keys[i].column]);
	foreach (cell, RelationGetIndexList(target))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_unique_by(index, key) && RelationGetIndexPredicate(index) == NIL)
			check_index(program, index);
		index_close(index, AccessShareLock);
	}
}
