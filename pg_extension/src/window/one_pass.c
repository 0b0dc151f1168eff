/*
 * one_pass.c: see one_pass.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/one_pass.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "window/groups.h"
#include "window/one_pass_plan.h"
#include "window/row_values.h"
#include "window/transition.h"

#define MEMORY_ROWS 256 /* after which the memory of the groups is looked at */
#define MEMORY_MIN                                                                                 \
	(1024 * 1024) /* of the groups that several windows share, before they are given out */

/* A column of what an aggregate node gives: an aggregate, a key or an expression over keys. */
typedef struct Column
{
	int aggregate; /* -1: none */
	int key;       /* -1: none */
	ExprState *state;
} Column;

typedef struct Output
{
	MrGroups *groups;
	TupleTableSlot *keys; /* as the aggregate node's expressions name them */
	int nkeys;
	const AttrNumber *key_columns; /* the place of each in that slot, from 1 */
	Column *columns;
	TupleTableSlot *slot; /* of the columns */
	int nresults;
	ExprState **results;    /* of the node around, over that slot; NULL: there is none */
	TupleTableSlot *result; /* of these */
	DestReceiver *dest;
} Output;

typedef struct Time
{
	MrEventTime *time;
	int value;
} Time;

struct MrOnePass
{
	MemoryContext context;
	MrRowValues *values;
	ExprContext *output_context;
	List *groups; /* of MrGroups */
	List *outputs;
	List *times;
	int number; /* the column of the rows that has it */
	int64 nrows;
	Size memory; /* of all groups */
	MemoryContextCallback callback;
};

/* An error ends the run, too. */
static void
forget_row(void *arg)
{
	mr_plan_row_at_work = -1;
}

MrOnePass *
mr_one_pass_create(TupleDesc columns, Size memory)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace windows", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MrOnePass *pass = palloc0(sizeof(MrOnePass));

	pass->callback.func = forget_row;
	MemoryContextRegisterResetCallback(context, &pass->callback);
	pass->context = context;
	pass->values = mr_row_values_create(columns);
	pass->output_context = CreateStandaloneExprContext();
	pass->number = columns->natts - 1;
	pass->memory = memory;
	MemoryContextSwitchTo(old);
	return pass;
}

void
mr_one_pass_free(MrOnePass *pass)
{
	ListCell *cell;

	foreach (cell, pass->groups)
		mr_groups_free(lfirst(cell));
	mr_row_values_free(pass->values);
	FreeExprContext(pass->output_context, true);
	MemoryContextDelete(pass->context);
}

bool
mr_one_pass_add_time(MrOnePass *pass, const PlannedStmt *statement, MrEventTime *time)
{
	const Scan *scan = mr_served_rows(statement);
	MemoryContext old;
	Time *entry;
	TargetEntry *target;

	if (scan == NULL || scan->plan.qual != NIL)
		return false;
	target = linitial_node(TargetEntry, scan->plan.targetlist);
	old = MemoryContextSwitchTo(pass->context);
	entry = palloc0(sizeof(Time));
	entry->time = time;
	entry->value = mr_row_values_add(pass->values, target->expr, scan->scanrelid, NIL);
	if (entry->value >= 0)
		pass->times = lappend(pass->times, entry);
	MemoryContextSwitchTo(old);
	return entry->value >= 0;
}

