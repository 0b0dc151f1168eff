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
#include "utils/timestamp.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "server/clock.h"
#include "server/compat.h"
#include "server/guc.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "run/work_record.h"
#include "engine/engine.h"
#include "supervise/seat.h"
#include "supervise/trouble.h"
#include "supervise/worker_log.h"

#define IDLE_US    1000000 /* the longest sleep: nothing depends on a latch alone */
#define WAITING_US 100000  /* for room among the parked events */

PGDLLEXPORT void mr_worker_main(Datum arg);

static int my_workers = 1; /* of the pipeline */

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

		if (lane->database != MyDatabaseId || lane->pipeline_id != mr_seat->pipeline_id ||
			lane->number % my_workers != mr_seat->number)
			continue;
		lane->worker_latch = MyLatch;
		lanes[n++] = lane;
		if (pg_atomic_read_u64(&lane->staged) != pg_atomic_read_u64(&lane->consumed))
			*pending = true;
	}
	LWLockRelease(mr_shared->lock);
	return n;
}

/* What the main loop knows. Times in µs of mr_clock_us(). */
typedef struct Worker
{
	MrEngine *engine;
	MrLane **lanes;
	int nlanes;
	int64 look_at;        /* when to look at the pipeline and at all lanes again */
	int64 retry_at;       /* worker 0: when to look for events that are due again */
	TimestampTz next_due; /* worker 0: when the next one of them is; infinity: none, or not known */
	bool waiting;         /* a lane of this round for room among the parked events */
} Worker;

/*
 * What a batch that was settled says of the trouble of its own source and of the other's: a retry that passes ends the trouble of
 * the lanes too when they have nothing to probe with; a batch of a lane that is written shows whose the retries' trouble is.
 */
static void
note_settled(MrEngine *engine, bool retried)
{
	if (retried)
		mr_trouble_retries_settled(&engine->retries.breaker);
	if (!retried || mr_breaker_is_probing(&engine->lanes.breaker))
		mr_trouble_settled(&engine->lanes.breaker);
	if (!retried && engine->batch->passed[MR_STAGE_WRITE])
		mr_breaker_others_passed(&engine->retries.breaker);
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
	int64 began_at = mr_clock_us();

	PG_TRY();
	{
		result = lane ? mr_engine_step(engine, lane) : mr_engine_retry(engine, &worker->next_due);
	}
	PG_CATCH();
	{
		bool trouble = !engine->batch->given_back;

		MemoryContextSwitchTo(engine->context);
		error = CopyErrorData();
		mr_xact_abort(trouble);
		mr_engine_after_error(engine, trouble);
		*failed = trouble;
	}
	PG_END_TRY();
	if (error != NULL)
	{
		if (*failed && lane != NULL)
			mr_trouble_met(&engine->lanes.breaker, error);
		else if (*failed)
			mr_trouble_met_by_retries(&engine->retries.breaker, error);
		FreeErrorData(error);
		return MR_STEP_SETTLED; /* there is more to do */
	}
	*failed = false;
	if (engine->events > 0 && result == MR_STEP_SETTLED)
	{
		mr_seat->batches++;
		mr_worker_log_batch(engine->batch, lane == NULL, mr_clock_us() - began_at);
		note_settled(engine, lane == NULL);
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
	wanted = mr_pipeline_row_by_id(mr_seat->pipeline_id, &row) && row.running && !row.foreign &&
			 row.owner == GetUserId() && mr_seat->number < row.workers;
	if (wanted)
		mr_worker_log_pipeline(&row);
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
				mr_clock_us() >= worker->look_at)
				break; /* the next lane's turn, or nothing more, or there is something else to look at */
		}
	}
	return true;
}

/*
 * Worker 0 tries failed events again. Not while the lanes wait for a probe; when they have one and no event to probe with,
 * the retries are the probe. When the next one is due is a time of the wall clock, as the table has it; how long
 * to wait for it is counted here, and other workers add to the table unnoticed: so never long. False: the worker is to end.
 */
