/*
 * test_clock_step.c: steps back are noticed once, small ones when they add up; steps forward are none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fail/clock_step.h"

#define SECOND INT64_C(1000000)
#define NOW    (700000000 * SECOND)

static void
time_that_passes_is_no_step(void **state)
{
	MrClockStep step = {0};

	(void) state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(mr_clock_step_back(&step, NOW + i * SECOND, 5 + i * SECOND), 0);
}

static void
a_step_back_is_noticed_once(void **state)
{
	MrClockStep step = {0};

	(void) state;
	assert_int_equal(mr_clock_step_back(&step, NOW, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW - 3599 * SECOND, SECOND), 3600 * SECOND);
	assert_int_equal(mr_clock_step_back(&step, NOW - 3598 * SECOND, 2 * SECOND), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW - 7197 * SECOND, 3 * SECOND), 3600 * SECOND);
}

static void
a_step_forward_is_none_but_counts_when_it_is_taken_back(void **state)
{
	MrClockStep step = {0};

	(void) state;
	assert_int_equal(mr_clock_step_back(&step, NOW, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW + 60 * SECOND, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW, 0), 60 * SECOND);
}

static void
small_steps_add_up(void **state)
{
	MrClockStep step = {0};

	(void) state;
	assert_int_equal(mr_clock_step_back(&step, NOW, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW - SECOND * 4 / 10, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW - SECOND * 8 / 10, 0), 0);
	assert_int_equal(mr_clock_step_back(&step, NOW - SECOND * 12 / 10, 0), SECOND * 12 / 10);
	assert_int_equal(mr_clock_step_back(&step, NOW - SECOND * 12 / 10, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_that_passes_is_no_step),
		cmocka_unit_test(a_step_back_is_noticed_once),
		cmocka_unit_test(a_step_forward_is_none_but_counts_when_it_is_taken_back),
		cmocka_unit_test(small_steps_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
