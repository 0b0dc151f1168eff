/*
 * upsert_direct.c: see upsert_direct.h. Runs in workers, inside a subtransaction of the write.
 *
 * ON CONFLICT costs for each row a scan of the index, an insertion that may be taken back, with two WAL records, or a lock and an
 * update, with one each. Here the rows of a buffer are looked up first, without a lock; those whose key is not there go into the table
 * a page at a time; then, in the order of the key, each new one is entered into the indexes and each old one updated.
 *
 * What another session does between the look and the write is found by the write itself. An old row that has changed is refused
 * by heap_update(), and looked up again. Of a new row the index says that its key has come meanwhile: a unique violation, and the
 * rows are written by ON CONFLICT instead. Neither has locked anything out of the order of the keys, in which all lanes go: entries of
 * indexes and updates of rows are what others wait for. Rows in the table that no index knows yet are nobody's concern.
 */
#include "run/upsert_direct.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

#include "server/compat.h"
#include "run/direct_rows.h"

typedef enum Place
{
	NOT_THERE,
	THERE,
	AT_WORK /* a transaction that has not ended makes, changes or deletes it */
} Place;

typedef struct Found
{
	Place place;
	HeapTuple old; /* THERE: a copy, with its place in the table */
} Found;

typedef struct Upsert
{
	MrDirectRows rows; /* first: it is what a flush is given */
	bool *gave_up;
	Relation index;
	IndexInfo *info;
	int nkeys;
	ScanKeyData keys[INDEX_MAX_KEYS];
	bool keeps_leaf;
	MrKeptLeaf leaf; /* of the last key that was looked up */
	IndexFetchTableData *fetch;
	IndexScanDesc scan; /* for what is not found there */
	SnapshotData dirty; /* of both: sees what is not committed, and says so */
	TupleTableSlot *existing;
	TupleTableSlot *updated;
	Found *found;           /* of each buffered row */
	TupleTableSlot **fresh; /* slots of those that are not there */
	bool in_order;          /* these go into the table in their turn, too */
} Upsert;

static void begin(Upsert *upsert);
static void end(Upsert *upsert);
static void write_rows(MrDirectRows *rows, int *at);

void
mr_upsert_direct(MrProgram *program, MrBatch *batch, const int *numbers, int from, int to, int *at,
				 bool *gave_up)
{
	Upsert upsert = {.rows = {.program = program, .batch = batch}, .gave_up = gave_up};

	begin(&upsert);
	mr_direct_run(&upsert.rows, numbers, from, to, write_rows, at);
	end(&upsert);
}

pg_noreturn static void give_up(Upsert *upsert, const char *why);

static void
give_up(Upsert *upsert, const char *why)
{
	*upsert->gave_up = true;
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("rows of \"%s\" are to be written by ON CONFLICT",
						   RelationGetRelationName(upsert->rows.target)),
					errdetail_internal("%s", why)));
}

/* Whether the update changes none of the index's columns: a hint for the index, which may have old versions to remove. */
static bool
is_unchanged(const MrProgram *program, const IndexInfo *info)
{
	for (int k = 0; k < info->ii_NumIndexKeyAttrs; k++)
	{
		if (info->ii_IndexAttrNumbers[k] == 0)
			return false; /* an expression */
		for (int i = 0; i < program->ncolumns; i++)
			if (program->columns[i].attnum == info->ii_IndexAttrNumbers[k] &&
				!program->columns[i].is_key)
				return false;
	}
	return true;
}

static void
find_index(Upsert *upsert)
{
	ResultRelInfo *result = upsert->rows.result;

	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		IndexInfo *info = result->ri_IndexRelationInfo[i];

		info->ii_CheckedUnchanged = true;
		info->ii_IndexUnchanged = is_unchanged(upsert->rows.program, info);
		if (RelationGetRelid(result->ri_IndexRelationDescs[i]) !=
			upsert->rows.program->conflict_index)
			continue;
		upsert->index = result->ri_IndexRelationDescs[i];
		upsert->info = info;
	}
	if (upsert->index == NULL) /* REINDEX CONCURRENTLY has put another in its place */
		give_up(upsert, "The index of the conflict key is another one.");
}

/*
 * A subscriber applies changes in the order of the log. Where another column than the key is unique, a new row may take there what an
 * old one of a lesser key gives up: the new one must come behind it.
 */
static bool
must_be_in_order(const Upsert *upsert)
{
	const ResultRelInfo *result = upsert->rows.result;

	if (!RelationIsLogicallyLogged(upsert->rows.target))
		return false;
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		const IndexInfo *info = result->ri_IndexRelationInfo[i];

		if (info != upsert->info && (info->ii_Unique || info->ii_ExclusionOps != NULL))
			return true;
	}
	return false;
}

