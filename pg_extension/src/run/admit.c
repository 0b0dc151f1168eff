/*
 * admit.c: the fence. Which of the events that were read are the next ones of their partitions?
 *
 * Runs in workers, in the transaction that settles the batch: the partition locks taken here, or that of a ledger which has
 * them all, are held until its commit, so nobody else assigns, moves or settles these partitions until then.
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

#include "pipeline/ledger.h"
#include "pipeline/pipeline.h"
#include "pipeline/position_lock.h"

static int
compare_numbers(const void *a, const void *b)
{
	int32 left = *(const int32 *) a;
	int32 right = *(const int32 *) b;

	return left < right ? -1 : left > right;
}

static void
report_unknown(const MrPartition *partition, int32 pipeline_id)
{
	ereport(LOG, (errmsg("millrace: partition %s of pipeline \"%s\" has no position",
						 mr_partition_text(pipeline_id, partition->partition),
						 mr_pipeline_name(pipeline_id)),
				  errdetail("What is staged of it is dropped."),
				  errhint("Its row in millrace.partition or millrace.progress was lost. It is "
						  "stopped when an ingestor asks for it; millrace.partitions then has "
						  "the command that sets a position.")));
}

bool
mr_batch_try_partition(MrBatch *batch, int32 pipeline_id, int32 partition)
{
	MrPartition locked = {.partition = partition};
	MemoryContext old;
	MrPartition *added;

	if (!mr_partition_try_lock(pipeline_id, &locked))
		return false;
	old = MemoryContextSwitchTo(batch->context);
	if (batch->npartitions == batch->max_partitions)
	{
		batch->max_partitions = Max(16, 2 * batch->max_partitions);
		batch->partitions =
			batch->partitions == NULL
				? palloc(batch->max_partitions * sizeof(MrPartition))
				: repalloc(batch->partitions, batch->max_partitions * sizeof(MrPartition));
	}
	added = &batch->partitions[batch->npartitions];
	while (added > batch->partitions && added[-1].partition > partition)
		added--;
	memmove(added + 1, added, (char *) &batch->partitions[batch->npartitions++] - (char *) added);
	*added = locked;
	if (added->unknown)
		report_unknown(added, pipeline_id);
	MemoryContextSwitchTo(old);
	return true;
}

/* An entry for every partition that the staged batches have parts of, ascending. */
static void
list_partitions(MrBatch *batch)
{
	int max = 0;
	int n = 0;
	int32 *numbers;

	for (int s = 0; s < batch->nstaged; s++)
		max += batch->staged[s].nparts;
	numbers = palloc(Max(max, 1) * sizeof(int32));
	for (int s = 0; s < batch->nstaged; s++)
		for (int i = 0; i < batch->staged[s].nparts; i++)
			numbers[n++] = batch->staged[s].parts[i].partition;
	qsort(numbers, n, sizeof(int32), compare_numbers);
	batch->partitions = palloc0(Max(n, 1) * sizeof(MrPartition));
	for (int i = 0; i < n; i++)
		if (i == 0 || numbers[i] != numbers[i - 1])
			batch->partitions[batch->npartitions++].partition = numbers[i];
	batch->max_partitions = Max(n, 1);
	pfree(numbers);
}

/* Of those whose trailer cannot be read, not even the lane is known. */
static bool
is_readable(const MrBatch *batch)
{
	for (int s = 0; s < batch->nstaged; s++)
		if (batch->staged[s].unreadable)
			return false;
	return true;
}

/* Locks all of them, or the ledger that has them, and reads them. */
static void
lock_staged(MrBatch *batch, int32 pipeline_id)
{
	list_partitions(batch);
	if (batch->npartitions >= MR_LEDGER_PARTITIONS && is_readable(batch))
		batch->ledger = mr_ledger_begin(pipeline_id, batch->tail.lane_id, batch->partitions,
										batch->npartitions);
	if (batch->ledger == NULL)
		mr_partitions_lock(pipeline_id, batch->partitions, batch->npartitions);
	for (int i = 0; i < batch->npartitions; i++)
		if (batch->partitions[i].unknown)
			report_unknown(&batch->partitions[i], pipeline_id);
}

/* Once in a batch: a part without an epoch, of a trailer that cannot be read, may come behind others of its partition. */
static void
give_new_epoch(MrPartition *partition, int32 pipeline_id)
{
	if (!partition->fenced)
		partition->epoch = mr_partition_new_epoch(pipeline_id, partition->partition, 0);
	partition->fenced = true;
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
		give_new_epoch(partition, pipeline_id);
		return false;
	}
	if (part->previous > partition->next_offset)
	{
		ereport(LOG,
				(errmsg("millrace: a staged batch leaves a gap in partition %s of pipeline \"%s\"",
						mr_partition_text(pipeline_id, part->partition),
						mr_pipeline_name(pipeline_id)),
				 errdetail("The position is %lld, and the batch starts at %lld. The partition gets "
						   "a new epoch and is fetched again.",
						   (long long) partition->next_offset, (long long) part->previous)));
		give_new_epoch(partition, pipeline_id);
		return false;
	}
	return part->next > partition->next_offset;
}

/* How the current staged batch's part of a partition is admitted. */
typedef struct Part
{
	const MrStagedPart *staged; /* NULL: it has none of that partition */
	bool taken;
	int64 start; /* position before any event of it was taken */
	int64 last;  /* offset looked at last */
} Part;

/* What is the same for all events of a staged batch. Its cost is that of its own parts, however many the batch has. */
typedef struct Admission
{
	int32 pipeline_id;
	MrBatch *batch;
	MrStagedBatch *staged;
	Part *parts; /* one for each partition of the batch, at its place */
	int *places; /* of the staged batch's parts */
} Admission;

