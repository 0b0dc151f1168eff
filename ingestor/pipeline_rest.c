/* Nothing comes, nothing is under way, nothing is old. */
#include "ingestor/pipeline_rest.h"

#include "ingestor/pipeline.h"
#include "ingestor/pipeline_step.h"

/*
 * Between two calls of positions() at rest. The end of a partition is reported then, too, and report_watermarks() writes one
 * that has not changed when it is older than 15 s, so that none is ever older than 25 s (pipeline_ends.c).
 */
#define REST_MS 8000
/* An end that others report may be so old before the next call. */
#define OTHERS_END_MS 20000

static bool rests(const MrPipeline *pl, const MrFetchPartition *part);
static bool others_report(const MrPipeline *pl, int32_t partition, int64_t now_ms);

void
mr_pipeline_rest_asked(MrPipeline *pl, int64_t now_ms)
{
	pl->rest.asked_ms = now_ms;
	pl->rest.losses = mr_control_losses(pl->setup.control);
}

bool
mr_pipeline_rest_listed(MrPipeline *pl, int64_t moves)
{
	bool moved = pl->rest.moves != moves;

	pl->rest.moves = moves;
	return moved;
}

bool
mr_pipeline_is_at_rest(const MrPipeline *pl, int64_t now_ms)
{
	if (now_ms - pl->rest.asked_ms >= REST_MS || pl->consumer == NULL || pl->draining ||
		pl->known == 0 || mr_control_losses(pl->setup.control) != pl->rest.losses)
		return false;
	for (int i = 0; i < pl->known || i < pl->partition_cap; i++)
	{
		const MrFetchPartition *part = mr_pipeline_partition(pl, i);

		if (part != NULL && part->state != MR_PARTITION_REVOKED)
		{
			if (!rests(pl, part))
				return false;
		}
		else if (i < pl->known && !others_report(pl, i, now_ms))
			return false;
	}
	return true;
}

/* All that came is settled, and the end that Kafka has now is the one that was reported. */
static bool
rests(const MrPipeline *pl, const MrFetchPartition *part)
{
	int64_t end = mr_pipeline_end_fetched(pl, part->number);

	return part->state == MR_PARTITION_FLOWING && part->position == part->staged &&
		   part->settled >= part->staged && end >= 0 &&
		   end == mr_pipeline_end_reported(pl, part->number);
}

/* An ingestor that reads the partition is there, as far as is known. */
static bool
others_report(const MrPipeline *pl, int32_t partition, int64_t now_ms)
{
	int64_t age = mr_pipeline_end_age(pl, partition);

	return age >= 0 && age + now_ms - pl->rest.asked_ms < OTHERS_END_MS;
}
