/* From a Kafka message to a row of the partition's lane. */
#ifndef MR_INGESTOR_MESSAGE_H
#define MR_INGESTOR_MESSAGE_H

#include <librdkafka/rdkafka.h>

#include "ingestor/pipeline.h"

/* The partition is FLOWING and the message is the next of it. */
extern void mr_message_stage(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message);

/* Headers packed as segment tables hold them (common/staging_format.h). */
extern void mr_headers_pack(const rd_kafka_headers_t *headers, MrBuffer *out);

#endif
