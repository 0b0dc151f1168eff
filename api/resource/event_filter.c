#include "api/resource/event_filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_MAX 50 /* values of in.(…) */

/* What is not a filter by column. */
static const char *const own_names[] = {"from", "to", "q", "limit", "cursor", "fields", "csv"};
#define OWN_COUNT ((int) (sizeof(own_names) / sizeof(own_names[0])))

typedef struct Operator
{
	const char *prefix;
	const char *sql;
} Operator;

static const Operator operators[] = {
	{"eq.", "="}, {"gte.", ">="}, {"gt.", ">"}, {"lte.", "<="}, {"lt.", "<"}};

/* Of PostgREST's; a value that begins so would silently find nothing. Whole words are followed by a dot in types of events, too. */
static const char *const other_operators[] = {"neq.",      "not.eq.",    "not.gt.",  "not.gte.",
											  "not.lt.",   "not.lte.",   "not.in.",  "not.is.",
											  "not.like.", "not.ilike.", "not.fts.", "like.",
											  "ilike.",    "fts.",       "plfts.",   "phfts.",
											  "wfts."};
static const char *const other_values[] = {"is.null",  "is.not_null", "is.true",
										   "is.false", "is.unknown",  "not.is.null"};

/* What other services call a parameter of ours. */
static const struct
{
	const char *name;
	const char *hint;
} other_names[] = {
	{"select", "The columns to show are named by \"fields\"."},
	{"columns", "The columns to show are named by \"fields\"."},
	{"order", "The order is by time, the newest first; \"from\" and \"to\" bound it."},
	{"sort", "The order is by time, the newest first; \"from\" and \"to\" bound it."},
	{"page", "The next page is in the header field Link, as rel=\"next\"; \"limit\" is its size."},
	{"offset",
	 "The next page is in the header field Link, as rel=\"next\"; \"limit\" is its size."},
	{"size", "The rows of a page are \"limit\"."},
	{"per_page", "The rows of a page are \"limit\"."},
	{"pageSize", "The rows of a page are \"limit\"."},
};

static bool refuse_name(MrListRefusal *refusal, const MrRelation *relation, const char *name,
						bool is_list);
static const char *hint_of_others(const char *name);
static const char *hint_for(const MrRelation *relation, const char *name, int own_count, char *hint,
							size_t hint_size);
static bool put_search(MrEventQuery *query, const MrRelation *relation, const char *words,
					   bool has_start, MrListRefusal *refusal);
static bool put_filter(MrEventQuery *query, const MrRelation *relation, const MrParam *param,
					   bool indexed, MrListRefusal *refusal);
static const char *other_operator(const char *value);
static bool put_in(MrEventQuery *query, const MrColumn *column, const char *list,
				   MrListRefusal *refusal);

bool
mr_event_filter_put(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
					bool indexed, MrListRefusal *refusal)
{
	const MrColumn *time = &relation->columns[relation->time];
	const char *from = mr_params_get(params, "from");
	const char *to = mr_params_get(params, "to");
	const char *words = mr_params_get(params, "q");

	if (from != NULL)
	{
		mr_event_filter_and(query);
		mr_buffer_printf(&query->sql, "t.%s >= ", time->ident);
		mr_event_filter_value(query, from, time->type);
	}
	if (to != NULL)
	{
		mr_event_filter_and(query);
		mr_buffer_printf(&query->sql, "t.%s < ", time->ident);
		mr_event_filter_value(query, to, time->type);
	}
	if (words != NULL && !put_search(query, relation, words, from != NULL || !indexed, refusal))
		return false;
	for (int i = 0; i < params->count; i++)
		if (!mr_event_filter_is_own(params->items[i].name) &&
			!put_filter(query, relation, &params->items[i], indexed, refusal))
			return false;
	return true;
}

bool
mr_list_refuse_column(MrListRefusal *refusal, const MrRelation *relation, const char *name)
{
	char buffer[200];
	const char *hint = hint_for(relation, name, 0, buffer, sizeof(buffer));

	return mr_list_refuse(refusal, MR_PROBLEM_VALUE,
						  hint != NULL ? hint : "Without fields an answer shows the columns.",
						  "fields has \"%.64s\", which is no column.", name);
}

