/*
 * keep.c: see keep.h. Made where programs are made; runs in workers, inside a subtransaction of the write.
 */
#include "program/keep.h"

#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "server/errcode.h"
#include "program/merge.h"

/* The field that an output column is, without a change, from 0; -1: it is something else. */
static int
field_of(const MrProgram *program, const TargetEntry *entry, int index)
{
	const Var *var = (const Var *) entry->expr;

	return IsA(var, Var) && var->varno == index && var->varlevelsup == 0 && var->varattno > 0 &&
				   var->varattno <= program->event->fields->count && entry->ressortgroupref == 0
			   ? var->varattno - 1
			   : -1;
}

int *
mr_keep_fields(const MrProgram *program, const Query *query, int index)
{
	int *fields = palloc(list_length(query->targetList) * sizeof(int));
	int n = 0;
	ListCell *cell;

	foreach (cell, query->targetList)
		if (!lfirst_node(TargetEntry, cell)->resjunk)
			fields[n++] = field_of(program, lfirst_node(TargetEntry, cell), index);
	return fields;
}

bool
mr_keep_can(const MrProgram *program, const MrColumn *column)
{
	const MrDefinition *definition = program->definition;

	return definition->on_conflict == MR_CONFLICT_UPDATE && column->field >= 0 &&
		   !mr_merge_is_named(definition->conflict_key, column->name) &&
		   (definition->newer_by == NULL || strcmp(definition->newer_by, column->name) != 0);
}

void
mr_keep_decide(MrProgram *program, const Bitmapset *in_expressions)
{
	MrEventRelation *event = program->event;
	AttrNumber names = mr_event_relation_left_out_column(event);
	bool named = bms_is_member(names, event->used);

	event->may_lack = NULL;
	event->keeps = false;
	if (names == InvalidAttrNumber)
		return;
	for (int i = 0; i < event->fields->count; i++)
		if (named || !bms_is_member(i + 1, in_expressions))
			event->may_lack = bms_add_member(event->may_lack, i);
	for (int i = 0; i < program->ncolumns && !named; i++)
		if (mr_keep_can(program, &program->columns[i]) &&
			bms_is_member(program->columns[i].field, event->may_lack))
			event->keeps = true;
}

MrKeep *
mr_keep_create(const MrProgram *program)
{
	MrKeep *keep = palloc0(sizeof(MrKeep));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT new.\"" MR_MERGE_NUMBER "\"");
	for (int i = 0; i < program->ncolumns; i++)
		if (mr_keep_can(program, &program->columns[i]))
			appendStringInfo(&sql, ", old.%s", quote_identifier(program->columns[i].name));
	appendStringInfo(&sql, " FROM " MR_MERGE_ROWS " AS new, %s AS " MR_MERGE_OLD,
					 mr_target_name(program->definition));
	mr_merge_append_match(&sql, program);
	appendStringInfoString(&sql, " FOR NO KEY UPDATE OF " MR_MERGE_OLD);
	keep->look_up = mr_merge_plan(program, sql.data, mr_merge_describe_rows(program));
	mr_check_query_permissions(mr_plan_analyze(keep->look_up));
	return keep;
}

void
mr_keep_fill(const MrProgram *program, MrBatch *batch, int number, TupleTableSlot *old,
			 TupleTableSlot *slot)
{
	MrRow *row = &batch->rows[number];
	const MrEvent *event = &batch->events[row->event];
	MinimalTuple lacking = row->tuple;
	MemoryContext caller;
	int n = 1; /* behind the number */

	slot_getallattrs(old);
	ExecStoreMinimalTuple(lacking, slot, false);
	slot_getallattrs(slot);
	for (int i = 0; i < program->ncolumns; i++)
	{
		const MrColumn *column = &program->columns[i];

		if (!mr_keep_can(program, column))
			continue;
		if (mr_keep_lacks(program, event, column))
		{
			slot->tts_values[i] = old->tts_values[n];
			slot->tts_isnull[i] = old->tts_isnull[n];
		}
		n++;
	}
	caller = MemoryContextSwitchTo(batch->context);
	row->tuple = mr_form_minimal_tuple(program->row_full, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(caller);
	ExecClearTuple(slot);
	batch->row_bytes += (int64) row->tuple->t_len - lacking->t_len;
	pfree(lacking);
}

void
mr_keep_raise_absent(const MrProgram *program, const MrEvent *event)
{
	int field = bms_next_member(event->left_out, -1);

	ereport(
		ERROR,
		(errcode(MR_ERRCODE_NO_OLD_ROW),
		 errmsg("field \"%s\" was left out by the source, and \"%s\" has no row of that key whose "
				"value could be kept",
				program->event->fields->fields[field].name,
				get_rel_name(program->definition->target)),
		 errdetail("The change did not touch the field. The event that made the row was deleted, "
				   "failed, or came before this pipeline began."),
		 errhint("Replay this dead letter when the row is there, take a snapshot of the source "
				 "table, or give it REPLICA IDENTITY FULL.")));
}
