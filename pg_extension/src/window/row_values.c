/*
 * row_values.c: see row_values.h. Lives as long as one run over the rows of a batch.
 */
#include "window/row_values.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/expandeddatum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ROW_RELATION 1 /* the range table index that references to the row get */

/* Panes are computed by integer arithmetic where nothing can overflow: some 1000 years around 2000. */
#define PANES_FROM    (-INT64_C(1000) * 365 * USECS_PER_DAY)
#define PANES_UNTIL   (INT64_C(1000) * 365 * USECS_PER_DAY)
#define STEP_DAYS_MAX INT64_C(366000)

MrRowValues *
mr_row_values_create(TupleDesc columns)
{
	MrRowValues *values = palloc0(sizeof(MrRowValues));

	values->context = CreateStandaloneExprContext();
	values->slot = MakeSingleTupleTableSlot(columns, &TTSOpsVirtual);
	ExecStoreAllNullTuple(values->slot);
	values->context->ecxt_scantuple = values->slot;
	return values;
}

void
mr_row_values_free(MrRowValues *values)
{
	ExecDropSingleTupleTableSlot(values->slot);
	FreeExprContext(values->context, true);
}

typedef struct Rewriting
{
	Index relation;
	List *inputs;
	bool failed; /* it is of more than the row */
} Rewriting;

/* References to the row, and to what the lower node of the plan makes of it, become references to the row. */
static Node *
rewrite(Node *node, void *arg)
{
	Rewriting *rewriting = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		const Var *var = (const Var *) node;

		if (var->varno == OUTER_VAR && var->varattno > 0 &&
			var->varattno <= list_length(rewriting->inputs))
			return rewrite(
				(Node *) list_nth_node(TargetEntry, rewriting->inputs, var->varattno - 1)->expr,
				arg);
		if (var->varno == rewriting->relation && var->varattno > 0 && var->varlevelsup == 0)
			return (Node *) makeVar(ROW_RELATION, var->varattno, var->vartype, var->vartypmod,
									var->varcollid, 0);
		rewriting->failed = true;
		return node;
	}
	if (IsA(node, Param) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, WindowFunc))
	{
		rewriting->failed = true;
		return node;
	}
	return expression_tree_mutator(node, rewrite, arg);
}

static bool
is_null_constant(const Expr *expression)
{
	return expression == NULL ||
		   (IsA(expression, Const) && ((const Const *) expression)->constisnull);
}

/* CASE WHEN condition THEN result END; NULL: it is none. */
static CaseWhen *
single_case(Expr *expression)
{
	CaseExpr *cases = (CaseExpr *) expression;

	return IsA(expression, CaseExpr) && cases->arg == NULL && list_length(cases->args) == 1 &&
				   is_null_constant(cases->defresult)
			   ? linitial_node(CaseWhen, cases->args)
			   : NULL;
}

/* Of date_bin() with constants its time is returned; NULL: it is something else. */
static Expr *
time_of_pane(const Expr *result, MrRowValue *value)
{
	const FuncExpr *function = (const FuncExpr *) result;
	const Const *step;
	const Const *origin;
	const Interval *interval;

	if (!IsA(function, FuncExpr) || function->funcid != F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ)
		return NULL;
	step = linitial(function->args);
	origin = lthird(function->args);
	if (!IsA(step, Const) || step->constisnull || !IsA(origin, Const) || origin->constisnull)
		return NULL;
	interval = DatumGetIntervalP(step->constvalue);
	value->origin = DatumGetTimestampTz(origin->constvalue);
	if (interval->month != 0 || interval->day < 0 || interval->day > STEP_DAYS_MAX ||
		interval->time < 0 || interval->time > STEP_DAYS_MAX * USECS_PER_DAY ||
		value->origin < PANES_FROM || value->origin >= PANES_UNTIL)
		return NULL;
	value->step = interval->time + interval->day * USECS_PER_DAY;
	return value->step > 0 ? lsecond(function->args) : NULL;
}

static int
append(MrRowValues *values, const MrRowValue *value)
{
	if (values->n == values->max)
	{
		values->max = Max(16, values->max * 2);
		values->values = values->values == NULL
							 ? palloc(values->max * sizeof(MrRowValue))
							 : repalloc(values->values, values->max * sizeof(MrRowValue));
	}
	values->values[values->n] = *value;
	return values->n++;
}

static int
add(MrRowValues *values, Expr *expression)
{
	MrRowValue value = {.kind = MR_ROW_EXPRESSION, .expression = expression};
	CaseWhen *when = single_case(expression);

	for (int i = 0; i < values->n; i++)
		if (equal(values->values[i].expression, expression))
			return i;
	get_typlenbyval(exprType((Node *) expression), &value.length, &value.by_value);
	if (IsA(expression, Var))
	{
		value.kind = MR_ROW_COLUMN;
		value.column = ((Var *) expression)->varattno - 1;
	}
	else if (when != NULL)
	{
		Expr *time = time_of_pane(when->result, &value);

		value.kind = time != NULL ? MR_ROW_PANE : MR_ROW_CASE;
		value.time = time != NULL ? add(values, time) : -1;
		value.condition = add(values, when->expr);
		value.result = add(values, when->result);
	}
	else
		value.state = ExecInitExpr(expression, NULL);
	return append(values, &value);
}

int
mr_row_values_add(MrRowValues *values, Expr *expression, Index relation, List *inputs)
{
	Rewriting rewriting = {.relation = relation, .inputs = inputs};
	Expr *rewritten = (Expr *) rewrite((Node *) expression, &rewriting);

	return rewriting.failed ? -1 : add(values, rewritten);
}

/* At a boundary date_bin() is asked: before the origin, some versions of it give the pane before. */
static void
compute_pane(MrRowValues *values, MrRowValue *value)
{
	TimestampTz at = DatumGetTimestampTz(mr_row_value(values, value->time, &value->isnull));
	int64 behind = 0;

	if (!value->isnull && at >= PANES_FROM && at < PANES_UNTIL)
		behind = (at - value->origin) % value->step;
	if (behind == 0)
		value->value = mr_row_value(values, value->result, &value->isnull);
	else
		value->value = TimestampTzGetDatum(at - (behind < 0 ? behind + value->step : behind));
}

static void
compute_case(MrRowValues *values, MrRowValue *value)
{
	Datum condition = mr_row_value(values, value->condition, &value->isnull);

	if (value->isnull || !DatumGetBool(condition))
		value->isnull = true;
	else if (value->kind == MR_ROW_PANE)
		compute_pane(values, value);
	else
		value->value = mr_row_value(values, value->result, &value->isnull);
}

void
mr_row_values_compute(MrRowValues *values, MrRowValue *value)
{
	value->row = values->row;
	if (value->kind != MR_ROW_EXPRESSION)
		compute_case(values, value);
	else
	{
		value->value = ExecEvalExpr(value->state, values->context, &value->isnull);
		if (value->length == -1) /* several may read it, and none may change it */
			value->value = MakeExpandedObjectReadOnly(value->value, value->isnull, value->length);
	}
}