void
mr_event_filter_value(MrEventQuery *query, const char *value, const char *type)
{
	query->values[query->count++] = value;
	mr_buffer_printf(&query->sql, "$%d::%s", query->count, type);
}

void
mr_event_filter_and(MrEventQuery *query)
{
	mr_buffer_printf(&query->sql, "%s", query->joint);
	query->joint = " AND ";
}

bool
mr_list_refuse(MrListRefusal *refusal, MrProblem problem, const char *hint, const char *fmt, ...)
{
	va_list args;

	refusal->problem = problem;
	snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint != NULL ? hint : "");
	va_start(args, fmt);
	vsnprintf(refusal->detail, sizeof(refusal->detail), fmt, args);
	va_end(args);
	return false;
}

bool
mr_event_filter_is_own(const char *name)
{
	for (int i = 0; i < OWN_COUNT; i++)
		if (strcmp(own_names[i], name) == 0)
			return true;
	return false;
}

/* A stream has neither pages nor an order to choose. */
static bool
refuse_name(MrListRefusal *refusal, const MrRelation *relation, const char *name, bool is_list)
{
	char buffer[200];
	const char *hint = hint_for(relation, name, OWN_COUNT, buffer, sizeof(buffer));

	if (is_list && hint_of_others(name) != NULL)
		hint = hint_of_others(name);
	if (hint == NULL)
		hint =
			is_list
				? "Filters are named as the columns; the other parameters are from, to, q, limit, "
				  "cursor, fields and csv."
				: MR_STREAM_HINT;
	return mr_list_refuse(refusal, MR_PROBLEM_PARAMETER, hint, "There is no parameter \"%.64s\".",
						  name);
}

/* NULL: no other service has a parameter of that name that we know of. */
static const char *
hint_of_others(const char *name)
{
	for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
		if (strcmp(other_names[i].name, name) == 0)
			return other_names[i].hint;
	return NULL;
}

/* The nearest of the columns, and of the first so many parameters; NULL: none is near. */
static const char *
hint_for(const MrRelation *relation, const char *name, int own_count, char *hint, size_t hint_size)
{
	const char **known = mr_calloc((size_t) relation->count + OWN_COUNT, sizeof(*known));
	const char *nearest;

	for (int i = 0; i < own_count; i++)
		known[i] = own_names[i];
	for (int i = 0; i < relation->count; i++)
		known[own_count + i] = relation->columns[i].name;
	nearest = mr_nearest_name(name, known, relation->count + own_count);
	free(known);
	if (nearest == NULL)
		return NULL;
	snprintf(hint, hint_size, "Did you mean \"%s\"?", nearest);
	return hint;
}

/* The words of a search are never wrong. With whatever index, all that has them would be sorted by time: hence the range. */
static bool
put_search(MrEventQuery *query, const MrRelation *relation, const char *words, bool has_start,
		   MrListRefusal *refusal)
{
	int column = mr_relation_search(relation);
	char hint[320];

	/* of a window, whose rows come from a query, there is nothing to alter */
	if (column < 0 && relation->ident[0] == '(')
		return mr_list_refuse(refusal, MR_PROBLEM_PARAMETER, NULL, "A window has no \"q\".");
	if (column < 0)
	{
		snprintf(
			hint, sizeof(hint),
			"ALTER TABLE %s ADD search tsvector GENERATED ALWAYS AS (to_tsvector('simple', "
			"COLUMN)) STORED; then send SIGHUP to millrace-api. Of a view: its table, and add the "
			"column to it.",
			relation->ident);
		return mr_list_refuse(refusal, MR_PROBLEM_PARAMETER, hint,
							  "The relation has no column of type tsvector, which \"q\" needs.");
	}
	if (!has_start)
		return mr_list_refuse(refusal, MR_PROBLEM_FILTER,
							  "Add from=TIME, such as from=2026-01-31T00:00:00Z, and to=TIME for "
							  "another end than now.",
							  "\"q\" needs a range of time.");
	mr_event_filter_and(query);
	mr_buffer_printf(&query->sql, "t.%s OPERATOR(pg_catalog.@@) pg_catalog.websearch_to_tsquery(",
					 relation->columns[column].ident);
	mr_event_filter_value(query, words, "text");
	mr_buffer_printf(&query->sql, ")");
	return true;
}

