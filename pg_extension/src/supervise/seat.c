/*
 * seat.c: see seat.h. Runs in workers.
 */
#include "supervise/seat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

MrWorkerSlot *mr_seat = NULL;

static void
leave(int code, Datum arg)
{
	MrDatabase *database;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_seat->pid = 0;
	mr_seat->latch = NULL;
	mr_seat->state = MR_WORKER_STOPPED;
	/* The postmaster notifies the supervisor that started us, not one that adopted us. */
	if (mr_seat->supervisor_pid == 0)
		memset(mr_seat, 0, sizeof(*mr_seat));
	else if ((database = mr_database_slot(mr_seat->database, false)) != NULL &&
			 database->supervisor_latch != NULL)
		SetLatch(database->supervisor_latch);
	for (int i = 0; i < mr_shared->max_lanes; i++)
		if (mr_lane_slot(i)->worker_latch == MyLatch)
			mr_lane_slot(i)->worker_latch = NULL;
	LWLockRelease(mr_shared->lock);
}

bool
mr_seat_take(uint32 ticket)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_workers && mr_seat == NULL; i++)
		if (mr_worker_slot(i)->ticket == ticket)
			mr_seat = mr_worker_slot(i);
	if (mr_seat != NULL)
	{
		mr_seat->pid = MyProcPid;
		mr_seat->latch = MyLatch;
		mr_seat->started_at = GetCurrentTimestamp();
	}
	LWLockRelease(mr_shared->lock);
	if (mr_seat != NULL)
		before_shmem_exit(leave, 0);
	return mr_seat != NULL;
}

void
mr_seat_passed(int64 began_at)
{
	mr_seat->passed_at = began_at; /* one word */
}

bool
mr_seat_others_passed(int64 since)
{
	bool passed = false;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	for (int i = 0; i < mr_shared->max_workers && !passed; i++)
	{
		const MrWorkerSlot *slot = mr_worker_slot(i);

		passed = slot != mr_seat && slot->database == mr_seat->database &&
				 slot->pipeline_id == mr_seat->pipeline_id && slot->passed_at > since;
	}
	LWLockRelease(mr_shared->lock);
	return passed;
}

bool
mr_seat_was_woken(void)
{
	static uint32 seen = 0;
	uint32 wakes = *(volatile uint32 *) &mr_seat->wakes;
	bool woken = wakes != seen;

	seen = wakes;
	return woken;
}

void
mr_seat_show(MrWorkerState state)
{
	mr_seat->state = state; /* one word */
}

void
mr_seat_show_error(const char *message)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	strlcpy(mr_seat->last_error, message, MR_ERROR_BYTES);
	mr_seat->last_error_at = GetCurrentTimestamp();
	LWLockRelease(mr_shared->lock);
}
