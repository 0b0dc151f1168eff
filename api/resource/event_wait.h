/*
 * Requests that wait until their event is processed (POST /events?wait=processed). One statement at a time asks for all that
 * wait on a thread which of them have reached a final state (millrace.final_events()).
 */
#ifndef MR_API_EVENT_WAIT_H
#define MR_API_EVENT_WAIT_H

#include <event2/event.h>

#include "api/database/pool.h"
#include "api/request/coordinate.h"

#define MR_WAITS_MAX    50000 /* events of a thread */
#define MR_WAIT_POLL_MS 50

typedef struct MrEventWaits MrEventWaits;
typedef struct MrEventWait MrEventWait;

/* pipelines: a JSON array, with the state in each pipeline when it is named; NULL: the time is over. The wait is gone. */
typedef void (*MrEventWaitEnd)(void *owner, const char *pipelines);

extern MrEventWaits *mr_event_waits_new(struct event_base *base, MrPool *pool, const char *topic);
/* All waits end as if their time was over, and so do those to come: the service stops. */
extern void mr_event_waits_drain(MrEventWaits *waits);
/* After its waits have ended or been abandoned, before the pool. */
extern void mr_event_waits_free(MrEventWaits *waits);

/* `end` comes from the loop, not before this returns. NULL: too many wait. */
extern MrEventWait *mr_event_wait(MrEventWaits *waits, const MrCoordinate *event, bool is_named,
								  int64_t wait_ms, MrEventWaitEnd end, void *owner)
	__attribute__((warn_unused_result));
extern void mr_event_wait_abandon(MrEventWait *wait);

#endif
