/* How a thread gets the pages of the tail: a queue that others put into, and an event of its own loop. */
#ifndef MR_API_TAIL_READER_H
#define MR_API_TAIL_READER_H

#include <event2/event.h>

#include "api/resource/event_page.h"

#define MR_TAIL_QUEUED_MAX                                                                         \
	1000 /* pages that a thread may leave unread; then its streams are closed */

typedef struct MrTailReader MrTailReader;

/* A page, in the order in which they were put; on the reader's loop. The callee holds it if it needs it longer. */
typedef void (*MrTailPage)(void *owner, MrEventPage *page);

extern MrTailReader *mr_tail_reader_new(struct event_base *base, MrTailPage page, void *owner);
/* Any thread; the page is held. */
extern void mr_tail_reader_put(MrTailReader *reader, MrEventPage *page);
extern void mr_tail_reader_free(MrTailReader *reader);

#endif
