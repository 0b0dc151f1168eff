/*
 * keep.h: keeping a background worker running: the launcher its supervisors, a supervisor its workers.
 */
#ifndef MR_KEEP_H
#define MR_KEEP_H

#include "postgres.h"

#include "postmaster/bgworker.h"

#include "supervise/restart_policy.h"

/* A process to keep running, the first member of the keeper's own struct of it. Zeroed at first. */
typedef struct MrChild
{
	bool running;                   /* as of the last look */
	BackgroundWorkerHandle *handle; /* NULL: it is not running, or was adopted */
	MrRestart restart;              /* times of mr_clock_us() */
} MrChild;

/* What is different for different children. */
typedef struct MrKeeping
{
	/*
	 * Starts it and sets `handle`, or adopts one that runs already. False: no slot of max_worker_processes is free.
	 */
	bool (*start)(MrChild *child);
	/* Whether one that was adopted has ended. NULL: none ever is adopted. */
	bool (*adopted_has_ended)(const MrChild *child);
	/* It has ended. True: as it should, and not by a failure. */
	bool (*ended)(MrChild *child);
	int64 no_slot_us; /* until the next try when no slot was free */
} MrKeeping;

/*
 * A look at one child at `now`: if it has ended, that is noted; if it is wanted and due, it is started. Returns when it is to be
 * looked at again: at look_at, or before, when it is due then.
 */
extern int64 mr_keep(const MrKeeping *keeping, MrChild *child, bool wanted, int64 now,
					 int64 look_at);

/* The first half of that look: if the child has ended, that is noted. */
extern void mr_keep_look(const MrKeeping *keeping, MrChild *child, int64 now);

#endif /* MR_KEEP_H */
