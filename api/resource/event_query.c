#include "api/resource/event_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/resource/event_filter.h"

static bool read_limit(MrEventQuery *query, const char *text, MrListRefusal *refusal);
static bool read_csv(MrEventQuery *query, const char *text, MrListRefusal *refusal);
static bool add_field(MrEventQuery *query, const MrRelation *relation, const char *name,
					  MrListRefusal *refusal);
static bool read_cursor(MrEventQuery *query, const MrParams *params, const MrCursorSecret *secret,
						MrListRefusal *refusal);
static int compare_params(const void *a, const void *b);
static void put_select(MrEventQuery *query, const MrRelation *relation);
static void put_json_row(MrBuffer *sql, const MrRelation *relation, const int *columns, int count);
static void put_position(MrEventQuery *query, const MrRelation *relation);

bool
mr_event_query_build(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
					 MrFormat format, const MrCursorSecret *secret, MrListRefusal *refusal)
{
	size_t filters;

	*query = (MrEventQuery){.format = format, .limit = MR_LIMIT_DEFAULT, .joint = " WHERE "};
	query->columns = mr_calloc((size_t) relation->count, sizeof(int));
	if (!read_limit(query, mr_params_get(params, "limit"), refusal) ||
		!read_csv(query, mr_params_get(params, "csv"), refusal) ||
		!mr_event_query_fields(query, relation, mr_params_get(params, "fields"), refusal) ||
		!read_cursor(query, params, secret, refusal))
		return false;
	put_select(query, relation);
	filters = query->sql.len;
	if (!mr_event_filter_put(query, relation, params, true, refusal))
		return false;
	mr_buffer_printf(&query->estimate, "EXPLAIN (FORMAT JSON) SELECT FROM %s AS t%.*s",
					 relation->ident, (int) (query->sql.len - filters), query->sql.data + filters);
	query->estimate_count = query->count;
	put_position(query, relation);
	return true;
}

void
mr_event_query_free(MrEventQuery *query)
{
	mr_buffer_free(&query->sql);
	mr_buffer_free(&query->filters);
	mr_buffer_free(&query->estimate);
	mr_strings_clear(&query->texts);
	mr_cursor_free(&query->cursor);
	free(query->columns);
	query->columns = NULL;
}

bool
mr_event_query_fields(MrEventQuery *query, const MrRelation *relation, const char *text,
					  MrListRefusal *refusal)
{
	query->column_count = 0;
	if (text == NULL)
	{
		for (int i = 0; i < relation->count; i++)
			if (!relation->columns[i].is_search)
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

void
mr_event_query_columns(MrBuffer *sql, const MrRelation *relation, const int *columns, int count)
{
	const char *separator = "";

	for (int i = 0; i < count; i++)
	{
		const MrColumn *column = &relation->columns[columns != NULL ? columns[i] : i];

		if (columns == NULL && column->is_search)
			continue;
		mr_buffer_printf(sql, "%st.%s%s AS %s", separator, column->ident,
						 column->is_bigint ? "::text" : "", column->ident);
		separator = ", ";
	}
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
read_limit(MrEventQuery *query, const char *text, MrListRefusal *refusal)
{
	char *end;
	long limit;

	if (text == NULL)
		return true;
	limit = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || limit < 1 || limit > MR_LIMIT_MAX)
		return mr_list_refuse(refusal, MR_PROBLEM_VALUE,
							  "Use the links of the answer for more rows.",
							  "limit is \"%.40s\", expected a number from 1 to %d.", text,
							  MR_LIMIT_MAX);
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
		return mr_list_refuse(
			refusal, MR_PROBLEM_VALUE,
			"safe (the default) keeps spreadsheets from taking a text for a formula.",
			"csv is \"%.40s\", expected safe or raw.", text);
	return true;
}

static bool
add_field(MrEventQuery *query, const MrRelation *relation, const char *name, MrListRefusal *refusal)
{
	int column = mr_relation_column(relation, name);

	if (column < 0)
	{
		mr_list_refuse_name(refusal, relation, name); /* its hint serves */
		refusal->problem = MR_PROBLEM_VALUE;
		snprintf(refusal->detail, sizeof(refusal->detail),
				 "fields has \"%.64s\", which is no column.", name);
		return false;
	}
	for (int i = 0; i < query->column_count; i++)
		if (query->columns[i] == column)
			return mr_list_refuse(refusal, MR_PROBLEM_VALUE, "Name each column once.",
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
		if (!mr_event_filter_is_own(params->items[i].name) ||
			strcmp(params->items[i].name, "from") == 0 ||
			strcmp(params->items[i].name, "to") == 0 || strcmp(params->items[i].name, "q") == 0)
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
		return mr_list_refuse(
			refusal, MR_PROBLEM_CURSOR, NULL,
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
	mr_event_query_columns(sql, relation, columns, count);
	mr_buffer_printf(sql, ") AS j");
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
		mr_event_filter_and(query);
		mr_buffer_printf(&query->sql, "(t.%s, t.%s) %s (", time->ident, id->ident,
						 backward ? ">" : "<");
		mr_event_filter_value(query, query->cursor.time, time->type);
		mr_buffer_printf(&query->sql, ", ");
		mr_event_filter_value(query, query->cursor.id, id->type);
		mr_buffer_printf(&query->sql, ")");
	}
	mr_buffer_printf(&query->sql, " ORDER BY t.%s %s, t.%s %s LIMIT %d) AS e", time->ident, order,
					 id->ident, order, query->limit + 1);
	mr_buffer_string(&query->sql);
}
