/* What consumer.c, consumer_hand_on.c and consumer_group.c share; nobody else includes it. */
#ifndef MR_INGESTOR_CONSUMER_PRIVATE_H
#define MR_INGESTOR_CONSUMER_PRIVATE_H

#include "ingestor/fetch/consumer.h"
#include "ingestor/fetch/fetch_table.h"
#include "ingestor/fetch/inbox.h"

/* A partition that the group gave us and that has no number yet. */
typedef struct MrUnnumbered
{
	char *topic;
	int32_t partition;
} MrUnnumbered;

struct MrConsumer
{
	MrConsumerSetup setup;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_queue_t *closing; /* takes the last rebalance events while we leave */
	int wake_fd;
	struct event *readable; /* librdkafka put something into the empty queue */
	struct event *again;    /* we want to go on taking, or to look */
	MrFetchTable fetches;
	MrInbox inbox;
	MrUnnumbered *unnumbered;
	int unnumbered_count;
	int64_t queue_bytes; /* payloads in librdkafka's queue at which it is full */
	int64_t heard_ms;    /* when something came, or fetching began */
	bool may_sleep;      /* librdkafka's thread, since fetching stopped */
	bool blocked;
	bool subscribed;
	bool joined;
	bool closed;
};

#endif
