#include "api/database/point.h"

#include <assert.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/options.h"

#define STUCK_MS 500 /* without an answer for so long it takes no more */

typedef enum PointState
{
	POINT_DOWN,
	POINT_CONNECTING,
	POINT_SETTING,
	POINT_READY
} PointState;

struct MrPoint
{
	MrPoolSetup setup;
	const MrPointEvents *events;
	void *owner;
	MrPgconn *conn;
	PointState state;
	MrQuery
		*sent[MR_POINT_MAX]; /* a ring, in the order they were sent; NULL: forgotten, or ended */
	int first;
	int count;
	int64_t progress_ms; /* when one ended last, or the first was sent */
	MrBackoff backoff;
	int64_t retry_ms;
	MrStrings prepared;
	bool prepares[MR_POINT_MAX]; /* of those: it was sent with its text */
	bool is_spent;               /* it is made again when it is empty */
	bool has_failed;             /* because a statement is not what it was: not at once */
};

static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void end_next(MrPoint *point, MrQueryFailure failure, const MrPgError *error);
static void end_late(MrPoint *point, int64_t now_ms);
static void end_sent(MrPoint *point, int at, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);

MrPoint *
mr_point_new(const MrPoolSetup *setup, const MrPointEvents *events, void *owner)
{
	static const MrPgconnEvents conn_events = {.ready = on_ready,
											   .result = on_result,
											   .done = on_done,
											   .lost = on_lost};
	MrPoint *point = mr_calloc(1, sizeof(*point));

	point->setup = *setup;
	point->events = events;
	point->owner = owner;
	point->backoff = (MrBackoff){MR_SESSION_RETRY_MIN_MS, MR_SESSION_RETRY_MAX_MS, 0};
	point->conn = mr_pgconn_new(setup->base, setup->dsn, "millrace-api", &conn_events, point);
	mr_pgconn_set_answer_timeout(point->conn, setup->query_ms + MR_SESSION_ANSWER_MARGIN_MS);
	return point;
}

int
mr_point_room(const MrPoint *point)
{
	bool is_stuck = point->count > 0 && mr_now_ms() - point->progress_ms > STUCK_MS;

	return point->state == POINT_READY && !point->is_spent && !is_stuck
			   ? MR_POINT_MAX - point->count
			   : 0;
}

bool
mr_point_is_connected(const MrPoint *point)
{
	return point->state == POINT_READY;
}

int
mr_point_count(const MrPoint *point)
{
	return point->count;
}

/* A name counts as prepared from here on: what is sent behind finds it, or fails as the first did. */
void
mr_point_run(MrPoint *point, MrQuery *query)
{
	bool is_known = mr_strings_has(&point->prepared, query->name);
	int at = (point->first + point->count) % MR_POINT_MAX;

	assert(point->state == POINT_READY && !point->is_spent && point->count < MR_POINT_MAX);
	if (!is_known)
		mr_strings_add(&point->prepared, query->name);
	point->is_spent = point->prepared.count >= MR_SESSION_STATEMENTS_MAX;
	if (point->count == 0)
		point->progress_ms = mr_now_ms();
	point->sent[at] = query;
	point->prepares[at] = !is_known;
	point->count++;
	query->point = point;
	mr_pgconn_pipe(point->conn, is_known ? NULL : query->sql, query->name, query->count,
				   (const char *const *) query->values);
}

void
mr_point_forget(MrPoint *point, MrQuery *query)
{
	for (int i = 0; i < point->count; i++)
		if (point->sent[(point->first + i) % MR_POINT_MAX] == query)
			point->sent[(point->first + i) % MR_POINT_MAX] = NULL;
	query->point = NULL;
}

void
mr_point_tick(MrPoint *point, int64_t now_ms)
{
	end_late(point, now_ms);
	if (point->state == POINT_READY && point->count == 0 && point->is_spent)
	{
		mr_point_renew(point);
		if (point->has_failed)
			point->retry_ms = now_ms + MR_SESSION_RETRY_MAX_MS;
	}
	if (point->state != POINT_DOWN || now_ms < point->retry_ms)
		return;
	point->state = POINT_CONNECTING;
	mr_pgconn_connect(point->conn);
}

