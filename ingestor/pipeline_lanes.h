/* The lanes' events, each a step of the partitions it is about, and what follows when a lane is blocked. */
#ifndef MR_INGESTOR_PIPELINE_LANES_H
#define MR_INGESTOR_PIPELINE_LANES_H

#include "ingestor/pipeline.h"

extern const MrStageLaneEvents mr_pipeline_lane_events;

/* Stops fetching for lanes that were blocked for long, so that the others go on. */
extern void mr_pipeline_hold_blocked(MrPipeline *pl);
/* A lane that is blocked and not held keeps all messages in the queue. */
extern void mr_pipeline_block_consumer(MrPipeline *pl);

#endif
