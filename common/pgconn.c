/*
 * One asynchronous libpq connection.
 *
 *   CLOSED -> CONNECTING -> SETUP -> OPEN (idle or busy)
 *      ^__________|____________|______|   (lost or closed)
 *
 * The host name is resolved inside PQconnectStartParams, which blocks; use addresses, or a local
 * resolver, where that matters.
 */
#include "common/pgconn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/pg_session.h"
#include "common/pgconn_private.h"

#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS  130000 /* the server's own statement_timeout (pg_session.c) comes first */

static void watch(MrPgconn *conn, bool read, bool write);
static void unwatch(MrPgconn *conn);
static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_look(evutil_socket_t fd, short what, void *arg);
static void on_deadline(evutil_socket_t fd, short what, void *arg);
static void connect_step(MrPgconn *conn);
static void begin_setup(MrPgconn *conn);
static void note_progress(MrPgconn *conn);
static void read_results(MrPgconn *conn);
static bool is_between(MrPgconn *conn, const PGresult *result);
static void setup_done(MrPgconn *conn);
static void flush(MrPgconn *conn);
static void fail(MrPgconn *conn, const char *sqlstate, const char *message, const char *hint);
static void fail_pg(MrPgconn *conn);
static void lose(MrPgconn *conn, const MrPgError *error);

MrPgconn *
mr_pgconn_new(struct event_base *base, const char *dsn, const char *application,
			  const MrPgconnEvents *events, void *owner)
{
	MrPgconn *conn = mr_calloc(1, sizeof(*conn));

	conn->base = base;
	conn->dsn = mr_strdup(dsn ? dsn : "");
	conn->application = mr_strdup(application);
	conn->events = events;
	conn->owner = owner;
	conn->answer_timeout_ms = ANSWER_TIMEOUT_MS;
	conn->look = event_new(base, -1, 0, on_look, conn);
	conn->deadline = evtimer_new(base, on_deadline, conn);
	return conn;
}

void
mr_pgconn_set_answer_timeout(MrPgconn *conn, int64_t ms)
{
	conn->answer_timeout_ms = ms;
}

void
mr_pgconn_connect(MrPgconn *conn)
{
	assert(conn->state == PGCONN_CLOSED);
	conn->life++;
	conn->state = PGCONN_CONNECTING;
	conn->pg = mr_pg_session_start(conn->dsn, conn->application);
	mr_timer_set(conn->deadline, CONNECT_TIMEOUT_MS);
	if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD)
	{
		fail_pg(conn);
		return;
	}
	watch(conn, false, true);
}

bool
mr_pgconn_is_open(const MrPgconn *conn)
{
	return conn->state == PGCONN_OPEN;
}

const char *
mr_pgconn_user(const MrPgconn *conn)
{
	const char *user = conn->pg != NULL ? PQuser(conn->pg) : NULL;

	return user != NULL ? user : "";
}

const char *
mr_pgconn_database(const MrPgconn *conn)
{
	const char *database = conn->pg != NULL ? PQdb(conn->pg) : NULL;

	return database != NULL ? database : "";
}

bool
mr_pgconn_is_idle(const MrPgconn *conn)
{
	return conn->state == PGCONN_OPEN && !conn->busy;
}

void
mr_pgconn_query(MrPgconn *conn, const char *sql)
{
	assert(mr_pgconn_is_idle(conn));
	mr_pgconn_begin(conn, PQsendQuery(conn->pg, sql));
}

void
mr_pgconn_query_params(MrPgconn *conn, const char *sql, int count, const char *const *values)
{
	assert(mr_pgconn_is_idle(conn));
	mr_pgconn_begin(conn, PQsendQueryParams(conn->pg, sql, count, NULL, values, NULL, NULL, 0));
}

void
mr_pgconn_prepare(MrPgconn *conn, const char *name, const char *sql)
{
	assert(mr_pgconn_is_idle(conn));
	mr_pgconn_begin(conn, PQsendPrepare(conn->pg, name, sql, 0, NULL));
}

