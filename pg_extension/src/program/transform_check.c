/*
 * transform_check.c: what a transform may be, and the analysed query as the engine runs it.
 *
 * Each output row must stem from one event, whatever the batches are: `count(*) FROM event` would give
 * {100} or {50, 50}. A hidden column carries the event's ordinal through to the output, so `event` must be
 * in the top level's FROM, once, and on no side of an outer join that may be filled with nulls.
 */
#include "program/transform_check.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "program/delete_when.h"
#include "program/keep.h"
#include "program/program.h"
#include "program/type_field.h"

static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not possible at the top level of a transform", what),
			 errdetail("Each row must stem from one event: batches are cut as the load demands."),
			 errhint("%s", hint)));
}

static void
check_shape(Query *query)
{
	const char *window_hint =
		"Aggregate in a view over the target table, or in a subquery over other tables.";

	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL || query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a transform must be a SELECT"),
				 errhint("The engine inserts its rows into the target by itself.")));
	if (query->setOperations != NULL)
		refuse("UNION, INTERSECT or EXCEPT",
			   "Use CASE, or a LATERAL (VALUES ...) that gives several rows.");
	if (query->hasAggs || query->groupClause || query->groupingSets || query->havingQual)
		refuse("an aggregate", window_hint);
	if (query->hasWindowFuncs)
		refuse("a window function", window_hint);
	if (query->distinctClause != NIL)
		refuse("DISTINCT", "Use on_conflict => 'ignore' and a unique key on the target.");
	if (query->limitCount != NULL || query->limitOffset != NULL)
		refuse("LIMIT or OFFSET", "Filter with WHERE.");
}

typedef struct EventSearch
{
	List *rtable; /* of the top level */
	int level;
	int count; /* references to event anywhere */
	int varno; /* range table index at the top level, 0 = not there */
	Bitmapset *used;
} EventSearch;

static bool search(Node *node, EventSearch *state);

/* A column the transform names: of event itself, or of a join that event is part of. */
static void
note_column(Var *var, EventSearch *state)
{
	RangeTblEntry *rte;
	int level = state->level;

	if (var->varlevelsup != level || var->varno <= 0 || var->varno > list_length(state->rtable))
		return;
	rte = rt_fetch(var->varno, state->rtable);
	if (var->varattno == 0 && (var->varno == state->varno || rte->rtekind == RTE_JOIN))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the transform uses \"event\" as a whole row"),
						errhint("Name its columns, or use event.payload.")));
	if (var->varno == state->varno)
		state->used = bms_add_member(state->used, Max(var->varattno, 0));
	else if (rte->rtekind == RTE_JOIN)
	{
		state->level = 0; /* join aliases are expressions of the top level */
		(void) search(list_nth(rte->joinaliasvars, var->varattno - 1), state);
		state->level = level;
	}
}

#define SEARCH_FLAGS (QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES)

static bool
search(Node *node, EventSearch *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool result;

		state->level++;
		result = query_tree_walker((Query *) node, search, state, SEARCH_FLAGS);
		state->level--;
		return result;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_NAMEDTUPLESTORE)
			state->count++;
		if (rte->rtekind == RTE_CTE && strcmp(rte->ctename, MR_EVENT_RELATION) == 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_ALIAS),
							errmsg("a WITH query named \"event\" hides the events"),
							errhint("Give the WITH query another name.")));
		return false;
	}
	if (IsA(node, Var))
	{
		note_column((Var *) node, state);
		return false;
	}
	return expression_tree_walker(node, search, state);
}

static int
find_event(Query *query, EventSearch *state)
{
	int index;
	ListCell *cell;

	state->rtable = query->rtable;
	foreach (cell, query->rtable)
	{
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_NAMEDTUPLESTORE)
			state->varno = foreach_current_index(cell) + 1;
	}
	(void) query_tree_walker(query, search, state, SEARCH_FLAGS);
	index = state->varno;
	if (state->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the transform does not read from \"event\""),
				 errhint(
					 "Write SELECT ... FROM event ...: event is the batch to be transformed.")));
	if (state->count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the transform names \"event\" %d times", state->count),
				 errdetail("Events of a batch cannot be joined with each other: which ones share a "
						   "batch depends on the load."),
				 errhint("Name it once; join it with tables.")));
	if (index == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"event\" must be in the FROM of the transform's top level"),
				 errhint("Move it out of the subquery or WITH query; use CROSS JOIN LATERAL for "
						 "computed columns.")));
	return index;
}

