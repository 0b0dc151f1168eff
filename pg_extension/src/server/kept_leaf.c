/*
 * kept_leaf.c: see kept_leaf.h. Runs in workers.
 *
 * What is done to a page is what nbtree does to it in the simplest case, under the same locks and with the same WAL record
 * (access/nbtree/README of PostgreSQL: "Lehman and Yao"); whatever is not that simple is nbtree's own.
 *
 * Between two keys anything may have happened to the page but that it is another one. A split moves the upper part away, and lowers
 * the high key. A deletion leaves a mark, and the page is not used again as long as this transaction runs; what was left of it comes
 * to the page on its right. So a key is on the page if it is on any, when it is greater than the first one there and less than
 * the high key.
 */
#include "server/kept_leaf.h"

#include "access/nbtxlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

#include "server/compat.h"

#define LARGE_ENTRY 1024 /* bytes; larger ones are left to nbtree, which knows the limit */

static bool go_to_leaf(MrKeptLeaf *kept, int access);
static bool is_on_leaf(MrKeptLeaf *kept);
static bool is_below_high_key(MrKeptLeaf *kept, Page page);
static OffsetNumber first_not_less(MrKeptLeaf *kept, Page page);
static int read_rows(MrKeptLeaf *kept, Page page, ItemPointerData *rows);
static bool put(MrKeptLeaf *kept, IndexTuple entry);
static XLogRecPtr log_entry(Buffer leaf, OffsetNumber at, IndexTuple entry);

bool
mr_leaf_begin(MrKeptLeaf *kept, Relation index, Relation table)
{
	BTScanInsert made = _bt_mkscankey(index, NULL);
	int nkeys = IndexRelationGetNumberOfKeyAttributes(index);

	*kept = (MrKeptLeaf){.index = index, .table = table, .leaf = InvalidBuffer};
	memcpy(&kept->key, made, offsetof(BTScanInsertData, scankeys) + nkeys * sizeof(ScanKeyData));
	pfree(made);
	kept->key.keysz = nkeys;
	kept->key.anynullkeys = false;
	for (int i = 0; i < nkeys; i++)
		kept->key.scankeys[i].sk_flags &= ~SK_ISNULL;
	_bt_metaversion(index, &kept->key.heapkeyspace, &kept->key.allequalimage);
	return kept->key.heapkeyspace;
}

void
mr_leaf_release(MrKeptLeaf *kept)
{
	if (BufferIsValid(kept->leaf))
		ReleaseBuffer(kept->leaf);
	kept->leaf = InvalidBuffer;
}

int
mr_leaf_find(MrKeptLeaf *kept, const Datum *values, ItemPointerData *rows)
{
	int n;

	for (int i = 0; i < kept->key.keysz; i++)
		kept->key.scankeys[i].sk_argument = values[i];
	pgstat_count_index_scan(kept->index);
	if (!go_to_leaf(kept, BT_READ))
		return 0; /* an empty index */
	n = read_rows(kept, BufferGetPage(kept->leaf), rows);
	_bt_unlockbuf(kept->index, kept->leaf);
	if (n > 0)
		pgstat_count_index_tuples(kept->index, n);
	return n;
}

bool
mr_leaf_insert(MrKeptLeaf *kept, Datum *values, bool *isnull, ItemPointer tid)
{
	TupleDesc desc = RelationGetDescr(kept->index);
	IndexTuple entry;
	bool done = false;

	for (int i = 0; i < kept->key.keysz; i++)
		if (isnull[i])
		{
			mr_leaf_release(kept);
			return false;
		}
	entry = index_form_tuple(desc, values, isnull);
	entry->t_tid = *tid;
	/* as they are in the entry: not compressed elsewhere, nor out of line */
	for (int i = 0; i < kept->key.keysz; i++)
	{
		bool null;

		kept->key.scankeys[i].sk_argument = index_getattr(entry, i + 1, desc, &null);
	}
	/* where keys repeat, the row is a part of the key: there is one place for it */
	kept->key.scantid = kept->index->rd_index->indisunique ? NULL : &entry->t_tid;
	if (IndexTupleSize(entry) <= LARGE_ENTRY)
	{
		(void) go_to_leaf(kept, BT_WRITE); /* which makes a root where there is none */
		done = put(kept, entry);
		_bt_unlockbuf(kept->index, kept->leaf);
	}
	kept->key.scantid = NULL;
	pfree(entry);
	if (!done)
		mr_leaf_release(kept);
	return done;
}

