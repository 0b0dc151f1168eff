/*
 * session_settings.c: millrace.session_settings(): what a pipeline's SQL runs with, for those who want to try it in a session
 * of their own, as explain() does.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "pipeline/pipeline.h"

static void
put(ReturnSetInfo *result, const char *name, const char *setting)
{
	Datum values[2] = {CStringGetTextDatum(name), CStringGetTextDatum(setting)};
	bool nulls[2] = {false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(mr_session_settings);

/* millrace.session_settings(pipeline text) RETURNS TABLE (name text, setting text) */
Datum
mr_session_settings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MrPipelineRow pipeline;
	MrDefinition *definition;
	const char *name;
	const char *setting;

	InitMaterializedSRF(fcinfo, 0);
	mr_pipeline_row_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), &pipeline);
	definition = mr_definition_load(pipeline.id, pipeline.version);
	for (int i = 0; mr_reading_setting(&definition->reading, i, &name, &setting); i++)
		put(result, name, setting);
	put(result, "search_path", definition->search_path);
	return (Datum) 0;
}
