/* One thread of the API: an event loop with its HTTP server, its connections to PostgreSQL, and its counters. */
#ifndef MR_API_WORKER_H
#define MR_API_WORKER_H

#include "api/control/settings.h"
#include "api/database/pool.h"
#include "api/describe.h"
#include "api/request/stream.h"
#include "api/resource/claim.h"
#include "api/resource/context.h"
#include "api/wire/inherited.h"

typedef struct MrWorker MrWorker;

/* What all workers share; it outlives them. */
typedef struct MrWorkerSetup
{
	const MrApiSettings *settings;
	const MrInherited *inherited; /* sockets to listen on; without any: */
	const char *address;          /* to listen on, without the port */
	MrCanceller *canceller;
	MrSharedRelation *relation;
	const MrDescribe *describe; /* what finds it */
	MrSharedKeys *keys;
	MrEventTail *tail;
	struct MrStatisticsSource *statistics;
	struct MrEventWaitSource *waits; /* NULL: nothing is published */
	unsigned anonymous;              /* scopes of requests without a key */
	const MrEdge *edge;
	MrBudget *budget;
	MrTls *tls; /* NULL: in clear text */
	const MrCursorSecret *secret;
	MrProducer *producer; /* NULL: nothing is published */
} MrWorkerSetup;

/* The pools of a thread. */
typedef enum MrWorkerPool
{
	MR_POOL_READ,
	MR_POOL_OPERATE, /* --operate-dsn */
	MR_POOL_KEYS,    /* of Idempotency-Key */
	MR_POOLS
} MrWorkerPool;

/* What the main thread reads of a worker. */
typedef struct MrWorkerState
{
	MrPoolState pools[MR_POOLS];
	bool has_pool[MR_POOLS];
	MrStreamState streams;
	MrClaimCounts claims; /* zeros when nothing is published */
	int connections;
	int busy;
	int64_t tick_ms; /* when its loop last turned */
	bool accepts;    /* it takes connections; one that can answer nothing waits a while */
} MrWorkerState;

/*
 * Listens, as worker `number` of them, from 0; *port is the port to use, and becomes the one that is used. Starts the thread.
 * NULL, and a message, on failure.
 */
extern MrWorker *mr_worker_new(const MrWorkerSetup *setup, int number, int *port, char *error,
							   size_t error_size) __attribute__((warn_unused_result));
extern void mr_worker_state(MrWorker *worker, MrWorkerState *state);
extern MrRouteStats *mr_worker_stats(MrWorker *worker);
/* Asks it to end: requests in flight are answered, for drain_ms at most. */
extern void mr_worker_stop(MrWorker *worker, int64_t drain_ms);
extern bool mr_worker_has_ended(const MrWorker *worker);
/* Waits for its end. */
extern void mr_worker_free(MrWorker *worker);

#endif
