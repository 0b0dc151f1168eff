/*
 * Requests of one thread that wait until their event is processed (POST /events?wait=processed). What has become of it they
 * hear from one source, which asks for all threads.
 */
#ifndef MR_API_EVENT_WAIT_H
#define MR_API_EVENT_WAIT_H

#include <event2/event.h>

#include "api/resource/event_wait_source.h"

typedef struct MrEventWaits MrEventWaits;
typedef struct MrEventWait MrEventWait;

/* pipelines: a JSON array, with the state in each pipeline when it is named; NULL: the time is over. The wait is gone. */
typedef void (*MrEventWaitEnd)(void *owner, const char *pipelines);

/* The source must outlive it. */
extern MrEventWaits *mr_event_waits_new(struct event_base *base, MrEventWaitSource *source);
/* All waits end as if their time was over, and so do those to come: the service stops. */
extern void mr_event_waits_drain(MrEventWaits *waits);
/* After its waits have ended or been abandoned. */
extern void mr_event_waits_free(MrEventWaits *waits);

/* `end` comes from the loop, not before this returns. NULL: too many wait. */
extern MrEventWait *mr_event_wait(MrEventWaits *waits, const MrCoordinate *event, bool is_named,
								  int64_t wait_ms, MrEventWaitEnd end, void *owner)
	__attribute__((warn_unused_result));
extern void mr_event_wait_abandon(MrEventWait *wait);

#endif
