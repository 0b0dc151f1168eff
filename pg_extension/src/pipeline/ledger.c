/*
 * ledger.c: see ledger.h. Runs in workers (begin, settle, leave), in ingestor backends and in verbs (leave).
 */
#include "pipeline/ledger.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/locks.h"
#include "pipeline/ledger_rows.h"

static MrLedger *
make(int32 pipeline_id, int32 lane_id)
{
	MrLedger *ledger = palloc0(sizeof(MrLedger));

	ledger->pipeline_id = pipeline_id;
	ledger->lane_id = lane_id;
	return ledger;
}

/* Notes where the partitions, which are ascending, have their entries; returns how many have none. */
static int
find_entries(const MrLedger *ledger, MrPartition *partitions, int n)
{
	int missing = 0;
	int at = 0;

	for (int i = 0; i < n; i++)
	{
		while (at < ledger->n && ledger->entries[at].state.partition < partitions[i].partition)
			at++;
		if (at < ledger->n && ledger->entries[at].state.partition == partitions[i].partition)
			partitions[i].entry = at;
		else
		{
			partitions[i].entry = -1;
			missing++;
		}
	}
	return missing;
}

/* Locks those that have no entry; false: one is locked by somebody else, and none is then. */
static bool
lock_new(int32 pipeline_id, const MrPartition *partitions, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (partitions[i].entry >= 0 || mr_try_lock_partition(pipeline_id, partitions[i].partition))
			continue;
		while (--i >= 0)
			if (partitions[i].entry < 0)
				mr_unlock_partition(pipeline_id, partitions[i].partition);
		return false;
	}
	return true;
}

/* Those that have no entry, whose locks are held, get one if they are the lane's. */
static void
join(MrLedger *ledger, MrPartition *partitions, int n, int missing)
{
	MrPartition *joining = palloc(missing * sizeof(MrPartition));
	MrLedgerEntry *entries = palloc((ledger->n + missing) * sizeof(MrLedgerEntry));
	int before = ledger->n;
	int count = 0;

	for (int i = 0; i < n; i++)
		if (partitions[i].entry < 0)
			joining[count++] = partitions[i];
	mr_partitions_read(ledger->pipeline_id, joining, count);
	if (before > 0)
		memcpy(entries, ledger->entries, before * sizeof(MrLedgerEntry));
	ledger->entries = entries;
	count = 0;
	for (int i = 0; i < n; i++)
	{
		const MrPartition *p;

		if (partitions[i].entry >= 0)
			continue;
		p = &joining[count++];
		partitions[i] = *p;
		if (!p->unknown && !p->stopped && p->seek_ts < 0 && p->lane == ledger->lane_id)
			entries[ledger->n++] = (MrLedgerEntry){.state = *p};
	}
	if (ledger->n > before)
		mr_ledger_arrange(ledger);
	(void) find_entries(ledger, partitions, n);
}

MrLedger *
mr_ledger_begin(int32 pipeline_id, int32 lane_id, MrPartition *partitions, int n)
{
	MrLedger *ledger = make(pipeline_id, lane_id);
	int missing;

	mr_lock_ledger(pipeline_id, lane_id);
	mr_ledger_load(ledger);
	missing = find_entries(ledger, partitions, n);
	if (missing > 0 && !lock_new(pipeline_id, partitions, n))
	{
		mr_unlock_ledger(pipeline_id, lane_id);
		return NULL;
	}
	if (missing > 0)
		join(ledger, partitions, n, missing);
	for (int i = 0; i < n; i++)
	{
		int entry = partitions[i].entry;

		if (entry >= 0)
			partitions[i] = ledger->entries[entry].state;
		else
			partitions[i].stopped = true; /* of another lane, or unknown */
		partitions[i].entry = entry;
	}
	return ledger;
}

void
mr_ledger_settle(MrLedger *ledger, const MrPartition *partitions, int n)
{
	TimestampTz now = GetCurrentTimestamp();
	MrLedgerRow *row = ledger->rows;

	for (int i = 0; i < n; i++)
	{
		const MrPartition *p = &partitions[i];
		MrLedgerEntry *entry = p->entry >= 0 ? &ledger->entries[p->entry] : NULL;

		if (entry == NULL || (!p->moved && p->epoch == entry->state.epoch))
			continue;
		entry->state = *p;
		if (p->moved)
		{
			entry->state.settled_at = now;
			entry->moved = true;
		}
		entry->state.moved = false;
		while (p->entry >= row->first + row->count)
			row++;
		row->changed = true;
	}
	mr_ledger_write(ledger);
}

