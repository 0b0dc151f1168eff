/*
 * give_way.h: when max_worker_processes is used up, who lacks a process asks one of another owner, be it of another database, to
 * end after its turn, and has the slot that becomes free. In the launcher, which needs one for a supervisor, and in supervisors.
 */
#ifndef MR_GIVE_WAY_H
#define MR_GIVE_WAY_H

#include "postgres.h"

#define MR_GIVE_WAY_WAIT_US                                                                        \
	INT64_C(100000) /* between two tries to start a process while others are to give way */

/*
 * Asks a process to end, one at a time, for a process of this owner, or (both InvalidOid) for a supervisor. Returns whether
 * one may be expected soon: the owner has none, or others have more.
 */
extern bool mr_give_way_ask(Oid database, Oid owner, int64 now);

/* The supervisor of the database waits for a process, or does not, for an owner who has `with`: the others see it. */
extern void mr_give_way_wait(Oid database, bool waiting, int with, int64 now);

/* The same of the launcher. */
extern void mr_give_way_launcher_waits(bool waiting, int64 now);

/* Whether the database may take a slot that is free: nobody waits who comes first. */
extern bool mr_give_way_may_start(Oid database, int64 now);

#endif /* MR_GIVE_WAY_H */
