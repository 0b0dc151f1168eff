/*
 * librdkafka configuration shared by the programs: layers of name=value (our defaults, the user's
 * -X properties, what we insist on) and its log lines sent to our log.
 */
#ifndef MR_COMMON_KAFKA_CONF_H
#define MR_COMMON_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/options.h"

typedef struct MrKafkaProperty
{
	const char *name;
	const char *value; /* NULL: left as it is; forced: ours to choose, and not known here */
} MrKafkaProperty;

/*
 * defaults and forced end with a NULL name. NULL on failure, with the reason in error; a user's
 * property that is forced to be something else is a failure.
 */
extern rd_kafka_conf_t *mr_kafka_conf_new(const MrKafkaProperty *defaults, const MrStrings *user,
										  const MrKafkaProperty *forced, char *error,
										  size_t error_size) __attribute__((warn_unused_result));

/* The log callback of such a configuration. */
extern void mr_kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);

/* Does the user's list name this property? */
extern bool mr_kafka_conf_has(const MrStrings *user, const char *name);

#endif
