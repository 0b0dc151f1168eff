/*
 * engine.c: see engine.h. Runs in workers, in a session of the pipeline's owner.
 *
 *   begin, hold extension and pipeline -> read the lane -> lock partitions, compare epoch and position
 *   -> decode, transform, write (process.c) -> dead letters, counters, position -> commit -> move the lane's cursor
 *
 * Killed anywhere before the commit, nothing has happened. Killed behind it, the cursor is behind: what is
 * read again is below the position and dropped.
 */
#include "engine/engine.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/clock.h"
#include "server/guc.h"
#include "server/locks.h"
#include "server/xact.h"
#include "pipeline/position_lock.h"
#include "staging/ring.h"
#include "staging/segment.h"
#include "program/documents.h"
#include "program/remembered.h"
#include "program/unread.h"
#include "window/contribute.h"
#include "window/backfill.h"
#include "window/fold.h"
#include "run/admit.h"
#include "run/isolate.h"
#include "run/lane_reader.h"
#include "run/work_record.h"
#include "fail/crash.h"
#include "engine/observe.h"
#include "engine/process.h"
#include "engine/settle.h"

#define SHORT_WAITS 4  /* lock timeouts: so long after a wait in vain there is none */
#define BUSY_MS     50 /* until retries of a locked partition are looked at again */

MrEngine *
mr_engine_create(int32 pipeline_id, const char *name)
{
	MrEngine *engine = MemoryContextAllocZero(TopMemoryContext, sizeof(MrEngine));
	MemoryContext old;

	engine->pipeline_id = pipeline_id;
	engine->context =
		AllocSetContextCreate(TopMemoryContext, "millrace engine", ALLOCSET_DEFAULT_SIZES);
	engine->batch = mr_batch_create(engine->context);
	old = MemoryContextSwitchTo(engine->context);
	engine->activity = psprintf("settling a batch of %s", name);
	engine->retry_activity = psprintf("trying failed events of %s again", name);
	MemoryContextSwitchTo(old);
	return engine;
}

void
mr_engine_free(MrEngine *engine)
{
	mr_engine_forget_program(engine);
	mr_fold_free(&engine->fold);
	mr_partitions_forget(engine->pipeline_id);
	MemoryContextDelete(engine->context);
	pfree(engine);
}

void
mr_engine_rest(MrEngine *engine)
{
	mr_batch_reset(engine->batch);
}

/*
 * Whether the event fits into the batch, and in ordering => 'key' into the queue of its key if there is one. A message of
 * several documents counts as so many events, but the first one fits.
 */
static bool
take_event(void *arg, MrEvent *event, int taken)
{
	MrEngine *engine = arg;
	const MrDefinition *definition = engine->program->definition;
	int documents = mr_documents_of(engine->program->event->format, event);
	int limit = mr_pace_events(engine->pace, definition->batch_rows);

	if (taken > 0 && engine->documents + documents > limit)
	{
		engine->fit = engine->documents + documents > taken + 1 ? taken : 0;
		return false;
	}
	if (!mr_crash_admits(engine->batch->suspicions, event, taken))
		return false;
	engine->documents += documents;
	if (!definition->order.by_key)
		return true;
	if (engine->order == NULL)
		engine->order = mr_order_read(definition);
	return mr_order_admit(engine->order, event);
}

static void
read_suspicions(MrEngine *engine, MrWorkKind kind)
{
	MemoryContext old = MemoryContextSwitchTo(engine->batch->context);

	engine->batch->suspicions = mr_crash_suspicions(&engine->crashes, engine->pipeline_id, kind);
	MemoryContextSwitchTo(old);
}

/* With a record of it for the case that the server crashes. */
static void
process(MrEngine *engine, MrWorkKind kind)
{
	if (mr_crash_condemns(engine->batch->suspicions, engine->batch))
		return;
	mr_work_begin(kind, engine->batch, engine->program->definition);
	mr_engine_process(engine);
}

/*
 * Rows that are locked for long are met by batch after batch: a wait in vain, of all of lock_timeout, is not repeated
 * for some time, and so takes a fifth of the time at most. Events that are tried again always have that wait: it is what
 * their tries are for.
 */
static bool
has_waited_lately(const MrEngine *engine)
{
	return engine->waited_at != 0 &&
		   mr_clock_us() - engine->waited_at < (int64) mr_lock_timeout_ms * 1000 * SHORT_WAITS;
}

static void
note_wait(MrEngine *engine)
{
	if (engine->batch->limits.waited && !has_waited_lately(engine))
		engine->waited_at = mr_clock_us();
}

static void
settle_batch(MrEngine *engine)
{
	MrBatch *batch = engine->batch;

	batch->limits.waited = has_waited_lately(engine);

	read_suspicions(engine, MR_WORK_LANE);
	mr_batch_admit(batch, engine->pipeline_id, take_event, engine);
	if (batch->nevents > 0)
		process(engine, MR_WORK_LANE);
	mr_unread_look(engine->program->unread, engine->program->event, batch);
	mr_unread_write(engine->program->unread, engine->pipeline_id, mr_clock_us());
	mr_settle(engine->program, batch);
}