static bool
serve_retries(Worker *worker, int64 now)
{
	MrBreaker *breaker = &worker->engine->retries.breaker;
	bool failed;
	MrStep result;

	if (mr_seat->number != 0 || now < worker->retry_at)
		return true;
	if (mr_breaker_is_probing(&worker->engine->lanes.breaker) &&
		breaker->state == MR_BREAKER_CLOSED)
		mr_breaker_inherit(breaker);
	(void) mr_breaker_try(breaker);
	worker->next_due = DT_NOEND;
	result = step(worker, NULL, &failed);
	worker->retry_at = now + IDLE_US;
	if (failed)
		worker->retry_at = mr_clock_us() + mr_breaker_wait_us(breaker, mr_clock_us());
	else if (worker->next_due < GetCurrentTimestamp() + IDLE_US)
		worker->retry_at = now + Max(worker->next_due - GetCurrentTimestamp(), 0);
	return result != MR_STEP_GONE && result != MR_STEP_PAUSED;
}

/* Sleeps, served by the latch, until `at` at the latest. */
static void
sleep_until(int64 at, MrWorkerState state)
{
	mr_seat_show(state);
	mr_worker_sleep_until(Min(at, mr_clock_us() + IDLE_US),
						  state == MR_WORKER_BACKOFF   ? MR_WAIT_BACKOFF
						  : state == MR_WORKER_WAITING ? MR_WAIT_PARKED
													   : MR_WAIT_WORK);
}

/* One round of the main loop. False: end. */
static bool
work(Worker *worker)
{
	MrBreaker *breaker = &worker->engine->lanes.breaker;
	int64 now = mr_clock_us();
	bool due = now >= worker->look_at;
	int64 wake_at;
	bool pending;

	if (due)
	{
		mr_worker_attend(); /* under load there is no sleep that would */
		pin_lock_timeout();
		if (!look_at_pipeline())
			return false;
		worker->look_at = now + IDLE_US;
	}
	if (mr_breaker_wait_us(breaker, now) > 0)
	{
		sleep_until(now + mr_breaker_wait_us(breaker, now), MR_WORKER_BACKOFF);
		return true;
	}
	worker->nlanes = find_lanes(worker->lanes, &pending);
	mr_trouble_try(breaker);
	mr_seat_show(MR_WORKER_BUSY);
	worker->waiting = false;
	if ((pending || due) && !serve_lanes(worker))
		return false;
	if (mr_breaker_wait_us(breaker, now) == 0 && !serve_retries(worker, now))
		return false;
	if (pending && !worker->waiting)
		return true;
	wake_at = mr_seat->number == 0 ? Min(worker->look_at, worker->retry_at) : worker->look_at;
	if (worker->waiting)
		wake_at = Min(wake_at, now + WAITING_US);
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
			mr_trouble_met(&worker->engine->lanes.breaker, error);
		FreeErrorData(error);
	}
	return go_on;
}

void
mr_worker_main(Datum arg)
{
	Worker worker = {0};
	char *synchronous_commit_of_server;

	if (!mr_seat_take(DatumGetUInt32(arg)))
		proc_exit(0);
	mr_worker_log_begin();
	mr_worker_prepare();
	/* Connecting applies the settings of role and database: what postgresql.conf says is to be read before. */
	synchronous_commit_of_server = pstrdup(GetConfigOption("synchronous_commit", false, false));
	mr_worker_connect(mr_seat->database, mr_seat->owner);
	pin_settings(synchronous_commit_of_server);
	pin_lock_timeout();
	keep_memory();
	mr_work_open(mr_seat->pipeline_id, mr_seat->number);
	worker.engine = mr_engine_create(mr_seat->pipeline_id, mr_seat->pipeline);
	worker.lanes = MemoryContextAlloc(TopMemoryContext, mr_shared->max_lanes * sizeof(MrLane *));
	mr_trouble_begin(&worker.engine->lanes.breaker);

	while (!mr_database_is_held(MyDatabaseId) && work_or_back_off(&worker))
		;
	mr_worker_log_end();
	proc_exit(0);
}
