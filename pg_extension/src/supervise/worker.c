/*
 * worker.c: see worker.h.
 */
#include "supervise/worker.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/memutils.h"

#include "server/clock.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "run/work_record.h"
#include "engine/engine.h"
#include "supervise/bgworker.h"
#include "supervise/seat.h"
#include "supervise/sources.h"
#include "supervise/trouble.h"
#include "supervise/worker_log.h"

#define IDLE_US    1000000 /* the longest rest: nothing depends on a latch alone */
#define AWAY_US    5000000 /* the same while no process serves the worker */
#define QUIET_US   5000000 /* between two looks at the tables while nothing comes */
#define WAITING_US 100000  /* for room among the parked events, or in the windows */

/* Times in µs of mr_clock_us(). */
struct MrWorker
{
	int32 pipeline_id;
	int32 number;
	MrEngine *engine;
	MrSources sources;
	MrTrouble trouble;
	int workers;    /* of the pipeline */
	int64 look_at;  /* when to look at the pipeline and at all lanes again */
	int64 retry_at; /* worker 0: when to look for events that are due again */
	int64
		known_due_at; /* worker 0: when the next one is, as far as is known; PG_INT64_MAX: none is */
	TimestampTz next_due; /* worker 0: the same by the wall clock; infinity: none, or not known */
	bool waiting; /* a lane of this round for room among the parked events, or in the windows */
	bool retries_held; /* worker 0: they wait for a probe of the lanes */
	bool turned;       /* the process has served another worker before this round */
	bool served;       /* a lane had something for us since the last look */
	bool quiet;        /* looks are QUIET_US apart */
};

/*
 * One step of a source. An error ends its transaction; it is trouble unless the batch is only to be settled in smaller
 * parts.
 */
static MrStep
step(MrWorker *worker, MrSource *source, bool *failed)
{
	MrEngine *engine = worker->engine;
	ErrorData *volatile error = NULL;
	volatile MrStep result = MR_STEP_SETTLED;
	int64 began_at = mr_clock_us();

	*failed = false;
	if (mr_engine_is_full(engine))
		return MR_STEP_WAITING;
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
	mr_engine_fold(engine);
	if (engine->events > 0 && result == MR_STEP_SETTLED)
	{
		mr_seat->batches++;
		mr_worker_log_batch(engine->batch, source->lane == NULL, mr_clock_us() - began_at);
		mr_sources_settled(&worker->sources, source, began_at);
	}
	return result;
}

/* Of the session, and made by the SQL of another pipeline of the owner: this one is not to meet it. In a transaction. */
static void
forget_session_state(void)
{
	ResetTempTableNamespace();
	DropAllPreparedStatements();
}

/* The pipeline's number of workers may have been changed; a worker too many ends. False: end. */
static bool
look_at_pipeline(MrWorker *worker)
{
	MrPipelineRow row;
	bool wanted;

	if (!mr_xact_begin("looking at the pipeline"))
		return false;
	wanted = mr_pipeline_row_by_id(mr_seat->pipeline_id, &row) && row.running && !row.foreign &&
			 row.owner == GetUserId() && mr_seat->number < row.workers;
	if (wanted)
	{
		mr_worker_log_pipeline(&row);
		mr_engine_see(worker->engine, &row);
	}
	worker->workers = wanted ? row.workers : 1;
	if (worker->turned)
		forget_session_state();
	worker->turned = false;
	mr_xact_commit();
	return wanted;
}

/* A lane had something: the next looks are as soon as under load. */
static void
end_quiet(MrWorker *worker)
{
	int64 soon = mr_clock_us() + IDLE_US;

	worker->served = true;
	if (!worker->quiet)
		return;
	worker->quiet = false;
	worker->look_at = Min(worker->look_at, soon);
	worker->retry_at = Min(worker->retry_at, soon);
}

