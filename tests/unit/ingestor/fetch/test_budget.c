/* Shares of a budget: their sizes, and who waits for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/fetch/budget.h"

#define MB     (1 << 20)
#define BUDGET (64 * MB)
#define SHARES 4

static MrFetchBudget budget;
static MrFetchShare shares[SHARES];
static int woken[SHARES];

static void
on_room(void *owner)
{
	(*(int *) owner)++;
}

static int
setup(void **state)
{
	(void) state;
	budget = (MrFetchBudget){.bytes = BUDGET};
	memset(woken, 0, sizeof(woken));
	for (int i = 0; i < SHARES; i++)
		mr_share_join(&shares[i], &budget, on_room, &woken[i]);
	return 0;
}

/* All there is, for one; less for each as others begin to hold something, and more again when they end. */
static void
holders_divide_the_budget(void **state)
{
	(void) state;
	mr_share_add(&shares[0], 40 * MB);
	assert_false(mr_share_is_full(&shares[0]));
	mr_share_add(&shares[1], 5 * MB);
	assert_true(mr_share_is_full(&shares[0]));
	assert_false(mr_share_is_full(&shares[1]));
	mr_share_leave(&shares[1]);
	assert_false(mr_share_is_full(&shares[0]));
	mr_share_add(&shares[0], 24 * MB);
	assert_true(mr_share_is_full(&shares[0]));
	assert_int_equal(budget.used, BUDGET);
}

/* One that holds next to nothing takes nothing from the others, and need not wait for them. */
static void
a_small_share_is_left_alone(void **state)
{
	(void) state;
	mr_share_add(&shares[0], 60 * MB);
	mr_share_add(&shares[1], 3 * MB);
	assert_int_equal(budget.holders, 1);
	assert_false(mr_share_is_full(&shares[0]));
	mr_share_add(&shares[0], 10 * MB);
	assert_true(mr_share_is_full(&shares[0]));
	assert_false(mr_share_is_full(&shares[1]));
}

static void
a_full_share_is_filled_again_when_most_was_taken(void **state)
{
	(void) state;
	assert_true(mr_share_may_fill(&shares[0]));
	mr_share_add(&shares[0], BUDGET);
	mr_share_note_full(&shares[0]);
	mr_share_remove(&shares[0], 40 * MB);
	assert_false(mr_share_may_fill(&shares[0]));
	mr_share_remove(&shares[0], 10 * MB);
	assert_true(mr_share_may_fill(&shares[0]));
}

/* What nobody knows is taken to be half of the budget: two may try, the third waits until it is known. */
static void
fillings_are_expected(void **state)
{
	(void) state;
	assert_true(mr_share_may_fill(&shares[0]));
	assert_true(mr_share_may_fill(&shares[1]));
	assert_false(mr_share_may_fill(&shares[2]));
	assert_false(mr_share_may_fill(&shares[3]));
	assert_int_equal(woken[2], 0);
	mr_share_note_dry(&shares[1]);
	assert_int_equal(woken[2], 1);
	assert_int_equal(woken[3], 0);
	assert_false(mr_share_may_fill(&shares[3])); /* in the order of their asking */
	assert_true(mr_share_may_fill(&shares[2]));
	assert_false(mr_share_may_fill(&shares[3]));
	mr_share_leave(&shares[0]);
	assert_int_equal(woken[3], 1);
	assert_true(mr_share_may_fill(&shares[3]));
}

/* A response larger than the budget: nobody else may hold anything. */
static void
large_responses_come_by_turns(void **state)
{
	(void) state;
	assert_true(mr_share_may_fill(&shares[0]));
	mr_share_add(&shares[0], 100 * MB);
	mr_share_note_full(&shares[0]);
	mr_share_remove(&shares[0], 100 * MB);
	assert_true(mr_share_may_fill(&shares[1]));
	mr_share_add(&shares[1], 100 * MB);
	mr_share_note_full(&shares[1]);
	assert_false(mr_share_may_fill(&shares[0]));
	mr_share_remove(&shares[1], 50 * MB);
	assert_int_equal(woken[0], 0);
	mr_share_remove(&shares[1], 49 * MB);
	assert_true(woken[0] > 0);
	assert_true(mr_share_may_fill(&shares[0]));
	assert_int_equal(budget.expected, 100 * MB);
	mr_share_add(&shares[0], 30 * MB);
	assert_int_equal(budget.expected, 70 * MB);
}

/* All consumers together: a thirty-second part, whatever their number. */
static void
responses_are_smaller_the_more_there_are(void **state)
{
	(void) state;
	budget.planned = 1;
	assert_int_equal(mr_budget_response_bytes(&budget), 1000000);
	budget.planned = 8;
	assert_int_equal(mr_budget_response_bytes(&budget), BUDGET / 32 / 8);
	budget.planned = 1000;
	assert_int_equal(mr_budget_response_bytes(&budget), 16384);
}

#define T(test_) cmocka_unit_test_setup(test_, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(holders_divide_the_budget),
		T(a_small_share_is_left_alone),
		T(a_full_share_is_filled_again_when_most_was_taken),
		T(fillings_are_expected),
		T(large_responses_come_by_turns),
		T(responses_are_smaller_the_more_there_are),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/budget", tests, NULL, NULL);
}
