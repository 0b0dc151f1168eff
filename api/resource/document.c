#include "api/resource/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request/accept.h"
#include "api/request/etag.h"
#include "api/resource/context.h"
#include "api/resource/query_problem.h"

/* What waits for its text. */
typedef struct Wait
{
	MrExchange *exchange;
	const MrDocument *document;
	MrQuery *running;
} Wait;

static MrQuery *run(Wait *wait, int count, const char *const *values, MrQueryFailure *failure);
static bool is_askable(MrExchange *exchange, const MrDocument *document);
static void on_text(void *owner, MrQueryFailure failure, const PGresult *result,
					const MrPgError *error);
static void put_next(MrExchange *exchange, const char *parameter, const char *value);
static void refuse(const Wait *wait, MrQueryFailure failure, const MrPgError *error);
static void abandon(void *work);

void
mr_document_ask(MrExchange *exchange, const MrDocument *document, int count,
				const char *const *values)
{
	MrQueryFailure failure;
	Wait *wait;

	if (!is_askable(exchange, document))
		return;
	wait = mr_calloc(1, sizeof(*wait));
	wait->exchange = exchange;
	wait->document = document;
	wait->running = run(wait, count, values, &failure);
	if (wait->running == NULL)
	{
		mr_query_problem(exchange, failure, NULL);
		free(wait);
		return;
	}
	exchange->work = wait;
	exchange->abandon = abandon;
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

static MrQuery *
run(Wait *wait, int count, const char *const *values, MrQueryFailure *failure)
{
	const MrContext *context = mr_context_of(wait->exchange);
	const MrDocument *document = wait->document;
	const MrKey *key = wait->exchange->key;
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
	return mr_pool_query(document->operates ? context->operate_pool : context->pool, document->name,
						 document->sql, count, all, on_text, wait, failure);
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
on_text(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Wait *wait = owner;
	MrExchange *exchange = wait->exchange;
	MrBuffer body = {0};

	mr_exchange_forget_work(exchange);
	if (failure != MR_QUERY_OK)
		refuse(wait, failure, error);
	else if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
		mr_exchange_refuse(exchange, wait->document->absent, NULL, NULL);
	else
	{
		mr_buffer_append(&body, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&body, "\n", 1);
		if (wait->document->next != NULL && !PQgetisnull(result, 0, 1))
			put_next(exchange, wait->document->next, PQgetvalue(result, 0, 1));
		mr_exchange_set_header(exchange, "Cache-Control", "private, no-cache");
		mr_exchange_answer(exchange, 200, "application/json", &body);
	}
	free(wait);
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
refuse(const Wait *wait, MrQueryFailure failure, const MrPgError *error)
{
	const struct
	{
		const char *sqlstate;
		MrProblem problem;
	} map[] = {{"42704", wait->document->absent},
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
			!wait->document->operates)
			continue;
		mr_exchange_problem(wait->exchange, &report);
		return;
	}
	mr_query_problem(wait->exchange, failure, error);
}

static void
abandon(void *work)
{
	Wait *wait = work;

	mr_query_abandon(wait->running);
	free(wait);
}
