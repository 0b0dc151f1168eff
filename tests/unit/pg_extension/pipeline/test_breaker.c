/*
 * test_breaker.c: the edges of the breaker's drawing, its waits, and what it answers to the verdict.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pipeline/breaker.h"

#define MS        INT64_C(1000)
#define LASTING   true
#define TRANSIENT false

/* Trouble as soon as a batch may be tried; returns the milliseconds to wait after it. */
static int
wait_after(MrBreaker *breaker, int64_t *now)
{
	int64_t wait;

	(void) mr_breaker_try(breaker);
	assert_true(mr_breaker_trouble(breaker, LASTING, *now));
	wait = mr_breaker_wait_us(breaker, *now);
	*now += wait;
	return (int) (wait / MS);
}

static void
opens_probes_and_closes(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	assert_int_equal(breaker.state, MR_BREAKER_CLOSED);
	assert_false(mr_breaker_try(&breaker));
	assert_true(mr_breaker_trouble(&breaker, LASTING, 5));
	assert_int_equal(breaker.state, MR_BREAKER_OPEN);
	assert_false(mr_breaker_is_probing(&breaker));
	assert_true(mr_breaker_try(&breaker));
	assert_true(mr_breaker_is_probing(&breaker));
	assert_false(mr_breaker_try(&breaker)); /* the next batch is the same probe */
	assert_true(mr_breaker_trouble(&breaker, TRANSIENT, 6));
	assert_int_equal(breaker.state, MR_BREAKER_OPEN);
	assert_true(mr_breaker_try(&breaker));
	assert_true(mr_breaker_settled(&breaker));
	assert_int_equal(breaker.state, MR_BREAKER_CLOSED);
	assert_false(mr_breaker_settled(&breaker));
}

static void
what_passes_by_itself_opens_at_the_third_time_in_a_row(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	for (int round = 0; round < 3; round++)
	{
		assert_false(mr_breaker_trouble(&breaker, TRANSIENT, 0));
		assert_false(mr_breaker_trouble(&breaker, TRANSIENT, 0));
		assert_true(mr_breaker_wait_us(&breaker, 0) > 0); /* closed, and yet there is a pause */
		assert_false(mr_breaker_settled(&breaker));
	}
	assert_false(mr_breaker_trouble(&breaker, TRANSIENT, 0));
	assert_false(mr_breaker_trouble(&breaker, TRANSIENT, 0));
	assert_true(mr_breaker_trouble(&breaker, TRANSIENT, 0));
}

static void
waits_twice_as_long_each_time_up_to_half_a_minute(void **state)
{
	static const int expected[] = {100,  200,   400,   800,   1600, 3200,
								   6400, 12800, 25600, 30000, 30000};
	MrBreaker breaker = {0};
	int64_t now = 77;

	(void) state;
	for (int i = 0; i < 11; i++)
		assert_int_equal(wait_after(&breaker, &now), expected[i]);
	assert_int_equal(mr_breaker_wait_us(&breaker, now), 0);
	assert_int_equal(mr_breaker_wait_us(&breaker, now - 1), 1);
	(void) mr_breaker_try(&breaker);
	(void) mr_breaker_settled(&breaker);
	assert_int_equal(wait_after(&breaker, &now), 100);
}

static void
trouble_while_it_is_open_prolongs_the_wait(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	assert_true(mr_breaker_trouble(&breaker, LASTING, 0));
	assert_true(mr_breaker_trouble(&breaker, TRANSIENT, 0));
	assert_int_equal(breaker.state, MR_BREAKER_OPEN);
	assert_int_equal(mr_breaker_wait_us(&breaker, 0), 200 * MS);
}

static void
one_that_was_left_open_begins_with_a_probe(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	mr_breaker_inherit(&breaker);
	assert_int_equal(mr_breaker_wait_us(&breaker, 1), 0);
	assert_true(mr_breaker_try(&breaker));
	assert_true(mr_breaker_settled(&breaker));
}

static void
events_are_to_blame_after_three_small_batches_in_a_row(void **state)
{
	static const bool small[] = {true, true, false, true, true, true};
	static const bool blamed[] = {false, false, false, false, false, true};
	MrBreaker breaker = {0};

	(void) state;
	for (int i = 0; i < 6; i++)
	{
		mr_breaker_rolled_back(&breaker, small[i]);
		assert_int_equal(mr_breaker_blames_events(&breaker), blamed[i]);
	}
	(void) mr_breaker_settled(&breaker);
	assert_false(mr_breaker_blames_events(&breaker));
}

