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
/* Gives partitions a row that have none. */
extern void mr_pipeline_find_starts(MrPipeline *pl);

#endif
