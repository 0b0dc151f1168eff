/*
 * The topics of a consumer, and what librdkafka reports of them outside of its messages: partitions granted and revoked by
 * the group, and errors.
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

/* The topics to read are others now; the partitions of those that stay are kept. */
extern void mr_consumer_subscribe_again(MrConsumer *consumer);
/* Partitions may have got numbers: those that wait for one are granted. */
extern void mr_consumer_numbered(MrConsumer *consumer);
/* How many partitions that the group gave us have no number, and the topic of one. */
extern int mr_consumer_unnumbered(const MrConsumer *consumer);
extern const char *mr_consumer_unnumbered_topic(const MrConsumer *consumer, int i);

/* The number of a partition of one of librdkafka's lists, -1: it has none. */
extern int32_t mr_consumer_number_of(const MrConsumer *consumer,
									 const rd_kafka_topic_partition_t *item);
extern void mr_consumer_forget_unnumbered(MrConsumer *consumer);

#endif
