/* What a PostgreSQL server says: errors as data, notices in the log. */
#ifndef MR_COMMON_PG_MESSAGE_H
#define MR_COMMON_PG_MESSAGE_H

#include <libpq-fe.h>
#include <stdbool.h>

/* Why a query or a connection failed; texts are "" when there is none. */
typedef struct MrPgError
{
	char sqlstate[6];
	char message[512];
	char hint[256];
	bool is_of_parameter; /* the text of a parameter is no value of its type */
} MrPgError;

extern void mr_pg_error_set(MrPgError *error, const char *sqlstate, const char *message,
							const char *hint);
extern void mr_pg_error_from_result(MrPgError *error, const PGresult *result);

/* A notice receiver of libpq: logs at debug level; arg is the name of the connection. */
extern void mr_pg_log_notice(void *arg, const PGresult *result);

#endif
