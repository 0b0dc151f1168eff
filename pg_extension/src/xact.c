/*
 * xact.c: see xact.h.
 */
#include "xact.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "failure.h"
#include "locks.h"

bool mr_blame_event = false;
int mr_try_timeout_ms = 0;

/* A cancel that comes when the time is over is the timeout's, not an administrator's. */
static bool
has_timed_out(int sqlstate, TimestampTz begin)
{
	return mr_try_timeout_ms > 0 && sqlstate == ERRCODE_QUERY_CANCELED &&
		   TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), mr_try_timeout_ms);
}

/* With a single event that has failed like this several times in a row, it is the event's after all. */
static bool
may_blame(int sqlstate)
{
	int category = ERRCODE_TO_CATEGORY(sqlstate);

	return mr_blame_event &&
		   (category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
			category == ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR) ||
			sqlstate == ERRCODE_QUERY_CANCELED || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE);
}

ErrorData *
mr_try(void (*fn)(void *arg), void *arg, void (*on_error)(void *arg))
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "millrace try", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;
	TimestampTz begin = GetCurrentTimestamp();
	bool timed_out;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(scratch);
	PG_TRY();
	{
		if (mr_try_timeout_ms > 0)
			enable_timeout_after(STATEMENT_TIMEOUT, mr_try_timeout_ms);
		fn(arg);
		if (mr_try_timeout_ms > 0)
			disable_timeout(STATEMENT_TIMEOUT, false);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (mr_try_timeout_ms > 0)
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
	timed_out = has_timed_out(error->sqlerrcode, begin);
	if (!timed_out && !mr_error_is_of_the_data(error->sqlerrcode) && !may_blame(error->sqlerrcode))
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

/* Nothing the user's SQL holds beyond its transaction reaches the next one. */
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
