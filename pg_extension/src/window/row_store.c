/*
 * row_store.c: see row_store.h. Runs in workers and, rolled back, in the sessions of dry_run().
 *
 * A tuplestore forms a tuple of each row and takes it apart for each reader. Here a row is an array of the values that are
 * kept, with what they point to behind it: rows are written one after another and read in that order.
 */
#include "window/row_store.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "server/guc.h"

#define CHUNK_BYTES (64 * 1024)
#define LARGE_BYTES (CHUNK_BYTES / 8) /* such a value has memory of its own */

typedef struct StoredRow
{
	struct StoredRow *next;
	Datum values
		[FLEXIBLE_ARRAY_MEMBER]; /* of the columns that are kept; their null flags behind them */
} StoredRow;

struct MrRowStore
{
	TupleDesc full;
	int nkept;
	int *kept;             /* columns, from 0; the number is the first */
	MemoryContext context; /* of the rows */
	char *free;            /* in the last chunk */
	Size nfree;
	Size bytes;
	StoredRow *first;
	StoredRow *last;
	StoredRow *at; /* the next one to be read */
	int nrows;
	Tuplestorestate *rest; /* rows for which there is no room; NULL: not between begin and end */
	int nrest;
	TupleTableSlot *slot; /* for these */
	Datum *values;        /* the same */
	bool *nulls;
};

MrRowStore *
mr_row_store_create(TupleDesc full)
{
	MrRowStore *store = palloc0(sizeof(MrRowStore));

	store->full = full;
	store->kept = palloc(full->natts * sizeof(int));
	store->kept[store->nkept++] = full->natts - 1;
	store->values = palloc0(full->natts * sizeof(Datum));
	store->nulls = palloc0(full->natts * sizeof(bool));
	return store;
}

void
mr_row_store_use(MrRowStore *store, int column)
{
	for (int i = 0; i < store->nkept; i++)
		if (store->kept[i] == column)
			return;
	store->kept[store->nkept++] = column;
}

void
mr_row_store_begin(MrRowStore *store)
{
	store->context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace window rows", ALLOCSET_DEFAULT_SIZES);
	store->rest = tuplestore_begin_heap(false, false, work_mem);
	store->slot = MakeSingleTupleTableSlot(store->full, &TTSOpsMinimalTuple);
	store->nrest = 0;
	mr_row_store_clear(store);
}

void
mr_row_store_end(MrRowStore *store)
{
	ExecDropSingleTupleTableSlot(store->slot);
	tuplestore_end(store->rest);
	MemoryContextDelete(store->context);
	store->rest = NULL;
	store->context = NULL;
}

void
mr_row_store_clear(MrRowStore *store)
{
	ExecClearTuple(store->slot);
	MemoryContextReset(store->context);
	store->first = store->last = store->at = NULL;
	store->nfree = store->bytes = 0;
	store->nrows = 0;
	if (store->nrest > 0)
		tuplestore_clear(store->rest);
	store->nrest = 0;
}

static void *
take(MrRowStore *store, Size size)
{
	char *place;

	size = MAXALIGN(size);
	store->bytes += size;
	if (size > LARGE_BYTES)
		return MemoryContextAllocHuge(store->context, size);
	if (size > store->nfree)
	{
		store->free = MemoryContextAlloc(store->context, CHUNK_BYTES);
		store->nfree = CHUNK_BYTES;
	}
	place = store->free;
	store->free += size;
	store->nfree -= size;
	return place;
}

static Datum
keep(MrRowStore *store, Datum value, int16 length)
{
	const char *from = DatumGetPointer(value);
	char *to;
	Size size;

	if (length == -1 && VARATT_IS_EXTERNAL_EXPANDED(from))
	{
		ExpandedObjectHeader *expanded = DatumGetEOHP(value);

		size = EOH_get_flat_size(expanded);
		to = take(store, size);
		EOH_flatten_into(expanded, to, size);
		return PointerGetDatum(to);
	}
	size = length > 0 ? (Size) length : length == -1 ? VARSIZE_ANY(from) : strlen(from) + 1;
	to = take(store, size);
	memcpy(to, from, size);
	return PointerGetDatum(to);
}

static void
put_rest(MrRowStore *store, const Datum *values, const bool *nulls, const int *places, int number)
{
	int last = store->full->natts - 1;

	memset(store->nulls, true, store->full->natts * sizeof(bool));
	for (int i = 1; i < store->nkept; i++)
	{
		int column = store->kept[i];
		int from = places != NULL ? places[column] : column;

		store->values[column] = values[from];
		store->nulls[column] = nulls[from];
	}
	store->values[last] = Int32GetDatum(number);
	store->nulls[last] = false;
	tuplestore_putvalues(store->rest, store->full, store->values, store->nulls);
	store->nrest++;
}

void
mr_row_store_put(MrRowStore *store, const Datum *values, const bool *nulls, const int *places,
				 int number)
{
	StoredRow *row;
	bool *isnull;

	store->nrows++;
	if (unlikely(store->nrest > 0 || store->bytes >= (Size) mr_batch_memory_kb * 1024))
	{
		put_rest(store, values, nulls, places, number);
		return;
	}
	row = take(store, offsetof(StoredRow, values) + store->nkept * (sizeof(Datum) + sizeof(bool)));
	isnull = (bool *) &row->values[store->nkept];
	row->next = NULL;
	row->values[0] = Int32GetDatum(number);
	isnull[0] = false;
	for (int i = 1; i < store->nkept; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(store->full, store->kept[i]);
		int from = places != NULL ? places[store->kept[i]] : store->kept[i];

		isnull[i] = nulls[from];
		row->values[i] = isnull[i] || attribute->attbyval
							 ? values[from]
							 : keep(store, values[from], attribute->attlen);
	}
	if (store->last != NULL)
		store->last->next = row;
	else
		store->first = row;
	store->last = row;
}

TupleDesc
mr_row_store_columns(const MrRowStore *store)
{
	return store->full;
}

int
mr_row_store_rows(const MrRowStore *store)
{
	return store->nrows;
}

void
mr_row_store_rewind(MrRowStore *store)
{
	store->at = store->first;
	if (store->nrest > 0)
		tuplestore_rescan(store->rest);
}

/* A tuple that is read from disk is in the current memory context until the next one is read. */
static bool
next_of_rest(MrRowStore *store, Datum *values, bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(store->context);
	bool found = store->nrest > 0 && tuplestore_gettupleslot(store->rest, true, false, store->slot);

	if (found)
		slot_getallattrs(store->slot);
	MemoryContextSwitchTo(old);
	for (int i = 0; found && i < store->nkept; i++)
	{
		values[store->kept[i]] = store->slot->tts_values[store->kept[i]];
		nulls[store->kept[i]] = store->slot->tts_isnull[store->kept[i]];
	}
	return found;
}

bool
mr_row_store_next(MrRowStore *store, Datum *values, bool *nulls)
{
	const StoredRow *row = store->at;
	const bool *isnull;

	if (row == NULL)
		return next_of_rest(store, values, nulls);
	isnull = (const bool *) &row->values[store->nkept];
	store->at = row->next;
	for (int i = 0; i < store->nkept; i++)
	{
		values[store->kept[i]] = row->values[i];
		nulls[store->kept[i]] = isnull[i];
	}
	return true;
}
