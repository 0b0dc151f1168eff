#include "api/resource/event_query.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_MAX 50 /* values of in.(…) */

/* What is not a filter by column. */
static const char *const own_names[] = {"from", "to", "limit", "cursor", "fields", "csv"};
#define OWN_COUNT ((int) (sizeof(own_names) / sizeof(own_names[0])))

typedef struct Operator
{
	const char *prefix;
	const char *sql;
} Operator;

static const Operator operators[] = {
	{"eq.", "="}, {"gte.", ">="}, {"gt.", ">"}, {"lte.", "<="}, {"lt.", "<"}};

static bool refuse(MrListRefusal *refusal, MrProblem problem, const char *hint, const char *fmt,
				   ...) __attribute__((format(printf, 4, 5)));
static bool is_own(const char *name);
static bool read_limit(MrEventQuery *query, const char *text, MrListRefusal *refusal);
static bool read_csv(MrEventQuery *query, const char *text, MrListRefusal *refusal);
static bool read_fields(MrEventQuery *query, const MrRelation *relation, const char *text,
						MrListRefusal *refusal);
static bool add_field(MrEventQuery *query, const MrRelation *relation, const char *name,
					  MrListRefusal *refusal);
static bool read_cursor(MrEventQuery *query, const MrParams *params, const MrCursorSecret *secret,
						MrListRefusal *refusal);
static int compare_params(const void *a, const void *b);
static void put_select(MrEventQuery *query, const MrRelation *relation);
static void put_json_row(MrBuffer *sql, const MrRelation *relation, const int *columns, int count);
static bool put_conditions(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
						   MrListRefusal *refusal);
static bool put_filter(MrEventQuery *query, const MrRelation *relation, const MrParam *param,
					   MrListRefusal *refusal);
static bool unknown_parameter(const MrRelation *relation, const char *name, MrListRefusal *refusal);
static bool put_in(MrEventQuery *query, const MrColumn *column, const char *list,
				   MrListRefusal *refusal);
static void put_value(MrEventQuery *query, const char *value, const char *type);
static void put_and(MrEventQuery *query);
static void put_position(MrEventQuery *query, const MrRelation *relation);

bool
mr_event_query_build(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
					 MrFormat format, const MrCursorSecret *secret, MrListRefusal *refusal)
{
	*query = (MrEventQuery){.format = format, .limit = MR_LIMIT_DEFAULT};
	query->columns = mr_calloc((size_t) relation->count, sizeof(int));
	if (!read_limit(query, mr_params_get(params, "limit"), refusal) ||
		!read_csv(query, mr_params_get(params, "csv"), refusal) ||
		!read_fields(query, relation, mr_params_get(params, "fields"), refusal) ||
		!read_cursor(query, params, secret, refusal))
		return false;
	put_select(query, relation);
	if (!put_conditions(query, relation, params, refusal))
		return false;
	put_position(query, relation);
	return true;
}

void
mr_event_query_free(MrEventQuery *query)
{
	mr_buffer_free(&query->sql);
	mr_buffer_free(&query->filters);
	mr_strings_clear(&query->texts);
	mr_cursor_free(&query->cursor);
	free(query->columns);
	query->columns = NULL;
}

void
mr_event_query_by_id(MrBuffer *sql, const MrRelation *relation)
{
	const MrColumn *id = &relation->columns[relation->id];

	put_json_row(sql, relation, NULL, relation->count);
	mr_buffer_printf(sql, " WHERE t.%s = $1::%s", id->ident, id->type);
}

void
mr_event_query_by_coordinate(MrBuffer *sql, const MrRelation *relation)
{
	put_json_row(sql, relation, NULL, relation->count);
	for (int i = 0; i < 3; i++)
	{
		const MrColumn *column = &relation->columns[relation->coordinate[i]];

		mr_buffer_printf(sql, " %s t.%s = $%d::%s", i == 0 ? "WHERE" : "AND", column->ident, i + 1,
						 column->type);
	}
	mr_buffer_printf(sql, " LIMIT 1");
}

static bool
refuse(MrListRefusal *refusal, MrProblem problem, const char *hint, const char *fmt, ...)
{
	va_list args;

	refusal->problem = problem;
	snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint != NULL ? hint : "");
	va_start(args, fmt);
	vsnprintf(refusal->detail, sizeof(refusal->detail), fmt, args);
	va_end(args);
	return false;
}

static bool
is_own(const char *name)
{
	for (int i = 0; i < OWN_COUNT; i++)
		if (strcmp(own_names[i], name) == 0)
			return true;
	return false;
}

static bool
read_limit(MrEventQuery *query, const char *text, MrListRefusal *refusal)
{
	char *end;
	long limit;

	if (text == NULL)
		return true;
	limit = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || limit < 1 || limit > MR_LIMIT_MAX)
		return refuse(refusal, MR_PROBLEM_VALUE, "Use the links of the answer for more rows.",
					  "limit is \"%.40s\", expected a number from 1 to %d.", text, MR_LIMIT_MAX);
	query->limit = (int) limit;
	return true;
}

