/*
 * patience.h: how long worker 0 waits for a partition whose retries it had to pass over. Pure.
 *
 * Another worker that is always at work on the partition unlocks it for microseconds only, between two batches: who looks
 * now and then finds it locked. Who waits in the lock's queue gets it at the end of the batch, and holds up its own lanes as
 * long. So it waits for a tenth of the time for which it has passed the partition over, and then not before that time has
 * doubled: its lanes lose a fifth of the time at most, and a batch of B seconds is outwaited after 10 to 20 B.
 */
#ifndef MR_PATIENCE_H
#define MR_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. Times in µs of a clock that only goes forward, and never is 0. */
typedef struct MrPatience
{
	int32_t partition; /* the first that was passed over */
	int64_t since;     /* it has been passed over; 0: none is */
	int64_t wait_at;   /* not before */
} MrPatience;

/* How long to wait for the partition now, in ms; 0: not at all. */
extern int mr_patience_wait_ms(MrPatience *patience, int64_t now);

/* Some were passed over, or none. */
extern void mr_patience_note(MrPatience *patience, bool passed_over, int64_t now);

#endif /* MR_PATIENCE_H */
