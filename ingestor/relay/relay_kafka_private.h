/* What relay_kafka.c, relay_scan.c and relay_topic.c share; nobody else includes it. */
#ifndef MR_INGESTOR_RELAY_KAFKA_PRIVATE_H
#define MR_INGESTOR_RELAY_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>

#include "ingestor/relay/relay_kafka.h"

struct MrRelayKafka
{
	MrRelayTarget target;
	rd_kafka_t *producer;
	rd_kafka_t *reader;
	rd_kafka_topic_t *topic; /* of the reader */
	int partitions;          /* of the DLQ topic */
	int64_t *published;      /* by partition: behind the last message that we published */
	bool in_transaction;
	bool forgotten;              /* delivery reports have nowhere to go any more */
	int under_way;               /* messages produced, not yet reported on */
	rd_kafka_resp_err_t failure; /* of the batch under way */
	rd_kafka_resp_err_t refused; /* why a step failed last */
	char last_error[256];        /* what the client last complained of */
};

#endif
