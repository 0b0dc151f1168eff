/*
 * expression.c: millrace._window_parts(): the SQL a user wrote for a window, checked and taken apart.
 *
 * Each text is analysed over the target table as the role that owns the pipeline, with the settings of its definition (a time
 * without zone means the same as in the transform), and comes back as SQL that means the same under search_path = pg_catalog. What an aggregate is kept as is decided in SQL
 * (66_window_aggregate.sql); here it is only found, and replaced in the expression around it.
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "parser/parse_oper.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "server/guc.h"
#include "pipeline/pipeline.h"
#include "window/foreign.h"
#include "window/window_text.h"

typedef struct Parts
{
	const MrDefinition *definition;
	List *context;    /* for deparsing */
	List *aggregates; /* Aggref, each once */
	ReturnSetInfo *result;
} Parts;

enum /* columns of the result */
{
	PART,
	NAME,
	SQL,
	TYPE,
	COLLATION,
	AGGREGATE,
	ARGUMENT_TYPE,
	FILTER,
	FIRST_ARGUMENT,
	LAST_ARGUMENT,
	WHOLE,
	NCOLUMNS
};

/* A row of the result; NULL: none. */
typedef struct Part
{
	const char *columns[NCOLUMNS];
} Part;

static char *
deparse(const Parts *parts, Node *node)
{
	return deparse_expression(node, parts->context, false, false);
}

