/*
 * write.c: see write.h. Runs in workers.
 *
 * Members of the isolation are events' groups of rows (write_arrange.h): an event's rows are written together or not
 * at all.
 */
#include "run/write.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "server/errcode.h"
#include "server/xact.h"
#include "run/insert_direct.h"
#include "run/isolate.h"
#include "run/receiver.h"
#include "run/run_record.h"
#include "run/write_arrange.h"

/*
 * Subtransactions that wrote and were released count until the transaction ends; from the 65th on they slow
 * every backend. The batch is then given back and comes again in smaller parts, each with its own commit.
 */
#define SUBTRANSACTIONS_MAX 50

typedef struct Run
{
	MrProgram *program;
	MrBatch *batch;
	MrArrangement rows;
	int from;
	int to;
	Tuplestorestate *store;
	TupleTableSlot *slot;
	MrReceiver *receiver;
	bool direct;
	int at;      /* of a direct insert: index into order */
	int suspect; /* row number */
	int nsuccesses;
} Run;

/* The row's number is the tuple's last column, four bytes at its end. */
static void
set_number(MinimalTuple tuple, int32 number)
{
	memcpy((char *) tuple + tuple->t_len - sizeof(number), &number, sizeof(number));
}

static void
execute_plan(Run *run, int first, int end)
{
	tuplestore_clear(run->store);
	for (int i = first; i < end; i++)
	{
		MrRow *row = &run->batch->rows[run->rows.order[i]];

		set_number(row->tuple, run->rows.order[i]);
		ExecStoreMinimalTuple(row->tuple, run->slot, false);
		tuplestore_puttupleslot(run->store, run->slot);
	}
	(void) mr_plan_run(run->program->insert, run->store, end - first,
					   run->receiver ? (DestReceiver *) run->receiver : None_Receiver);
}

static void
execute(void *arg)
{
	Run *run = arg;
	int first = run->rows.groups[run->from];
	int end = run->rows.groups[run->to];
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

	if (run->direct && end > first)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		mr_insert_direct(run->program, run->batch, run->rows.order, first, end, &run->at);
		PopActiveSnapshot();
	}
	else
		execute_plan(run, first, end);
	/* Deferred constraints are checked here, where their errors are in our hands. */
	immediate->deferred = false;
	AfterTriggerSetState(immediate);
}

static void
note_suspect(void *arg)
{
	Run *run = arg;

	run->suspect = run->direct ? (run->at >= 0 ? run->rows.order[run->at] : -1)
							   : mr_plan_suspect(run->program->insert);
}

static int
group_of(Run *run, int row)
{
	for (int g = run->from; g < run->to; g++)
		for (int i = run->rows.groups[g]; i < run->rows.groups[g + 1]; i++)
			if (run->rows.order[i] == row)
				return g;
	return -1;
}

/* A run that failed leaves no verdicts of its own behind. */
static void
take_back(Run *run)
{
	for (int i = run->rows.groups[run->from]; i < run->rows.groups[run->to]; i++)
	{
		MrRow *row = &run->batch->rows[run->rows.order[i]];

		row->written = false;
		mr_outcome_undo(&run->batch->events[row->event].outcome);
	}
}

/* Of a planned INSERT a row counts when RETURNING says so (mark_written); of a direct one all do. */
static void
set_written(Run *run, bool written)
{
	for (int i = run->rows.groups[run->from]; i < run->rows.groups[run->to]; i++)
		run->batch->rows[run->rows.order[i]].written = written;
}

static MrFailure *
try_range(void *arg, int from, int to, int *suspect)
{
	Run *run = arg;
	ErrorData *error;

	run->from = from;
	run->to = to;
	run->suspect = run->at = -1;
	set_written(run, run->receiver == NULL);
	error = mr_try(execute, run, note_suspect, run->program->definition->statement_timeout_ms);
	if (error == NULL)
	{
		if (++run->nsuccesses > SUBTRANSACTIONS_MAX && run->batch->divisible)
			ereport(ERROR, (errcode(MR_ERRCODE_SPLIT), errmsg("too many events of a batch fail")));
		return NULL;
	}
	take_back(run);
	*suspect = group_of(run, run->suspect);
	return mr_failure_from_error(MR_STAGE_WRITE, error);
}

static void
bury(void *arg, int member, MrFailure *failure)
{
	Run *run = arg;
	MrEvent *event =
		&run->batch->events[run->batch->rows[run->rows.order[run->rows.groups[member]]].event];

	mr_outcome_fail(&event->outcome, failure);
}

static bool
mark_written(TupleTableSlot *slot, DestReceiver *self)
{
	MrReceiver *receiver = (MrReceiver *) self;
	int row = mr_plan_current(receiver->program->insert);

	if (row < 0 || row >= receiver->batch->nrows)
		elog(ERROR, "the insert returned a row of no known event");
	receiver->batch->rows[row].written = true;
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

void
mr_write_run(MrProgram *program, MrBatch *batch)
{
	/* what is only for this time round; failures stay in that of the batch */
	MemoryContext round =
		AllocSetContextCreate(batch->context, "millrace write", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(round);
	MrReceiver receiver;
	Run run = {.program = program, .batch = batch};
	MrIsolation isolation = {.run = try_range, .bury = bury, .arg = &run};
	int ngroups;

	mr_write_arrange(program, batch, &run.rows);
	MemoryContextSwitchTo(batch->context);
	ngroups = run.rows.ngroups;
	mr_run_stage(MR_STAGE_WRITE);
	run.direct = program->direct && ngroups == run.rows.groups[ngroups]; /* one row each */
	if (run.direct && ngroups > 0)
		mr_insert_direct_hold(program);
	mr_receiver_init(&receiver, mark_written, program, batch);
	if (!run.direct)
		run.receiver = &receiver;
	if (ngroups > 0)
	{
		run.store = tuplestore_begin_heap(false, false, work_mem);
		run.slot = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);
		mr_isolate(&isolation, ngroups);
		ExecDropSingleTupleTableSlot(run.slot);
		tuplestore_end(run.store);
	}
	decide_outcomes(batch);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(round);
}

/* Nothing of it is written: it failed, or waits behind one that did. */
static bool
is_left_out(const MrBatch *batch, int event)
{
	int state = batch->events[event].outcome.state;

	return state == MR_DEAD || state == MR_RETRYING || state == MR_PARKED;
}

bool
mr_write_is_short(const MrBatch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
	{
		const MrRow *row = &batch->rows[i];

		if (row->superseded_by >= 0 && !is_left_out(batch, row->event) &&
			is_left_out(batch, batch->rows[row->superseded_by].event))
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
