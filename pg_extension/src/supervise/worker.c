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
#include "supervise/sources.h"
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

/* What the main loop knows. Times in µs of mr_clock_us(). */
typedef struct Worker
{
	MrEngine *engine;
	MrSources sources;
	int64 look_at;        /* when to look at the pipeline and at all lanes again */
	int64 retry_at;       /* worker 0: when to look for events that are due again */
	TimestampTz next_due; /* worker 0: when the next one of them is; infinity: none, or not known */
	bool waiting;         /* a lane of this round for room among the parked events */
	bool retries_held;    /* worker 0: they wait for a probe of the lanes */
} Worker;

/*
 * One step of a source. An error ends its transaction; it is trouble unless the batch is only to be settled in smaller
 * parts.
 */
static MrStep
step(Worker *worker, MrSource *source, bool *failed)
{
	MrEngine *engine = worker->engine;
	ErrorData *volatile error = NULL;
	volatile MrStep result = MR_STEP_SETTLED;
	int64 began_at = mr_clock_us();

	mr_seat_show(MR_WORKER_BUSY);
	PG_TRY();
	{
		result = source->lane != NULL ? mr_engine_step(engine, source->lane, &source->pace)
									  : mr_engine_retry(engine, &source->pace, &worker->next_due);
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
		if (*failed)
			mr_sources_met(&worker->sources, source, error);
		FreeErrorData(error);
		return MR_STEP_SETTLED; /* there is more to do */
	}
	*failed = false;
	if (engine->events > 0 && result == MR_STEP_SETTLED)
	{
		mr_seat->batches++;
		mr_worker_log_batch(engine->batch, source->lane == NULL, mr_clock_us() - began_at);
		mr_sources_settled(&worker->sources, source, began_at);
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

/* Serves a lane until it is empty, something failed, or others have their turn. False: the worker is to end. */
static bool
serve_lane(Worker *worker, MrSource *source)
{
	for (;;)
	{
		bool failed;
		MrStep result = step(worker, source, &failed);

		mr_worker_attend();
		if (result == MR_STEP_GONE || result == MR_STEP_PAUSED)
			return false;
		worker->waiting = worker->waiting || result == MR_STEP_WAITING;
		if (failed || result == MR_STEP_IDLE || result == MR_STEP_WAITING ||
			worker->sources.nlanes > 1 ||
			pg_atomic_read_u64(&source->lane->staged) ==
				pg_atomic_read_u64(&source->lane->consumed) ||
			mr_clock_us() >= worker->look_at)
			return true;
	}
}

/* Serves the lanes that do not wait, in turn. False: the worker is to end. */
static bool
serve_lanes(Worker *worker, int64 now)
{
	MrSources *sources = &worker->sources;

	for (int i = 0; i < sources->nslots; i++)
	{
		MrSource *source = &sources->lanes[i];

		if (source->lane != NULL && mr_breaker_wait_us(&source->pace.breaker, now) == 0 &&
			!serve_lane(worker, source))
			return false;
	}
	return true;
}

/*
 * Worker 0 tries failed events again. When the next one is due is a time of the wall clock, as the table has it; how long
 * to wait for it is counted here, and other workers add to the table unnoticed: so never long. False: the worker is to end.
 */
static bool
serve_retries(Worker *worker, int64 now)
{
	MrSource *source = &worker->sources.retries;
	bool failed;
	MrStep result;

	if (mr_seat->number != 0 || now < worker->retry_at)
		return true;
	worker->retries_held = !mr_sources_allow_retries(&worker->sources, now);
	if (worker->retries_held)
		return true;
	worker->next_due = DT_NOEND;
	result = step(worker, source, &failed);
	worker->retry_at = now + IDLE_US;
	if (failed)
		worker->retry_at = mr_clock_us() + mr_breaker_wait_us(&source->pace.breaker, mr_clock_us());
	else if (worker->next_due < GetCurrentTimestamp() + IDLE_US)
		worker->retry_at = now + Max(worker->next_due - GetCurrentTimestamp(), 0);
	else if (result == MR_STEP_SETTLED && TIMESTAMP_IS_NOEND(worker->next_due))
		mr_sources_have_no_retries(&worker->sources);
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

/* Once a second, and when a verb was called. False: end. */
static bool
look(Worker *worker, int64 now, bool woken)
{
	mr_worker_attend(); /* under load there is no sleep that would */
	pin_lock_timeout();
	if (!look_at_pipeline())
		return false;
	worker->look_at = now + IDLE_US;
	if (woken && mr_sources_hurry(&worker->sources))
		worker->retry_at = now;
	return true;
}

/* One round of the main loop. False: end. */
static bool
work(Worker *worker)
{
	MrSources *sources = &worker->sources;
	int64 now = mr_clock_us();
	bool woken = mr_seat_was_woken();
	bool due = woken || now >= worker->look_at;
	int64 backoff_to;
	int64 wake_at;
	bool ready;

	if (due && !look(worker, now, woken))
		return false;
	if (mr_breaker_wait_us(&sources->common.pace.breaker, now) > 0)
	{
		sleep_until(mr_sources_wake_at(sources, now), MR_WORKER_BACKOFF);
		return true;
	}
	mr_sources_find(sources, my_workers);
	mr_sources_probe(sources, now);
	ready = mr_sources_are_ready(sources, now);
	worker->waiting = false;
	if ((ready || due) && !serve_lanes(worker, now))
		return false;
	if (!serve_retries(worker, now))
		return false;
	if (ready && !worker->waiting)
		return true;
	wake_at = mr_seat->number == 0 && !worker->retries_held ? Min(worker->look_at, worker->retry_at)
															: worker->look_at;
	backoff_to = mr_sources_wake_at(sources, now);
	wake_at = Min(wake_at, backoff_to);
	if (worker->waiting)
		wake_at = Min(wake_at, now + WAITING_US);
	sleep_until(wake_at, backoff_to != PG_INT64_MAX ? MR_WORKER_BACKOFF
						 : worker->waiting          ? MR_WORKER_WAITING
													: MR_WORKER_IDLE);
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
			mr_sources_met(&worker->sources, &worker->sources.common, error);
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
	mr_sources_begin(&worker.sources, worker.engine);

	while (!mr_database_is_held(MyDatabaseId) && work_or_back_off(&worker))
		;
	mr_worker_log_end();
	proc_exit(0);
}
