#include "api/database/point.h"

#include <assert.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/options.h"

/* Without an answer for so long: others are asked first, and it takes no more. */
#define SLOW_MS  20
#define STUCK_MS 500

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
	MrQuery *queries[MR_POINT_MAX]; /* a ring, in the order they came; NULL: forgotten, or ended */
	int first;
	int count;
	int sent;            /* the first of them: those of the group under way that have not ended */
	struct event *send;  /* active: the next group is sent in this turn of the event loop */
	bool is_aborted;     /* one of the group has failed: those behind it are sent again */
	int64_t progress_ms; /* when one ended last, or the first came */
	MrBackoff backoff;
	int64_t retry_ms;
	MrStrings prepared;
	char *prepares
		[MR_POINT_MAX]; /* of the group: the name under which it is being prepared; NULL: it is */
	bool is_spent;      /* it takes no more, and is made again when it is empty */
	bool has_failed;    /* because a statement is not what it was: not at once */
};

static bool has_waited(const MrPoint *point, int64_t ms);
static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void send_group(evutil_socket_t fd, short what, void *owner);
static void leave_out_forgotten(MrPoint *point);
static bool is_new_name(const MrPoint *point, const char *name);
static void set_prepares(MrPoint *point, int at, const char *name);
static void note_failure(MrPoint *point, const PGresult *result, const MrPgError *error);
static void end_first(MrPoint *point, MrQueryFailure failure, const PGresult *result,
					  const MrPgError *error);
static void end_late(MrPoint *point, int64_t now_ms);
static void end_query(MrPoint *point, int at, MrQueryFailure failure, const PGresult *result,
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
	point->send = event_new(setup->base, -1, 0, send_group, point);
	point->conn = mr_pgconn_new(setup->base, setup->dsn, "millrace-api", &conn_events, point);
	mr_pgconn_set_answer_timeout(point->conn, setup->query_ms + MR_SESSION_ANSWER_MARGIN_MS);
	return point;
}

int
mr_point_room(const MrPoint *point)
{
	return point->state == POINT_READY && !point->is_spent && !has_waited(point, STUCK_MS)
			   ? MR_POINT_MAX - point->count
			   : 0;
}

bool
mr_point_is_slow(const MrPoint *point)
{
	return has_waited(point, SLOW_MS);
}

