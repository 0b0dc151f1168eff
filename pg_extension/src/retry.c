/*
 * retry.c: see retry.h. Runs in workers; rows are read by worker 0 of a pipeline alone, written by all.
 */
#include "postgres.h"

#include "retry.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog.h"
#include "segment.h"

static bytea *
bytes_of(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : (bytea *) PG_DETOAST_DATUM_COPY(value);
}

static void
take(MrBatch *batch, HeapTuple tuple, TupleDesc desc)
{
	MrEvent *event = mr_batch_add_event(batch);
	MrPast *past = palloc0(sizeof(MrPast));
	bool isnull;

	event->partition = mr_catalog_int4(tuple, MR_RETRY_PARTITION, desc);
	event->offset = mr_catalog_int8(tuple, MR_RETRY_OFFSET, desc, 0);
	event->kafka_ts = mr_catalog_int8(tuple, MR_RETRY_KAFKA_TS, desc, 0);
	event->kind = DatumGetInt16(heap_getattr(tuple, MR_RETRY_KIND, desc, &isnull));
	event->key = bytes_of(tuple, MR_RETRY_KEY, desc);
	event->headers = bytes_of(tuple, MR_RETRY_HEADERS, desc);
	event->payload = bytes_of(tuple, MR_RETRY_PAYLOAD, desc);
	past->retry_id = mr_catalog_int8(tuple, MR_RETRY_ID, desc, 0);
	past->tid = tuple->t_self;
	past->replay_of = mr_catalog_int8(tuple, MR_RETRY_REPLAY_OF, desc, 0);
	past->attempts = mr_catalog_int4(tuple, MR_RETRY_ATTEMPTS, desc);
	past->first_failed_at = mr_catalog_int8(tuple, MR_RETRY_FIRST_FAILED_AT, desc, 0);
	past->next_at = mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, desc, 0);
	past->history = DatumGetJsonbPCopy(heap_getattr(tuple, MR_RETRY_HISTORY, desc, &isnull));
	event->past = past;
	if (event->payload != NULL)
		batch->bytes += VARSIZE_ANY_EXHDR(event->payload);
}

void
mr_retry_read_due(MrBatch *batch, int32 pipeline_id, int max, int64 max_bytes)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	Relation index = index_open(mr_catalog_oid("retry_due_idx"), AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_RETRY_PIPELINE_ID, pipeline_id);
	ScanKeyInit(&keys[1], MR_RETRY_NEXT_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
				TimestampTzGetDatum(GetCurrentTimestamp()));
	PushActiveSnapshot(GetLatestSnapshot());
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 2, keys);
	while (batch->nevents < max && batch->bytes < max_bytes &&
		   HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
		take(batch, tuple, RelationGetDescr(rel));
	systable_endscan_ordered(scan);
	PopActiveSnapshot();
	index_close(index, AccessShareLock);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
}

TimestampTz
mr_retry_next_due(int32 pipeline_id)
{
	Relation rel = mr_catalog_open("retry", AccessShareLock);
	TimestampTz due = PG_INT64_MAX;
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_int4(&key, MR_RETRY_PIPELINE_ID, pipeline_id);
	tuple = mr_catalog_fetch(rel, "retry_due_idx", 1, &key, false);
	if (HeapTupleIsValid(tuple))
	{
		due = mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, RelationGetDescr(rel), 0);
		heap_freetuple(tuple);
	}
	table_close(rel, AccessShareLock);
	return due;
}

static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = unconstify(char *, key);
	value.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) strlen(text);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

Datum
mr_retry_history(const MrEvent *event)
{
	JsonbParseState *state = NULL;
	Datum latest;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "at", timestamptz_to_str(GetCurrentTimestamp()));
	push_text(&state, "stage", mr_stage_name(event->failure->stage));
	push_text(&state, "sqlstate", unpack_sql_state(event->failure->sqlstate));
	push_text(&state, "message", event->failure->message);
	(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	latest = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
	if (event->past == NULL)
		return latest;
	return DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(event->past->history), latest);
}

static void
set_bytes(Datum *values, bool *nulls, int column, const bytea *bytes)
{
	nulls[column - 1] = bytes == NULL;
	values[column - 1] = PointerGetDatum(bytes);
}

static HeapTuple
form(const MrDefinition *definition, const MrEvent *event, TimestampTz next_at, TupleDesc desc)
{
	const MrPast *past = event->past;
	Datum values[MR_RETRY_NATTS];
	bool nulls[MR_RETRY_NATTS] = {false};

	values[MR_RETRY_ID - 1] = Int64GetDatum(
		past ? past->retry_id : nextval_internal(mr_catalog_oid("retry_id_seq"), false));
	values[MR_RETRY_PIPELINE_ID - 1] = Int32GetDatum(definition->pipeline_id);
	values[MR_RETRY_VERSION - 1] = Int32GetDatum(definition->version);
	values[MR_RETRY_TOPIC - 1] = CStringGetTextDatum(definition->topic);
	values[MR_RETRY_PARTITION - 1] = Int32GetDatum(event->partition);
	values[MR_RETRY_OFFSET - 1] = Int64GetDatum(event->offset);
	values[MR_RETRY_KAFKA_TS - 1] = Int64GetDatum(event->kafka_ts);
	values[MR_RETRY_KIND - 1] = Int16GetDatum(event->kind);
	values[MR_RETRY_ATTEMPTS - 1] = Int32GetDatum((past ? past->attempts : 0) + 1);
	values[MR_RETRY_NEXT_AT - 1] = TimestampTzGetDatum(next_at);
	values[MR_RETRY_FIRST_FAILED_AT - 1] =
		TimestampTzGetDatum(past ? past->first_failed_at : GetCurrentTimestamp());
	nulls[MR_RETRY_REPLAY_OF - 1] = past == NULL || past->replay_of == 0;
	values[MR_RETRY_REPLAY_OF - 1] = Int64GetDatum(past ? past->replay_of : 0);
	set_bytes(values, nulls, MR_RETRY_KEY, event->key);
	set_bytes(values, nulls, MR_RETRY_HEADERS, event->headers);
	set_bytes(values, nulls, MR_RETRY_PAYLOAD, event->payload);
	values[MR_RETRY_HISTORY - 1] = mr_retry_history(event);
	return heap_form_tuple(desc, values, nulls);
}

void
mr_retry_put(const MrDefinition *definition, const MrEvent *event, TimestampTz next_at)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	HeapTuple tuple = form(definition, event, next_at, RelationGetDescr(rel));

	if (event->past == NULL)
		CatalogTupleInsert(rel, tuple);
	else
	{
		ItemPointerData tid = event->past->tid;

		CatalogTupleUpdate(rel, &tid, tuple);
	}
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

void
mr_retry_remove(const MrEvent *event)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	ItemPointerData tid = event->past->tid;

	CatalogTupleDelete(rel, &tid);
	table_close(rel, NoLock);
}
