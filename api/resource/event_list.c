#include "api/resource/event_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/database/row_json.h"
#include "api/request/accept.h"
#include "api/request/csv.h"
#include "api/request/prefer.h"
#include "api/resource/context.h"
#include "api/resource/event_query.h"
#include "api/resource/query_problem.h"

/* What waits for its rows. */
typedef struct List
{
	MrExchange *exchange;
	const MrRelation *relation;
	MrRelation *owned; /* the same, or NULL: it outlives the list */
	MrEventQuery query;
	MrQuery *running;
	bool counts;     /* Prefer: count=estimated */
	double estimate; /* the planner's, of all pages */
} List;

static const char *const types[] = {
	[MR_FORMAT_JSON] = "application/json",
	[MR_FORMAT_NDJSON] = "application/x-ndjson",
	[MR_FORMAT_CSV] = "text/csv",
};

static void refuse(MrExchange *exchange, const MrListRefusal *refusal);
static void run(List *list, const char *name, const char *sql, int count, MrQueryEnd end);
static void start(List *list);
static void on_estimate(void *owner, MrQueryFailure failure, const PGresult *result,
						const MrPgError *error);
static void on_rows(void *owner, MrQueryFailure failure, const PGresult *result,
					const MrPgError *error);
static void answer(List *list, const PGresult *result);
static void put_rows(const List *list, const PGresult *result, int first, int step, int rows,
					 MrBuffer *body);
static void put_on_one_line(char *row, size_t len);
static void put_csv_rows(const List *list, const PGresult *result, int first, int step, int rows,
						 MrBuffer *body);
static void put_csv_row(const List *list, const PGresult *result, int row, MrBuffer *body);
static void put_count(const List *list, int rows, bool is_whole);
static void put_links(const List *list, const PGresult *result, int newest, int oldest, bool more);
static void put_link(const List *list, MrBuffer *links, const char *rel, const char *time,
					 const char *id);
static void abandon(void *work);
static void free_list(List *list);

void
mr_event_list_get(MrExchange *exchange)
{
	const MrRelation *relation = atomic_load(mr_context_of(exchange)->relation);
	MrFormat format;

	if (!mr_event_list_format(exchange, &format))
		return;
	if (relation == NULL)
		mr_exchange_refuse(exchange, MR_PROBLEM_DATABASE, "The relation is not known yet.", NULL);
	else
		mr_event_list_give(exchange, format, relation, false);
}

bool
mr_event_list_format(MrExchange *exchange, MrFormat *format)
{
	int chosen = mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 3);

	if (chosen < 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, NULL);
	else
		*format = (MrFormat) chosen;
	return chosen >= 0;
}

void
mr_event_list_give(MrExchange *exchange, MrFormat format, const MrRelation *relation, bool is_owned)
{
	List *list = mr_calloc(1, sizeof(*list));
	MrListRefusal refusal;

	list->exchange = exchange;
	list->relation = relation;
	list->owned = is_owned ? (MrRelation *) relation : NULL;
	if (mr_event_query_build(&list->query, relation, &exchange->params, format,
							 mr_context_of(exchange)->secret, &refusal))
	{
		list->counts = mr_prefers(mr_exchange_header(exchange, "Prefer"), "count", "estimated");
		if (list->counts)
			run(list, NULL, mr_buffer_string(&list->query.estimate), list->query.estimate_count,
				on_estimate);
		else
			start(list);
	}
	else
	{
		refuse(exchange, &refusal);
		free_list(list);
	}
}

static void
refuse(MrExchange *exchange, const MrListRefusal *refusal)
{
	mr_exchange_refuse(exchange, refusal->problem, refusal->detail,
					   refusal->hint[0] != '\0' ? refusal->hint : NULL);
}

static void
run(List *list, const char *name, const char *sql, int count, MrQueryEnd end)
{
	MrExchange *exchange = list->exchange;
	MrQueryFailure failure;

	list->running = mr_pool_query(mr_context_of(exchange)->pool, name, sql, count,
								  list->query.values, end, list, &failure);
	if (list->running == NULL)
	{
		mr_query_problem(exchange, failure, NULL);
		free_list(list);
		return;
	}
	exchange->work = list;
	exchange->abandon = abandon;
}

static void
start(List *list)
{
	run(list, list->query.is_planned_alike ? "" : NULL, list->query.sql.data, list->query.count,
		on_rows);
}

/* The estimate first: the rows belong to the pool, and are gone when another query runs. */
static void
on_estimate(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	static const char member[] = "\"Plan Rows\":";
	List *list = owner;
	const char *found;

	mr_exchange_forget_work(list->exchange);
	if (failure != MR_QUERY_OK)
	{
		mr_rows_problem(list->exchange, failure, error);
		free_list(list);
		return;
	}
	/* of the plan's outermost node, which comes first */
	found = PQntuples(result) > 0 ? strstr(PQgetvalue(result, 0, 0), member) : NULL;
	list->estimate = found != NULL ? strtod(found + sizeof(member) - 1, NULL) : 0;
	start(list);
}

static void
on_rows(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	List *list = owner;

	mr_exchange_forget_work(list->exchange);
	if (failure == MR_QUERY_OK)
		answer(list, result);
	else
		mr_rows_problem(list->exchange, failure, error);
	free_list(list);
}

