/*
 * test_limits.c: what attempts may take, and that the sum of it is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "program/limits.h"

#define STATEMENT_MS 60000
#define TRIES        3 /* after the first */

static MrLimits
begun(bool suspected, int64_t now)
{
	MrLimits limits = {0};

	mr_limits_begin(&limits, STATEMENT_MS, suspected, now);
	return limits;
}

/* All of it until something times out. */
static void
test_first_attempt(void **state)
{
	MrLimits limits = begun(false, 1);

	(void) state;
	assert_int_equal(mr_limits_statement(&limits, 20000, false, 1), STATEMENT_MS);
	assert_int_equal(mr_limits_statement(&limits, 1, false, 1), STATEMENT_MS);
	assert_false(mr_limits_spent(&limits, INT64_MAX));
}

/* An event that is known when it times out, then alone, then in its tries. */
static void
test_known_event(void **state)
{
	MrLimits limits = begun(false, 1);
	int sum = mr_limits_statement(&limits, 20000, false, 1);

	(void) state;
	mr_limits_timed_out(&limits, 1);
	sum += mr_limits_statement(&limits, 1, false, 1);
	for (int i = 0; i < TRIES; i++)
	{
		limits = begun(true, 1);
		sum += mr_limits_statement(&limits, 1, false, 1);
	}
	assert_true(sum <= STATEMENT_MS + STATEMENT_MS / 2);
}

/* An event that is found by halving: its batch costs 1.5 times statement_timeout at most. */
static void
test_unknown_event(void **state)
{
	MrLimits limits = begun(false, 1);
	int sum = mr_limits_statement(&limits, 100000, false, 1);

	(void) state;
	mr_limits_timed_out(&limits, 1);
	for (int members = 50000; members > 1; members /= 2)
		sum += mr_limits_statement(&limits, members, true, 1);
	sum += mr_limits_statement(&limits, 1, true, 1);
	assert_true(sum <= STATEMENT_MS + STATEMENT_MS / 2);
}

/* What has not failed yet has what is left, and the batch is spent when nothing is. */
static void
test_rest(void **state)
{
	MrLimits limits = begun(false, 1);
	int64_t now = 7000000;

	(void) state;
	mr_limits_timed_out(&limits, now);
	mr_limits_timed_out(&limits, now + 1000000); /* the first one counts */
	assert_int_equal(mr_limits_statement(&limits, 500, false, now), STATEMENT_MS / 2);
	assert_int_equal(mr_limits_statement(&limits, 500, false, now + 10000000),
					 STATEMENT_MS / 2 - 10000);
	assert_false(mr_limits_spent(&limits, now + INT64_C(1000) * STATEMENT_MS / 2 - 1));
	assert_true(mr_limits_spent(&limits, now + INT64_C(1000) * STATEMENT_MS / 2));
	assert_true(mr_limits_statement(&limits, 500, false, INT64_MAX) > 0);
}

/* No timeout is none, and no share of a short one is too short or longer than all of it. */
static void
test_extremes(void **state)
{
	MrLimits limits = {0};

	(void) state;
	mr_limits_begin(&limits, 0, true, 1);
	assert_int_equal(mr_limits_statement(&limits, 1, false, 1), 0);
	mr_limits_begin(&limits, 50, true, 1);
	assert_int_equal(mr_limits_statement(&limits, 1, false, 1), 50);
	assert_int_equal(mr_limits_statement(&limits, 9, true, 1), 20);
	mr_limits_begin(&limits, INT32_MAX, true, 1);
	assert_true(mr_limits_statement(&limits, 9, false, 1) > 0);
}

/* Only the first wait for a lock is as long as the session's. */
static void
test_locks(void **state)
{
	MrLimits limits = begun(false, 1);

	(void) state;
	assert_int_equal(mr_limits_lock(&limits), 0);
	limits.waited = true;
	assert_int_equal(mr_limits_lock(&limits), MR_LIMITS_SHORT_WAIT_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_attempt), cmocka_unit_test(test_known_event),
		cmocka_unit_test(test_unknown_event), cmocka_unit_test(test_rest),
		cmocka_unit_test(test_extremes),      cmocka_unit_test(test_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