/* Whether the range table entry may be filled with nulls by an outer join around it. */
static bool
is_nullable(Node *node, int index, bool nullable, bool *found)
{
	if (IsA(node, RangeTblRef))
	{
		*found = ((RangeTblRef *) node)->rtindex == index;
		return nullable;
	}
	if (IsA(node, FromExpr))
	{
		ListCell *cell;

		foreach (cell, ((FromExpr *) node)->fromlist)
		{
			bool result = is_nullable(lfirst(cell), index, nullable, found);

			if (*found)
				return result;
		}
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;
		bool left = nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
		bool right = nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
		bool result = is_nullable(join->larg, index, left, found);

		return *found ? result : is_nullable(join->rarg, index, right, found);
	}
	return nullable;
}

static List *
insertable_columns(TupleDesc desc)
{
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && !TupleDescAttr(desc, i)->attgenerated)
			names = lappend(names, NameStr(TupleDescAttr(desc, i)->attname));
	return names;
}

static const char *
join_names(List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, names)
		appendStringInfo(&text, "%s%s", text.len ? ", " : "", (const char *) lfirst(cell));
	return text.data;
}

static char *
type_of(const TargetEntry *entry)
{
	return format_type_with_typemod(exprType((Node *) entry->expr),
									exprTypmod((Node *) entry->expr));
}

/* The target's column that an output column is inserted into: the one with its name. */
static Form_pg_attribute
target_column(Relation target, TargetEntry *entry, Bitmapset *taken)
{
	TupleDesc desc = RelationGetDescr(target);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), entry->resname) != 0)
			continue;
		if (attribute->attgenerated)
			ereport(ERROR, (errcode(ERRCODE_GENERATED_ALWAYS),
							errmsg("column \"%s\" of \"%s\" is generated", entry->resname,
								   RelationGetRelationName(target)),
							errhint("Leave it out of the transform.")));
		if (bms_is_member(attribute->attnum, taken))
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("the transform gives column \"%s\" twice", entry->resname)));
		return attribute;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of the transform is not a column of \"%s\"", entry->resname,
					RelationGetRelationName(target)),
			 errdetail("Columns of the transform go to the target's columns of the same name."),
			 errhint("Name it with AS; there are: %s.", join_names(insertable_columns(desc))),
			 errtable(target), err_generic_string(PG_DIAG_COLUMN_NAME, entry->resname),
			 err_generic_string(PG_DIAG_DATATYPE_NAME, type_of(entry))));
}

static bool
triggers_may_fill(Relation target)
{
	return target->rd_rel->relkind ==
			   RELKIND_PARTITIONED_TABLE || /* its partitions may have triggers */
		   (target->trigdesc != NULL && target->trigdesc->trig_insert_before_row);
}

static void
map_column(MrColumn *column, TargetEntry *entry, Relation target, Bitmapset *taken)
{
	Form_pg_attribute attribute = target_column(target, entry, taken);
	Oid type = exprType((Node *) entry->expr);
	Node *cast =
		coerce_to_target_type(NULL, (Node *) entry->expr, type, attribute->atttypid,
							  attribute->atttypmod, COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

	if (cast == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s but the transform gives %s", entry->resname,
						format_type_be(attribute->atttypid), format_type_be(type)),
				 errhint("Cast it in the transform."), errtablecol(target, attribute->attnum),
				 err_generic_string(PG_DIAG_DATATYPE_NAME, type_of(entry))));
	column->given = mr_given_of((Node *) entry->expr);
	entry->expr = (Expr *) cast;
	column->attnum = attribute->attnum;
	column->type_id = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->collation = attribute->attcollation;
	column->must_not_be_null = attribute->attnotnull && !triggers_may_fill(target);
	column->name = NameStr(attribute->attname);
}

