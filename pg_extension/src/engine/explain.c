/*
 * explain.c: what millrace.explain() runs: the plan of a query that has the pipeline's transform in it.
 *
 * Planning runs functions of the pipeline's owner, and so does EXPLAIN ANALYZE: in the caller's session, which must be the
 * owner, and keeps to it (restricted.h).
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "server/restricted.h"
#include "server/single.h"

/* The lines of the plan, one a row. */
static void
put_lines(ReturnSetInfo *result)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum line = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		tuplestore_putvalues(result->setResult, result->setDesc, &line, &isnull);
	}
}

PG_FUNCTION_INFO_V1(mr_explain_query);

/* millrace.explain_query(query text, "analyze" boolean, path text) RETURNS SETOF text */
Datum
mr_explain_query(PG_FUNCTION_ARGS)
{
	char *query = psprintf("EXPLAIN %s%s", PG_GETARG_BOOL(1) ? "(ANALYZE, BUFFERS) " : "",
						   text_to_cstring(PG_GETARG_TEXT_PP(0)));
	MrRestricted before;
	int nest;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	before = mr_restrict();
	nest = NewGUCNestLevel();
	(void) set_config_option("search_path", text_to_cstring(PG_GETARG_TEXT_PP(2)), PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	mr_check_single(query);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(query, false, 0) != SPI_OK_UTILITY || SPI_tuptable == NULL)
		elog(ERROR, "EXPLAIN gave no plan");
	put_lines((ReturnSetInfo *) fcinfo->resultinfo);
	SPI_finish();
	AtEOXact_GUC(false, nest);
	mr_unrestrict(&before);
	return (Datum) 0;
}
