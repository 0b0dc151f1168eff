/* How long a topic keeps its messages. Blocking: for the resolver's thread. */
#ifndef MR_INGESTOR_RETENTION_H
#define MR_INGESTOR_RETENTION_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_RETENTION_FOR_EVER (-1)

/* False when the cluster did not say, or does not let us ask; the reason is in error. */
extern bool mr_retention_ask(rd_kafka_t *rk, const char *topic, int timeout_ms,
							 int64_t *retention_ms, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* From retention.ms and cleanup.policy as the broker spells them; false: not understood. */
extern bool mr_retention_parse(const char *retention, const char *policy, int64_t *retention_ms)
	__attribute__((warn_unused_result));

#endif
