/*
 * xact.c: see xact.h.
 */
#include "server/xact.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "server/clock.h"
#include "server/failure.h"
#include "server/catalog.h"
#include "server/guc.h"

/*
 * This process was cancelled: not by a user's RAISE with that SQLSTATE, and not by the timeout, which is known by the
 * time that has passed.
 */
static bool
is_cancel(const ErrorData *error, int64 began_at, int timeout_ms)
{
	return mr_error_is_interrupt(error) && error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		   (timeout_ms == 0 || mr_clock_us() - began_at < (int64) timeout_ms * 1000);
}

/* When the session's own statement_timeout ends what runs; infinity: never. Workers have none, dry_run() may. */
static TimestampTz
session_limit(void)
{
	return get_timeout_active(STATEMENT_TIMEOUT) ? get_timeout_finish_time(STATEMENT_TIMEOUT)
												 : DT_NOEND;
}

/* Returns whether it was set: not when it is no limit, or that of the session comes first. */
static bool
set_limit(int timeout_ms, TimestampTz session_end)
{
	if (timeout_ms == 0 ||
		session_end <= TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms))
		return false;
	enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
	return true;
}

/* Back to the session's. */
static void
remove_limit(TimestampTz session_end)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	if (!TIMESTAMP_IS_NOEND(session_end))
		enable_timeout_at(STATEMENT_TIMEOUT, session_end);
}

/* Until the end of the subtransaction, however it ends. */
static void
bound_lock_waits(int lock_ms)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", lock_ms);
	mr_guc_set("lock_timeout", value);
}

ErrorData *
mr_try(void (*fn)(void *arg), void *arg, void (*on_error)(void *arg), int timeout_ms, int lock_ms)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "millrace try", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;
	int64 began_at = mr_clock_us();
	TimestampTz session_end = session_limit();
	bool limited;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(scratch);
	limited = set_limit(timeout_ms, session_end);
	PG_TRY();
	{
		if (lock_ms > 0)
			bound_lock_waits(lock_ms);
		fn(arg);
		if (limited)
			remove_limit(session_end);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (limited)
			remove_limit(session_end);
		if (on_error)
			on_error(arg);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	MemoryContextDelete(scratch); /* an executor that failed has left its state there */
	if (error == NULL)
		return NULL;
	if (is_cancel(error, began_at, limited ? timeout_ms : 0))
		ReThrowError(error);
	return error;
}

void
mr_check_deferred(void)
{
	ConstraintsSetStmt *constraints = makeNode(ConstraintsSetStmt);

	constraints->deferred = false;
	AfterTriggerSetState(constraints);
	constraints->deferred = true;
	AfterTriggerSetState(constraints);
	pfree(constraints);
}

bool
mr_subtransaction(bool (*fn)(void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;
	volatile bool keep = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		keep = fn(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (keep)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
	return keep;
}

bool
mr_xact_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!mr_lock_extension(false))
	{
		CommitTransactionCommand();
		return false;
	}
	pgstat_report_activity(STATE_RUNNING, activity);
	return true;
}

/* Nothing that the user's SQL holds beyond its transaction reaches the next one. */
static void
end_of_transaction(void)
{
	LockReleaseSession(USER_LOCKMETHOD); /* pg_advisory_lock() */
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
mr_xact_commit(void)
{
	CommitTransactionCommand();
	pgstat_report_stat(false);
	end_of_transaction();
}

void
mr_xact_abort(bool report)
{
	if (report)
		EmitErrorReport();
	FlushErrorState();
	disable_all_timeouts(false);
	QueryCancelPending = false; /* of what has ended; later than the timeouts, which set it */
	AbortOutOfAnyTransaction(); /* out of subtransactions too */
	end_of_transaction();
}

ErrorData *
mr_xact_guard_error(void (*fn)(void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		fn(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		mr_xact_abort(true);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return error;
}

bool
mr_xact_guard(void (*fn)(void *arg), void *arg)
{
	ErrorData *error = mr_xact_guard_error(fn, arg);

	if (error != NULL)
		FreeErrorData(error);
	return error == NULL;
}