/* Serves a lane until it is empty, something failed, or others have their turn. False: the worker is to end. */
static bool
serve_lane(MrWorker *worker, MrSource *source)
{
	for (;;)
	{
		bool failed;
		MrStep result = step(worker, source, &failed);

		mr_worker_attend();
		if (result == MR_STEP_GONE || result == MR_STEP_PAUSED)
			return false;
		worker->waiting = worker->waiting || result == MR_STEP_WAITING;
		if (failed || result != MR_STEP_IDLE)
			end_quiet(worker);
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
serve_lanes(MrWorker *worker, int64 now)
{
	MrSources *sources = &worker->sources;

	for (int i = 0; i < sources->nlanes; i++)
	{
		MrSource *source = &sources->lanes[i];

		if (mr_breaker_wait_us(&source->pace.breaker, now) == 0 && !serve_lane(worker, source))
			return false;
	}
	return true;
}

static int64
due_by_clock(TimestampTz due, int64 now)
{
	return TIMESTAMP_IS_NOEND(due) ? PG_INT64_MAX : now + Max(due - GetCurrentTimestamp(), 0);
}

/* And none can come but from a batch of this worker, or by a verb, which wakes it. */
static bool
has_no_retries(const MrWorker *worker)
{
	return mr_seat->number != 0 ||
		   (worker->workers == 1 && !worker->retries_held && worker->known_due_at == PG_INT64_MAX);
}

/*
 * Worker 0 tries failed events again. When the next one is due is a time of the wall clock, as the table has it; how long
 * to wait for it is counted here, and other workers add to the table unnoticed: so never long. False: the worker is to end.
 */
static bool
serve_retries(MrWorker *worker, int64 now)
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
	if (result == MR_STEP_WAITING)
	{
		worker->waiting = true;
		worker->known_due_at = worker->retry_at = now + WAITING_US;
		return true;
	}
	worker->known_due_at = due_by_clock(worker->next_due, now);
	worker->retry_at = now + (worker->quiet && has_no_retries(worker) ? QUIET_US : IDLE_US);
	if (failed)
		worker->retry_at = worker->known_due_at =
			mr_clock_us() + mr_breaker_wait_us(&source->pace.breaker, mr_clock_us());
	else if (worker->next_due < GetCurrentTimestamp() + IDLE_US)
		worker->retry_at = now + Max(worker->next_due - GetCurrentTimestamp(), 0);
	else if (result == MR_STEP_SETTLED && TIMESTAMP_IS_NOEND(worker->next_due))
		mr_sources_have_no_retries(&worker->sources);
	return result != MR_STEP_GONE && result != MR_STEP_PAUSED;
}

/*
 * Once a second, and when a verb was called; at rest less often, as each look takes some transactions. What is staged at rest
 * shows in shared memory, which is looked at each second all the same. False: end.
 */
static bool
look(MrWorker *worker, int64 now, bool woken)
{
	mr_worker_attend(); /* under load there is no sleep that would */
	if (!look_at_pipeline(worker))
		return false;
	/* a verb may want a probe; at rest, retries that it has added are not met otherwise */
	if (woken && (mr_sources_hurry(&worker->sources) || worker->quiet))
		worker->retry_at = now;
	worker->quiet = !woken && !worker->served && !worker->waiting && has_no_retries(worker) &&
					!mr_sources_are_troubled(&worker->sources);
	worker->served = false;
	worker->look_at = now + (worker->quiet ? QUIET_US : IDLE_US);
	if (worker->quiet)
		worker->retry_at =
			now; /* with this look: the next ones are at the same time, and wake it up once */
	return true;
}

/* Nothing to do before `until`; nothing is missed when no process serves the worker until `away`. */
static void
rest(MrWorkerState state, int64 until, int64 away, MrRest *result)
{
	mr_seat_show(state);
	result->until = Min(until, mr_clock_us() + IDLE_US);
	result->away = away;
}

/*
 * While no process serves it: a lane that has events makes it due (wakeup.h), retries are due at a time that is known. Other
 * workers of the pipeline may add some.
 */
static int64
away_until(const MrWorker *worker, int64 now)
{
	int64 until = now + AWAY_US;

	if (mr_seat->number != 0)
		return until;
	if (worker->workers > 1 || worker->retries_held)
		until = now + IDLE_US;
	return worker->retries_held ? until : Min(until, worker->known_due_at);
}

/* Nothing is to be done for now: until when. */
static void
rest_until(const MrWorker *worker, int64 now, MrRest *result)
{
	int64 wake_at = mr_seat->number == 0 && !worker->retries_held
						? Min(worker->look_at, worker->retry_at)
						: worker->look_at;
	int64 backoff_to = mr_sources_wake_at(&worker->sources, now);
	int64 away = Min(away_until(worker, now), backoff_to);

	wake_at = Min(wake_at, Min(backoff_to, mr_engine_wake_at(worker->engine)));
	away = Min(away, mr_engine_wake_at(worker->engine));
	if (worker->waiting)
		wake_at = away = Min(wake_at, now + WAITING_US);
	rest(backoff_to != PG_INT64_MAX ? MR_WORKER_BACKOFF
		 : worker->waiting          ? MR_WORKER_WAITING
									: MR_WORKER_IDLE,
		 wake_at, away, result);
	/* with several lanes, another one may have something that need not wait */
	result->deaf = worker->waiting || (backoff_to != PG_INT64_MAX && worker->sources.nlanes == 1);
}

/* One round. False: the worker is not wanted any more. */
static bool
work(MrWorker *worker, MrRest *result)
{
	MrSources *sources = &worker->sources;
	int64 now = mr_clock_us();
	bool woken = mr_seat_was_woken();
	bool due = woken || worker->turned || now >= worker->look_at;
	bool ready;

	mr_worker_pin_lock_timeout();
	if (due && !look(worker, now, woken))
		return false;
	mr_engine_fold(worker->engine);
	if (mr_breaker_wait_us(&sources->common.pace.breaker, now) > 0)
	{
		int64 wake_at = mr_sources_wake_at(sources, now);

		rest(MR_WORKER_BACKOFF, wake_at, wake_at, result);
		result->deaf = true;
		return true;
	}
	mr_sources_find(sources, worker->workers);
	mr_sources_probe(sources, now);
	ready = mr_sources_are_ready(sources, now);
	worker->waiting = false;
	if ((ready || due) && !serve_lanes(worker, now))
		return false;
	if (!serve_retries(worker, now))
		return false;
	if (!ready || worker->waiting)
		rest_until(worker, now, result);
	return true;
}

bool
mr_worker_round(MrWorker *worker, MrRest *result)
{
	ErrorData *volatile error = NULL;
	volatile bool go_on = true;

	memset(result, 0, sizeof(*result));
	PG_TRY();
	{
		go_on = work(worker, result);
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
	result->sticky = mr_sources_are_troubled(&worker->sources);
	return go_on;
}

MrWorker *
mr_worker_create(void)
{
	MrWorker *worker = MemoryContextAllocZero(TopMemoryContext, sizeof(MrWorker));

	worker->pipeline_id = mr_seat->pipeline_id;
	worker->number = mr_seat->number;
	worker->workers = 1;
	worker->engine = mr_engine_create(mr_seat->pipeline_id, mr_seat->pipeline);
	mr_trouble_serve(&worker->trouble);
	mr_sources_begin(&worker->sources, worker->engine);
	return worker;
}

bool
mr_worker_is_of_seat(const MrWorker *worker)
{
	return worker->pipeline_id == mr_seat->pipeline_id && worker->number == mr_seat->number;
}

void
mr_worker_turn_to(MrWorker *worker)
{
	worker->turned = true;
	mr_trouble_serve(&worker->trouble);
	mr_work_serve(worker->pipeline_id, worker->number);
}

void
mr_worker_turn_from(MrWorker *worker)
{
	mr_engine_rest(worker->engine);
}

void
mr_worker_free(MrWorker *worker)
{
	mr_trouble_free(&worker->trouble);
	mr_sources_free(&worker->sources);
	mr_engine_free(worker->engine);
	pfree(worker);
}
