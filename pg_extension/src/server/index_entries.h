/*
 * index_entries.h: entries of a table's indexes for rows that were just put into it.
 *
 * As ExecInsertIndexTuples() makes them; where all indexes are plain btrees, a leaf of each is kept for the next row
 * (kept_leaf.h).
 */
#ifndef MR_INDEX_ENTRIES_H
#define MR_INDEX_ENTRIES_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "server/kept_leaf.h"

typedef struct MrIndexEntries
{
	ResultRelInfo *result; /* with its indexes open */
	EState *estate;
	MrKeptLeaf *leaves; /* by index; NULL: some index is not that plain */
} MrIndexEntries;

/* Allocates in the current memory context. */
extern void mr_index_entries_begin(MrIndexEntries *entries, ResultRelInfo *result, EState *estate);

/* Those of the row in slot; raises a unique violation, and waits for a transaction that may cause one. */
extern void mr_index_entries_add(MrIndexEntries *entries, TupleTableSlot *slot);

/* Keeps no page any longer: before something is waited for, and at the end. */
extern void mr_index_entries_release(MrIndexEntries *entries);

#endif /* MR_INDEX_ENTRIES_H */
