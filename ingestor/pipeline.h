/*
 * One pipeline as the ingestor sees it: a Kafka consumer, some lanes, the partitions. It owns them; none of them knows
 * the others or the pipeline. This file is its life; what passes between its parts goes through pipeline_consume.h,
 * pipeline_lanes.h and pipeline_answers.h, and is always a step of a partition (pipeline_step.h).
 *
 * The main thread only.
 */
#ifndef MR_INGESTOR_PIPELINE_H
#define MR_INGESTOR_PIPELINE_H

#include "ingestor/control/settings.h"
#include "ingestor/fetch/consumer.h"
#include "ingestor/fetch/partition.h"
#include "ingestor/pipeline_calls.h"
#include "ingestor/pipeline_ends.h"
#include "ingestor/pipeline_rest.h"
#include "ingestor/stage/lane.h"

/* What a pipeline uses of the process; all of it outlives the pipeline. Settings may change while it runs. */
typedef struct MrPipelineSetup
{
	struct event_base *base;
	const MrSettings *settings;
	MrControl *control;
	MrResolver *resolver;
	MrFetchBudget *budget; /* of what is fetched and not yet staged */
} MrPipelineSetup;

typedef struct MrPipelineLane
{
	MrStageLane *stage;
	bool held; /* blocked for long: its partitions are not fetched */
} MrPipelineLane;

/* Where the events of a partition go. */
typedef struct MrPipelineRoute
{
	MrStageLane *lane;
	int slot; /* of its entry in the lane's filling batch; kept here for the lane */
} MrPipelineRoute;

typedef struct MrPipeline
{
	MrPipelineSetup setup;
	char *name;
	char *topic; /* as the pipeline says: one, several with commas, or a pattern */
	bool is_pattern;
	MrTopics topics;
	char *group_id;
	char *start_at;
	int known; /* partitions that have a row in the catalogue */

	MrConsumer *consumer; /* NULL: could not be set up, tried again */
	MrConsumerCounts consumer_counts;
	int64_t topic_asked_ms;  /* when the cluster was last asked for the topic, or answered */
	int64_t topics_asked_ms; /* and for all topics, of a pattern */
	char lacking[250];       /* the topic that the last answer was about */
	unsigned starts_turn;    /* which topic is next to be asked for its start */
	MrPipelineLane *lanes;
	int lane_count;
	MrFetchPartition **partitions; /* by number; NULL where the group never gave us that one */
	MrPipelineRoute *routes;       /* of the same */
	int partition_cap;
	MrPipelineCalls calls;
	MrPipelineEnds ends;
	MrPipelineRest rest;

	bool draining; /* nothing is fetched or assigned any more */
	bool leaving;  /* the consumer is being closed */
	bool removed;  /* free as soon as nothing is under way */
	bool outdated; /* the catalogue numbers partitions otherwise: needs a new pipeline object */
	bool listed;   /* by the listing that is being read */

	uint64_t oversize, fenced;
} MrPipeline;

extern MrPipeline *mr_pipeline_new(const MrPipelineSetup *setup, const MrServedRow *row);
/* Takes over what a row of the listing says; false: that needs a new pipeline object. */
extern bool mr_pipeline_update(MrPipeline *pl, const MrServedRow *row);
/* The settings have changed: takes them over, and reports soon. */
extern void mr_pipeline_reload(MrPipeline *pl);
/* Leaves the group; may be freed when nothing is under way. */
extern void mr_pipeline_remove(MrPipeline *pl);
extern bool mr_pipeline_may_free(const MrPipeline *pl);
extern void mr_pipeline_free(MrPipeline *pl);
/* Called a few times a second. */
extern void mr_pipeline_every(MrPipeline *pl);
/* Called every poll-interval. */
extern void mr_pipeline_poll(MrPipeline *pl);
/* How far are our partitions settled? And: report what is known of their ends. */
extern void mr_pipeline_ask_positions(MrPipeline *pl);

/* Draining: stop fetching and flush; then ask; then leave the group. */
extern void mr_pipeline_drain(MrPipeline *pl);
extern bool mr_pipeline_is_flushed(const MrPipeline *pl);
extern bool mr_pipeline_is_settled(const MrPipeline *pl);
extern void mr_pipeline_leave(MrPipeline *pl);
extern bool mr_pipeline_has_left(const MrPipeline *pl);

#endif
