/* Around an event of a partition: what it may know before, what it asks for after. */
#include "ingestor/pipeline_step.h"

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_group.h"

static void log_step(const MrPipeline *pl, const MrFetchPartition *part,
					 const MrPipelineStep *step);
static void apply_assign(MrPipeline *pl, const MrFetchPartition *part, const MrEffects *effects);
static void apply_question(MrPipeline *pl, const MrFetchPartition *part, const MrEffects *effects);

void
mr_pipeline_step_begin(const MrPipeline *pl, const MrFetchPartition *part, MrPipelineStep *step)
{
	*step = (MrPipelineStep){.before = part->state,
							 .at = {.now_ms = mr_now_ms(),
									.random = mr_random32(),
									.positions_call = pl->calls.positions_call,
									.lane_held =
										pl->lanes[pl->routes[part->number].lane->number].held}};
}

/*
 * Carries out what the partition asks for. The calls come last: when the control connection breaks at that moment, their
 * answer is another event of the partition.
 */
void
mr_pipeline_step_end(MrPipeline *pl, MrFetchPartition *part, const MrPipelineStep *step)
{
	const MrEffects *effects = &step->effects;

	log_step(pl, part, step);
	pl->fenced += effects->fenced;
	if (pl->consumer != NULL && effects->fetch == MR_FETCH_FROM && !pl->draining)
		mr_consumer_fetch(pl->consumer, part->number, effects->fetch_from);
	else if (pl->consumer != NULL && effects->fetch != MR_FETCH_KEEP)
		mr_consumer_stop(pl->consumer, part->number);
	if (effects->move)
		mr_lane_move(pl->routes[part->number].lane,
					 mr_pipeline_entry_of(pl, part, effects->move_from), effects->move_to);
	apply_assign(pl, part, effects);
	apply_question(pl, part, effects);
	if (effects->stop)
		mr_pipeline_calls_stop(&pl->calls, part->number, part->epoch, effects->error,
							   effects->hint);
}

MrFetchPartition *
mr_pipeline_partition(const MrPipeline *pl, int32_t number)
{
	return number >= 0 && number < pl->partition_cap ? pl->partitions[number] : NULL;
}

MrStageLane *
mr_pipeline_lane_of(const MrPipeline *pl, const MrFetchPartition *part)
{
	return pl->routes[part->number].lane;
}

void
mr_pipeline_find_starts(MrPipeline *pl)
{
	int unnumbered;
	const MrTopic *topic;

	/* A consumer to be replaced is replaced when no question uses its handle. */
	if (pl->consumer == NULL || mr_consumer_is_fatal(pl->consumer))
		return;
	if (!pl->topics.several)
	{
		mr_pipeline_calls_starts(&pl->calls, mr_consumer_handle(pl->consumer), pl->topic, pl->known,
								 pl->start_at);
		return;
	}
	/* One topic at a time, and another one each time: one that fails does not keep the others from it. */
	unnumbered = mr_consumer_unnumbered(pl->consumer);
	if (unnumbered == 0 || pl->calls.starts_pending || pl->calls.numbers_pending)
		return;
	topic =
		mr_topics_find(&pl->topics,
					   mr_consumer_unnumbered_topic(pl->consumer, (int) (pl->starts_turn++ %
																		 (unsigned) unnumbered)));
	if (topic != NULL)
		mr_pipeline_calls_starts(&pl->calls, mr_consumer_handle(pl->consumer), topic->name,
								 topic->known, topic->late ? "earliest" : pl->start_at);
}

static void
log_step(const MrPipeline *pl, const MrFetchPartition *part, const MrPipelineStep *step)
{
	const MrEffects *effects = &step->effects;
	const MrLogField pipeline = MR_STR("pipeline", pl->name);
	const MrLogField number =
		MR_INT("partition", mr_topics_partition_of(&pl->topics, part->number));
	const MrLogField topic = MR_STR("topic", mr_topics_name_of(&pl->topics, part->number));

	if (effects->fenced)
		mr_log(MR_LOG_INFO, "partition was assigned elsewhere or moved by a verb", pipeline, topic,
			   number, MR_INT("again_in_ms", effects->assign_at_ms - step->at.now_ms));
	if (effects->stop)
		mr_log(MR_LOG_ERROR, effects->error, pipeline, topic, number,
			   MR_STR("hint", effects->hint));
	if (part->state == MR_PARTITION_STOPPED && step->before != MR_PARTITION_STOPPED)
		mr_log(MR_LOG_WARN, "partition is stopped", pipeline, topic, number,
			   MR_INT("offset", part->position),
			   MR_STR("hint", "millrace.partitions says why, and what to do"));
	if (step->before == MR_PARTITION_ASSIGNING && mr_partition_is_assigned(part))
		mr_log(MR_LOG_DEBUG, "partition assigned", pipeline, topic, number,
			   MR_INT("next_offset", part->position), MR_INT("last_offset", part->last_offset));
}

static void
apply_assign(MrPipeline *pl, const MrFetchPartition *part, const MrEffects *effects)
{
	MrStageLane *lane = mr_pipeline_lane_of(pl, part);

	if (effects->assign == MR_ASSIGN_DROP)
		mr_lane_drop_assign(lane, part->number);
	else if (effects->assign == MR_ASSIGN_AT && part->number >= pl->known)
	{
		mr_lane_drop_assign(lane, part->number);
		mr_pipeline_find_starts(pl);
	}
	else if (effects->assign == MR_ASSIGN_AT && !pl->draining)
		mr_lane_assign(lane, part->number, effects->assign_at_ms);
}

static void
apply_question(MrPipeline *pl, const MrFetchPartition *part, const MrEffects *effects)
{
	rd_kafka_t *rk = pl->consumer != NULL ? mr_consumer_handle(pl->consumer) : NULL;

	if (rk == NULL || effects->ask == MR_PARTITION_ASKS_NOTHING)
		return;
	if (effects->ask == MR_PARTITION_ASKS_WATERMARKS)
		mr_pipeline_calls_watermarks(&pl->calls, rk, part->number, part->question);
	else
		mr_pipeline_calls_locate(&pl->calls, rk, part->number, part->question, effects->ask_time);
}
