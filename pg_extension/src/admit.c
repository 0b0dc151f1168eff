/*
 * admit.c: the fence. Which of the events that were read are the next ones of their partitions?
 *
 * Runs in workers, in the transaction that settles the batch: the partition locks taken here are held until
 * its commit, so nobody assigns, moves or settles these partitions meanwhile.
 *
 * A staged part continues a partition when it carries the present epoch and starts at the position:
 *   epoch differs        written by someone who has lost the partition: dropped
 *   next <= position     settled before (a replay of the segment): dropped
 *   previous > position  something before it is missing: new epoch, dropped; the ingestor fetches again
 *   otherwise            events from the position on are taken, the position moves to next
 */
#include "lane_reader.h"

#include "utils/memutils.h"

#include "locks.h"

static int
compare_partitions(const void *a, const void *b)
{
	int32 left = ((const MrPartition *) a)->partition;
	int32 right = ((const MrPartition *) b)->partition;

	return left < right ? -1 : left > right;
}

static void
note_partition(MrBatch *batch, int32 partition)
{
	if (mr_batch_partition(batch, partition) == NULL)
		batch->partitions[batch->npartitions++].partition = partition;
}

/* Locks and reads the partitions noted, in ascending order. */
static void
lock_noted(MrBatch *batch, int32 pipeline_id)
{
	qsort(batch->partitions, batch->npartitions, sizeof(MrPartition), compare_partitions);
	for (int i = 0; i < batch->npartitions; i++)
	{
		mr_lock_partition(pipeline_id, batch->partitions[i].partition);
		mr_partition_read(pipeline_id, batch->partitions[i].partition, &batch->partitions[i]);
	}
}

void
mr_batch_lock_partitions(MrBatch *batch, int32 pipeline_id)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	batch->partitions = palloc0(Max(batch->nevents, 1) * sizeof(MrPartition));
	for (int i = 0; i < batch->nevents; i++)
		note_partition(batch, batch->events[i].partition);
	lock_noted(batch, pipeline_id);
	MemoryContextSwitchTo(old);
}

/* Every partition the staged batches have parts of. */
static void
lock_staged(MrBatch *batch, int32 pipeline_id)
{
	int max = 0;

	for (int s = 0; s < batch->nstaged; s++)
		max += batch->staged[s].nparts;
	batch->partitions = palloc0(Max(max, 1) * sizeof(MrPartition));
	for (int s = 0; s < batch->nstaged; s++)
		for (int i = 0; i < batch->staged[s].nparts; i++)
			note_partition(batch, batch->staged[s].parts[i].partition);
	lock_noted(batch, pipeline_id);
}

/* Whether the part continues its partition. */
static bool
continues(MrPartition *partition, const MrStagedPart *part, int32 pipeline_id)
{
	if (partition->stopped || partition->seek_ts >= 0 || part->epoch != partition->epoch)
		return false;
	if (part->previous > partition->next_offset)
	{
		ereport(LOG, (errmsg("millrace: partition %d of pipeline %d stands at %lld but the next staged batch "
							 "starts at %lld; it gets a new epoch to be fetched again",
							 part->partition, pipeline_id, (long long) partition->next_offset,
							 (long long) part->previous)));
		partition->epoch = mr_partition_new_epoch(pipeline_id, part->partition, 0);
		return false;
	}
	return part->next > partition->next_offset;
}

static MrStagedPart *
part_of(MrStagedBatch *staged, int32 partition)
{
	for (int i = 0; i < staged->nparts; i++)
		if (staged->parts[i].partition == partition)
			return &staged->parts[i];
	return NULL;
}

/* Keeps what continues of one staged batch. False: the limit was reached within it. */
static bool
admit_staged(MrBatch *batch, MrStagedBatch *staged, int32 pipeline_id, int limit, int *kept)
{
	bool *taken = palloc0(Max(staged->nparts, 1) * sizeof(bool));
	int k;

	for (int i = 0; i < staged->nparts; i++)
	{
		MrStagedPart *part = &staged->parts[i];

		taken[i] = continues(mr_batch_partition(batch, part->partition), part, pipeline_id);
	}
	for (k = 0; k < staged->count; k++)
	{
		MrEvent *event = &batch->events[staged->first + k];
		MrStagedPart *part = part_of(staged, event->partition);
		MrPartition *partition = part ? mr_batch_partition(batch, event->partition) : NULL;

		if (part == NULL || !taken[part - staged->parts] || event->offset < partition->next_offset)
			continue;
		if (*kept >= limit)
			return false;
		partition->next_offset = event->offset + 1;
		partition->moved = true;
		batch->events[(*kept)++] = *event;
	}
	for (int i = 0; i < staged->nparts; i++)
	{
		MrStagedPart *part = &staged->parts[i];
		MrPartition *partition = mr_batch_partition(batch, part->partition);

		if (!taken[i])
			continue;
		partition->next_offset = part->next;
		partition->moved = true;
		if (part->last_offset >= 0)
		{
			partition->last_offset = part->last_offset;
			partition->last_ts = part->last_ts;
			partition->last_crc = part->last_crc;
		}
	}
	return true;
}

void
mr_batch_admit(MrBatch *batch, int32 pipeline_id, int limit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int kept = 0;

	lock_staged(batch, pipeline_id);
	batch->nsettled = batch->nstaged;
	for (int s = 0; s < batch->nstaged; s++)
	{
		if (!admit_staged(batch, &batch->staged[s], pipeline_id, limit, &kept))
		{
			/* What is left is read again; its settled part is then below the position. */
			batch->cut = true;
			batch->nsettled = s;
			if (s > 0)
				batch->end = batch->staged[s - 1].end;
			else
				ItemPointerSetInvalid(&batch->end);
			break;
		}
	}
	batch->nevents = kept;
	MemoryContextSwitchTo(old);
}
