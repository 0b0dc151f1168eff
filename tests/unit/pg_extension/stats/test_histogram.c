/*
 * test_histogram.c: bounds of the buckets, and quantiles against those of the sorted durations.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <math.h>

#include "stats/histogram.h"

#define N 20000

static void
buckets_follow_each_other(void **state)
{
	(void) state;
	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
	{
		int64_t end = mr_histogram_end(i);

		assert_int_equal(mr_histogram_bucket(end - 1), i);
		if (i < MR_HISTOGRAM_BUCKETS - 1)
			assert_int_equal(mr_histogram_bucket(end), i + 1);
		if (i > 0)
			assert_true(end > mr_histogram_end(i - 1) && end <= mr_histogram_end(i - 1) * 5 / 4);
	}
	assert_int_equal(mr_histogram_bucket(INT64_MIN), 0);
	assert_int_equal(mr_histogram_bucket(0), 0);
	assert_int_equal(mr_histogram_bucket(INT64_MAX), MR_HISTOGRAM_BUCKETS - 1);
	assert_true(mr_histogram_end(MR_HISTOGRAM_BUCKETS - 1) > INT64_C(20) * 86400 * 1000000);
}

static int
compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *) a;
	int64_t right = *(const int64_t *) b;

	return left < right ? -1 : left > right;
}

static void
quantiles_are_exact_to_an_eighth(void **state)
{
	static const double shares[] = {0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	static int64_t us[N];
	uint64_t counts[MR_HISTOGRAM_BUCKETS] = {0};

	(void) state;
	srand(7);
	for (int i = 0; i < N; i++)
	{
		us[i] = 64 + ((int64_t) rand() << (rand() % 8)) % 50000000;
		counts[mr_histogram_bucket(us[i])]++;
	}
	qsort(us, N, sizeof(us[0]), compare);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
	{
		int rank = (int) (shares[i] * N);
		double exact = (double) us[rank > 0 ? rank - 1 : 0];
		double found = mr_histogram_quantile(counts, shares[i]);

		/* a bucket is a quarter of a power of two wide at most */
		assert_true(found >= exact * 0.79 && found <= exact * 1.26);
		/* what is less than it was measured in would be noise in JSON */
		assert_true(found == floor(found));
	}
}

static void
edges(void **state)
{
	uint64_t counts[MR_HISTOGRAM_BUCKETS] = {0};

	(void) state;
	assert_true(mr_histogram_quantile(counts, 0.5) < 0);
	counts[10] = 1;
	assert_true(mr_histogram_quantile(counts, 0) == (double) mr_histogram_end(9));
	assert_true(mr_histogram_quantile(counts, 1) == (double) mr_histogram_end(10));
	assert_true(mr_histogram_quantile(counts, 7) == (double) mr_histogram_end(10));
	counts[MR_HISTOGRAM_BUCKETS - 1] = 3;
	assert_true(mr_histogram_quantile(counts, 1) ==
				(double) mr_histogram_end(MR_HISTOGRAM_BUCKETS - 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_follow_each_other),
		cmocka_unit_test(quantiles_are_exact_to_an_eighth),
		cmocka_unit_test(edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
