/* How fast bytes move on a connection: by whole windows of a second, so that what came fast before does not count. Pure. */
#ifndef MR_API_PACE_H
#define MR_API_PACE_H

#include <stdint.h>

#define MR_PACE_MS 1000

typedef struct MrPace
{
	int64_t began_ms;
	int64_t turned_ms; /* when the window under way began */
	uint64_t moved;    /* bytes in it */
	int64_t rate;      /* bytes per second in the last whole one; -1: there was none yet */
} MrPace;

static inline void
mr_pace_begin(MrPace *pace, int64_t now_ms)
{
	*pace = (MrPace){.began_ms = now_ms, .turned_ms = now_ms, .rate = -1};
}

/* Call it now and then: a window is as long as it was open. */
static inline void
mr_pace_turn(MrPace *pace, int64_t now_ms)
{
	if (now_ms - pace->turned_ms < MR_PACE_MS)
		return;
	pace->rate = (int64_t) (pace->moved * 1000 / (uint64_t) (now_ms - pace->turned_ms));
	pace->moved = 0;
	pace->turned_ms = now_ms;
}

#endif
