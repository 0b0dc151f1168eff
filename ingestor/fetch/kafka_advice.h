/* What to do about an error of Kafka, by its code. Pure. */
#ifndef MR_INGESTOR_KAFKA_ADVICE_H
#define MR_INGESTOR_KAFKA_ADVICE_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "ingestor/control/settings.h"

/*
 * Writes one line: a command for a shell where one does it (a comment behind it says what it still needs), else a
 * sentence. "" where there is nothing to say. No secret is in it: of the settings it names the brokers and the config file.
 */
extern void mr_kafka_advice(rd_kafka_resp_err_t err, const char *topic, const char *group_id,
							const MrSettings *settings, char *out, size_t out_size);

#endif
