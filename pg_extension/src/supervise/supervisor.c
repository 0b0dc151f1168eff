/*
 * supervisor.c: one process per database with the extension. Starts and restarts the workers of its
 * pipelines at a pace, and removes progress rows that are history.
 *
 * Runs as the bootstrap superuser and executes nothing of a user's: settings that could make it are pinned.
 * Ends when the extension was dropped. Its workers outlive it; the next supervisor adopts them.
 */
#include "supervise/bgworker.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/clock.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "stats/minutes.h"
#include "pipeline/history.h"
#include "pipeline/pipeline.h"
#include "supervise/crash_collect.h"
#include "supervise/keep.h"

#define LOOK_INTERVAL_US INT64_C(5000000)
#define NO_SLOT_US       INT64_C(10000000) /* until the next try to get a slot */

/* A worker that should run. */
typedef struct Post
{
	MrChild worker;
	int32 pipeline_id;
	char *pipeline; /* its name */
	int32 number;
	Oid owner;
	int slot; /* in shared memory, -1 none */
	bool wanted;
	bool slot_missed; /* it was logged */
} Post;

static List *posts = NIL;
static Oid my_database = InvalidOid;

PGDLLEXPORT void mr_supervisor_main(Datum arg);

static Post *
post_of(const MrPipelineRow *row, int32 number)
{
	ListCell *cell;
	MemoryContext old;
	Post *post;

	foreach (cell, posts)
	{
		post = lfirst(cell);
		if (post->pipeline_id == row->id && post->number == number)
			return post;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	post = palloc0(sizeof(Post));
	post->pipeline_id = row->id;
	post->pipeline = pstrdup(row->name);
	post->number = number;
	post->slot = -1;
	posts = lappend(posts, post);
	MemoryContextSwitchTo(old);
	return post;
}

static bool
role_exists(Oid role)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role));
}

/* Reads which workers there should be. False: the extension was dropped. */
static bool
read_pipelines(void)
{
	Relation rel;
	SysScanDesc scan;
	HeapTuple tuple;
	ListCell *cell;

	foreach (cell, posts)
		((Post *) lfirst(cell))->wanted = false;
	if (!mr_xact_begin("looking for pipelines"))
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = mr_catalog_open("pipeline", AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		MrPipelineRow row;

		if (!mr_pipeline_row_by_id(DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_ID,
															  RelationGetDescr(rel), &isnull)),
								   &row))
			continue;
		if (!row.running || row.foreign || !role_exists(row.owner))
			continue;
		for (int number = 0; number < row.workers; number++)
		{
			Post *post = post_of(&row, number);

			post->wanted = true;
			post->owner = row.owner;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	mr_xact_commit();
	return true;
}

/* The slot a worker of the post sits in already, else a free one, else NULL; caller holds the lock. */
static MrWorkerSlot *
find_slot(const Post *post, int *index)
{
	MrWorkerSlot *unused = NULL;

	for (int i = 0; i < mr_shared->max_workers; i++)
	{
		MrWorkerSlot *slot = mr_worker_slot(i);

		if (slot->pid != 0 && slot->database == my_database &&
			slot->pipeline_id == post->pipeline_id && slot->number == post->number)
		{
			*index = i;
			return slot;
		}
		if (unused == NULL && slot->pid == 0 && slot->supervisor_pid == 0)
		{
			unused = slot;
			*index = i;
		}
	}
	return unused;
}

/* Gives the post a slot if one is free. True: a worker of an earlier supervisor's sits in it and is adopted. */
static bool
claim_slot(Post *post)
{
	MrWorkerSlot *slot;
	bool adopted = false;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(post, &post->slot);
	if (slot != NULL)
	{
		slot->supervisor_pid = MyProcPid;
		adopted = slot->pid != 0;
		if (adopted)
			post->worker.restart.started_at -= GetCurrentTimestamp() - slot->started_at;
		slot->database = my_database;
		slot->pipeline_id = post->pipeline_id;
		slot->number = post->number;
		strlcpy(slot->pipeline, post->pipeline, sizeof(slot->pipeline));
	}
	LWLockRelease(mr_shared->lock);
	return adopted;
}

/* Makes the slot ready for a worker's start; returns the ticket by which that one finds it. */
static uint32
prepare_slot(const Post *post)
{
	MrWorkerSlot *slot = mr_worker_slot(post->slot);
	uint32 ticket;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	if (++mr_shared->last_ticket == 0)
		mr_shared->last_ticket = 1; /* 0 is none */
	ticket = slot->ticket = mr_shared->last_ticket;
	slot->owner = post->owner; /* may have changed since the last start */
	slot->state = MR_WORKER_STARTING;
	LWLockRelease(mr_shared->lock);
	return ticket;
}

static void
release_slot(Post *post)
{
	if (post->slot < 0)
		return;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	memset(mr_worker_slot(post->slot), 0, sizeof(MrWorkerSlot));
	LWLockRelease(mr_shared->lock);
	post->slot = -1;
}

