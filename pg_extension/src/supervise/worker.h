/*
 * worker.h: a worker of a pipeline: serves its share of the pipeline's lanes, and worker 0 the events that are tried again.
 *
 * What a process keeps of a worker between its turns (turn.h): its plans, its breakers, the size of its batches. Kept for some
 * workers at a time; a worker that begins without it takes over what the tables have.
 */
#ifndef MR_WORKER_H
#define MR_WORKER_H

#include "supervise/turn.h"

typedef struct MrWorker MrWorker;

/* Of mr_seat. */
extern MrWorker *mr_worker_create(void);
extern bool mr_worker_is_of_seat(const MrWorker *worker);
extern void mr_worker_free(MrWorker *worker);

/* The process begins to serve it, having served another one; and ends. */
extern void mr_worker_turn_to(MrWorker *worker);
extern void mr_worker_turn_from(MrWorker *worker);

/*
 * Does what there is to do for mr_seat, for a second at most besides one batch. An error costs the batch's transaction and a
 * pause, never an event. False: the worker is not wanted any more.
 */
extern bool mr_worker_round(MrWorker *worker, MrRest *rest);

#endif /* MR_WORKER_H */
