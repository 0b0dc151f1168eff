/*
 * test_retry_policy.c: delays grow by the factor up to the cap, jitter moves them by its share and no more.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fail/retry_policy.h"

static void
grows_by_factor_up_to_cap(void **state)
{
	(void) state;
	assert_int_equal(mr_retry_delay_ms(1, 1000, 2, 60000, 0, 0), 1000);
	assert_int_equal(mr_retry_delay_ms(2, 1000, 2, 60000, 0, 0), 2000);
	assert_int_equal(mr_retry_delay_ms(3, 1000, 2, 60000, 0, 0), 4000);
	assert_int_equal(mr_retry_delay_ms(7, 1000, 2, 60000, 0, 0), 60000);
	assert_int_equal(mr_retry_delay_ms(1000000, 1000, 2, 60000, 0, 0), 60000);
	assert_int_equal(mr_retry_delay_ms(1, 90000, 2, 60000, 0, 0), 60000);
}

static void
jitter_stays_within_its_share(void **state)
{
	(void) state;
	assert_int_equal(mr_retry_delay_ms(1, 1000, 2, 60000, 0.2, 0), 800);
	assert_int_equal(mr_retry_delay_ms(1, 1000, 2, 60000, 0.2, 0.5), 1000);
	assert_int_equal(mr_retry_delay_ms(1, 1000, 2, 60000, 0.2, 1), 1200);
}

static void
odd_settings_never_give_a_negative_delay(void **state)
{
	(void) state;
	assert_int_equal(mr_retry_delay_ms(5, 0, 2, 60000, 0.2, 1), 0);
	assert_int_equal(mr_retry_delay_ms(5, 1000, 0.5, 60000, 0, 0), 1000);
	assert_int_equal(mr_retry_delay_ms(1, 1000, 2, 60000, 5, 0), 0);
	assert_int_equal(mr_retry_delay_ms(0, 1000, 2, 60000, 0, 0), 1000);
}

/* For whatever settings and luck: never above cap plus jitter, never shrinking before jitter. */
static void
random_settings_keep_the_bounds(void **state)
{
	(void) state;
	srand(7);
	for (int i = 0; i < 20000; i++)
	{
		int64_t delay = rand() % 10000;
		int64_t cap = delay + rand() % 100000;
		double factor = 1 + rand() / (double) RAND_MAX * 4;
		double jitter = rand() / (double) RAND_MAX;
		double luck = rand() / (double) RAND_MAX;
		int n = rand() % 50 + 1;
		int64_t got = mr_retry_delay_ms(n, delay, factor, cap, jitter, luck);

		assert_true(got >= 0 && (double) got <= (double) cap * (1 + jitter));
		assert_true(mr_retry_delay_ms(n + 1, delay, factor, cap, 0, 0) >=
					mr_retry_delay_ms(n, delay, factor, cap, 0, 0));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_by_factor_up_to_cap),
		cmocka_unit_test(jitter_stays_within_its_share),
		cmocka_unit_test(odd_settings_never_give_a_negative_delay),
		cmocka_unit_test(random_settings_keep_the_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