void
mr_pgconn_execute(MrPgconn *conn, const char *name, int count, const char *const *values)
{
	assert(mr_pgconn_is_idle(conn));
	mr_pgconn_begin(conn, PQsendQueryPrepared(conn->pg, name, count, values, NULL, NULL, 0));
}

PGcancel *
mr_pgconn_cancel_handle(MrPgconn *conn)
{
	return conn->pg != NULL ? PQgetCancel(conn->pg) : NULL;
}

bool
mr_pgconn_copy(MrPgconn *conn, const char *data, size_t len)
{
	unsigned life = conn->life;

	assert(conn->copying);
	/* 0, not taken over, is what a connection that does not block says when memory is out */
	if (PQputCopyData(conn->pg, data, (int) len) != 1)
		fail_pg(conn);
	else
		flush(conn);
	if (life != conn->life || conn->state != PGCONN_OPEN)
		return false;
	return !event_pending(conn->writing, EV_WRITE, NULL);
}

void
mr_pgconn_copy_end(MrPgconn *conn)
{
	assert(conn->copying);
	conn->copying = false;
	if (PQputCopyEnd(conn->pg, NULL) != 1)
		fail_pg(conn);
	else
		flush(conn);
}

void
mr_pgconn_close(MrPgconn *conn)
{
	unwatch(conn);
	event_del(conn->look);
	evtimer_del(conn->deadline);
	PQfinish(conn->pg);
	conn->pg = NULL;
	conn->state = PGCONN_CLOSED;
	conn->busy = conn->copying = conn->pipelines = false;
	conn->pipelined = 0;
	conn->life++;
}

void
mr_pgconn_free(MrPgconn *conn)
{
	if (conn == NULL)
		return;
	mr_pgconn_close(conn);
	event_free(conn->look);
	event_free(conn->deadline);
	free(conn->dsn);
	free(conn->application);
	free(conn);
}

/* libpq may change the socket while it connects (several hosts), so the events are made again. */
static void
watch(MrPgconn *conn, bool read, bool write)
{
	unwatch(conn);
	conn->reading =
		event_new(conn->base, PQsocket(conn->pg), EV_READ | EV_PERSIST, on_readable, conn);
	conn->writing = event_new(conn->base, PQsocket(conn->pg), EV_WRITE, on_writable, conn);
	if (read)
		event_add(conn->reading, NULL);
	if (write)
		event_add(conn->writing, NULL);
}

static void
unwatch(MrPgconn *conn)
{
	if (conn->reading != NULL)
		event_free(conn->reading);
	if (conn->writing != NULL)
		event_free(conn->writing);
	conn->reading = conn->writing = NULL;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	MrPgconn *conn = arg;

	(void) fd;
	(void) what;
	if (conn->state == PGCONN_CONNECTING)
		connect_step(conn);
	else if (!PQconsumeInput(conn->pg))
		fail_pg(conn);
	else
		read_results(conn);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	MrPgconn *conn = arg;
	unsigned life = conn->life;

	(void) fd;
	(void) what;
	if (conn->state == PGCONN_CONNECTING)
	{
		connect_step(conn);
		return;
	}
	note_progress(conn); /* the socket took something */
	flush(conn);
	if (life == conn->life && conn->copying && !event_pending(conn->writing, EV_WRITE, NULL))
		conn->events->drained(conn->owner);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	read_results(arg);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	MrPgconn *conn = arg;
	char message[80];

	(void) fd;
	(void) what;
	if (conn->state != PGCONN_OPEN)
	{
		fail(conn, "08001", "timed out while connecting", "");
		return;
	}
	snprintf(message, sizeof(message), "the server has not answered for %lld s",
			 (long long) conn->answer_timeout_ms / 1000);
	fail(conn, "08006", message,
		 "See whether the server's process is stopped, or its disk or the network hangs.");
}

