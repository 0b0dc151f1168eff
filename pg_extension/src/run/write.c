/*
 * write.c: see write.h. Runs in workers.
 *
 * Members of the isolation are events' groups of rows (write_arrange.h): an event's rows are written together or not
 * at all.
 */
#include "run/write.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "server/xact.h"
#include "window/contribute.h"
#include "program/merge.h"
#include "run/direct_rows.h"
#include "run/insert_direct.h"
#include "run/isolate.h"
#include "run/receiver.h"
#include "run/upsert_direct.h"
#include "run/work_record.h"
#include "run/write_arrange.h"
#include "run/write_in_order.h"

typedef struct WriteState
{
	MrProgram *program;
	MrBatch *batch;
	MrArrangement arranged;
	int first; /* of the rows that are tried: indexes into arranged.rows */
	int end;
	Tuplestorestate *store;
	TupleTableSlot *slot;
	MrReceiver *receiver;
	MrWindows *windows;      /* NULL: none */
	MrStage stage;           /* where an attempt is */
	MrWriteInOrder in_order; /* arranged is NULL: not */
	bool direct;             /* rows go into a plain table: insert_direct.h, upsert_direct.h */
	bool gave_up;   /* a direct upsert has: the plan writes all that is tried from then on */
	int at;         /* of a direct insert: index into arranged.rows, -1 unknown */
	int failed_row; /* its number, -1 unknown */
	int nsuccesses; /* subtransactions that are kept, those of the transform included */
} WriteState;

static inline MrRow *
row_at(WriteState *state, int i)
{
	return &state->batch->rows[state->arranged.rows[i]];
}

/* The row's number is the tuple's last column, four bytes at its end. */
static void
set_number(MinimalTuple tuple, int32 number)
{
	memcpy((char *) tuple + tuple->t_len - sizeof(number), &number, sizeof(number));
}

/* The rows that are tried, with their numbers. */
static void
store_rows(WriteState *state)
{
	tuplestore_clear(state->store);
	for (int i = state->first; i < state->end; i++)
	{
		MrRow *row = row_at(state, i);

		set_number(row->tuple, state->arranged.rows[i]);
		ExecStoreMinimalTuple(row->tuple, state->slot, false);
		tuplestore_puttupleslot(state->store, state->slot);
	}
}

static void
execute_plan(WriteState *state)
{
	store_rows(state);
	(void) mr_plan_run(state->program->insert, state->store, state->end - state->first,
					   (DestReceiver *) state->receiver);
}

static void
execute_direct(WriteState *state)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(state->program->conflict_index))
		mr_upsert_direct(state->program, state->batch, state->arranged.rows, state->first,
						 state->end, &state->at, &state->gave_up);
	else
		mr_insert_direct(state->program, state->batch, state->windows, state->arranged.rows,
						 state->first, state->end, &state->at);
	PopActiveSnapshot();
}

static void
set_stage(WriteState *state, MrStage stage)
{
	state->stage = stage;
	mr_work_stage(stage);
}

/* For windows that follow changes of rows: what was there before this command, and is now, where the write does not say. */
static void
look_up_changes(WriteState *state, CommandId before)
{
	store_rows(state);
	mr_windows_put_changed(state->windows, state->batch, state->store, state->end - state->first,
						   before,
						   state->in_order.arranged != NULL || (state->direct && !state->gave_up));
}

static void
execute(void *arg)
{
	WriteState *state = arg;
	bool changes = state->windows != NULL && mr_windows_follow_changes(state->windows);
	CommandId before = InvalidCommandId;

	if (changes)
	{
		CommandCounterIncrement(); /* what was done before is there before */
		before = GetCurrentCommandId(false);
	}
	if (state->direct && !state->gave_up && state->end > state->first)
		execute_direct(state);
	else if (state->in_order.arranged != NULL)
		mr_write_in_order(&state->in_order, state->first, state->end);
	else
		execute_plan(state);
	mr_check_deferred(); /* here, where their errors are in our hands */
	if (state->windows != NULL)
	{
		set_stage(state, MR_STAGE_WINDOW);
		if (changes)
			look_up_changes(state, before);
		mr_windows_contribute(state->windows, state->batch);
	}
}

