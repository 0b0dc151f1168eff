/*
 * The one reader of the relation's tail: a statement each MR_TAIL_POLL_MS reads what has been committed, for all streams
 * of all threads, and hands it to each thread as a page. It has its own connection, and runs on the main thread's loop.
 *
 * Streams with the same parameters are a group, a column of that statement. Joins are numbered: a page whose number is
 * not below a join's has what that group gets, and so have all behind it.
 */
#ifndef MR_API_EVENT_TAIL_H
#define MR_API_EVENT_TAIL_H

#include <event2/event.h>

#include "api/database/pool.h"
#include "api/request/params.h"
#include "api/resource/context.h"
#include "api/resource/tail_reader.h"

#define MR_TAIL_POLL_MS 100
#define MR_TAIL_GROUPS  16 /* different ones at a time */
#define MR_CATCH_UPS    8  /* streams of the process that read what the tail has passed */

extern MrEventTail *mr_event_tail_new(struct event_base *base, const MrPoolSetup *pool,
									  MrSharedRelation *relation);
/* After its readers. */
extern void mr_event_tail_free(MrEventTail *tail);

/* A thread that gets its pages from here on, and until it is detached. */
extern void mr_event_tail_attach(MrEventTail *tail, MrTailReader *reader);
extern void mr_event_tail_detach(MrEventTail *tail, MrTailReader *reader);

/* Any thread. Returns the group, and the number of the join; -1: there are too many, or with too many values. */
extern int mr_event_tail_join(MrEventTail *tail, const MrParams *params, int values,
							  uint64_t *joined);
extern void mr_event_tail_leave(MrEventTail *tail, int group);
/* One of the catch-ups; false: all are taken. */
extern bool mr_event_tail_take_slot(MrEventTail *tail);
extern void mr_event_tail_give_slot(MrEventTail *tail);

#endif
