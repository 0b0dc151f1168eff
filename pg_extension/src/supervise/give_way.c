/*
 * give_way.c: see give_way.h.
 */
#include "supervise/give_way.h"

#include "server/clock.h"
#include "server/shmem.h"

#define STILL_US INT64_C(300000)  /* who has not tried again for so long does not wait any more */
#define ASK_US   INT64_C(500000)  /* between asking one process and the next */
#define SHARE_US INT64_C(1000000) /* the only process of an owner may stay for so long */
#define IDLE_US                                                                                    \
	INT64_C(1000000) /* one of several that has been idle for so long is of more use elsewhere */

/* Processes of others. The lock is held. */
static bool
are_others(Oid database, Oid owner)
{
	bool any = false;

	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		const MrWorkerProcess *process = mr_worker_process(i);

		any = any ||
			  (process->pid != 0 && (process->database != database || process->owner != owner));
	}
	return any;
}

static int
count_running(Oid database, Oid owner)
{
	int n = 0;

	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		const MrWorkerProcess *process = mr_worker_process(i);

		n += process->pid != 0 && process->database == database && process->owner == owner ? 1 : 0;
	}
	return n;
}

/*
 * How well the process may give way to one of an owner who has `mine`; 0: not at all. Best, one of an owner who has two more;
 * then one of several that is idle. An owner without any also gets the only one of another: it goes from hand to hand.
 */
static int
rank(const MrWorkerProcess *process, int mine, int64 now)
{
	int n = count_running(process->database, process->owner);
	bool idle = process->idle_since != 0 && now - process->idle_since >= IDLE_US;

	if (n >= mine + 2)
		return 4 * mr_shared->max_processes + 2 * n + (idle ? 1 : 0);
	if (n >= 2 && idle)
		return 2 * mr_shared->max_processes + n;
	if (mine == 0 && now - process->started_at >= SHARE_US)
		return idle ? 2 : 1;
	return 0;
}

/* The longest-lived of the best. The lock is held. */
static MrWorkerProcess *
choose_victim(Oid database, Oid owner, int mine, int64 now)
{
	MrWorkerProcess *victim = NULL;
	int best = 0;

	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		MrWorkerProcess *process = mr_worker_process(i);
		int its;

		if (process->pid == 0 || process->leave ||
			(process->database == database && process->owner == owner))
			continue;
		its = rank(process, mine, now);
		if (its == 0 || its < best ||
			(its == best && victim != NULL && process->started_at >= victim->started_at))
			continue;
		victim = process;
		best = its;
	}
	return victim;
}

bool
mr_give_way_ask(Oid database, Oid owner, int64 now)
{
	static int64 asked_at = 0;
	MrWorkerProcess *victim = NULL;
	bool may_expect;
	int mine;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mine = OidIsValid(owner) ? count_running(database, owner) : 0;
	if (now - asked_at >= ASK_US)
		victim = choose_victim(database, owner, mine, now);
	if (victim != NULL)
	{
		victim->leave = true;
		SetLatch(victim->latch);
		asked_at = now;
	}
	may_expect = now - asked_at < ASK_US || (mine == 0 && are_others(database, owner));
	LWLockRelease(mr_shared->lock);
	return may_expect;
}

void
mr_give_way_wait(Oid database, bool waiting, int with, int64 now)
{
	MrDatabase *mine;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mine = mr_database_slot(database, false);
	if (mine != NULL)
	{
		if (!waiting)
			mine->waiting_since = 0;
		else if (mine->waiting_since == 0)
			mine->waiting_since = now;
		mine->waiting_with = with;
		mine->waiting_at = now;
	}
	LWLockRelease(mr_shared->lock);
}

void
mr_give_way_launcher_waits(bool waiting, int64 now)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_shared->launcher_waits_at = waiting ? now : 0;
	LWLockRelease(mr_shared->lock);
}

/*
 * Whether another one comes first: the launcher, or a database whose owner has fewer processes or has waited for longer, and
 * still does. The lock is held.
 */
static bool
others_wait(const MrDatabase *mine, int64 now)
{
	if (mr_shared->launcher_waits_at != 0 && now - mr_shared->launcher_waits_at < STILL_US)
		return true;
	for (int i = 0; i < mr_shared->max_databases; i++)
	{
		const MrDatabase *other = mr_database_slot_at(i);

		if (other == mine || other->waiting_since == 0 || now - other->waiting_at > STILL_US)
			continue;
		if (mine->waiting_since == 0 || other->waiting_with < mine->waiting_with ||
			(other->waiting_with == mine->waiting_with &&
			 other->waiting_since < mine->waiting_since))
			return true;
	}
	return false;
}

bool
mr_give_way_may_start(Oid database, int64 now)
{
	const MrDatabase *mine;
	bool may;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	mine = mr_database_slot(database, false);
	may = mine != NULL && !others_wait(mine, now);
	LWLockRelease(mr_shared->lock);
	return may;
}
