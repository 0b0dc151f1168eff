/*
 * The streams of one thread over the rows of the relation. A stream begins at its position, or at the present, and reads
 * pages of its own (it catches up) until it is where the tail's last page ended; from then on it gets the tail's.
 *
 *   CHECKED --(begun)--> CATCHING UP --(at the end of the tail's last page, which had its group)--> LIVE
 *                          |  ^ one statement after the other, while the client takes what it gets
 *                          '--'
 */
#ifndef MR_API_EVENT_FEED_H
#define MR_API_EVENT_FEED_H

#include <event2/event.h>

#include "api/request/exchange.h"
#include "api/resource/event_tail.h"

typedef struct MrEventFeed MrEventFeed;

typedef struct MrEventFeedSetup
{
	MrPool *pool;
	int64_t heartbeat_ms; /* without an event, a stream gets where it is */
	size_t unsent_bytes;  /* with more, a stream that catches up waits for its client */
} MrEventFeedSetup;

extern MrEventFeed *mr_event_feed_new(struct event_base *base, MrEventTail *tail,
									  const MrEventFeedSetup *setup);
/* After the exchanges. */
extern void mr_event_feed_free(MrEventFeed *feed);
/* Call it every 50 ms or so. */
extern void mr_event_feed_tick(MrEventFeed *feed, int64_t now_ms);
/* Answers with a stream of the rows that the request's parameters choose. */
extern void mr_event_feed_join(MrEventFeed *feed, MrExchange *exchange, const MrRelation *relation);

#endif
