/*
 * fields.c - field lists, read by PostgreSQL's own grammar
 *
 * The text becomes the COLUMNS of an XMLTABLE in a query that is parsed and never analysed or run; what
 * comes back must be exactly that one query, so that the text cannot say more than columns. Works in any
 * backend; everything is in the caller's memory context.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "common/keywords.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"

#include "decode/fields.h"
#include "decode/fields_default.h"
#include "decode/fields_option.h"
#include "decode/fields_path.h"
#include "server/compat.h"

#define WRAP_BEFORE "SELECT FROM XMLTABLE('' PASSING '' COLUMNS "
#define WRAP_AFTER  "\n)"

#define HOW_TO_WRITE                                                                               \
	"Write name type [NOT NULL] [PATH '$.key'] [DEFAULT constant], separated by commas."

static MrFields *parse_wrapped(const char *wrapped, List *options, const MrReading *reading);
static void set_options(MrField *field, int number, List *options, ParseState *pstate);
static List *columns_of(const char *wrapped, ParseState *pstate);
static bool is_plain_wrap(List *statements);
static void parse_column(RangeTableFuncCol *column, ParseState *pstate, MrField *field);
static void check_name(const RangeTableFuncCol *column, ParseState *pstate);
static char *key_as_written(const char *written, const char *name);
static bool comes_with_events(const char *name);
static char *other_name_hint(const char *name, const char *key);
static void parse_path(RangeTableFuncCol *column, ParseState *pstate, MrField *field);
static void point_into_list(void *list);
pg_noreturn static void rethrow_in_terms_of(const char *list, MemoryContext context);
static char *hint_for(const ErrorData *edata, const char *list);
static char *reserved_word_at(const char *list, int position);

MrFields *
mr_fields_parse(const char *list, const MrReading *reading)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = point_into_list,
									 .arg = (void *) list,
									 .previous = error_context_stack};
	MrFields *volatile fields = NULL;

	if (list == NULL)
		return palloc0(sizeof(MrFields));
	PG_TRY();
	{
		List *options;
		char *rest = mr_field_options_take(list, &options);

		error_context_stack = &callback;
		fields = parse_wrapped(psprintf(WRAP_BEFORE "%s" WRAP_AFTER, rest), options, reading);
		error_context_stack = callback.previous;
	}
	PG_CATCH();
	{
		rethrow_in_terms_of(list, context);
	}
	PG_END_TRY();
	return fields;
}

static MrFields *
parse_wrapped(const char *wrapped, List *options, const MrReading *reading)
{
	ParseState *pstate = make_parsestate(NULL);
	MrFields *fields = palloc0(sizeof(MrFields));
	List *columns;
	ListCell *lc;

	pstate->p_sourcetext = wrapped;
	columns = columns_of(wrapped, pstate);
	fields->fields = palloc0(sizeof(MrField) * list_length(columns));
	foreach (lc, columns)
	{
		RangeTableFuncCol *column = lfirst_node(RangeTableFuncCol, lc);

		if (fields->count == MR_FIELDS_MAX)
			ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
							errmsg("a field list can have at most %d fields", MR_FIELDS_MAX),
							parser_errposition(pstate, column->location)));
		for (int i = 0; i < fields->count; i++)
			if (strcmp(fields->fields[i].name, column->colname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("field \"%s\" is declared more than once", column->colname),
						 errhint("Names that differ in capitals only are one name unless they are "
								 "in double quotes. Give one of them another name and a PATH."),
						 parser_errposition(pstate, column->location)));
		fields->fields[fields->count].reading = *reading;
		parse_column(column, pstate, &fields->fields[fields->count]);
		set_options(&fields->fields[fields->count], fields->count, options, pstate);
		if (column->coldefexpr != NULL)
			mr_field_default_parse(column->coldefexpr, pstate, &fields->fields[fields->count]);
		fields->count++;
	}
	free_parsestate(pstate);
	return fields;
}

static void
set_options(MrField *field, int number, List *options, ParseState *pstate)
{
	ListCell *lc;

	foreach (lc, options)
	{
		MrFieldOption *option = lfirst(lc);
		int location = option->location + (int) strlen(WRAP_BEFORE);
		const char *expected;

		if (option->column != number)
			continue;
		if (!mr_field_option_is_for(option->name, field->type_id))
			ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
							errmsg("%s is nothing for field \"%s\" of type %s", option->name,
								   field->name, format_type_be(field->type_id)),
							errhint("Leave it out."), parser_errposition(pstate, location)));
		expected = mr_reading_set(&field->reading, option->name, option->value);
		if (expected != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s of field \"%s\" is \"%s\", expected %s", option->name,
								   field->name, option->value, expected),
							errhint("Write it behind the type, as in: %s %s %s '%s'.", field->name,
									format_type_be(field->type_id), option->name,
									mr_reading_example(option->name)),
							parser_errposition(pstate, location)));
	}
}

static List *
columns_of(const char *wrapped, ParseState *pstate)
{
	List *statements = raw_parser(wrapped, RAW_PARSE_DEFAULT);
	SelectStmt *select;

	if (!is_plain_wrap(statements))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("a field list can hold nothing but fields"), errhint(HOW_TO_WRITE)));
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	return linitial_node(RangeTableFunc, select->fromClause)->columns;
}

/* One SELECT from one XMLTABLE and no other clause: the text stayed inside its parentheses. */
static bool
is_plain_wrap(List *statements)
{
	SelectStmt *select;
	RangeTableFunc *table;

	if (list_length(statements) != 1)
		return false;
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	if (!IsA(select, SelectStmt) || select->op != SETOP_NONE || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitCount != NULL || select->limitOffset != NULL ||
		select->lockingClause != NIL || select->targetList != NIL ||
		list_length(select->fromClause) != 1 || !IsA(linitial(select->fromClause), RangeTableFunc))
		return false;
	table = linitial_node(RangeTableFunc, select->fromClause);
	return table->alias == NULL && !table->lateral && table->namespaces == NIL;
}