/* Takes the entries of the partitions out; those without one are left as they are. */
static void
take_out(MrLedger *ledger, const MrPartition *partitions, int n)
{
	bool *leaving = palloc0(Max(ledger->n, 1) * sizeof(bool));
	int kept = 0;

	for (int i = 0; i < n; i++)
	{
		MrLedgerEntry *entry = mr_ledger_find(ledger, partitions[i].partition);

		if (entry == NULL)
			continue;
		leaving[entry - ledger->entries] = true;
		if (!entry->moved)
			continue;
		entry->state.seq++;
		mr_partitions_append(ledger->pipeline_id, &entry->state, 1);
	}
	for (int r = 0; r < ledger->nrows; r++)
	{
		MrLedgerRow *row = &ledger->rows[r];
		int first = kept;

		for (int i = row->first; i < row->first + row->count; i++)
		{
			row->changed = row->changed || leaving[i];
			if (!leaving[i])
				ledger->entries[kept++] = ledger->entries[i];
		}
		row->first = first;
		row->count = kept - first;
	}
	ledger->n = kept;
	mr_ledger_write(ledger);
}

static bool
has_one(const MrLedger *ledger, const MrPartition *partitions, int n)
{
	for (int i = 0; i < n; i++)
		if (partitions[i].lane == ledger->lane_id &&
			mr_ledger_find(ledger, partitions[i].partition) != NULL)
			return true;
	return false;
}

/* Those of one lane. */
static bool
leave_lane(int32 pipeline_id, int32 lane_id, MrPartition *partitions, int n, bool wait, bool *left)
{
	MrLedger *ledger = make(pipeline_id, lane_id);

	mr_ledger_load(ledger);
	if (!has_one(ledger, partitions, n))
		return true;
	if (!wait && !mr_try_lock_ledger(pipeline_id, lane_id))
		return false;
	if (wait)
		mr_lock_ledger(pipeline_id, lane_id);
	mr_ledger_load(ledger);
	take_out(ledger, partitions, n);
	*left = true;
	return true;
}

bool
mr_ledger_leave(int32 pipeline_id, MrPartition *partitions, int n, bool wait)
{
	int32 lane = 0;
	bool left = false;

	for (;;)
	{
		int32 next = 0;

		/* the lanes in ascending order: there are few */
		for (int i = 0; i < n; i++)
			if (partitions[i].lane > lane && (next == 0 || partitions[i].lane < next))
				next = partitions[i].lane;
		if (next == 0)
			break;
		lane = next;
		if (!leave_lane(pipeline_id, lane, partitions, n, wait, &left))
			return false;
	}
	if (left)
	{
		CommandCounterIncrement();
		mr_partitions_read(pipeline_id, partitions, n);
	}
	return true;
}

/* The lanes that have, or had, a ledger. */
static List *
lanes_of(int32 pipeline_id)
{
	Relation rel = mr_catalog_open("ledger", AccessShareLock);
	List *lanes = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	mr_key_int4(&key, MR_LEDGER_PIPELINE_ID, pipeline_id);
	scan = systable_beginscan(rel, mr_catalog_oid("ledger_pkey"), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		lanes = list_append_unique_int(lanes, mr_catalog_int4(tuple, MR_LEDGER_LANE,
															  RelationGetDescr(rel)));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(lanes, list_int_cmp);
	return lanes;
}

static int
compare_partitions(const void *a, const void *b)
{
	int32 left = ((const MrPartition *) a)->partition;
	int32 right = ((const MrPartition *) b)->partition;

	return left < right ? -1 : left > right;
}

MrPartition *
mr_ledger_members(int32 pipeline_id, int *n)
{
	MrPartition *members = palloc(sizeof(MrPartition));
	ListCell *cell;

	*n = 0;
	foreach (cell, lanes_of(pipeline_id))
	{
		MrLedger *ledger = make(pipeline_id, lfirst_int(cell));

		mr_ledger_load(ledger);
		members = repalloc(members, (*n + ledger->n + 1) * sizeof(MrPartition));
		for (int i = 0; i < ledger->n; i++)
			members[(*n)++] = ledger->entries[i].state;
	}
	qsort(members, *n, sizeof(MrPartition), compare_partitions);
	return members;
}
