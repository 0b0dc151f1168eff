/* Events of the consumer. */
#include "ingestor/pipeline_consume.h"

#include "ingestor/pipeline_step.h"
#include "ingestor/stage/message.h"

#define RETRY_MS 1000 /* after a topic that is gone */

static void on_granted(void *owner, int32_t number);
static void on_revoked(void *owner, int32_t number);
static void on_unnumbered(void *owner);
static void on_message(void *owner, int32_t number, const rd_kafka_message_t *message);
static void on_end(void *owner, int32_t number, int64_t offset);
static void on_failed(void *owner, int32_t number, MrFetchFailure failure, const char *text);
static void on_taken(void *owner, bool more);
static MrFetchPartition *add_partition(MrPipeline *pl, int32_t number);
static void stage(MrPipeline *pl, MrFetchPartition *part, const rd_kafka_message_t *message);
static void check(MrPipeline *pl, MrFetchPartition *part, const rd_kafka_message_t *message);

const MrConsumerEvents mr_pipeline_consumer_events = {
	.granted = on_granted,
	.revoked = on_revoked,
	.unnumbered = on_unnumbered,
	.message = on_message,
	.end = on_end,
	.failed = on_failed,
	.taken = on_taken,
};

void
mr_pipeline_revoke_all(MrPipeline *pl)
{
	for (int i = 0; i < pl->partition_cap; i++)
	{
		MrPipelineStep step;

		if (pl->partitions[i] == NULL)
			continue;
		mr_pipeline_step_begin(pl, pl->partitions[i], &step);
		mr_partition_revoked(pl->partitions[i], &step.effects);
		mr_pipeline_step_end(pl, pl->partitions[i], &step);
	}
}

static void
on_granted(void *owner, int32_t number)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		part = add_partition(pl, number);
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_granted(part, &step.at, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_revoked(void *owner, int32_t number)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_revoked(part, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
	mr_lane_flush(mr_pipeline_lane_of(pl, part));
}

static void
on_unnumbered(void *owner)
{
	mr_pipeline_find_starts(owner);
}

/* The hot path. */
static void
on_message(void *owner, int32_t number, const rd_kafka_message_t *message)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);

	if (part == NULL)
		return;
	if (mr_partition_wants(part, message->offset))
		stage(pl, part, message);
	else if (part->state == MR_PARTITION_CHECKING)
		check(pl, part, message);
}

static void
on_end(void *owner, int32_t number, int64_t offset)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_end_seen(part, &step.at, offset, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_failed(void *owner, int32_t number, MrFetchFailure failure, const char *text)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	switch (failure)
	{
		case MR_FAILURE_PASSING:
			break;
		case MR_FAILURE_OUT_OF_RANGE:
			mr_partition_out_of_range(part, &step.effects);
			break;
		case MR_FAILURE_CORRUPT:
			mr_partition_corrupt(part, &step.at, text, &step.effects);
			break;
		case MR_FAILURE_NO_TOPIC: /* when it is back, is it the same? */
		case MR_FAILURE_NOT_STARTED:
			mr_partition_reassign(part, &step.at, RETRY_MS, &step.effects);
			break;
	}
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_taken(void *owner, bool more)
{
	MrPipeline *pl = owner;

	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_taken(pl->lanes[i].stage, more);
}

static MrFetchPartition *
add_partition(MrPipeline *pl, int32_t number)
{
	MrFetchPartition *part = mr_malloc(sizeof(*part));

	if (number >= pl->partition_cap)
	{
		int cap = pl->partition_cap ? pl->partition_cap : 16;

		while (cap <= number)
			cap *= 2;
		pl->partitions = mr_realloc(pl->partitions, sizeof(MrFetchPartition *) * (size_t) cap);
		pl->routes = mr_realloc(pl->routes, sizeof(MrPipelineRoute) * (size_t) cap);
		for (; pl->partition_cap < cap; pl->partition_cap++)
			pl->partitions[pl->partition_cap] = NULL;
	}
	mr_partition_init(part, pl->name, number,
					  pl->topics.several ? mr_topics_name_of(&pl->topics, number) : NULL,
					  mr_topics_partition_of(&pl->topics, number));
	pl->partitions[number] = part;
	pl->routes[number] = (MrPipelineRoute){pl->lanes[number % pl->lane_count].stage, -1};
	return part;
}

/* The position moves first: the lane may send the batch, and lose its connection, in mr_lane_add. */
static void
stage(MrPipeline *pl, MrFetchPartition *part, const rd_kafka_message_t *message)
{
	MrStageLane *lane = pl->routes[part->number].lane;
	MrStageEntry *entry = mr_pipeline_entry_of(pl, part, part->position);
	MrCopyRow row;
	uint32_t crc;
	bool oversize = mr_message_row(message, pl->setup.settings->max_message_bytes, &row, &crc);

	row.partition = part->number;
	mr_partition_take(part, message->offset);
	pl->oversize += oversize;
	mr_lane_add(lane, entry, &row, oversize ? &crc : NULL);
}

static void
check(MrPipeline *pl, MrFetchPartition *part, const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(message, &type);
	uint32_t crc = mr_message_crc(message->key, message->key_len, message->payload, message->len);
	MrPipelineStep step;

	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_check(part, &step.at, message->offset, ts, crc, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
	if (step.effects.take)
		stage(pl, part, message);
}
