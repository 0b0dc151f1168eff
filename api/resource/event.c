#include "api/resource/event.h"

#include <stdio.h>

#include "api/request/accept.h"
#include "api/request/coordinate.h"
#include "api/request/etag.h"
#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/event_query.h"
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
	MrBuffer sql = {0};
	char name[64];

	if (by_coordinate)
	{
		mr_event_query_by_coordinate(&sql, relation);
		values[0] = coordinate.topic;
		values[1] = coordinate.partition;
		values[2] = coordinate.offset;
	}
	else
		mr_event_query_by_id(&sql, relation);
	snprintf(name, sizeof(name), "event_by_%s_%u", by_coordinate ? "coordinate" : "id",
			 relation->generation);
	mr_look_up_row(exchange, mr_context_of(exchange)->pool, name, mr_buffer_string(&sql),
				   by_coordinate ? 3 : 1, values, on_row);
	mr_buffer_free(&sql);
}

static void
on_row(MrExchange *exchange, const void *detail, MrQueryFailure failure, const PGresult *result,
	   const MrPgError *error)
{
	(void) detail;
	if (failure != MR_QUERY_OK)
		mr_query_problem(exchange, failure, error);
	else if (PQntuples(result) == 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_EVENT, NULL, NULL);
	else
		answer(exchange, result);
}

static void
answer(MrExchange *exchange, const PGresult *result)
{
	MrBuffer body = {0};
	char tag[MR_ETAG_SIZE];

	mr_buffer_append(&body, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
	mr_buffer_append(&body, "\n", 1);
	mr_etag_make(tag, body.data, body.len);
	mr_document_answer(exchange, "application/json", &body, tag);
}
