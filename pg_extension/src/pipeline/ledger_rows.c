/*
 * ledger_rows.c: see ledger_rows.h.
 */
#include "pipeline/ledger_rows.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type_d.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "server/catalog.h"

#define ENTRIES_PER_ROW                                                                            \
	21 /* so that two versions of a row fit into a page: it is updated in place */
#define UPDATES_PER_ROW 20

#define HISTORY_ROWS   5 /* whose partitions get rows of progress in one batch */
#define HISTORY_AGE_MS 1000

/* The integers of an entry; sql/10_pipeline_tables.sql and 46_pipeline_views.sql know them too. */
enum
{
	VALUE_PARTITION,
	VALUE_EPOCH,
	VALUE_SEQ,
	VALUE_NEXT_OFFSET,
	VALUE_LAST_OFFSET,
	VALUE_LAST_TS,
	VALUE_LAST_CRC,
	VALUE_EVENTS,
	VALUE_WRITTEN,
	VALUE_FILTERED,
	VALUE_SUPERSEDED,
	VALUE_SKIPPED,
	VALUE_DEAD,
	VALUE_RETRYING,
	VALUE_ROWS,
	VALUE_BYTES,
	VALUE_SETTLED_AT,
	VALUE_MOVED,
	VALUE_FAILED,
	VALUE_RETRIED,
	VALUE_DEAD_LETTERED,
	VALUE_REPLAYED,
	VALUE_PARKED,
	NVALUES
};

MrLedgerEntry *
mr_ledger_find(const MrLedger *ledger, int32 partition)
{
	int low = 0;
	int high = ledger->n - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;
		int32 found = ledger->entries[middle].state.partition;

		if (found == partition)
			return &ledger->entries[middle];
		if (found < partition)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

/* One column of the ledger's table. */
static int64
column_of(const Datum *values, int column)
{
	return DatumGetInt64(values[column - 1]);
}

static void
read_entry(const int64 *values, MrLedgerEntry *entry)
{
	MrPartition *p = &entry->state;

	memset(entry, 0, sizeof(*entry));
	p->partition = (int32) values[VALUE_PARTITION];
	p->epoch = values[VALUE_EPOCH];
	p->seek_ts = -1;
	p->seq = values[VALUE_SEQ];
	p->next_offset = values[VALUE_NEXT_OFFSET];
	p->last_offset = values[VALUE_LAST_OFFSET];
	p->last_ts = values[VALUE_LAST_TS];
	p->last_crc = values[VALUE_LAST_CRC];
	p->total.events = values[VALUE_EVENTS];
	p->total.written = values[VALUE_WRITTEN];
	p->total.filtered = values[VALUE_FILTERED];
	p->total.superseded = values[VALUE_SUPERSEDED];
	p->total.skipped = values[VALUE_SKIPPED];
	p->total.dead = values[VALUE_DEAD];
	p->total.retrying = values[VALUE_RETRYING];
	p->total.rows = values[VALUE_ROWS];
	p->total.bytes = values[VALUE_BYTES];
	p->settled_at = values[VALUE_SETTLED_AT];
	entry->moved = values[VALUE_MOVED] != 0;
	p->total.failed = values[VALUE_FAILED];
	p->total.retried = values[VALUE_RETRIED];
	p->total.dead_lettered = values[VALUE_DEAD_LETTERED];
	p->total.replayed = values[VALUE_REPLAYED];
	p->total.parked = values[VALUE_PARKED];
}

static void
put_entry(const MrLedgerEntry *entry, int64 *values)
{
	const MrPartition *p = &entry->state;

	values[VALUE_PARTITION] = p->partition;
	values[VALUE_EPOCH] = p->epoch;
	values[VALUE_SEQ] = p->seq;
	values[VALUE_NEXT_OFFSET] = p->next_offset;
	values[VALUE_LAST_OFFSET] = p->last_offset;
	values[VALUE_LAST_TS] = p->last_ts;
	values[VALUE_LAST_CRC] = p->last_crc;
	values[VALUE_EVENTS] = p->total.events;
	values[VALUE_WRITTEN] = p->total.written;
	values[VALUE_FILTERED] = p->total.filtered;
	values[VALUE_SUPERSEDED] = p->total.superseded;
	values[VALUE_SKIPPED] = p->total.skipped;
	values[VALUE_DEAD] = p->total.dead;
	values[VALUE_RETRYING] = p->total.retrying;
	values[VALUE_ROWS] = p->total.rows;
	values[VALUE_BYTES] = p->total.bytes;
	values[VALUE_SETTLED_AT] = p->settled_at;
	values[VALUE_MOVED] = entry->moved ? 1 : 0;
	values[VALUE_FAILED] = p->total.failed;
	values[VALUE_RETRIED] = p->total.retried;
	values[VALUE_DEAD_LETTERED] = p->total.dead_lettered;
	values[VALUE_REPLAYED] = p->total.replayed;
	values[VALUE_PARKED] = p->total.parked;
}

/* Appends a row and its entries to what was read. */
static void
take_row(MrLedger *ledger, HeapTuple tuple, TupleDesc desc)
{
	MrLedgerRow *row = &ledger->rows[ledger->nrows++];
	Datum values[MR_LEDGER_NATTS];
	bool nulls[MR_LEDGER_NATTS];
	ArrayType *array;

	heap_deform_tuple(tuple, desc, values, nulls);
	array = DatumGetArrayTypeP(values[MR_LEDGER_ENTRIES - 1]);
	memset(row, 0, sizeof(*row));
	row->exists = true;
	row->tid = tuple->t_self;
	row->seq = column_of(values, MR_LEDGER_SEQ);
	row->updates = DatumGetInt32(values[MR_LEDGER_UPDATES - 1]);
	row->appended_at = column_of(values, MR_LEDGER_APPENDED_AT);
	row->first = ledger->n;
	row->count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) / NVALUES;
	for (int i = 0; i < row->count; i++)
		read_entry((int64 *) ARR_DATA_PTR(array) + i * NVALUES, &ledger->entries[ledger->n++]);
}

