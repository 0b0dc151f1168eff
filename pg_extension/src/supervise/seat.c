/*
 * seat.c: see seat.h. Runs in worker processes.
 */
#include "supervise/seat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "server/clock.h"
#include "server/guc.h"
#include "supervise/restart_policy.h"

MrWorkerProcess *mr_process = NULL;
MrWorkerSlot *mr_seat = NULL;

static void
wake_supervisor(void)
{
	MrDatabase *database = mr_database_slot(mr_process->database, false);

	if (database != NULL && database->supervisor_latch != NULL)
		SetLatch(database->supervisor_latch);
}

/* Those that wait for a process to end. */
static void
wake_waiting(void)
{
	if (mr_shared->launcher_waits_at != 0 && mr_shared->launcher_latch != NULL)
		SetLatch(mr_shared->launcher_latch);
	for (int i = 0; i < mr_shared->max_databases; i++)
	{
		MrDatabase *database = mr_database_slot_at(i);

		if (database->waiting_since != 0 && database->supervisor_latch != NULL)
			SetLatch(database->supervisor_latch);
	}
}

/* A process that ends badly takes its worker with it for a while, as what it was at may be the reason. */
static int64
due_after_end(int code)
{
	MrRestart restart = {.started_at = mr_seat->begun_at, .backoff_s = mr_seat->backoff_s};
	int64 now = mr_clock_us();

	if (code == 0)
		return now;
	mr_restart_note_failure(&restart, now, mr_restart_interval_s);
	mr_seat->backoff_s = restart.backoff_s;
	mr_seat->begun_at = 0;
	mr_seat->logged_version = 0;
	mr_seat->state = MR_WORKER_STOPPED;
	return restart.next_start;
}

static void
leave(int code, Datum arg)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	if (mr_seat != NULL)
		mr_seat_give_back(due_after_end(code));
	for (int i = 0; i < mr_shared->workers_used; i++)
		if (mr_worker_slot(i)->home == MyProcPid)
			mr_worker_slot(i)->home = 0;
	/* The postmaster notifies the supervisor that started us, not one that adopted us. */
	if (mr_process->supervisor_pid != 0)
		wake_supervisor();
	wake_waiting();
	mr_process->pid = 0;
	mr_process->latch = NULL;
	mr_process->idle_since = 0;
	mr_process->leave = false;
	mr_process->done = code == 0;
	if (mr_process->supervisor_pid == 0)
		memset(mr_process, 0, sizeof(*mr_process));
	LWLockRelease(mr_shared->lock);
}

bool
mr_process_take(uint32 ticket)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_processes && mr_process == NULL; i++)
		if (mr_worker_process(i)->ticket == ticket)
			mr_process = mr_worker_process(i);
	if (mr_process != NULL)
	{
		mr_process->pid = MyProcPid;
		mr_process->latch = MyLatch;
		mr_process->started_at = mr_clock_us();
	}
	LWLockRelease(mr_shared->lock);
	if (mr_process != NULL)
		before_shmem_exit(leave, 0);
	return mr_process != NULL;
}

void
mr_seat_take(MrWorkerSlot *worker, int64 now)
{
	mr_seat = worker;
	worker->pid = MyProcPid;
	worker->latch = MyLatch;
	worker->state = MR_WORKER_BUSY;
	if (worker->begun_at == 0)
		worker->begun_at = now;
	if (worker->home == MyProcPid)
		return;
	worker->home = MyProcPid;
	worker->started_at = GetCurrentTimestamp();
}

/*
 * Whoever stages from now on finds no latch, and makes the worker due; what was staged before shows here. (The barrier
 * belongs to that of the atomic increment in wakeup.c.)
 */
static bool
leave_lanes(void)
{
	bool pending = false;

	for (int i = 0; i < mr_shared->lanes_used; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->worker_latch != MyLatch)
			continue;
		lane->worker_latch = NULL;
		pg_memory_barrier();
		pending =
			pending || pg_atomic_read_u64(&lane->staged) != pg_atomic_read_u64(&lane->consumed);
	}
	return pending && !mr_seat->deaf && mr_seat->state != MR_WORKER_STOPPED;
}

void
mr_seat_give_back(int64 due_at)
{
	bool pending = leave_lanes();

	mr_seat->due_at = pending && due_at != MR_NEVER ? Min(due_at, mr_clock_us()) : due_at;
	mr_seat->pid = 0;
	mr_seat->latch = NULL;
	if (mr_seat->state == MR_WORKER_BUSY)
		mr_seat->state = MR_WORKER_IDLE;
	if (mr_seat->supervisor_pid == 0)
		memset(mr_seat, 0, sizeof(*mr_seat));
	mr_seat = NULL;
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
	for (int i = 0; i < mr_shared->workers_used && !passed; i++)
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
	bool woken = *(volatile bool *) &mr_seat->woken;

	if (woken)
	{
		mr_seat->woken = false;
		pg_memory_barrier(); /* what is read now is at least as new */
	}
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
