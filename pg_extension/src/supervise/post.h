/*
 * post.h: the workers that the pipelines of this database are to have, each with its slot in shared memory, where the
 * processes find it (turn.h). In the supervisor.
 */
#ifndef MR_POST_H
#define MR_POST_H

#include "postgres.h"

#include "nodes/pg_list.h"

/*
 * Reads which workers there should be, and gives each its slot. False: the extension was dropped,
 * or is of another version. */
extern bool mr_posts_read(Oid database);

/* A worker was given back as it is not wanted any more. */
extern bool mr_posts_have_leavers(void);

/* Workers of an owner that have a slot. */
typedef struct MrOwnerNeed
{
	Oid owner;
	int workers;
	int64
		due_at; /* the longest due of those without a process, MR_NEVER: none is without; mr_clock_us() */
	char example[NAMEDATALEN * 2]; /* name for a process: that worker, or another */
} MrOwnerNeed;

/* Of each owner, in the current memory context. */
extern List *mr_posts_needs(void);

/* The supervisor ends: what no process serves is free. The lock is held. */
extern void mr_posts_leave(void);

#endif /* MR_POST_H */
