/*
 * histogram.h: durations counted in fixed buckets, so that histograms of workers, minutes and servers can be added.
 *
 * Pure. Buckets are log-linear, as in HdrHistogram: four to each power of two, from 64 µs to 25 days. A quantile is
 * interpolated in its bucket, whose width is a quarter of its start at most. The number of buckets and their bounds never change:
 * rows of millrace.stats_minute have them as arrays.
 */
#ifndef MR_HISTOGRAM_H
#define MR_HISTOGRAM_H

#include <stdint.h>

#define MR_HISTOGRAM_BUCKETS 141
#define MR_HISTOGRAM_FLOOR   64 /* µs: shorter durations are all in bucket 0 */

/* The bucket of a duration in µs; a negative one counts as 0, one that is too long is in the last bucket. */
static inline int
mr_histogram_bucket(int64_t us)
{
	int power;
	int bucket;

	if (us < MR_HISTOGRAM_FLOOR)
		return 0;
	power = 63 - __builtin_clzll((unsigned long long) us); /* 6 or more */
	bucket = 1 + (power - 6) * 4 + (int) ((us >> (power - 2)) & 3);
	return bucket < MR_HISTOGRAM_BUCKETS ? bucket : MR_HISTOGRAM_BUCKETS - 1;
}

/* Where a bucket ends, in µs: durations in it are shorter, and not shorter than the end of the one before. */
extern int64_t mr_histogram_end(int bucket);

/*
 * The duration in µs that a share `q` (0 to 1) of those counted does not exceed, -1 when none were counted.
 * `counts` has MR_HISTOGRAM_BUCKETS entries.
 */
extern double mr_histogram_quantile(const uint64_t *counts, double q);

#endif /* MR_HISTOGRAM_H */
