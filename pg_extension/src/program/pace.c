/*
 * pace.c: see pace.h. Needs no server; tested by itself.
 */
#include "program/pace.h"

#include <limits.h>
#include <string.h>

#include "program/limits.h"

#define CLEAN_BATCHES 8 /* settled without trouble before the next ones may be larger */
#define QUICK_US      INT64_C(500000) /* a batch of batch_rows events takes at most so long */

static int
least(int a, int b)
{
	return a < b ? a : b;
}

static int
most(int a, int b)
{
	return a > b ? a : b;
}

void
mr_pace_init(MrPace *pace)
{
	memset(pace, 0, sizeof(*pace));
	pace->event_limit = INT_MAX;
}

bool
mr_pace_is_reduced(const MrPace *pace)
{
	return pace->event_limit < INT_MAX;
}

int
mr_pace_events(const MrPace *pace, int batch_rows)
{
	return least(pace->event_limit, mr_pace_read(pace, batch_rows));
}

int
mr_pace_read(const MrPace *pace, int batch_rows)
{
	return least(batch_rows, pace->large ? MR_PACE_EVENTS_MAX : MR_PACE_PLAIN);
}

void
mr_pace_settled(MrPace *pace, int batch_rows, int events, int64_t took_us)
{
	/* a batch of few says little about the time of many: most of it is what a batch costs */
	if (events >= MR_PACE_PLAIN / 2)
		pace->large = took_us * batch_rows / events <= QUICK_US;
	if (!mr_pace_is_reduced(pace) || ++pace->clean < CLEAN_BATCHES)
		return;
	pace->event_limit = pace->event_limit > MR_PACE_EVENTS_MAX ? INT_MAX : pace->event_limit * 2;
	pace->clean = 0;
}

void
mr_pace_rolled_back(MrPace *pace, int events, bool trouble)
{
	mr_breaker_rolled_back(&pace->breaker, trouble && events <= MR_ISOLATE_SMALL);
	/* Trouble of a small batch says no more in a smaller one. */
	pace->event_limit = most(most(events / 16, trouble ? least(events, MR_ISOLATE_SMALL) : 0), 1);
	/* A probe that fails may have been all events of one kind: the next one is larger. */
	if (mr_breaker_is_probing(&pace->breaker) && trouble && events < MR_PACE_EVENTS_MAX)
		pace->event_limit = most(events * 2, MR_ISOLATE_SMALL);
	pace->clean = 0;
	pace->large = false;
}
