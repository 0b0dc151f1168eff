/*
 * limits.c: see limits.h. Needs no server; tested by itself.
 *
 * The shares: 1 + 1/10 for a batch whose endless event is known when it times out, and 3 tries (the default) at 1/10
 * make 1.4. When it is not known, a batch of 50,000 is halved 16 times: 16/128 on top.
 */
#include "program/limits.h"

#define REST      2 /* parts of statement_timeout */
#define REST_LATE 20
#define ALONE     10
#define HALVED    128
/* No event is blamed, and no part halved, because the machine was busy for a moment. */
#define ALONE_MIN_MS  100
#define HALVED_MIN_MS 20

static int
share(const MrLimits *limits, int part, int least)
{
	int ms = limits->statement_ms / part;

	if (ms < least)
		ms = least;
	return ms < limits->statement_ms ? ms : limits->statement_ms;
}

static void
leave(MrLimits *limits, int part, int64_t now)
{
	limits->timed_out = true;
	limits->ends_at = now + (int64_t) limits->statement_ms * 1000 / part;
}

void
mr_limits_begin(MrLimits *limits, int statement_ms, bool suspected, int64_t now)
{
	limits->statement_ms = statement_ms;
	limits->timed_out = false;
	if (suspected && statement_ms > 0)
		leave(limits, REST_LATE, now);
}

void
mr_limits_timed_out(MrLimits *limits, int64_t now)
{
	if (!limits->timed_out)
		leave(limits, REST, now);
}

int
mr_limits_statement(const MrLimits *limits, int members, bool halved, int64_t now)
{
	int least;
	int64_t left;

	if (!limits->timed_out)
		return limits->statement_ms;
	if (members == 1)
		return share(limits, ALONE, ALONE_MIN_MS);
	least = share(limits, HALVED, HALVED_MIN_MS);
	if (halved)
		return least;
	left = (limits->ends_at - now) / 1000;
	return left > least ? (int) left : least;
}

bool
mr_limits_spent(const MrLimits *limits, int64_t now)
{
	return limits->timed_out && now >= limits->ends_at;
}

int
mr_limits_lock(const MrLimits *limits)
{
	return limits->waited ? MR_LIMITS_SHORT_WAIT_MS : 0;
}
