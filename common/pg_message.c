#include "common/pg_message.h"

#include <stdio.h>

#include "common/log.h"

void
mr_pg_error_from_result(MrPgError *error, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	*error = (MrPgError){0};
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", state ? state : "");
	snprintf(error->message, sizeof(error->message), "%s",
			 message ? message : PQresultErrorMessage(result));
	snprintf(error->hint, sizeof(error->hint), "%s", hint ? hint : "");
}

void
mr_pg_log_notice(void *arg, const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	mr_log(MR_LOG_DEBUG, "notice from the server", MR_STR("connection", arg),
		   MR_STR("notice", message ? message : ""));
}
