#include "api/resource/document.h"

#include <stdio.h>
#include <string.h>

#include "api/request/accept.h"
#include "api/request/etag.h"
#include "api/resource/context.h"
#include "api/resource/look.h"
#include "api/resource/query_problem.h"

static void run(MrExchange *exchange, const MrDocument *document, int count,
				const char *const *values);
static bool is_askable(MrExchange *exchange, const MrDocument *document);
static void on_text(MrExchange *exchange, const void *detail, MrQueryFailure failure,
					const PGresult *result, const MrPgError *error);
static void put_next(MrExchange *exchange, const char *parameter, const char *value);
static void refuse(MrExchange *exchange, const MrDocument *document, MrQueryFailure failure,
				   const MrPgError *error);

void
mr_document_ask(MrExchange *exchange, const MrDocument *document, int count,
				const char *const *values)
{
	if (is_askable(exchange, document))
		run(exchange, document, count, values);
}

void
mr_document_answer(MrExchange *exchange, const char *type, MrBuffer *body, const char *tag)
{
	mr_exchange_set_header(exchange, "ETag", tag);
	mr_exchange_set_header(exchange, "Cache-Control", "private, no-cache");
	if (mr_etag_matches(mr_exchange_header(exchange, "If-None-Match"), tag))
		mr_exchange_answer(exchange, 304, NULL, body);
	else
		mr_exchange_answer(exchange, 200, type, body);
}

bool
mr_document_has_no_params(MrExchange *exchange)
{
	char detail[128];

	if (exchange->params.count == 0)
		return true;
	snprintf(detail, sizeof(detail), "There is no parameter \"%.64s\".",
			 exchange->params.items[0].name);
	mr_exchange_refuse(exchange, MR_PROBLEM_PARAMETER, detail, "This route has no parameters.");
	return false;
}

static void
run(MrExchange *exchange, const MrDocument *document, int count, const char *const *values)
{
	const MrContext *context = mr_context_of(exchange);
	const MrKey *key = exchange->key;
	const char *all[MR_DOCUMENT_VALUES_MAX];
	char who[MR_KEY_NAME_MAX + 24];

	for (int i = 0; i < count; i++)
		all[i] = values[i];
	if (document->records)
	{
		snprintf(who, sizeof(who), key != NULL ? "millrace-api key %s" : "millrace-api",
				 key != NULL ? key->name : "");
		all[count++] = who;
	}
	mr_look_up(exchange, document->operates ? context->operate_pool : context->pool, document->name,
			   document->sql, count, all, on_text, document);
}

static bool
is_askable(MrExchange *exchange, const MrDocument *document)
{
	static const char *const types[] = {"application/json"};

	if (document->operates && mr_context_of(exchange)->operate_pool == NULL)
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_OPERATE, NULL, NULL);
	else if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept application/json.");
	else
		return true;
	return false;
}

static void
on_text(MrExchange *exchange, const void *detail, MrQueryFailure failure, const PGresult *result,
		const MrPgError *error)
{
	const MrDocument *document = detail;
	MrBuffer body = {0};

	if (failure != MR_QUERY_OK)
		refuse(exchange, document, failure, error);
	else if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
		mr_exchange_refuse(exchange, document->absent, NULL, document->absent_hint);
	else if (document->settle == NULL || !document->settle(exchange, result))
	{
		mr_buffer_append(&body, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&body, "\n", 1);
		if (document->next != NULL && !PQgetisnull(result, 0, 1))
			put_next(exchange, document->next, PQgetvalue(result, 0, 1));
		mr_exchange_set_header(exchange, "Cache-Control", "private, no-cache");
		mr_exchange_answer(exchange, 200, "application/json", &body);
	}
}

/* The same list, from another place. */
static void
put_next(MrExchange *exchange, const char *parameter, const char *value)
{
	const MrParams *params = &exchange->params;
	MrBuffer link = {0};

	mr_buffer_printf(&link, "<%s?", exchange->path);
	for (int i = 0; i < params->count; i++)
	{
		if (strcmp(params->items[i].name, parameter) == 0)
			continue;
		mr_percent_encode(&link, params->items[i].name);
		mr_buffer_append(&link, "=", 1);
		mr_percent_encode(&link, params->items[i].value);
		mr_buffer_append(&link, "&", 1);
	}
	mr_buffer_printf(&link, "%s=%s>; rel=\"next\"", parameter, value);
	mr_exchange_set_header(exchange, "Link", mr_buffer_string(&link));
	mr_buffer_free(&link);
}

/* What the verbs of the extension refuse, they say in words for the user. */
static void
refuse(MrExchange *exchange, const MrDocument *document, MrQueryFailure failure,
	   const MrPgError *error)
{
	const struct
	{
		const char *sqlstate;
		MrProblem problem;
	} map[] = {{"42704", document->absent},
			   {"42501", MR_PROBLEM_PRIVILEGE},
			   {"55000", MR_PROBLEM_STATE},
			   {"42", MR_PROBLEM_STATE}}; /* the pipeline's own SQL does not fit any more */

	for (size_t i = 0; failure == MR_QUERY_ERROR && i < sizeof(map) / sizeof(map[0]); i++)
	{
		const MrProblemReport report = {.problem = map[i].problem,
										.detail = error->message,
										.hint = error->hint[0] != '\0' ? error->hint : NULL,
										.sqlstate = error->sqlstate};

		if (strncmp(error->sqlstate, map[i].sqlstate, strlen(map[i].sqlstate)) != 0 ||
			!document->operates)
			continue;
		mr_exchange_problem(exchange, &report);
		return;
	}
	mr_query_problem(exchange, failure, error);
}
