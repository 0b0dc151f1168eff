/* The DLQ topic itself: how many partitions it has, and creating it when it does not exist. */
#ifndef MR_INGESTOR_RELAY_TOPIC_H
#define MR_INGESTOR_RELAY_TOPIC_H

#include "ingestor/relay/relay_kafka.h"

/* Sets kafka->partitions. Uses the reader's handle: a producer's may create what it asks for. */
extern bool mr_relay_topic_prepare(MrRelayKafka *kafka, char *error)
	__attribute__((warn_unused_result));

#endif