static bool
adopted_has_ended(const MrChild *child)
{
	const Post *post = (const Post *) child;
	pid_t pid;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	pid = mr_worker_slot(post->slot)->pid;
	LWLockRelease(mr_shared->lock);
	return pid == 0;
}

static void
note_end(MrChild *child)
{
	mr_crash_collect(); /* it may have ended badly without a crash of the server */
}

/* Once, until it has got one. */
static void
miss_slot(Post *post)
{
	release_slot(post);
	if (!post->slot_missed)
		ereport(LOG, (errmsg("millrace: no free worker slot for pipeline \"%s\"", post->pipeline),
					  errhint("Raise max_worker_processes and restart the server.")));
	post->slot_missed = true;
}

static bool
start_worker(MrChild *child)
{
	Post *post = (Post *) child;
	char name[BGW_MAXLEN];

	if (post->slot < 0 && claim_slot(post))
		return true;
	snprintf(name, sizeof(name), "millrace worker %d of %s", post->number, post->pipeline);
	if (post->slot < 0 || !mr_worker_start(name, "millrace worker", "mr_worker_main",
										   UInt32GetDatum(prepare_slot(post)), &child->handle))
	{
		miss_slot(post);
		return false;
	}
	post->slot_missed = false;
	return true;
}

/* Starts workers that are due; returns when the next one is. */
static int64
keep_workers(void)
{
	static const MrKeeping keeping = {.start = start_worker,
									  .adopted_has_ended = adopted_has_ended,
									  .ended = note_end,
									  .no_slot_us = NO_SLOT_US};
	int64 now = mr_clock_us();
	int64 look_at = now + LOOK_INTERVAL_US;
	ListCell *cell;

	foreach (cell, posts)
	{
		Post *post = lfirst(cell);

		look_at = mr_keep(&keeping, &post->worker, post->wanted, now, look_at);
		if (post->wanted || post->worker.running)
			continue;
		release_slot(post);
		posts = foreach_delete_current(posts, cell);
		pfree(post->pipeline);
		pfree(post);
	}
	return look_at;
}

/* Takes the database's slot. False: another supervisor has it, or none is free. */
static bool
enter(void)
{
	MrDatabase *slot;
	bool entered = false;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, true);
	if (slot != NULL && slot->supervisor_pid == 0)
	{
		slot->supervisor_pid = MyProcPid;
		slot->supervisor_latch = MyLatch;
		entered = true;
	}
	LWLockRelease(mr_shared->lock);
	return entered;
}

/* The workers go on. Slots without one are free, those of the others when they end. */
static void
leave(int code, Datum arg)
{
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, false);
	if (slot != NULL && slot->supervisor_pid == MyProcPid)
	{
		slot->supervisor_pid = 0;
		slot->supervisor_latch = NULL;
	}
	for (int i = 0; i < mr_shared->max_workers; i++)
	{
		MrWorkerSlot *worker = mr_worker_slot(i);

		if (worker->supervisor_pid != MyProcPid)
			continue;
		worker->supervisor_pid = 0;
		if (worker->pid == 0)
			memset(worker, 0, sizeof(*worker));
	}
	/* The postmaster notifies the launcher that started us, not a later one. */
	if (mr_shared->launcher_latch != NULL)
		SetLatch(mr_shared->launcher_latch);
	LWLockRelease(mr_shared->lock);
}

static uint32
count_wakes(void)
{
	MrDatabase *slot;
	uint32 wakes;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(my_database, false);
	wakes = slot != NULL ? slot->wakes : 0;
	LWLockRelease(mr_shared->lock);
	return wakes;
}

/* False: there was a wake since, perhaps from CREATE EXTENSION: look again. */
static bool
say_absent(uint32 wakes_before)
{
	MrDatabase *slot;
	bool absent = true;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, false);
	if (slot != NULL)
	{
		absent = slot->wakes == wakes_before;
		slot->absent = absent;
	}
	LWLockRelease(mr_shared->lock);
	return absent;
}

/* The path as autovacuum's: the database's owner may have set another one for it. */
static void
pin_settings(void)
{
	mr_worker_pin_settings();
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
}

void
mr_supervisor_main(Datum arg)
{
	my_database = DatumGetObjectId(arg);
	mr_worker_prepare();
	BackgroundWorkerInitializeConnectionByOid(my_database, InvalidOid, 0);
	pin_settings();
	if (!enter())
		proc_exit(0);
	before_shmem_exit(leave, 0);
	mr_crash_forget();
	mr_crash_collect();

	while (!mr_database_is_held(my_database))
	{
		uint32 wakes = count_wakes();

		if (!read_pipelines())
		{
			if (say_absent(wakes))
				break;
			continue;
		}
		mr_worker_sleep_until(Min(keep_workers(), mr_clock_us() + mr_minutes_record()),
							  MR_WAIT_WORK);
		mr_history_trim();
		mr_crash_forget();
	}
	proc_exit(0);
}