static void
put(Parts *parts, const Part *part)
{
	Datum values[NCOLUMNS];
	bool nulls[NCOLUMNS];

	for (int i = 0; i < NCOLUMNS; i++)
	{
		nulls[i] = part->columns[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(part->columns[i]);
	}
	tuplestore_putvalues(parts->result->setResult, parts->result->setDesc, values, nulls);
}

/* As text that means the same in a definition: "bit" and "character" alone would be of length 1. */
static const char *
type_name(Node *expr)
{
	return format_type_extended(getBaseType(exprType(expr)), -1,
								FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

static void
note_type(Part *part, Node *expr)
{
	Oid collation = exprCollation(expr);

	part->columns[TYPE] = type_name(expr);
	if (OidIsValid(collation))
		part->columns[COLLATION] = generate_collation_name(collation);
}

static void
put_expression(Parts *parts, const char *name, const TargetEntry *entry)
{
	Part part = {
		.columns = {
			[PART] = name, [NAME] = entry->resname, [SQL] = deparse(parts, (Node *) entry->expr)}};

	note_type(&part, (Node *) entry->expr);
	put(parts, &part);
}

/* What needs all rows at once has no partial value, whatever the aggregate is. */
static bool
can_be_partial(const Aggref *aggregate)
{
	return aggregate->aggdistinct == NIL && aggregate->aggorder == NIL &&
		   aggregate->aggkind == AGGKIND_NORMAL && !aggregate->aggvariadic;
}

/* Each aggregate is replaced by a parameter whose number is its place in the list, from 1. */
static Node *
replace_aggregates(Node *node, void *arg)
{
	Parts *parts = arg;
	Param *param;
	ListCell *cell;
	int place = 0;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, replace_aggregates, arg);
	foreach (cell, parts->aggregates)
		if (equal(lfirst(cell), node))
			place = foreach_current_index(cell) + 1;
	if (place == 0)
	{
		parts->aggregates = lappend(parts->aggregates, node);
		place = list_length(parts->aggregates);
	}
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = place;
	param->paramtype = exprType(node);
	param->paramtypmod = exprTypmod(node);
	param->paramcollid = exprCollation(node);
	param->location = -1;
	return (Node *) param;
}

/* $n becomes m.a<n>, except in literals and quoted names. */
static char *
name_aggregates(const char *sql)
{
	StringInfoData text;
	char quote = '\0';

	initStringInfo(&text);
	for (const char *c = sql; *c != '\0'; c++)
	{
		if (quote == '\0' && *c == '$')
		{
			appendStringInfoString(&text, "m.a");
			continue;
		}
		if (quote == '\0' && (*c == '\'' || *c == '"'))
			quote = *c;
		else if (*c == quote)
			quote = '\0'; /* a doubled one opens again at once */
		appendStringInfoChar(&text, *c);
	}
	return text.data;
}

/* A column of the window's view: an expression over aggregates. */
static void
put_output(Parts *parts, const MrWindowText *text, const TargetEntry *entry)
{
	Part part = {.columns = {[PART] = "output",
							 [NAME] = entry->resname,
							 [WHOLE] = deparse(parts, (Node *) entry->expr)}};

	if (!contain_agg_clause((Node *) entry->expr))
		mr_window_text_refuse(text, (Node *) entry->expr, "an expression without an aggregate",
							  "What is to be a column of its own goes into group_by.");
	note_type(&part, (Node *) entry->expr);
	part.columns[SQL] =
		name_aggregates(deparse(parts, replace_aggregates((Node *) entry->expr, parts)));
	if (!IsA(entry->expr, Aggref) && mr_window_is_foreign((Node *) entry->expr))
		part.columns[SQL] = NULL;
	put(parts, &part);
}

static void
put_aggregate(Parts *parts, Aggref *aggregate)
{
	Part part = {
		.columns = {[PART] = "aggregate",
					[NAME] = can_be_partial(aggregate) ? get_func_name(aggregate->aggfnoid) : NULL,
					[AGGREGATE] = format_procedure_qualified(aggregate->aggfnoid)}};
	StringInfoData arguments;
	ListCell *cell;

	initStringInfo(&arguments);
	foreach (cell, aggregate->args)
	{
		Node *argument = (Node *) lfirst_node(TargetEntry, cell)->expr;
		char *sql = deparse(parts, argument);

		appendStringInfo(&arguments, "%s%s", arguments.len > 0 ? ", " : "", sql);
		part.columns[LAST_ARGUMENT] = sql;
		if (foreach_current_index(cell) > 0)
			continue;
		part.columns[FIRST_ARGUMENT] = sql;
		part.columns[ARGUMENT_TYPE] = type_name(argument);
	}
	part.columns[SQL] = aggregate->aggstar ? "*" : arguments.data;
	if (aggregate->aggfilter != NULL)
		part.columns[FILTER] = deparse(parts, (Node *) aggregate->aggfilter);
	note_type(&part, (Node *) aggregate);
	put(parts, &part);
}

/* The one expression of a text, of that type (InvalidOid: any). */
static TargetEntry *
single(const Parts *parts, const MrWindowText *text, Oid type, const char *hint)
{
	List *list = mr_window_text_analyze(text, parts->definition->target);
	TargetEntry *entry = linitial_node(TargetEntry, list);

	if (list_length(list) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s of a window has %d expressions, expected one", text->argument,
						list_length(list)),
				 errhint("Several keys are several elements: group_by => '{source,type}'.")));
	if (OidIsValid(type) && getBaseType(exprType((Node *) entry->expr)) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s of a window is of type %s, expected %s", text->argument,
						format_type_be(exprType((Node *) entry->expr)), format_type_be(type)),
				 errhint("%s", hint)));
	return entry;
}

/* Values are compared by functions of the server only; arrays are by those of their elements. */
static bool
is_compared_by_server(Oid type)
{
	Oid element = get_element_type(type);
	char kind = get_typtype(type);
	Oid less = InvalidOid;
	Oid same = InvalidOid;

	get_sort_group_operators(type, false, false, false, &less, &same, NULL, NULL);
	return OidIsValid(less) && OidIsValid(same) &&
		   get_func_namespace(get_opcode(same)) == PG_CATALOG_NAMESPACE &&
		   (kind == TYPTYPE_BASE || kind == TYPTYPE_ENUM) &&
		   (!OidIsValid(element) || is_compared_by_server(element));
}

/* A key is compared and hashed by whoever folds and reads. */
static void
check_key(const TargetEntry *entry)
{
	Oid type = getBaseType(exprType((Node *) entry->expr));

	if (!is_compared_by_server(type))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("group_by of a window cannot have type %s", format_type_be(type)),
						errdetail("Its values are compared by functions that are not the server's "
								  "own, or not at all."),
						errhint("Cast it, to text for example.")));
}

