/*
 * program.c: from a definition to something that runs. Used by workers (as the pipeline's owner) and by
 * create_pipeline and alter_pipeline (as the caller) to check a definition.
 */
#include "pipeline/event_types.h"
#include "program/program.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "server/compat.h"
#include "program/conflict_index.h"
#include "program/deletion.h"
#include "program/keep.h"
#include "program/merge.h"
#include "program/message_key.h"
#include "program/plain_target.h"
#include "program/stored_row.h"
#include "program/transform_check.h"
#include "program/type_field.h"
#include "program/unread.h"

#define ROWS_RELATION "millrace_rows"

static TupleDesc
describe_rows(MrProgram *program, bool with_number)
{
	TupleDesc desc = CreateTemplateTupleDesc(program->ncolumns + (with_number ? 1 : 0));

	for (int i = 0; i < program->ncolumns; i++)
	{
		MrColumn *column = &program->columns[i];

		TupleDescInitEntry(desc, i + 1, column->name, column->type_id, column->typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, column->collation);
	}
	if (with_number)
		TupleDescInitEntry(desc, program->ncolumns + 1, "number", INT4OID, -1, 0);
	return desc;
}

static int
column_index(const MrProgram *program, AttrNumber attnum)
{
	for (int i = 0; i < program->ncolumns; i++)
		if (program->columns[i].attnum == attnum)
			return i;
	return -1;
}

static void
add_key(MrProgram *program, int column)
{
	MrColumn *c = &program->columns[column];
	TypeCacheEntry *type = lookup_type_cache(c->type_id, TYPECACHE_LT_OPR);
	MrSortKey *key = &program->keys[program->nkeys++];

	if (!OidIsValid(type->lt_opr))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("column \"%s\" of type %s cannot be ordered", c->name,
							   format_type_be(c->type_id)),
						errhint("Choose a column of an ordered type.")));
	key->column = column;
	key->support.ssup_cxt = program->context;
	key->support.ssup_collation = c->collation;
	key->support.ssup_nulls_first = true;
	key->support.abbreviate = program->nkeys == 1;
	PrepareSortSupportFromOrderingOp(type->lt_opr, &key->support);
}

/* The column of the transform that feeds the named column of the target. */
static int
fed_column(MrProgram *program, const char *name, const char *option)
{
	for (int i = 0; i < program->ncolumns; i++)
		if (strcmp(program->columns[i].name, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("%s names column \"%s\", which the transform does not give", option, name),
			 errhint("Add it to the transform.")));
}

/*
 * Whether a default of a column that is not given may depend on the order in which rows are inserted, as nextval()
 * does.
 */
static bool
has_default(const MrProgram *program, Relation target)
{
	for (int i = 0; i < RelationGetDescr(target)->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(target), i);

		if ((attribute->atthasdef || attribute->attidentity != '\0') && !attribute->attisdropped &&
			column_index(program, i + 1) < 0)
			return true;
	}
	return false;
}

/*
 * Rows are inserted in the order of their key: two lanes that upsert the same keys in different orders
 * deadlock, and an index on a random key is filled faster in order. Not so in ordering => 'key' when triggers
 * or defaults could depend on the order: then in the order of the events.
 */
static void
choose_keys(MrProgram *program, Relation target)
{
	MrDefinition *definition = program->definition;
	ListCell *cell;

	program->keys =
		palloc0((list_length(definition->conflict_key) + INDEX_MAX_KEYS + 1) * sizeof(MrSortKey));
	program->newer_column = -1;
	foreach (cell, definition->conflict_key)
	{
		int column = fed_column(program, lfirst(cell), "conflict_key");

		program->columns[column].is_key = true;
		add_key(program, column);
	}
	program->nconflict = program->nkeys;
	if (definition->newer_by != NULL)
	{
		program->newer_column = fed_column(program, definition->newer_by, "newer_by");
		add_key(program, program->newer_column);
	}
	if (program->nconflict > 0)
		return;
	if (definition->order.by_key && (!program->direct || has_default(program, target)))
		return;
	(void) RelationGetIndexList(target);
	if (OidIsValid(target->rd_pkindex))
	{
		Relation index = index_open(target->rd_pkindex, AccessShareLock);

		for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		{
			int column = column_index(program, index->rd_index->indkey.values[i]);

			if (column < 0)
				break;
			add_key(program, column);
		}
		index_close(index, AccessShareLock);
	}
}

