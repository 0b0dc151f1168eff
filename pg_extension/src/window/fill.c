/*
 * fill.c: millrace._window_fill(): the partial values of rows that the target has already.
 *
 * What the user's expressions give is appended to the window's table without asking the pipeline's owner for privileges.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "window/append.h"
#include "window/owner_query.h"

#define ANY_NUMBER INT_MAX /* of rows: a plan for many */

PG_FUNCTION_INFO_V1(mr_sql_window_fill);

/*
 * millrace._window_fill(pipeline_id integer, query text, window_id integer) RETURNS bigint
 * query: gives rows of the window's state from window_start on, run as the pipeline's owner and with the settings of its
 * definition, as batches are. It sees what the caller's statement sees: a rebuild takes away the partial values
 * of just these rows. Returns how many were appended.
 */
Datum
mr_sql_window_fill(PG_FUNCTION_ARGS)
{
	MrOwnerQuery query = {.pipeline_id = PG_GETARG_INT32(0),
						  .sql = text_to_cstring(PG_GETARG_TEXT_PP(1)),
						  .relation = "written",
						  .nrows = ANY_NUMBER,
						  .snapshot = GetActiveSnapshot()};
	MrAppend append;

	mr_append_begin(&append, PG_GETARG_INT32(2), 0);
	mr_owner_query_run(&query, &append.pub);
	mr_append_end(&append);
	PG_RETURN_INT64(append.rows);
}
