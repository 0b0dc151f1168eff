/*
 * bgworker.h: what the background workers have in common: launcher (one per server), supervisor (one per database with the
 * extension), workers (of a pipeline, in sessions of its owner).
 */
#ifndef MR_BGWORKER_H
#define MR_BGWORKER_H

#include "postgres.h"

#include "postmaster/bgworker.h"

/*
 * Starts a background worker of the extension. False when no slot of max_worker_processes is free.
 */
extern bool mr_worker_start(const char *name, const char *function, Datum argument,
							BackgroundWorkerHandle **handle);

/* Signals and interrupts every background worker of the extension begins with. */
extern void mr_worker_prepare(void);

/*
 * Settings of the server that must not be changed by ALTER ROLE or ALTER DATABASE ... SET, which anybody may
 * have said for a role or a database of theirs. Called once, when connected.
 */
extern void mr_worker_pin_settings(void);

/*
 * Between two transactions: serves interrupts and configuration reloads. A cancel is for what runs; here
 * nothing does, and it is forgotten.
 */
extern void mr_worker_attend(void);

/* Sleeps until the latch is set, or ms have passed; then attends. */
extern void mr_worker_sleep(long ms);

#endif /* MR_BGWORKER_H */
