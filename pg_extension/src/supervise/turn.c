/*
 * turn.c: see turn.h. Runs in worker processes; all of it is in shared memory.
 */
#include "supervise/turn.h"

#include "miscadmin.h"

#include "server/clock.h"
#include "supervise/seat.h"

#define TURN_US  INT64_C(100000) /* a turn, while others are due */
#define STEAL_US INT64_C(50000)  /* overdue for so long, it is taken by a process that is idle */
#define FAVOUR_US                                                                                  \
	INT64_C(1000000) /* and by a busy one when it is so much longer overdue than its own */
#define STICKY_US INT64_C(30000000) /* one in trouble: it is likely to be so again */

static int64 turn_began = 0; /* mr_clock_us() */

/* Whether it may be served by this process, and nobody serves it. */
static bool
is_free(const MrWorkerSlot *worker)
{
	return worker->database == mr_process->database && worker->owner == mr_process->owner &&
		   worker->pid == 0 && worker->supervisor_pid != 0 && worker->due_at != MR_NEVER;
}

/* By how much later it counts as due here than at home. */
static int64
distance(const MrWorkerSlot *worker, bool idle)
{
	if (worker->home == 0 || worker->home == MyProcPid)
		return 0;
	if (worker->sticky)
		return STICKY_US;
	return idle ? STEAL_US : FAVOUR_US;
}

/* The free worker that is due first, and when; NULL: there is none. The lock is held. */
static MrWorkerSlot *
first_due(bool idle, int64 *due_at)
{
	MrWorkerSlot *first = NULL;

	*due_at = MR_NEVER;
	for (int i = 0; i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot *worker = mr_worker_slot(i);
		int64 due;

		if (worker == mr_seat || !is_free(worker))
			continue;
		due = worker->due_at + distance(worker, idle);
		if (due >= *due_at)
			continue;
		first = worker;
		*due_at = due;
	}
	return first;
}

static void
take(MrWorkerSlot *worker, int64 now)
{
	mr_seat_take(worker, now);
	turn_began = now;
}

bool
mr_turn_begin(void)
{
	MrWorkerSlot *worker;
	int64 due_at;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	worker = first_due(true, &due_at);
	if (worker != NULL)
		take(worker, mr_clock_us());
	LWLockRelease(mr_shared->lock);
	return worker != NULL;
}

/* Nothing to do for its own worker: another one's turn, or rest. The lock is held. */
static MrTurn
turn_when_idle(int64 now, const MrRest *rest, int64 *until)
{
	int64 due_at;
	MrWorkerSlot *other = first_due(true, &due_at);

	if (other == NULL || due_at > now)
	{
		mr_process->idle_since = now;
		*until = Min(rest->until, due_at);
		return MR_TURN_REST;
	}
	mr_seat_give_back(rest->away);
	take(other, now);
	return MR_TURN_OTHER;
}

/* There is more to do: at the end of the turn another one that has been due for longer. The lock is held. */
static MrTurn
turn_when_busy(int64 now)
{
	int64 due_at;
	MrWorkerSlot *other = first_due(false, &due_at);

	turn_began = now;
	if (other == NULL || due_at > now)
		return MR_TURN_ON;
	mr_seat_give_back(now);
	take(other, now);
	return MR_TURN_OTHER;
}

MrTurn
mr_turn_next(const MrRest *rest, int64 *until)
{
	bool leave = *(volatile bool *) &mr_process->leave;
	bool busy = rest->until == 0;
	int64 now = mr_clock_us();
	MrTurn turn;

	if (busy && now - turn_began < TURN_US)
		return MR_TURN_ON;
	if (leave)
		return MR_TURN_END;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_seat->sticky = rest->sticky;
	mr_seat->deaf = rest->deaf;
	turn = busy ? turn_when_busy(now) : turn_when_idle(now, rest, until);
	LWLockRelease(mr_shared->lock);
	return turn;
}

void
mr_turn_awake(void)
{
	mr_process->idle_since = 0; /* one word; who still reads the other one sets a latch in vain */
}

void
mr_turn_drop(void)
{
	MrDatabase *database;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_seat->home = 0;
	mr_seat->logged_version = 0;
	database = mr_database_slot(mr_seat->database, false);
	mr_seat_give_back(MR_NEVER);
	if (database != NULL && database->supervisor_latch != NULL)
		SetLatch(database->supervisor_latch);
	LWLockRelease(mr_shared->lock);
}
