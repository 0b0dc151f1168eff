/* Sums of bytes, and who waits. */
#include "ingestor/fetch/budget.h"

#include <stddef.h>

/*
 * A share up to this part of the budget (less when there are many) is small: it does not count as a holder, and may be
 * filled whatever the others hold. So as a rule no consumer waits for another one's events to be staged.
 */
#define SMALL_PART 16
/* A full share is filled again when this part of it is left: that costs two calls of librdkafka and a response. */
#define LOW_PART 4
/* The first filling is taken to be this part: so many consumers may be wrong at a time. */
#define UNKNOWN_PART 2

/* Of all consumers together, one response each is this part of the budget, compressed; within these bounds. */
#define RESPONSES_PART     32
#define RESPONSE_BYTES_MIN INT64_C(16384)
#define RESPONSE_BYTES_MAX INT64_C(1000000)

static void change(MrFetchShare *share, int64_t bytes);
static void expect(MrFetchShare *share, int64_t bytes);
static bool has_room(const MrFetchShare *share);
static void wait_for_room(MrFetchShare *share);
static void end_waiting(MrFetchShare *share);
static void wake_first(MrFetchBudget *budget);
static int64_t fair(const MrFetchBudget *budget);
static int64_t small(const MrFetchBudget *budget);

/* Below some hundred kB a response costs the broker noticeably more for each event. */
int64_t
mr_budget_response_bytes(const MrFetchBudget *budget)
{
	int64_t bytes = budget->bytes / RESPONSES_PART / (budget->planned > 2 ? budget->planned : 2);

	if (bytes < RESPONSE_BYTES_MIN)
		return RESPONSE_BYTES_MIN;
	return bytes < RESPONSE_BYTES_MAX ? bytes : RESPONSE_BYTES_MAX;
}

void
mr_share_join(MrFetchShare *share, MrFetchBudget *budget, void (*room)(void *owner), void *owner)
{
	*share = (MrFetchShare){.budget = budget,
							.filling = budget->bytes / UNKNOWN_PART,
							.room = room,
							.owner = owner};
	budget->shares++;
}

void
mr_share_leave(MrFetchShare *share)
{
	MrFetchBudget *budget = share->budget;

	end_waiting(share);
	expect(share, 0);
	change(share, -share->used);
	budget->shares--;
	wake_first(budget);
}

void
mr_share_add(MrFetchShare *share, int64_t bytes)
{
	change(share, bytes);
}

void
mr_share_remove(MrFetchShare *share, int64_t bytes)
{
	change(share, -bytes);
	if (share->budget->waiting != NULL)
		wake_first(share->budget);
}

bool
mr_share_is_full(const MrFetchShare *share)
{
	return share->used > small(share->budget) &&
		   (share->used >= fair(share->budget) || share->budget->used >= share->budget->bytes);
}

/* A large filling counts at once, smaller ones after a while. */
void
mr_share_note_full(MrFetchShare *share)
{
	int64_t half = (share->filling + share->used) / 2;

	share->filling = share->used > half ? share->used : half;
	expect(share, 0);
	wake_first(share->budget);
}

void
mr_share_note_dry(MrFetchShare *share)
{
	if (share->expected == 0)
		return;
	expect(share, 0);
	wake_first(share->budget);
}

bool
mr_share_may_fill(MrFetchShare *share)
{
	if (share->used > fair(share->budget) / LOW_PART)
		return false;
	if (!has_room(share) || (share->budget->waiting != NULL && share->budget->waiting != share &&
							 share->filling > small(share->budget)))
	{
		wait_for_room(share);
		return false;
	}
	end_waiting(share);
	expect(share, share->filling);
	return true;
}

static void
change(MrFetchShare *share, int64_t bytes)
{
	bool holder;

	if (share->expected > 0 && bytes > 0)
		expect(share, share->expected > bytes ? share->expected - bytes : 0);
	share->used += bytes;
	share->budget->used += bytes;
	holder = share->used > small(share->budget);
	share->budget->holders += holder - share->is_holder;
	share->is_holder = holder;
}

static void
expect(MrFetchShare *share, int64_t bytes)
{
	share->budget->expected += bytes - share->expected;
	share->expected = bytes;
}

/* One that is larger than the budget comes when nobody else holds anything. */
static bool
has_room(const MrFetchShare *share)
{
	const MrFetchBudget *budget = share->budget;

	return share->filling <= small(budget) ||
		   (budget->holders == share->is_holder && budget->expected == 0) ||
		   budget->used + budget->expected + share->filling <= budget->bytes;
}

static void
wait_for_room(MrFetchShare *share)
{
	MrFetchShare **at = &share->budget->waiting;

	if (share->is_waiting)
		return;
	while (*at != NULL)
		at = &(*at)->next;
	*at = share;
	share->next = NULL;
	share->is_waiting = true;
}

static void
end_waiting(MrFetchShare *share)
{
	MrFetchShare **at = &share->budget->waiting;

	if (!share->is_waiting)
		return;
	while (*at != NULL && *at != share)
		at = &(*at)->next;
	if (*at != NULL)
		*at = share->next;
	share->is_waiting = false;
}

/* It asks again, by mr_share_may_fill. */
static void
wake_first(MrFetchBudget *budget)
{
	MrFetchShare *first = budget->waiting;

	if (first != NULL && has_room(first))
		first->room(first->owner);
}

static int64_t
fair(const MrFetchBudget *budget)
{
	return budget->bytes / (budget->holders > 0 ? budget->holders : 1);
}

static int64_t
small(const MrFetchBudget *budget)
{
	return budget->bytes / (2 * budget->shares > SMALL_PART ? 2 * budget->shares : SMALL_PART);
}
