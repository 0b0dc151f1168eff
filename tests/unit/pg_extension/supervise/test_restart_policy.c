/*
 * test_restart_policy.c: the wait doubles up to a minute, and a healthy life makes it short again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervise/restart_policy.h"

#define SECOND INT64_C(1000000)

/* Starts when it may, lives for so many seconds; returns the seconds it has to wait then. */
static int
wait_after(MrRestart *restart, int life_s, int first_s)
{
	int64_t end = restart->next_start + life_s * SECOND;

	restart->started_at = restart->next_start;
	mr_restart_note_failure(restart, end, first_s);
	return (int) ((restart->next_start - end) / SECOND);
}

static void
doubles_up_to_a_minute(void **state)
{
	static const int expected[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	MrRestart restart = {0};

	(void) state;
	for (int i = 0; i < 9; i++)
		assert_int_equal(wait_after(&restart, 0, 1), expected[i]);
}

static void
a_healthy_life_is_forgiven(void **state)
{
	MrRestart restart = {0};

	(void) state;
	for (int i = 0; i < 9; i++)
		wait_after(&restart, 29, 1);
	assert_int_equal(wait_after(&restart, 29, 1), 60);
	assert_int_equal(wait_after(&restart, 30, 1), 1);
	assert_int_equal(wait_after(&restart, 0, 1), 2);
}

static void
the_setting_is_the_least(void **state)
{
	MrRestart restart = {0};

	(void) state;
	assert_int_equal(wait_after(&restart, 0, 1), 1);
	assert_int_equal(wait_after(&restart, 0, 10), 10);
	assert_int_equal(wait_after(&restart, 0, 10), 20);
	assert_int_equal(wait_after(&restart, 60, 3600), 3600);
}

/* A pipeline that is paused and resumed all the time: no failure, but not more than one start a second either. */
static void
an_exit_is_no_failure(void **state)
{
	MrRestart restart = {0};

	(void) state;
	for (int i = 0; i < 9; i++)
	{
		restart.started_at = 100 * SECOND;
		mr_restart_note_exit(&restart, 1);
		assert_true(restart.next_start == 101 * SECOND);
	}
	assert_int_equal(wait_after(&restart, 0, 1), 1);
	assert_int_equal(wait_after(&restart, 0, 1), 2);
	mr_restart_note_exit(&restart, 1);
	assert_int_equal(wait_after(&restart, 0, 1), 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_a_minute),
		cmocka_unit_test(a_healthy_life_is_forgiven),
		cmocka_unit_test(the_setting_is_the_least),
		cmocka_unit_test(an_exit_is_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
