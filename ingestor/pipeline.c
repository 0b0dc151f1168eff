/* The life of a pipeline. */
#include "ingestor/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_group.h"
#include "ingestor/pipeline_answers.h"
#include "ingestor/pipeline_consume.h"
#include "ingestor/pipeline_lanes.h"
#include "ingestor/pipeline_step.h"
#include "ingestor/pipeline_trouble.h"

static void update_topics(MrPipeline *pl, const MrServedRow *row);
static void make_consumer(MrPipeline *pl);
static void replace_consumer(MrPipeline *pl);
static void stop_partition(MrPipeline *pl, const MrFetchPartition *part);
static int lanes_of(const MrServedRow *row);
static MrBatchLimits limits_of(const MrSettings *settings);
static const char *lane_trouble(const MrPipeline *pl);
static void report(MrPipeline *pl);

MrPipeline *
mr_pipeline_new(const MrPipelineSetup *setup, const MrServedRow *row)
{
	MrPipeline *pl = mr_calloc(1, sizeof(*pl));
	MrBatchLimits limits = limits_of(setup->settings);

	pl->setup = *setup;
	pl->name = mr_strdup(row->pipeline);
	pl->topic = mr_strdup(row->topic);
	pl->is_pattern = row->is_pattern;
	mr_topics_init(&pl->topics, row->several ? NULL : pl->topic);
	(void) (row->several && mr_topics_subscribe(&pl->topics, row->topics, row->late_topics));
	pl->group_id = mr_strdup(row->group_id);
	pl->start_at = mr_strdup(row->start_at);
	pl->rest.moves = row->moves;
	pl->known = row->several ? 0 : row->partitions; /* numbers are read first */
	pl->topics_asked_ms = INT64_MIN / 2;
	pl->calls = (MrPipelineCalls){.pipeline = pl->name,
								  .topics = &pl->topics,
								  .control = setup->control,
								  .resolver = setup->resolver,
								  .answers = &mr_pipeline_answers,
								  .owner = pl};
	pl->lane_count = lanes_of(row);
	pl->lanes = mr_calloc((size_t) pl->lane_count, sizeof(MrPipelineLane));
	for (int i = 0; i < pl->lane_count; i++)
		pl->lanes[i].stage = mr_lane_new(setup->base, setup->settings->dsn, pl->name, i, &limits,
										 &mr_pipeline_lane_events, pl);
	mr_log(MR_LOG_INFO, "pipeline begins", MR_STR("pipeline", pl->name), MR_STR("topic", pl->topic),
		   MR_STR("group", pl->group_id), MR_INT("lanes", pl->lane_count));
	make_consumer(pl);
	if (row->partitions > pl->known)
		mr_pipeline_calls_numbers(&pl->calls, 0);
	return pl;
}

bool
mr_pipeline_update(MrPipeline *pl, const MrServedRow *row)
{
	if (strcmp(pl->topic, row->topic) != 0 || strcmp(pl->group_id, row->group_id) != 0 ||
		pl->lane_count != lanes_of(row) || pl->topics.several != row->several || pl->outdated ||
		(row->several && row->partitions < pl->topics.place_count))
		return false;
	if (strcmp(pl->start_at, row->start_at) != 0)
	{
		free(pl->start_at);
		pl->start_at = mr_strdup(row->start_at);
	}
	if (row->several)
		update_topics(pl, row);
	else if (row->partitions != pl->known)
		mr_pipeline_set_known(pl, row->partitions);
	for (int i = 0; i < pl->lane_count; i++)
	{
		MrStageLane *lane = pl->lanes[i].stage;

		if (mr_lane_is_open(lane) && lane->writer.incarnation != row->incarnation)
			mr_lane_reset(lane, "the server was restarted: what was staged may be gone");
	}
	if (pl->consumer == NULL || mr_consumer_is_fatal(pl->consumer))
		replace_consumer(pl);
	if (mr_pipeline_rest_listed(pl, row->moves))
		mr_pipeline_ask_positions(pl);
	return true;
}

void
mr_pipeline_reload(MrPipeline *pl)
{
	MrBatchLimits limits = limits_of(pl->setup.settings);

	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_set_limits(pl->lanes[i].stage, &limits);
	mr_report_refresh(&pl->calls.report);
	report(pl);
}

void
mr_pipeline_remove(MrPipeline *pl)
{
	if (pl->removed)
		return;
	mr_log(MR_LOG_INFO, "pipeline ends", MR_STR("pipeline", pl->name));
	pl->removed = true;
	pl->calls.ended = true;
	mr_pipeline_drain(pl);
	mr_pipeline_leave(pl);
}

bool
mr_pipeline_may_free(const MrPipeline *pl)
{
	return pl->removed && pl->calls.jobs == 0 && mr_pipeline_has_left(pl);
}

void
mr_pipeline_free(MrPipeline *pl)
{
	mr_consumer_free(pl->consumer);
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_free(pl->lanes[i].stage);
	for (int i = 0; i < pl->partition_cap; i++)
		free(pl->partitions[i]);
	mr_pipeline_ends_free(pl);
	free(pl->partitions);
	free(pl->routes);
	free(pl->lanes);
	free(pl->name);
	mr_topics_free(&pl->topics);
	free(pl->topic);
	free(pl->group_id);
	free(pl->start_at);
	free(pl);
}

