/*
 * isolate.h: finding the few members of a set that make it fail. Knows nothing of what they are.
 */
#ifndef MR_ISOLATE_H
#define MR_ISOLATE_H

#include "postgres.h"

#include "server/failure.h"
#include "program/limits.h"

typedef struct MrIsolation
{
	/*
	 * Does the work for members [from, to), or undoes all of it and returns why it failed, with the member
	 * it was at (or -1). What is no member's fault is raised, not returned. An empty range is asked
	 * for as well: does the work fail even without members? It may run for timeout_ms, 0 for any time.
	 */
	MrFailure *(*attempt)(void *arg, int from, int to, int timeout_ms, int *culprit);
	/* That member fails alone. */
	void (*fail)(void *arg, int member, MrFailure *failure);
	/* Raises an error by which all members come again in smaller sets, or returns. */
	void (*give_back)(void *arg, const char *reason);
	MrLimits *limits; /* of the attempts */
	void *arg;
} MrIsolation;

/*
 * Tries all members [0, n): each is either part of exactly one successful attempt, or failed. Without a failure
 * that is one attempt; with k failing members that are known when they fail, each member is tried about twice. When the
 * work fails without any member, that failure is raised: the work itself is at fault.
 */
extern void mr_isolate(const MrIsolation *isolation, int n);

#endif /* MR_ISOLATE_H */
