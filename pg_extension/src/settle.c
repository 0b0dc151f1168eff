/*
 * settle.c: see settle.h. Runs in workers; the partition locks are held since mr_batch_admit().
 */
#include "settle.h"

#include "access/table.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "catalog.h"
#include "dead_letter.h"

/* How often the newest progress row of a partition was updated in place, by this process. */
typedef struct Updates
{
	int32 partition;
	int count;
} Updates;

static int *
updates_of(int32 partition)
{
	static HTAB *table = NULL;
	bool found;
	Updates *entry;

	if (table == NULL)
	{
		HASHCTL control = {.keysize = sizeof(int32), .entrysize = sizeof(Updates)};

		table = hash_create("millrace progress updates", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(table, &partition, HASH_ENTER, &found);
	if (!found)
		entry->count = 0;
	return &entry->count;
}

static void
count(MrPartition *partition, const MrEvent *event)
{
	MrCounters *total = &partition->total;

	total->events++;
	if (event->payload != NULL)
		total->bytes += VARSIZE_ANY_EXHDR(event->payload);
	switch ((MrOutcome) event->outcome)
	{
		case MR_WRITTEN:
			total->written++;
			break;
		case MR_FILTERED:
			total->filtered++;
			break;
		case MR_SUPERSEDED:
			total->superseded++;
			break;
		case MR_SKIPPED:
			total->skipped++;
			break;
		case MR_DEAD:
			total->dead++;
			break;
		case MR_PENDING:
			elog(ERROR, "event %d:%lld has no outcome", event->partition, (long long) event->offset);
	}
}

static void
insert_dead_letters(const MrDefinition *definition, MrBatch *batch)
{
	Relation rel = NULL;

	for (int i = 0; i < batch->nevents; i++)
	{
		if (batch->events[i].outcome != MR_DEAD)
			continue;
		if (rel == NULL)
			rel = mr_catalog_open("dead_letter", RowExclusiveLock);
		mr_dead_letter_insert(rel, definition, &batch->events[i]);
	}
	if (rel != NULL)
		table_close(rel, RowExclusiveLock);
}

void
mr_settle(const MrDefinition *definition, MrBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	insert_dead_letters(definition, batch);
	for (int i = 0; i < batch->nevents; i++)
		count(mr_batch_partition(batch, batch->events[i].partition), &batch->events[i]);
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].written)
			mr_batch_partition(batch, batch->events[batch->rows[i].event].partition)->total.rows++;
	for (int i = 0; i < batch->npartitions; i++)
		if (batch->partitions[i].moved)
			mr_partition_settle(definition->pipeline_id, &batch->partitions[i],
								updates_of(batch->partitions[i].partition));
	MemoryContextSwitchTo(old);
}
