/* What the handlers of one thread stand on: the context of its exchanges. */
#ifndef MR_API_CONTEXT_H
#define MR_API_CONTEXT_H

#include <stdatomic.h>

#include "api/database/pool.h"
#include "api/database/relation.h"
#include "api/publish/producer.h"
#include "api/request/cursor.h"
#include "api/request/exchange.h"

/* The relation behind /events, NULL until the server has described it; the main thread sets it. */
typedef _Atomic(const MrRelation *) MrSharedRelation;

struct MrStatistics;
struct MrStatisticsFeed;
struct MrEventFeed;
struct MrClaims;
struct MrEventWaits;
typedef struct MrEventTail MrEventTail; /* event_tail.h */

typedef struct MrContext
{
	MrPool *pool;
	MrPool *operate_pool; /* NULL: nothing is operated */
	struct MrStatistics *statistics;
	struct MrStatisticsFeed *feed;
	struct MrEventFeed *event_feed;
	MrSharedRelation *relation;
	const MrCursorSecret *secret;
	MrOutbox *outbox;           /* NULL: nothing is published */
	struct MrClaims *claims;    /* of Idempotency-Keys; NULL with the outbox */
	struct MrEventWaits *waits; /* for events to be processed; the same */
	const char *topic;          /* that is published to */
	MrBudget *budget;           /* of what goes on without its client */
} MrContext;

static inline const MrContext *
mr_context_of(const MrExchange *exchange)
{
	return exchange->setup->context;
}

#endif
