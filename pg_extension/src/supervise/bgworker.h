/*
 * bgworker.h: what the background workers have in common: launcher (one per server), supervisor (one per database with the
 * extension), workers (of a pipeline, in sessions of its owner).
 */
#ifndef MR_BGWORKER_H
#define MR_BGWORKER_H

#include "postgres.h"

#include "postmaster/bgworker.h"

/* What a process sleeps for: pg_stat_activity.wait_event from PostgreSQL 17 on, `Extension` before. */
typedef enum MrWait
{
	MR_WAIT_WORK,    /* MillraceIdle */
	MR_WAIT_BACKOFF, /* MillraceBackoff: trouble, until the next probe */
	MR_WAIT_PARKED   /* MillraceParkedEvents: room among them, or in the windows */
} MrWait;

/*
 * Starts a background worker of the extension. `name` is for people (ps, the log, application_name), `type` is one of a few
 * (pg_stat_activity.backend_type). False when no slot of max_worker_processes is free.
 */
extern bool mr_worker_start(const char *name, const char *type, const char *function,
							Datum argument, BackgroundWorkerHandle **handle);

/* The signals every background worker of the extension begins with; it ends when the postmaster does. */
extern void mr_worker_prepare(void);

/*
 * Settings of the server that must not be changed by ALTER ROLE or ALTER DATABASE ... SET, which anybody may
 * have set for a role or a database of theirs; and the application_name. Called once, when connected.
 */
extern void mr_worker_pin_settings(void);

/* lock_timeout as millrace.lock_timeout says, which may be changed while a worker runs. */
extern void mr_worker_pin_lock_timeout(void);

/*
 * Between two transactions, at least once a batch: serves interrupts and configuration reloads, and ends the process when the
 * postmaster is gone. A cancel is for what runs; here nothing does, and it is forgotten.
 */
extern void mr_worker_attend(void);

/* Sleeps until the latch is set, or it is `at` (mr_clock_us()); then attends. */
extern void mr_worker_sleep_until(int64 at, MrWait wait);

#endif /* MR_BGWORKER_H */
