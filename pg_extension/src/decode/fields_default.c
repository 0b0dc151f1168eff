/*
 * fields_default.c - DEFAULT of a field: a constant, folded when the list is read
 *
 * The value for a missing key must depend neither on when it is missing, nor on when the worker started: 'now' is a constant to
 * SQL, and another one each time the list is read.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "decode/decode_time.h"
#include "decode/fields_default.h"
#include "server/compat.h"

typedef struct Check
{
	MrField *field;
	ParseState *pstate;
} Check;

static bool check_strings(Node *node, void *check);
pg_noreturn static void not_constant(const MrField *field, ParseState *pstate, int location);

void
mr_field_default_parse(Node *expression, ParseState *pstate, MrField *field)
{
	Check check = {field, pstate};
	Oid time;
	int location = exprLocation(expression);
	Node *expr;
	Oid type;
	int32 base_typmod = field->typmod;
	Oid base =
		getBaseTypeAndTypmod(field->type_id, &base_typmod); /* a domain's checks do not fold */
	Const *value;

	if (mr_type_has_time(field->type_id, &time))
		(void) check_strings(expression, &check);
	expr = transformExpr(pstate, expression, EXPR_KIND_COLUMN_DEFAULT);
	type = exprType(expr);
	expr = coerce_to_target_type(pstate, expr, type, base, base_typmod, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
	if (expr == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("field \"%s\" is of type %s but its DEFAULT is of type %s",
							   field->name, format_type_be(field->type_id), format_type_be(type)),
						parser_errposition(pstate, location)));
	assign_expr_collations(pstate, expr);
	expr = (Node *) expression_planner((Expr *) expr);
	if (!IsA(expr, Const))
		not_constant(field, pstate, location);
	value = castNode(Const, expr);
	if (value->constisnull && field->not_null)
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("field \"%s\" is NOT NULL but its DEFAULT is null", field->name),
						parser_errposition(pstate, location)));
	if (base != field->type_id)
		domain_check(value->constvalue, value->constisnull, field->type_id, NULL, NULL);
	field->has_default = true;
	field->default_is_null = value->constisnull;
	if (!value->constisnull)
		field->default_value = datumCopy(value->constvalue, field->typbyval, field->typlen);
}

/* The strings of an expression that gives a date or time. A walker. */
static bool
check_strings(Node *node, void *argument)
{
	Check *check = argument;
	MrTimeForm form;
	A_Const *constant;
	const char *string;

	if (node == NULL)
		return false;
	if (!IsA(node, A_Const))
		return raw_expression_tree_walker(node, check_strings, argument);
	constant = castNode(A_Const, node);
	if (constant->isnull || !IsA(&constant->val, String))
		return false;
	string = strVal(&constant->val);
	mr_time_form(string, (int) strlen(string), &form);
	if (form.unknown)
		return false;
	/* 'epoch' is the same moment always */
	if (form.relative && pg_strcasecmp(string, "epoch") != 0)
		not_constant(check->field, check->pstate, constant->location);
	if (mr_time_is_ambiguous(&check->field->reading, &form))
		ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
						errmsg("DEFAULT of field \"%s\" can be read in more than one way",
							   check->field->name),
						errhint("Write the date as in 2026-03-01."),
						parser_errposition(check->pstate, constant->location)));
	return false;
}

static void
not_constant(const MrField *field, ParseState *pstate, int location)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					errmsg("DEFAULT of field \"%s\" is not a constant", field->name),
					errhint("Use coalesce(event.%s, ...) in the transform.",
							quote_identifier(field->name)),
					parser_errposition(pstate, location)));
}
