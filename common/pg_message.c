#include "common/pg_message.h"

#include <stdio.h>

#include "common/log.h"

void
mr_pg_error_set(MrPgError *error, const char *sqlstate, const char *message, const char *hint)
{
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", sqlstate);
	snprintf(error->message, sizeof(error->message), "%s", message);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
}

void
mr_pg_error_from_result(MrPgError *error, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	mr_pg_error_set(error, state ? state : "", message ? message : PQresultErrorMessage(result),
					hint ? hint : "");
}

void
mr_pg_log_notice(void *arg, const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	mr_log(MR_LOG_DEBUG, "notice from the server", MR_STR("connection", arg),
		   MR_STR("notice", message ? message : ""));
}
