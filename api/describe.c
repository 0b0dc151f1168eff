#include "api/describe.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "api/resource/event_query.h"
#include "common/backoff.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "common/pgconn.h"
#include "common/sqlstate.h"
#include "common/trouble.h"

struct MrDescribe
{
	const MrApiSettings *settings;
	MrPgconn *conn;
	struct event *retry;
	MrBackoff backoff;
	MrSharedRelation *relation;
	MrRelation **all; /* workers may still use an older one */
	int count;
	MrDescribeFailed failed;
	void *owner;
	MrTrouble trouble;
	atomic_bool in_trouble; /* what is in trouble.text, for other threads */
	bool asks;
};

static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void again(MrDescribe *describe, const MrPgError *error);
static void take_relation(MrDescribe *describe, const PGresult *result);
static MrLogLevel set_trouble(MrDescribe *describe, const char *text);

MrDescribe *
mr_describe_new(struct event_base *base, const MrApiSettings *settings, MrSharedRelation *relation,
				MrDescribeFailed failed, void *owner)
{
	static const MrPgconnEvents events = {.ready = on_ready,
										  .result = on_result,
										  .done = on_done,
										  .lost = on_lost};
	MrDescribe *describe = mr_calloc(1, sizeof(*describe));

	describe->settings = settings;
	describe->relation = relation;
	describe->failed = failed;
	describe->owner = owner;
	describe->backoff = (MrBackoff){100, 1000, 0};
	describe->retry = evtimer_new(base, on_retry, describe);
	describe->conn = mr_pgconn_new(base, settings->dsn, "millrace-api start", &events, describe);
	mr_pgconn_set_answer_timeout(describe->conn, 30000);
	return describe;
}

void
mr_describe_ask(MrDescribe *describe)
{
	if (describe->asks)
		return;
	describe->asks = true;
	mr_timer_set(describe->retry, 0);
}

const char *
mr_describe_trouble(const MrDescribe *describe)
{
	return describe->trouble.text;
}

bool
mr_describe_is_in_trouble(const MrDescribe *describe)
{
	return atomic_load(&describe->in_trouble);
}

void
mr_describe_free(MrDescribe *describe)
{
	if (describe == NULL)
		return;
	mr_pgconn_free(describe->conn);
	event_free(describe->retry);
	for (int i = 0; i < describe->count; i++)
		mr_relation_free(describe->all[i]);
	free(describe->all);
	free(describe);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	MrDescribe *describe = arg;

	(void) fd;
	(void) what;
	mr_pgconn_connect(describe->conn);
}

static void
on_ready(void *owner)
{
	MrDescribe *describe = owner;
	const MrApiSettings *settings = describe->settings;
	const char *values[] = {settings->events, settings->id_column, settings->time_column,
							settings->xid_column};

	mr_pgconn_query_params(describe->conn, mr_relation_sql, 4, values);
}

/* An error of the resources is the server's, and passes; any other is about the relation. */
static void
on_result(void *owner, PGresult *result)
{
	MrDescribe *describe = owner;
	MrPgError error;
	MrSqlClass class;

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		take_relation(describe, result);
		return;
	}
	mr_pg_error_from_result(&error, result);
	class = mr_sqlstate_class(error.sqlstate);
	if (class == MR_SQL_GONE || class == MR_SQL_BUSY)
	{
		again(describe, &error);
		return;
	}
	describe->asks = false;
	set_trouble(describe, error.message);
	mr_pgconn_close(describe->conn);
	describe->failed(describe->owner, &error);
}

static void
on_done(void *owner)
{
	MrDescribe *describe = owner;

	mr_pgconn_close(describe->conn);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	again(owner, error);
}

static void
again(MrDescribe *describe, const MrPgError *error)
{
	mr_log(set_trouble(describe, error->message), "cannot ask PostgreSQL for the relation",
		   MR_STR("relation", describe->settings->events), MR_STR("error", error->message),
		   MR_STR("hint", error->hint));
	mr_pgconn_close(describe->conn);
	mr_timer_set(describe->retry, mr_backoff_next(&describe->backoff, mr_random32()));
}

static void
take_relation(MrDescribe *describe, const PGresult *result)
{
	MrRelation *relation =
		mr_relation_new(result, describe->settings->events, (unsigned) describe->count);

	mr_event_query_look_ups(relation);
	describe->asks = false;
	mr_trouble_clear(&describe->trouble);
	atomic_store(&describe->in_trouble, false);
	mr_backoff_reset(&describe->backoff);
	describe->all =
		mr_realloc(describe->all, sizeof(*describe->all) * (size_t) (describe->count + 1));
	describe->all[describe->count++] = relation;
	atomic_store(describe->relation, relation);
	mr_log(MR_LOG_INFO, "serving", MR_STR("relation", relation->ident),
		   MR_INT("columns", relation->count),
		   MR_STR("by_coordinate", relation->coordinate[0] >= 0 ? "yes" : "no"),
		   MR_STR("stream", relation->xid >= 0 ? "yes" : "no"));
}

static MrLogLevel
set_trouble(MrDescribe *describe, const char *text)
{
	atomic_store(&describe->in_trouble, true);
	return mr_trouble_set(&describe->trouble, text);
}
