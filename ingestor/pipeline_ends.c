/* Which ends are known, which are asked for, and the reports of both. */
#include "ingestor/pipeline_ends.h"

#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "ingestor/pipeline.h"
#include "ingestor/pipeline_step.h"

#define LOOK_MS        5000  /* between two questions for an end */
#define LOOK_FAILED_MS 30000 /* after one without an answer */
/* Who reads a partition reports its end every 20 s at least, even if it is the same (pipeline_rest.c). */
#define STALE_MS 25000

/* One call of report_watermarks(). */
typedef struct EndList
{
	int64_t *partitions;
	int64_t *highs;
	int64_t *lows;
	int count;
} EndList;

static MrPipelineEnd *item(MrPipeline *pl, int32_t partition);
static int64_t fetched_end(const MrPipeline *pl, const MrFetchPartition *part);
static bool may_look(const MrPipeline *pl);
static bool wants_look(const MrFetchPartition *part, const MrPipelineEnd *end, int64_t now);
static void report_found(MrPipeline *pl, bool reads);
static void list_begin(const MrPipeline *pl, EndList *list);
static void list_put(EndList *list, int32_t partition, int64_t low, int64_t high);
static void list_send(MrPipeline *pl, EndList *list, bool reads);

void
mr_pipeline_end_aged(MrPipeline *pl, int32_t partition, int64_t age_ms)
{
	if (partition >= 0)
		item(pl, partition)->age_ms = age_ms;
}

void
mr_pipeline_ends_report(MrPipeline *pl)
{
	bool look = may_look(pl);
	int64_t now = mr_now_ms();
	EndList fetched;

	list_begin(pl, &fetched);
	for (int i = 0; i < pl->known; i++)
	{
		const MrFetchPartition *part = mr_pipeline_partition(pl, i);
		MrPipelineEnd *end = item(pl, i);
		int64_t high = fetched_end(pl, part);

		if (high >= 0)
		{
			list_put(&fetched, i, -1, high);
			end->reported = high;
			end->look_at_ms = 0;
			continue;
		}
		end->reported = -1;
		if (look && mr_topics_is_read(&pl->topics, i) && wants_look(part, end, now))
		{
			end->look_at_ms = now + LOOK_MS;
			pl->ends.asked++;
			mr_pipeline_calls_look(&pl->calls, mr_consumer_handle(pl->consumer), i);
		}
	}
	list_send(pl, &fetched, true);
}

void
mr_pipeline_end_found(MrPipeline *pl, int32_t partition, bool ok, int64_t low, int64_t high)
{
	MrPipelineEnd *end = item(pl, partition);

	end->found = ok;
	if (ok)
	{
		end->low = low;
		end->high = high;
	}
	else
		end->look_at_ms = mr_now_ms() + LOOK_FAILED_MS;
	if (--pl->ends.asked > 0)
		return;
	report_found(pl, true);
	report_found(pl, false);
}

void
mr_pipeline_end_seen(MrPipeline *pl, int32_t partition, int64_t low, int64_t high)
{
	const MrFetchPartition *part = mr_pipeline_partition(pl, partition);
	MrPipelineEnd *end = item(pl, partition);
	EndList list;

	end->low = low;
	end->high = high;
	end->look_at_ms = mr_now_ms() + LOOK_MS;
	list_begin(pl, &list);
	list_put(&list, partition, low, high);
	list_send(pl, &list, part != NULL && mr_partition_is_assigned(part));
}

int64_t
mr_pipeline_end_fetched(const MrPipeline *pl, int32_t partition)
{
	return fetched_end(pl, mr_pipeline_partition(pl, partition));
}

int64_t
mr_pipeline_end_reported(const MrPipeline *pl, int32_t partition)
{
	return partition < pl->ends.count ? pl->ends.items[partition].reported : -1;
}

int64_t
mr_pipeline_end_age(const MrPipeline *pl, int32_t partition)
{
	return partition < pl->ends.count ? pl->ends.items[partition].age_ms : -1;
}

int64_t
mr_pipeline_end(const MrPipeline *pl, int32_t partition)
{
	int64_t fetched = fetched_end(pl, mr_pipeline_partition(pl, partition));

	return fetched >= 0 || partition >= pl->ends.count ? fetched : pl->ends.items[partition].high;
}

void
mr_pipeline_ends_free(MrPipeline *pl)
{
	free(pl->ends.items);
	pl->ends = (MrPipelineEnds){0};
}

static MrPipelineEnd *
item(MrPipeline *pl, int32_t partition)
{
	MrPipelineEnds *ends = &pl->ends;

	if (partition >= ends->count)
	{
		int count = ends->count ? ends->count : 16;

		while (count <= partition)
			count *= 2;
		ends->items = mr_realloc(ends->items, sizeof(MrPipelineEnd) * (size_t) count);
		for (; ends->count < count; ends->count++)
			ends->items[ends->count] =
				(MrPipelineEnd){.age_ms = -1, .reported = -1, .low = -1, .high = -1};
	}
	return &ends->items[partition];
}

/* -1: not known. What a fetch said before the partition was held is below its position at most. */
static int64_t
fetched_end(const MrPipeline *pl, const MrFetchPartition *part)
{
	int64_t end;

	if (part == NULL || pl->consumer == NULL || part->state != MR_PARTITION_FLOWING)
		return -1;
	end = mr_consumer_end(pl->consumer, part->number);
	return end >= part->position ? end : -1;
}

/* One round after the other; a consumer to be replaced is replaced when no question uses its handle. */
static bool
may_look(const MrPipeline *pl)
{
	return pl->ends.asked == 0 && pl->consumer != NULL && !mr_consumer_is_fatal(pl->consumer) &&
		   !pl->calls.draining;
}

static bool
wants_look(const MrFetchPartition *part, const MrPipelineEnd *end, int64_t now)
{
	MrFetchState state = part != NULL ? part->state : MR_PARTITION_REVOKED;

	if (now < end->look_at_ms || state == MR_PARTITION_FLOWING || state == MR_PARTITION_CHECKING)
		return false; /* the next fetch will say it */
	return state == MR_PARTITION_HELD || state == MR_PARTITION_STOPPED || end->age_ms < 0 ||
		   end->age_ms > STALE_MS;
}

/* What was found of the partitions that are assigned to us, or of the others. */
static void
report_found(MrPipeline *pl, bool reads)
{
	EndList list;

	list_begin(pl, &list);
	for (int i = 0; i < pl->ends.count && i < pl->known; i++)
	{
		const MrFetchPartition *part = mr_pipeline_partition(pl, i);
		MrPipelineEnd *end = &pl->ends.items[i];

		if (!end->found || reads != (part != NULL && mr_partition_is_assigned(part)))
			continue;
		end->found = false;
		list_put(&list, i, end->low, end->high);
	}
	list_send(pl, &list, reads);
}

static void
list_begin(const MrPipeline *pl, EndList *list)
{
	size_t room = (size_t) pl->known + 1;

	*list = (EndList){mr_calloc(room, sizeof(int64_t)), mr_calloc(room, sizeof(int64_t)),
					  mr_calloc(room, sizeof(int64_t)), 0};
}

static void
list_put(EndList *list, int32_t partition, int64_t low, int64_t high)
{
	list->partitions[list->count] = partition;
	list->lows[list->count] = low;
	list->highs[list->count++] = high;
}

static void
list_send(MrPipeline *pl, EndList *list, bool reads)
{
	mr_pipeline_calls_report_ends(&pl->calls, list->partitions, list->highs, list->lows,
								  list->count, reads);
	free(list->partitions);
	free(list->lows);
	free(list->highs);
}
