#include "common/pg_message.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"

static bool names_parameter(const char *context);

void
mr_pg_error_set(MrPgError *error, const char *sqlstate, const char *message, const char *hint)
{
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", sqlstate);
	snprintf(error->message, sizeof(error->message), "%s", message);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
	error->is_of_parameter = false;
}

void
mr_pg_error_from_result(MrPgError *error, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

	mr_pg_error_set(error, state ? state : "", message ? message : PQresultErrorMessage(result),
					hint ? hint : "");
	error->is_of_parameter = context != NULL && names_parameter(context);
}

/* "unnamed portal parameter $1", in any language: what is said of a text that is bound (exec_bind_message() of 13 and later). */
static bool
names_parameter(const char *context)
{
	for (const char *at = strchr(context, '$'); at != NULL; at = strchr(at + 1, '$'))
		if (at[1] >= '1' && at[1] <= '9')
			return true;
	return false;
}

void
mr_pg_log_notice(void *arg, const PGresult *result)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	mr_log(MR_LOG_DEBUG, "notice from the server", MR_STR("connection", arg),
		   MR_STR("notice", message ? message : ""));
}