/* The staged batch's parts, each at the place of its partition. */
static void
begin_parts(Admission *admission, MrStagedBatch *staged)
{
	MrBatch *batch = admission->batch;

	admission->staged = staged;
	for (int i = 0; i < staged->nparts; i++)
	{
		MrPartition *partition = mr_batch_partition(batch, staged->parts[i].partition);
		int place = (int) (partition - batch->partitions);

		admission->places[i] = place;
		admission->parts[place] = (Part){
			.staged = &staged->parts[i],
			.taken = continues(partition, staged, &staged->parts[i], admission->pipeline_id),
			.start = partition->next_offset,
		};
	}
}

/* All of those that were taken: their partitions move to the end. */
static void
end_parts(Admission *admission)
{
	for (int i = 0; i < admission->staged->nparts; i++)
	{
		const MrStagedPart *staged = &admission->staged->parts[i];
		Part *part = &admission->parts[admission->places[i]];
		MrPartition *partition = &admission->batch->partitions[admission->places[i]];

		part->staged = NULL;
		if (!part->taken)
			continue;
		partition->next_offset = staged->next;
		partition->moved = true;
		if (staged->last_offset >= 0)
		{
			partition->last_offset = staged->last_offset;
			partition->last_ts = staged->last_ts;
			partition->last_crc = staged->last_crc;
		}
	}
}

/* The event's part, NULL when the trailer has none. */
static Part *
part_of(Admission *admission, const MrEvent *event)
{
	const MrPartition *partition = mr_event_partition(admission->batch, event);
	Part *part = partition ? &admission->parts[partition - admission->batch->partitions] : NULL;

	return part != NULL && part->staged != NULL ? part : NULL;
}

/* Where each event's partition is among the batch's; most often it is that of the event before it. */
static void
find_places(Admission *admission)
{
	MrBatch *batch = admission->batch;
	int place = 0;

	for (int k = 0; k < admission->staged->count; k++)
	{
		MrEvent *event = &batch->events[admission->staged->first + k];
		const MrPartition *partition;

		event->place = place;
		partition = mr_event_partition(batch, event);
		if (partition != NULL)
			event->place = place = (int) (partition - batch->partitions);
	}
}

static int
compare_events(const void *a, const void *b)
{
	return mr_event_compare(a, b);
}

static void
look_from_start(Admission *admission)
{
	for (int i = 0; i < admission->staged->nparts; i++)
		admission->parts[admission->places[i]].last = PG_INT64_MIN;
}

static bool
is_ascending(Admission *admission)
{
	const MrStagedBatch *staged = admission->staged;

	look_from_start(admission);
	for (int k = 0; k < staged->count; k++)
	{
		const MrEvent *event = &admission->batch->events[staged->first + k];
		Part *part = part_of(admission, event);

		if (part == NULL)
			continue;
		if (event->offset <= part->last)
			return false;
		part->last = event->offset;
	}
	return true;
}

/* Puts the events in order; a part that would lose one of them is not taken. */
static void
look_through(Admission *admission)
{
	const MrStagedBatch *staged = admission->staged;
	MrEvent *events = admission->batch->events + staged->first;

	if (!is_ascending(admission))
		qsort(events, staged->count, sizeof(MrEvent), compare_events);
	look_from_start(admission);
	for (int k = 0; k < staged->count; k++)
	{
		const MrEvent *event = &events[k];
		Part *part = part_of(admission, event);
		int64 previous;

		if (part == NULL || !part->taken || event->offset < part->start)
			continue;
		previous = part->last;
		part->last = event->offset;
		if (event->offset > previous && event->offset < part->staged->next)
			continue;
		ereport(LOG, (errmsg("millrace: a staged batch has offset %lld of partition %s of pipeline "
							 "\"%s\" twice, or beyond its end",
							 (long long) event->offset,
							 mr_partition_text(admission->pipeline_id, event->partition),
							 mr_pipeline_name(admission->pipeline_id)),
					  errdetail("The partition gets a new epoch, and is fetched again.")));
		part->taken = false;
		give_new_epoch(mr_event_partition(admission->batch, event), admission->pipeline_id);
	}
}

/* Keeps what continues of one staged batch. False: the batch ends within it. */
static bool
admit_staged(Admission *admission, MrStagedBatch *staged, MrTakeEvent take, void *arg, int *kept)
{
	MrBatch *batch = admission->batch;

	begin_parts(admission, staged);
	find_places(admission);
	look_through(admission);
	for (int k = 0; k < staged->count; k++)
	{
		MrEvent *event = &batch->events[staged->first + k];
		const Part *part = part_of(admission, event);
		MrPartition *partition;

		if (part == NULL || !part->taken || event->offset < part->start)
			continue;
		if (!take(arg, event, *kept))
			return false;
		partition = mr_event_partition(batch, event);
		partition->next_offset = event->offset + 1;
		partition->moved = true;
		batch->events[(*kept)++] = *event;
	}
	end_parts(admission);
	return true;
}

void
mr_batch_admit(MrBatch *batch, int32 pipeline_id, MrTakeEvent take, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Admission admission = {.pipeline_id = pipeline_id, .batch = batch};
	int kept = 0;

	lock_staged(batch, pipeline_id);
	admission.parts = palloc0(batch->max_partitions * sizeof(Part));
	admission.places = palloc(batch->max_partitions * sizeof(int));
	batch->nsettled = batch->nstaged;
	for (int s = 0; s < batch->nstaged; s++)
	{
		int before = kept;
		bool whole = admit_staged(&admission, &batch->staged[s], take, arg, &kept);

		batch->staged[s].admitted = kept - before;
		if (!whole)
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
