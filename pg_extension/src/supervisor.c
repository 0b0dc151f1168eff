/*
 * supervisor.c: one process per database with the extension. Starts and restarts the workers of its
 * pipelines at a pace, and removes progress rows that are history.
 *
 * Runs as the bootstrap superuser and executes nothing of a user's. Ends when the extension is gone.
 */
#include "worker.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog.h"
#include "guc.h"
#include "history.h"
#include "pipeline.h"
#include "shmem.h"
#include "xact.h"

#define LOOK_INTERVAL_MS 5000
#define BACKOFF_MAX_S 60
#define HEALTHY_MS 30000 /* a worker that lived so long has its backoff forgiven */

/* A worker that should run. */
typedef struct Post
{
	int32 pipeline_id;
	int32 number;
	Oid owner;
	BackgroundWorkerHandle *handle;
	int slot; /* in shared memory, -1 none */
	TimestampTz started_at;
	TimestampTz next_start;
	int backoff_s;
	bool wanted;
} Post;

static List *posts = NIL;
static Oid my_database = InvalidOid;

PGDLLEXPORT void mr_supervisor_main(Datum arg);

static Post *
post_of(int32 pipeline_id, int32 number)
{
	ListCell *cell;
	MemoryContext old;
	Post *post;

	foreach (cell, posts)
	{
		post = lfirst(cell);
		if (post->pipeline_id == pipeline_id && post->number == number)
			return post;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	post = palloc0(sizeof(Post));
	post->pipeline_id = pipeline_id;
	post->number = number;
	post->slot = -1;
	post->backoff_s = mr_restart_interval_s;
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

		if (!mr_pipeline_row_by_id(
				DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_ID, RelationGetDescr(rel), &isnull)), &row))
			continue;
		if (!row.running || row.foreign || !role_exists(row.owner))
			continue;
		for (int number = 0; number < row.workers; number++)
		{
			Post *post = post_of(row.id, number);

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

static int
claim_slot(Post *post)
{
	int found = -1;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_workers; i++)
	{
		MrWorkerSlot *slot = mr_worker_slot(i);

		if (slot->state == MR_WORKER_FREE || (slot->database == my_database && slot->pid == 0 &&
											  slot->pipeline_id == post->pipeline_id &&
											  slot->number == post->number))
		{
			if (slot->state == MR_WORKER_FREE)
				memset(slot, 0, sizeof(*slot));
			slot->database = my_database;
			slot->pipeline_id = post->pipeline_id;
			slot->number = post->number;
			slot->owner = post->owner;
			slot->state = MR_WORKER_STARTING;
			found = i;
			break;
		}
	}
	LWLockRelease(mr_shared->lock);
	return found;
}

static void
release_slot(Post *post)
{
	if (post->slot < 0)
		return;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_worker_slot(post->slot)->state = MR_WORKER_FREE;
	mr_worker_slot(post->slot)->database = InvalidOid;
	LWLockRelease(mr_shared->lock);
	post->slot = -1;
}

static void
note_end(Post *post, TimestampTz now)
{
	if (TimestampDifferenceExceeds(post->started_at, now, HEALTHY_MS))
		post->backoff_s = mr_restart_interval_s;
	post->next_start = TimestampTzPlusMilliseconds(now, post->backoff_s * 1000L);
	post->backoff_s = Min(post->backoff_s * 2, BACKOFF_MAX_S);
	pfree(post->handle);
	post->handle = NULL;
}

static void
start_worker(Post *post, TimestampTz now)
{
	if (post->slot < 0)
		post->slot = claim_slot(post);
	if (post->slot >= 0 &&
		mr_worker_start("millrace worker", "mr_worker_main", post->slot, &post->handle))
	{
		post->started_at = now;
		return;
	}
	post->handle = NULL;
	release_slot(post);
	ereport(LOG, (errmsg("millrace: no free worker slot for pipeline %d", post->pipeline_id),
				  errhint("Raise max_worker_processes and restart the server.")));
	post->next_start = TimestampTzPlusMilliseconds(now, 10000);
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
		pid_t pid;

		if (post->handle != NULL && GetBackgroundWorkerPid(post->handle, &pid) == BGWH_STOPPED)
			note_end(post, now);
		if (post->handle != NULL)
			continue;
		if (!post->wanted)
		{
			release_slot(post);
			posts = foreach_delete_current(posts, cell);
			pfree(post);
			continue;
		}
		if (post->next_start <= now)
			start_worker(post, now);
		if (post->next_start > now)
			sleep_ms = Min(sleep_ms, Max(10, TimestampDifferenceMilliseconds(now, post->next_start)));
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
	LWLockRelease(mr_shared->lock);
}

static void
say_absent(void)
{
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, false);
	if (slot != NULL)
		slot->absent = true;
	LWLockRelease(mr_shared->lock);
}

/* stop_workers() was called: end, and the workers end as well. */
static bool
is_held(void)
{
	MrDatabase *slot;
	bool held;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(my_database, false);
	held = slot != NULL && slot->held;
	LWLockRelease(mr_shared->lock);
	return held;
}

void
mr_supervisor_main(Datum arg)
{
	my_database = (Oid) DatumGetInt32(arg);
	mr_worker_prepare();
	BackgroundWorkerInitializeConnectionByOid(my_database, InvalidOid, 0);
	if (!enter())
		proc_exit(0);
	before_shmem_exit(leave, 0);

	while (!is_held())
	{
		if (!read_pipelines())
		{
			say_absent();
			break;
		}
		mr_worker_sleep(tend_posts());
		mr_history_trim();
	}
	proc_exit(0);
}
