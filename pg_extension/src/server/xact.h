/*
 * xact.h: the only places that begin and end transactions and subtransactions.
 */
#ifndef MR_XACT_H
#define MR_XACT_H

#include "postgres.h"

/*
 * Runs fn(arg) in a subtransaction. NULL: it is released. Otherwise it is rolled back and the error is
 * returned, copied into the memory context of the call; on_error(arg), if given, is called before the
 * rollback, while the memory of what failed is still allocated. Whatever its SQLSTATE: a user's function can raise any
 * of them. Only an administrator's cancel is raised again. fn runs in a memory context of its own, which is deleted.
 *
 * timeout_ms: how long fn may run, 0 for any time. Running longer is returned as an error of the data, so that the slow
 * event among many is found. (Background workers arm no statement_timeout by themselves.) A statement_timeout of the session
 * that ends sooner stays in force, and is raised as a cancel is; one that ends later is in force again afterwards.
 * lock_ms: how long fn may wait for a lock, 0 for as long as the session's lock_timeout says.
 */
extern ErrorData *mr_try(void (*fn)(void *arg), void *arg, void (*on_error)(void *arg),
						 int timeout_ms, int lock_ms);

/*
 * Runs fn(arg) in a subtransaction: kept when fn returns true, rolled back when it returns false or raises an
 * error, which is raised again. Returns what fn returned.
 */
extern bool mr_subtransaction(bool (*fn)(void *arg), void *arg);

/*
 * Checks what deferred constraints and constraint triggers have queued, as SET CONSTRAINTS ALL IMMEDIATE does, and defers
 * all of them again: were they immediate for the rest of the transaction, a row that refers to a later one would be accepted
 * in the first attempt of a batch only. Inside a query, as in dry_run(), nothing is checked.
 */
extern void mr_check_deferred(void);

/*
 * Begins a transaction of a worker: holds the extension (false: it was dropped, or is of another version than this
 * library; nothing was begun), reports activity. mr_xact_commit() ends it and reports statistics, which background workers
 * do not by themselves.
 * However a worker's transaction ends, it leaves no advisory lock of the session behind.
 */
extern bool mr_xact_begin(const char *activity);
extern void mr_xact_commit(void);

/*
 * Runs fn(arg), which begins and ends transactions of its own. False: it failed; the error is in the log, and nothing is left
 * of its transaction.
 */
extern bool mr_xact_guard(void (*fn)(void *arg), void *arg);

/* The same; returns the error, copied into the current memory context, NULL: there was none. */
extern ErrorData *mr_xact_guard_error(void (*fn)(void *arg), void *arg);

/*
 * After an error: ends the transaction, after having logged the error if `report`. A pending cancel is forgotten
 * with it.
 */
extern void mr_xact_abort(bool report);

#endif /* MR_XACT_H */
