/* How a pipeline's consumer is configured: our defaults, the user's -X properties, and what correctness rests on. */
#ifndef MR_INGESTOR_CONSUMER_CONF_H
#define MR_INGESTOR_CONSUMER_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingestor/control/settings.h"

/* group_id NULL: it only checks. buffer_bytes: of messages fetched and not yet taken. NULL and a message on failure. */
extern rd_kafka_conf_t *mr_consumer_conf_new(const char *group_id, const MrSettings *settings,
											 int64_t buffer_bytes, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* Would librdkafka take these properties? Asked at the start of the program. */
extern bool mr_consumer_conf_check(const MrSettings *settings, char *error, size_t error_size)
	__attribute__((warn_unused_result));

#endif