void
mr_ledger_load(MrLedger *ledger)
{
	MrCatalogReader reader;
	ScanKeyData keys[3];
	int nrows = 1;

	mr_key_int4(&keys[0], MR_LEDGER_PIPELINE_ID, ledger->pipeline_id);
	mr_key_int4(&keys[1], MR_LEDGER_LANE, ledger->lane_id);
	mr_key_int4(&keys[2], MR_LEDGER_NUMBER, 0);
	mr_catalog_reader_open(&reader, "ledger", "ledger_pkey", 3, keys, true);
	ledger->nrows = ledger->n = 0;
	for (int i = 0; i < nrows; i++)
	{
		HeapTuple tuple;

		keys[2].sk_argument = Int32GetDatum(i);
		tuple = mr_catalog_reader_fetch(&reader, keys);
		if (tuple == NULL && i == 0)
			break; /* it has never had one */
		if (tuple == NULL)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("row %d of %d of the ledger of lane %d is missing", i, nrows,
								   ledger->lane_id)));
		if (i == 0)
		{
			bool isnull;

			nrows = DatumGetInt32(
				heap_getattr(tuple, MR_LEDGER_ROWS, RelationGetDescr(reader.rel), &isnull));
			ledger->rows = palloc(nrows * sizeof(MrLedgerRow));
			ledger->entries = palloc(nrows * ENTRIES_PER_ROW * sizeof(MrLedgerEntry));
		}
		take_row(ledger, tuple, RelationGetDescr(reader.rel));
	}
	mr_catalog_reader_close(&reader);
}

static int
compare_entries(const void *a, const void *b)
{
	int32 left = ((const MrLedgerEntry *) a)->state.partition;
	int32 right = ((const MrLedgerEntry *) b)->state.partition;

	return left < right ? -1 : left > right;
}

void
mr_ledger_arrange(MrLedger *ledger)
{
	int nrows = Max((ledger->n + ENTRIES_PER_ROW - 1) / ENTRIES_PER_ROW, 1);
	int max = Max(nrows, ledger->nrows);
	MrLedgerRow *rows = palloc0(max * sizeof(MrLedgerRow));

	qsort(ledger->entries, ledger->n, sizeof(MrLedgerEntry), compare_entries);
	if (ledger->nrows > 0)
		memcpy(rows, ledger->rows, ledger->nrows * sizeof(MrLedgerRow));
	for (int i = 0; i < max; i++)
	{
		rows[i].changed = true;
		rows[i].first = Min(i * ENTRIES_PER_ROW, ledger->n);
		rows[i].count = Min(ENTRIES_PER_ROW, ledger->n - rows[i].first);
	}
	ledger->rows = rows;
	ledger->nrows = max; /* mr_ledger_write() removes those without entries */
}

/* Puts a row into those of at most HISTORY_ROWS that have waited longest, which are in this order. */
static int
add_due(MrLedgerRow **due, int n, MrLedgerRow *row)
{
	int at = n;

	while (at > 0 && due[at - 1]->appended_at > row->appended_at)
		at--;
	if (at == HISTORY_ROWS)
		return n;
	n = Min(n + 1, HISTORY_ROWS);
	memmove(&due[at + 1], &due[at], (n - 1 - at) * sizeof(MrLedgerRow *));
	due[at] = row;
	return n;
}

