/*
 * clock.h: time for durations. The wall clock (GetCurrentTimestamp()) can be set, back or forth, while a process
 * waits; it is for what is stored or shown. Backoffs, intervals and deadlines inside the processes of one server
 * are counted on this clock, which nobody can set.
 */
#ifndef MR_CLOCK_H
#define MR_CLOCK_H

#include "postgres.h"

#include <time.h>

/* Microseconds since some moment before the server's start, the same moment in all its processes. Never 0. */
static inline int64
mr_clock_us(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000 + 1;
}

#endif /* MR_CLOCK_H */
