/*
 * What can go wrong with a request, as the client sees it: one table of codes, each with its status, title and hint.
 * Documents are RFC 9457 (application/problem+json). Codes never change their meaning: MR-1xx the request, MR-2xx who
 * sends it, MR-3xx limits, MR-4xx what is not there, MR-5xx this service and what it stands on.
 */
#ifndef MR_API_PROBLEM_H
#define MR_API_PROBLEM_H

#include "common/buffer.h"

typedef enum MrProblem
{
	MR_PROBLEM_NONE,
	MR_PROBLEM_REQUEST_LINE,
	MR_PROBLEM_TARGET,
	MR_PROBLEM_FIELD,
	MR_PROBLEM_HOST,
	MR_PROBLEM_BODY_LENGTH,
	MR_PROBLEM_CHUNK,
	MR_PROBLEM_CODING,
	MR_PROBLEM_VERSION,
	MR_PROBLEM_PARAMETER,
	MR_PROBLEM_VALUE,
	MR_PROBLEM_CURSOR,
	MR_PROBLEM_FILTER,
	MR_PROBLEM_ACCEPT,
	MR_PROBLEM_METHOD,
	MR_PROBLEM_MEDIA_TYPE,
	MR_PROBLEM_EXPECT,
	MR_PROBLEM_MISDIRECTED,
	MR_PROBLEM_BODY,
	MR_PROBLEM_VERB,
	MR_PROBLEM_STATE,
	MR_PROBLEM_IN_FLIGHT,
	MR_PROBLEM_OTHER_BODY,
	MR_PROBLEM_CONTENT_CODING,
	MR_PROBLEM_CODED_BODY,
	MR_PROBLEM_NO_LENGTH,
	MR_PROBLEM_KEY,
	MR_PROBLEM_NO_OPERATE,
	MR_PROBLEM_CROSS_SITE,
	MR_PROBLEM_PRIVILEGE,
	MR_PROBLEM_SCOPE,
	MR_PROBLEM_HEAD_LARGE,
	MR_PROBLEM_TARGET_LONG,
	MR_PROBLEM_BODY_LARGE,
	MR_PROBLEM_SLOW,
	MR_PROBLEM_RATE,
	MR_PROBLEM_WRONG_KEYS,
	MR_PROBLEM_ROUTE,
	MR_PROBLEM_NO_EVENT,
	MR_PROBLEM_NO_PIPELINE,
	MR_PROBLEM_NO_LETTER,
	MR_PROBLEM_NO_STREAM,
	MR_PROBLEM_GONE,
	MR_PROBLEM_NO_WINDOW,
	MR_PROBLEM_DATABASE,
	MR_PROBLEM_TIMEOUT,
	MR_PROBLEM_BUSY,
	MR_PROBLEM_RELATION,
	MR_PROBLEM_INTERNAL,
	MR_PROBLEM_KAFKA,
	MR_PROBLEM_UNKNOWN_OUTCOME,
	MR_PROBLEM_KAFKA_END,
	MR_PROBLEM_COUNT
} MrProblem;

typedef struct MrProblemReport
{
	MrProblem problem;
	const char *detail;   /* what was found; NULL: nothing to add */
	const char *hint;     /* how to fix it; NULL: the one of the table */
	const char *sqlstate; /* NULL or "": none */
	const char *instance; /* path of the request; NULL: unknown */
	const char *trace_id; /* NULL: it belongs to none */
} MrProblemReport;

extern int mr_problem_status(MrProblem problem);
/* Such as MR-101. */
extern const char *mr_problem_code(MrProblem problem);
/* Writes the document. */
extern void mr_problem_write(MrBuffer *out, const MrProblemReport *report);

#endif