static void
others_pass_only_while_it_is_not_closed(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	mr_breaker_others_passed(&breaker);
	assert_false(mr_breaker_others_pass(&breaker));
	(void) mr_breaker_trouble(&breaker, LASTING, 0);
	assert_false(mr_breaker_others_pass(&breaker)); /* that was before */
	mr_breaker_others_passed(&breaker);
	assert_true(mr_breaker_others_pass(&breaker));
	(void) mr_breaker_try(&breaker);
	assert_true(mr_breaker_others_pass(&breaker));
	(void) mr_breaker_settled(&breaker);
	assert_false(mr_breaker_others_pass(&breaker));
	(void) mr_breaker_trouble(&breaker, LASTING, 0);
	assert_false(mr_breaker_others_pass(&breaker));
}

static void
a_probe_is_due_when_others_pass_for_the_first_time(void **state)
{
	MrBreaker breaker = {0};

	(void) state;
	assert_true(mr_breaker_trouble(&breaker, LASTING, 0));
	assert_int_equal(mr_breaker_wait_us(&breaker, 0), 100 * MS);
	mr_breaker_others_passed(&breaker);
	assert_int_equal(mr_breaker_wait_us(&breaker, 0), 0);
	(void) mr_breaker_try(&breaker);
	assert_true(mr_breaker_trouble(&breaker, LASTING, 0));
	mr_breaker_others_passed(&breaker);
	assert_int_equal(mr_breaker_wait_us(&breaker, 0), 200 * MS);
}

static void
a_probe_that_is_asked_for_is_due_and_begins_with_short_waits(void **state)
{
	MrBreaker breaker = {0};
	int64_t now = 0;

	(void) state;
	for (int i = 0; i < 5; i++)
		(void) wait_after(&breaker, &now);
	(void) mr_breaker_try(&breaker);
	assert_true(mr_breaker_trouble(&breaker, LASTING, now));
	assert_int_equal(mr_breaker_wait_us(&breaker, now), 3200 * MS);
	mr_breaker_hurry(&breaker);
	assert_int_equal(mr_breaker_wait_us(&breaker, now), 0);
	assert_int_equal(breaker.state, MR_BREAKER_OPEN);
	assert_int_equal(wait_after(&breaker, &now), 100);
	(void) mr_breaker_try(&breaker);
	(void) mr_breaker_settled(&breaker);
	assert_false(mr_breaker_trouble(&breaker, TRANSIENT, now));
	mr_breaker_hurry(&breaker); /* not open: it waits as before */
	assert_int_equal(mr_breaker_wait_us(&breaker, now), 100 * MS);
}

#define TRANSFORM 1
#define WRITE     2

static void
several_events_of_one_batch_are_no_coincidence(void **state)
{
	MrLoneFailures lone = {0};

	(void) state;
	assert_false(mr_lone_suspects(&lone, WRITE, 42, 0));
	assert_false(mr_lone_suspects(&lone, WRITE, 42, 1));
	assert_true(mr_lone_suspects(&lone, WRITE, 42, 2));
}

static void
nor_are_three_that_come_one_by_one(void **state)
{
	MrLoneFailures lone = {0};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		assert_false(mr_lone_suspects(&lone, WRITE, 42, 1));
		mr_lone_failed(&lone, WRITE, 42);
	}
	assert_false(mr_lone_suspects(&lone, WRITE, 42, 0)); /* known ones, tried again */
	assert_true(mr_lone_suspects(&lone, WRITE, 42, 1));
	assert_false(mr_lone_suspects(&lone, WRITE, 43, 1)); /* another error */
	assert_false(mr_lone_suspects(&lone, TRANSFORM, 42, 1));
	mr_lone_passed(&lone, TRANSFORM); /* proves nothing about the write */
	assert_true(mr_lone_suspects(&lone, WRITE, 42, 1));
	mr_lone_passed(&lone, WRITE);
	assert_false(mr_lone_suspects(&lone, WRITE, 42, 1));
}

static void
errors_that_take_turns_are_counted_from_one_again(void **state)
{
	MrLoneFailures lone = {0};

	(void) state;
	for (int i = 0; i < 10; i++)
	{
		assert_false(mr_lone_suspects(&lone, WRITE, i % 2, 1));
		mr_lone_failed(&lone, WRITE, i % 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_probes_and_closes),
		cmocka_unit_test(what_passes_by_itself_opens_at_the_third_time_in_a_row),
		cmocka_unit_test(waits_twice_as_long_each_time_up_to_half_a_minute),
		cmocka_unit_test(trouble_while_it_is_open_prolongs_the_wait),
		cmocka_unit_test(one_that_was_left_open_begins_with_a_probe),
		cmocka_unit_test(others_pass_only_while_it_is_not_closed),
		cmocka_unit_test(a_probe_is_due_when_others_pass_for_the_first_time),
		cmocka_unit_test(a_probe_that_is_asked_for_is_due_and_begins_with_short_waits),
		cmocka_unit_test(several_events_of_one_batch_are_no_coincidence),
		cmocka_unit_test(nor_are_three_that_come_one_by_one),
		cmocka_unit_test(errors_that_take_turns_are_counted_from_one_again),
		cmocka_unit_test(events_are_to_blame_after_three_small_batches_in_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