/* Rows come in the order of the index: newest first, or oldest first on the way back. */
static void
answer(List *list, const PGresult *result)
{
	bool backward = list->query.cursor.backward;
	int found = PQntuples(result);
	int rows = found > list->query.limit ? list->query.limit : found;
	int newest = backward ? rows - 1 : 0;
	int oldest = backward ? 0 : rows - 1;
	MrBuffer body = {0};

	put_rows(list, result, newest, backward ? -1 : 1, rows, &body);
	put_links(list, result, newest, oldest, found > rows);
	if (list->counts)
		put_count(list, found, !list->query.has_cursor && found == rows);
	mr_exchange_set_header(list->exchange, "Cache-Control", "private, no-cache");
	mr_exchange_vary(list->exchange, "Accept, Prefer");
	mr_exchange_answer(list->exchange, 200,
					   list->query.format == MR_FORMAT_CSV ? "text/csv; charset=utf-8"
														   : types[list->query.format],
					   &body);
}

static void
put_rows(const List *list, const PGresult *result, int first, int step, int rows, MrBuffer *body)
{
	bool is_json = list->query.format == MR_FORMAT_JSON;
	MrRowJson *row_json;

	if (list->query.format == MR_FORMAT_CSV)
	{
		put_csv_rows(list, result, first, step, rows, body);
		return;
	}
	row_json = mr_row_json_new(result, list->query.column_count);
	if (is_json)
		mr_buffer_append(body, "[", 1);
	for (int i = 0, row = first; i < rows; i++, row += step)
	{
		size_t before;

		if (is_json && i > 0)
			mr_buffer_append(body, ",\n", 2);
		before = body->len;
		mr_row_json_put(row_json, row, body);
		if (is_json)
			continue;
		put_on_one_line(body->data + before, body->len - before);
		mr_buffer_append(body, "\n", 1);
	}
	if (is_json)
		mr_buffer_append(body, "]\n", 2);
	mr_row_json_free(row_json);
}

/* A value of type json may have line breaks, as whitespace only: in strings they are escaped. */
static void
put_on_one_line(char *row, size_t len)
{
	static const char breaks[] = {'\n', '\r'};

	for (size_t i = 0; i < sizeof(breaks); i++)
		for (char *at = row; (at = memchr(at, breaks[i], len - (size_t) (at - row))) != NULL;)
			*at++ = ' ';
}

static void
put_csv_rows(const List *list, const PGresult *result, int first, int step, int rows,
			 MrBuffer *body)
{
	put_csv_row(list, NULL, 0, body);
	for (int i = 0, row = first; i < rows; i++, row += step)
		put_csv_row(list, result, row, body);
}

/* result NULL: the line of names. */
static void
put_csv_row(const List *list, const PGresult *result, int row, MrBuffer *body)
{
	for (int i = 0; i < list->query.column_count; i++)
	{
		const MrColumn *column = &list->relation->columns[list->query.columns[i]];
		const char *text = column->name;

		if (result != NULL)
			text = PQgetisnull(result, row, i) ? NULL : PQgetvalue(result, row, i);
		if (i > 0)
			mr_buffer_append(body, ",", 1);
		mr_csv_cell(body, text, result != NULL && column->has_numbers, list->query.csv_raw);
	}
	mr_buffer_append(body, "\r\n", 2);
}

/* What is known to be there is no longer estimated. */
static void
put_count(const List *list, int rows, bool is_whole)
{
	char range[40];

	snprintf(range, sizeof(range), "*/%.0f",
			 is_whole || list->estimate < rows ? (double) rows : list->estimate);
	mr_exchange_set_header(list->exchange, "Content-Range", range);
	mr_exchange_set_header(list->exchange, "Preference-Applied", "count=estimated");
}

/* more: there are rows beyond those shown, in the direction of the query. */
static void
put_links(const List *list, const PGresult *result, int newest, int oldest, bool more)
{
	bool backward = list->query.cursor.backward;
	int time = list->query.key_columns[0];
	int id = list->query.key_columns[1];
	bool has_rows = PQntuples(result) > 0;
	MrBuffer links = {0};

	put_link(list, &links, "first", NULL, NULL);
	if (has_rows && (backward || more))
		put_link(list, &links, "next", PQgetvalue(result, oldest, time),
				 PQgetvalue(result, oldest, id));
	if (has_rows && list->query.has_cursor && (!backward || more))
		put_link(list, &links, "prev", PQgetvalue(result, newest, time),
				 PQgetvalue(result, newest, id));
	mr_exchange_set_header(list->exchange, "Link", mr_buffer_string(&links));
	mr_buffer_free(&links);
}

/* The same list at another place; time NULL: at its beginning. */
static void
put_link(const List *list, MrBuffer *links, const char *rel, const char *time, const char *id)
{
	const MrParams *params = &list->exchange->params;
	const char *separator = "?";

	mr_buffer_printf(links, "%s<%s", links->len > 0 ? ", " : "", list->exchange->path);
	for (int i = 0; i < params->count; i++)
	{
		if (strcmp(params->items[i].name, "cursor") == 0)
			continue;
		mr_buffer_printf(links, "%s", separator);
		mr_percent_encode(links, params->items[i].name);
		mr_buffer_append(links, "=", 1);
		mr_percent_encode(links, params->items[i].value);
		separator = "&";
	}
	if (time != NULL)
	{
		mr_buffer_printf(links, "%scursor=", separator);
		mr_cursor_write(links, mr_context_of(list->exchange)->secret, list->query.filters.data,
						strcmp(rel, "prev") == 0, time, id);
	}
	mr_buffer_printf(links, ">; rel=\"%s\"", rel);
}

static void
abandon(void *work)
{
	List *list = work;

	mr_query_abandon(list->running);
	free_list(list);
}

static void
free_list(List *list)
{
	mr_event_query_free(&list->query);
	mr_relation_free(list->owned);
	free(list);
}
