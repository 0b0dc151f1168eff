/*
 * breaker.c: see breaker.h. Needs no server; tested by itself.
 */
#include "pipeline/breaker.h"

#include <assert.h>

#define FIRST_WAIT_US      INT64_C(100000)
#define LONGEST_WAIT_US    INT64_C(30000000)
#define TRANSIENT_FAILURES 3 /* in a row: what passes by itself would have passed */
#define SMALL_FAILURES     3
#define SEVERAL            2 /* distinct events in one batch */
#define LONE_FAILURES      3 /* one by one: two that belong together may follow each other */

/* One function per edge of the drawing. */

static void
trip(MrBreaker *breaker)
{
	assert(breaker->state == MR_BREAKER_CLOSED);
	breaker->state = MR_BREAKER_OPEN;
	breaker->others_pass = false;
}

static void
probe(MrBreaker *breaker)
{
	assert(breaker->state == MR_BREAKER_OPEN);
	breaker->state = MR_BREAKER_HALF_OPEN;
}

static void
fail_probe(MrBreaker *breaker)
{
	assert(breaker->state == MR_BREAKER_HALF_OPEN);
	breaker->state = MR_BREAKER_OPEN;
}

static void
pass_probe(MrBreaker *breaker)
{
	assert(breaker->state == MR_BREAKER_HALF_OPEN);
	breaker->state = MR_BREAKER_CLOSED;
}

void
mr_breaker_inherit(MrBreaker *breaker)
{
	trip(breaker);
}

void
mr_breaker_hurry(MrBreaker *breaker)
{
	if (breaker->state == MR_BREAKER_OPEN)
		breaker->wait_us = breaker->due_at = 0;
}

static void
wait_longer(MrBreaker *breaker, int64_t now)
{
	if (breaker->wait_us == 0)
		breaker->wait_us = FIRST_WAIT_US;
	else if (breaker->wait_us < LONGEST_WAIT_US / 2)
		breaker->wait_us *= 2;
	else
		breaker->wait_us = LONGEST_WAIT_US;
	breaker->due_at = now + breaker->wait_us;
}

bool
mr_breaker_trouble(MrBreaker *breaker, bool lasting, int64_t now)
{
	breaker->failures++;
	wait_longer(breaker, now);
	switch (breaker->state)
	{
		case MR_BREAKER_CLOSED:
			if (lasting || breaker->failures >= TRANSIENT_FAILURES)
				trip(breaker);
			break;
		case MR_BREAKER_OPEN: /* not of a batch: of looking at the pipeline, say */
			break;
		case MR_BREAKER_HALF_OPEN:
			fail_probe(breaker);
			break;
	}
	return breaker->state == MR_BREAKER_OPEN;
}

int64_t
mr_breaker_wait_us(const MrBreaker *breaker, int64_t now)
{
	return breaker->due_at > now ? breaker->due_at - now : 0;
}

bool
mr_breaker_try(MrBreaker *breaker)
{
	if (breaker->state != MR_BREAKER_OPEN)
		return false;
	probe(breaker);
	return true;
}

bool
mr_breaker_settled(MrBreaker *breaker)
{
	bool probed = breaker->state == MR_BREAKER_HALF_OPEN;

	if (probed)
		pass_probe(breaker);
	assert(breaker->state == MR_BREAKER_CLOSED);
	breaker->failures = breaker->small_failures = 0;
	breaker->wait_us = breaker->due_at = 0;
	return probed;
}

void
mr_breaker_rolled_back(MrBreaker *breaker, bool small)
{
	breaker->small_failures = small ? breaker->small_failures + 1 : 0;
}

void
mr_breaker_others_passed(MrBreaker *breaker)
{
	if (breaker->state == MR_BREAKER_CLOSED)
		return;
	if (!breaker->others_pass && breaker->state == MR_BREAKER_OPEN)
		breaker->due_at = 0;
	breaker->others_pass = true;
}

bool
mr_breaker_others_pass(const MrBreaker *breaker)
{
	return breaker->state != MR_BREAKER_CLOSED && breaker->others_pass;
}

bool
mr_breaker_is_probing(const MrBreaker *breaker)
{
	return breaker->state == MR_BREAKER_HALF_OPEN;
}

bool
mr_breaker_blames_events(const MrBreaker *breaker)
{
	return breaker->small_failures >= SMALL_FAILURES;
}

static bool
is_same(const MrLoneFailures *lone, int stage, int sqlstate)
{
	return lone->count > 0 && lone->stage == stage && lone->sqlstate == sqlstate;
}

bool
mr_lone_suspects(const MrLoneFailures *lone, int stage, int sqlstate, int events)
{
	if (events == 0)
		return false;
	return events >= SEVERAL ||
		   (is_same(lone, stage, sqlstate) && lone->count + events >= LONE_FAILURES);
}

void
mr_lone_failed(MrLoneFailures *lone, int stage, int sqlstate)
{
	if (!is_same(lone, stage, sqlstate))
		*lone = (MrLoneFailures){.stage = stage, .sqlstate = sqlstate};
	lone->count++;
}

void
mr_lone_passed(MrLoneFailures *lone, int stage)
{
	if (lone->stage == stage)
		lone->count = 0;
}
