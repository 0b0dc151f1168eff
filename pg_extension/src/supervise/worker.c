/*
 * worker.c: a worker of a pipeline: serves its share of the pipeline's lanes.
 *
 * A session of the pipeline's owner: nothing of a user's ever runs as superuser. Ends when it is not wanted
 * any more (the supervisor decides whether to start it again); an error costs the batch's transaction and a
 * pause, never an event.
 */
#include "supervise/bgworker.h"

#include <malloc.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/compat.h"
#include "server/errcode.h"
#include "server/guc.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "pipeline/breaker.h"
#include "run/run_record.h"
#include "engine/engine.h"

#define IDLE_MS          1000 /* the longest sleep: nobody depends on a latch alone */
#define WAITING_MS       100  /* for room among the parked events */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   30000

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
	MrDatabase *database;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	my_slot->pid = 0;
	my_slot->latch = NULL;
	my_slot->state = MR_WORKER_STOPPED;
	/* A supervisor that adopted us is not told by the postmaster. */
	if (my_slot->supervisor_pid == 0)
		memset(my_slot, 0, sizeof(*my_slot));
	else if ((database = mr_database_slot(my_slot->database, false)) != NULL &&
			 database->supervisor_latch != NULL)
		SetLatch(database->supervisor_latch);
	for (int i = 0; i < mr_shared->max_lanes; i++)
		if (mr_lane_slot(i)->worker_latch == MyLatch)
			mr_lane_slot(i)->worker_latch = NULL;
	LWLockRelease(mr_shared->lock);
}

/* Takes the slot made ready for us. False: the supervisor has gone meanwhile, and the slot is another's. */
static bool
attach(uint32 ticket)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_workers && my_slot == NULL; i++)
		if (mr_worker_slot(i)->ticket == ticket)
			my_slot = mr_worker_slot(i);
	if (my_slot != NULL)
	{
		my_slot->pid = MyProcPid;
		my_slot->latch = MyLatch;
		my_slot->started_at = GetCurrentTimestamp();
	}
	LWLockRelease(mr_shared->lock);
	if (my_slot != NULL)
		before_shmem_exit(leave, 0);
	return my_slot != NULL;
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
pin_settings(const char *synchronous_commit_of_server)
{
	mr_worker_pin_settings();
	SetConfigOption("application_name", "millrace worker", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("synchronous_commit", synchronous_commit_of_server, PGC_USERSET,
					PGC_S_OVERRIDE);
	SetConfigOption("DateStyle", "ISO, MDY", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("IntervalStyle", "postgres", PGC_USERSET, PGC_S_OVERRIDE);
}

/* millrace.lock_timeout may be changed while the worker runs. */
static void
pin_lock_timeout(void)
{
	static int pinned_ms = -1;
	char lock_timeout[32];

	if (pinned_ms == mr_lock_timeout_ms)
		return;
	pinned_ms = mr_lock_timeout_ms;
	snprintf(lock_timeout, sizeof(lock_timeout), "%d", pinned_ms);
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

/* What the main loop knows. */
typedef struct Worker
{
	MrEngine *engine;
	MrLane **lanes;
	int nlanes;
	int failures; /* in a row */
	int backoff_ms;
	TimestampTz resume_at; /* after trouble: nothing is tried before */
	TimestampTz look_at;   /* when to look at the pipeline and at all lanes again */
	TimestampTz retry_at;  /* worker 0: when an event is due to be tried again */
	bool breaker_open;
	bool waiting; /* a lane of this round for room among the parked events */
} Worker;

static void
note_error(const ErrorData *error)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->last_error, error->message ? error->message : "", MR_ERROR_BYTES);
	my_slot->last_error_at = GetCurrentTimestamp();
	LWLockRelease(mr_shared->lock);
}

/* Trouble that is no event's fault: wait, longer each time, and say so. */
static void
back_off(Worker *worker, const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();

	worker->failures++;
	worker->engine->probing = false;
	worker->resume_at = TimestampTzPlusMilliseconds(now, worker->backoff_ms);
	worker->backoff_ms = Min(worker->backoff_ms * 2, BACKOFF_MAX_MS);
	note_error(error);
	if (worker->breaker_open ||
		mr_breaker_should_open(my_slot->pipeline_id, error->sqlerrcode, worker->failures))
	{
		mr_breaker_open(my_slot->pipeline_id, error->message, error->sqlerrcode, worker->resume_at);
		worker->breaker_open = true;
	}
}

static void
recover(Worker *worker)
{
	worker->failures = 0;
	worker->backoff_ms = BACKOFF_FIRST_MS;
	worker->engine->probing = false;
	if (worker->breaker_open)
		mr_breaker_close(my_slot->pipeline_id);
	worker->breaker_open = false;
}

/*
 * One step: of a lane, or (NULL) of the events that are due to be tried again. An error ends its transaction;
 * it is trouble unless the batch is only to be settled in smaller parts.
 */
static MrStep
step(Worker *worker, MrLane *lane, bool *failed)
{
	MrEngine *engine = worker->engine;
	ErrorData *volatile error = NULL;
	volatile MrStep result = MR_STEP_SETTLED;

	PG_TRY();
	{
		result = lane ? mr_engine_step(engine, lane) : mr_engine_retry(engine, &worker->retry_at);
	}
	PG_CATCH();
	{
		bool trouble = geterrcode() != MR_ERRCODE_SPLIT;

		MemoryContextSwitchTo(engine->context);
		error = CopyErrorData();
		mr_xact_abort(trouble);
		mr_engine_after_error(engine, trouble);
		*failed = trouble;
	}
	PG_END_TRY();
	if (error != NULL)
	{
		if (*failed)
			back_off(worker, error);
		FreeErrorData(error);
		return MR_STEP_SETTLED; /* there is more to do */
	}
	*failed = false;
	if (engine->events > 0 && result == MR_STEP_SETTLED)
	{
		my_slot->batches++;
		recover(worker);
	}
	return result;
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

/* Serves the lanes until they are empty, or something failed. False: the worker is to end. */
static bool
serve_lanes(Worker *worker)
{
	for (int i = 0; i < worker->nlanes; i++)
	{
		MrLane *lane = worker->lanes[i];

		for (;;)
		{
			bool failed;
			MrStep result = step(worker, lane, &failed);

			mr_worker_attend();
			if (failed)
				return true;
			if (result == MR_STEP_GONE || result == MR_STEP_PAUSED)
				return false;
			worker->waiting = worker->waiting || result == MR_STEP_WAITING;
			if (result == MR_STEP_IDLE || result == MR_STEP_WAITING || worker->nlanes > 1 ||
				pg_atomic_read_u64(&lane->staged) == pg_atomic_read_u64(&lane->consumed) ||
				GetCurrentTimestamp() >= worker->look_at)
				break; /* the next lane's turn, or nothing more, or there is something else to look at */
		}
	}
	return true;
}

/* Worker 0 tries failed events again. False: the worker is to end. */
static bool
serve_retries(Worker *worker, TimestampTz now)
{
	bool failed;
	MrStep result;

	if (my_slot->number != 0 || now < worker->retry_at)
		return true;
	result = step(worker, NULL, &failed);
	/* Other workers add to the table without telling: look again soon in any case. */
	worker->retry_at = Max(Min(worker->retry_at, TimestampTzPlusMilliseconds(now, IDLE_MS)),
						   TimestampTzPlusMilliseconds(now, failed ? IDLE_MS : 0));
	return result != MR_STEP_GONE && result != MR_STEP_PAUSED;
}

/* Sleeps, served by the latch, until `at` at the latest. */
static void
sleep_until(TimestampTz at, MrWorkerState state)
{
	enter(state);
	mr_worker_sleep(
		Min(Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), at), 1), IDLE_MS));
}

