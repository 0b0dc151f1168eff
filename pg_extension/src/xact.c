/*
 * xact.c: see xact.h.
 */
#include "xact.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "failure.h"
#include "locks.h"

ErrorData *
mr_try(void (*fn)(void *arg), void *arg, void (*on_error)(void *arg))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fn(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (on_error)
			on_error(arg);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !mr_error_is_of_the_data(error->sqlerrcode))
		ReThrowError(error);
	return error;
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

void
mr_xact_commit(void)
{
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
mr_xact_abort(bool report)
{
	if (report)
		EmitErrorReport();
	FlushErrorState();
	disable_all_timeouts(false);
	AbortCurrentTransaction();
	pgstat_report_activity(STATE_IDLE, NULL);
}
