/* catalog_writer.c: see catalog_writer.h. Runs in workers. */
#include "server/catalog_writer.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "server/catalog.h"
#include "server/compat.h"

static void begin(MrCatalogWriter *writer, Relation rel);
static void end(MrCatalogWriter *writer);
static void insert_index_entries(MrCatalogWriter *writer, HeapTuple tuple);

void
mr_catalog_writer_open(MrCatalogWriter *writer, const char *table)
{
	begin(writer, mr_catalog_open(table, RowExclusiveLock));
}

void
mr_catalog_writer_close(MrCatalogWriter *writer)
{
	end(writer);
	table_close(writer->rel, NoLock);
}

void
mr_catalog_writer_insert(MrCatalogWriter *writer, HeapTuple tuple)
{
	simple_heap_insert(writer->rel, tuple);
	insert_index_entries(writer, tuple);
}

void
mr_catalog_writer_update(MrCatalogWriter *writer, ItemPointer tid, HeapTuple tuple)
{
	mr_heap_update(writer->rel, tid, tuple);
	if (!HeapTupleIsHeapOnly(tuple))
		insert_index_entries(writer, tuple);
}

void
mr_catalog_insert(Relation rel, HeapTuple tuple)
{
	MrCatalogWriter writer;

	begin(&writer, rel);
	mr_catalog_writer_insert(&writer, tuple);
	end(&writer);
}

void
mr_catalog_update(Relation rel, ItemPointer tid, HeapTuple tuple)
{
	MrCatalogWriter writer;

	begin(&writer, rel);
	mr_catalog_writer_update(&writer, tid, tuple);
	end(&writer);
}

static void
begin(MrCatalogWriter *writer, Relation rel)
{
	*writer = (MrCatalogWriter){.rel = rel, .context = CurrentMemoryContext};
}

static void
open_indexes(MrCatalogWriter *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->slot = MakeSingleTupleTableSlot(RelationGetDescr(writer->rel), &TTSOpsHeapTuple);
	writer->result = makeNode(ResultRelInfo);
	writer->estate = CreateExecutorState();
	InitResultRelInfo(writer->result, writer->rel, 0, NULL, 0);
	ExecOpenIndices(writer->result, false);
	MemoryContextSwitchTo(old);
}

static void
end(MrCatalogWriter *writer)
{
	if (writer->result == NULL)
		return;
	ExecCloseIndices(writer->result);
	FreeExecutorState(writer->estate);
	ExecDropSingleTupleTableSlot(writer->slot);
	writer->result = NULL;
}

static void
insert_index_entries(MrCatalogWriter *writer, HeapTuple tuple)
{
	if (writer->result == NULL)
		open_indexes(writer);
	ExecStoreHeapTuple(tuple, writer->slot, false);
	list_free(mr_insert_index_tuples(writer->result, writer->slot, writer->estate));
	ExecClearTuple(writer->slot);
	ResetPerTupleExprContext(writer->estate);
}
