/*
 * append.c: see append.h. Runs in workers, and in the sessions of the verbs.
 */
#include "window/append.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "executor/executor.h"
#include "miscadmin.h"

#include "server/catalog.h"
#include "server/compat.h"

#define BUFFERED_ROWS 500

enum /* columns of the rows that come in */
{
	WINDOW_START = 0,
	WINDOW_END,
	N
};

static void
nothing(DestReceiver *self)
{
}

static void
start(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
flush(MrAppend *append)
{
	if (append->nslots == 0)
		return;
	table_multi_insert(append->table, append->slots, append->nslots, append->command, 0,
					   append->bulk);
	for (int i = 0; i < append->nslots; i++)
	{
		list_free(mr_insert_index_tuples(append->result, append->slots[i], append->estate));
		ExecClearTuple(append->slots[i]);
	}
	append->rows += append->nslots;
	append->nslots = 0;
	CHECK_FOR_INTERRUPTS();
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	MrAppend *append = (MrAppend *) self;
	TupleTableSlot *to;
	MemoryContext old;
	int n = RelationGetDescr(append->table)->natts - append->nkeys;

	slot_getallattrs(slot);
	if (slot->tts_isnull[WINDOW_START])
	{
		append->outside += DatumGetInt64(slot->tts_values[N]);
		return true;
	}
	old = MemoryContextSwitchTo(
		append->context); /* that of the statement ends before the rest is flushed */
	if (append->slots[append->nslots] == NULL)
		append->slots[append->nslots] = table_slot_create(append->table, NULL);
	to = append->slots[append->nslots];
	ExecClearTuple(to);
	memcpy(to->tts_values, append->keys, append->nkeys * sizeof(Datum));
	memset(to->tts_isnull, false, append->nkeys * sizeof(bool));
	memcpy(to->tts_values + append->nkeys, slot->tts_values, n * sizeof(Datum));
	memcpy(to->tts_isnull + append->nkeys, slot->tts_isnull, n * sizeof(bool));
	ExecStoreVirtualTuple(to);
	ExecMaterializeSlot(to); /* the values are gone with the next row */
	if (++append->nslots == BUFFERED_ROWS)
		flush(append);
	MemoryContextSwitchTo(old);
	return true;
}

void
mr_append_begin(MrAppend *append, const char *table, int nkeys, const Datum *keys)
{
	memset(append, 0, sizeof(*append));
	append->pub = (DestReceiver){receive, start, nothing, nothing, DestNone};
	append->context = CurrentMemoryContext;
	append->table = mr_catalog_open(table, RowExclusiveLock);
	append->estate = CreateExecutorState();
	append->result = makeNode(ResultRelInfo);
	InitResultRelInfo(append->result, append->table, 0, NULL, 0);
	ExecOpenIndices(append->result, false);
	append->bulk = GetBulkInsertState();
	append->command = GetCurrentCommandId(true);
	append->nkeys = nkeys;
	memcpy(append->keys, keys, nkeys * sizeof(Datum));
	append->slots = palloc0(BUFFERED_ROWS * sizeof(TupleTableSlot *));
}

static void
count_outside(MrAppend *append, int32 window_id)
{
	Relation rel = mr_catalog_open("window_outside", RowExclusiveLock);
	Datum values[MR_OUTSIDE_NATTS];
	bool nulls[MR_OUTSIDE_NATTS] = {false};

	values[MR_OUTSIDE_WINDOW_ID - 1] = Int32GetDatum(window_id);
	values[MR_OUTSIDE_ROWS - 1] = Int64GetDatum(append->outside);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

void
mr_append_end(MrAppend *append, int32 window_id)
{
	flush(append);
	for (int i = 0; i < BUFFERED_ROWS && append->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(append->slots[i]);
	FreeBulkInsertState(append->bulk);
	ExecCloseIndices(append->result);
	FreeExecutorState(append->estate);
	table_close(append->table, NoLock);
	if (append->outside > 0)
		count_outside(append, window_id);
	CommandCounterIncrement();
}
