/*
 * seat.h: the slot in shared memory of the worker that this process is: who it works for, and what it reports of itself.
 */
#ifndef MR_SEAT_H
#define MR_SEAT_H

#include "server/shmem.h"

/* NULL until it is taken. `pipeline_id`, `number`, `database` and `owner` are read without a lock: they do not change. */
extern MrWorkerSlot *mr_seat;

/*
 * Takes the slot that the supervisor prepared for this start. False: the supervisor has ended since, and the slot may be
 * another worker's. It is given back when the process ends.
 */
extern bool mr_seat_take(uint32 ticket);

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
