/* Answers to the calls. */
#include "ingestor/pipeline_answers.h"

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_group.h"
#include "ingestor/pipeline_step.h"
#include "ingestor/pipeline_trouble.h"

static void forget(MrPipeline *pl, MrFetchPartition *part);
static void on_topic(void *owner, const char *name, bool ok, rd_kafka_resp_err_t err,
					 const char *error);
static void on_number(void *owner, const MrNumberRow *row);
static void on_numbers_ended(void *owner);
static void on_known(void *owner, int known);
static void on_watermarks(void *owner, int32_t number, uint32_t question, bool ok, int64_t low,
						  int64_t high);
static void on_located(void *owner, int32_t number, uint32_t question, bool ok, int64_t offset);
static void on_position_set(void *owner, int32_t number, uint32_t question, bool ok,
							int64_t offset);
static void on_looked(void *owner, int32_t number, bool ok, int64_t low, int64_t high);
static void on_position(void *owner, uint64_t call, const MrPositionRow *row);
static void on_positions_ended(void *owner);

const MrPipelineAnswers mr_pipeline_answers = {
	.topic = on_topic,
	.number = on_number,
	.numbers_ended = on_numbers_ended,
	.known = on_known,
	.watermarks = on_watermarks,
	.located = on_located,
	.position_set = on_position_set,
	.looked = on_looked,
	.position = on_position,
	.positions_ended = on_positions_ended,
};

/* Fewer than before: the database went back in time, or the pipeline was dropped and created again. */
void
mr_pipeline_set_known(MrPipeline *pl, int known)
{
	int before = pl->known;

	pl->known = known;
	if (known < before)
		mr_log(MR_LOG_WARN, "the database has fewer partitions than it had: they are added again",
			   MR_STR("pipeline", pl->name), MR_INT("had", before), MR_INT("has", known));
	for (int i = known; i < before && i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL)
			forget(pl, pl->partitions[i]);
	for (int i = before; i < known && i < pl->partition_cap && !pl->draining; i++)
		if (pl->partitions[i] != NULL && pl->partitions[i]->state == MR_PARTITION_WAITING)
			mr_lane_assign(mr_pipeline_lane_of(pl, pl->partitions[i]), i, mr_now_ms());
}

static void
forget(MrPipeline *pl, MrFetchPartition *part)
{
	MrPipelineStep step;

	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_forgotten(part, &step.at, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_topic(void *owner, const char *name, bool ok, rd_kafka_resp_err_t err, const char *error)
{
	mr_pipeline_watch_answer(owner, name, ok, err, error);
}

/* What is known of a number never changes, unless the database went back in time or the pipeline was made again. */
static void
on_number(void *owner, const MrNumberRow *row)
{
	MrPipeline *pl = owner;

	if (!mr_topics_number(&pl->topics, row->partition, row->topic, row->topic_partition))
		pl->outdated = true;
}

static void
on_numbers_ended(void *owner)
{
	MrPipeline *pl = owner;

	pl->known = pl->topics.place_count;
	if (pl->consumer == NULL || pl->outdated)
		return;
	mr_consumer_numbered(pl->consumer);
	if (mr_consumer_unnumbered(pl->consumer) > 0)
		mr_pipeline_find_starts(pl);
}

static void
on_known(void *owner, int known)
{
	mr_pipeline_set_known(owner, known);
}

static void
on_watermarks(void *owner, int32_t number, uint32_t question, bool ok, int64_t low, int64_t high)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_watermarks(part, &step.at, question, ok, low, high, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
	/* after a stop: what was reported before it does not count */
	if (ok)
		mr_pipeline_end_seen(pl, number, low, high);
}

static void
on_located(void *owner, int32_t number, uint32_t question, bool ok, int64_t offset)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);

	if (!ok)
		on_position_set(owner, number, question, false, 0);
	else if (part != NULL && part->question == question)
		mr_pipeline_calls_set_position(&pl->calls, number, part->epoch, question, offset);
}

static void
on_position_set(void *owner, int32_t number, uint32_t question, bool ok, int64_t offset)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, number);
	MrPipelineStep step;

	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_located(part, &step.at, question, ok, offset, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_looked(void *owner, int32_t number, bool ok, int64_t low, int64_t high)
{
	mr_pipeline_end_found(owner, number, ok, low, high);
}

static void
on_position(void *owner, uint64_t call, const MrPositionRow *row)
{
	MrPipeline *pl = owner;
	MrFetchPartition *part = mr_pipeline_partition(pl, row->partition);
	MrPipelineStep step;

	mr_pipeline_end_aged(pl, row->partition, row->end_age_ms);
	if (part == NULL)
		return;
	mr_pipeline_step_begin(pl, part, &step);
	mr_partition_seen(part, &step.at, call, row, &step.effects);
	mr_pipeline_step_end(pl, part, &step);
}

static void
on_positions_ended(void *owner)
{
	MrPipeline *pl = owner;

	for (int i = 0; i < pl->partition_cap && pl->consumer != NULL; i++)
		if (pl->partitions[i] != NULL && mr_partition_is_assigned(pl->partitions[i]))
			mr_consumer_settled(pl->consumer, i, pl->partitions[i]->settled);
	if (pl->consumer != NULL)
		mr_consumer_commit(pl->consumer);
	mr_pipeline_ends_report(pl);
}
