/*
 * post.c: see post.h.
 */
#include "supervise/post.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "server/catalog.h"
#include "server/clock.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "pipeline/pipeline.h"
#include "supervise/worker_log.h"

/* A worker that should be. */
typedef struct Post
{
	int32 pipeline_id;
	char *pipeline; /* its name */
	int32 number;
	Oid owner;
	MrWorkerSlot *slot; /* NULL: none */
	bool wanted;
	bool slot_missed; /* it was logged */
	bool end_missed;  /* the log has its start, and nobody was there to log its end */
} Post;

static List *posts = NIL;

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
	posts = lappend(posts, post);
	MemoryContextSwitchTo(old);
	return post;
}

/* The slot of the post, an unused one or a new one; NULL: there is no room. The lock is held. */
static MrWorkerSlot *
find_slot(const Post *post, Oid database)
{
	MrWorkerSlot *unused = NULL;

	for (int i = 0; i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot *slot = mr_worker_slot(i);

		if (slot->database == database && slot->pipeline_id == post->pipeline_id &&
			slot->number == post->number)
			return slot; /* an earlier supervisor's: a process serves it */
		if (slot->database == InvalidOid && unused == NULL)
			unused = slot;
	}
	if (unused == NULL && mr_shared->workers_used < mr_shared->max_workers)
		unused = mr_worker_slot(mr_shared->workers_used++);
	return unused;
}

/* Gives the post its slot, and makes it due when it is new or was not wanted before. The lock is held. */
static void
keep_slot(Post *post, Oid database)
{
	if (post->slot == NULL)
		post->slot = find_slot(post, database);
	if (post->slot == NULL)
		return;
	if (post->slot->database == InvalidOid || post->slot->due_at == MR_NEVER)
		post->slot->due_at = mr_clock_us();
	if (post->slot->database == InvalidOid)
		post->slot->state = MR_WORKER_STARTING;
	post->slot->supervisor_pid = MyProcPid;
	post->slot->database = database;
	post->slot->pipeline_id = post->pipeline_id;
	post->slot->number = post->number;
	post->slot->owner = post->owner; /* may have changed */
	strlcpy(post->slot->pipeline, post->pipeline, sizeof(post->slot->pipeline));
}

/* A process that serves it notices by itself, logs it, and gives it back. The lock is held. */
static void
release_slot(Post *post)
{
	if (post->slot == NULL || post->slot->pid != 0)
		return;
	post->end_missed = post->slot->logged_version != 0;
	memset(post->slot, 0, sizeof(MrWorkerSlot));
	post->slot = NULL;
}

/* Once, until it has got one. */
static void
log_missed(Post *post)
{
	if (post->wanted && post->slot == NULL && !post->slot_missed)
		ereport(LOG, (errmsg("millrace: no room for worker %d of pipeline \"%s\"", post->number,
							 post->pipeline),
					  errdetail_plural("Shared memory has room for %d worker.",
									   "Shared memory has room for %d workers.",
									   mr_shared->max_workers, mr_shared->max_workers),
					  errhint("Raise millrace.max_workers and restart the server.")));
	post->slot_missed = post->wanted && post->slot == NULL;
}

static void
forget_post(Post *post)
{
	if (post->end_missed)
		mr_worker_log_stop(post->pipeline_id, post->pipeline, post->owner);
	pfree(post->pipeline);
	pfree(post);
}

static void
keep_slots(Oid database)
{
	ListCell *cell;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	foreach (cell, posts)
	{
		Post *post = lfirst(cell);

		if (post->wanted)
			keep_slot(post, database);
		else
			release_slot(post);
	}
	LWLockRelease(mr_shared->lock);
	foreach (cell, posts)
	{
		Post *post = lfirst(cell);

		log_missed(post);
		if (post->wanted || post->slot != NULL)
			continue;
		posts = foreach_delete_current(posts, cell);
		forget_post(post);
	}
}

static bool
role_exists(Oid role)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role));
}

static void
want_workers(const MrPipelineRow *row)
{
	if (!row->running || row->foreign || !role_exists(row->owner))
		return;
	for (int number = 0; number < row->workers; number++)
	{
		Post *post = post_of(row, number);

		post->wanted = true;
		post->owner = row->owner;
	}
}

bool
mr_posts_read(Oid database)
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

		if (mr_pipeline_row_by_id(DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_ID,
															 RelationGetDescr(rel), &isnull)),
								  &row))
			want_workers(&row);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	mr_xact_commit();
	keep_slots(database);
	return true;
}

bool
mr_posts_have_leavers(void)
{
	bool any = false;
	ListCell *cell;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	foreach (cell, posts)
	{
		const Post *post = lfirst(cell);

		any = any || (post->slot != NULL && post->slot->pid == 0 && post->slot->due_at == MR_NEVER);
	}
	LWLockRelease(mr_shared->lock);
	return any;
}

/* What the slot of a worker that should be says. Copied, as nothing is allocated under the lock. */
typedef struct Due
{
	const Post *post;
	bool served;
	int64 at;
} Due;

static int
read_due(Due *due)
{
	int n = 0;
	ListCell *cell;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	foreach (cell, posts)
	{
		const Post *post = lfirst(cell);

		if (post->wanted && post->slot != NULL)
			due[n++] = (Due){post, post->slot->pid != 0, post->slot->due_at};
	}
	LWLockRelease(mr_shared->lock);
	return n;
}

static MrOwnerNeed *
need_of(List **needs, Oid owner)
{
	ListCell *cell;
	MrOwnerNeed *need;

	foreach (cell, *needs)
		if (((MrOwnerNeed *) lfirst(cell))->owner == owner)
			return lfirst(cell);
	need = palloc0(sizeof(MrOwnerNeed));
	need->owner = owner;
	need->due_at = MR_NEVER;
	*needs = lappend(*needs, need);
	return need;
}

List *
mr_posts_needs(void)
{
	Due *due = palloc(sizeof(Due) * (list_length(posts) + 1));
	int n = read_due(due);
	List *needs = NIL;

	for (int i = 0; i < n; i++)
	{
		const Post *post = due[i].post;
		MrOwnerNeed *need = need_of(&needs, post->owner);

		if (need->workers++ > 0 && (due[i].served || due[i].at >= need->due_at))
			continue;
		if (!due[i].served)
			need->due_at = due[i].at;
		snprintf(need->example, sizeof(need->example), "millrace worker %d of %s", post->number,
				 post->pipeline);
	}
	pfree(due);
	return needs;
}

void
mr_posts_leave(void)
{
	for (int i = 0; i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot *slot = mr_worker_slot(i);

		if (slot->supervisor_pid != MyProcPid)
			continue;
		slot->supervisor_pid = 0;
		if (slot->pid == 0)
			memset(slot, 0, sizeof(*slot));
	}
}
