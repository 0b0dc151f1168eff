#include "api/resource/query_problem.h"

#include "api/request/sse.h"
#include "common/log.h"

static void report_of_rows(MrProblemReport *report, MrQueryFailure failure, const MrPgError *error,
						   const char *path);
static MrSharedText *event_of(const MrProblemReport *report);
static const char *hint_for(const MrPgError *error);
static MrProblem problem_of(MrQueryFailure failure, const char *sqlstate);

void
mr_query_problem(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error)
{
	MrProblemReport report;

	mr_query_report(&report, failure, error, exchange->path);
	mr_exchange_problem(exchange, &report);
}

void
mr_rows_problem(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error)
{
	MrProblemReport report;

	report_of_rows(&report, failure, error, exchange->path);
	mr_exchange_problem(exchange, &report);
}

void
mr_query_report(MrProblemReport *report, MrQueryFailure failure, const MrPgError *error,
				const char *path)
{
	static const MrPgError none = {"", "", ""};
	const MrPgError *found = error != NULL ? error : &none;
	const char *sqlstate = found->sqlstate;
	MrProblem problem = problem_of(failure, sqlstate);
	bool is_of_client = problem == MR_PROBLEM_VALUE;

	*report = (MrProblemReport){
		.problem = problem,
		.sqlstate = sqlstate,
		.detail = is_of_client ? found->message : NULL,
		.hint = is_of_client ? hint_for(found) : NULL,
		.instance = path,
	};
	if (failure == MR_QUERY_ERROR && !is_of_client)
		mr_query_log(path, found);
}

void
mr_query_log(const char *path, const MrPgError *error)
{
	mr_log(MR_LOG_WARN, "a query failed", MR_STR("path", path), MR_STR("sqlstate", error->sqlstate),
		   MR_STR("error", error->message), MR_STR("hint", error->hint));
}

MrSharedText *
mr_query_problem_event(MrQueryFailure failure, const MrPgError *error, const char *path)
{
	MrProblemReport report;

	mr_query_report(&report, failure, error, path);
	return event_of(&report);
}

MrSharedText *
mr_rows_problem_event(MrQueryFailure failure, const MrPgError *error, const char *path)
{
	MrProblemReport report;

	report_of_rows(&report, failure, error, path);
	return event_of(&report);
}

/* What an expression of a view, or a value that does not fit it, says is an error of the relation's, which the log has. */
static void
report_of_rows(MrProblemReport *report, MrQueryFailure failure, const MrPgError *error,
			   const char *path)
{
	mr_query_report(report, failure, error, path);
	if (report->problem != MR_PROBLEM_VALUE || error->is_of_parameter)
		return;
	report->problem = MR_PROBLEM_INTERNAL;
	report->detail = report->hint = NULL;
	mr_query_log(path, error);
}

static MrSharedText *
event_of(const MrProblemReport *report)
{
	MrBuffer text = {0};
	MrBuffer event = {0};

	mr_problem_write(&text, report);
	mr_sse_event(&event, "problem", NULL, text.data, text.len - 1);
	mr_buffer_free(&text);
	return mr_shared_text_new(&event);
}

/* Of a time the server says that its own settings may be others, which is nothing that a client can do. */
static const char *
hint_for(const MrPgError *error)
{
	if (strcmp(error->sqlstate, "22007") == 0 || strcmp(error->sqlstate, "22008") == 0)
		return "Write a time as 2026-01-31T12:00:00Z, and + in a query string as %2B: there + is a "
			   "space.";
	return error->hint[0] != '\0' ? error->hint : NULL;
}

/* As PostgREST maps them, but 40001 and 40P01, which may work at the next try, and 57014. */
static MrProblem
problem_of(MrQueryFailure failure, const char *sqlstate)
{
	static const struct
	{
		const char *prefix;
		MrProblem problem;
	} map[] = {
		{"22", MR_PROBLEM_VALUE},    {"53", MR_PROBLEM_BUSY},     {"40", MR_PROBLEM_BUSY},
		{"55P03", MR_PROBLEM_BUSY},  {"42", MR_PROBLEM_RELATION}, {"0A", MR_PROBLEM_RELATION},
		{"26", MR_PROBLEM_RELATION},
	};

	switch (failure)
	{
		case MR_QUERY_LOST:
			return MR_PROBLEM_DATABASE;
		case MR_QUERY_TIMEOUT:
			return MR_PROBLEM_TIMEOUT;
		case MR_QUERY_BUSY:
			return MR_PROBLEM_BUSY;
		case MR_QUERY_OK:
		case MR_QUERY_ERROR:
			break;
	}
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (strncmp(sqlstate, map[i].prefix, strlen(map[i].prefix)) == 0)
			return map[i].problem;
	return MR_PROBLEM_INTERNAL;
}
