/*
 * The Kafka consumer of one pipeline: librdkafka handle, group membership, and what is fetched from where.
 *
 * Membership and fetching are kept apart. The rebalance callback only notes what the group gave
 * or took, and answers at once; a partition is handed to librdkafka's fetcher (incremental_assign,
 * always with an explicit offset) when PostgreSQL has said where to begin, and taken from it
 * (incremental_unassign) to seek, to hold and to stop. Each hand-over raises the partition's
 * version barrier inside librdkafka, so that messages fetched before it are never seen after it;
 * seek and pause are not used.
 *
 * Messages are taken from librdkafka as they come (inbox.h). When they fill the consumer's share of the budget, fetching
 * stops; it goes on behind the last one when most of them have been handed on.
 *
 * The main thread only. Callbacks may call any function below but mr_consumer_free.
 */
#ifndef MR_INGESTOR_CONSUMER_H
#define MR_INGESTOR_CONSUMER_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

#include "ingestor/control/settings.h"
#include "ingestor/fetch/budget.h"
#include "ingestor/fetch/failure.h"
#include "ingestor/fetch/kafka_trouble.h"
#include "ingestor/fetch/topics.h"

typedef struct MrConsumer MrConsumer;

typedef struct MrConsumerEvents
{
	/* The group gave us the partition, or takes it: nothing of it comes after `revoked`. */
	void (*granted)(void *owner, int32_t partition);
	void (*revoked)(void *owner, int32_t partition);
	/* It gave us one that has no number yet: mr_consumer_numbered() when it has. */
	void (*unnumbered)(void *owner);
	/* The next message of a partition that is fetched as ordered last; it is freed after the call. */
	void (*message)(void *owner, int32_t partition, const rd_kafka_message_t *message);
	/* There is nothing below `offset` that was not seen. */
	void (*end)(void *owner, int32_t partition, int64_t offset);
	void (*failed)(void *owner, int32_t partition, MrFetchFailure failure, const char *text);
	/* Messages were taken until the queue was empty, the consumer was blocked, or (more) it is others' turn. */
	void (*taken)(void *owner, bool more);
} MrConsumerEvents;

/* What happened since the pipeline began; kept by the owner, as it outlives a consumer. */
typedef struct MrConsumerCounts
{
	uint64_t rebalances;
	uint64_t errors;
	MrKafkaTrouble trouble;
	int64_t heard_ms; /* when a partition last gave a message or its end (mr_now_ms) */
} MrConsumerCounts;

/* Texts, topics, budget, counts and events must outlive the consumer. */
typedef struct MrConsumerSetup
{
	struct event_base *base;
	const MrSettings *settings;
	const char *pipeline; /* for the log */
	MrTopics *topics;
	const char *group_id;
	MrFetchBudget *budget;
	MrConsumerCounts *counts;
	const MrConsumerEvents *events;
	void *owner;
} MrConsumerSetup;

/* Joins the group, if there is a topic. NULL and a message on failure. */
extern MrConsumer *mr_consumer_new(const MrConsumerSetup *setup, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/*
 * Fetch a partition from an offset, or not at all. Takes effect before the next message; until then messages of it
 * are dropped.
 */
extern void mr_consumer_fetch(MrConsumer *consumer, int32_t partition, int64_t from);
extern void mr_consumer_stop(MrConsumer *consumer, int32_t partition);
/* While blocked, messages are not handed on; the rest goes on. */
extern void mr_consumer_block(MrConsumer *consumer, bool blocked);
/* The offset below which all is settled; mr_consumer_commit writes what is new to the group, best effort. */
extern void mr_consumer_settled(MrConsumer *consumer, int32_t partition, int64_t offset);
extern void mr_consumer_commit(MrConsumer *consumer);
/* Leaves the group; goes on in the background until is_closed. */
extern void mr_consumer_close(MrConsumer *consumer);
extern bool mr_consumer_is_closed(const MrConsumer *consumer);
/* The group has answered at least once. */
extern bool mr_consumer_has_joined(const MrConsumer *consumer);
/* librdkafka gave up: a new consumer is needed. */
extern bool mr_consumer_is_fatal(const MrConsumer *consumer);
extern rd_kafka_t *mr_consumer_handle(const MrConsumer *consumer);
/* The end of a partition as the last fetch saw it, -1 = not known. No request is made. */
extern int64_t mr_consumer_end(const MrConsumer *consumer, int32_t partition);
/* Messages fetched and not yet handed on, and the memory that they take. */
extern size_t mr_consumer_queued(const MrConsumer *consumer);
extern int64_t mr_consumer_queued_bytes(const MrConsumer *consumer);
extern void mr_consumer_free(MrConsumer *consumer);

#endif