static bool
read_csv(MrEventQuery *query, const char *text, MrListRefusal *refusal)
{
	if (text == NULL)
		return true;
	query->csv_raw = strcmp(text, "raw") == 0;
	if (!query->csv_raw && strcmp(text, "safe") != 0)
		return refuse(refusal, MR_PROBLEM_VALUE,
					  "safe (the default) keeps spreadsheets from taking a text for a formula.",
					  "csv is \"%.40s\", expected safe or raw.", text);
	return true;
}

static bool
read_fields(MrEventQuery *query, const MrRelation *relation, const char *text,
			MrListRefusal *refusal)
{
	if (text == NULL)
	{
		for (int i = 0; i < relation->count; i++)
			query->columns[query->column_count++] = i;
		return true;
	}
	for (;; text++)
	{
		size_t len = strcspn(text, ",");
		char *name = mr_strdup(text);
		bool ok;

		name[len] = '\0';
		ok = add_field(query, relation, name, refusal);
		free(name);
		text += len;
		if (!ok || *text == '\0')
			return ok;
	}
}

static bool
add_field(MrEventQuery *query, const MrRelation *relation, const char *name, MrListRefusal *refusal)
{
	int column = mr_relation_column(relation, name);

	if (column < 0)
	{
		unknown_parameter(relation, name, refusal); /* its hint serves */
		refusal->problem = MR_PROBLEM_VALUE;
		snprintf(refusal->detail, sizeof(refusal->detail),
				 "fields has \"%.64s\", which is no column.", name);
		return false;
	}
	for (int i = 0; i < query->column_count; i++)
		if (query->columns[i] == column)
			return refuse(refusal, MR_PROBLEM_VALUE, "Name each column once.",
						  "fields has \"%.64s\" twice.", name);
	query->columns[query->column_count++] = column;
	return true;
}

/* The parameters that say which list it is, in an order of their own: the client may send them in any. */
static bool
read_cursor(MrEventQuery *query, const MrParams *params, const MrCursorSecret *secret,
			MrListRefusal *refusal)
{
	const MrParam *sorted[MR_PARAMS_MAX];
	const char *text = mr_params_get(params, "cursor");
	int count = 0;

	for (int i = 0; i < params->count; i++)
		if (!is_own(params->items[i].name) || strcmp(params->items[i].name, "from") == 0 ||
			strcmp(params->items[i].name, "to") == 0)
			sorted[count++] = &params->items[i];
	qsort(sorted, (size_t) count, sizeof(*sorted), compare_params);
	for (int i = 0; i < count; i++)
	{
		mr_percent_encode(&query->filters, sorted[i]->name);
		mr_buffer_append(&query->filters, "=", 1);
		mr_percent_encode(&query->filters, sorted[i]->value);
		mr_buffer_append(&query->filters, "&", 1);
	}
	mr_buffer_string(&query->filters);
	if (text == NULL)
		return true;
	query->has_cursor = true;
	if (!mr_cursor_read(&query->cursor, secret, mr_buffer_string(&query->filters), text))
		return refuse(refusal, MR_PROBLEM_CURSOR, NULL,
					  "The cursor is none of this service, or of a list with other filters.");
	return true;
}

static int
compare_params(const void *a, const void *b)
{
	return strcmp((*(const MrParam *const *) a)->name, (*(const MrParam *const *) b)->name);
}

static void
put_select(MrEventQuery *query, const MrRelation *relation)
{
	const char *time = relation->columns[relation->time].ident;
	const char *id = relation->columns[relation->id].ident;
	MrBuffer *sql = &query->sql;

	if (query->format != MR_FORMAT_CSV)
	{
		mr_buffer_printf(sql, "SELECT e.json, e.at::text, e.id::text FROM (");
		put_json_row(sql, relation, query->columns, query->column_count);
		return;
	}
	mr_buffer_printf(sql, "SELECT ");
	for (int i = 0; i < query->column_count; i++)
		mr_buffer_printf(sql, "e.c%d::text, ", i);
	mr_buffer_printf(sql, "e.at::text, e.id::text FROM (SELECT ");
	for (int i = 0; i < query->column_count; i++)
		mr_buffer_printf(sql, "t.%s AS c%d, ", relation->columns[query->columns[i]].ident, i);
	mr_buffer_printf(sql, "t.%s AS at, t.%s AS id FROM %s AS t", time, id, relation->ident);
}

/* The lateral subquery gives the names of the JSON object's members; the planner makes one row expression of it. */
static void
put_json_row(MrBuffer *sql, const MrRelation *relation, const int *columns, int count)
{
	mr_buffer_printf(sql,
					 "SELECT row_to_json(j)::text AS json, t.%s AS at, t.%s AS id FROM %s AS t "
					 "CROSS JOIN LATERAL (SELECT ",
					 relation->columns[relation->time].ident, relation->columns[relation->id].ident,
					 relation->ident);
	for (int i = 0; i < count; i++)
	{
		const MrColumn *column = &relation->columns[columns != NULL ? columns[i] : i];

		mr_buffer_printf(sql, "%st.%s%s AS %s", i > 0 ? ", " : "", column->ident,
						 column->is_bigint ? "::text" : "", column->ident);
	}
	mr_buffer_printf(sql, ") AS j");
}

