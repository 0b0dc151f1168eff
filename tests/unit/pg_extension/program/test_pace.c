/*
 * test_pace.c: how large batches may be: after trouble, and where they take long.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <limits.h>
#include <cmocka.h>

#include "program/pace.h"

#define ROWS  50000 /* batch_rows */
#define MS    INT64_C(1000)
#define QUICK (500 * MS)

static MrPace
new_pace(void)
{
	MrPace pace;

	mr_pace_init(&pace);
	return pace;
}

static void
begins_plain(void **state)
{
	MrPace pace = new_pace();

	(void) state;
	assert_int_equal(mr_pace_events(&pace, ROWS), MR_PACE_PLAIN);
	assert_int_equal(mr_pace_events(&pace, 100), 100);
	assert_false(mr_pace_is_reduced(&pace));
}

static void
is_large_while_quick(void **state)
{
	MrPace pace = new_pace();

	(void) state;
	mr_pace_settled(&pace, ROWS, MR_PACE_PLAIN, QUICK * MR_PACE_PLAIN / ROWS);
	assert_int_equal(mr_pace_events(&pace, ROWS), ROWS);
	assert_int_equal(mr_pace_read(&pace, ROWS), ROWS);
	assert_int_equal(mr_pace_events(&pace, 100), 100);
	mr_pace_settled(&pace, ROWS, ROWS, QUICK);
	assert_int_equal(mr_pace_events(&pace, ROWS), ROWS);
	mr_pace_settled(&pace, ROWS, ROWS, QUICK + MS);
	assert_int_equal(mr_pace_events(&pace, ROWS), MR_PACE_PLAIN);
}

/* Nearly all of its time is what any batch costs. */
static void
is_not_judged_by_small_batches(void **state)
{
	MrPace pace = new_pace();

	(void) state;
	mr_pace_settled(&pace, ROWS, 1, 1);
	assert_int_equal(mr_pace_events(&pace, ROWS), MR_PACE_PLAIN);
	mr_pace_settled(&pace, ROWS, MR_PACE_PLAIN, MS);
	mr_pace_settled(&pace, ROWS, 1, 100 * MS);
	mr_pace_settled(&pace, ROWS, 0, 100 * MS);
	assert_int_equal(mr_pace_events(&pace, ROWS), ROWS);
}

static void
is_small_after_trouble(void **state)
{
	MrPace pace = new_pace();
	int batches = 0;

	(void) state;
	mr_pace_settled(&pace, ROWS, MR_PACE_PLAIN, MS);
	mr_pace_rolled_back(&pace, 1600, false);
	assert_true(mr_pace_is_reduced(&pace));
	assert_int_equal(mr_pace_events(&pace, ROWS), 100);
	assert_int_equal(mr_pace_read(&pace, ROWS), MR_PACE_PLAIN);
	while (mr_pace_is_reduced(&pace) && batches < 1000)
	{
		mr_pace_settled(&pace, ROWS, 100, MS);
		batches++;
	}
	/* 100 doubles eleven times until it is above the most, after eight batches each, and once more to none */
	assert_int_equal(batches, 8 * 11);
	assert_int_equal(pace.event_limit, INT_MAX);
}

/* What is no event's fault says no more in a batch of one than in one of a few. */
static void
is_not_taken_apart_by_trouble(void **state)
{
	MrPace pace = new_pace();

	(void) state;
	mr_pace_rolled_back(&pace, 5, true);
	assert_int_equal(mr_pace_events(&pace, ROWS), 5);
	mr_pace_rolled_back(&pace, 100, true);
	assert_int_equal(mr_pace_events(&pace, ROWS), 16);
	mr_pace_rolled_back(&pace, 5, false);
	assert_int_equal(mr_pace_events(&pace, ROWS), 1);
	mr_pace_rolled_back(&pace, 0, true);
	assert_int_equal(mr_pace_events(&pace, ROWS), 1); /* none would never grow */
}

static void
grows_where_a_probe_fails(void **state)
{
	MrPace pace = new_pace();

	(void) state;
	mr_breaker_inherit(&pace.breaker);
	(void) mr_breaker_try(&pace.breaker);
	assert_true(mr_breaker_is_probing(&pace.breaker));
	mr_pace_rolled_back(&pace, 40, true);
	assert_int_equal(mr_pace_events(&pace, ROWS), 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_plain),
		cmocka_unit_test(is_large_while_quick),
		cmocka_unit_test(is_not_judged_by_small_batches),
		cmocka_unit_test(is_small_after_trouble),
		cmocka_unit_test(is_not_taken_apart_by_trouble),
		cmocka_unit_test(grows_where_a_probe_fails),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