static bool
has_waited(const MrPoint *point, int64_t ms)
{
	return point->count > 0 && mr_now_ms() - point->progress_ms > ms;
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

void
mr_point_run(MrPoint *point, MrQuery *query)
{
	assert(point->state == POINT_READY && !point->is_spent && point->count < MR_POINT_MAX);
	if (point->count == 0)
		point->progress_ms = mr_now_ms();
	point->queries[(point->first + point->count) % MR_POINT_MAX] = query;
	point->count++;
	query->point = point;
	event_active(point->send, 0, 0);
}

void
mr_point_forget(MrPoint *point, MrQuery *query)
{
	for (int i = 0; i < point->count; i++)
		if (point->queries[(point->first + i) % MR_POINT_MAX] == query)
			point->queries[(point->first + i) % MR_POINT_MAX] = NULL;
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
	event_free(point->send);
	for (int i = 0; i < MR_POINT_MAX; i++)
		free(point->prepares[i]);
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

/* Of the first query of the group. When one has failed, what comes in place of those behind it is no answer of theirs. */
static void
on_result(void *owner, PGresult *result)
{
	MrPoint *point = owner;
	ExecStatusType status = PQresultStatus(result);
	MrPgError error;

	if (point->state != POINT_READY || point->is_aborted || point->sent == 0)
		return;
	if (status == PGRES_PIPELINE_ABORTED)
		point->is_aborted = true;
	else if (status == PGRES_FATAL_ERROR)
	{
		mr_pg_error_from_result(&error, result);
		note_failure(point, result, &error);
		end_first(point, mr_session_failure_of(error.sqlstate), NULL, &error);
	}
	else if (point->prepares[point->first] != NULL)
	{
		mr_strings_add(&point->prepared, point->prepares[point->first]);
		set_prepares(point, point->first, NULL);
		point->is_spent |= point->prepared.count >= MR_SESSION_STATEMENTS_MAX;
	}
	else if (status == PGRES_TUPLES_OK)
		end_first(point, MR_QUERY_OK, result, NULL);
	else
		end_first(point, MR_QUERY_ERROR, NULL, &mr_session_no_rows);
}

/* A Sync: the group is over. What was aborted in it is the beginning of the next one. */
static void
on_done(void *owner)
{
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
	point->is_aborted = false;
	point->sent = 0;
	if (point->count > 0)
		event_active(point->send, 0, 0);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	MrPoint *point = owner;
	bool silent = strcmp(error->sqlstate, "08006") == 0;

	point->state = POINT_DOWN;
	point->retry_ms = mr_now_ms() + mr_backoff_next(&point->backoff, mr_random32());
	point->is_aborted = false;
	point->sent = point->count; /* none of them is sent any more */
	point->events->lost(point->owner, error, silent);
	while (point->count > 0)
		end_first(point, silent ? MR_QUERY_TIMEOUT : MR_QUERY_LOST, NULL, error);
}

/* A group is under way until its Sync has come, which may be after all its answers. The server has a time for each statement, and may
 * say nothing until the end of the group. */
static void
send_group(evutil_socket_t fd, short what, void *owner)
{
	MrPoint *point = owner;

	(void) fd, (void) what;
	if (point->state != POINT_READY || !mr_pgconn_is_idle(point->conn))
		return;
	leave_out_forgotten(point);
	if (point->count == 0)
		return;
	for (point->sent = 0; point->sent < point->count; point->sent++)
	{
		int at = (point->first + point->sent) % MR_POINT_MAX;
		const MrQuery *query = point->queries[at];

		set_prepares(point, at, is_new_name(point, query->name) ? query->name : NULL);
		if (!mr_pgconn_pipe(point->conn, point->prepares[at] != NULL ? query->sql : NULL,
							query->name, query->count, (const char *const *) query->values))
			return;
	}
	mr_pgconn_set_answer_timeout(point->conn, point->count * point->setup.query_ms +
												  MR_SESSION_ANSWER_MARGIN_MS);
	mr_pgconn_sync(point->conn);
}

/* Nothing is under way. */
static void
leave_out_forgotten(MrPoint *point)
{
	int kept = 0;

	for (int i = 0; i < point->count; i++)
	{
		MrQuery *query = point->queries[(point->first + i) % MR_POINT_MAX];

		if (query != NULL)
			point->queries[(point->first + kept++) % MR_POINT_MAX] = query;
	}
	point->count = kept;
}

/* It is not prepared, nor by one before it in the group that is being sent: what fails there aborts what is behind. */
static bool
is_new_name(const MrPoint *point, const char *name)
{
	if (mr_strings_has(&point->prepared, name))
		return false;
	for (int i = 0; i < point->sent; i++)
	{
		const char *prepares = point->prepares[(point->first + i) % MR_POINT_MAX];

		if (prepares != NULL && strcmp(prepares, name) == 0)
			return false;
	}
	return true;
}

/* A copy: its client may leave before it is prepared. */
static void
set_prepares(MrPoint *point, int at, const char *name)
{
	free(point->prepares[at]);
	point->prepares[at] = name != NULL ? mr_strdup(name) : NULL;
}

static void
note_failure(MrPoint *point, const PGresult *result, const MrPgError *error)
{
	if (point->prepares[point->first] != NULL || strncmp(error->sqlstate, "42", 2) == 0 ||
		strncmp(error->sqlstate, "26", 2) == 0)
		point->is_spent = point->has_failed = true;
	else if (mr_session_is_stale(result))
		point->is_spent = true;
}

/* It has left when its owner is called. */
static void
end_first(MrPoint *point, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	int at = point->first;

	assert(point->sent > 0);
	point->progress_ms = mr_now_ms();
	point->first = (at + 1) % MR_POINT_MAX;
	point->count--;
	point->sent--;
	if (point->queries[at] != NULL)
		end_query(point, at, failure, result, error);
}

/* What stands behind others that take their time has no more of it than they; its answer is for nobody. */
static void
end_late(MrPoint *point, int64_t now_ms)
{
	int64_t before_ms = now_ms - point->setup.query_ms - MR_SESSION_ANSWER_MARGIN_MS;

	for (int i = 0; i < point->count; i++)
	{
		int at = (point->first + i) % MR_POINT_MAX;

		if (point->queries[at] != NULL && point->queries[at]->began_ms < before_ms)
			end_query(point, at, MR_QUERY_TIMEOUT, NULL, NULL);
	}
}

static void
end_query(MrPoint *point, int at, MrQueryFailure failure, const PGresult *result,
		  const MrPgError *error)
{
	MrQuery *query = point->queries[at];

	point->queries[at] = NULL;
	query->point = NULL;
	point->events->ended(point->owner, query, failure, result, error);
}
