/*
 * seat.h: the slot in shared memory of the worker that this process is: who it works for, and what it reports of itself.
 */
#ifndef MR_SEAT_H
#define MR_SEAT_H

#include "server/shmem.h"

/* NULL until it is taken. Whoever reads `pipeline_id`, `number`, `database` or `owner` needs no lock: they stay. */
extern MrWorkerSlot *mr_seat;

/*
 * Takes the slot that the supervisor prepared for this start. False: the supervisor has ended meanwhile, and the slot may be
 * another worker's. It is given back when the process ends.
 */
extern bool mr_seat_take(uint32 ticket);

/* For display only. */
extern void mr_seat_show(MrWorkerState state);
extern void mr_seat_show_error(const char *message);

#endif /* MR_SEAT_H */
