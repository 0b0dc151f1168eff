/* Events of the lanes. */
#include "ingestor/pipeline_lanes.h"

#include <string.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/pipeline_step.h"

#define RETRY_MS 1000 /* after a partition without a row */

static void on_assigning(void *owner, MrStageLane *lane, int32_t number);
static void on_assigned(void *owner, MrStageLane *lane, const MrAssignedRow *row);
static bool is_ours(const MrPipeline *pl, const MrAssignedRow *row);
static void on_unassigned(void *owner, MrStageLane *lane, int32_t number);
static void on_staged(void *owner, MrStageLane *lane, int32_t number, int64_t epoch, int64_t next);
static void on_fenced(void *owner, MrStageLane *lane);
static void on_lost(void *owner, MrStageLane *lane);
static void on_blocked(void *owner, MrStageLane *lane);
static void on_room(void *owner, MrStageLane *lane);
static MrFetchPartition *next_of(const MrPipeline *pl, const MrStageLane *lane,
								 const MrFetchPartition *part);
static void reassign(MrPipeline *pl, MrFetchPartition *part, int delay_ms);

const MrStageLaneEvents mr_pipeline_lane_events = {
	.assigning = on_assigning,
	.assigned = on_assigned,
	.unassigned = on_unassigned,
	.staged = on_staged,
	.fenced = on_fenced,
	.lost = on_lost,
	.blocked = on_blocked,
	.room = on_room,
};

/* A short blockage just leaves events in the client's queue; holding purges and fetches again. */
void
mr_pipeline_hold_blocked(MrPipeline *pl)
{
	int64_t now = mr_now_ms();

	for (int i = 0; i < pl->lane_count; i++)
	{
		MrStageLane *lane = pl->lanes[i].stage;

		if (!lane->blocked || pl->lanes[i].held ||
			now - lane->blocked_since_ms < pl->setup.settings->hold_after_ms)
			continue;
		pl->lanes[i].held = true;
		mr_log(MR_LOG_INFO, "lane is blocked: fetching stops", MR_STR("pipeline", pl->name),
			   MR_INT("lane", lane->writer.id),
			   MR_STR("state", mr_lane_state_name(lane->writer.state)));
		for (MrFetchPartition *part = NULL; (part = next_of(pl, lane, part));)
		{
			MrPipelineStep step;

			mr_pipeline_step_begin(pl, part, &step);
			mr_partition_hold(part, &step.effects);
			mr_pipeline_step_end(pl, part, &step);
		}
		mr_pipeline_block_consumer(pl); /* the other lanes' events may be taken again */
	}
}

void
mr_pipeline_block_consumer(MrPipeline *pl)
{
	bool blocked = false;

	for (int i = 0; i < pl->lane_count; i++)
		blocked = blocked || (pl->lanes[i].stage->blocked && !pl->lanes[i].held);
	if (pl->consumer != NULL)
		mr_consumer_block(pl->consumer, blocked);
}

static void
on_assigning(void *owner, MrStageLane *lane, int32_t number)
{
	MrFetchPartition *part = mr_pipeline_partition(owner, number);

	(void) lane;
	if (part != NULL)
		mr_partition_assign_sent(part);
}

static void
on_assigned(void *owner, MrStageLane *lane, const MrAssignedRow *row)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, row->partition);
	MrPipelineStep step;

	(void) lane;
	if (part == NULL)
		return;
	if (!is_ours(pl, row))
	{
		/* Nothing was staged under its epoch, and nothing will be: the pipeline is made again. */
		pl->outdated = true;
		reassign(pl, part, RETRY_MS);
		return;
	}
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_assigned(part, &step.at, row, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

/* The catalogue means the same partition by this number. */
static bool
is_ours(const MrPipeline *pl, const MrAssignedRow *row)
{
	return !pl->topics.several ||
		   (strcmp(row->topic, mr_topics_name_of(&pl->topics, row->partition)) == 0 &&
			row->topic_partition == mr_topics_partition_of(&pl->topics, row->partition));
}

static void
on_unassigned(void *owner, MrStageLane *lane, int32_t number)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);

	(void) lane;
	if (part == NULL)
		return;
	reassign(pl, part, RETRY_MS);
	mr_pipeline_find_starts(pl);
}

static void
on_staged(void *owner, MrStageLane *lane, int32_t number, int64_t epoch, int64_t next)
{
	MrFetchPartition *part = mr_pipeline_partition(owner, number);

	(void) lane;
	if (part != NULL)
		mr_partition_staged(part, epoch, next);
}

/* Some partition of the batch has another epoch now; positions() will say which. */
static void
on_fenced(void *owner, MrStageLane *lane)
{
	MrPipeline *pl = owner;

	for (MrFetchPartition *part = NULL; (part = next_of(pl, lane, part));)
	{
		MrPipelineStep step;

		mr_pipeline_step_begin(pl, part, &step);
		mr_partition_confirm(part, &step.at, &step.effects);
		mr_pipeline_step_end(pl, part, &step);
	}
	mr_pipeline_calls_positions(&pl->calls);
}

static void
on_lost(void *owner, MrStageLane *lane)
{
	MrPipeline *pl = owner;

	for (MrFetchPartition *part = NULL; (part = next_of(pl, lane, part));)
		reassign(pl, part, 0);
}

static void
on_blocked(void *owner, MrStageLane *lane)
{
	(void) lane;
	mr_pipeline_block_consumer(owner);
}

static void
on_room(void *owner, MrStageLane *lane)
{
	MrPipeline *pl = owner;
	bool held = pl->lanes[lane->number].held;

	pl->lanes[lane->number].held = false;
	for (MrFetchPartition *part = NULL; held && (part = next_of(pl, lane, part));)
	{
		MrPipelineStep step;

		mr_pipeline_step_begin(pl, part, &step);
		mr_partition_release(part, &step.effects);
		mr_pipeline_step_end(pl, part, &step);
	}
	mr_pipeline_block_consumer(pl);
}

/* The partition of `lane` after `part` (NULL: the first), NULL at the end. */
static MrFetchPartition *
next_of(const MrPipeline *pl, const MrStageLane *lane, const MrFetchPartition *part)
{
	int number = part == NULL ? lane->number : part->number + pl->lane_count;

	for (; number < pl->partition_cap; number += pl->lane_count)
		if (pl->partitions[number] != NULL)
			return pl->partitions[number];
	return NULL;
}

static void
reassign(MrPipeline *pl, MrFetchPartition *part, int delay_ms)
{
	MrPipelineStep step;

	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_reassign(part, &step.at, delay_ms, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}
