/*
 * One pipeline as the ingestor sees it: a Kafka consumer, some lanes, the partitions. Everything
 * a partition, a lane or the consumer wants from elsewhere goes through here, so that each of them
 * can be tested with this header stubbed.
 */
#ifndef MR_INGESTOR_PIPELINE_H
#define MR_INGESTOR_PIPELINE_H

#include <librdkafka/rdkafka.h>

#include "ingestor/assignment.h"
#include "ingestor/stage/batch.h"
#include "ingestor/lane.h"
#include "ingestor/control/report.h"

struct MrIngestor;

/* A row of millrace.ingestor_pipelines(). */
typedef struct MrPipelineRow
{
	const char *name;
	const char *topic;
	const char *group_id;
	int lanes;
	int partitions;
	const char *start_at;
	int64_t incarnation;
} MrPipelineRow;

typedef struct MrPipeline
{
	struct MrIngestor *ingestor;
	char *name;
	char *topic;
	char *group_id;
	char *start_at;
	int known; /* partitions that have a row in the catalogue */

	struct MrConsumer *consumer;
	MrLane **lanes;
	int lane_count;
	MrPartition **partitions; /* by number; NULL where the group never gave us that one */
	int partition_cap;

	bool resolving_starts;
	bool positions_pending; /* a call of positions() is queued or under way */
	bool positions_again;   /* asked for while it was */
	uint64_t tick;          /* counts calls of positions() */
	bool taking;            /* the queue holds more, and nothing blocks */
	bool draining;
	bool leaving;  /* the consumer is being closed */
	bool removed;  /* free as soon as nothing is under way */
	int jobs;      /* questions to the broker, and calls, whose answers will come */
	int questions; /* those of them that use the consumer's handle */
	bool seen;     /* by the reconciliation under way */
	MrReport report;

	uint64_t oversize, fenced, rebalances, kafka_errors, corrupt;
} MrPipeline;

extern MrPipeline *mr_pipeline_new(struct MrIngestor *ingestor, const MrPipelineRow *row);
/* Takes a fresh row in; false: what changed needs a new pipeline object. */
extern bool mr_pipeline_update(MrPipeline *pl, const MrPipelineRow *row);
/* Leaves the group and frees itself when nothing is under way. */
extern void mr_pipeline_remove(MrPipeline *pl);
extern bool mr_pipeline_may_free(const MrPipeline *pl);
extern void mr_pipeline_free(MrPipeline *pl);
/* Called a few times a second. */
extern void mr_pipeline_every(MrPipeline *pl);
/* Called every poll-interval. */
extern void mr_pipeline_poll(MrPipeline *pl);
/* Asks and tells what has become due. */
extern void mr_pipeline_report(MrPipeline *pl);

/* Draining: stop fetching and flush; then ask; then leave the group. */
extern void mr_pipeline_drain(MrPipeline *pl);
extern bool mr_pipeline_is_flushed(const MrPipeline *pl);
extern bool mr_pipeline_is_settled(const MrPipeline *pl);
extern void mr_pipeline_leave(MrPipeline *pl);
extern bool mr_pipeline_has_left(const MrPipeline *pl);

/* What partitions and lanes need. */
extern const char *mr_pipeline_name(const MrPipeline *pl);
extern int mr_pipeline_known(const MrPipeline *pl);
extern uint64_t mr_pipeline_tick(const MrPipeline *pl);
extern MrPartition *mr_pipeline_partition(const MrPipeline *pl, int32_t number);
/* The partition of `lane` after `part` (NULL: the first), NULL at the end. */
extern MrPartition *mr_pipeline_next_of(const MrPipeline *pl, const MrLane *lane,
										const MrPartition *part);
extern void mr_pipeline_fetch(MrPipeline *pl, MrPartition *part, bool fetch, int64_t from);
extern void mr_pipeline_want_assign(MrPipeline *pl, MrPartition *part);
extern bool mr_pipeline_is_held(const MrPipeline *pl, const MrPartition *part);
extern void mr_pipeline_move(MrPipeline *pl, MrPartition *part, int64_t next);
extern void mr_pipeline_locate(MrPipeline *pl, MrPartition *part, int64_t ts);
extern void mr_pipeline_ask_watermarks(MrPipeline *pl, MrPartition *part);
extern void mr_pipeline_stop_partition(MrPipeline *pl, MrPartition *part, const char *error,
									   const char *hint);
extern void mr_pipeline_count_fenced(MrPipeline *pl);
extern void mr_pipeline_ask_positions(MrPipeline *pl);
extern void mr_pipeline_refresh(MrPipeline *pl);
extern bool mr_pipeline_is_taking(const MrPipeline *pl);
extern bool mr_pipeline_batch_is_full(const MrPipeline *pl, const MrBatch *batch);
extern void mr_pipeline_staged(MrPipeline *pl, int32_t partition, int64_t epoch, int64_t next);
extern void mr_pipeline_blocked(MrPipeline *pl);
extern void mr_pipeline_wake(MrPipeline *pl);

/* What the consumer reports. */
extern void mr_pipeline_granted(MrPipeline *pl, int32_t number);
extern void mr_pipeline_revoked(MrPipeline *pl, int32_t number);
extern void mr_pipeline_message(MrPipeline *pl, rd_kafka_message_t *message);
extern void mr_pipeline_kafka_error(MrPipeline *pl, const rd_kafka_message_t *message);
extern bool mr_pipeline_may_take(const MrPipeline *pl);
extern void mr_pipeline_taken(MrPipeline *pl, bool more);
extern void mr_pipeline_unfetchable(MrPipeline *pl, int32_t number);

#endif
