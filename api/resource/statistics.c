#include "api/resource/statistics.h"

#include <stdlib.h>

#include "api/request/accept.h"
#include "api/request/etag.h"
#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/query_problem.h"
#include "common/eventloop.h"

/* A request that waits for the query that runs. */
typedef struct Waiter
{
	MrExchange *exchange;
	struct Waiter **link; /* what points to it: it leaves whatever list it is in */
	struct Waiter *next;
} Waiter;

struct MrStatistics
{
	MrPool *pool;
	MrQuery *running; /* NULL: none */
	int64_t asked_ms; /* when the latest query began */
	MrBuffer document;
	int64_t document_ms; /* when the query of the document began: its age counts from there */
	char tag[MR_ETAG_SIZE];
	Waiter *first;
};

/*
 * No time of rendering is in it: while nothing changes, neither does the entity tag. Bigints are text. Each view is read
 * once, not once for each pipeline.
 */
static const char sql[] =
	"WITH rates AS MATERIALIZED (SELECT * FROM millrace.rates), "
	"latency AS MATERIALIZED (SELECT * FROM millrace.latency), "
	"lag AS MATERIALIZED (SELECT * FROM millrace.lag) "
	"SELECT json_build_object('pipelines', coalesce(json_agg(json_build_object("
	"'name', s.pipeline, 'totals', json_build_object('events', s.events::text, "
	"'written', s.written::text, 'filtered', s.filtered::text, "
	"'superseded', s.superseded::text, 'skipped', s.skipped::text, 'rows', s.rows::text, "
	"'bytes', s.bytes::text, 'failed', s.failed::text, 'settled_at', s.settled_at), "
	"'rates', (SELECT json_agg(json_build_object("
	"'over_s', extract(epoch FROM r.over)::integer, 'events_per_s', r.events_per_s, "
	"'rows_per_s', r.rows_per_s, 'bytes_per_s', r.bytes_per_s, "
	"'failures_per_s', r.failures_per_s, 'dead_letters_per_s', r.dead_letters_per_s, "
	"'retries_per_s', r.retries_per_s, 'batches_per_s', r.batches_per_s, "
	"'busy_workers', r.busy_workers) ORDER BY r.over) "
	"FROM rates AS r WHERE r.pipeline = s.pipeline), "
	"'latency', (SELECT coalesce(json_agg(json_build_object('stage', l.stage, "
	"'over_s', extract(epoch FROM l.over)::integer, 'events', l.events::text, "
	"'p50_ms', l.p50_ms, 'p95_ms', l.p95_ms, 'p99_ms', l.p99_ms, 'max_ms', l.max_ms) "
	"ORDER BY l.over, l.stage), '[]') FROM latency AS l WHERE l.pipeline = s.pipeline), "
	"'lag', json_build_object('records', s.lag::text, "
	"'seconds', (SELECT round(extract(epoch FROM max(g.behind)), 3) FROM lag AS g "
	"WHERE g.pipeline = s.pipeline), 'drained_per_s', s.drained_per_s, "
	"'drained_in_s', round(extract(epoch FROM s.drained_in), 3)), "
	"'retries', json_build_object('waiting', s.retrying::text, 'tries', s.retried::text), "
	"'dead_letters', json_build_object('present', s.dead::text, 'made', s.dead_lettered::text, "
	"'replayed', s.replayed::text), "
	"'breaker', json_build_object('state', b.state, 'since', b.since, "
	"'sqlstate', b.sqlstate, 'opened', b.opened::text, 'next_probe_at', b.next_probe_at, "
	"'retries_state', b.retries_state, 'retries_since', b.retries_since, "
	"'retries_sqlstate', b.retries_sqlstate)) ORDER BY s.pipeline), '[]'))::text "
	"FROM millrace.stats AS s LEFT JOIN millrace.breakers AS b USING (pipeline)";