/* What was analysed with the user's path and settings is written with ours: so that it can be read in any session. */
static void
write_plainly(void)
{
	mr_guc_set("search_path", "pg_catalog, pg_temp");
	mr_guc_set("datestyle", "ISO, YMD");
	mr_guc_set("intervalstyle", "postgres");
	mr_guc_set("extra_float_digits", "1");
}

static List *
analyze_groups(const Parts *parts, FunctionCallInfo fcinfo)
{
	Datum *elements;
	bool *nulls;
	int n;
	List *groups = NIL;

	if (PG_ARGISNULL(3))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
	{
		MrWindowText key = {.argument = "group_by"};

		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("group_by of a window has a null element"),
							errhint("Name columns or expressions: group_by => '{source}'.")));
		key.text = TextDatumGetCString(elements[i]);
		groups = lappend(groups, single(parts, &key, InvalidOid, ""));
		check_key(llast(groups));
	}
	return groups;
}

/* Everything is analysed before anything is written: the two use different settings. */
static void
take_apart(Parts *parts, FunctionCallInfo fcinfo)
{
	MrWindowText event_time = {"event_time", text_to_cstring(PG_GETARG_TEXT_PP(2)), false};
	MrWindowText aggregates = {"aggregates", text_to_cstring(PG_GETARG_TEXT_PP(4)), true};
	MrWindowText condition = {"\"where\"",
							  PG_ARGISNULL(5) ? "true" : text_to_cstring(PG_GETARG_TEXT_PP(5)),
							  false};
	TargetEntry *at;
	TargetEntry *which;
	List *groups;
	List *outputs;
	ListCell *cell;

	mr_definition_pin(parts->definition);
	at = single(parts, &event_time, TIMESTAMPTZOID,
				"Make it one: (ts AT TIME ZONE 'UTC') of a timestamp, for example.");
	groups = analyze_groups(parts, fcinfo);
	outputs = mr_window_text_analyze(&aggregates, parts->definition->target);
	which =
		single(parts, &condition, BOOLOID, "It says which rows count: \"where\" => 'value > 0'.");

	write_plainly();
	put_expression(parts, "event_time", at);
	foreach (cell, groups)
		put_expression(parts, "group", lfirst_node(TargetEntry, cell));
	foreach (cell, outputs)
		put_output(parts, &aggregates, lfirst_node(TargetEntry, cell));
	foreach (cell, parts->aggregates)
		put_aggregate(parts, lfirst(cell));
	if (!PG_ARGISNULL(5))
		put_expression(parts, "where", which);
}

PG_FUNCTION_INFO_V1(mr_sql_window_parts);

/*
 * millrace._window_parts(pipeline_id integer, version integer, event_time text, group_by text[], aggregates text,
 *     condition text)
 * RETURNS TABLE (part, name, sql, type, collation, aggregate, argument_type, filter, first_argument, last_argument, whole; all text)
 * An aggregate without a name, and an output without sql, cannot be made of partial values; whole: the output over all rows at once.
 * Raises what is wrong, with the position in the user's text.
 */
Datum
mr_sql_window_parts(PG_FUNCTION_ARGS)
{
	Parts parts = {0};
	MrPipelineRow pipeline;
	Oid user;
	int context;
	int nest;

	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i) && i != 3)
			elog(ERROR, "a window without pipeline, version, event_time or aggregates");
	if (!mr_pipeline_row_by_id(PG_GETARG_INT32(0), &pipeline))
		elog(ERROR, "there is no pipeline %d", PG_GETARG_INT32(0));
	InitMaterializedSRF(fcinfo, 0);
	parts.result = (ReturnSetInfo *) fcinfo->resultinfo;
	parts.definition = mr_definition_load(pipeline.id, PG_GETARG_INT32(1));
	parts.context =
		deparse_context_for(get_rel_name(parts.definition->target), parts.definition->target);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(pipeline.owner,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	PushActiveSnapshot(GetTransactionSnapshot());
	take_apart(&parts, fcinfo);
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	return (Datum) 0;
}
