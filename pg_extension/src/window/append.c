/*
 * append.c: see append.h. Runs in workers, and in the sessions of the verbs.
 */
#include "window/append.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/compat.h"
#include "server/row_receiver.h"

#define BUFFERED_ROWS  1000
#define BUFFERED_BYTES (1024 * 1024)

enum /* columns of the rows that come in, from 0 */
{
	WINDOW_START,
	WINDOW_END,
	N
};

enum /* columns of the partial table, from 0 */
{
	STREAM,
	SEQ,
	ROWS,
	PARTITIONS,
	HIGHS,
	RETRIED,
	SINCE,
	NPARTIAL
};

/* Of the partitions that the batch moves; both NULL when there is none. */
static void
put_highs(const MrEventTime *time, Datum *values, bool *nulls)
{
	const MrBatch *batch = time->batch;
	Datum *partitions = palloc(Max(batch->npartitions, 1) * sizeof(Datum));
	Datum *highs = palloc(Max(batch->npartitions, 1) * sizeof(Datum));
	int n = 0;

	for (int i = 0; i < batch->npartitions; i++)
		if (!TIMESTAMP_IS_NOBEGIN(time->highs[i]))
		{
			partitions[n] = Int32GetDatum(batch->partitions[i].partition);
			highs[n++] = TimestampTzGetDatum(time->highs[i]);
		}
	nulls[PARTITIONS] = nulls[HIGHS] = n == 0;
	if (n == 0)
		return;
	values[PARTITIONS] =
		PointerGetDatum(construct_array(partitions, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[HIGHS] = PointerGetDatum(construct_array(highs, n, TIMESTAMPTZOID, sizeof(TimestampTz),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Of events that are tried again: since when those of a partition have failed. They are no retries any more; a fold that leaves these rows for later takes the
 * partition for held, as it was before them. Those of a lane are none.
 */
static void
put_retried(const MrBatch *batch, Datum *values, bool *nulls)
{
	Datum *partitions;
	Datum *since;
	int n = 0;

	nulls[RETRIED] = nulls[SINCE] = true;
	if (batch->nstaged > 0)
		return;
	partitions = palloc(Max(batch->nevents, 1) * sizeof(Datum));
	since = palloc(Max(batch->nevents, 1) * sizeof(Datum));
	for (int i = 0; i < batch->nevents; i++)
	{
		const MrEvent *event = &batch->events[i];

		if (event->retry == NULL || event->retry->replay_of != 0)
			continue;
		partitions[n] = Int32GetDatum(event->partition);
		since[n++] = TimestampTzGetDatum(event->retry->first_failed_at);
	}
	if (n == 0)
		return;
	nulls[RETRIED] = nulls[SINCE] = false;
	values[RETRIED] =
		PointerGetDatum(construct_array(partitions, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[SINCE] = PointerGetDatum(construct_array(since, n, TIMESTAMPTZOID, sizeof(TimestampTz),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* time: goes with them; NULL: nothing. */
static void
flush_to_partial(MrAppend *append, const MrEventTime *time)
{
	Oid type = RelationGetForm(append->folded)->reltype;
	Datum *elements = palloc(Max(append->ntuples, 1) * sizeof(Datum));
	Datum values[NPARTIAL];
	bool nulls[NPARTIAL] = {false};

	for (int i = 0; i < append->ntuples; i++)
		elements[i] = PointerGetDatum(append->tuples[i]->t_data);
	values[STREAM] = Int32GetDatum(append->stream);
	values[SEQ] = Int64GetDatum(append->seq);
	values[ROWS] = PointerGetDatum(
		construct_array(elements, append->ntuples, type, -1, false, TYPALIGN_DOUBLE));
	nulls[PARTITIONS] = nulls[HIGHS] = nulls[RETRIED] = nulls[SINCE] = true;
	if (time != NULL)
	{
		put_highs(time, values, nulls);
		put_retried(time->batch, values, nulls);
	}
	CatalogTupleInsert(append->partial,
					   heap_form_tuple(RelationGetDescr(append->partial), values, nulls));
}

/* The table has a partial index, which CatalogTupleInsert() would not respect. */
static void
flush_to_folded(MrAppend *append)
{
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(append->folded), &TTSOpsHeapTuple);
	ResultRelInfo *result = makeNode(ResultRelInfo);
	EState *estate = CreateExecutorState();

	InitResultRelInfo(result, append->folded, 0, NULL, 0);
	ExecOpenIndices(result, false);
	for (int i = 0; i < append->ntuples; i++)
	{
		simple_heap_insert(append->folded, append->tuples[i]);
		ExecStoreHeapTuple(append->tuples[i], slot, false);
		list_free(mr_insert_index_tuples(result, slot, estate));
		ResetPerTupleExprContext(estate);
	}
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	ExecDropSingleTupleTableSlot(slot);
}

static void
flush(MrAppend *append, const MrEventTime *time)
{
	MemoryContext memory;
	MemoryContext old;

	if (append->ntuples == 0 && time == NULL)
		return;
	CHECK_FOR_INTERRUPTS();
	memory = AllocSetContextCreate(append->context, "millrace append", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(memory);
	if (append->partial != NULL)
		flush_to_partial(append, time);
	else
		flush_to_folded(append);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(memory);
	for (int i = 0; i < append->ntuples; i++)
		heap_freetuple(append->tuples[i]);
	append->rows += append->ntuples;
	append->ntuples = 0;
	append->bytes = 0;
}

/* Of fold 0: it is merged with nothing before the next compaction of its window. */
static HeapTuple
make_tuple(MrAppend *append, TupleTableSlot *slot)
{
	TupleDesc desc = RelationGetDescr(append->folded);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple tuple;

	values[0] = Int64GetDatum(0);
	nulls[0] = false;
	memcpy(values + 1, slot->tts_values, (desc->natts - 1) * sizeof(Datum));
	memcpy(nulls + 1, slot->tts_isnull, (desc->natts - 1) * sizeof(bool));
	tuple = heap_form_tuple(desc, values, nulls);
	if (HeapTupleHasExternal(tuple)) /* not inside of an array */
	{
		HeapTuple flat = toast_flatten_tuple(tuple, desc);

		heap_freetuple(tuple);
		tuple = flat;
	}
	pfree(values);
	pfree(nulls);
	return tuple;
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	MrAppend *append = (MrAppend *) self;
	MemoryContext old;

	slot_getallattrs(slot);
	if (slot->tts_isnull[WINDOW_START])
	{
		append->outside += DatumGetInt64(slot->tts_values[N]);
		return true;
	}
	old = MemoryContextSwitchTo(
		append->context); /* that of the statement ends before the rest is flushed */
	if (append->ntuples == BUFFERED_ROWS || append->bytes >= BUFFERED_BYTES)
		flush(append, NULL);
	append->tuples[append->ntuples] = make_tuple(append, slot);
	append->bytes += append->tuples[append->ntuples++]->t_len;
	MemoryContextSwitchTo(old);
	return true;
}

void
mr_append_begin(MrAppend *append, int32 window_id)
{
	memset(append, 0, sizeof(*append));
	append->pub = mr_row_receiver(receive);
	append->context = CurrentMemoryContext;
	append->window_id = window_id;
	append->folded = mr_catalog_open(psprintf("_window_%d_folded", window_id), RowExclusiveLock);
	append->tuples = palloc(BUFFERED_ROWS * sizeof(HeapTuple));
}

void
mr_append_begin_partial(MrAppend *append, int32 window_id, int32 stream, int64 seq,
						const MrEventTime *time)
{
	mr_append_begin(append, window_id);
	append->partial = mr_catalog_open(psprintf("_window_%d_partial", window_id), RowExclusiveLock);
	append->stream = stream;
	append->seq = seq;
	append->time = time;
}

static void
count_outside(MrAppend *append)
{
	Relation rel = mr_catalog_open("window_outside", RowExclusiveLock);
	Datum values[MR_OUTSIDE_NATTS];
	bool nulls[MR_OUTSIDE_NATTS] = {false};

	values[MR_OUTSIDE_WINDOW_ID - 1] = Int32GetDatum(append->window_id);
	values[MR_OUTSIDE_ROWS - 1] = Int64GetDatum(append->outside);
	values[MR_OUTSIDE_SKEWED - 1] = Int64GetDatum(append->skewed);
	values[MR_OUTSIDE_LATE - 1] = Int64GetDatum(0); /* the fold knows */
	values[MR_OUTSIDE_NOT_RECOMPUTED - 1] = Int64GetDatum(0);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

void
mr_append_end(MrAppend *append)
{
	flush(append, append->time);
	append->skewed = append->time != NULL ? append->time->skewed : 0;
	if (append->partial != NULL)
		table_close(append->partial, NoLock);
	table_close(append->folded, NoLock);
	if (append->outside > 0 || append->skewed > 0)
		count_outside(append);
	pfree(append->tuples);
	CommandCounterIncrement();
}