static void
parse_column(RangeTableFuncCol *column, ParseState *pstate, MrField *field)
{
	check_name(column, pstate);
	field->name = column->colname;
	if (column->for_ordinality)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("field \"%s\" cannot be FOR ORDINALITY", field->name),
						errhint("\"partition\" and \"offset\" number the events."),
						parser_errposition(pstate, column->location)));
	if (column->typeName->setof)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("field \"%s\" cannot be declared SETOF", field->name),
						parser_errposition(pstate, column->typeName->location)));
	typenameTypeIdAndMod(pstate, column->typeName, &field->type_id, &field->typmod);
	if (get_typtype(field->type_id) == TYPTYPE_PSEUDO)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("field \"%s\" has pseudo-type %s", field->name,
							   format_type_be(field->type_id)),
						parser_errposition(pstate, column->typeName->location)));
	field->collation = get_typcollation(field->type_id);
	get_typlenbyval(field->type_id, &field->typlen, &field->typbyval);
	field->not_null = column->is_not_null;
	parse_path(column, pstate, field);
}

static void
check_name(const RangeTableFuncCol *column, ParseState *pstate)
{
	const char *name = column->colname;

	if (comes_with_events(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME), errmsg("field name \"%s\" is reserved", name),
				 errhint("%s", other_name_hint(name, key_as_written(pstate->p_sourcetext +
																		column->location,
																	name))),
				 parser_errposition(pstate, column->location)));
}

/* The names of what comes with every event. */
static bool
comes_with_events(const char *name)
{
	static const char *const reserved[] = {"payload",     "raw",  "topic",   "partition",
										   "offset",      "key",  "headers", "kafka_ts",
										   "header_list", "event"};

	for (int i = 0; i < lengthof(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

static char *
other_name_hint(const char *name, const char *key)
{
	return psprintf("Give the field another name and say where it is found, as in: "
					"event_%s text PATH '$.%s'.",
					name, key);
}

static void
parse_path(RangeTableFuncCol *column, ParseState *pstate, MrField *field)
{
	Node *path = column->colexpr;
	const char *problem;
	int at;

	if (path == NULL)
	{
		field->steps = palloc0(sizeof(MrPathStep));
		field->steps[0].key =
			key_as_written(pstate->p_sourcetext + column->location, column->colname);
		field->steps[0].key_length = strlen(field->steps[0].key);
		field->step_count = 1;
		return;
	}
	if (!IsA(path, A_Const) || castNode(A_Const, path)->isnull ||
		!IsA(&castNode(A_Const, path)->val, String))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("PATH of field \"%s\" must be a string", field->name),
						errhint("Write it as PATH '$.key' or PATH '$.\"a key\".inner[0]'."),
						parser_errposition(pstate, exprLocation(path))));
	problem = mr_path_parse(strVal(&castNode(A_Const, path)->val), field, &at);
	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("PATH of field \"%s\" is not valid: %s", field->name, problem),
						errdetail("At character %d of '%s'.", at + 1,
								  strVal(&castNode(A_Const, path)->val)),
						errhint("A path is $, for the payload, or key, followed by steps .key, "
								".\"any key\" or [0]; or header.name."),
						parser_errposition(pstate, exprLocation(path))));
}

