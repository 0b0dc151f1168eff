/*
 * state_call.h: what workers do between batches about the state of windows: functions of ours in SQL, each in a transaction of its own, as
 * the extension's owner.
 */
#ifndef MR_WINDOW_STATE_CALL_H
#define MR_WINDOW_STATE_CALL_H

#include "postgres.h"

/*
 * Begins the transaction, with a snapshot; false: the extension is gone. lock: verbs of the pipeline, drop_window() for one, wait for
 * its end.
 */
extern bool mr_state_begin(int32 pipeline_id, bool lock);
extern void mr_state_end(void);

/* The value, passed by value, that a SELECT of one row gives; 0 when the extension is gone. Raises what it raises. */
extern Datum mr_state_call(int32 pipeline_id, bool lock, const char *sql, int nargs, Oid *types,
						   Datum *values);

/*
 * Runs fn(arg), which is such calls. False: it failed; the error is in the log, and the window says that this step of its upkeep fails
 * (68_window_failure.sql).
 */
extern bool mr_state_try(int32 window_id, const char *step, void (*fn)(void *arg), void *arg);

#endif /* MR_WINDOW_STATE_CALL_H */