static void
note_failed_row(void *arg)
{
	WriteState *state = arg;

	if (state->stage == MR_STAGE_WINDOW)
		state->failed_row = mr_windows_failed_at(state->windows);
	else if (state->in_order.arranged != NULL)
		state->failed_row = mr_write_in_order_failed_at(&state->in_order);
	else if (!state->direct || state->gave_up)
		state->failed_row = mr_plan_failed_at(state->program->insert);
	else if (state->at >= 0)
		state->failed_row = state->arranged.rows[state->at];
}

/* The group of groups [from, to) that has the row, -1 none. */
static int
group_of(const MrArrangement *arranged, int from, int to, int row)
{
	for (int g = from; g < to; g++)
		for (int i = arranged->groups[g]; i < arranged->groups[g + 1]; i++)
			if (arranged->rows[i] == row)
				return g;
	return -1;
}

/* What failed and was rolled back leaves no outcomes behind. */
static void
take_back(WriteState *state)
{
	for (int i = state->first; i < state->end; i++)
	{
		MrRow *row = row_at(state, i);

		row->written = false;
		mr_outcome_undo(&state->batch->events[row->event].outcome);
	}
}

/* Of a planned INSERT a row counts when RETURNING says so (mark_written); of a direct one all do. */
static void
set_written(WriteState *state, bool written)
{
	for (int i = state->first; i < state->end; i++)
		row_at(state, i)->written = written;
}

static ErrorData *
attempt(WriteState *state, int timeout_ms)
{
	state->failed_row = state->at = -1;
	state->in_order.running = NULL;
	state->in_order.lacking = -1;
	state->in_order.fold = NULL;
	set_written(state, state->direct && !state->gave_up);
	set_stage(state, MR_STAGE_WRITE);
	if (state->windows != NULL)
		mr_windows_clear(state->windows);
	return mr_try(execute, state, note_failed_row, timeout_ms,
				  mr_limits_lock(&state->batch->limits));
}

/*
 * What a direct upsert refuses is judged by ON CONFLICT: the key may have been inserted by another session meanwhile, or by this
 * statement, when the index takes two keys for one that the order of the keys does not (the last of these SQLSTATEs).
 */
static bool
is_for_plan(const WriteState *state, const ErrorData *error)
{
	return OidIsValid(state->program->conflict_index) &&
		   (state->gave_up || error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
			error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
}

static MrFailure *
try_range(void *arg, int from, int to, int timeout_ms, int *culprit)
{
	WriteState *state = arg;
	bool directly = state->direct && !state->gave_up;
	ErrorData *error;
	MrFailure *failure;

	state->first = state->arranged.groups[from];
	state->end = state->arranged.groups[to];
	error = attempt(state, timeout_ms);
	if (error != NULL && directly && is_for_plan(state, error))
	{
		take_back(state);
		state->gave_up = true;
		error = attempt(state, timeout_ms);
	}
	if (error == NULL)
	{
		if (++state->nsuccesses > MR_SUBTRANSACTIONS_MAX)
			mr_batch_give_back(state->batch, "too many events of a batch fail");
		return NULL;
	}
	take_back(state);
	*culprit = group_of(&state->arranged, from, to, state->failed_row);
	failure = mr_failure_from_error(state->stage, error);
	if (mr_program_left_unfilled(state->program, error))
		failure->unfilled_in = state->program->definition->target;
	return failure;
}

static void
fail_member(void *arg, int member, MrFailure *failure)
{
	WriteState *state = arg;
	const MrRow *row = row_at(state, state->arranged.groups[member]);

	mr_outcome_fail(&state->batch->events[row->event].outcome, failure);
}

static void
give_back(void *arg, const char *reason)
{
	mr_batch_give_back(((WriteState *) arg)->batch, reason);
}

static bool
mark_written(TupleTableSlot *slot, DestReceiver *self)
{
	MrReceiver *receiver = (MrReceiver *) self;
	int row = mr_plan_current(receiver->program->insert);

	if (row < 0 || row >= receiver->batch->nrows)
		elog(ERROR, "the insert returned a row of no known event");
	receiver->batch->rows[row].written = true;
	if (receiver->program->stored != NULL)
	{
		slot_getallattrs(slot);
		mr_windows_put(receiver->program->windows, slot->tts_values, slot->tts_isnull, false, row);
	}
	return true;
}

static void
decide_outcomes(MrBatch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].written)
			mr_outcome_write(&batch->events[batch->rows[i].event].outcome);
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];

		if (event->outcome.state != MR_PENDING)
			continue;
		if (event->rows == 0)
			mr_outcome_filter(&event->outcome);
		else
			mr_outcome_supersede(&event->outcome);
	}
}

