/*
 * What librdkafka reports to a consumer outside of its messages: partitions granted and revoked by the group, and errors.
 * The main thread only, from inside rd_kafka_consume_queue().
 */
#ifndef MR_INGESTOR_CONSUMER_GROUP_H
#define MR_INGESTOR_CONSUMER_GROUP_H

#include <librdkafka/rdkafka.h>

#include "ingestor/fetch/consumer.h"

/* Callbacks of librdkafka; opaque is the MrConsumer. */
extern void mr_consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
									 rd_kafka_topic_partition_list_t *list, void *opaque);
extern void mr_consumer_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque);

/* To the consumer's owner, unless it passes by itself. */
extern void mr_consumer_report_failed(MrConsumer *consumer, int32_t partition,
									  MrFetchFailure failure, const char *text);

#endif
