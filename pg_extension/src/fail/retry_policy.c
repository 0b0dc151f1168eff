/*
 * retry_policy.c: see retry_policy.h. Needs no server; tested by itself.
 */
#include "fail/retry_policy.h"

int64_t
mr_retry_delay_ms(int failures, int64_t delay_ms, double factor, int64_t max_delay_ms,
				  double jitter, double random)
{
	double delay = (double) delay_ms;
	double limit = (double) max_delay_ms;

	for (int i = 1; i < failures && delay < limit; i++)
		delay *= factor > 1 ? factor : 1;
	if (delay > limit)
		delay = limit;
	delay += delay * jitter * (2 * random - 1);
	return delay > 0 ? (int64_t) delay : 0;
}
