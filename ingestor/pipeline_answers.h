/* Answers of the catalogue and the broker, each a step of the partition it is about. */
#ifndef MR_INGESTOR_PIPELINE_ANSWERS_H
#define MR_INGESTOR_PIPELINE_ANSWERS_H

#include "ingestor/pipeline.h"

extern const MrPipelineAnswers mr_pipeline_answers;

/* So many partitions have a row in the catalogue: those that waited for theirs are assigned. */
extern void mr_pipeline_set_known(MrPipeline *pl, int known);

#endif
