/*
 * admit.c: the fence. Which of the events that were read are the next ones of their partitions?
 *
 * Runs in workers, in the transaction that settles the batch: the partition locks taken here are held until
 * its commit, so nobody else assigns, moves or settles these partitions until then.
 *
 * A staged part continues a partition when it carries the current epoch and starts at the position:
 *   epoch differs        written by a session that has lost the partition: dropped
 *   next <= position     settled before (a replay of the segment): dropped
 *   previous > position  something before it is missing: new epoch, dropped; the ingestor fetches again
 *   an event from the position on comes twice, or is not before next: the same
 *   otherwise            events from the position on are taken, by offset, and the position moves to next
 *
 * No event at or above the position may ever be left out: once the position has moved it is lost.
 */
#include "run/admit.h"

#include "utils/memutils.h"

#include "server/locks.h"
#include "pipeline/pipeline.h"

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

/* The caller has its lock. */
static void
read_partition(MrPartition *partition, int32 pipeline_id)
{
	if (!mr_partition_find(pipeline_id, partition->partition, partition))
		ereport(LOG, (errmsg("millrace: partition %d of pipeline \"%s\" has no position",
							 partition->partition, mr_pipeline_name(pipeline_id)),
					  errdetail("What is staged of it is dropped."),
					  errhint("Its row in millrace.partition or millrace.progress was lost. It is "
							  "stopped when an ingestor asks for it; millrace.partitions then has "
							  "the command that sets a position.")));
}

/* Locks and reads the partitions noted, in ascending order. */
static void
lock_noted(MrBatch *batch, int32 pipeline_id)
{
	qsort(batch->partitions, batch->npartitions, sizeof(MrPartition), compare_partitions);
	for (int i = 0; i < batch->npartitions; i++)
	{
		mr_lock_partition(pipeline_id, batch->partitions[i].partition);
		read_partition(&batch->partitions[i], pipeline_id);
	}
}

