/*
 * What the tail has read with one statement, made ready for all streams of all threads: for each group of readers its
 * events as one text. Threads share pages; the last one that gives it back frees it.
 */
#ifndef MR_API_EVENT_PAGE_H
#define MR_API_EVENT_PAGE_H

#include <libpq-fe.h>
#include <stdint.h>

#include "api/control/shared_text.h"
#include "api/resource/event_position.h"

typedef enum MrPageKind
{
	MR_PAGE_EVENTS,
	MR_PAGE_PROBLEM, /* the tail cannot read now; it goes on where it was */
	MR_PAGE_RESET    /* it cannot go on: streams that follow it are closed */
} MrPageKind;

typedef struct MrEventPage MrEventPage;

/* The caller has the first reference. `end`: where a reader is behind it; is emptied. joined: see event_tail.h. */
extern MrEventPage *mr_event_page_new(MrPageKind kind, MrEventPosition *end, uint64_t joined);
extern MrEventPage *mr_event_page_hold(MrEventPage *page);
extern void mr_event_page_release(MrEventPage *page);
/* Adds what a group gets; takes the text over. Before the page is shared. */
extern void mr_event_page_add(MrEventPage *page, int group, MrSharedText *text);

extern MrPageKind mr_event_page_kind(const MrEventPage *page);
extern const MrEventPosition *mr_event_page_end(const MrEventPage *page);
extern uint64_t mr_event_page_joined(const MrEventPage *page);
/* NULL: nothing; of a problem the text is for all groups. */
extern MrSharedText *mr_event_page_text(const MrEventPage *page, int group);

/*
 * Makes the events of one group (a column) of a result of event_follow.h; NULL: there are none. `from` is where it was
 * read from, with until set.
 */
extern MrSharedText *mr_event_page_events(const PGresult *result, int column, const char *system,
										  const MrEventPosition *from);
/* Where a reader is behind a result; until as above. Allocates a new position. */
extern MrEventPosition mr_event_page_behind(const PGresult *result, const MrEventPosition *from);

#endif
