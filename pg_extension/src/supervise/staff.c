/*
 * staff.c: see staff.h.
 */
#include "supervise/staff.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "server/clock.h"
#include "server/shmem.h"
#include "supervise/bgworker.h"
#include "supervise/crash_collect.h"
#include "supervise/give_way.h"
#include "supervise/keep.h"
#include "supervise/post.h"

#define LOOK_INTERVAL_US INT64_C(5000000)
#define NO_SLOT_US       INT64_C(10000000) /* until the next try to get a process that nobody waits for */
#define SHORT_US                                                                                   \
	INT64_C(1000000) /* when there are fewer than wanted: until the next look who waits */
#define PATIENCE_US                                                                                \
	INT64_C(500000) /* a worker may be due for so long before its owner asks for another process */

/* A process, or the place of one that should be. */
typedef struct Hand
{
	MrChild process;
	Oid owner;
	MrWorkerProcess *slot; /* NULL: none */
	bool wanted;
} Hand;

static List *hands = NIL;
static Oid my_database = InvalidOid;
static const MrOwnerNeed *starting_for; /* of the process that is being started */
static int64 no_slot_until = 0;         /* what nobody waits for is not tried before */

static Hand *
add_hand(Oid owner)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Hand *hand = palloc0(sizeof(Hand));

	hand->owner = owner;
	hands = lappend(hands, hand);
	MemoryContextSwitchTo(old);
	return hand;
}

void
mr_staff_adopt(Oid database)
{
	my_database = database;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		MrWorkerProcess *slot = mr_worker_process(i);
		Hand *hand;

		if (slot->pid == 0 || slot->database != database)
			continue;
		hand = add_hand(slot->owner);
		hand->slot = slot;
		hand->process.running = true;
		hand->process.restart.started_at = slot->started_at;
		slot->supervisor_pid = MyProcPid;
	}
	LWLockRelease(mr_shared->lock);
}

/* Takes a slot and makes it ready for a process's start; returns the ticket by which that one finds it. */
static uint32
prepare_slot(Hand *hand)
{
	uint32 ticket = 0;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_processes && hand->slot == NULL; i++)
		if (mr_worker_process(i)->pid == 0 && mr_worker_process(i)->supervisor_pid == 0)
			hand->slot = mr_worker_process(i);
	if (hand->slot != NULL)
	{
		if (++mr_shared->last_ticket == 0)
			mr_shared->last_ticket = 1; /* 0 is none */
		ticket = hand->slot->ticket = mr_shared->last_ticket;
		hand->slot->supervisor_pid = MyProcPid;
		hand->slot->database = my_database;
		hand->slot->owner = hand->owner;
		hand->slot->leave = false;
		hand->slot->done = false;
	}
	LWLockRelease(mr_shared->lock);
	return ticket;
}

static void
release_slot(Hand *hand)
{
	if (hand->slot == NULL)
		return;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	memset(hand->slot, 0, sizeof(MrWorkerProcess));
	LWLockRelease(mr_shared->lock);
	hand->slot = NULL;
}

static bool
adopted_has_ended(const MrChild *child)
{
	const Hand *hand = (const Hand *) child;
	pid_t pid;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	pid = hand->slot->pid;
	LWLockRelease(mr_shared->lock);
	return pid == 0;
}

static bool
note_end(MrChild *child)
{
	Hand *hand = (Hand *) child;
	bool done;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	done = hand->slot != NULL && hand->slot->done;
	LWLockRelease(mr_shared->lock);
	mr_crash_collect(); /* it may have ended badly without a crash of the server */
	release_slot(hand);
	no_slot_until = 0;
	return done;
}

static bool
start_process(MrChild *child)
{
	Hand *hand = (Hand *) child;
	uint32 ticket = mr_give_way_may_start(my_database, mr_clock_us()) ? prepare_slot(hand) : 0;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext); /* for the handle */
	bool started;

	started =
		ticket != 0 && mr_worker_start(starting_for->example, "millrace worker", "mr_worker_main",
									   UInt32GetDatum(ticket), &child->handle);
	MemoryContextSwitchTo(old);
	if (!started)
		release_slot(hand);
	return started;
}

/* As many as the owner has workers; those that run count first. */
static void
want_hands(const MrOwnerNeed *need)
{
	int lacking = need->workers;
	ListCell *cell;

	foreach (cell, hands)
		lacking -= ((Hand *) lfirst(cell))->owner == need->owner &&
						   ((Hand *) lfirst(cell))->process.running
					   ? 1
					   : 0;
	foreach (cell, hands)
	{
		Hand *hand = lfirst(cell);

		if (hand->owner != need->owner)
			continue;
		hand->wanted = hand->process.running || lacking > 0;
		lacking -= hand->wanted && !hand->process.running ? 1 : 0;
	}
	for (; lacking > 0; lacking--)
		add_hand(need->owner)->wanted = true;
}

