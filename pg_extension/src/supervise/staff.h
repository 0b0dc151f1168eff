/*
 * staff.h: the processes that serve the workers of this database: a process for each worker where max_worker_processes
 * allows it. Where it does not, an owner whose workers are due and who has none or few gets one that another owner, be it of
 * another database, gives up. In the supervisor.
 */
#ifndef MR_STAFF_H
#define MR_STAFF_H

#include "postgres.h"

/* Takes over the processes that an earlier supervisor of the database has started. */
extern void mr_staff_adopt(Oid database);

/* Starts processes that are due; returns when to look again, mr_clock_us(). */
extern int64 mr_staff_keep(void);

/* The supervisor ends: the processes go on. The lock is held. */
extern void mr_staff_leave(void);

#endif /* MR_STAFF_H */
