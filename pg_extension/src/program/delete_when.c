/*
 * delete_when.c: see delete_when.h. Runs where programs are made.
 *
 * The condition is the WHERE of a query of its own while it is analysed, so that the rules and the messages are those of a
 * condition; then its variables are made to mean the transform's event.
 */
#include "program/delete_when.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/queryenvironment.h"

#include "program/event_relation.h"
#include "program/plan.h"

/* The expression, and nothing beside it. */
static Node *
parse(const char *condition)
{
	List *parsed = raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *statement = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	SelectStmt bare = {.type = T_SelectStmt};
	Node *expression = NULL;

	if (IsA(statement, SelectStmt) && list_length(statement->targetList) == 1)
	{
		ResTarget *target = linitial_node(ResTarget, statement->targetList);

		if (target->name == NULL && target->indirection == NIL)
			expression = target->val;
		bare.targetList = statement->targetList;
		bare.limitOption = statement->limitOption;
	}
	if (expression == NULL || !equal(statement, &bare))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("delete_when must be one condition"),
						errhint("Write it as in WHERE, over the columns of event: delete_when => "
								"$$ op = 'd' $$.")));
	return expression;
}

static Query *
analyze(const char *condition, TupleDesc event)
{
	EphemeralNamedRelationData relation = {{0}};
	QueryEnvironment *environment = create_queryEnv();
	MrPlanText text;
	RawStmt *raw = makeNode(RawStmt);
	SelectStmt *select = makeNode(SelectStmt);
	Query *query;

	relation.md.name = MR_EVENT_RELATION;
	relation.md.reliddesc = InvalidOid;
	relation.md.tupdesc = event;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	register_ENR(environment, &relation);
	mr_plan_text_begin(&text, condition, 0);
	select->whereClause = parse(condition);
	select->fromClause = list_make1(makeRangeVar(NULL, MR_EVENT_RELATION, -1));
	raw->stmt = (Node *) select;
	query = parse_analyze_fixedparams(raw, condition, NULL, 0, environment);
	mr_plan_text_end(&text);
	return query;
}

void
mr_delete_when_add(Query *query, int index, const char *condition, TupleDesc event)
{
	Query *analyzed = analyze(condition, event);
	Expr *expression = (Expr *) analyzed->jointree->quals;
	AttrNumber position = 1;
	ListCell *cell;

	ChangeVarNodes((Node *) expression, 1, index, 0);
	query->hasSubLinks = query->hasSubLinks || analyzed->hasSubLinks;
	foreach (cell, query->targetList)
	{
		if (lfirst_node(TargetEntry, cell)->resjunk)
			break;
		position++;
	}
	query->targetList =
		list_insert_nth(query->targetList, position - 1,
						makeTargetEntry(expression, position, pstrdup("deletes"), false));
	position = 1;
	foreach (cell, query->targetList)
		lfirst_node(TargetEntry, cell)->resno = position++;
}