/* Fills program->columns, or finds that a table changed under a running program. */
static void
map_columns(MrProgram *program, Query *query)
{
	Relation target = mr_target_open(program->definition, AccessShareLock);
	MemoryContext old = MemoryContextSwitchTo(program->context);
	MrColumn *columns = palloc0(Max(list_length(query->targetList), 1) * sizeof(MrColumn));
	int n = 0;
	Bitmapset *taken = NULL;
	ListCell *cell;

	MemoryContextSwitchTo(old);
	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk)
			continue;
		map_column(&columns[n], entry, target, taken);
		columns[n].name = MemoryContextStrdup(program->context, columns[n].name);
		taken = bms_add_member(taken, columns[n++].attnum);
	}
	table_close(target, NoLock);
	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("the transform gives no columns")));
	if (program->columns != NULL)
	{
		bool same = n == program->ncolumns;

		for (int i = 0; i < n && same; i++)
			same = columns[i].attnum == program->columns[i].attnum &&
				   columns[i].type_id == program->columns[i].type_id;
		if (!same)
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("a table of the pipeline was changed while it ran")));
		return;
	}
	program->columns = columns;
	program->ncolumns = n;
}

/* The column of Kafka's that the output column newer_by is, without a change; 0: it is something else. */
static AttrNumber
find_newer(MrProgram *program, Query *query, int index)
{
	const char *newer_by = program->definition->newer_by;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var = (Var *) entry->expr;

		if (newer_by != NULL && !entry->resjunk && strcmp(entry->resname, newer_by) == 0)
			return IsA(var, Var) && var->varno == index && var->varlevelsup == 0 &&
						   var->varattno > program->event->fields->count
					   ? var->varattno
					   : 0;
	}
	return 0;
}

/* The columns of event that are named in another place than as a whole output column that can keep its value. */
static Bitmapset *
used_in_expressions(const MrProgram *program, Query *query)
{
	EventSearch state = {0};
	Query other = *query;
	ListCell *cell;

	other.targetList = NIL;
	foreach (cell, query->targetList)
		if (foreach_current_index(cell) >= program->ncolumns ||
			!mr_keep_can(program, &program->columns[foreach_current_index(cell)]))
			other.targetList = lappend(other.targetList, lfirst(cell));
	(void) find_event(&other, &state);
	return state.used;
}

/* Adds the hidden column to the event relation's entry and to the output. */
static void
add_ordinal(Query *query, int index, TupleDesc visible)
{
	RangeTblEntry *rte = rt_fetch(index, query->rtable);
	AttrNumber attnum = visible->natts + 1;
	ListCell *cell;
	int position = 0;
	TargetEntry *entry;

	rte->coltypes = lappend_oid(rte->coltypes, INT4OID);
	rte->coltypmods = lappend_int(rte->coltypmods, -1);
	rte->colcollations = lappend_oid(rte->colcollations, InvalidOid);
	rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup("ordinal")));
	foreach (cell, query->targetList)
	{
		if (lfirst_node(TargetEntry, cell)->resjunk)
			break;
		position++;
	}
	entry = makeTargetEntry((Expr *) makeVar(index, attnum, INT4OID, -1, InvalidOid, 0),
							position + 1, pstrdup("ordinal"), false);
	query->targetList = list_insert_nth(query->targetList, position, entry);
	position = 1;
	foreach (cell, query->targetList)
		lfirst_node(TargetEntry, cell)->resno = position++;
}

void
mr_transform_patch(Query *query, void *arg)
{
	MrProgram *program = arg;
	EventSearch state = {0};
	bool found = false;
	int index;
	int *fields;
	MemoryContext old;

	check_shape(query);
	index = find_event(query, &state);
	if (is_nullable((Node *) query->jointree, index, false, &found))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("an outer join may give rows without an event"),
						errhint("Put event on the side that is kept: FROM event LEFT JOIN ...")));
	fields = mr_keep_fields(program, query, index);
	map_columns(program, query);
	for (int i = 0; i < program->ncolumns; i++)
		program->columns[i].field = fields[i];
	program->newer_from = find_newer(program, query, index);
	add_ordinal(query, index, program->event->visible);
	if (program->definition->delete_when != NULL)
	{
		mr_delete_when_add(query, index, program->definition->delete_when, program->event->visible);
		state = (EventSearch){0};
		(void) find_event(query, &state);
	}
	old = MemoryContextSwitchTo(program->context);
	program->event->used = bms_copy(state.used);
	if (program->type_field != NULL)
		program->event->used =
			bms_add_member(program->event->used, program->type_field->column + 1);
	mr_keep_decide(program, used_in_expressions(program, query));
	MemoryContextSwitchTo(old);
}
