/*
 * transform.c: events in, rows out. Runs in workers.
 *
 * The SELECT runs alone, in a subtransaction that as a rule writes nothing and so takes no transaction id: an event it
 * fails on is found and set aside before the target is touched. Its functions may write all the same: a subtransaction
 * that has taken an id has, for whichever of its events.
 */
#include "run/transform.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "server/guc.h"
#include "server/xact.h"
#include "program/keep.h"
#include "program/plan_input.h"
#include "program/tombstone.h"
#include "run/isolate.h"
#include "run/receiver.h"
#include "run/row_detail.h"
#include "run/work_record.h"

typedef struct TransformState
{
	MrReceiver receiver; /* first: the rows come to it */
	MrProgram *program;
	MrBatch *batch;
	int *members; /* events that are pending, by index */
	int from;
	int to;
	int next; /* that the transform has not read yet */
	Tuplestorestate *store;
	int failed_event; /* -1 unknown */
	bool wrote;       /* the attempt did */
	bool too_large;   /* the batch is */
} TransformState;

/* A NULL that the target would refuse fails its event here, without an exception. */
static void
fail_null(MrProgram *program, MrEvent *event, const MrColumn *column, TupleTableSlot *row)
{
	MrFailure *failure = mr_failure_make(
		MR_STAGE_WRITE, ERRCODE_NOT_NULL_VIOLATION,
		"null value in column \"%s\" of relation \"%s\" violates not-null constraint", column->name,
		get_rel_name(program->definition->target));

	failure->column_name = column->name;
	mr_failure_set_detail(failure, mr_row_detail_given(program, row->tts_values, row->tts_isnull));
	mr_outcome_fail(&event->outcome, failure);
}

/* A row to be deleted is named by its conflict key. */
static void
fail_unnamed(MrEvent *event, const MrColumn *column)
{
	MrFailure *failure = mr_failure_make(
		MR_STAGE_WRITE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
		"null value in column \"%s\" of the conflict key of a row that is to be deleted",
		column->name);

	failure->column_name = column->name;
	failure->hint = "Make the transform give the key for these events too, of the old row if the "
					"new one is null.";
	mr_outcome_fail(&event->outcome, failure);
}

static int64
rows_bytes_max(void)
{
	return (int64) mr_batch_memory_kb * 1024;
}

static int64
bytes_of_event(const MrBatch *batch, int event)
{
	int64 bytes = 0;

	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].event == event)
			bytes += batch->rows[i].tuple->t_len;
	return bytes;
}

/* The payloads of a batch are bounded where it is read; what the transform makes of them is known only here. */
static void
refuse_bytes(TransformState *state, int event)
{
	if (state->batch->nevents == 1 || bytes_of_event(state->batch, event) > rows_bytes_max())
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the event gives more than %d kB of rows", mr_batch_memory_kb),
						errhint("Make the transform give smaller or fewer rows, or raise "
								"millrace.batch_memory.")));
	state->too_large = true;
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("the events give more than %d kB of rows", mr_batch_memory_kb),
					errhint("Try fewer of them at a time, or raise millrace.batch_memory.")));
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	TransformState *state = (TransformState *) self;
	MrProgram *program = state->program;
	MrBatch *batch = state->batch;
	int n = program->ncolumns;
	MemoryContext old;
	MrEvent *event;
	bool refuses_null =
		program->merge == NULL; /* of a merge it is what both rows give that counts */
	bool deletes;
	int index;

	slot_getallattrs(slot);
	index = DatumGetInt32(slot->tts_values[n]);
	event = &batch->events[index];
	if (event->outcome.state == MR_FAILED)
		return true;
	deletes = program->definition->delete_when != NULL && !slot->tts_isnull[n + 1] &&
			  DatumGetBool(slot->tts_values[n + 1]);
	old = MemoryContextSwitchTo(batch->context);
	for (int i = 0; i < n; i++)
	{
		const MrColumn *column = &program->columns[i];

		if (slot->tts_isnull[i] &&
			(deletes ? column->is_key : column->must_not_be_null && refuses_null) &&
			!mr_keep_lacks(program, event, column))
		{
			if (deletes)
				fail_unnamed(event, column);
			else
				fail_null(program, event, column, slot);
			MemoryContextSwitchTo(old);
			return true;
		}
	}
	if (event->rows >= program->definition->rows_per_event)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg_plural("the event gives more than %d row",
							   "the event gives more than %d rows",
							   program->definition->rows_per_event,
							   program->definition->rows_per_event),
				 errhint("Raise rows_per_event with millrace.alter_pipeline() if that is right.")));
	mr_batch_add_row(batch, index,
					 mr_form_minimal_tuple(program->row_full, slot->tts_values, slot->tts_isnull));
	batch->rows[batch->nrows - 1].deletes = deletes;
	MemoryContextSwitchTo(old);
	if (unlikely(batch->row_bytes > rows_bytes_max()))
		refuse_bytes(state, index);
	return true;
}

