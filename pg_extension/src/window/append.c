/*
 * append.c: see append.h. Runs in workers, and in the sessions of the verbs.
 */
#include "window/append.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
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
#include "server/index_entries.h"
#include "server/row_receiver.h"

#define BUFFERED_ROWS  1000
#define BUFFERED_BYTES (1024 * 1024)

struct MrAppendTable
{
	EState *estate;
	ResultRelInfo *result;
	MrIndexEntries entries;
	TupleTableSlot *slots[BUFFERED_ROWS];
};

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
	NEWEST,
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
	TimestampTz newest = DT_NOBEGIN;
	int n = 0;

	nulls[RETRIED] = nulls[SINCE] = nulls[NEWEST] = true;
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
		since[n++] = TimestampTzGetDatum(event->retry->entered_at);
		newest = Max(newest, event->retry->entered_at);
	}
	if (n == 0)
		return;
	nulls[RETRIED] = nulls[SINCE] = nulls[NEWEST] = false;
	values[NEWEST] = TimestampTzGetDatum(newest);
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
	Datum *elements = palloc(Max(append->nbuffered, 1) * sizeof(Datum));
	Datum values[NPARTIAL];
	bool nulls[NPARTIAL] = {false};

	for (int i = 0; i < append->nbuffered; i++)
		elements[i] = PointerGetDatum(append->buffered[i].tuple->t_data);
	values[STREAM] = Int32GetDatum(append->stream);
	values[SEQ] = Int64GetDatum(append->seq);
	values[ROWS] = PointerGetDatum(
		construct_array(elements, append->nbuffered, type, -1, false, TYPALIGN_DOUBLE));
	nulls[PARTITIONS] = nulls[HIGHS] = nulls[RETRIED] = nulls[SINCE] = nulls[NEWEST] = true;
	if (time != NULL)
	{
		put_highs(time, values, nulls);
		put_retried(time->batch, values, nulls);
	}
	CatalogTupleInsert(append->partial,
					   heap_form_tuple(RelationGetDescr(append->partial), values, nulls));
	for (int i = 0; i < append->nbuffered; i++)
		heap_freetuple(append->buffered[i].tuple);
}

/* Tuples that are put into slots are freed with them. */
static void
open_table(MrAppend *append)
{
	MemoryContext old = MemoryContextSwitchTo(append->context);
	MrAppendTable *table = palloc0(sizeof(MrAppendTable));
	/* a thousand slots that count as users of the table's own were to be remembered one by one */
	TupleDesc desc = CreateTupleDescCopy(RelationGetDescr(append->folded));

	for (int i = 0; i < BUFFERED_ROWS; i++)
		table->slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	table->estate = CreateExecutorState();
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, append->folded, 0, NULL, 0);
	ExecOpenIndices(table->result, false);
	mr_index_entries_begin(&table->entries, table->result, table->estate);
	append->table = table;
	MemoryContextSwitchTo(old);
}

static void
close_table(MrAppendTable *table)
{
	ExecCloseIndices(table->result);
	FreeExecutorState(table->estate);
	for (int i = 0; i < BUFFERED_ROWS; i++)
		ExecDropSingleTupleTableSlot(table->slots[i]);
	pfree(table);
}

static int
compare_starts(const void *a, const void *b)
{
	TimestampTz x = ((const MrAppendRow *) a)->start;
	TimestampTz y = ((const MrAppendRow *) b)->start;

	return x < y ? -1 : x > y;
}

/* The first row of each window stays with the fold. */
static void
sort_rows(MrAppend *append)
{
	qsort(append->buffered, append->nbuffered, sizeof(MrAppendRow), compare_starts);
	for (int i = 1; i < append->nbuffered; i++)
		if (append->buffered[i].start == append->buffered[i - 1].start)
			*(int64 *) GETSTRUCT(append->buffered[i].tuple) = 0; /* its first column, never null */
}

static void
flush_to_folded(MrAppend *append)
{
	TupleTableSlot **slots;

	if (append->table == NULL)
		open_table(append);
	slots = append->table->slots;
	sort_rows(append);
	for (int i = 0; i < append->nbuffered; i++)
		ExecStoreHeapTuple(append->buffered[i].tuple, slots[i], true);
	table_multi_insert(append->folded, slots, append->nbuffered, GetCurrentCommandId(true), 0,
					   NULL);
	for (int i = 0; i < append->nbuffered; i++)
		mr_index_entries_add(&append->table->entries, slots[i]);
	mr_index_entries_release(&append->table->entries);
	ResetPerTupleExprContext(append->table->estate);
	for (int i = 0; i < append->nbuffered; i++)
		ExecClearTuple(slots[i]);
}

static void
flush(MrAppend *append, const MrEventTime *time)
{
	MemoryContext memory;
	MemoryContext old;

	if (append->nbuffered == 0 && time == NULL)
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
	append->rows += append->nbuffered;
	append->nbuffered = 0;
	append->bytes = 0;
}

