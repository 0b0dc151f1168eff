/*
 * A step: one event of one partition. Begin it, call one function of partition.h, end it: what the partition asks for is
 * carried out when it is in its new state, never before.
 */
#ifndef MR_INGESTOR_PIPELINE_STEP_H
#define MR_INGESTOR_PIPELINE_STEP_H

#include "ingestor/pipeline.h"

typedef struct MrPipelineStep
{
	MrFetchState before;
	MrMoment at;
	MrEffects effects;
} MrPipelineStep;

extern void mr_pipeline_step_begin(const MrPipeline *pl, const MrFetchPartition *part,
								   MrPipelineStep *step);
extern void mr_pipeline_step_end(MrPipeline *pl, MrFetchPartition *part,
								 const MrPipelineStep *step);

/* NULL when the group never gave it to us. */
extern MrFetchPartition *mr_pipeline_partition(const MrPipeline *pl, int32_t number);
extern MrStageLane *mr_pipeline_lane_of(const MrPipeline *pl, const MrFetchPartition *part);
/* Its entry in the filling batch of its lane; position: before what is added to it. */
static inline MrStageEntry *
mr_pipeline_entry_of(MrPipeline *pl, const MrFetchPartition *part, int64_t position)
{
	MrPipelineRoute *route = &pl->routes[part->number];

	return mr_lane_entry(route->lane, &route->slot, part->number, part->epoch, position);
}
/* Gives partitions a row that have none. */
extern void mr_pipeline_find_starts(MrPipeline *pl);

#endif
