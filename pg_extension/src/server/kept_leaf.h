/*
 * kept_leaf.h: the leaf of a btree that the last key led to, kept for the next one.
 *
 * A batch's rows come in the order of a key, and some of them go to one leaf after another; nbtree descends from the root for each. Here
 * a leaf stays pinned between two keys, not locked, and is looked at first (docs/decisions/0045-the-leaf-is-kept.md). Nothing
 * depends on the order: a key that is not strictly between the first one of the page and its high key is searched from the root.
 */
#ifndef MR_KEPT_LEAF_H
#define MR_KEPT_LEAF_H

#include "postgres.h"

#include "access/nbtree.h"
#include "utils/rel.h"

#define MR_LEAF_FOUND 4 /* entries of one key at most */

typedef struct MrKeptLeaf
{
	Relation index;
	Relation table;
	Buffer leaf; /* pinned; InvalidBuffer: none */
	BTScanInsertData key;
} MrKeptLeaf;

/* Whether a btree has the form that is known here: that of PostgreSQL 12 and later, where entries of one key are in the order of their rows. */
extern bool mr_leaf_begin(MrKeptLeaf *kept, Relation index, Relation table);

/* Unpins the leaf: before anything is waited for, since a VACUUM of the index waits for pins. */
extern void mr_leaf_release(MrKeptLeaf *kept);

/*
 * The rows with a key of a unique index, at most MR_LEAF_FOUND: where they are, with the leaf pinned until the next call. No value may be null.
 * Returns how many; -1: not known, a scan of the index is to find them. As with a scan, a row need not be visible.
 */
extern int mr_leaf_find(MrKeptLeaf *kept, const Datum *values, ItemPointerData *rows);

/*
 * An entry for the row at tid, where the leaf has room and, of a unique index, no other entry of its key. False: nothing was done,
 * index_insert() has to do it; the leaf is released then. Of indexes whose changes are logged (RelationNeedsWAL()).
 */
extern bool mr_leaf_insert(MrKeptLeaf *kept, Datum *values, bool *isnull, ItemPointer tid);

#endif /* MR_KEPT_LEAF_H */
