/* See pg_session.h. */
#include "common/pg_session.h"

#include <stddef.h>
#include <stdlib.h>

/*
 * A half-open connection would hold its lane for two hours without the keepalives; a session that
 * hangs inside a transaction is ended after ten seconds. statement_timeout bounds a COPY whose
 * sender was stopped in the middle.
 */
static const char setup_sql[] =
	"SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; "
	"SET idle_in_transaction_session_timeout = '10s'; "
	"SET statement_timeout = '120s'; SET lock_timeout = 0; SET tcp_keepalives_idle = 10; "
	"SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000; "
	"SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SELECT pg_catalog.pg_backend_pid()";

/* What the user's DSN may override stands before it, what it may not stands behind. */
PGconn *
mr_pg_session_start(const char *dsn, char *application)
{
	const char *const keys[] = {"keepalives_idle",  "keepalives_interval",
								"keepalives_count", "tcp_user_timeout",
								"dbname",           "application_name",
								"client_encoding",  NULL};
	const char *const values[] = {"10", "5", "3", "10000", dsn, application, "UTF8", NULL};
	PGconn *pg = PQconnectStartParams(keys, values, 1);

	if (pg != NULL)
		PQsetNoticeReceiver(pg, mr_pg_log_notice, application);
	return pg;
}

const char *
mr_pg_session_setup(void)
{
	return setup_sql;
}

bool
mr_pg_session_check(const PGconn *pg, const PGresult *result, MrPgError *error)
{
	if (PQresultStatus(result) == PGRES_COMMAND_OK)
		return true;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		mr_pg_error_from_result(error, result);
		return false;
	}
	if (atoi(PQgetvalue(result, 0, 0)) == PQbackendPID(pg))
		return true;
	mr_pg_error_set(error, "0A000", "a connection pooler sits between this program and the server",
					"Connect to PostgreSQL itself: lanes are bound to their session.");
	return false;
}
