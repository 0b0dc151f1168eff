/* How a pipeline's consumer is configured: our defaults, the user's -X properties, and what correctness rests on. */
#ifndef MR_INGESTOR_CONSUMER_CONF_H
#define MR_INGESTOR_CONSUMER_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingestor/control/settings.h"
#include "ingestor/fetch/topics.h"

/* group_id NULL: it only checks. response_bytes: what one holds at most, compressed. NULL and a message on failure. */
extern rd_kafka_conf_t *mr_consumer_conf_new(const char *group_id, const MrSettings *settings,
											 int64_t response_bytes, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* Payloads in librdkafka's own queue at which it stops fetching. */
extern int64_t mr_consumer_conf_queue_bytes(const MrSettings *settings);
/* Would librdkafka take these properties? Asked at the start of the program. */
extern bool mr_consumer_conf_check(const MrSettings *settings, char *error, size_t error_size)
	__attribute__((warn_unused_result));

/* Called by rd_kafka_consume_queue() and rd_kafka_poll(), with the opaque pointer of mr_consumer_open(). */
typedef struct MrConsumerCallbacks
{
	void (*rebalance)(rd_kafka_t *rk, rd_kafka_resp_err_t err,
					  rd_kafka_topic_partition_list_t *list, void *opaque);
	void (*error)(rd_kafka_t *rk, int err, const char *reason, void *opaque);
} MrConsumerCallbacks;

/* A consumer's handle, configured so. NULL and a message on failure. */
extern rd_kafka_t *mr_consumer_open(const char *group_id, const MrSettings *settings,
									int64_t response_bytes, const MrConsumerCallbacks *callbacks,
									void *opaque, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* Joins the group for the topics, leaves it when there is none. False and a message on failure. */
extern bool mr_consumer_subscribe(rd_kafka_t *rk, const MrTopics *topics, char *error,
								  size_t error_size) __attribute__((warn_unused_result));

#endif