/* A NOT NULL column that nothing fills would make every event a dead letter. */
static void
check_unfilled(MrProgram *program, Relation target)
{
	TupleDesc desc = RelationGetDescr(target);

	if (target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
		(target->trigdesc != NULL && target->trigdesc->trig_insert_before_row))
		return; /* a trigger, maybe a partition's, may fill it */
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);

		if (!a->attisdropped && a->attnotnull && !a->atthasdef && !a->attidentity &&
			!a->attgenerated && column_index(program, a->attnum) < 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg(
					 "column \"%s\" of \"%s\" is NOT NULL, has no default, and the transform does "
					 "not give it",
					 NameStr(a->attname), RelationGetRelationName(target)),
				 errhint("Add it to the transform, or give it a default."),
				 errtablecol(target, a->attnum)));
	}
}

static void
append_columns(StringInfo sql, MrProgram *program)
{
	for (int i = 0; i < program->ncolumns; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(program->columns[i].name));
}

static const char *
target_alias(const MrDefinition *definition)
{
	return definition->merge != NULL ? MR_MERGE_OLD : "target";
}

static void
append_conflict(StringInfo sql, MrProgram *program, int *before_merge)
{
	MrDefinition *definition = program->definition;
	ListCell *cell;

	appendStringInfoString(sql, " ON CONFLICT");
	foreach (cell, definition->conflict_key)
		appendStringInfo(sql, "%s%s", foreach_current_index(cell) == 0 ? " (" : ", ",
						 quote_identifier(lfirst(cell)));
	if (definition->conflict_key != NIL)
		appendStringInfoChar(sql, ')');
	if (definition->on_conflict == MR_CONFLICT_IGNORE)
	{
		appendStringInfoString(sql, " DO NOTHING");
		return;
	}
	appendStringInfoString(sql, " DO UPDATE SET ");
	*before_merge = mr_merge_append(sql, program, "EXCLUDED");
	if (definition->newer_by != NULL)
		appendStringInfo(sql, " WHERE EXCLUDED.%s >= %s.%s OR %s.%s IS NULL",
						 quote_identifier(definition->newer_by), target_alias(definition),
						 quote_identifier(definition->newer_by), target_alias(definition),
						 quote_identifier(definition->newer_by));
}