static void
connect_step(MrPgconn *conn)
{
	switch (PQconnectPoll(conn->pg))
	{
		case PGRES_POLLING_READING:
			watch(conn, true, false);
			break;
		case PGRES_POLLING_WRITING:
			watch(conn, false, true);
			break;
		case PGRES_POLLING_OK:
			begin_setup(conn);
			break;
		case PGRES_POLLING_FAILED:
		case PGRES_POLLING_ACTIVE:
			fail_pg(conn);
			break;
	}
}

static void
begin_setup(MrPgconn *conn)
{
	watch(conn, true, false);
	conn->state = PGCONN_SETUP;
	mr_pgconn_begin(conn, PQsetnonblocking(conn->pg, 1) == 0 &&
							  PQsendQuery(conn->pg, mr_pg_session_setup()));
}

/* The deadline of the session's setup is that of connecting. */
void
mr_pgconn_begin(MrPgconn *conn, bool sent)
{
	conn->busy = true;
	if (!sent)
	{
		fail_pg(conn);
		return;
	}
	note_progress(conn);
	flush(conn);
}

static void
note_progress(MrPgconn *conn)
{
	if (conn->state != PGCONN_OPEN)
		return;
	if (conn->busy)
		mr_timer_set(conn->deadline, conn->answer_timeout_ms);
	else
		evtimer_del(conn->deadline);
}

static void
read_results(MrPgconn *conn)
{
	unsigned life = conn->life;
	MrPgError error;

	while (life == conn->life && conn->busy && !conn->copying && !PQisBusy(conn->pg))
	{
		PGresult *result = PQgetResult(conn->pg);

		if (is_between(conn, result) && PQstatus(conn->pg) != CONNECTION_BAD)
			continue;
		if (conn->pipelines && result == NULL)
			break; /* it is gone */
		conn->busy = conn->pipelined > 0 || (result != NULL && !conn->pipelines);
		note_progress(conn);
		if (result == NULL || PQresultStatus(result) == PGRES_PIPELINE_SYNC)
		{
			if (conn->state == PGCONN_SETUP)
				setup_done(conn);
			else
				conn->events->done(conn->owner);
		}
		else if (conn->state == PGCONN_SETUP)
		{
			if (!mr_pg_session_check(conn->pg, result, &error))
				lose(conn, &error);
		}
		else if (PQresultStatus(result) == PGRES_COPY_IN)
		{
			conn->copying = true;
			conn->events->copy_in(conn->owner);
		}
		else
			conn->events->result(conn->owner, result);
		PQclear(result);
	}
	if (life == conn->life && conn->pg != NULL && PQstatus(conn->pg) == CONNECTION_BAD)
		fail_pg(conn);
}

/* In pipeline mode: a mark between the results of two queries, which says nothing. A Sync is counted. */
static bool
is_between(MrPgconn *conn, const PGresult *result)
{
	if (!conn->pipelines)
		return false;
	if (result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC)
		conn->pipelined--;
	return result == NULL;
}

static void
setup_done(MrPgconn *conn)
{
	evtimer_del(conn->deadline);
	conn->state = PGCONN_OPEN;
	conn->events->ready(conn->owner);
}

/*
 * libpq reads while it sends (PQputCopyData, PQflush of a full socket), and may hold the whole answer then: an
 * error in the middle of a COPY, say. The socket does not become readable for it again, so we look by ourselves.
 */
static void
flush(MrPgconn *conn)
{
	int left = PQflush(conn->pg);

	if (left < 0)
	{
		fail_pg(conn);
		return;
	}
	if (left > 0)
		event_add(conn->writing, NULL);
	if (!conn->copying)
		event_active(conn->look, 0, 0);
}

static void
fail(MrPgconn *conn, const char *sqlstate, const char *message, const char *hint)
{
	MrPgError error;

	mr_pg_error_set(&error, sqlstate, message, hint);
	lose(conn, &error);
}

static void
fail_pg(MrPgconn *conn)
{
	/* the text goes with the connection: it is copied first */
	fail(conn, "", conn->pg ? PQerrorMessage(conn->pg) : "out of memory", "");
}

static void
lose(MrPgconn *conn, const MrPgError *error)
{
	mr_pgconn_close(conn);
	conn->events->lost(conn->owner, error);
}
