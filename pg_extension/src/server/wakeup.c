/*
 * wakeup.c: see wakeup.h. Runs in any backend.
 */
#include "server/wakeup.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "server/clock.h"

static MrLane *lane_to_wake = NULL;
static uint64 staged_events = 0;
static uint64 staged_bytes = 0;
static int32 pipeline_to_wake = 0;
static bool wake_all = false;

static void
make_due(MrWorkerSlot *worker, int64 now)
{
	if (worker->pid == 0 && worker->due_at != MR_NEVER && worker->state != MR_WORKER_STOPPED)
		worker->due_at = Min(worker->due_at, now);
}

/* An idle process that may serve the worker, its home if that is one. *any: there is a process for it, be it a busy one. */
static MrWorkerProcess *
process_for(const MrWorkerSlot *worker, bool *any)
{
	MrWorkerProcess *found = NULL;

	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		MrWorkerProcess *process = mr_worker_process(i);

		if (process->pid == 0 || process->database != worker->database ||
			process->owner != worker->owner)
			continue;
		*any = true;
		if (process->idle_since != 0 && (found == NULL || process->pid == worker->home))
			found = process;
	}
	return found;
}

static void
wake_worker(MrWorkerSlot *worker)
{
	MrWorkerProcess *process;
	MrDatabase *database;
	bool any = false;

	if (worker->latch != NULL)
	{
		SetLatch(worker->latch);
		return;
	}
	if (worker->deaf)
		return;
	make_due(worker, mr_clock_us());
	process = process_for(worker, &any);
	if (process != NULL)
		SetLatch(process->latch);
	else if (!any && (database = mr_database_slot(worker->database, false)) != NULL &&
			 database->supervisor_latch != NULL)
		SetLatch(database->supervisor_latch);
}

/* Those that some process serves, and those whose turn it is not. Which worker has a lane is known to the workers only. */
static void
wake_pipeline(int32 pipeline_id)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot *worker = mr_worker_slot(i);

		if (worker->database == MyDatabaseId && worker->pipeline_id == pipeline_id)
			wake_worker(worker);
	}
	LWLockRelease(mr_shared->lock);
}

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
	for (int i = 0; i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot *worker = mr_worker_slot(i);

		if (worker->database != database)
			continue;
		worker->woken = true;
		make_due(worker, mr_clock_us());
	}
	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		MrWorkerProcess *process = mr_worker_process(i);

		if (process->database == database && process->latch != NULL)
			SetLatch(process->latch);
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
		lane->staged_at[xid % MR_STAGED_AT] =
			(MrStagedAt){xid, GetCurrentTimestamp(), mr_clock_us()};
}

MrStagedAt
mr_lane_staged_at(const MrLane *lane, TransactionId xid)
{
	MrStagedAt staged = lane->staged_at[xid % MR_STAGED_AT];

	return staged.xid == xid ? staged : (MrStagedAt){0};
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
			pg_atomic_fetch_add_u64(&lane_to_wake->staged_events, staged_events);
			pg_atomic_fetch_add_u64(&lane_to_wake->staged_bytes, staged_bytes);
			pg_atomic_fetch_add_u64(&lane_to_wake->staged, 1);
			latch = *(Latch *volatile *) &lane_to_wake->worker_latch;
			if (latch != NULL)
				SetLatch(latch);
			else
				wake_pipeline(lane_to_wake->pipeline_id);
		}
		if (pipeline_to_wake != 0)
			wake_pipeline(pipeline_to_wake);
		if (wake_all)
			mr_wake_database(MyDatabaseId);
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		lane_to_wake = NULL;
		pipeline_to_wake = 0;
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
mr_wake_lane_at_commit(MrLane *lane, uint64 events, uint64 bytes)
{
	install_callback();
	lane_to_wake = lane;
	staged_events = events;
	staged_bytes = bytes;
}

void
mr_wake_pipeline_at_commit(int32 pipeline_id)
{
	install_callback();
	pipeline_to_wake = pipeline_id;
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