/* The next event of the attempt, as a row. */
static bool
next_event(void *arg, Datum *values, bool *isnull)
{
	TransformState *state = arg;
	int event;

	if (state->next == state->to)
		return false;
	event = state->members[state->next++];
	mr_event_relation_row(state->program->event, &state->batch->events[event], event, values,
						  isnull);
	return true;
}

static void
execute(void *arg)
{
	TransformState *state = arg;
	const MrPlanInput input = {next_event, state};

	tuplestore_clear(state->store);
	state->next = state->from;
	(void) mr_plan_run_input(state->program->transform, &input, state->store,
							 state->to - state->from, (DestReceiver *) &state->receiver);
	state->wrote = TransactionIdIsValid(GetCurrentTransactionIdIfAny());
	if (state->wrote)
		mr_check_deferred(); /* or they would fail the write, of all events and of none */
}

static void
note_failed_event(void *arg)
{
	TransformState *state = arg;

	state->failed_event = mr_plan_failed_at(state->program->transform);
}

/* Rows and outcomes of events [from, to) are taken back. */
static void
undo(TransformState *state, int nrows)
{
	mr_batch_remove_rows(state->batch, nrows);
	for (int i = state->from; i < state->to; i++)
		mr_outcome_undo(&state->batch->events[state->members[i]].outcome);
}

static void
note_effects(TransformState *state)
{
	state->program->transform_writes = true;
	for (int i = state->from; i < state->to; i++)
		state->batch->events[state->members[i]].has_effects = true;
	if (++state->batch->neffects > MR_SUBTRANSACTIONS_MAX)
		mr_batch_give_back(state->batch, "too many events of a batch fail");
}

static int
member_of(TransformState *state, int event)
{
	for (int i = state->from; i < state->to; i++)
		if (state->members[i] == event)
			return i;
	return -1;
}

static MrFailure *
try_range(void *arg, int from, int to, int timeout_ms, int *culprit)
{
	TransformState *state = arg;
	int nrows = state->batch->nrows;
	ErrorData *error;

	state->from = from;
	state->to = to;
	state->failed_event = -1;
	error = mr_try(execute, state, note_failed_event, timeout_ms,
				   mr_limits_lock(&state->batch->limits));
	if (error == NULL)
	{
		if (state->wrote)
			note_effects(state);
		return NULL;
	}
	if (state->too_large)
	{
		mr_batch_give_back(state->batch, "the rows of a batch are too large");
		ReThrowError(error);
	}
	undo(state, nrows);
	*culprit = member_of(state, state->failed_event);
	return mr_failure_from_error(MR_STAGE_TRANSFORM, error);
}

static void
fail_member(void *arg, int member, MrFailure *failure)
{
	TransformState *state = arg;

	mr_outcome_fail(&state->batch->events[state->members[member]].outcome, failure);
}

static void
give_back(void *arg, const char *reason)
{
	mr_batch_give_back(((TransformState *) arg)->batch, reason);
}

/* An event with a row that was refused without an exception must not keep its other rows. */
static void
drop_rows_of_failed(MrBatch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
		if (batch->events[batch->rows[i].event].outcome.state == MR_FAILED)
			batch->rows[i].dropped = true;
}

void
mr_transform_run(MrProgram *program, MrBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TransformState state = {.program = program, .batch = batch};
	MrIsolation isolation = {.attempt = try_range,
							 .fail = fail_member,
							 .give_back = give_back,
							 .limits = &batch->limits,
							 .arg = &state};
	int n = 0;

	mr_work_stage(MR_STAGE_TRANSFORM);
	mr_receiver_init(&state.receiver, receive, program, batch);
	state.members = palloc(Max(batch->nevents, 1) * sizeof(int));
	for (int i = 0; i < batch->nevents; i++)
	{
		if (batch->events[i].outcome.state != MR_PENDING)
			continue;
		if (batch->events[i].deletes)
			mr_tombstone_add_row(program, batch, i);
		else
			state.members[n++] = i;
	}
	if (n > 0)
	{
		state.store = tuplestore_begin_heap(false, false, work_mem);
		mr_isolate(&isolation, n);
		tuplestore_end(state.store);
		drop_rows_of_failed(batch);
	}
	MemoryContextSwitchTo(old);
}

bool
mr_transform_left_effects(const MrBatch *batch)
{
	if (batch->neffects == 0)
		return false;
	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i].has_effects && mr_event_is_left_out(&batch->events[i]))
			return true;
	return false;
}

void
mr_transform_forget(MrBatch *batch)
{
	mr_batch_remove_rows(batch, 0);
	batch->neffects = 0;
	for (int i = 0; i < batch->nevents; i++)
		batch->events[i].has_effects = false;
}
