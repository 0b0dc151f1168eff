/*
 * How long to wait before the next attempt: doubles from min to max, with jitter (between half of
 * the step and the whole), so that a crowd that lost the same server does not come back at once.
 * Pure: the random number is the caller's.
 */
#ifndef MR_COMMON_BACKOFF_H
#define MR_COMMON_BACKOFF_H

#include <stdint.h>

typedef struct MrBackoff
{
	int min_ms;
	int max_ms;
	int step_ms; /* 0: the next attempt is the first */
} MrBackoff;

/* The next wait in ms; random is any 32 random bits. */
extern int mr_backoff_next(MrBackoff *backoff, uint32_t random);
/* An attempt succeeded. */
extern void mr_backoff_reset(MrBackoff *backoff);

#endif