/* Those of the same rows, grouped alike; NULL: they need more than the row. */
static MrGroups *
find_groups(MrOnePass *pass, const Agg *agg)
{
	const Scan *scan = mr_served_scan(outerPlan(agg));
	int nconditions = list_length(scan->plan.qual);
	int *conditions = palloc(Max(nconditions, 1) * sizeof(int));
	int *keys = palloc(agg->numCols * sizeof(int));
	MrGroups *groups;
	ListCell *cell;

	foreach (cell, scan->plan.qual)
	{
		int number = mr_row_values_add(pass->values, lfirst(cell), scan->scanrelid, NIL);

		if (number < 0)
			return NULL;
		conditions[foreach_current_index(cell)] = number;
	}
	for (int i = 0; i < agg->numCols; i++)
	{
		const TargetEntry *entry =
			list_nth_node(TargetEntry, scan->plan.targetlist, agg->grpColIdx[i] - 1);

		keys[i] = mr_row_values_add(pass->values, entry->expr, scan->scanrelid, NIL);
		if (keys[i] < 0)
			return NULL;
	}
	foreach (cell, pass->groups)
		if (mr_groups_serve(lfirst(cell), nconditions, conditions, agg->numCols, keys))
			return lfirst(cell);
	groups = mr_groups_create(pass->values, nconditions, conditions, agg->numCols, keys);
	pass->groups = lappend(pass->groups, groups);
	return groups;
}

/* Of mr_served_columns(). False: it is not served. */
static bool
prepare_column(Output *output, Column *column, const Agg *agg, Expr *expression)
{
	const Scan *scan = mr_served_scan(outerPlan(agg));

	column->aggregate = -1;
	column->key = mr_served_key(agg, expression);
	if (IsA(expression, Aggref))
	{
		Aggref *aggregate = (Aggref *) expression;

		column->aggregate = mr_groups_add_aggregate(output->groups, aggregate, scan->scanrelid,
													scan->plan.targetlist);
		return column->aggregate >= 0;
	}
	if (column->key < 0)
		column->state = ExecInitExpr(expression, NULL);
	return true;
}

static void
prepare_results(Output *output, const SubqueryScan *around)
{
	List *targets = around->scan.plan.targetlist;
	ListCell *cell;

	output->nresults = list_length(targets);
	output->results = palloc(output->nresults * sizeof(ExprState *));
	output->result = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
	foreach (cell, targets)
		output->results[foreach_current_index(cell)] =
			ExecInitExpr(lfirst_node(TargetEntry, cell)->expr, NULL);
}

static Output *
prepare_output(MrOnePass *pass, const Agg *agg, const SubqueryScan *around, DestReceiver *dest)
{
	List *targets = agg->plan.targetlist;
	Output *output = palloc0(sizeof(Output));
	ListCell *cell;

	output->groups = mr_served_columns(agg) ? find_groups(pass, agg) : NULL;
	if (output->groups == NULL)
		return NULL;
	output->dest = dest;
	output->keys =
		MakeSingleTupleTableSlot(ExecTypeFromTL(outerPlan(agg)->targetlist), &TTSOpsVirtual);
	ExecStoreAllNullTuple(output->keys);
	output->nkeys = agg->numCols;
	output->key_columns = agg->grpColIdx;
	output->slot = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
	output->columns = palloc0(list_length(targets) * sizeof(Column));
	foreach (cell, targets)
		if (!prepare_column(output, &output->columns[foreach_current_index(cell)], agg,
							lfirst_node(TargetEntry, cell)->expr))
			return NULL;
	if (around != NULL)
		prepare_results(output, around);
	return output;
}

bool
mr_one_pass_add(MrOnePass *pass, const PlannedStmt *statement, DestReceiver *dest)
{
	const SubqueryScan *around;
	const Agg *agg = mr_served_aggregate(statement, &around);
	MemoryContext old;
	Output *output;

	if (agg == NULL)
		return false;
	old = MemoryContextSwitchTo(pass->context);
	output = prepare_output(pass, agg, around, dest);
	if (output != NULL)
		pass->outputs = lappend(pass->outputs, output);
	MemoryContextSwitchTo(old);
	return output != NULL;
}

