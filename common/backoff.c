/* Exponential backoff with jitter. */
#include "common/backoff.h"

int
mr_backoff_next(MrBackoff *backoff, uint32_t random)
{
	int step = backoff->step_ms == 0 ? backoff->min_ms : backoff->step_ms;
	int half = step / 2;

	backoff->step_ms = step >= backoff->max_ms / 2 ? backoff->max_ms : step * 2;
	return step - half + (int) (random % (uint32_t) (half + 1));
}

void
mr_backoff_reset(MrBackoff *backoff)
{
	backoff->step_ms = 0;
}