void
mr_pipeline_every(MrPipeline *pl)
{
	mr_pipeline_hold_blocked(pl);
	mr_pipeline_watch(pl, mr_now_ms());
}

void
mr_pipeline_poll(MrPipeline *pl)
{
	if (!mr_pipeline_is_at_rest(pl, mr_now_ms()))
		mr_pipeline_ask_positions(pl);
	report(pl);
	/* An earlier attempt to learn where they begin may have failed. */
	if (pl->consumer != NULL && mr_consumer_unnumbered(pl->consumer) > 0)
		mr_pipeline_find_starts(pl);
	for (int i = pl->known; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL && pl->partitions[i]->state == MR_PARTITION_WAITING)
			mr_pipeline_find_starts(pl);
}

void
mr_pipeline_ask_positions(MrPipeline *pl)
{
	mr_pipeline_rest_asked(pl, mr_now_ms());
	mr_pipeline_calls_positions(&pl->calls);
}

void
mr_pipeline_drain(MrPipeline *pl)
{
	pl->draining = true;
	pl->calls.draining = true;
	for (int i = 0; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL)
			stop_partition(pl, pl->partitions[i]);
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_flush(pl->lanes[i].stage);
}

bool
mr_pipeline_is_flushed(const MrPipeline *pl)
{
	for (int i = 0; i < pl->lane_count; i++)
		if (!mr_lane_is_drained(pl->lanes[i].stage))
			return false;
	return true;
}

bool
mr_pipeline_is_settled(const MrPipeline *pl)
{
	for (int i = 0; i < pl->partition_cap; i++)
	{
		const MrFetchPartition *part = pl->partitions[i];

		if (part != NULL && mr_partition_is_assigned(part) && part->settled < part->staged)
			return false;
	}
	return true;
}

void
mr_pipeline_leave(MrPipeline *pl)
{
	if (pl->leaving)
		return;
	pl->leaving = true;
	if (pl->consumer != NULL)
		mr_consumer_close(pl->consumer);
}

bool
mr_pipeline_has_left(const MrPipeline *pl)
{
	return pl->leaving && (pl->consumer == NULL || mr_consumer_is_closed(pl->consumer));
}

static void
update_topics(MrPipeline *pl, const MrServedRow *row)
{
	if (mr_topics_subscribe(&pl->topics, row->topics, row->late_topics))
	{
		mr_log(MR_LOG_INFO, "topics to read have changed", MR_STR("pipeline", pl->name),
			   MR_INT("topics", mr_topics_subscribed(&pl->topics)));
		if (pl->consumer != NULL && !pl->draining)
			mr_consumer_subscribe_again(pl->consumer);
	}
	if (row->partitions > pl->topics.place_count)
		mr_pipeline_calls_numbers(&pl->calls, pl->topics.place_count);
}

static void
make_consumer(MrPipeline *pl)
{
	char error[512];
	const MrConsumerSetup setup = {.base = pl->setup.base,
								   .settings = pl->setup.settings,
								   .pipeline = pl->name,
								   .topics = &pl->topics,
								   .group_id = pl->group_id,
								   .budget = pl->setup.budget,
								   .counts = &pl->consumer_counts,
								   .events = &mr_pipeline_consumer_events,
								   .owner = pl};

	pl->consumer = mr_consumer_new(&setup, error, sizeof(error));
	if (pl->consumer == NULL)
		mr_log(mr_kafka_trouble_note(&pl->consumer_counts.trouble, RD_KAFKA_RESP_ERR__FATAL, -1,
									 error) == MR_LOG_WARN
				   ? MR_LOG_ERROR
				   : MR_LOG_DEBUG,
			   "could not set up the Kafka consumer", MR_STR("pipeline", pl->name),
			   MR_STR("error", error));
	mr_pipeline_block_consumer(pl);
}

/* After a fatal error the handle cannot be used any more, and its group membership is gone. */
static void
replace_consumer(MrPipeline *pl)
{
	if (pl->calls.questions > 0)
		return; /* the resolver may be using it: next time */
	mr_pipeline_revoke_all(pl);
	mr_consumer_free(pl->consumer);
	make_consumer(pl);
}

/* Neither fetched nor assigned from now on, whatever its state. */
static void
stop_partition(MrPipeline *pl, const MrFetchPartition *part)
{
	if (pl->consumer != NULL)
		mr_consumer_stop(pl->consumer, part->number);
	mr_lane_drop_assign(mr_pipeline_lane_of(pl, part), part->number);
}

static int
lanes_of(const MrServedRow *row)
{
	return row->lanes > 0 ? row->lanes : 1;
}

static MrBatchLimits
limits_of(const MrSettings *settings)
{
	return (MrBatchLimits){settings->batch_rows, settings->batch_bytes};
}

/* Why one of the lanes cannot be opened, NULL: no reason is known. */
static const char *
lane_trouble(const MrPipeline *pl)
{
	const char *why = NULL;

	for (int i = 0; i < pl->lane_count && why == NULL; i++)
		why = mr_lane_closed_because(pl->lanes[i].stage);
	return why;
}

/* A broker that does not answer keeps the resolver for seconds: where events begin is asked first. */
static void
report(MrPipeline *pl)
{
	bool may_ask = pl->consumer != NULL && pl->known > 0;

	mr_report_lane(&pl->calls.report, lane_trouble(pl));
	mr_pipeline_calls_report(&pl->calls, may_ask ? mr_consumer_handle(pl->consumer) : NULL);
}
