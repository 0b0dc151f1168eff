/*
 * dry_run.c: millrace.dry_run(): what the outcome of these events would be, without any effect.
 *
 * Runs in the caller's session, which must be the pipeline's owner: the transform is the owner's SQL and must
 * not run with anybody else's rights (restricted.h). Everything happens in a subtransaction that is always rolled back.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "server/restricted.h"
#include "server/xact.h"
#include "pipeline/pipeline.h"
#include "program/header_list.h"
#include "program/program.h"
#include "program/unread.h"
#include "run/lane_reader.h"
#include "engine/engine.h"
#include "engine/process.h"

enum
{
	COLUMN_SAMPLE,
	COLUMN_PARTITION,
	COLUMN_OFFSET,
	COLUMN_OUTCOME,
	COLUMN_ROWS,
	COLUMN_STAGE,
	COLUMN_SQLSTATE,
	COLUMN_MESSAGE,
	COLUMN_DETAIL,
	COLUMN_HINT,
	COLUMN_UNREAD,
	COLUMN_DOCUMENT,
	NCOLUMNS
};

/* What the samples have besides their payload: arguments key, headers, topic and time. */
static void
take_around(FunctionCallInfo fcinfo, MrBatch *batch, MrEventRelation *relation)
{
	bytea *key = PG_ARGISNULL(3) ? NULL : PG_GETARG_BYTEA_P_COPY(3);
	bytea *headers = PG_ARGISNULL(4) ? NULL : mr_headers_pack(PG_GETARG_JSONB_P(4));

	for (int i = 0; i < batch->nevents; i++)
	{
		batch->events[i].key = key;
		batch->events[i].headers = headers;
		if (!PG_ARGISNULL(6) && !TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(6)))
			batch->events[i].kafka_ts = mr_timestamp_to_unix_ms(PG_GETARG_TIMESTAMPTZ(6));
	}
	if (!PG_ARGISNULL(5))
		relation->topics = mr_topics_single(text_to_cstring(PG_GETARG_TEXT_PP(5)));
}

static void
take_samples(MrBatch *batch, ArrayType *samples)
{
	Datum *elements;
	bool *nulls;
	int n;

	deconstruct_array(samples, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		MrEvent *event = mr_batch_add_event(batch);

		event->offset = i;
		event->kafka_ts = -1;
		if (!nulls[i])
			event->payload =
				(bytea *) PG_DETOAST_DATUM_COPY(elements[i]); /* text and bytea are alike */
	}
}

/* Events that wait in staging, whatever their epoch; they stay where they are. */
static void
take_staged(MrBatch *batch, int32 pipeline_id, int n)
{
	for (int i = 0; mr_shared != NULL && i < mr_shared->lanes_used && batch->nevents < n; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->database == MyDatabaseId && lane->pipeline_id == pipeline_id)
			(void) mr_lane_read(lane, pipeline_id, batch, n, PG_INT64_MAX);
	}
	batch->nevents = Min(batch->nevents, n);
}

/* The rows an event gave, as a jsonb array of objects; NULL when it gave none. */
static Datum
rows_of(MrProgram *program, MrBatch *batch, int event, bool *isnull)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);
	TupleDesc desc = BlessTupleDesc(CreateTupleDescCopy(program->row_visible));
	Datum result = DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"));

	*isnull = true;
	for (int i = 0; i < batch->nrows; i++)
	{
		MrRow *row = &batch->rows[i];
		HeapTuple tuple;
		Datum object;

		if (row->event != event || row->dropped)
			continue;
		ExecStoreMinimalTuple(row->tuple, slot, false);
		slot_getallattrs(slot);
		for (int k = 0; row->deletes && k < program->ncolumns; k++)
			slot->tts_isnull[k] = slot->tts_isnull[k] || !program->columns[k].is_key;
		tuple = heap_form_tuple(desc, slot->tts_values, slot->tts_isnull);
		object = OidFunctionCall1(F_ROW_TO_JSON_RECORD, heap_copy_tuple_as_datum(tuple, desc));
		object = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(object)));
		result = DirectFunctionCall2(jsonb_concat, result, object);
		*isnull = false;
	}
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* Whether what it has done is to delete. */
static bool
deletes_only(const MrBatch *batch, int event)
{
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].event == event && batch->rows[i].written && !batch->rows[i].deletes)
			return false;
	return true;
}

