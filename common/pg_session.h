/*
 * What a session of ours with a PostgreSQL server is: the parameters it is connected with, the settings it begins with, and
 * what must be true of it. pgconn.h runs it.
 */
#ifndef MR_COMMON_PG_SESSION_H
#define MR_COMMON_PG_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/pg_message.h"

/* Begins to connect, without blocking but for the host's name; NULL: memory is out. application must outlive it. */
extern PGconn *mr_pg_session_start(const char *dsn, char *application)
	__attribute__((warn_unused_result));

/* The first query of the session; its results are for mr_pg_session_check(). */
extern const char *mr_pg_session_setup(void);

/* Whether a result of that query is as it must be; else the error says why the session must not be used. */
extern bool mr_pg_session_check(const PGconn *pg, const PGresult *result, MrPgError *error)
	__attribute__((warn_unused_result));

#endif