static bool
put_filter(MrEventQuery *query, const MrRelation *relation, const MrParam *param, bool indexed,
		   MrListRefusal *refusal)
{
	int number = mr_relation_column(relation, param->name);
	const MrColumn *column;
	const char *sql = "=";
	const char *value = param->value;
	const char *other;
	char hint[320];

	if (number < 0)
		return refuse_name(refusal, relation, param->name, indexed);
	column = &relation->columns[number];
	if (indexed && !column->is_filterable)
	{
		/* "offset" is a column of Kafka's, and what others call the place where a page begins */
		snprintf(hint, sizeof(hint), "%s%s%s; then send SIGHUP to millrace-api.",
				 hint_of_others(column->name) != NULL ? hint_of_others(column->name) : "",
				 hint_of_others(column->name) != NULL ? " For a filter: " : "", column->index_hint);
		return mr_list_refuse(refusal, MR_PROBLEM_FILTER, hint,
							  "No index serves a filter by \"%.64s\" in the order of time.",
							  param->name);
	}
	if (query->count > MR_QUERY_PARAMETERS_MAX - 8)
		return mr_list_refuse(refusal, MR_PROBLEM_VALUE, "Use fewer filters or values.",
							  "There are too many values to filter by.");
	other = other_operator(value);
	if (other != NULL)
		return mr_list_refuse(refusal, MR_PROBLEM_VALUE,
							  "The operators are eq, gte, gt, lte, lt and in; a value that "
							  "begins so is written behind \"eq.\".",
							  "\"%.64s\" has the operator \"%s\", which is not served.",
							  param->name, other);
	mr_event_filter_and(query);
	if (strncmp(value, "in.(", 4) == 0)
		return put_in(query, column, value + 4, refusal);
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strncmp(value, operators[i].prefix, strlen(operators[i].prefix)) == 0)
		{
			sql = operators[i].sql;
			value += strlen(operators[i].prefix);
			break;
		}
	mr_buffer_printf(&query->sql, "t.%s %s ", column->ident, sql);
	mr_event_filter_value(query, value, column->type);
	return true;
}

/* NULL: it has none. */
static const char *
other_operator(const char *value)
{
	for (size_t i = 0; i < sizeof(other_operators) / sizeof(other_operators[0]); i++)
		if (strncmp(value, other_operators[i], strlen(other_operators[i])) == 0)
			return other_operators[i];
	for (size_t i = 0; i < sizeof(other_values) / sizeof(other_values[0]); i++)
		if (strcmp(value, other_values[i]) == 0)
			return other_values[i];
	return NULL;
}

/* in.(a,b,c); a value in double quotes may contain commas, \" and \\. */

static bool
put_in(MrEventQuery *query, const MrColumn *column, const char *list, MrListRefusal *refusal)
{
	int values = 0;

	mr_buffer_printf(&query->sql, "t.%s IN (", column->ident);
	for (;;)
	{
		MrBuffer value = {0};
		bool quoted = *list == '"';

		list += quoted;
		while (*list != '\0' && (quoted ? *list != '"' : strchr(",)", *list) == NULL))
		{
			if (quoted && *list == '\\' && list[1] != '\0')
				list++;
			mr_buffer_append(&value, list++, 1);
		}
		if (quoted && *list == '"')
			list++;
		if (++values <= IN_MAX && query->count < MR_QUERY_PARAMETERS_MAX - 8)
		{
			if (values > 1)
				mr_buffer_printf(&query->sql, ", ");
			mr_strings_add(&query->texts, mr_buffer_string(&value));
			mr_event_filter_value(query, query->texts.items[query->texts.count - 1], column->type);
		}
		mr_buffer_free(&value);
		if (*list != ',')
			break;
		list++;
	}
	mr_buffer_printf(&query->sql, ")");
	if (strcmp(list, ")") != 0 || values > IN_MAX || query->count >= MR_QUERY_PARAMETERS_MAX - 8)
		return mr_list_refuse(
			refusal, MR_PROBLEM_VALUE, "Write a text with a comma in double quotes.",
			"The values of \"%.64s\" are not in the form in.(a,b,…), or more than %d.",
			column->name, IN_MAX);
	return true;
}
