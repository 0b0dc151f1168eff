/*
 * Routes whose answer is one JSON text that one statement gives. Those that show or change what belongs to a pipeline's
 * owner run as the role of --operate-dsn, and only when that is given.
 */
#ifndef MR_API_DOCUMENT_H
#define MR_API_DOCUMENT_H

#include <libpq-fe.h>

#include "api/request/exchange.h"

#define MR_DOCUMENT_VALUES_MAX 16

typedef struct MrDocument
{
	const char *name; /* of the prepared statement */
	/* One row: the text (no row or NULL: there is no such thing), and of a page the value of `next`, or NULL. */
	const char *sql;
	bool operates;
	MrProblem absent;
	const char *next; /* the parameter that leads to the next page; NULL: there are no pages */
	bool records;     /* it changes something: the last parameter is who does, for the records */
	/* Another way to answer with the row. False: it is answered as it is. NULL: always. */
	bool (*settle)(MrExchange *exchange, const PGresult *result);
	const char *absent_hint; /* NULL: that of the problem */
} MrDocument;

/*
 * The beginning of a statement that changes something: the records of the extension have the session's application_name.
 * What follows reads from `recorded`, so that it is set before.
 */
#define MR_RECORDED(parameter)                                                                     \
	"WITH recorded AS MATERIALIZED (SELECT pg_catalog.set_config('application_name', " parameter   \
	", true))"

/* Runs the statement and answers; a request that cannot have this document is refused. */
extern void mr_document_ask(MrExchange *exchange, const MrDocument *document, int count,
							const char *const *values);
/* Answers with a text, which is emptied; with 304 and no text when the client has the one of that entity tag. */
extern void mr_document_answer(MrExchange *exchange, const char *type, MrBuffer *body,
							   const char *tag);
/* Refuses a request with any parameter. */
extern bool mr_document_has_no_params(MrExchange *exchange);

#endif