/* An old snapshot, as dry_run() may have, does not see what a direct upsert would update: ON CONFLICT says so. */
static bool
goes_directly(const MrProgram *program, const MrArrangement *arranged)
{
	bool upserts = OidIsValid(program->conflict_index) && !IsolationUsesXactSnapshot();

	return (program->direct || upserts) &&
		   arranged->ngroups == arranged->groups[arranged->ngroups]; /* one row each */
}

void
mr_write_run(MrProgram *program, MrBatch *batch)
{
	/* what is only for this time round; failures stay in that of the batch */
	MemoryContext round =
		AllocSetContextCreate(batch->context, "millrace write", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(round);
	MrReceiver receiver;
	WriteState state = {.program = program, .batch = batch, .nsuccesses = batch->neffects};
	MrIsolation isolation = {.attempt = try_range,
							 .fail = fail_member,
							 .give_back = give_back,
							 .limits = &batch->limits,
							 .arg = &state};
	int ngroups;

	mr_write_arrange(program, batch, &state.arranged);
	MemoryContextSwitchTo(batch->context);
	ngroups = state.arranged.ngroups;
	mr_work_stage(MR_STAGE_WRITE);
	state.direct = goes_directly(program, &state.arranged);
	if ((state.direct || program->merge != NULL) && ngroups > 0)
		mr_direct_hold(program);
	if (program->in_order && state.arranged.longest > MR_ROUNDS_MAX &&
		batch->nevents > MR_ISOLATE_SMALL && /* the rows may be of few events */
		(program->merge == NULL || program->merge->stored == NULL))
		mr_batch_give_back(batch, "too many events of a batch have one key");
	mr_receiver_init(&receiver, mark_written, program, batch);
	state.receiver = &receiver;
	if (ngroups > 0)
	{
		state.store = tuplestore_begin_heap(false, false, work_mem);
		state.windows = mr_windows_begin(program);
		state.slot = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);
		if (program->in_order)
			state.in_order = (MrWriteInOrder){.program = program,
											  .batch = batch,
											  .arranged = &state.arranged,
											  .slot = state.slot};
		mr_isolate(&isolation, ngroups);
		ExecDropSingleTupleTableSlot(state.slot);
		tuplestore_end(state.store);
		if (state.windows != NULL)
			mr_windows_end(state.windows);
	}
	decide_outcomes(batch);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(round);
}

bool
mr_write_is_short(const MrBatch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
	{
		const MrRow *row = &batch->rows[i];

		if (row->superseded_by >= 0 && !mr_event_is_left_out(&batch->events[row->event]) &&
			mr_event_is_left_out(&batch->events[batch->rows[row->superseded_by].event]))
			return true;
	}
	return false;
}

void
mr_write_forget(MrBatch *batch)
{
	for (int i = 0; i < batch->nevents; i++)
	{
		MrOutcome *outcome = &batch->events[i].outcome;

		if (outcome->state == MR_WRITTEN || outcome->state == MR_FILTERED ||
			outcome->state == MR_SUPERSEDED)
			mr_outcome_write_again(outcome);
		else if (outcome->state == MR_RETRYING || outcome->state == MR_DEAD)
			mr_outcome_judge_again(outcome);
	}
	for (int i = 0; i < batch->nrows; i++)
	{
		MrRow *row = &batch->rows[i];

		row->written = false;
		row->superseded_by = -1;
		row->dropped = batch->events[row->event].outcome.state != MR_PENDING;
	}
}
