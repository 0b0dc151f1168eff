#include "api/resource/event.h"

#include <stdio.h>

#include "api/database/row_json.h"
#include "api/request/accept.h"
#include "api/request/coordinate.h"
#include "api/request/etag.h"
#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/look.h"
#include "api/resource/query_problem.h"

static bool is_acceptable(MrExchange *exchange);
static void start(MrExchange *exchange, const MrRelation *relation);
static void on_row(MrExchange *exchange, const void *detail, MrQueryFailure failure,
				   const PGresult *result, const MrPgError *error);
static void answer(MrExchange *exchange, const PGresult *result);

void
mr_event_get(MrExchange *exchange)
{
	const MrRelation *relation = atomic_load(mr_context_of(exchange)->relation);

	if (!is_acceptable(exchange))
		return;
	if (relation == NULL)
		mr_exchange_refuse(exchange, MR_PROBLEM_DATABASE, "The relation is not known yet.", NULL);
	else
		start(exchange, relation);
}

static bool
is_acceptable(MrExchange *exchange)
{
	static const char *const types[] = {"application/json"};
	char detail[128];

	if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept application/json.");
		return false;
	}
	if (exchange->params.count > 0)
	{
		snprintf(detail, sizeof(detail), "There is no parameter \"%.64s\".",
				 exchange->params.items[0].name);
		mr_exchange_refuse(exchange, MR_PROBLEM_PARAMETER, detail,
						   "This route has no parameters; GET /events has.");
		return false;
	}
	return true;
}

static void
start(MrExchange *exchange, const MrRelation *relation)
{
	const char *id = exchange->match.captures[0];
	MrCoordinate coordinate;
	const char *values[3] = {id, NULL, NULL};
	bool by_coordinate = relation->coordinate[0] >= 0 && mr_coordinate_read(&coordinate, id);
	const MrLookUp *look_up = by_coordinate ? &relation->by_coordinate : &relation->by_id;

	if (by_coordinate)
	{
		values[0] = coordinate.topic;
		values[1] = coordinate.partition;
		values[2] = coordinate.offset;
	}
	mr_look_up_row(exchange, mr_context_of(exchange)->pool, look_up->name, look_up->sql,
				   by_coordinate ? 3 : 1, values, on_row);
}

static void
on_row(MrExchange *exchange, const void *detail, MrQueryFailure failure, const PGresult *result,
	   const MrPgError *error)
{
	(void) detail;
	if (failure != MR_QUERY_OK)
		mr_rows_problem(exchange, failure, error);
	else if (PQntuples(result) == 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_EVENT, NULL, NULL);
	else
		answer(exchange, result);
}

static void
answer(MrExchange *exchange, const PGresult *result)
{
	MrRowJson *row_json = mr_row_json_new(result, PQnfields(result));
	MrBuffer body = {0};
	char tag[MR_ETAG_SIZE];

	mr_row_json_put(row_json, 0, &body);
	mr_row_json_free(row_json);
	mr_buffer_append(&body, "\n", 1);
	mr_etag_make(tag, body.data, body.len);
	mr_document_answer(exchange, "application/json", &body, tag);
}