static HeapTuple
make_tuple(MrAppend *append, TupleTableSlot *slot)
{
	TupleDesc desc = RelationGetDescr(append->folded);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple tuple;

	values[0] = Int64GetDatum(append->fold);
	nulls[0] = false;
	memcpy(values + 1, slot->tts_values, (desc->natts - 1) * sizeof(Datum));
	memcpy(nulls + 1, slot->tts_isnull, (desc->natts - 1) * sizeof(bool));
	tuple = heap_form_tuple(desc, values, nulls);
	if (HeapTupleHasExternal(tuple)) /* not inside of an array */
	{
		HeapTuple flat = toast_flatten_tuple(tuple, desc);

		/* in PostgreSQL 15.18 it has the head of the other one, in which an array finds its length */
		HeapTupleHeaderSetDatumLength(flat->t_data, flat->t_len);
		heap_freetuple(tuple);
		tuple = flat;
	}
	pfree(values);
	pfree(nulls);
	return tuple;
}

/* Values of another form than a column's would be read as what they are not. */
static void
check_columns(MrAppend *append, TupleDesc given)
{
	TupleDesc desc = RelationGetDescr(append->folded);

	if (given->natts != desc->natts - 1)
		elog(ERROR, "window %d has %d columns, given are %d", append->window_id, desc->natts - 1,
			 given->natts);
	for (int i = 0; i < given->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i + 1);

		if (TupleDescAttr(given, i)->attlen != column->attlen ||
			TupleDescAttr(given, i)->attbyval != column->attbyval)
			elog(ERROR, "column \"%s\" of window %d is given another type",
				 NameStr(column->attname), append->window_id);
	}
	append->checked = true;
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	MrAppend *append = (MrAppend *) self;
	MrAppendRow *row;
	MemoryContext old;

	if (!append->checked)
		check_columns(append, slot->tts_tupleDescriptor);
	slot_getallattrs(slot);
	if (slot->tts_isnull[WINDOW_START])
	{
		append->outside += DatumGetInt64(slot->tts_values[N]);
		return true;
	}
	old = MemoryContextSwitchTo(
		append->context); /* that of the statement ends before the rest is flushed */
	if (append->nbuffered == BUFFERED_ROWS || append->bytes >= BUFFERED_BYTES)
		flush(append, NULL);
	row = &append->buffered[append->nbuffered++];
	row->start = DatumGetTimestampTz(slot->tts_values[WINDOW_START]);
	row->tuple = make_tuple(append, slot);
	append->bytes += row->tuple->t_len;
	append->lowest = Min(append->lowest, row->start);
	append->first_end = Min(append->first_end, DatumGetTimestampTz(slot->tts_values[WINDOW_END]));
	MemoryContextSwitchTo(old);
	return true;
}

void
mr_append_begin(MrAppend *append, int32 window_id, int64 fold)
{
	memset(append, 0, sizeof(*append));
	append->pub = mr_row_receiver(receive);
	append->context = CurrentMemoryContext;
	append->window_id = window_id;
	append->folded = mr_catalog_open(psprintf("_window_%d_folded", window_id), RowExclusiveLock);
	append->fold = fold;
	append->lowest = append->first_end = DT_NOEND;
	append->buffered = palloc(BUFFERED_ROWS * sizeof(MrAppendRow));
}

void
mr_append_begin_partial(MrAppend *append, int32 window_id, int32 stream, int64 seq,
						const MrEventTime *time)
{
	mr_append_begin(append, window_id, 0);
	append->partial = mr_catalog_open(psprintf("_window_%d_partial", window_id), RowExclusiveLock);
	append->stream = stream;
	append->seq = seq;
	append->time = time;
}

/* With the number of the partial row of the batch, which is there whatever its rows are in: so it is folded with that. */
static void
count_outside(MrAppend *append)
{
	Relation rel = mr_catalog_open("window_outside", RowExclusiveLock);
	Datum values[MR_OUTSIDE_NATTS];
	bool nulls[MR_OUTSIDE_NATTS] = {false};

	values[MR_OUTSIDE_WINDOW_ID - 1] = Int32GetDatum(append->window_id);
	values[MR_OUTSIDE_STREAM - 1] = Int32GetDatum(append->stream);
	values[MR_OUTSIDE_SEQ - 1] = Int64GetDatum(append->seq);
	values[MR_OUTSIDE_ROWS - 1] = Int64GetDatum(append->outside);
	values[MR_OUTSIDE_SKEWED - 1] = Int64GetDatum(append->skewed);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

void
mr_append_end(MrAppend *append)
{
	flush(append, append->time);
	if (append->table != NULL)
		close_table(append->table);
	append->skewed = append->time != NULL ? append->time->skewed : 0;
	if (append->partial != NULL)
	{
		table_close(append->partial, NoLock);
		if (append->outside > 0 || append->skewed > 0)
			count_outside(append);
	}
	table_close(append->folded, NoLock);
	pfree(append->buffered);
	CommandCounterIncrement();
}
