/* From a Kafka message to a row of a batch. Pure: no allocation but a buffer that is kept. */
#ifndef MR_INGESTOR_MESSAGE_H
#define MR_INGESTOR_MESSAGE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "ingestor/stage/copy_row.h"

/*
 * The row points into the message, and into memory that is valid until the next call. A message of more than
 * max_bytes (key, headers and payload together) is over-size: true, its payload is left out, and *full_crc is that
 * of key and payload as they came. Main thread only.
 */
extern bool mr_message_row(const rd_kafka_message_t *message, int64_t max_bytes, MrCopyRow *row,
						   uint32_t *full_crc);

/* Headers packed as segment tables hold them (common/staging_format.h). */
extern void mr_headers_pack(const rd_kafka_headers_t *headers, MrBuffer *out);

#endif