static bool
put_conditions(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
			   MrListRefusal *refusal)
{
	const MrColumn *time = &relation->columns[relation->time];
	const char *from = mr_params_get(params, "from");
	const char *to = mr_params_get(params, "to");

	if (from != NULL)
	{
		put_and(query);
		mr_buffer_printf(&query->sql, "t.%s >= ", time->ident);
		put_value(query, from, time->type);
	}
	if (to != NULL)
	{
		put_and(query);
		mr_buffer_printf(&query->sql, "t.%s < ", time->ident);
		put_value(query, to, time->type);
	}
	for (int i = 0; i < params->count; i++)
		if (!is_own(params->items[i].name) &&
			!put_filter(query, relation, &params->items[i], refusal))
			return false;
	return true;
}

static bool
put_filter(MrEventQuery *query, const MrRelation *relation, const MrParam *param,
		   MrListRefusal *refusal)
{
	int number = mr_relation_column(relation, param->name);
	const MrColumn *column = &relation->columns[number];
	const char *sql = "=";
	const char *value = param->value;
	char hint[320];

	if (number < 0)
		return unknown_parameter(relation, param->name, refusal);
	if (!column->is_filterable)
	{
		snprintf(hint, sizeof(hint),
				 "CREATE INDEX ON %s (%s, %s, %s); then send SIGHUP to millrace-api.",
				 relation->ident, column->ident, relation->columns[relation->time].ident,
				 relation->columns[relation->id].ident);
		return refuse(refusal, MR_PROBLEM_FILTER, hint,
					  "No index serves a filter by \"%.64s\" in the order of time.", param->name);
	}
	if (query->count > MR_QUERY_PARAMETERS_MAX - 8)
		return refuse(refusal, MR_PROBLEM_VALUE, "Use fewer filters or values.",
					  "There are too many values to filter by.");
	put_and(query);
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
	put_value(query, value, column->type);
	return true;
}

static bool
unknown_parameter(const MrRelation *relation, const char *name, MrListRefusal *refusal)
{
	const char **known = mr_calloc((size_t) relation->count + OWN_COUNT, sizeof(*known));
	const char *nearest;
	char hint[200];

	for (int i = 0; i < OWN_COUNT; i++)
		known[i] = own_names[i];
	for (int i = 0; i < relation->count; i++)
		known[OWN_COUNT + i] = relation->columns[i].name;
	nearest = mr_nearest_name(name, known, relation->count + OWN_COUNT);
	if (nearest != NULL)
		snprintf(hint, sizeof(hint), "Did you mean \"%s\"?", nearest);
	else
		snprintf(hint, sizeof(hint),
				 "Filters are named as the columns; the other parameters are from, to, limit, "
				 "cursor, fields and csv.");
	free(known);
	return refuse(refusal, MR_PROBLEM_PARAMETER, hint, "There is no parameter \"%.64s\".", name);
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
			put_value(query, query->texts.items[query->texts.count - 1], column->type);
		}
		mr_buffer_free(&value);
		if (*list != ',')
			break;
		list++;
	}
	mr_buffer_printf(&query->sql, ")");
	if (strcmp(list, ")") != 0 || values > IN_MAX || query->count >= MR_QUERY_PARAMETERS_MAX - 8)
		return refuse(refusal, MR_PROBLEM_VALUE, "Write a text with a comma in double quotes.",
					  "The values of \"%.64s\" are not in the form in.(a,b,…), or more than %d.",
					  column->name, IN_MAX);
	return true;
}

static void
put_value(MrEventQuery *query, const char *value, const char *type)
{
	query->values[query->count++] = value;
	mr_buffer_printf(&query->sql, "$%d::%s", query->count, type);
}

static void
put_and(MrEventQuery *query)
{
	mr_buffer_printf(&query->sql, query->count == 0 ? " WHERE " : " AND ");
}

/* Behind the cursor, in the order of the index, and one row more than is shown: it says whether there is a next page. */
static void
put_position(MrEventQuery *query, const MrRelation *relation)
{
	const MrColumn *time = &relation->columns[relation->time];
	const MrColumn *id = &relation->columns[relation->id];
	bool backward = query->cursor.backward;
	const char *order = backward ? "ASC" : "DESC";

	if (query->has_cursor)
	{
		put_and(query);
		mr_buffer_printf(&query->sql, "(t.%s, t.%s) %s (", time->ident, id->ident,
						 backward ? ">" : "<");
		put_value(query, query->cursor.time, time->type);
		mr_buffer_printf(&query->sql, ", ");
		put_value(query, query->cursor.id, id->type);
		mr_buffer_printf(&query->sql, ")");
	}
	mr_buffer_printf(&query->sql, " ORDER BY t.%s %s, t.%s %s LIMIT %d) AS e", time->ident, order,
					 id->ident, order, query->limit + 1);
	mr_buffer_string(&query->sql);
}
