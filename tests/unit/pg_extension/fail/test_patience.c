/*
 * test_patience.c: a fifth of the time at most is spent waiting, and any batch is outwaited in the end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fail/patience.h"

#define MS    INT64_C(1000)
#define START (77 * MS)

static void
nobody_waits_at_first(void **state)
{
	MrPatience patience = {0};

	(void) state;
	assert_int_equal(mr_patience_wait_ms(&patience, START), 0);
	mr_patience_note(&patience, true, START);
	assert_int_equal(mr_patience_wait_ms(&patience, START), 0);
	assert_int_equal(mr_patience_wait_ms(&patience, START + 99 * MS), 0);
	assert_int_equal(mr_patience_wait_ms(&patience, START + 100 * MS), 10);
}

/* A look every 20 ms at a partition whose batches take so long; returns when it is locked, in ms, and how long was waited. */
static int
outwait(int batch_ms, int *waited)
{
	MrPatience patience = {0};
	int64_t now = START;

	*waited = 0;
	for (;;)
	{
		int wait = mr_patience_wait_ms(&patience, now);
		int until_free = batch_ms - (int) ((now - START) / MS) % batch_ms;

		if (wait >= until_free)
			return (int) ((now - START) / MS) + until_free;
		*waited += wait;
		now += wait * MS;
		mr_patience_note(&patience, true, now);
		now += 20 * MS;
	}
}

static void
batches_are_outwaited_by_waiting_a_fifth_of_the_time(void **state)
{
	static const int batches[] = {15, 100, 999, 2000, 5000, 30000};

	(void) state;
	for (int i = 0; i < 6; i++)
	{
		int waited;
		int locked_after = outwait(batches[i], &waited);

		assert_in_range(locked_after, 0, 22 * batches[i] + 200);
		assert_in_range(waited, 0, locked_after / 5);
	}
}

static void
what_was_locked_is_forgotten(void **state)
{
	MrPatience patience = {0};

	(void) state;
	mr_patience_note(&patience, true, START);
	mr_patience_note(&patience, true, START + 900 * MS);
	assert_int_equal(mr_patience_wait_ms(&patience, START + 1000 * MS), 100);
	mr_patience_note(&patience, false, START + 1000 * MS);
	assert_int_equal(mr_patience_wait_ms(&patience, START + 9000 * MS), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_at_first),
		cmocka_unit_test(batches_are_outwaited_by_waiting_a_fifth_of_the_time),
		cmocka_unit_test(what_was_locked_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
