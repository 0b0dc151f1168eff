/*
 * The consumer's events, each a step of the partition it is about, and the way of a message from the consumer to its
 * lane.
 */
#ifndef MR_INGESTOR_PIPELINE_CONSUME_H
#define MR_INGESTOR_PIPELINE_CONSUME_H

#include "ingestor/pipeline.h"

extern const MrConsumerEvents mr_pipeline_consumer_events;

/* The group membership is gone. */
extern void mr_pipeline_revoke_all(MrPipeline *pl);

#endif