/* One round of the main loop. False: end. */
static bool
work(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	bool due = now >= worker->look_at;
	TimestampTz wake_at;
	bool pending;

	if (due)
	{
		mr_worker_attend(); /* under load there is no sleep that would */
		pin_lock_timeout();
		if (!look_at_pipeline())
			return false;
		worker->look_at = TimestampTzPlusMilliseconds(now, IDLE_MS);
	}
	if (now < worker->resume_at)
	{
		sleep_until(worker->resume_at, MR_WORKER_BACKOFF);
		return true;
	}
	worker->nlanes = find_lanes(worker->lanes, &pending);
	if (worker->breaker_open && !worker->engine->probing)
	{
		mr_breaker_probe(my_slot->pipeline_id);
		worker->engine->probing = true;
	}
	enter(MR_WORKER_BUSY);
	worker->waiting = false;
	if ((pending || due) && !serve_lanes(worker))
		return false;
	if (now >= worker->resume_at && !serve_retries(worker, now))
		return false;
	if (pending && !worker->waiting)
		return true;
	wake_at = my_slot->number == 0 ? Min(worker->look_at, worker->retry_at) : worker->look_at;
	if (worker->waiting)
		wake_at = Min(wake_at, TimestampTzPlusMilliseconds(now, WAITING_MS));
	sleep_until(wake_at, worker->waiting ? MR_WORKER_WAITING : MR_WORKER_IDLE);
	return true;
}

/* An error outside a step is trouble too, and no reason to end; a cancel that meets a mere look is not even that. */
static bool
work_or_back_off(Worker *worker)
{
	ErrorData *volatile error = NULL;
	volatile bool go_on = true;

	PG_TRY();
	{
		go_on = work(worker);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(worker->engine->context);
		error = CopyErrorData();
		mr_xact_abort(true);
	}
	PG_END_TRY();
	if (error != NULL)
	{
		if (error->sqlerrcode != ERRCODE_QUERY_CANCELED)
			back_off(worker, error);
		FreeErrorData(error);
	}
	return go_on;
}

void
mr_worker_main(Datum arg)
{
	Worker worker = {.backoff_ms = BACKOFF_FIRST_MS};
	char *synchronous_commit_of_server;

	if (!attach(DatumGetUInt32(arg)))
		proc_exit(0);
	mr_worker_prepare();
	/* Connecting applies the settings of role and database: what postgresql.conf says is to be read before. */
	synchronous_commit_of_server = pstrdup(GetConfigOption("synchronous_commit", false, false));
	mr_worker_connect(my_slot->database, my_slot->owner);
	pin_settings(synchronous_commit_of_server);
	pin_lock_timeout();
	keep_memory();
	mr_run_open(my_slot->pipeline_id, my_slot->number);
	worker.engine = mr_engine_create(my_slot->pipeline_id);
	worker.lanes = MemoryContextAlloc(TopMemoryContext, mr_shared->max_lanes * sizeof(MrLane *));
	worker.breaker_open = mr_breaker_is_open(my_slot->pipeline_id);

	while (!mr_database_is_held(MyDatabaseId) && work_or_back_off(&worker))
		;
	proc_exit(0);
}
