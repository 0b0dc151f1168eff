/*
 * one_pass_plan.c: see one_pass_plan.h. Runs where one_pass.c does.
 */
#include "window/one_pass_plan.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"

#include "window/transition.h"

const Scan *
mr_served_scan(const Plan *plan)
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

const Scan *
mr_served_rows(const PlannedStmt *statement)
{
	return is_alone(statement) ? mr_served_scan(statement->planTree) : NULL;
}

const Agg *
mr_served_aggregate(const PlannedStmt *statement, const SubqueryScan **around)
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
		mr_served_scan(outerPlan(agg)) == NULL)
		return NULL;
	return agg;
}

int
mr_served_key(const Agg *agg, const Expr *expression)
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
		return mr_served_key(agg, (Expr *) node) < 0;
	return expression_tree_walker(node, has_other_column, agg);
}

bool
mr_served_columns(const Agg *agg)
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
