/*
 * histogram.c: see histogram.h. Pure.
 */
#include "stats/histogram.h"

#include <math.h>

int64_t
mr_histogram_end(int bucket)
{
	if (bucket == 0)
		return MR_HISTOGRAM_FLOOR;
	return ((int64_t) MR_HISTOGRAM_FLOOR << ((bucket - 1) / 4)) / 4 * (5 + (bucket - 1) % 4);
}

double
mr_histogram_quantile(const uint64_t *counts, double q)
{
	uint64_t total = 0;
	uint64_t below = 0;
	double rank;

	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	if (total == 0)
		return -1;
	rank = fmax(fmin(q, 1.0), 0.0) * (double) total;
	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
	{
		double start = i == 0 ? 0 : (double) mr_histogram_end(i - 1);

		if (counts[i] == 0)
			continue;
		if ((double) (below + counts[i]) >= rank)
			return rint(start + ((double) mr_histogram_end(i) - start) *
									fmax(rank - (double) below, 0) / (double) counts[i]);
		below += counts[i];
	}
	return (double) mr_histogram_end(MR_HISTOGRAM_BUCKETS - 1);
}
