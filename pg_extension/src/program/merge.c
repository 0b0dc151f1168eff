/*
 * merge.c: see merge.h. Runs where programs are made.
 *
 * The assignments stand in two statements, where PostgreSQL analyses and runs them. The first is UPDATE ... FROM the rows, so
 * that a row which lacks what the table demands (a NOT NULL column, say) is merged all the same when its key is there. What
 * it did not find goes on to INSERT ... ON CONFLICT DO UPDATE SET, in which `new` is EXCLUDED under another name: another lane
 * may have inserted the key meanwhile.
 */
#include "program/merge.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "program/stored_row.h"

#define PREFIX "UPDATE merge SET "

static UpdateStmt *
parse_update(const char *sql)
{
	List *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	Node *statement = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;

	return statement != NULL && IsA(statement, UpdateStmt) ? (UpdateStmt *) statement : NULL;
}

/* No other clause than SET, whatever an UPDATE has in this version of PostgreSQL. */
static bool
is_bare(const UpdateStmt *statement)
{
	UpdateStmt bare = *parse_update(PREFIX "x = 1");
	UpdateStmt other = *statement;

	bare.targetList = other.targetList = NIL;
	return equal(&bare, &other);
}

static int
position_of(const char *sql, int location)
{
	return location < 0 ? 0 : errposition(pg_mbstrlen_with_len(sql, location) + 1);
}

bool
mr_merge_is_named(List *names, const char *name)
{
	ListCell *cell;

	foreach (cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

static const char *
assigned_column(const MrDefinition *definition, const char *sql, const ResTarget *target)
{
	if (target->indirection != NIL || IsA(target->val, MultiAssignRef) ||
		IsA(target->val, SetToDefault))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("merge must assign an expression to a whole column"),
				 errhint("Write: column = expression, ..."), position_of(sql, target->location)));
	if (mr_merge_is_named(definition->conflict_key, target->name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("merge assigns to column \"%s\", which is in conflict_key", target->name),
				 errhint("Leave it out: old and new row have the same key."),
				 position_of(sql, target->location)));
	return target->name;
}

List *
mr_merge_columns(const MrDefinition *definition)
{
	/* the line break ends a comment */
	const char *sql = psprintf(PREFIX "%s\n", definition->merge);
	MrPlanText text;
	UpdateStmt *statement;
	List *names = NIL;
	ListCell *cell;

	mr_plan_text_begin(&text, definition->merge, (int) strlen(PREFIX));
	statement = parse_update(sql);
	if (statement == NULL || !is_bare(statement))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("merge must be a list of assignments"),
				 errhint("Write them as in UPDATE ... SET: merge => $$ hits = old.hits + "
						 "new.hits, big = coalesce(new.big, old.big) $$.")));
	foreach (cell, statement->targetList)
		names = lappend(names, unconstify(char *, assigned_column(definition, sql,
																  lfirst_node(ResTarget, cell))));
	mr_plan_text_end(&text);
	return names;
}

int
mr_merge_append(StringInfo sql, const MrProgram *program, const char *new_row)
{
	const MrDefinition *definition = program->definition;
	int before = pg_mbstrlen(sql->data);
	List *merged = NIL;
	int n = 0;

	if (definition->merge != NULL)
	{
		merged = mr_merge_columns(definition);
		appendStringInfo(sql, "%s\n", definition->merge); /* ends a comment */
		n = list_length(merged);
	}
	for (int pass = 0; pass == 0 || (pass == 1 && n == 0); pass++)
	{
		for (int i = 0; i < program->ncolumns; i++)
		{
			const char *name = quote_identifier(program->columns[i].name);

			if (!mr_merge_is_named(merged, program->columns[i].name) &&
				(pass > 0 || !program->columns[i].is_key))
				appendStringInfo(sql, "%s%s = %s.%s", n++ > 0 ? ", " : "", name, new_row, name);
		}
	}
	return before;
}

static const char *
list_columns(const MrProgram *program)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < program->ncolumns; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", program->columns[i].name);
	return text.data;
}

static bool
is_given(const MrProgram *program, const char *name)
{
	for (int i = 0; i < program->ncolumns; i++)
		if (strcmp(program->columns[i].name, name) == 0)
			return true;
	return false;
}

