/*
 * isolate.c: by the member an attempt was at when it failed, else by halves. Pure but for the callbacks.
 *
 * An attempt that fails names the member it was at. Those before it are tried again without it, then it alone, then
 * those behind it: always in order, so that of two members that exclude each other the first one passes. When that
 * member is not known the range is halved. The part behind is a loop, not a recursion, so the depth is that of the
 * halving.
 *
 * How long an attempt may run, and wait for a lock, is in limits.h. A set that cannot be isolated within its limits is
 * given back; when members wait for locks and none passes, all do.
 */
#include "run/isolate.h"

#include "miscadmin.h"

#include "server/clock.h"

#define WAITS_MAX 3

typedef struct State
{
	bool works; /* without members */
	bool passed;
	int nwaits;
	int n;
} State;

static MrFailure *
attempt(const MrIsolation *isolation, int from, int to, bool halved, int *culprit)
{
	MrLimits *limits = isolation->limits;
	int timeout_ms = mr_limits_statement(limits, to - from, halved, mr_clock_us());
	MrFailure *failure = isolation->attempt(isolation->arg, from, to, timeout_ms, culprit);

	CHECK_FOR_INTERRUPTS();
	if (failure != NULL && failure->timed_out)
		mr_limits_timed_out(limits, mr_clock_us());
	if (failure != NULL && failure->waited)
		limits->waited = true;
	return failure;
}

static void
check_works(const MrIsolation *isolation, int from, State *state)
{
	int nobody;
	MrFailure *trouble;

	if (state->works)
		return;
	trouble = attempt(isolation, from, from, false, &nobody);
	if (trouble != NULL)
		mr_failure_raise(trouble);
	state->works = true;
}

static void
fail_alone(const MrIsolation *isolation, int member, MrFailure *failure, State *state)
{
	if (failure->waited && ++state->nwaits > WAITS_MAX && !state->passed)
		mr_failure_raise(failure);
	isolation->fail(isolation->arg, member, failure);
}

static void
isolate(const MrIsolation *isolation, int from, int to, bool halved, State *state)
{
	while (from < to)
	{
		int culprit = -1;
		MrFailure *failure = attempt(isolation, from, to, halved, &culprit);
		int middle;

		if (failure == NULL)
		{
			state->passed = true;
			return;
		}
		check_works(isolation, from, state);
		if (to - from == 1)
		{
			fail_alone(isolation, from, failure, state);
			return;
		}
		if (failure->timed_out && state->n > MR_ISOLATE_SMALL &&
			mr_limits_spent(isolation->limits, mr_clock_us()))
			isolation->give_back(isolation->arg, "too many events of a batch are slow");
		if (culprit >= from && culprit < to)
		{
			isolate(isolation, from, culprit, false, state);
			isolate(isolation, culprit, culprit + 1, false, state);
			from = culprit + 1;
			halved = false;
			continue;
		}
		halved = true;
		middle = from + (to - from) / 2;
		isolate(isolation, from, middle, true, state);
		from = middle;
	}
}

void
mr_isolate(const MrIsolation *isolation, int n)
{
	State state = {.n = n};

	isolate(isolation, 0, n, false, &state);
}