static void
compute_columns(Output *output, const MrGroup *group, ExprContext *context)
{
	TupleTableSlot *slot = output->slot;

	for (int i = 0; i < output->nkeys; i++)
	{
		output->keys->tts_values[output->key_columns[i] - 1] = group->keys[i].value;
		output->keys->tts_isnull[output->key_columns[i] - 1] = group->keys[i].isnull;
	}
	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		const Column *column = &output->columns[i];

		if (column->aggregate >= 0)
			slot->tts_values[i] =
				mr_groups_result(output->groups, group, column->aggregate, &slot->tts_isnull[i]);
		else if (column->key >= 0)
		{
			slot->tts_values[i] = group->keys[column->key].value;
			slot->tts_isnull[i] = group->keys[column->key].isnull;
		}
		else
			slot->tts_values[i] = ExecEvalExpr(column->state, context, &slot->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(slot);
}

static TupleTableSlot *
compute_results(Output *output, ExprContext *context)
{
	TupleTableSlot *slot = output->result;

	ExecClearTuple(slot);
	for (int i = 0; i < output->nresults; i++)
		slot->tts_values[i] = ExecEvalExpr(output->results[i], context, &slot->tts_isnull[i]);
	return ExecStoreVirtualTuple(slot);
}

static void
give_out(Output *output, ExprContext *context)
{
	int n = mr_groups_count(output->groups);

	context->ecxt_outertuple = output->keys;
	context->ecxt_scantuple = output->slot;
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);

		CHECK_FOR_INTERRUPTS();
		compute_columns(output, mr_groups_at(output->groups, i), context);
		(void) output->dest->receiveSlot(output->results != NULL ? compute_results(output, context)
																 : output->slot,
										 output->dest);
		MemoryContextSwitchTo(old);
		ResetExprContext(context);
	}
}

static void
give_out_groups(MrOnePass *pass, MrGroups *groups)
{
	ListCell *cell;

	foreach (cell, pass->outputs)
	{
		Output *output = lfirst(cell);

		if (output->groups == groups)
			give_out(output, pass->output_context);
	}
	mr_groups_clear(groups);
}

/* What one group has may be given out in parts, as several batches give it. */
static void
bound_memory(MrOnePass *pass)
{
	Size most = Max(pass->memory / Max(list_length(pass->groups), 1), MEMORY_MIN);
	ListCell *cell;

	foreach (cell, pass->groups)
		if (mr_groups_memory(lfirst(cell)) > most)
		{
			mr_plan_row_at_work = -1;
			give_out_groups(pass, lfirst(cell));
		}
}

TupleTableSlot *
mr_one_pass_slot(MrOnePass *pass)
{
	return pass->values->slot;
}

void
mr_one_pass_take(MrOnePass *pass)
{
	MemoryContext old = MemoryContextSwitchTo(pass->values->context->ecxt_per_tuple_memory);
	ListCell *cell;

	CHECK_FOR_INTERRUPTS();
	mr_plan_row_at_work = DatumGetInt32(pass->values->slot->tts_values[pass->number]);
	mr_row_values_next(pass->values);
	foreach (cell, pass->times)
	{
		const Time *time = lfirst(cell);
		bool isnull;
		Datum at = mr_row_value(pass->values, time->value, &isnull);

		mr_event_time_note(time->time, mr_plan_row_at_work, at, isnull);
	}
	foreach (cell, pass->groups)
		mr_groups_add_row(lfirst(cell));
	MemoryContextSwitchTo(pass->context);
	if (++pass->nrows % MEMORY_ROWS == 0)
		bound_memory(pass);
	MemoryContextSwitchTo(old);
}

void
mr_one_pass_give_out(MrOnePass *pass)
{
	MemoryContext old = MemoryContextSwitchTo(pass->context);
	ListCell *cell;

	mr_plan_row_at_work = -1;
	foreach (cell, pass->groups)
		give_out_groups(pass, lfirst(cell));
	MemoryContextSwitchTo(old);
}

void
mr_one_pass_run(MrOnePass *pass, MrRowStore *rows)
{
	TupleTableSlot *slot = pass->values->slot;

	mr_row_store_rewind(rows);
	while (mr_row_store_next(rows, slot->tts_values, slot->tts_isnull))
		mr_one_pass_take(pass);
	mr_one_pass_give_out(pass);
}