static void
begin(Upsert *upsert)
{
	MrDirectRows *rows = &upsert->rows;

	mr_direct_begin(rows, true);
	CheckCmdReplicaIdentity(rows->target, CMD_UPDATE);
	find_index(upsert);
	upsert->in_order = must_be_in_order(upsert);
	upsert->nkeys = upsert->info->ii_NumIndexKeyAttrs;
	for (int i = 0; i < upsert->nkeys; i++)
		ScanKeyEntryInitialize(&upsert->keys[i], 0, i + 1, upsert->info->ii_UniqueStrats[i],
							   InvalidOid, upsert->index->rd_indcollation[i],
							   upsert->info->ii_UniqueProcs[i], (Datum) 0);
	InitDirtySnapshot(upsert->dirty);
	upsert->scan = mr_index_beginscan(rows->target, upsert->index, &upsert->dirty, upsert->nkeys);
	upsert->keeps_leaf = mr_leaf_begin(&upsert->leaf, upsert->index, rows->target);
	upsert->fetch = table_index_fetch_begin(rows->target);
	upsert->existing = table_slot_create(rows->target, NULL);
	upsert->updated = MakeSingleTupleTableSlot(RelationGetDescr(rows->target), &TTSOpsHeapTuple);
	upsert->found = palloc(MR_DIRECT_ROWS * sizeof(Found));
	upsert->fresh = palloc(MR_DIRECT_ROWS * sizeof(TupleTableSlot *));
}

static void
end(Upsert *upsert)
{
	mr_leaf_release(&upsert->leaf);
	table_index_fetch_end(upsert->fetch);
	index_endscan(upsert->scan);
	ExecDropSingleTupleTableSlot(upsert->existing);
	ExecDropSingleTupleTableSlot(upsert->updated);
	mr_direct_end(&upsert->rows);
}

/* By the leaf: whether *there says if there is a row of the key, which is in upsert->existing then. */
static bool
find_by_leaf(Upsert *upsert, const Datum *values, bool *there)
{
	ItemPointerData rows[MR_LEAF_FOUND];
	int n = upsert->keeps_leaf ? mr_leaf_find(&upsert->leaf, values, rows) : -1;

	*there = false;
	for (int i = 0; i < n && !*there; i++)
	{
		bool more = false;
		bool dead = false;

		*there = table_index_fetch_tuple(upsert->fetch, &rows[i], &upsert->dirty, upsert->existing,
										 &more, &dead);
		if (dead)
			return false; /* a scan marks its entry: nobody looks at the row again */
	}
	return n >= 0;
}

/* Where the row of the key is; what was found is in upsert->existing. A key with a null is nobody's. */
static Place
look_up(Upsert *upsert, const TupleTableSlot *row)
{
	Datum values[INDEX_MAX_KEYS];
	bool there;

	for (int i = 0; i < upsert->nkeys; i++)
	{
		int column = upsert->info->ii_IndexAttrNumbers[i] - 1;

		if (row->tts_isnull[column])
			return NOT_THERE;
		values[i] = upsert->keys[i].sk_argument = row->tts_values[column];
	}
	if (!find_by_leaf(upsert, values, &there))
	{
		index_rescan(upsert->scan, upsert->keys, upsert->nkeys, NULL, 0);
		there = index_getnext_slot(upsert->scan, ForwardScanDirection, upsert->existing);
	}
	if (!there)
		return NOT_THERE;
	if (TransactionIdIsValid(upsert->dirty.xmin) || TransactionIdIsValid(upsert->dirty.xmax))
		return AT_WORK;
	return THERE;
}

/* Pages that were looked at are kept no longer: others may wait for them while we wait or write. */
static void
let_pages_be(Upsert *upsert)
{
	ExecClearTuple(upsert->existing);
	mr_leaf_release(&upsert->leaf);
	table_index_fetch_reset(upsert->fetch);
	index_rescan(upsert->scan, upsert->keys, upsert->nkeys, NULL, 0);
}

static HeapTuple
copy_existing(Upsert *upsert)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(upsert->rows.estate));
	HeapTuple tuple = ExecCopySlotHeapTuple(upsert->existing);

	MemoryContextSwitchTo(old);
	return tuple;
}

/* A new row that is placed by itself. */
static void
insert_row(Upsert *upsert, int i)
{
	MrDirectRows *rows = &upsert->rows;
	TupleTableSlot *slot = rows->program->slots[i];

	table_tuple_insert(rows->target, slot, rows->command, 0, rows->bulk);
	mr_index_entries_add(&rows->entries, slot);
}

/*
 * Looks up the buffered rows, and puts those that are not there into the table, without entries in its indexes, unless they must wait
 * for their turn.
 */
static void
place_rows(Upsert *upsert)
{
	MrDirectRows *rows = &upsert->rows;
	int nfresh = 0;

	for (int i = 0; i < rows->n; i++)
	{
		Found *found = &upsert->found[i];

		found->place = look_up(upsert, rows->program->slots[i]);
		if (found->place == THERE)
			found->old = copy_existing(upsert);
		else if (found->place == NOT_THERE && !upsert->in_order)
			upsert->fresh[nfresh++] = rows->program->slots[i];
	}
	let_pages_be(upsert);
	if (nfresh > 0)
		table_multi_insert(rows->target, upsert->fresh, nfresh, rows->command, 0, rows->bulk);
}

