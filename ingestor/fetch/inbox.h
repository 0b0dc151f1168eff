/*
 * Messages that were fetched and not yet handed on, in the order in which they came. librdkafka's own queue cannot be
 * used for that: when it is full by its limits, versions before 2.2 sleep for up to a second, and its limits are fixed
 * when the handle is made. So the consumer takes what comes, and stops fetching when its share of the budget is full.
 *
 * The main thread only.
 */
#ifndef MR_INGESTOR_INBOX_H
#define MR_INGESTOR_INBOX_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "ingestor/fetch/budget.h"

typedef struct MrInboxItem
{
	rd_kafka_message_t *message;
	int32_t number;   /* of its partition, -1: of none */
	uint32_t version; /* of its partition in the fetch table, when it came */
} MrInboxItem;

/* All zero to begin with, but the share, which has joined a budget. */
typedef struct MrInbox
{
	MrInboxItem *items; /* a ring; its size is a power of two */
	size_t size;
	size_t first;
	size_t count;
	MrFetchShare share;
} MrInbox;

/* Takes the message over. */
extern void mr_inbox_put(MrInbox *inbox, rd_kafka_message_t *message, int32_t number,
						 uint32_t version);
/* The oldest one, which is the caller's to destroy from now on; message NULL: there is none. */
extern MrInboxItem mr_inbox_take(MrInbox *inbox);
extern void mr_inbox_free(MrInbox *inbox);

#endif