/*
 * The key of a field that has no PATH: its name as the list has it, before PostgreSQL folds capitals and cuts at 63
 * bytes. A name with Unicode escapes (U&"...") has been resolved by the parser.
 */
static char *
key_as_written(const char *written, const char *name)
{
	StringInfoData key;

	if ((*written == 'U' || *written == 'u') && written[1] == '&')
		return pstrdup(name);
	initStringInfo(&key);
	if (*written != '"')
		while (isalnum((unsigned char) *written) || *written == '_' || *written == '$' ||
			   IS_HIGHBIT_SET(*written))
			appendStringInfoChar(&key, *written++);
	else
		for (written++; *written != '"' || *++written == '"'; written++)
			appendStringInfoChar(&key, *written);
	return key.data;
}

/*
 * Positions come in characters of the wrapped text; the user knows only what is inside. This has to be a
 * callback: one of SPI's, further out, would take the position for one in the calling query.
 */
static void
point_into_list(void *list)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	position -= (int) strlen(WRAP_BEFORE);
	errposition(0);
	internalerrposition(Min(position, pg_mbstrlen(list) + 1));
	internalerrquery(list);
}

/* The parser may complain about the wrap's own parenthesis, which to the user is the end. */
static void
rethrow_in_terms_of(const char *list, MemoryContext context)
{
	ErrorData *edata;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	if (edata->sqlerrcode == ERRCODE_SYNTAX_ERROR && edata->internalquery != NULL &&
		strcmp(edata->internalquery, list) == 0 && edata->internalpos > pg_mbstrlen(list))
		edata->message = strspn(list, " \t\r\n\f") == strlen(list)
							 ? pstrdup("field list is empty")
							 : pstrdup("syntax error at end of field list");
	if (edata->hint == NULL)
		edata->hint = hint_for(edata, list);
	ReThrowError(edata);
}

/* The parser's own messages have none. */
static char *
hint_for(const ErrorData *edata, const char *list)
{
	char *word;

	if (edata->sqlerrcode == ERRCODE_UNDEFINED_OBJECT)
		return pstrdup(HOW_TO_WRITE);
	if (edata->sqlerrcode != ERRCODE_SYNTAX_ERROR)
		return NULL;
	word = edata->internalquery != NULL && strcmp(edata->internalquery, list) == 0
			   ? reserved_word_at(list, edata->internalpos)
			   : NULL;
	if (word == NULL)
		return pstrdup(HOW_TO_WRITE);
	if (comes_with_events(asc_tolower(word, strlen(word))))
		return other_name_hint(asc_tolower(word, strlen(word)), word);
	return psprintf(
		"\"%s\" is a reserved word: write it in double quotes, here and in the transform.", word);
}

/* A key word where a field's name is expected, as it is written; NULL: none there. The position counts characters from 1. */
static char *
reserved_word_at(const char *list, int position)
{
	int start;
	int length = 0;
	int before;
	int keyword;
	char *word;

	if (position <= 0 || position > pg_mbstrlen(list))
		return NULL;
	start = pg_mbcharcliplen(list, strlen(list), position - 1);
	while (isalnum((unsigned char) list[start + length]) || list[start + length] == '_')
		length++;
	for (before = start; before > 0 && isspace((unsigned char) list[before - 1]);)
		before--;
	if (before > 0 && list[before - 1] != ',')
		return NULL;
	word = pnstrdup(&list[start], length);
	keyword = ScanKeywordLookup(word, &ScanKeywords); /* whatever its capitals */
	if (keyword < 0 || (ScanKeywordCategories[keyword] != RESERVED_KEYWORD &&
						ScanKeywordCategories[keyword] != TYPE_FUNC_NAME_KEYWORD))
		return NULL;
	return word;
}