/* Locks the leaf the key belongs to, or the first of several. False: there is none. */
static bool
go_to_leaf(MrKeptLeaf *kept, int access)
{
	if (BufferIsValid(kept->leaf))
	{
		_bt_lockbuf(kept->index, kept->leaf, access);
		if (is_on_leaf(kept))
			return true;
		_bt_relbuf(kept->index, kept->leaf);
		kept->leaf = InvalidBuffer;
	}
	mr_btree_search(kept->index, kept->table, &kept->key, &kept->leaf, access);
	return BufferIsValid(kept->leaf);
}

static bool
is_on_leaf(MrKeptLeaf *kept)
{
	Page page = BufferGetPage(kept->leaf);
	BTPageOpaque opaque = BTPageGetOpaque(page);

	if (!P_ISLEAF(opaque) || P_IGNORE(opaque) ||
		PageGetMaxOffsetNumber(page) < P_FIRSTDATAKEY(opaque))
		return false;
	return is_below_high_key(kept, page) &&
		   _bt_compare(kept->index, &kept->key, page, P_FIRSTDATAKEY(opaque)) > 0;
}

static bool
is_below_high_key(MrKeptLeaf *kept, Page page)
{
	return P_RIGHTMOST(BTPageGetOpaque(page)) ||
		   _bt_compare(kept->index, &kept->key, page, P_HIKEY) < 0;
}

/* Where the first entry is whose key is not less; behind the last one when there is none. */
static OffsetNumber
first_not_less(MrKeptLeaf *kept, Page page)
{
	OffsetNumber low = P_FIRSTDATAKEY(BTPageGetOpaque(page));
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));

	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;

		if (_bt_compare(kept->index, &kept->key, page, middle) > 0)
			low = OffsetNumberNext(middle);
		else
			high = middle;
	}
	return low;
}

static int
read_rows(MrKeptLeaf *kept, Page page, ItemPointerData *rows)
{
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	int n = 0;

	if (!is_below_high_key(kept, page)) /* there may be more of them on the next page */
		return -1;
	for (OffsetNumber at = first_not_less(kept, page); at <= last; at = OffsetNumberNext(at))
	{
		ItemId item = PageGetItemId(page, at);
		IndexTuple entry = (IndexTuple) PageGetItem(page, item);

		if (_bt_compare(kept->index, &kept->key, page, at) != 0)
			break;
		if (ItemIdIsDead(item))
			continue;
		if (BTreeTupleIsPosting(entry) || n == MR_LEAF_FOUND)
			return -1;
		rows[n++] = entry->t_tid;
	}
	return n;
}

/* _bt_insertonpg() of PostgreSQL, for a leaf with room and no entry of this key, nor a list of rows that this one belongs into. */
static bool
put(MrKeptLeaf *kept, IndexTuple entry)
{
	Page page = BufferGetPage(kept->leaf);
	Size size = MAXALIGN(IndexTupleSize(entry));
	OffsetNumber at;
	XLogRecPtr logged;

	if (P_INCOMPLETE_SPLIT(BTPageGetOpaque(page)) || PageGetFreeSpace(page) < size ||
		!is_below_high_key(kept, page))
		return false;
	at = first_not_less(kept, page);
	if (at <= PageGetMaxOffsetNumber(page) && _bt_compare(kept->index, &kept->key, page, at) == 0)
		return false;
	CheckForSerializableConflictIn(kept->index, NULL, BufferGetBlockNumber(kept->leaf));
	START_CRIT_SECTION();
	if (PageAddItem(page, (Item) entry, size, at, false, false) == InvalidOffsetNumber)
		elog(PANIC, "failed to add new item to block %u in index \"%s\"",
			 BufferGetBlockNumber(kept->leaf), RelationGetRelationName(kept->index));
	MarkBufferDirty(kept->leaf);
	logged = log_entry(kept->leaf, at, entry);
	PageSetLSN(page, logged); /* a macro that reads it twice */
	END_CRIT_SECTION();
	return true;
}

static XLogRecPtr
log_entry(Buffer leaf, OffsetNumber at, IndexTuple entry)
{
	xl_btree_insert record = {.offnum = at};

	XLogBeginInsert();
	XLogRegisterData((char *) &record, SizeOfBtreeInsert);
	XLogRegisterBuffer(0, leaf, REGBUF_STANDARD);
	XLogRegisterBufData(0, (char *) entry, IndexTupleSize(entry));
	return XLogInsert(RM_BTREE_ID, XLOG_BTREE_INSERT_LEAF);
}