bool
mr_batch_try_partition(MrBatch *batch, int32 pipeline_id, int32 partition)
{
	MemoryContext old;
	MrPartition *added;

	if (!mr_try_lock_partition(pipeline_id, partition))
		return false;
	old = MemoryContextSwitchTo(batch->context);
	batch->partitions =
		batch->npartitions == 0
			? palloc(sizeof(MrPartition))
			: repalloc(batch->partitions, (batch->npartitions + 1) * sizeof(MrPartition));
	added = &batch->partitions[batch->npartitions++];
	memset(added, 0, sizeof(*added));
	added->partition = partition;
	read_partition(added, pipeline_id);
	qsort(batch->partitions, batch->npartitions, sizeof(MrPartition), compare_partitions);
	MemoryContextSwitchTo(old);
	return true;
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
continues(MrPartition *partition, const MrStagedBatch *staged, const MrStagedPart *part,
		  int32 pipeline_id)
{
	if (partition->unknown || partition->stopped || partition->seek_ts >= 0)
		return false;
	if (!staged->unreadable && part->epoch != partition->epoch)
		return false;
	if (staged->refused)
	{
		partition->epoch = mr_partition_new_epoch(pipeline_id, part->partition, 0);
		return false;
	}
	if (part->previous > partition->next_offset)
	{
		ereport(LOG,
				(errmsg("millrace: a staged batch leaves a gap in partition %d of pipeline \"%s\"",
						part->partition, mr_pipeline_name(pipeline_id)),
				 errdetail("The position is %lld, and the batch starts at %lld. The partition gets "
						   "a new epoch and is fetched again.",
						   (long long) partition->next_offset, (long long) part->previous)));
		partition->epoch = mr_partition_new_epoch(pipeline_id, part->partition, 0);
		return false;
	}
	return part->next > partition->next_offset;
}

/* How one part of the current staged batch is admitted. */
typedef struct Part
{
	MrPartition *partition;
	bool taken;
	int64 start; /* position before any event of it was taken */
	int64 last;  /* offset looked at last */
} Part;

/* The event's part, -1 when the trailer has none; most often it is that of the event before it. */
static int
part_of(const MrStagedBatch *staged, int32 partition, int before)
{
	if (before >= 0 && staged->parts[before].partition == partition)
		return before;
	for (int i = 0; i < staged->nparts; i++)
		if (staged->parts[i].partition == partition)
			return i;
	return -1;
}

static int
compare_events(const void *a, const void *b)
{
	return mr_event_compare(a, b);
}

static bool
is_ascending(const MrBatch *batch, const MrStagedBatch *staged, Part *parts)
{
	int part = -1;

	for (int i = 0; i < staged->nparts; i++)
		parts[i].last = PG_INT64_MIN;
	for (int k = 0; k < staged->count; k++)
	{
		const MrEvent *event = &batch->events[staged->first + k];

		part = part_of(staged, event->partition, part);
		if (part < 0)
			continue;
		if (event->offset <= parts[part].last)
			return false;
		parts[part].last = event->offset;
	}
	return true;
}

/* Puts the events in order; a part that would lose one of them is not taken. */
static void
look_through(MrBatch *batch, MrStagedBatch *staged, Part *parts, int32 pipeline_id)
{
	int part = -1;

	if (!is_ascending(batch, staged, parts))
		qsort(&batch->events[staged->first], staged->count, sizeof(MrEvent), compare_events);
	for (int i = 0; i < staged->nparts; i++)
		parts[i].last = PG_INT64_MIN;
	for (int k = 0; k < staged->count; k++)
	{
		const MrEvent *event = &batch->events[staged->first + k];
		int64 previous;

		part = part_of(staged, event->partition, part);
		if (part < 0 || !parts[part].taken || event->offset < parts[part].start)
			continue;
		previous = parts[part].last;
		parts[part].last = event->offset;
		if (event->offset > previous && event->offset < staged->parts[part].next)
			continue;
		ereport(LOG,
				(errmsg("millrace: a staged batch has offset %lld of partition %d of pipeline "
						"\"%s\" twice, or beyond its end",
						(long long) event->offset, event->partition, mr_pipeline_name(pipeline_id)),
				 errdetail("The partition gets a new epoch, and is fetched again.")));
		parts[part].taken = false;
		parts[part].partition->epoch = mr_partition_new_epoch(pipeline_id, event->partition, 0);
	}
}

/* Keeps what continues of one staged batch. False: the batch ends within it. */
static bool
admit_staged(MrBatch *batch, MrStagedBatch *staged, int32 pipeline_id, MrTakeEvent take, void *arg,
			 int *kept)
{
	Part *parts = palloc0(Max(staged->nparts, 1) * sizeof(Part));
	int of = -1;

	for (int i = 0; i < staged->nparts; i++)
	{
		parts[i].partition = mr_batch_partition(batch, staged->parts[i].partition);
		parts[i].taken = continues(parts[i].partition, staged, &staged->parts[i], pipeline_id);
		parts[i].start = parts[i].partition->next_offset;
	}
	look_through(batch, staged, parts, pipeline_id);
	for (int k = 0; k < staged->count; k++)
	{
		MrEvent *event = &batch->events[staged->first + k];

		of = part_of(staged, event->partition, of);
		if (of < 0 || !parts[of].taken || event->offset < parts[of].start)
			continue;
		if (!take(arg, event, *kept))
			return false;
		parts[of].partition->next_offset = event->offset + 1;
		parts[of].partition->moved = true;
		batch->events[(*kept)++] = *event;
	}
	for (int i = 0; i < staged->nparts; i++)
	{
		MrStagedPart *part = &staged->parts[i];
		MrPartition *partition = parts[i].partition;

		if (!parts[i].taken)
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
mr_batch_admit(MrBatch *batch, int32 pipeline_id, MrTakeEvent take, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int kept = 0;

	lock_staged(batch, pipeline_id);
	batch->nsettled = batch->nstaged;
	for (int s = 0; s < batch->nstaged; s++)
	{
		if (!admit_staged(batch, &batch->staged[s], pipeline_id, take, arg, &kept))
		{
			/* What is left is read again; its settled part is then below the position. */
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
