/*
 * What has become of the events that requests of all threads wait for: on the main thread's loop and a connection of its own
 * one statement at a time asks for all of them (millrace.final_events()), every MR_WAIT_POLL_MS while there are any. A thread
 * is woken by its loop for those that are final.
 */
#ifndef MR_API_EVENT_WAIT_SOURCE_H
#define MR_API_EVENT_WAIT_SOURCE_H

#include "api/database/pool.h"
#include "api/request/coordinate.h"

#define MR_WAITS_MAX    50000 /* events of the process */
#define MR_WAIT_POLL_MS 50

typedef struct MrEventWaitSource MrEventWaitSource;
typedef struct MrEventWaitReader MrEventWaitReader;
typedef struct MrAwaited MrAwaited; /* an event, of a reader */

/* The pool is for it alone: one connection is enough. */
extern MrEventWaitSource *mr_event_wait_source_new(const MrPoolSetup *pool, const char *topic);
/* After its readers. */
extern void mr_event_wait_source_free(MrEventWaitSource *source);

/* A thread, with the eventfd that wakes it when there is something to take. From any thread, as all below. */
extern MrEventWaitReader *mr_event_wait_source_attach(MrEventWaitSource *source, int fd);
/* All that it awaited is taken or forgotten. */
extern void mr_event_wait_source_detach(MrEventWaitReader *reader);
/* NULL: the process awaits too many. */
extern MrAwaited *mr_await(MrEventWaitReader *reader, const MrCoordinate *event, bool is_named,
						   void *owner);
extern void mr_awaited_forget(MrAwaited *awaited);
/*
 * The owner of an event that is final, which is not awaited any more; NULL: there is none, for now. *pipelines: a JSON array,
 * with the state in each pipeline when it is named; the caller frees it.
 */
extern void *mr_event_wait_take(MrEventWaitReader *reader, char **pipelines);

#endif
