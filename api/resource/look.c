#include "api/resource/look.h"

#include <stdlib.h>

#include "api/resource/query_problem.h"

typedef struct Look
{
	MrExchange *exchange;
	MrLookEnd end;
	const void *detail;
	MrQuery *running;
} Look;

typedef MrQuery *(*RunQuery)(MrPool *pool, const char *name, const char *sql, int count,
							 const char *const *values, MrQueryEnd end, void *owner,
							 MrQueryFailure *failure);

static void look_up(MrExchange *exchange, MrPool *pool, RunQuery run, const char *name,
					const char *sql, int count, const char *const *values, MrLookEnd end,
					const void *detail);
static void on_end(void *owner, MrQueryFailure failure, const PGresult *result,
				   const MrPgError *error);
static void abandon(void *work);

void
mr_look_up(MrExchange *exchange, MrPool *pool, const char *name, const char *sql, int count,
		   const char *const *values, MrLookEnd end, const void *detail)
{
	look_up(exchange, pool, mr_pool_query, name, sql, count, values, end, detail);
}

void
mr_look_up_row(MrExchange *exchange, MrPool *pool, const char *name, const char *sql, int count,
			   const char *const *values, MrLookEnd end)
{
	look_up(exchange, pool, mr_pool_read, name, sql, count, values, end, NULL);
}

static void
look_up(MrExchange *exchange, MrPool *pool, RunQuery run, const char *name, const char *sql,
		int count, const char *const *values, MrLookEnd end, const void *detail)
{
	Look *look = mr_calloc(1, sizeof(*look));
	MrQueryFailure failure;

	*look = (Look){.exchange = exchange, .end = end, .detail = detail};
	look->running = run(pool, name, sql, count, values, on_end, look, &failure);
	if (look->running == NULL)
	{
		mr_query_problem(exchange, failure, NULL);
		free(look);
		return;
	}
	exchange->work = look;
	exchange->abandon = abandon;
}

static void
on_end(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	const Look look = *(Look *) owner;

	free(owner);
	mr_exchange_forget_work(look.exchange);
	look.end(look.exchange, look.detail, failure, result, error);
}

static void
abandon(void *work)
{
	Look *look = work;

	mr_query_abandon(look->running);
	free(look);
}
