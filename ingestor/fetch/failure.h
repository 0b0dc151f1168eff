/* What an error of the Kafka client means to the partition that it is about. Pure. */
#ifndef MR_INGESTOR_FAILURE_H
#define MR_INGESTOR_FAILURE_H

#include <librdkafka/rdkafka.h>

typedef enum MrFetchFailure
{
	MR_FAILURE_PASSING,      /* librdkafka tries again by itself; no message is lost */
	MR_FAILURE_OUT_OF_RANGE, /* the broker does not have the offset to fetch from */
	MR_FAILURE_CORRUPT,      /* a message set that the client cannot read */
	MR_FAILURE_NO_TOPIC,     /* the topic, or the partition, is gone */
	MR_FAILURE_NOT_STARTED   /* librdkafka refused to fetch it */
} MrFetchFailure;

extern MrFetchFailure mr_fetch_failure(rd_kafka_resp_err_t err);

#endif
