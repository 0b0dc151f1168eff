/*
 * isolate.c: by the member an attempt was at when it failed, else by halves. Pure but for the callbacks.
 *
 * An attempt that fails names the member it was at. Those before it are tried again without it, then it alone, then
 * those behind it: always in order, so that of two members that exclude each other the first one passes. When that
 * member is not known the range is halved. The part behind is a loop, not a recursion, so the depth is that of the
 * halving.
 *
 * Each member that waits for a lock in vain costs its time. After a few, all members wait, or the rest is left for
 * a smaller set.
 */
#include "run/isolate.h"

#include "miscadmin.h"

#include "server/errcode.h"

#define WAITS_MAX 3

typedef struct State
{
	bool works; /* without members */
	bool passed;
	int nwaits;
	int n;
} State;

static void
count_wait(State *state, const MrFailure *failure)
{
	if (++state->nwaits <= WAITS_MAX)
		return;
	if (!state->passed)
		mr_failure_raise(failure);
	if (state->n > MR_ISOLATE_SMALL)
		ereport(ERROR, (errcode(MR_ERRCODE_SPLIT), errmsg("too many events wait for locks")));
}

static void
isolate(const MrIsolation *isolation, int from, int to, State *state)
{
	while (from < to)
	{
		int culprit = -1;
		MrFailure *failure = isolation->attempt(isolation->arg, from, to, &culprit);
		int middle;

		CHECK_FOR_INTERRUPTS();
		if (failure == NULL)
		{
			state->passed = true;
			return;
		}
		if (!state->works)
		{
			int nobody;
			MrFailure *trouble = isolation->attempt(isolation->arg, from, from, &nobody);

			if (trouble != NULL)
				mr_failure_raise(trouble);
			state->works = true;
		}
		if (to - from == 1)
		{
			if (failure->waited)
				count_wait(state, failure);
			isolation->fail(isolation->arg, from, failure);
			return;
		}
		if (culprit >= from && culprit < to)
		{
			isolate(isolation, from, culprit, state);
			isolate(isolation, culprit, culprit + 1, state);
			from = culprit + 1;
			continue;
		}
		middle = from + (to - from) / 2;
		isolate(isolation, from, middle, state);
		from = middle;
	}
}

void
mr_isolate(const MrIsolation *isolation, int n)
{
	State state = {.n = n};

	isolate(isolation, 0, n, &state);
}
