/* single.h: SQL text of a caller that goes behind EXPLAIN, where it must be one statement. */
#ifndef MR_SINGLE_H
#define MR_SINGLE_H

#include "postgres.h"

#include "parser/parser.h"

/*
 * A second statement, such as FETCH, would give rows of any type, to be taken for text: its numbers for places in memory; or,
 * such as CREATE TABLE AS, count rows and give none. The functions may be called by everybody.
 */
static inline void
mr_check_single(const char *query)
{
	if (list_length(raw_parser(query, RAW_PARSE_DEFAULT)) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("query must be a single statement"),
						errhint("For the plan of a pipeline: SELECT millrace.explain('name');")));
}

#endif
