/*
 * one_pass.c: see one_pass.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/one_pass.h"

#include "executor/executor.h"
#include "executor/nodeHash.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "utils/memutils.h"

#include "window/groups.h"
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
	MemoryContextCallback callback;
};

/* An error ends the run, too. */
static void
forget_row(void *arg)
{
	mr_plan_row_at_work = -1;
}

MrOnePass *
mr_one_pass_create(TupleDesc columns)
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

/* The scan of the rows, which is all that the plan reads. */
static const Scan *
scan_of(const Plan *plan)
{
	return plan != NULL && IsA(plan, NamedTuplestoreScan) && plan->initPlan == NIL
			   ? (const Scan *) plan
			   : NULL;
}

static bool
is_alone(const PlannedStmt *statement)
{
	return statement->commandType == CMD_SELECT && statement->subplans == NIL &&
		   statement->rowMarks == NIL;
}

bool
mr_one_pass_add_time(MrOnePass *pass, const PlannedStmt *statement, MrEventTime *time)
{
	const Scan *scan = scan_of(statement->planTree);
	MemoryContext old;
	Time *entry;
	TargetEntry *target;

	if (!is_alone(statement) || scan == NULL || scan->plan.qual != NIL)
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

/* The aggregate node of a plan, and the one around it, if any; NULL: the plan is another one. */
static const Agg *
aggregate_of(const PlannedStmt *statement, const SubqueryScan **around)
{
	const Plan *plan = statement->planTree;
	const Agg *agg;

	*around = NULL;
	if (!is_alone(statement))
		return NULL;
	if (IsA(plan, SubqueryScan))
	{
		if (plan->qual != NIL || plan->initPlan != NIL)
			return NULL;
		*around = (const SubqueryScan *) plan;
		plan = (*around)->subplan;
	}
	if (!IsA(plan, Agg) || plan->qual != NIL || plan->initPlan != NIL)
		return NULL;
	agg = (const Agg *) plan;
	if (agg->aggstrategy != AGG_HASHED || agg->aggsplit != AGGSPLIT_SIMPLE ||
		agg->groupingSets != NIL || agg->chain != NIL || agg->numCols == 0 ||
		scan_of(outerPlan(agg)) == NULL)
		return NULL;
	return agg;
}

/* Those of the same rows, grouped alike; NULL: they need more than the row. */
static MrGroups *
find_groups(MrOnePass *pass, const Agg *agg)
{
	const Scan *scan = scan_of(outerPlan(agg));
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

static int
key_at(const Agg *agg, const Expr *expression)
{
	const Var *var = (const Var *) expression;

	if (IsA(var, Var) && var->varno == OUTER_VAR)
		for (int i = 0; i < agg->numCols; i++)
			if (agg->grpColIdx[i] == var->varattno)
				return i;
	return -1;
}

/* A grouping key that the planner has dropped, as another says it, is a column of the rows that no group keeps. */
static bool
has_other_column(Node *node, void *agg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return key_at(agg, (Expr *) node) < 0;
	return expression_tree_walker(node, has_other_column, agg);
}

/* Whether the columns are aggregates that are known here, and expressions of the keys: looked at before rows are grouped for them. */
static bool
has_known_columns(const Agg *agg)
{
	ListCell *cell;

	foreach (cell, agg->plan.targetlist)
	{
		Expr *expression = lfirst_node(TargetEntry, cell)->expr;

		if (IsA(expression, Aggref) ? !mr_transition_serves((Aggref *) expression)
									: contain_agg_clause((Node *) expression) ||
										  has_other_column((Node *) expression, (void *) agg))
			return false;
	}
	return true;
}

/* Of has_known_columns(). False: it is not served. */
static bool
prepare_column(Output *output, Column *column, const Agg *agg, Expr *expression)
{
	const Scan *scan = scan_of(outerPlan(agg));

	column->aggregate = -1;
	column->key = key_at(agg, expression);
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

	output->groups = has_known_columns(agg) ? find_groups(pass, agg) : NULL;
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
	const Agg *agg = aggregate_of(statement, &around);
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

/* What one group has may be given out in parts, as several batches give it: groups take no more memory than a hash aggregate may. */
static void
bound_memory(MrOnePass *pass)
{
	Size most = Max(get_hash_memory_limit() / Max(list_length(pass->groups), 1), MEMORY_MIN);
	ListCell *cell;

	foreach (cell, pass->groups)
		if (mr_groups_memory(lfirst(cell)) > most)
		{
			mr_plan_row_at_work = -1;
			give_out_groups(pass, lfirst(cell));
		}
}

static void
take_row(MrOnePass *pass)
{
	MemoryContext old = MemoryContextSwitchTo(pass->values->context->ecxt_per_tuple_memory);
	ListCell *cell;

	foreach (cell, pass->times)
	{
		const Time *time = lfirst(cell);
		bool isnull;
		Datum at = mr_row_value(pass->values, time->value, &isnull);

		mr_event_time_note(time->time, mr_plan_row_at_work, at, isnull);
	}
	foreach (cell, pass->groups)
		mr_groups_add_row(lfirst(cell));
	MemoryContextSwitchTo(old);
}

void
mr_one_pass_run(MrOnePass *pass, MrRowStore *rows)
{
	TupleTableSlot *slot = pass->values->slot;
	MemoryContext old = MemoryContextSwitchTo(pass->context);
	ListCell *cell;

	mr_row_store_rewind(rows);
	for (int n = 1; mr_row_store_next(rows, slot->tts_values, slot->tts_isnull); n++)
	{
		CHECK_FOR_INTERRUPTS();
		mr_plan_row_at_work = DatumGetInt32(slot->tts_values[pass->number]);
		mr_row_values_next(pass->values);
		take_row(pass);
		if (n % MEMORY_ROWS == 0)
			bound_memory(pass);
	}
	mr_plan_row_at_work = -1;
	foreach (cell, pass->groups)
		give_out_groups(pass, lfirst(cell));
	MemoryContextSwitchTo(old);
}