/* A reference that PostgreSQL does not resolve; so a relation of that name in a subquery is its own. */
static Node *
resolve_new(ParseState *state, ColumnRef *reference, Node *resolved)
{
	const MrProgram *program = state->p_ref_hook_state;
	ColumnRef *excluded;
	Node *name = list_length(reference->fields) == 2 ? lsecond(reference->fields) : NULL;

	if (resolved != NULL || name == NULL || !IsA(name, String) ||
		strcmp(strVal(linitial(reference->fields)), "new") != 0)
		return NULL;
	if (!is_given(program, strVal(name)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("new has no column \"%s\"", strVal(name)),
				 errdetail("new is what the transform gives: %s.", list_columns(program)),
				 errhint("Add the column to the transform, or name one of old, which is the row "
						 "of the target."),
				 parser_errposition(state, reference->location)));
	excluded = makeNode(ColumnRef);
	excluded->fields = list_make2(makeString(pstrdup("excluded")), name);
	excluded->location = reference->location;
	return transformExpr(state, (Node *) excluded, state->p_expr_kind);
}

static void
set_up(ParseState *state, void *program)
{
	state->p_ref_hook_state = program;
	state->p_post_columnref_hook = resolve_new;
}

void
mr_merge_prepare(MrProgram *program, MrPlan *plan, int before)
{
	mr_plan_set_part(plan, program->definition->merge, before, set_up, program);
}

/* Of rows as the statements read them: the number has a name that is nobody's. */
TupleDesc
mr_merge_describe_rows(const MrProgram *program)
{
	TupleDesc desc = CreateTupleDescCopy(program->row_full);

	namestrcpy(&TupleDescAttr(desc, desc->natts - 1)->attname, MR_MERGE_NUMBER);
	return desc;
}

void
mr_merge_append_match(StringInfo sql, const MrProgram *program)
{
	for (int i = 0; i < program->nconflict; i++)
	{
		const char *name = quote_identifier(program->columns[program->keys[i].column].name);

		appendStringInfo(sql, "%sold.%s = new.%s", i > 0 ? " AND " : " WHERE ", name, name);
	}
}

static const char *
update_statement(const MrProgram *program, bool folds, int *before)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS old SET ", mr_target_name(program->definition));
	*before = mr_merge_append(&sql, program, "new");
	appendStringInfoString(&sql, " FROM " MR_MERGE_ROWS " AS new");
	mr_merge_append_match(&sql, program);
	if (program->newer_column >= 0)
	{
		const char *newer = quote_identifier(program->definition->newer_by);

		appendStringInfo(&sql, " AND (new.%s >= old.%s OR old.%s IS NULL)", newer, newer, newer);
	}
	appendStringInfo(&sql, " RETURNING new.\"" MR_MERGE_NUMBER "\"%s", folds ? ", old.*" : "");
	return sql.data;
}

static const char *
present_statement(const MrProgram *program)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT new.\"" MR_MERGE_NUMBER "\" FROM " MR_MERGE_ROWS " AS new, %s AS old",
					 mr_target_name(program->definition));
	mr_merge_append_match(&sql, program);
	appendStringInfoString(&sql, " FOR NO KEY UPDATE OF " MR_MERGE_OLD);
	return sql.data;
}

MrPlan *
mr_merge_plan(const MrProgram *program, const char *sql, TupleDesc rows)
{
	MrPlan *plan =
		mr_plan_create(sql, MR_MERGE_ROWS, rows, rows, program->definition->target, NULL, NULL);

	mr_plan_look_up(plan);
	return plan;
}

MrMerge *
mr_merge_create(MrProgram *program, Relation target, const Query *query)
{
	MrMerge *merge = palloc0(sizeof(MrMerge));
	bool folds = mr_target_folds(program, target, query);
	int before;
	const char *sql = update_statement(program, folds, &before);

	merge->rows = mr_merge_describe_rows(program);
	merge->update = mr_merge_plan(program, sql, merge->rows);
	mr_plan_set_part(merge->update, program->definition->merge, before, NULL, NULL);
	mr_check_query_permissions(mr_plan_analyze(merge->update));
	merge->present = mr_merge_plan(program, present_statement(program), merge->rows);
	if (folds)
		merge->stored = mr_stored_row_create(program, target, query);
	return merge;
}
