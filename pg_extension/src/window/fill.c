/*
 * fill.c: millrace._window_fill(): the partial values of rows that the target has already.
 *
 * What the user's expressions give is appended to the window's table without asking the pipeline's owner for privileges.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "window/append.h"
#include "window/owner_query.h"

#define ANY_NUMBER INT_MAX /* of rows: a plan for many */

PG_FUNCTION_INFO_V1(mr_sql_window_fill);

/*
 * millrace._window_fill(pipeline_id integer, query text, window_id integer, OUT rows bigint, OUT outside bigint)
 * query: gives rows of the window's state from window_start on, run as the pipeline's owner and with the settings of its
 * definition, as batches are. It sees what the caller's statement sees: a rebuild takes away the partial values
 * of just these rows. Out: how many were appended, and how many rows of the target are in no window.
 */
Datum
mr_sql_window_fill(PG_FUNCTION_ARGS)
{
	MrOwnerQuery query = {.pipeline_id = PG_GETARG_INT32(0),
						  .sql = text_to_cstring(PG_GETARG_TEXT_PP(1)),
						  .relation = "written",
						  .nrows = ANY_NUMBER,
						  .snapshot = GetActiveSnapshot()};
	TupleDesc desc;
	Datum values[2];
	bool nulls[2] = {false};
	MrAppend append;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	mr_append_begin(&append, PG_GETARG_INT32(2), 0);
	mr_owner_query_run(&query, &append.pub);
	mr_append_end(&append);
	values[0] = Int64GetDatum(append.rows);
	values[1] = Int64GetDatum(append.outside);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