static void
note_success(MrEngine *engine, int64 began_at)
{
	engine->fold.unfolded += mr_windows_take_appended(engine->program);

	for (int i = 0; i < engine->batch->nevents; i++)
		engine->events += mr_event_is_tried(&engine->batch->events[i]) ? 1 : 0;
	mr_pace_settled(engine->pace, engine->program->definition->batch_rows, engine->events,
					mr_clock_us() - began_at);
	mr_unread_written(engine->program->unread, mr_clock_us());
	mr_observe_batch(&engine->live, engine->extension, engine->pipeline_id, engine->batch,
					 began_at);
}

/* What follows the commit: nothing here may be needed for correctness. */
static void
move_on(MrEngine *engine, MrLane *lane, int64 began_at)
{
	MrBatch *batch = engine->batch;
	MrStagedAmount settled = {.batches = batch->nsettled};

	for (int i = 0; i < batch->nsettled; i++)
	{
		settled.events += batch->staged[i].count;
		settled.bytes += batch->staged[i].bytes;
	}
	mr_ring_advance(lane, &batch->tail, &batch->end, &settled);
	note_wait(engine);
	note_success(engine, began_at);
}

/* Behind the last row of a sealed segment: it is emptied, in a transaction that does nothing else. */
static void
finish_segment(MrEngine *engine, MrLane *lane)
{
	mr_ring_finish_tail(lane, &engine->batch->tail);
	mr_segment_empty_consumed(lane, engine->batch->tail.generation);
}

/*
 * Begins the transaction of a step. MR_STEP_SETTLED: the program is ready, go on, in a GUC nest level whose end
 * undoes what the user's SQL sets with SET. Otherwise the transaction has ended.
 *
 * A snapshot is held to the end: nothing the step reads is removed while it works with it, and values out of line
 * can be removed with their rows only under one.
 */
static MrStep
begin_step(MrEngine *engine, MrPace *pace, const char *activity, int *nest)
{
	MrPipelineRow pipeline;
	MrStep step = MR_STEP_SETTLED;

	engine->pace = pace;
	engine->events = 0;
	engine->order = NULL; /* was in the batch's memory */
	engine->documents = 0;
	mr_batch_reset(engine->batch);
	engine->batch->divisible = true;
	if (!mr_xact_begin(activity))
		return MR_STEP_GONE;
	mr_lock_pipeline(engine->pipeline_id, ShareLock);
	if (!mr_pipeline_row_by_id(engine->pipeline_id, &pipeline))
		step = MR_STEP_GONE;
	else if (!pipeline.running || pipeline.foreign)
		step = MR_STEP_PAUSED;
	if (step != MR_STEP_SETTLED)
	{
		mr_xact_commit();
		return step;
	}
	*nest = NewGUCNestLevel();
	mr_engine_prepare(engine, &pipeline);
	PushActiveSnapshot(GetTransactionSnapshot());
	return step;
}

static void
end_step(int nest)
{
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest);
	mr_xact_commit();
	mr_work_end();
}

/*
 * How many messages to read for a batch: those with several documents fill it sooner, and what does not fit is read again
 * with the next one. Somewhat more than last time, so that it is all again once documents are few.
 */
static int
read_limit(const MrEngine *engine)
{
	int limit = mr_pace_read(engine->pace, engine->program->definition->batch_rows);

	return engine->fit > 0 && engine->fit < limit / 2 ? engine->fit * 2 : limit;
}

MrStep
mr_engine_step(MrEngine *engine, MrLane *lane, MrPace *pace)
{
	MrStagedAmount staged = mr_ring_staged(lane);
	int64 began_at = mr_clock_us();
	int nest;
	MrStep step = begin_step(engine, pace, engine->activity, &nest);

	if (step != MR_STEP_SETTLED)
		return step;
	if (mr_lane_read(lane, engine->pipeline_id, engine->batch, read_limit(engine),
					 (int64) mr_batch_bytes_kb * 1024))
	{
		/* take_event() sets it back where the batch is full */
		engine->fit = engine->fit > MR_PACE_EVENTS_MAX ? 0 : engine->fit * 2;
		settle_batch(engine);
		if (engine->batch->nevents == 0 && engine->batch->nsettled < engine->batch->nstaged)
			step = MR_STEP_WAITING; /* not even one could be admitted */
	}
	else if (engine->batch->segment_done)
		finish_segment(engine, lane);
	else
		step = MR_STEP_IDLE;
	end_step(nest);
	if (engine->batch->nstaged > 0)
		move_on(engine, lane, began_at);
	if (step == MR_STEP_IDLE)
		mr_ring_drained(lane, &engine->batch->tail, &staged);
	return step;
}

/* What a look at the retries may not lock. */
typedef struct Locking
{
	MrEngine *engine;
	List *refused; /* partitions: what is refused once is refused to the end of the look */
} Locking;

static bool
lock_partition(void *arg, int32 partition)
{
	Locking *locking = arg;
	MrBatch *batch = locking->engine->batch;

	if (mr_batch_partition(batch, partition) != NULL)
		return true;
	if (list_member_int(locking->refused, partition))
		return false;
	if (mr_batch_try_partition(batch, locking->engine->pipeline_id, partition))
		return true;
	locking->refused = lappend_int(locking->refused, partition);
	return false;
}

