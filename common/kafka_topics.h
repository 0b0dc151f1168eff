/* Topics for development use, made with the admin API (--create-topic). */
#ifndef MR_COMMON_KAFKA_TOPICS_H
#define MR_COMMON_KAFKA_TOPICS_H

#include <stdbool.h>

#include "common/options.h"

/* NAME:partitions[:replication[:retention_ms]] for each item; false when one failed (logged). */
extern bool mr_kafka_create_topics(const MrStrings *specs, const char *brokers,
								   const MrStrings *user);

#endif