void
mr_point_renew(MrPoint *point)
{
	if (point->state != POINT_READY || point->count > 0)
		return;
	mr_pgconn_close(point->conn);
	point->state = POINT_DOWN;
	point->retry_ms = 0;
}

void
mr_point_free(MrPoint *point)
{
	if (point == NULL)
		return;
	mr_pgconn_free(point->conn);
	mr_strings_clear(&point->prepared);
	free(point);
}

static void
on_ready(void *owner)
{
	MrPoint *point = owner;
	char sql[MR_SESSION_SETTINGS_SIZE];

	mr_strings_clear(&point->prepared);
	point->is_spent = point->has_failed = false;
	point->state = POINT_SETTING;
	mr_session_settings(sql, &point->setup);
	mr_pgconn_query(point->conn, sql);
}

static void
on_result(void *owner, PGresult *result)
{
	MrPoint *point = owner;
	bool has_failed = PQresultStatus(result) == PGRES_FATAL_ERROR;
	MrPgError error;

	if (point->state != POINT_READY)
		return;
	if (has_failed)
	{
		mr_pg_error_from_result(&error, result);
		/* whether it was prepared is not known here: no more are taken, and it is made again when all have ended */
		if (point->prepares[point->first] || strncmp(error.sqlstate, "42", 2) == 0 ||
			strncmp(error.sqlstate, "26", 2) == 0)
			point->is_spent = point->has_failed = true;
		else if (mr_session_is_stale(result))
			point->is_spent = true;
	}
	if (point->sent[point->first] == NULL)
		return;
	if (has_failed)
		end_sent(point, point->first, mr_session_failure_of(error.sqlstate), NULL, &error);
	else if (PQresultStatus(result) == PGRES_TUPLES_OK)
		end_sent(point, point->first, MR_QUERY_OK, result, NULL);
}

/* A Sync: the next one's results follow. */
static void
on_done(void *owner)
{
	static const MrPgError no_rows = {"02000", "the statement returned no rows", ""};
	MrPoint *point = owner;

	if (point->state == POINT_SETTING)
	{
		mr_backoff_reset(&point->backoff);
		mr_pgconn_pipeline(point->conn);
		point->state = POINT_READY;
		point->events->ready(point->owner);
		return;
	}
	if (point->state != POINT_READY)
		return;
	point->progress_ms = mr_now_ms();
	end_next(point, MR_QUERY_ERROR, &no_rows);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	MrPoint *point = owner;
	bool silent = strcmp(error->sqlstate, "08006") == 0;

	point->state = POINT_DOWN;
	point->retry_ms = mr_now_ms() + mr_backoff_next(&point->backoff, mr_random32());
	point->events->lost(point->owner, error, silent);
	while (point->count > 0)
		end_next(point, silent ? MR_QUERY_TIMEOUT : MR_QUERY_LOST, error);
}

/* The first one is over, with this failure if nothing else was said of it. It has left when its owner is called. */
static void
end_next(MrPoint *point, MrQueryFailure failure, const MrPgError *error)
{
	int at = point->first;

	point->first = (at + 1) % MR_POINT_MAX;
	point->count--;
	if (point->sent[at] != NULL)
		end_sent(point, at, failure, NULL, error);
}

/* What stands behind others that take their time has no more of it than they; its answer is for nobody. */
static void
end_late(MrPoint *point, int64_t now_ms)
{
	int64_t before_ms = now_ms - point->setup.query_ms - MR_SESSION_ANSWER_MARGIN_MS;

	for (int i = 0; i < point->count; i++)
	{
		int at = (point->first + i) % MR_POINT_MAX;

		if (point->sent[at] != NULL && point->sent[at]->began_ms < before_ms)
			end_sent(point, at, MR_QUERY_TIMEOUT, NULL, NULL);
	}
}

static void
end_sent(MrPoint *point, int at, MrQueryFailure failure, const PGresult *result,
		 const MrPgError *error)
{
	MrQuery *query = point->sent[at];

	point->sent[at] = NULL;
	query->point = NULL;
	point->events->ended(point->owner, query, failure, result, error);
}