static bool
is_older(const MrProgram *program, const TupleTableSlot *row, const TupleTableSlot *old)
{
	int column =
		program->newer_column >= 0 ? program->columns[program->newer_column].attnum - 1 : -1;

	if (column < 0 || old->tts_isnull[column])
		return false;
	return row->tts_isnull[column] ||
		   ApplySortComparator(row->tts_values[column], false, old->tts_values[column], false,
							   &program->keys[program->nconflict].support) < 0;
}

/* upsert->updated: the old row with the new one's values, but for the key's. False: the old one is newer. */
static bool
form_updated(Upsert *upsert, const TupleTableSlot *row, HeapTuple old)
{
	const MrProgram *program = upsert->rows.program;
	TupleTableSlot *slot = upsert->updated;

	ExecClearTuple(slot);
	heap_deform_tuple(old, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	if (is_older(program, row, slot))
		return false;
	for (int i = 0; i < program->ncolumns; i++)
	{
		int column = program->columns[i].attnum - 1;

		if (program->columns[i].is_key)
			continue;
		slot->tts_values[column] = row->tts_values[column];
		slot->tts_isnull[column] = row->tts_isnull[column];
	}
	slot->tts_tableOid = RelationGetRelid(upsert->rows.target);
	ExecStoreVirtualTuple(slot);
	return true;
}

/* False: another transaction has changed or deleted the old row meanwhile. */
static bool
update_row(Upsert *upsert, int i, HeapTuple old)
{
	MrDirectRows *rows = &upsert->rows;
	MrIndexesToUpdate indexes;
	TM_Result result;

	if (!form_updated(upsert, rows->program->slots[i], old))
	{
		mr_direct_row(rows, i)->written = false;
		return true;
	}
	if (rows->nchecks > 0 || MR_UPDATE_ALWAYS_WAITS)
		mr_index_entries_release(&rows->entries); /* a function in a CHECK may wait */
	/* NOT NULL as well: of a constraint that is not valid the old row may have nulls */
	if (mr_direct_refuses(rows, mr_direct_row(rows, i), upsert->updated))
		return true;
	result = mr_tuple_update(rows->target, &old->t_self, upsert->updated, rows->command,
							 MR_UPDATE_ALWAYS_WAITS, &indexes);
	if (result != TM_Ok || indexes != MR_INDEXES_NONE)
		mr_index_entries_release(&rows->entries); /* what follows may wait */
	if (result == TM_BeingModified)
		result = mr_tuple_update(rows->target, &old->t_self, upsert->updated, rows->command, true,
								 &indexes);
	switch (result)
	{
		case TM_Ok:
			if (indexes != MR_INDEXES_NONE)
				list_free(
					mr_update_index_tuples(rows->result, upsert->updated, rows->estate, indexes));
			return true;
		case TM_Updated:
		case TM_Deleted:
			return false;
		default:
			give_up(upsert, "A row was to be changed a second time.");
	}
}

static void
wait_for_other(Upsert *upsert)
{
	TransactionId other =
		TransactionIdIsValid(upsert->dirty.xmin) ? upsert->dirty.xmin : upsert->dirty.xmax;
	uint32 token = upsert->dirty.speculativeToken;
	ItemPointerData place = upsert->existing->tts_tid;

	let_pages_be(upsert);
	if (token != 0)
		SpeculativeInsertionWait(other, token);
	else
		XactLockTableWait(other, upsert->rows.target, &place, XLTW_InsertIndex);
}

/* The existing row is one that this command has made, so the key is twice among those it was to write. */
static bool
is_own(const Upsert *upsert)
{
	bool isnull;
	Datum xmin = slot_getsysattr(upsert->existing, MinTransactionIdAttributeNumber, &isnull);

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
}

/* A row that another transaction was at: as often as it takes. */
static void
settle_row(Upsert *upsert, int i)
{
	mr_index_entries_release(&upsert->rows.entries);
	for (;;)
	{
		Place place = look_up(upsert, upsert->rows.program->slots[i]);
		HeapTuple old;

		CHECK_FOR_INTERRUPTS();
		if (place == AT_WORK)
		{
			wait_for_other(upsert);
			continue;
		}
		if (place == NOT_THERE)
		{
			let_pages_be(upsert);
			insert_row(upsert, i);
			return;
		}
		if (is_own(upsert))
			give_up(upsert, "Two rows have a key that the index takes for one.");
		old = copy_existing(upsert);
		let_pages_be(upsert);
		if (update_row(upsert, i, old))
			return;
	}
}

static void
write_rows(MrDirectRows *rows, int *at)
{
	Upsert *upsert = (Upsert *) rows;

	place_rows(upsert);
	for (int i = 0; i < rows->n; i++)
	{
		const Found *found = &upsert->found[i];

		*at = rows->at_of[i];
		if (found->place == NOT_THERE && upsert->in_order)
			insert_row(upsert, i);
		else if (found->place == NOT_THERE)
			mr_index_entries_add(&rows->entries, rows->program->slots[i]);
		else if (found->place == AT_WORK || !update_row(upsert, i, found->old))
			settle_row(upsert, i);
	}
	ExecClearTuple(upsert->updated);
}
