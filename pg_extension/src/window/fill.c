/*
 * fill.c: millrace._window_fill(): the partial values of rows that the target has already.
 *
 * The user's expressions run as the pipeline's owner, in a restricted context; what they give is appended to the
 * window's table without asking that role for privileges.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "pipeline/pipeline.h"
#include "program/plan.h"
#include "window/append.h"

#define ANY_NUMBER INT_MAX /* of rows: a plan for many */

PG_FUNCTION_INFO_V1(mr_sql_window_fill);

/*
 * millrace._window_fill(pipeline_id integer, query text, window_id integer) RETURNS bigint
 * query: gives rows of the window's state from window_start on, run as the pipeline's owner and with the settings of its
 * definition, as batches are. Returns how many were appended.
 */
Datum
mr_sql_window_fill(PG_FUNCTION_ARGS)
{
	int32 pipeline_id = PG_GETARG_INT32(0);
	char *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32 window_id = PG_GETARG_INT32(2);
	MrPipelineRow pipeline;
	MrDefinition *definition;
	MrAppend append;
	MrPlan *plan;
	Oid user;
	int context;
	int nest;

	if (!mr_pipeline_row_by_id(pipeline_id, &pipeline))
		elog(ERROR, "there is no pipeline %d", pipeline_id);
	definition = mr_definition_load(pipeline.id, pipeline.version);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(pipeline.owner,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	mr_definition_pin(definition);
	plan = mr_plan_create(query, "written", NULL, NULL, InvalidOid, NULL, NULL);
	mr_plan_set_path(plan, "pg_catalog, pg_temp");
	mr_append_begin(&append, window_id);
	(void) mr_plan_run(plan, NULL, ANY_NUMBER, &append.pub);
	mr_append_end(&append);
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	PG_RETURN_INT64(append.rows);
}
