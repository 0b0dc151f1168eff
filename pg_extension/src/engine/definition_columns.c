/*
 * definition_columns.c: millrace.input_fields() and millrace.output_columns(): what a pipeline reads of a payload, and what its
 * transform gives beside what its target takes.
 *
 * Both run in the caller's session, which must be the pipeline's owner, and keep to it (restricted.h): reading the definition may run
 * functions.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "server/restricted.h"
#include "engine/engine.h"
#include "pipeline/pipeline.h"
#include "program/column_fit.h"
#include "program/program.h"

typedef void (*PutRows)(const MrProgram *program, ReturnSetInfo *result);

static Datum rows_of_program(FunctionCallInfo fcinfo, const char *function, PutRows put);
static void put_fields(const MrProgram *program, ReturnSetInfo *result);
static Datum path_of(const MrField *field);
static void put_columns(const MrProgram *program, ReturnSetInfo *result);
static Datum text_or_null(const char *string, bool *isnull);

PG_FUNCTION_INFO_V1(mr_input_fields);
PG_FUNCTION_INFO_V1(mr_output_columns);

/* millrace.input_fields(pipeline text) RETURNS TABLE (name text, type text, required boolean, path text[]) */
Datum
mr_input_fields(PG_FUNCTION_ARGS)
{
	return rows_of_program(fcinfo, "input_fields", put_fields);
}

/*
 * millrace.output_columns(pipeline text) RETURNS TABLE (name text, given text, type text, severity text, code text,
 *   problem text, hint text)
 */
Datum
mr_output_columns(PG_FUNCTION_ARGS)
{
	return rows_of_program(fcinfo, "output_columns", put_columns);
}

static Datum
rows_of_program(FunctionCallInfo fcinfo, const char *function, PutRows put)
{
	MrPace pace;
	MrEngine engine = {.pace = &pace};
	MrPipelineRow pipeline;
	MrRestricted before;
	int nest;

	mr_pace_init(&pace);
	InitMaterializedSRF(fcinfo, 0);
	mr_pipeline_row_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), &pipeline);
	mr_pipeline_check_owner(&pipeline, function);
	engine.pipeline_id = pipeline.id;
	engine.context = CurrentMemoryContext;
	before = mr_restrict();
	nest = NewGUCNestLevel();
	mr_engine_prepare(&engine, &pipeline);
	AtEOXact_GUC(false, nest);
	mr_unrestrict(&before);
	put(engine.program, (ReturnSetInfo *) fcinfo->resultinfo);
	mr_program_free(engine.program);
	return (Datum) 0;
}

static void
put_fields(const MrProgram *program, ReturnSetInfo *result)
{
	const MrFields *fields = program->event->fields;

	for (int i = 0; i < fields->count; i++)
	{
		const MrField *field = &fields->fields[i];
		bool nulls[4] = {false};
		Datum values[4] = {CStringGetTextDatum(field->name),
						   CStringGetTextDatum(
							   format_type_with_typemod(field->type_id, field->typmod)),
						   BoolGetDatum(field->not_null && !field->has_default), path_of(field)};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* As the operator #> takes it. */
static Datum
path_of(const MrField *field)
{
	Datum *steps = palloc(Max(field->step_count, 1) * sizeof(Datum));

	for (int i = 0; i < field->step_count; i++)
	{
		const MrPathStep *step = &field->steps[i];

		steps[i] = step->key != NULL
					   ? PointerGetDatum(cstring_to_text_with_len(step->key, step->key_length))
					   : CStringGetTextDatum(psprintf("%d", step->index));
	}
	return PointerGetDatum(
		construct_array(steps, field->step_count, TEXTOID, -1, false, TYPALIGN_INT));
}

static void
put_columns(const MrProgram *program, ReturnSetInfo *result)
{
	for (int i = 0; i < program->ncolumns; i++)
	{
		const MrColumn *column = &program->columns[i];
		MrMisfit misfit = {0};
		bool nulls[7] = {false};
		Datum values[7] = {CStringGetTextDatum(column->name),
						   CStringGetTextDatum(format_type_be(column->given.type_id)),
						   CStringGetTextDatum(
							   format_type_with_typemod(column->type_id, column->typmod))};

		(void) mr_column_misfit(&column->given, column->type_id, column->typmod, &misfit);
		values[3] = text_or_null(misfit.severity, &nulls[3]);
		values[4] = text_or_null(misfit.code, &nulls[4]);
		values[5] = text_or_null(misfit.problem, &nulls[5]);
		values[6] = text_or_null(misfit.hint, &nulls[6]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string != NULL ? CStringGetTextDatum(string) : (Datum) 0;
}
