/*
 * patience.c: see patience.h. Needs no server; tested by itself.
 */
#include "fail/patience.h"

#define SHARE      10                /* of the time so far */
#define WORTH_US   INT64_C(10000)    /* a shorter wait is not worth it */
#define LONGEST_US INT64_C(60000000) /* statements have their time limit, batches end */
#define US_IN_A_MS 1000

int
mr_patience_wait_ms(MrPatience *patience, int64_t now)
{
	int64_t wait;

	if (patience->since == 0 || now < patience->wait_at)
		return 0;
	wait = (now - patience->since) / SHARE;
	if (wait > LONGEST_US)
		wait = LONGEST_US;
	if (wait < WORTH_US)
		return 0;
	patience->wait_at = now + wait * SHARE;
	return (int) (wait / US_IN_A_MS);
}

void
mr_patience_note(MrPatience *patience, bool passed_over, int64_t now)
{
	if (!passed_over)
		*patience = (MrPatience){0};
	else if (patience->since == 0)
		patience->since = now;
}
