#include "api/resource/event_all.h"

#include "api/request/accept.h"
#include "api/request/sse.h"
#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/query_problem.h"
#include "api/resource/statistics.h"
#include "api/resource/statistics_feed.h"

static void on_statistics(void *owner, const MrStatisticsAnswer *statistics);
static void on_first(void *owner, const MrStatisticsAnswer *statistics);
static void forget(void *work);

void
mr_event_all_get(MrExchange *exchange)
{
	static const char *const types[] = {"application/json", MR_SSE_TYPE};
	const MrContext *context = mr_context_of(exchange);
	int type = mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 2);
	MrStatisticsWait *wait;

	if (!mr_document_has_no_params(exchange))
		return;
	mr_exchange_vary(exchange, "Accept");
	if (type < 0)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL,
						   "Accept application/json or text/event-stream.");
		return;
	}
	wait = mr_statistics_ask(context->statistics, type == 1 ? on_first : on_statistics, exchange);
	if (wait == NULL)
		return;
	exchange->work = wait;
	exchange->abandon = forget;
}

static void
on_statistics(void *owner, const MrStatisticsAnswer *statistics)
{
	MrExchange *exchange = owner;
	MrBuffer body = {0};

	mr_exchange_forget_work(exchange);
	if (statistics->failure != MR_QUERY_OK)
	{
		mr_query_problem(exchange, statistics->failure, statistics->error);
		return;
	}
	mr_buffer_append(&body, statistics->text, statistics->len);
	mr_document_answer(exchange, "application/json", &body, statistics->tag);
}

/* A stream begins with a document: the status of one that is refused says when to come again. */
static void
on_first(void *owner, const MrStatisticsAnswer *statistics)
{
	MrExchange *exchange = owner;

	mr_exchange_forget_work(exchange);
	if (statistics->failure == MR_QUERY_OK)
		mr_statistics_feed_join(mr_context_of(exchange)->feed, exchange, statistics);
	else
		mr_query_problem(exchange, statistics->failure, statistics->error);
}

static void
forget(void *work)
{
	mr_statistics_forget(work);
}
