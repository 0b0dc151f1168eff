/*
 * seat.h: the slots in shared memory of this process and of the worker that it serves at the moment: who it works for, and
 * what it reports of itself. Which worker that is changes with its turns (turn.h).
 */
#ifndef MR_SEAT_H
#define MR_SEAT_H

#include "server/shmem.h"

/* NULL until it is taken. `database`, `owner` and `ticket` are read without a lock: they do not change. */
extern MrWorkerProcess *mr_process;

/* NULL: none. `pipeline_id`, `pipeline`, `number` and `database` are read without a lock: they do not change while it is served. */
extern MrWorkerSlot *mr_seat;

/*
 * Takes the slot that the supervisor prepared for this start. False: the supervisor has ended since, and the slot may be
 * another process's. It is given back when the process ends, and so is the worker that it serves then.
 */
extern bool mr_process_take(uint32 ticket);

/*
 * Begins and ends to serve a worker. The caller holds the lock exclusively. due_at: when it is to be served next, or when something
 * is staged, unless it is deaf.
 */
extern void mr_seat_take(MrWorkerSlot *worker, int64 now);
extern void mr_seat_give_back(int64 due_at);

/* A batch of which an event was written began then (mr_clock_us()): evidence for other workers of the pipeline. */
extern void mr_seat_passed(int64 began_at);

/* Whether another worker of the pipeline wrote an event of a batch that began after `since` (mr_clock_us()). */
extern bool mr_seat_others_passed(int64 since);

/* Whether a verb woke the workers of this database since this was asked last: something was changed. */
extern bool mr_seat_was_woken(void);

/* For display only. */
extern void mr_seat_show(MrWorkerState state);
extern void mr_seat_show_error(const char *message);

#endif /* MR_SEAT_H */
