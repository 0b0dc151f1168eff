/*
 * clock_step.h: noticing that the wall clock was set back. Pure.
 *
 * Due times are stored as times of the wall clock, for people and for other processes to read. When that clock is set back by an
 * hour, everything that is due later waits an hour more, unless somebody notices: the wall clock then differs from the one
 * nobody sets (mr_clock_us()) by an hour less than before.
 */
#ifndef MR_CLOCK_STEP_H
#define MR_CLOCK_STEP_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
typedef struct MrClockStep
{
	bool known;
	int64_t difference; /* wall clock - clock, µs */
} MrClockStep;

/*
 * At `wall` of the wall clock and `clock` of the other, µs: by how much the former was set back since the last call, 0: by less
 * than a second, or it was set forward. Small steps add up until they are a second.
 */
extern int64_t mr_clock_step_back(MrClockStep *step, int64_t wall, int64_t clock);

#endif /* MR_CLOCK_STEP_H */