/*
 * Reads what is due, and passes over partitions that another worker has locked: while that one is at work, the lanes
 * of this one and the retries of other partitions must not wait for it. One that was passed over for long is waited for, before
 * any other is locked, see patience.h. Returns how many events were passed over.
 */
static int
read_due(MrEngine *engine)
{
	MrPatience *patience = &engine->patience;
	int wait_ms = mr_patience_wait_ms(patience, mr_clock_us());
	Locking locking = {.engine = engine};
	int passed_over;

	if (wait_ms > 0)
		mr_partition_wait(engine->pipeline_id, patience->partition, wait_ms);
	passed_over =
		mr_retry_read_due(engine->batch, engine->pipeline_id, &engine->horizon,
						  mr_pace_events(engine->pace, engine->program->definition->batch_rows),
						  (int64) mr_batch_bytes_kb * 1024, lock_partition, &locking);
	if (passed_over == 0 || !list_member_int(locking.refused, patience->partition))
		mr_patience_note(patience, false, mr_clock_us());
	if (passed_over == 0)
		return 0;
	if (patience->since == 0)
		patience->partition = linitial_int(locking.refused);
	mr_patience_note(patience, true, mr_clock_us());
	return passed_over;
}

/* In the transaction of a step in which nothing else is done: trouble must not roll it back. */
static void
bring_forward(MrEngine *engine)
{
	int64 n = mr_retry_bring_forward(engine->pipeline_id, engine->set_back);

	ereport(LOG, (errmsg("millrace: the clock was set back by %.1f s, and so are due times of "
						 "pipeline \"%s\"",
						 engine->set_back / 1e6, engine->program->definition->name),
				  errdetail("Events that wait to be tried again: %lld.", (long long) n)));
}

MrStep
mr_engine_retry(MrEngine *engine, MrPace *pace, TimestampTz *next_due)
{
	MrBatch *batch = engine->batch;
	int64 began_at = mr_clock_us();
	int passed_over;
	int nread;
	int nest;
	MrStep step = begin_step(engine, pace, engine->retry_activity, &nest);

	if (step != MR_STEP_SETTLED)
		return step;
	engine->set_back +=
		mr_clock_step_back(&engine->clock_step, GetCurrentTimestamp(), mr_clock_us());
	if (engine->set_back > 0)
	{
		bring_forward(engine);
		end_step(nest);
		engine->set_back = 0;
		*next_due = GetCurrentTimestamp();
		return step;
	}
	passed_over = read_due(engine);
	nread = batch->nevents;
	if (nread > 0)
	{
		mr_documents_cut(engine->program->event->format, batch,
						 mr_pace_events(pace, engine->program->definition->batch_rows));
		read_suspicions(engine, MR_WORK_RETRY);
		mr_crash_cut(batch->suspicions, batch);
		if (batch->nevents < nread)
			mr_retry_keep_horizon(&engine->horizon);
	}
	if (batch->nevents > 0)
	{
		process(engine, MR_WORK_RETRY);
		mr_settle(engine->program, batch);
		CommandCounterIncrement();
	}
	*next_due = mr_retry_next_due(engine->pipeline_id, &engine->horizon);
	if (passed_over > 0)
		*next_due = Max(*next_due, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BUSY_MS));
	end_step(nest);
	mr_retry_move_horizon(&engine->horizon);
	note_success(engine, began_at);
	return step;
}

void
mr_engine_fold(MrEngine *engine)
{
	mr_fold_if_due(&engine->fold, engine->pipeline_id);
	mr_backfill_if_due(&engine->fold, engine->pipeline_id);
}

void
mr_engine_see(MrEngine *engine, const MrPipelineRow *pipeline)
{
	if (engine->seen_windows == pipeline->windows)
		return;
	engine->seen_windows = pipeline->windows;
	engine->fold.known = false;
	engine->fold.fold_at = 0;
}

int64
mr_engine_wake_at(const MrEngine *engine)
{
	return mr_backfill_due_at(&engine->fold);
}

bool
mr_engine_is_full(const MrEngine *engine)
{
	return engine->fold.windows && mr_fold_is_full(&engine->fold);
}

void
mr_engine_after_error(MrEngine *engine, bool trouble)
{
	MrPace *pace = engine->pace;
	int events = Min(pace->event_limit, engine->batch->nevents);

	mr_work_end();
	if (trouble)
		mr_engine_forget_program(engine);
	if (engine->batch->nevents > 0 && engine->batch->events[0].retry == NULL)
	{
		if (trouble)
			engine->waited_at = 0; /* the batch comes again, after a pause */
		else
			note_wait(engine);
	}
	if (engine->batch->nevents == 0)
		return; /* nothing was read: no batch is too large */
	if (engine->batch->given_back && mr_documents_of_one_message(engine->batch))
		pace->torn = (MrTorn){engine->batch->events[0].partition, engine->batch->events[0].offset,
							  .due = true};
	mr_pace_rolled_back(pace, events, trouble);
}
