/*
 * worker.c: a worker of a pipeline: serves its share of the pipeline's lanes.
 *
 * A session of the pipeline's owner: nothing of a user's ever runs as superuser. Ends when it is not wanted
 * any more (the supervisor decides whether to start it again); an error costs the batch's transaction and a
 * pause, never an event.
 */
#include "worker.h"

#include <malloc.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine.h"
#include "guc.h"
#include "shmem.h"
#include "write.h"
#include "xact.h"

#define IDLE_MS 1000		/* the longest sleep: nobody depends on a latch alone */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 30000

PGDLLEXPORT void mr_worker_main(Datum arg);

static MrWorkerSlot *my_slot = NULL;
static int my_workers = 1; /* of the pipeline */

static void
enter(MrWorkerState state)
{
	my_slot->state = state; /* one word, read for display only */
}

static void
leave(int code, Datum arg)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	my_slot->pid = 0;
	my_slot->latch = NULL;
	if (my_slot->state != MR_WORKER_FREE)
		my_slot->state = MR_WORKER_STOPPED;
	for (int i = 0; i < mr_shared->max_lanes; i++)
		if (mr_lane_slot(i)->worker_latch == MyLatch)
			mr_lane_slot(i)->worker_latch = NULL;
	LWLockRelease(mr_shared->lock);
}

static void
attach(int slot)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	my_slot = mr_worker_slot(slot);
	my_slot->pid = MyProcPid;
	my_slot->latch = MyLatch;
	my_slot->started_at = GetCurrentTimestamp();
	LWLockRelease(mr_shared->lock);
	before_shmem_exit(leave, 0);
}

static bool
is_held(void)
{
	MrDatabase *database;
	bool held;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	database = mr_database_slot(MyDatabaseId, false);
	held = database != NULL && database->held;
	LWLockRelease(mr_shared->lock);
	return held;
}

/*
 * A batch takes and gives back some megabytes, many times a second. By default malloc returns them to the
 * kernel each time, and the page faults of getting them again were a quarter of the worker's time.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
#endif
}

/* The settings a batch relies on; the owner's own (ALTER ROLE ... SET) do not reach it. */
static void
pin_settings(void)
{
	char lock_timeout[32];

	snprintf(lock_timeout, sizeof(lock_timeout), "%d", mr_lock_timeout_ms);
	SetConfigOption("application_name", "millrace worker", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_deferrable", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_OVERRIDE);
}

/* The lanes this worker serves; it is woken for them from now on. */
static int
find_lanes(MrLane **lanes, bool *pending)
{
	int n = 0;

	*pending = false;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_lanes; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->database != MyDatabaseId || lane->pipeline_id != my_slot->pipeline_id ||
			lane->number % my_workers != my_slot->number)
			continue;
		lane->worker_latch = MyLatch;
		lanes[n++] = lane;
		if (pg_atomic_read_u64(&lane->staged) != pg_atomic_read_u64(&lane->consumed))
			*pending = true;
	}
	LWLockRelease(mr_shared->lock);
	return n;
}

static void
note_error(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	ErrorData *error = CopyErrorData();

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->last_error, error->message ? error->message : "", MR_ERROR_BYTES);
	my_slot->last_error_at = GetCurrentTimestamp();
	LWLockRelease(mr_shared->lock);
	FreeErrorData(error);
	MemoryContextSwitchTo(old);
}

/* One step of a lane; an error ends the transaction and is told, *failed is set. */
static MrStep
step_lane(MrEngine *engine, MrLane *lane, bool *failed)
{
	volatile MrStep step = MR_STEP_IDLE;

	*failed = false;
	PG_TRY();
	{
		step = mr_engine_step(engine, lane);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(engine->context);
		*failed = geterrcode() != MR_ERRCODE_SPLIT;
		if (*failed)
			note_error();
		mr_xact_abort(*failed);
		mr_engine_after_error(engine, *failed);
		step = MR_STEP_SETTLED; /* there is more to do */
	}
	PG_END_TRY();
	return step;
}

/* The pipeline's number of workers may have been changed; a worker too many ends. False: end. */
static bool
look_at_pipeline(void)
{
	MrPipelineRow row;
	bool wanted;

	if (!mr_xact_begin("looking at the pipeline"))
		return false;
	wanted = mr_pipeline_row_by_id(my_slot->pipeline_id, &row) && row.running && !row.foreign &&
			 row.owner == GetUserId() && my_slot->number < row.workers;
	my_workers = wanted ? row.workers : 1;
	mr_xact_commit();
	return wanted;
}

/* Serves all lanes until they are empty. False: the worker is to end. */
static bool
serve(MrEngine *engine, MrLane **lanes, int nlanes, int *backoff_ms)
{
	for (int i = 0; i < nlanes; i++)
	{
		for (;;)
		{
			bool failed;
			MrStep step = step_lane(engine, lanes[i], &failed);

			CHECK_FOR_INTERRUPTS();
			if (failed)
			{
				enter(MR_WORKER_BACKOFF);
				mr_worker_sleep(*backoff_ms);
				*backoff_ms = Min(*backoff_ms * 2, BACKOFF_MAX_MS);
				break;
			}
			if (step == MR_STEP_GONE || step == MR_STEP_PAUSED)
				return false;
			if (step == MR_STEP_IDLE)
				break;
			if (engine->events > 0)
			{
				my_slot->batches++;
				*backoff_ms = BACKOFF_FIRST_MS;
			}
			if (nlanes > 1 || pg_atomic_read_u64(&lanes[i]->staged) ==
								  pg_atomic_read_u64(&lanes[i]->consumed))
				break; /* the next lane's turn, or nothing more */
		}
	}
	return true;
}

void
mr_worker_main(Datum arg)
{
	MrEngine *engine;
	MrLane **lanes;
	int backoff_ms = BACKOFF_FIRST_MS;
	TimestampTz looked_at = 0;

	attach(DatumGetInt32(arg));
	mr_worker_prepare();
	mr_worker_connect(my_slot->database, my_slot->owner);
	pin_settings();
	keep_memory();
	engine = mr_engine_create(my_slot->pipeline_id);
	lanes = MemoryContextAlloc(TopMemoryContext, mr_shared->max_lanes * sizeof(MrLane *));

	while (!is_held())
	{
		TimestampTz now = GetCurrentTimestamp();
		bool due = TimestampDifferenceExceeds(looked_at, now, IDLE_MS);
		bool pending;
		int nlanes;

		if (due)
		{
			if (!look_at_pipeline())
				break;
			looked_at = now;
		}
		nlanes = find_lanes(lanes, &pending);
		if (pending || due)
		{
			enter(MR_WORKER_BUSY);
			if (!serve(engine, lanes, nlanes, &backoff_ms))
				break;
			continue;
		}
		enter(MR_WORKER_IDLE);
		mr_worker_sleep(IDLE_MS);
	}
	proc_exit(0);
}