/* One row for each that was written; for windows, and to be merged with, with its columns as they were stored. */
static void
append_returning(StringInfo sql, MrProgram *program)
{
	TupleDesc desc = program->stored;

	if (program->definition->merge != NULL || desc == NULL)
	{
		appendStringInfoString(sql, program->definition->merge != NULL ? " RETURNING *"
																	   : " RETURNING 1");
		return;
	}
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(sql, "%s target.%s", i == 0 ? " RETURNING" : ",",
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
}

/* before_merge: receives how many characters stand before what merge assigns. */
static const char *
insert_statement(MrProgram *program, int *before_merge)
{
	MrDefinition *definition = program->definition;
	char *target = mr_target_name(definition);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS %s (", target, target_alias(definition));
	append_columns(&sql, program);
	appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	append_columns(&sql, program);
	appendStringInfoString(&sql, " FROM " ROWS_RELATION);
	if (definition->on_conflict != MR_CONFLICT_ERROR)
		append_conflict(&sql, program, before_merge);
	append_returning(&sql, program);
	return sql.data;
}

/* A walker: tables and views the query names, at any depth; not what views name. */
static bool
collect_relations(Node *node, List **oids)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			*oids = list_append_unique_oid(*oids, ((RangeTblEntry *) node)->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_relations, oids, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_relations, oids);
}

/* How rows are deleted, if any ever are. */
static void
prepare_deletion(MrProgram *program)
{
	MrDefinition *definition = program->definition;
	MrField key[INDEX_MAX_KEYS] = {{0}};

	if (definition->delete_when == NULL && definition->tombstone != MR_TOMBSTONE_DELETE)
		return;
	program->deletion = mr_deletion_create(program);
	if (definition->tombstone != MR_TOMBSTONE_DELETE)
		return;
	for (int i = 0; i < program->nconflict; i++)
	{
		const MrColumn *column = &program->columns[program->keys[i].column];

		key[i].name = column->name;
		key[i].type_id = column->type_id;
		key[i].typmod = column->typmod;
		key[i].collation = column->collation;
		key[i].reading = definition->reading;
	}
	program->message_key = mr_message_key_create(definition->tombstone_key, definition->format,
												 &definition->reading, key, program->nconflict);
}

static void
compile(MrProgram *program)
{
	MrDefinition *definition = program->definition;
	Relation target = mr_target_open(definition, AccessShareLock);
	int before_merge = 0;
	Query *query;

	program->event = mr_event_relation_create(definition);
	program->type_field = mr_type_field_create(definition, program->event);
	if (program->type_field != NULL)
		program->event_types = mr_event_types_create(definition->pipeline_id);
	program->transform =
		mr_plan_create(definition->transform, MR_EVENT_RELATION, program->event->visible,
					   program->event->full, definition->target, mr_transform_patch, program);
	query = mr_plan_analyze(program->transform);
	mr_check_query_permissions(query);
	(void) collect_relations((Node *) query, &program->relations);

	check_unfilled(program, target);
	for (int i = 0; i < program->ncolumns; i++)
		program->given = bms_add_member(program->given, program->columns[i].attnum);
	program->direct =
		definition->on_conflict == MR_CONFLICT_ERROR && mr_target_is_plain(target, program->given);
	choose_keys(program, target);
	if (definition->windows != NIL)
	{
		program->stored = mr_stored_row_describe(RelationGetDescr(target), false);
		program->stored_full = mr_stored_row_describe(RelationGetDescr(target), true);
	}

	program->row_visible = describe_rows(program, false);
	program->row_full = describe_rows(program, true);
	program->insert =
		mr_plan_create(insert_statement(program, &before_merge), ROWS_RELATION,
					   program->row_visible, program->row_full, definition->target, NULL, NULL);
	if (definition->merge != NULL)
		mr_merge_prepare(program, program->insert, before_merge);
	query = program->insert_query = mr_plan_analyze(program->insert);
	mr_check_query_permissions(query);
	if (definition->merge != NULL)
		program->merge = mr_merge_create(program, target, query);
	if (program->event->keeps)
		program->keep = mr_keep_create(program);
	prepare_deletion(program);
	program->in_order =
		program->deletion != NULL || definition->merge != NULL || program->keep != NULL;
	if (definition->on_conflict == MR_CONFLICT_UPDATE && !program->in_order &&
		mr_target_is_plain(target, program->given))
		program->conflict_index = mr_conflict_index(program, target);
	table_close(target, NoLock);
}

MrProgram *
mr_program_create(MrDefinition *definition)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace program", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MrProgram *program = palloc0(sizeof(MrProgram));

	program->context = context;
	program->definition = definition;
	program->unread = mr_unread_create();
	compile(program);
	MemoryContextSwitchTo(old);
	return program;
}

bool
mr_program_left_unfilled(const MrProgram *program, const ErrorData *error)
{
	Oid target = program->definition->target;
	AttrNumber attnum;
	Oid table;

	if (error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION || error->schema_name == NULL ||
		error->table_name == NULL || error->column_name == NULL)
		return false;
	/* of a partition, as the error names it, or of the target itself; a trigger may have met another table */
	table = get_relname_relid(error->table_name, get_namespace_oid(error->schema_name, true));
	attnum = get_attnum(target, error->column_name);
	if (!OidIsValid(table) || attnum == InvalidAttrNumber || column_index(program, attnum) >= 0)
		return false;
	return table == target || (get_rel_relispartition(table) &&
							   list_member_oid(get_partition_ancestors(table), target));
}

void
mr_program_free(MrProgram *program)
{
	if (program != NULL)
		MemoryContextDelete(program->context);
}

bool
mr_program_is_valid(MrProgram *program)
{
	return mr_plan_is_valid(program->transform) && mr_plan_is_valid(program->insert) &&
		   (program->deletion == NULL || mr_plan_is_valid(program->deletion->remove)) &&
		   (program->merge == NULL || mr_plan_is_valid(program->merge->update)) &&
		   (program->keep == NULL || mr_plan_is_valid(program->keep->look_up));
}
