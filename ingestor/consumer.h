/*
 * The Kafka consumer of one pipeline: librdkafka handle, group membership, and what is fetched.
 *
 * Membership and fetching are kept apart. The rebalance callback only notes what the group gave
 * or took, and answers at once; a partition is handed to librdkafka's fetcher (incremental_assign,
 * always with an explicit offset) when PostgreSQL has said where to begin, and taken from it
 * (incremental_unassign) to seek, to hold and to stop. Each hand-over raises the partition's
 * version barrier inside librdkafka, so that messages fetched before it are never seen after it;
 * seek and pause are not used.
 */
#ifndef MR_INGESTOR_CONSUMER_H
#define MR_INGESTOR_CONSUMER_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

#include "ingestor/assignment.h"
#include "ingestor/control/settings.h"

typedef struct MrConsumer MrConsumer;

/* Joins the group. NULL and a message on failure. */
extern MrConsumer *mr_consumer_new(struct MrPipeline *pl, struct event_base *base,
								   const MrSettings *settings, int64_t buffer_bytes, char *error,
								   size_t error_size) __attribute__((warn_unused_result));
/* Fetch the partition from an offset, or not at all; takes effect before the next message. */
extern void mr_consumer_fetch(MrConsumer *consumer, MrPartition *part, bool fetch, int64_t from);
/* Look at the queue soon. */
extern void mr_consumer_wake(MrConsumer *consumer);
/* Writes offsets to the group, best effort. */
extern void mr_consumer_commit(MrConsumer *consumer, rd_kafka_topic_partition_list_t *offsets);
/* Leaves the group; goes on in the background until is_closed. */
extern void mr_consumer_close(MrConsumer *consumer);
extern bool mr_consumer_is_closed(const MrConsumer *consumer);
/* The group has answered at least once. */
extern bool mr_consumer_has_joined(const MrConsumer *consumer);
/* librdkafka gave up: the handle must be made anew. */
extern bool mr_consumer_is_fatal(const MrConsumer *consumer);
extern rd_kafka_t *mr_consumer_handle(const MrConsumer *consumer);
/* Messages fetched and not yet taken. */
extern size_t mr_consumer_queued(const MrConsumer *consumer);
extern void mr_consumer_free(MrConsumer *consumer);

#endif
