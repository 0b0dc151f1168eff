#include "api/resource/event_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/resource/event_filter.h"

static bool read_limit(MrEventQuery *query, const MrParams *params, MrListRefusal *refusal);
static bool read_csv(MrEventQuery *query, const MrParams *params, MrListRefusal *refusal);
static bool add_field(MrEventQuery *query, const MrRelation *relation, const char *name,
					  MrListRefusal *refusal);
static bool read_cursor(MrEventQuery *query, const MrParams *params, const MrCursorSecret *secret,
						MrListRefusal *refusal);
static int compare_params(const void *a, const void *b);
static bool is_planned_alike(const MrParams *params);
static void put_select(MrEventQuery *query, const MrRelation *relation);
static void put_csv_select(MrEventQuery *query, const MrRelation *relation);
static void put_key(MrEventQuery *query, const MrRelation *relation, int key, int column);
static void put_row(MrBuffer *sql, const MrRelation *relation);
static void name_look_up(MrLookUp *look_up, const char *key, unsigned generation, MrBuffer *sql);
static void put_column(MrBuffer *sql, const MrColumn *column, const char *before);
static void put_position(MrEventQuery *query, const MrRelation *relation);

bool
mr_event_query_build(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
					 MrFormat format, const MrCursorSecret *secret, MrListRefusal *refusal)
{
	size_t filters;

	*query = (MrEventQuery){.format = format, .limit = MR_LIMIT_DEFAULT, .joint = " WHERE "};
	query->columns = mr_calloc((size_t) relation->count, sizeof(int));
	if (!read_limit(query, params, refusal) || !read_csv(query, params, refusal) ||
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
	query->is_planned_alike = is_planned_alike(params);
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
mr_event_query_look_ups(MrRelation *relation)
{
	const MrColumn *id = &relation->columns[relation->id];
	MrBuffer by_id = {0};
	MrBuffer by_coordinate = {0};

	put_row(&by_id, relation);
	mr_buffer_printf(&by_id, " WHERE t.%s = $1::%s", id->ident, id->type);
	name_look_up(&relation->by_id, "id", relation->generation, &by_id);
	if (relation->coordinate[0] < 0)
		return;
	put_row(&by_coordinate, relation);
	for (int i = 0; i < 3; i++)
	{
		const MrColumn *column = &relation->columns[relation->coordinate[i]];

		mr_buffer_printf(&by_coordinate, " %s t.%s = $%d::%s", i == 0 ? "WHERE" : "AND",
						 column->ident, i + 1, column->type);
	}
	mr_buffer_printf(&by_coordinate, " LIMIT 1");
	name_look_up(&relation->by_coordinate, "coordinate", relation->generation, &by_coordinate);
}

static bool
read_limit(MrEventQuery *query, const MrParams *params, MrListRefusal *refusal)
{
	char error[128];

	return mr_params_number(params, "limit", 1, MR_LIMIT_MAX, &query->limit, error,
							sizeof(error)) ||
		   mr_list_refuse(refusal, MR_PROBLEM_VALUE, "Use the links of the answer for more rows.",
						  "%s", error);
}

static bool
read_csv(MrEventQuery *query, const MrParams *params, MrListRefusal *refusal)
{
	static const char *const allowed[] = {"safe", "raw"};
	const char *text;
	char error[128];

	if (!mr_params_choose(params, "csv", allowed, 2, &text, error, sizeof(error)))
		return mr_list_refuse(
			refusal, MR_PROBLEM_VALUE,
			"safe (the default) keeps spreadsheets from taking a text for a formula.", "%s", error);
	query->csv_raw = text != NULL && strcmp(text, "raw") == 0;
	return true;
}

static bool
add_field(MrEventQuery *query, const MrRelation *relation, const char *name, MrListRefusal *refusal)
{
	int column = mr_relation_column(relation, name);

	if (column < 0)
		return mr_list_refuse_column(refusal, relation, name);
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

/* Bounds of the time and a position are looked up in the index of the order, whatever they are; a filter's value may be rare. */
static bool
is_planned_alike(const MrParams *params)
{
	for (int i = 0; i < params->count; i++)
		if (!mr_event_filter_is_own(params->items[i].name) ||
			strcmp(params->items[i].name, "q") == 0)
			return false;
	return true;
}

static void
put_select(MrEventQuery *query, const MrRelation *relation)
{
	if (query->format == MR_FORMAT_CSV)
	{
		put_csv_select(query, relation);
		return;
	}
	for (int i = 0; i < query->column_count; i++)
		put_column(&query->sql, &relation->columns[query->columns[i]], i == 0 ? "SELECT " : ", ");
	put_key(query, relation, 0, relation->time);
	put_key(query, relation, 1, relation->id);
	mr_buffer_printf(&query->sql, " FROM %s AS t", relation->ident);
}

static void
put_csv_select(MrEventQuery *query, const MrRelation *relation)
{
	MrBuffer *sql = &query->sql;

	mr_buffer_printf(sql, "SELECT ");
	for (int i = 0; i < query->column_count; i++)
		mr_buffer_printf(sql, "e.c%d::text, ", i);
	mr_buffer_printf(sql, "e.at::text, e.id::text FROM (SELECT ");
	for (int i = 0; i < query->column_count; i++)
		mr_buffer_printf(sql, "t.%s AS c%d, ", relation->columns[query->columns[i]].ident, i);
	mr_buffer_printf(sql, "t.%s AS at, t.%s AS id FROM %s AS t",
					 relation->columns[relation->time].ident, relation->columns[relation->id].ident,
					 relation->ident);
	query->key_columns[0] = query->column_count;
	query->key_columns[1] = query->column_count + 1;
}

/* One that is shown as its text serves. */
static void
put_key(MrEventQuery *query, const MrRelation *relation, int key, int column)
{
	for (int i = 0; i < query->column_count; i++)
		if (query->columns[i] == column && relation->columns[column].is_plain)
		{
			query->key_columns[key] = i;
			return;
		}
	mr_buffer_printf(&query->sql, ", t.%s::text", relation->columns[column].ident);
	query->key_columns[key] = query->column_count + query->hidden++;
}

static void
put_row(MrBuffer *sql, const MrRelation *relation)
{
	const char *before = "SELECT ";

	for (int i = 0; i < relation->count; i++)
	{
		if (relation->columns[i].is_search)
			continue;
		put_column(sql, &relation->columns[i], before);
		before = ", ";
	}
	mr_buffer_printf(sql, " FROM %s AS t", relation->ident);
}

/* Takes the statement over. Of another generation's relation it is another. */
static void
name_look_up(MrLookUp *look_up, const char *key, unsigned generation, MrBuffer *sql)
{
	snprintf(look_up->name, sizeof(look_up->name), "event_by_%s_%u", key, generation);
	mr_buffer_string(sql);
	look_up->sql = sql->data;
}

static void
put_column(MrBuffer *sql, const MrColumn *column, const char *before)
{
	if (column->is_plain)
		mr_buffer_printf(sql, "%st.%s", before, column->ident);
	else
		mr_buffer_printf(sql, "%sto_json(t.%s) AS %s", before, column->ident, column->ident);
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
	mr_buffer_printf(&query->sql, " ORDER BY t.%s %s, t.%s %s LIMIT %d%s", time->ident, order,
					 id->ident, order, query->limit + 1,
					 query->format == MR_FORMAT_CSV ? ") AS e" : "");
	mr_buffer_string(&query->sql);
}
