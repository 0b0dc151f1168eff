/*
 * turn.h: whose turn it is. The processes of an owner serve all workers of that owner's pipelines in the database.
 *
 * With a process for each worker, every process keeps its own. With fewer, a process that has nothing to do for its worker,
 * or has served it for a turn, takes the one that has been due for longest. A worker without events costs nothing but a look
 * now and then. Its state (its breaker, the size of its batches) is in the process that has served it, its home: another
 * process takes a worker only when its home has kept it waiting.
 */
#ifndef MR_TURN_H
#define MR_TURN_H

#include "postgres.h"

typedef enum MrTurn
{
	MR_TURN_ON,    /* the worker goes on */
	MR_TURN_OTHER, /* mr_seat is another worker now */
	MR_TURN_REST,  /* nothing to do until the time given */
	MR_TURN_END    /* the process is to end: it was asked to, for the sake of another owner */
} MrTurn;

/* Takes a worker when this process has none. False: there is none for it, and it is to end. */
extern bool mr_turn_begin(void);

/* What a round of a worker ended with. Times of mr_clock_us(). */
typedef struct MrRest
{
	int64 until; /* nothing is to be done before; 0: there is more to do */
	int64 away;  /* the same for a worker that no process serves meanwhile */
	bool sticky; /* its state must not be lost: it is in trouble */
	bool deaf;   /* what is staged meanwhile does not matter */
} MrRest;

/* After a round of the worker. *until: for MR_TURN_REST. */
extern MrTurn mr_turn_next(const MrRest *rest, int64 *until);

/* The process has slept, and is not to be woken for others any more. */
extern void mr_turn_awake(void);

/* The worker is not wanted any more. */
extern void mr_turn_drop(void);

#endif /* MR_TURN_H */
