/* Errors of the Kafka client: what one means to its partition, and to its pipeline. */
#ifndef MR_INGESTOR_FAILURE_H
#define MR_INGESTOR_FAILURE_H

#include <librdkafka/rdkafka.h>

#include "ingestor/fetch/kafka_trouble.h"

typedef enum MrFetchFailure
{
	MR_FAILURE_PASSING,      /* librdkafka tries again by itself; no message is lost */
	MR_FAILURE_OUT_OF_RANGE, /* the broker does not have the offset to fetch from */
	MR_FAILURE_CORRUPT,      /* a message set that the client cannot read */
	MR_FAILURE_NO_TOPIC,     /* the topic, or the partition, is gone */
	MR_FAILURE_NOT_STARTED   /* librdkafka refused to fetch it */
} MrFetchFailure;

extern MrFetchFailure mr_fetch_failure(rd_kafka_resp_err_t err);

/*
 * Keeps an error as the pipeline's trouble, but not where the partition's own state says so, as it is stopped or assigned
 * again. partition -1: of none. Returns the level to log it at (common/trouble.h).
 */
extern MrLogLevel mr_fetch_note_error(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err,
									  int32_t partition, const char *text);

/* Logs an error, and frees it; nothing for NULL. */
extern void mr_fetch_log_error(const char *pipeline, const char *what, rd_kafka_error_t *error);

#endif
