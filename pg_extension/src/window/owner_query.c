/*
 * owner_query.c: see owner_query.h. Runs in sessions of the verbs and of readers, and in workers that fold.
 */
#include "window/owner_query.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "pipeline/pipeline.h"
#include "program/plan.h"

void
mr_owner_query_run(const MrOwnerQuery *query, DestReceiver *dest)
{
	MrPipelineRow pipeline;
	MrDefinition *definition;
	MrPlan *plan;
	Oid user;
	int context;
	int nest;

	if (!mr_pipeline_row_by_id(query->pipeline_id, &pipeline))
		elog(ERROR, "there is no pipeline %d", query->pipeline_id);
	definition = mr_definition_load(pipeline.id, pipeline.version);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(pipeline.owner,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	mr_definition_pin(definition);
	plan = mr_plan_create(query->sql, query->relation, query->desc, query->desc, InvalidOid, NULL,
						  NULL);
	mr_plan_set_path(plan, "pg_catalog, pg_temp");
	mr_plan_set_snapshot(plan, query->snapshot);
	(void) mr_plan_run(plan, query->rows, query->nrows, dest);
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
}
