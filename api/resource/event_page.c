#include "api/resource/event_page.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "api/request/sse.h"
#include "api/resource/event_follow.h"

typedef struct Item
{
	int group;
	MrSharedText *text;
} Item;

struct MrEventPage
{
	atomic_int references;
	MrPageKind kind;
	MrEventPosition end;
	uint64_t joined;
	Item *items;
	int count;
};

MrEventPage *
mr_event_page_new(MrPageKind kind, MrEventPosition *end, uint64_t joined)
{
	MrEventPage *page = mr_calloc(1, sizeof(*page));

	atomic_init(&page->references, 1);
	page->kind = kind;
	page->end = *end;
	*end = (MrEventPosition){0};
	page->joined = joined;
	return page;
}

MrEventPage *
mr_event_page_hold(MrEventPage *page)
{
	atomic_fetch_add(&page->references, 1);
	return page;
}

void
mr_event_page_release(MrEventPage *page)
{
	if (atomic_fetch_sub(&page->references, 1) > 1)
		return;
	for (int i = 0; i < page->count; i++)
		mr_shared_text_release(page->items[i].text);
	free(page->items);
	mr_event_position_free(&page->end);
	free(page);
}

void
mr_event_page_add(MrEventPage *page, int group, MrSharedText *text)
{
	page->items = mr_realloc(page->items, sizeof(*page->items) * (size_t) (page->count + 1));
	page->items[page->count++] = (Item){group, text};
}

MrPageKind
mr_event_page_kind(const MrEventPage *page)
{
	return page->kind;
}

const MrEventPosition *
mr_event_page_end(const MrEventPage *page)
{
	return &page->end;
}

uint64_t
mr_event_page_joined(const MrEventPage *page)
{
	return page->joined;
}

MrSharedText *
mr_event_page_text(const MrEventPage *page, int group)
{
	for (int i = 0; i < page->count; i++)
		if (page->kind == MR_PAGE_PROBLEM || page->items[i].group == group)
			return page->items[i].text;
	return NULL;
}

MrSharedText *
mr_event_page_events(const PGresult *result, int column, const char *system,
					 const MrEventPosition *from)
{
	MrBuffer text = {0};
	MrBuffer id = {0};

	for (int row = 0; row < PQntuples(result); row++)
	{
		MrEventPosition at = *from;

		if (PQgetisnull(result, row, MR_FOLLOW_XID) || PQgetisnull(result, row, column))
			continue;
		at.xid = PQgetvalue(result, row, MR_FOLLOW_XID);
		at.id = PQgetvalue(result, row, MR_FOLLOW_ID);
		id.len = 0;
		mr_event_position_write(&id, system, &at);
		mr_sse_event(&text, NULL, mr_buffer_string(&id), PQgetvalue(result, row, column),
					 (size_t) PQgetlength(result, row, column));
	}
	mr_buffer_free(&id);
	return text.len > 0 ? mr_shared_text_new(&text) : NULL;
}

/* Fewer rows than were asked for are all there are: what `until` has seen is behind the reader. */
MrEventPosition
mr_event_page_behind(const PGresult *result, const MrEventPosition *from)
{
	int last = PQntuples(result) - 1;
	MrEventPosition end = {0};

	if (last + 1 < MR_FOLLOW_ROWS)
		end.since = mr_strdup(from->until);
	else
		end = (MrEventPosition){mr_strdup(from->since), mr_strdup(from->until),
								mr_strdup(PQgetvalue(result, last, MR_FOLLOW_XID)),
								mr_strdup(PQgetvalue(result, last, MR_FOLLOW_ID))};
	return end;
}
