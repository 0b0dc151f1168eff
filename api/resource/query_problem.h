/* What a query that gave no rows means to the client. */
#ifndef MR_API_QUERY_PROBLEM_H
#define MR_API_QUERY_PROBLEM_H

#include "api/database/pool.h"
#include "api/control/shared_text.h"
#include "api/request/exchange.h"

/*
 * Answers by the SQLSTATE (error may be NULL). The server's text is shown only where it is about what the client sent
 * (class 22); the others are logged.
 */
extern void mr_query_problem(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error);
/*
 * The same of a query for rows of the user's relation, where only what is said of a parameter is about what the client sent: the
 * text of another error may have values of rows that are not shown.
 */
extern void mr_rows_problem(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error);
/* The report that it answers with, of a request for that path; its texts are the error's and the path's. */
extern void mr_query_report(MrProblemReport *report, MrQueryFailure failure, const MrPgError *error,
							const char *path);
/* Logs an error whose text is not for the client. */
extern void mr_query_log(const char *path, const MrPgError *error);
/* The report as a server-sent event named problem, for streams of that path. */
extern MrSharedText *mr_query_problem_event(MrQueryFailure failure, const MrPgError *error,
											const char *path);
/* The same of rows. */
extern MrSharedText *mr_rows_problem_event(MrQueryFailure failure, const MrPgError *error,
										   const char *path);

#endif