static void
put_result(ReturnSetInfo *result, MrProgram *program, MrBatch *batch, int i, int sample)
{
	MrEvent *event = &batch->events[i];
	MrFailure *failure = event->outcome.failure;
	ArrayType *unread;
	Datum values[NCOLUMNS] = {0};
	bool nulls[NCOLUMNS] = {false};

	values[COLUMN_SAMPLE] = Int32GetDatum(sample);
	values[COLUMN_PARTITION] =
		Int32GetDatum(mr_topics_place(program->definition->topics, event->partition).partition);
	values[COLUMN_OFFSET] = Int64GetDatum(event->offset);
	values[COLUMN_OUTCOME] =
		CStringGetTextDatum(event->outcome.state == MR_WRITTEN && deletes_only(batch, i)
								? "deleted"
								: mr_outcome_name(event->outcome.state));
	nulls[COLUMN_ROWS] = true;
	if (event->outcome.state == MR_WRITTEN)
		values[COLUMN_ROWS] = rows_of(program, batch, i, &nulls[COLUMN_ROWS]);
	for (int column = COLUMN_STAGE; column < NCOLUMNS; column++)
		nulls[column] = true;
	if (event->document > 0)
	{
		nulls[COLUMN_DOCUMENT] = false;
		values[COLUMN_DOCUMENT] = Int32GetDatum(event->document);
	}
	unread = mr_unread_of(program->event, event);
	if (unread != NULL)
	{
		nulls[COLUMN_UNREAD] = false;
		values[COLUMN_UNREAD] = PointerGetDatum(unread);
	}
	if (failure != NULL)
	{
		const char *texts[] = {mr_stage_name(failure->stage), unpack_sql_state(failure->sqlstate),
							   failure->message, failure->detail, failure->hint};

		for (int k = 0; k < lengthof(texts); k++)
		{
			nulls[COLUMN_STAGE + k] = texts[k] == NULL;
			if (texts[k] != NULL)
				values[COLUMN_STAGE + k] = CStringGetTextDatum(pstrdup(texts[k]));
		}
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static bool
process(void *engine)
{
	mr_engine_process(engine);
	return false; /* everything is rolled back */
}

PG_FUNCTION_INFO_V1(mr_dry_run);

/*
 * millrace.dry_run(pipeline text, samples text[], staged integer, key millrace.payload, headers jsonb, topic text,
 *   "time" timestamptz) RETURNS TABLE (sample integer,
 *   partition integer, "offset" bigint, outcome text, rows jsonb, stage text, sqlstate text, message text,
 *   detail text, hint text, unread text[], document integer)
 */
Datum
mr_dry_run(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MrPace pace;
	MrEngine engine = {.pace = &pace};
	MrPipelineRow pipeline;
	char *name;
	int sample = 0;
	int nest;
	MrRestricted before;

	mr_pace_init(&pace);
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("pipeline is null"),
						errhint("Name the pipeline to try.")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	mr_pipeline_row_by_name(name, &pipeline);
	mr_pipeline_check_owner(&pipeline, "dry_run");
	before = mr_restrict();
	engine.pipeline_id = pipeline.id;
	engine.context = CurrentMemoryContext;
	engine.batch = mr_batch_create(CurrentMemoryContext);
	nest = NewGUCNestLevel();
	mr_engine_prepare(&engine, &pipeline);
	if (!PG_ARGISNULL(1))
	{
		MemoryContext old = MemoryContextSwitchTo(engine.batch->context);

		take_samples(engine.batch, PG_GETARG_ARRAYTYPE_P(1));
		take_around(fcinfo, engine.batch, engine.program->event);
		MemoryContextSwitchTo(old);
	}
	else
		take_staged(engine.batch, pipeline.id, PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2));
	if (engine.batch->nevents > 0)
		(void) mr_subtransaction(process, &engine);
	/* shown with the settings they were made with */
	for (int i = 0; i < engine.batch->nevents; i++)
	{
		sample += engine.batch->events[i].document <= 1 ? 1 : 0;
		put_result(result, engine.program, engine.batch, i, sample);
	}
	AtEOXact_GUC(false, nest);
	mr_program_free(engine.program);
	mr_unrestrict(&before);
	return (Datum) 0;
}
