/*
 * wakeup.c: see wakeup.h. Runs in any backend.
 */
#include "server/wakeup.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

static MrLane *lane_to_wake = NULL;
static bool wake_all = false;

void
mr_wake_database(Oid database)
{
	Latch *latches[2] = {NULL, NULL};
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(database, true);
	if (slot != NULL)
	{
		slot->absent = false;
		slot->wakes++;
		latches[0] = slot->supervisor_latch;
	}
	else
		mr_shared->lost_wakes++;
	latches[1] = mr_shared->launcher_latch;
	for (int i = 0; i < mr_shared->max_workers; i++)
	{
		MrWorkerSlot *worker = mr_worker_slot(i);

		if (worker->database != database || worker->latch == NULL)
			continue;
		worker->wakes++;
		SetLatch(worker->latch);
	}
	LWLockRelease(mr_shared->lock);
	for (int i = 0; i < lengthof(latches); i++)
		if (latches[i] != NULL)
			SetLatch(latches[i]);
}

static void
note_staged(MrLane *lane)
{
	TransactionId xid = GetTopTransactionIdIfAny();

	if (TransactionIdIsValid(xid))
		lane->staged_at[xid % MR_STAGED_AT] = (MrStagedAt){xid, GetCurrentTimestamp()};
}

TimestampTz
mr_lane_staged_at(const MrLane *lane, TransactionId xid)
{
	MrStagedAt staged = lane->staged_at[xid % MR_STAGED_AT];

	return staged.xid == xid ? staged.at : 0;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
	{
		if (lane_to_wake != NULL)
		{
			Latch *latch;

			note_staged(lane_to_wake);
			pg_atomic_fetch_add_u64(&lane_to_wake->staged, 1);
			latch = *(Latch *volatile *) &lane_to_wake->worker_latch;
			if (latch != NULL)
				SetLatch(latch);
		}
		if (wake_all)
			mr_wake_database(MyDatabaseId);
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		lane_to_wake = NULL;
		wake_all = false;
	}
}

static void
install_callback(void)
{
	static bool installed = false;

	if (!installed)
		RegisterXactCallback(at_transaction_end, NULL);
	installed = true;
}

void
mr_wake_lane_at_commit(MrLane *lane)
{
	install_callback();
	lane_to_wake = lane;
}

void
mr_wake_all_at_commit(void)
{
	if (mr_shared == NULL)
		return;
	install_callback();
	wake_all = true;
}

PG_FUNCTION_INFO_V1(mr_sql_wake);

/* millrace._wake(): at commit, wakes launcher, supervisor and workers of this database. */
Datum
mr_sql_wake(PG_FUNCTION_ARGS)
{
	mr_wake_all_at_commit();
	PG_RETURN_VOID();
}
