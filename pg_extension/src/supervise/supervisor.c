/*
 * supervisor.c: one process per database with the extension. Starts and restarts the workers of its
 * pipelines at a pace, and removes progress rows that are history.
 *
 * Runs as the bootstrap superuser and executes nothing of a user's: settings that could make it are pinned.
 * Ends when the extension is gone. Its workers outlive it; the next supervisor adopts them.
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
#include "server/guc.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "pipeline/history.h"
#include "pipeline/pipeline.h"
#include "supervise/crash_collect.h"
#include "supervise/restart_policy.h"

#define LOOK_INTERVAL_MS 5000

/* A worker that should run. */
typedef struct Post
{
	int32 pipeline_id;
	char *pipeline; /* its name */
	int32 number;
	Oid owner;
	bool running;
	BackgroundWorkerHandle *handle; /* NULL: not running, or adopted */
	int slot;                       /* in shared memory, -1 none */
	MrRestart restart;
	bool wanted;
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

/* Reads which workers there should be. False: the extension is gone. */
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

/* Gives the post a slot if one is free. A worker of an earlier supervisor's is adopted. */
static void
claim_slot(Post *post)
{
	MrWorkerSlot *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(post, &post->slot);
	if (slot != NULL)
	{
		slot->supervisor_pid = MyProcPid;
		post->running = slot->pid != 0;
		if (post->running)
			post->restart.started_at = slot->started_at;
		slot->database = my_database;
		slot->pipeline_id = post->pipeline_id;
		slot->number = post->number;
	}
	LWLockRelease(mr_shared->lock);
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
has_ended(const Post *post)
{
	pid_t pid;

	if (post->handle != NULL)
		return GetBackgroundWorkerPid(post->handle, &pid) == BGWH_STOPPED;
	LWLockAcquire(mr_shared->lock, LW_SHARED);
	pid = mr_worker_slot(post->slot)->pid;
	LWLockRelease(mr_shared->lock);
	return pid == 0;
}

static void
note_end(Post *post, TimestampTz now)
{
	mr_restart_note_end(&post->restart, now, mr_restart_interval_s);
	if (post->handle != NULL)
		pfree(post->handle);
	post->handle = NULL;
	post->running = false;
	mr_crash_collect(); /* it may have ended badly without a crash of the server */
}

static void
start_worker(Post *post, TimestampTz now)
{
	if (post->slot < 0)
		claim_slot(post);
	if (post->running)
		return;
	if (post->slot >= 0 && mr_worker_start("millrace worker", "mr_worker_main",
										   UInt32GetDatum(prepare_slot(post)), &post->handle))
	{
		post->restart.started_at = now;
		post->running = true;
		return;
	}
	post->handle = NULL;
	release_slot(post);
	ereport(LOG, (errmsg("millrace: no free worker slot for pipeline \"%s\"", post->pipeline),
				  errhint("Raise max_worker_processes and restart the server.")));
	post->restart.next_start = TimestampTzPlusMilliseconds(now, 10000);
}

/* Starts workers that are due; returns ms until the next one is. */
static long
tend_posts(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long sleep_ms = LOOK_INTERVAL_MS;
	ListCell *cell;

	foreach (cell, posts)
	{
		Post *post = lfirst(cell);

		if (post->running && has_ended(post))
			note_end(post, now);
		if (post->running)
			continue;
		if (!post->wanted)
		{
			release_slot(post);
			posts = foreach_delete_current(posts, cell);
			pfree(post);
			continue;
		}
		if (post->restart.next_start <= now)
			start_worker(post, now);
		if (post->restart.next_start > now)
			sleep_ms = Min(sleep_ms,
						   Max(10, TimestampDifferenceMilliseconds(now, post->restart.next_start)));
	}
	return sleep_ms;
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
	/* A launcher that did not start us is not told by the postmaster. */
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

/* The path as autovacuum's: whoever owns the database may have set another one for it. */
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
		mr_worker_sleep(tend_posts());
		mr_history_trim();
		mr_crash_forget();
	}
	proc_exit(0);
}