static bool is_fresh(const MrStatistics *statistics);
static bool render(MrStatistics *statistics, MrQueryFailure *failure);
static void await(MrStatistics *statistics, MrExchange *exchange);
static void on_document(void *owner, MrQueryFailure failure, const PGresult *result,
						const MrPgError *error);
static void answer(MrExchange *exchange, const MrStatistics *statistics);
static void forget(void *work);

MrStatistics *
mr_statistics_new(MrPool *pool)
{
	MrStatistics *statistics = mr_calloc(1, sizeof(*statistics));

	statistics->pool = pool;
	return statistics;
}

void
mr_statistics_free(MrStatistics *statistics)
{
	if (statistics == NULL)
		return;
	if (statistics->running != NULL)
		mr_query_abandon(statistics->running);
	mr_buffer_free(&statistics->document);
	free(statistics);
}

void
mr_statistics_get(MrExchange *exchange)
{
	static const char *const types[] = {"application/json"};
	MrStatistics *statistics = mr_context_of(exchange)->statistics;
	MrQueryFailure failure;

	if (!mr_document_has_no_params(exchange))
		return;
	if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept application/json.");
	else if (is_fresh(statistics))
		answer(exchange, statistics);
	else if (statistics->running == NULL && !render(statistics, &failure))
		mr_query_problem(exchange, failure, NULL);
	else
		await(statistics, exchange);
}

static bool
is_fresh(const MrStatistics *statistics)
{
	return statistics->running == NULL && statistics->document.len > 0 &&
		   mr_now_ms() - statistics->document_ms < MR_STATISTICS_FRESH_MS;
}

static bool
render(MrStatistics *statistics, MrQueryFailure *failure)
{
	statistics->asked_ms = mr_now_ms();
	statistics->running = mr_pool_query(statistics->pool, "statistics", sql, 0, NULL, on_document,
										statistics, failure);
	return statistics->running != NULL;
}

static void
await(MrStatistics *statistics, MrExchange *exchange)
{
	Waiter *waiter = mr_calloc(1, sizeof(*waiter));

	waiter->exchange = exchange;
	waiter->link = &statistics->first;
	waiter->next = statistics->first;
	if (waiter->next != NULL)
		waiter->next->link = &waiter->next;
	statistics->first = waiter;
	exchange->work = waiter;
	exchange->abandon = forget;
}

/* The list is taken first: a request that comes while these are answered waits for the next query, not for this one. */
static void
on_document(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrStatistics *statistics = owner;
	Waiter *waiters = statistics->first;

	statistics->running = NULL;
	statistics->first = NULL;
	if (waiters != NULL)
		waiters->link = &waiters;
	if (failure == MR_QUERY_OK)
	{
		mr_buffer_free(&statistics->document);
		statistics->document = (MrBuffer){0};
		statistics->document_ms = statistics->asked_ms;
		mr_buffer_append(&statistics->document, PQgetvalue(result, 0, 0),
						 (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&statistics->document, "\n", 1);
		mr_etag_make(statistics->tag, statistics->document.data, statistics->document.len);
	}
	while (waiters != NULL)
	{
		Waiter *waiter = waiters;
		MrExchange *exchange = waiter->exchange;

		waiters = waiter->next;
		if (waiters != NULL)
			waiters->link = &waiters;
		free(waiter);
		mr_exchange_forget_work(exchange);
		if (failure == MR_QUERY_OK)
			answer(exchange, statistics);
		else
			mr_query_problem(exchange, failure, error);
	}
}

static void
answer(MrExchange *exchange, const MrStatistics *statistics)
{
	MrBuffer body = {0};

	mr_buffer_append(&body, statistics->document.data, statistics->document.len);
	mr_document_answer(exchange, &body, statistics->tag);
}

/* The query goes on: others wait for it, or will. */
static void
forget(void *work)
{
	Waiter *waiter = work;

	*waiter->link = waiter->next;
	if (waiter->next != NULL)
		waiter->next->link = waiter->link;
	free(waiter);
}
