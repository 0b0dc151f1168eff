/*
 * catalog_writer.h: rows of the extension's own tables, with their entries in its indexes.
 *
 * CatalogTupleInsert() and CatalogTupleUpdate() ignore the predicate of a partial index: they would add rows to the index that do not
 * satisfy it, and a scan of the index does not check it again. What knows the indexes costs as much as several rows: a writer
 * makes it once for many.
 */
#ifndef MR_CATALOG_WRITER_H
#define MR_CATALOG_WRITER_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/rel.h"

typedef struct MrCatalogWriter
{
	Relation rel;
	MemoryContext context;
	ResultRelInfo *result; /* NULL: no row needed entries yet */
	EState *estate;
	TupleTableSlot *slot;
} MrCatalogWriter;

/* Opens a table of the extension for writing. What a writer needs is kept in the current memory context until it is closed. */
extern void mr_catalog_writer_open(MrCatalogWriter *writer, const char *table);
extern void mr_catalog_writer_close(MrCatalogWriter *writer);

/* A row, whose place is set in the tuple. */
extern void mr_catalog_writer_insert(MrCatalogWriter *writer, HeapTuple tuple);

/* A new version of the row at tid, which no other transaction is changing. */
extern void mr_catalog_writer_update(MrCatalogWriter *writer, ItemPointer tid, HeapTuple tuple);

/* The same for one row of an open table. */
extern void mr_catalog_insert(Relation rel, HeapTuple tuple);
extern void mr_catalog_update(Relation rel, ItemPointer tid, HeapTuple tuple);

#endif /* MR_CATALOG_WRITER_H */