static int
count_hands(Oid owner)
{
	int n = 0;
	ListCell *cell;

	foreach (cell, hands)
		n += ((Hand *) lfirst(cell))->owner == owner && ((Hand *) lfirst(cell))->process.running
				 ? 1
				 : 0;
	return n;
}

/* Who has fewest comes first, then who waits for longest. */
static int
compare_needs(const ListCell *a, const ListCell *b)
{
	const MrOwnerNeed *left = lfirst(a);
	const MrOwnerNeed *right = lfirst(b);
	int l = count_hands(left->owner);
	int r = count_hands(right->owner);

	if (l != r)
		return l < r ? -1 : 1;
	return left->due_at < right->due_at ? -1 : left->due_at > right->due_at;
}

/* Without a process at all a worker that is due is enough; otherwise it must have waited. */
static bool
is_urgent(const MrOwnerNeed *need, int64 now)
{
	return need->due_at <= now &&
		   (count_hands(need->owner) == 0 || now - need->due_at >= PATIENCE_US);
}

/* Once, until there was room for all. */
static void
log_shortage(bool lacking)
{
	static bool logged = false;

	if (lacking && !logged)
		ereport(LOG, (errmsg("millrace: no slot is free for another worker process"),
					  errdetail("Workers of an owner share its processes by turns."),
					  errhint("For a process for each worker, raise max_worker_processes and "
							  "restart the server.")));
	logged = lacking;
}

/* A process of the owner that is to be started now, NULL: none. */
static Hand *
next_to_start(const MrOwnerNeed *need, int64 now, int64 *look_at)
{
	ListCell *cell;

	foreach (cell, hands)
	{
		Hand *hand = lfirst(cell);

		if (hand->owner != need->owner || hand->process.running || !hand->wanted)
			continue;
		if (hand->process.restart.next_start <= now)
			return hand;
		*look_at = Min(*look_at, hand->process.restart.next_start);
	}
	return NULL;
}

/*
 * Starts what is lacking, one process of each owner after the other. Returns the need that found no slot, NULL: all have what
 * they need for now.
 */
static const MrOwnerNeed *
start_processes(const MrKeeping *keeping, List *needs, int64 now, int64 *look_at)
{
	ListCell *cell;
	bool any = true;

	while (any)
	{
		any = false;
		list_sort(needs, compare_needs);
		foreach (cell, needs)
		{
			const MrOwnerNeed *need = lfirst(cell);
			Hand *hand = next_to_start(need, now, look_at);

			if (hand == NULL)
				continue;
			*look_at = Min(*look_at, now + SHORT_US);
			if (now < no_slot_until && !is_urgent(need, now))
				continue;
			starting_for = need;
			(void) mr_keep(keeping, &hand->process, true, now, *look_at);
			if (!hand->process.running)
				return need;
			any = true;
			break;
		}
	}
	return NULL;
}

static void
forget_hands(void)
{
	ListCell *cell;

	foreach (cell, hands)
	{
		Hand *hand = lfirst(cell);

		if (hand->wanted || hand->process.running)
			continue;
		hands = foreach_delete_current(hands, cell);
		pfree(hand);
	}
}

int64
mr_staff_keep(void)
{
	static const MrKeeping keeping = {.start = start_process,
									  .adopted_has_ended = adopted_has_ended,
									  .ended = note_end};
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace staff", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int64 now = mr_clock_us();
	int64 look_at = now + LOOK_INTERVAL_US;
	const MrOwnerNeed *lacking;
	List *needs;
	ListCell *cell;
	bool waiting;

	foreach (cell, hands)
	{
		Hand *hand = lfirst(cell);

		/* who is to get its place is decided below */
		mr_keep_look(&keeping, &hand->process, now);
		hand->wanted = false;
	}
	MemoryContextSwitchTo(context); /* a transaction's end leaves another */
	needs = mr_posts_needs();
	foreach (cell, needs)
		want_hands(lfirst(cell));
	lacking = start_processes(&keeping, needs, now, &look_at);
	if (lacking != NULL)
		no_slot_until = now + NO_SLOT_US;
	waiting = lacking != NULL && is_urgent(lacking, now) &&
			  mr_give_way_ask(my_database, lacking->owner, now);
	if (waiting)
		look_at = Min(look_at, now + MR_GIVE_WAY_WAIT_US);
	mr_give_way_wait(my_database, waiting, waiting ? count_hands(lacking->owner) : 0, now);
	log_shortage(lacking != NULL || now < no_slot_until);
	forget_hands();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return look_at;
}

void
mr_staff_leave(void)
{
	for (int i = 0; i < mr_shared->max_processes; i++)
	{
		MrWorkerProcess *process = mr_worker_process(i);

		if (process->supervisor_pid != MyProcPid)
			continue;
		process->supervisor_pid = 0;
		if (process->pid == 0)
			memset(process, 0, sizeof(*process));
	}
}