/* Appends progress of the partitions of some rows that are to be written. */
static void
append_history(MrLedger *ledger, int nrows, TimestampTz now)
{
	MrLedgerRow *due[HISTORY_ROWS];
	MrPartition moved[HISTORY_ROWS * ENTRIES_PER_ROW];
	int ndue = 0;
	int n = 0;

	for (int i = 0; i < nrows; i++)
	{
		MrLedgerRow *row = &ledger->rows[i];

		if (row->changed && TimestampDifferenceExceeds(row->appended_at, now, HISTORY_AGE_MS))
			ndue = add_due(due, ndue, row);
	}
	for (int d = 0; d < ndue; d++)
	{
		due[d]->appended_at = now;
		for (int i = due[d]->first; i < due[d]->first + due[d]->count; i++)
		{
			MrLedgerEntry *entry = &ledger->entries[i];

			if (!entry->moved)
				continue;
			entry->moved = false;
			entry->state.seq++;
			moved[n++] = entry->state;
		}
	}
	if (n > 0)
		mr_partitions_append(ledger->pipeline_id, moved, n);
}

static HeapTuple
form_row(const MrLedger *ledger, const MrLedgerRow *row, int number, int nrows, TupleDesc desc)
{
	Datum values[MR_LEDGER_NATTS];
	bool nulls[MR_LEDGER_NATTS] = {false};
	int count = row->count * NVALUES;
	Size bytes = ARR_OVERHEAD_NONULLS(1) + count * sizeof(int64);
	ArrayType *array = palloc0(bytes);

	SET_VARSIZE(array, bytes);
	array->ndim = 1;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = count;
	ARR_LBOUND(array)[0] = 1;
	for (int i = 0; i < row->count; i++)
		put_entry(&ledger->entries[row->first + i], (int64 *) ARR_DATA_PTR(array) + i * NVALUES);
	values[MR_LEDGER_PIPELINE_ID - 1] = Int32GetDatum(ledger->pipeline_id);
	values[MR_LEDGER_LANE - 1] = Int32GetDatum(ledger->lane_id);
	values[MR_LEDGER_NUMBER - 1] = Int32GetDatum(number);
	values[MR_LEDGER_SEQ - 1] = Int64GetDatum(row->seq);
	values[MR_LEDGER_ROWS - 1] = Int32GetDatum(nrows);
	values[MR_LEDGER_UPDATES - 1] = Int32GetDatum(row->updates);
	values[MR_LEDGER_APPENDED_AT - 1] = TimestampTzGetDatum(row->appended_at);
	values[MR_LEDGER_ENTRIES - 1] =
		PointerGetDatum(count > 0 ? array : construct_empty_array(INT8OID));
	return heap_form_tuple(desc, values, nulls);
}

/* In place while the row was updated seldom, else a new row in its place. */
static void
write_row(MrLedger *ledger, int number, int nrows, Relation rel, CatalogIndexState indexes,
		  TimestampTz now)
{
	MrLedgerRow *row = &ledger->rows[number];
	HeapTuple tuple;

	if (row->exists && row->updates < UPDATES_PER_ROW)
	{
		row->updates++;
		tuple = form_row(ledger, row, number, nrows, RelationGetDescr(rel));
		CatalogTupleUpdateWithInfo(rel, &row->tid, tuple, indexes);
	}
	else
	{
		if (row->exists)
			CatalogTupleDelete(rel, &row->tid);
		row->seq = Max(row->seq + 1, now); /* above those of rows removed earlier */
		row->updates = 0;
		tuple = form_row(ledger, row, number, nrows, RelationGetDescr(rel));
		CatalogTupleInsertWithInfo(rel, tuple, indexes);
	}
	heap_freetuple(tuple);
}

void
mr_ledger_write(MrLedger *ledger)
{
	Relation rel = mr_catalog_open("ledger", RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(rel);
	TimestampTz now = GetCurrentTimestamp();
	int nrows = ledger->nrows;

	while (nrows > 1 && ledger->rows[nrows - 1].count == 0)
		nrows--;
	if (nrows != ledger->nrows)
		ledger->rows[0].changed = true; /* it says how many there are */
	append_history(ledger, nrows, now);
	for (int i = 0; i < nrows; i++)
		if (ledger->rows[i].changed)
			write_row(ledger, i, nrows, rel, indexes, now);
	for (int i = nrows; i < ledger->nrows; i++)
		if (ledger->rows[i].exists)
			CatalogTupleDelete(rel, &ledger->rows[i].tid);
	ledger->nrows = nrows;
	CatalogCloseIndexes(indexes);
	table_close(rel, RowExclusiveLock);
}
