/*
 * One asynchronous libpq connection on the main thread's event loop. It connects, sets its session
 * up (search_path, keepalives, timeouts, encoding), refuses to work through a transaction pooler,
 * runs one query at a time and reports by callbacks. It never reconnects by itself: the owner
 * knows what a lost connection means, and when to try again.
 *
 * Callbacks may call any function below, mr_pgconn_close included, but not mr_pgconn_free.
 */
#ifndef MR_COMMON_PGCONN_H
#define MR_COMMON_PGCONN_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/pg_message.h"

typedef struct MrPgconn MrPgconn;

typedef struct MrPgconnEvents
{
	/* The session is set up; queries may be sent. */
	void (*ready)(void *owner);
	/* One result of the running query (the callee does not free it). */
	void (*result)(void *owner, PGresult *result);
	/* COPY IN has begun: mr_pgconn_copy may be called. */
	void (*copy_in)(void *owner);
	/* What mr_pgconn_copy had put by has been sent. */
	void (*drained)(void *owner);
	/* The query has ended: another may be sent. */
	void (*done)(void *owner);
	/* The connection is gone (or could not be made); it is closed now. */
	void (*lost)(void *owner, const MrPgError *error);
} MrPgconnEvents;

extern MrPgconn *mr_pgconn_new(struct event_base *base, const char *dsn, const char *application,
							   const MrPgconnEvents *events, void *owner);
/*
 * How long a query may run without any progress (a result, data that the socket takes) before the connection is given
 * up, by `lost` with 08006. The default, 130 s, lets the server's statement_timeout of 120 s come first: ours is for
 * a server that is stopped or hangs.
 */
extern void mr_pgconn_set_answer_timeout(MrPgconn *conn, int64_t ms);
extern void mr_pgconn_connect(MrPgconn *conn);
extern bool mr_pgconn_is_open(const MrPgconn *conn);
/* The role and the database of a connection; "" while there is none. */
extern const char *mr_pgconn_user(const MrPgconn *conn);
extern const char *mr_pgconn_database(const MrPgconn *conn);
/* Open, and no query is running. */
extern bool mr_pgconn_is_idle(const MrPgconn *conn);

/* Sends a query in the simple protocol; failure is reported by `lost`, later or at once. */
extern void mr_pgconn_query(MrPgconn *conn, const char *sql);
/* Sends a statement with text parameters. */
extern void mr_pgconn_query_params(MrPgconn *conn, const char *sql, int count,
								   const char *const *values);
/* Prepares a statement, for this session; to be executed with text parameters. */
extern void mr_pgconn_prepare(MrPgconn *conn, const char *name, const char *sql);
extern void mr_pgconn_execute(MrPgconn *conn, const char *name, int count,
							  const char *const *values);
/*
 * Pipeline mode, for good: mr_pgconn_pipe() adds a statement with text parameters, prepared before under this name, or with it
 * (prepare: its text), and mr_pgconn_sync() sends those added since the last one: a group. They are one transaction: behind one
 * that fails the others are not run. For each statement, in order, come two `result`s, or one when it was prepared before, those
 * of statements that are not run with PGRES_PIPELINE_ABORTED; then `done` for the group. mr_pgconn_pipe() is false when the
 * connection is lost, which `lost` has said then.
 */
extern void mr_pgconn_pipeline(MrPgconn *conn);
extern bool mr_pgconn_pipe(MrPgconn *conn, const char *prepare, const char *name, int count,
						   const char *const *values) __attribute__((warn_unused_result));
extern void mr_pgconn_sync(MrPgconn *conn);
/* For pgconn_pipeline.c: a query is under way, or the connection is lost, since it could not be sent. */
extern void mr_pgconn_begin(MrPgconn *conn, bool sent);
/* What PQcancel() takes to cancel the query that runs; the caller frees it by PQfreeCancel(). NULL: not connected. */
extern PGcancel *mr_pgconn_cancel_handle(MrPgconn *conn);
/*
 * Puts COPY data. False: the socket is full; go on at `drained`. The data has been taken over
 * either way.
 */
extern bool mr_pgconn_copy(MrPgconn *conn, const char *data, size_t len);
extern void mr_pgconn_copy_end(MrPgconn *conn);

/* Closes without a callback; the server forgets what was not committed. */
extern void mr_pgconn_close(MrPgconn *conn);
extern void mr_pgconn_free(MrPgconn *conn);

#endif
