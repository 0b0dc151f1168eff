/*
 * clock_step.c: see clock_step.h. Needs no server; tested by itself.
 */
#include "fail/clock_step.h"

#define NOTICED_US INT64_C(1000000)

int64_t
mr_clock_step_back(MrClockStep *step, int64_t wall, int64_t clock)
{
	int64_t difference = wall - clock;
	int64_t back = step->known ? step->difference - difference : 0;

	if (step->known && back > 0 && back < NOTICED_US)
		return 0;
	step->known = true;
	step->difference = difference;
	return back > 0 ? back : 0;
}
