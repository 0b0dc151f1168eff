/*
 * window_text.c: see window_text.h. Runs in the sessions of create_window().
 */
#include "window/window_text.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#define SELECT_BYTES 7 /* of "SELECT " */

/* Positions are those of the user's text, which gets a SELECT before it. */
static void
point_into_text(void *arg)
{
	int position = geterrposition();

	if (position > SELECT_BYTES)
	{
		errposition(0);
		internalerrposition(position - SELECT_BYTES);
		internalerrquery(((const MrWindowText *) arg)->text);
	}
}

void
mr_window_text_refuse(const MrWindowText *text, Node *node, const char *what, const char *hint)
{
	int bytes = exprLocation(node) - SELECT_BYTES; /* before it, in the user's text */

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s of a window cannot have %s", text->argument, what), errhint("%s", hint),
			 internalerrquery(text->text),
			 bytes >= 0 ? internalerrposition(pg_mbstrlen_with_len(text->text, bytes) + 1) : 0));
}

/* Nothing but a list of expressions. */
static SelectStmt *
parse(const MrWindowText *text, const char *statement)
{
	List *parsed = raw_parser(statement, RAW_PARSE_DEFAULT);
	SelectStmt *select =
		list_length(parsed) == 1 ? (SelectStmt *) linitial_node(RawStmt, parsed)->stmt : NULL;

	if (select == NULL || !IsA(select, SelectStmt) || select->op != SETOP_NONE ||
		select->distinctClause != NIL || select->intoClause != NULL || select->targetList == NIL ||
		select->fromClause != NIL || select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL || select->sortClause != NIL ||
		select->limitCount != NULL || select->limitOffset != NULL || select->lockingClause != NIL ||
		select->withClause != NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("%s of a window must be expressions alone", text->argument),
						errhint("They are computed from each row of the target: no FROM, WHERE, "
								"GROUP BY or ORDER BY belongs here.")));
	return select;
}

/*
 * What gives another value at another time, or to somebody else, for the same row. It is stable, and so are casts that depend on
 * settings: these are pinned. Without an argument a stable function knows nothing of the row.
 */
static bool
is_of_session(Node *node)
{
	if (IsA(node, SQLValueFunction))
		return true;
	if (!IsA(node, FuncExpr))
		return false;
	switch (((FuncExpr *) node)->funcid)
	{
		case F_AGE_TIMESTAMPTZ: /* of one time: until today */
		case F_AGE_TIMESTAMP:
		case F_CURRENT_SETTING_TEXT:
		case F_CURRENT_SETTING_TEXT_BOOL:
			return true;
		default:
			return ((FuncExpr *) node)->args == NIL &&
				   func_volatile(((FuncExpr *) node)->funcid) == PROVOLATILE_STABLE;
	}
}

/* Nobody sees what is inside of a function: it may read tables, or the clock. As for an index, it is its owner who says that it does not. */
static bool
is_of_others(Oid function, void *stable)
{
	if (func_volatile(function) != PROVOLATILE_STABLE ||
		get_func_namespace(function) == PG_CATALOG_NAMESPACE)
		return false;
	*(Oid *) stable = function;
	return true;
}

static bool
check_node(Node *node, void *arg)
{
	const MrWindowText *text = arg;
	Oid stable = InvalidOid;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		mr_window_text_refuse(text, node, "a subquery",
							  "Compute it in the transform, into a column of the target.");
	if (IsA(node, WindowFunc))
		mr_window_text_refuse(text, node, "a window function",
							  "Put a view over the window's view.");
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		mr_window_text_refuse(text, node, "a system column or a whole row",
							  "Name columns of the target.");
	if (is_of_session(node))
		mr_window_text_refuse(
			text, node, "the present time, user or setting",
			"The same row must always count the same: compute it in the transform, into a column "
			"of the target. What is old leaves by retention.");
	if (check_functions_in_node(node, is_of_others, &stable))
		mr_window_text_refuse(
			text, node, psprintf("function %s, which is not IMMUTABLE", format_procedure(stable)),
			psprintf("If it depends on nothing but its arguments: ALTER FUNCTION %s IMMUTABLE; "
					 "else compute it in the transform, into a column of the target.",
					 format_procedure_qualified(stable)));
	return expression_tree_walker(node, check_node, arg);
}

List *
mr_window_text_analyze(const MrWindowText *text, Oid target)
{
	char *statement = psprintf("SELECT %s", text->text);
	ErrorContextCallback callback = {.callback = point_into_text,
									 .arg = (void *) text,
									 .previous = error_context_stack};
	RawStmt *raw = makeNode(RawStmt);
	SelectStmt *select;
	Query *query;

	error_context_stack = &callback;
	select = parse(text, statement);
	select->fromClause = list_make1(
		makeRangeVar(get_namespace_name(get_rel_namespace(target)), get_rel_name(target), -1));
	raw->stmt = (Node *) select;
	query = parse_analyze_fixedparams(raw, statement, NULL, 0, NULL);
	(void) check_node((Node *) query->targetList, (void *) text);
	if (query->hasTargetSRFs)
		mr_window_text_refuse(text, (Node *) query->targetList, "a function that returns a set",
							  "Make several rows of an event in the transform.");
	if (query->hasAggs && !text->with_aggregates)
		mr_window_text_refuse(text, (Node *) query->targetList, "an aggregate",
							  "Aggregates go into aggregates.");
	if (contain_volatile_functions((Node *) query->targetList))
		mr_window_text_refuse(
			text, (Node *) query->targetList, "a volatile function",
			"The same row must always count the same: compute it in the transform, into a column "
			"of the target.");
	mr_check_query_permissions(query);
	error_context_stack = callback.previous;
	return query->targetList;
}
