/*
 * xact.c: see xact.h.
 */
#include "server/xact.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "server/clock.h"
#include "server/failure.h"
#include "server/catalog.h"

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

/* Until the end of the subtransaction, however it ends. */
static void
bound_lock_waits(int lock_ms)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", lock_ms);
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

ErrorData *
mr_try(void (*fn)(void *arg), void *arg, void (*on_error)(void *arg), int timeout_ms, int lock_ms)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "millrace try", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;
	int64 began_at = mr_clock_us();

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(scratch);
	PG_TRY();
	{
		if (lock_ms > 0)
			bound_lock_waits(lock_ms);
		if (timeout_ms > 0)
			enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
		fn(arg);
		if (timeout_ms > 0)
			disable_timeout(STATEMENT_TIMEOUT, false);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (timeout_ms > 0)
			disable_timeout(STATEMENT_TIMEOUT, false);
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
	if (is_cancel(error, began_at, timeout_ms))
		ReThrowError(error);
	return error;
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
	if (!mr_lock_extension())
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
