/*
 * write.c: see write.h. Runs in workers.
 *
 * Members of the isolation are events' groups of rows: an event's rows are written together or not at all.
 * As long as each event has one row, groups are in the order of the key; with several rows per event,
 * groups go by the key of their first.
 */
#include "write.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "insert_direct.h"
#include "isolate.h"
#include "receiver.h"
#include "run_record.h"
#include "xact.h"

/*
 * Subtransactions that wrote and were released count until the transaction ends; from the 65th on they slow
 * every backend. The batch is then given back and comes again in smaller parts, each with its own commit.
 */
#define SUBTRANSACTIONS_MAX 50

typedef struct Keyed
{
	int row;
	Datum abbreviated; /* of the first key, when its type knows how */
	Datum *values;
	bool *isnull;
} Keyed;

typedef struct Sorter
{
	MrProgram *program;
	MrBatch *batch;
} Sorter;

typedef struct Run
{
	MrProgram *program;
	MrBatch *batch;
	int *order;  /* row numbers in the order they are written */
	int *groups; /* group i is order[groups[i]] .. order[groups[i + 1] - 1] */
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

static int
compare_events(const MrBatch *batch, int a, int b)
{
	const MrEvent *left = &batch->events[batch->rows[a].event];
	const MrEvent *right = &batch->events[batch->rows[b].event];

	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* The first key by its abbreviation; 0: the whole of it must decide. */
static inline int
compare_abbreviated(MrProgram *program, const Keyed *a, const Keyed *b)
{
	SortSupport support = &program->keys[0].support;

	if (support->abbrev_converter == NULL || a->isnull[0] || b->isnull[0])
		return 0;
	return ApplySortComparator(a->abbreviated, false, b->abbreviated, false, support);
}

static int
compare_keys(MrProgram *program, const Keyed *a, const Keyed *b, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		SortSupport support = &program->keys[i].support;
		int order;

		if (support->abbrev_converter != NULL)
		{
			order = compare_abbreviated(program, a, b);
			if (order == 0)
				order = ApplySortAbbrevFullComparator(a->values[i], a->isnull[i], b->values[i],
													  b->isnull[i], support);
		}
		else
			order = ApplySortComparator(a->values[i], a->isnull[i], b->values[i], b->isnull[i],
										support);
		if (order != 0)
			return order;
	}
	return 0;
}

static int
compare_rows(const void *a, const void *b, void *arg)
{
	Sorter *sorter = arg;
	int order = compare_keys(sorter->program, a, b, sorter->program->nkeys);

	return order != 0
			   ? order
			   : compare_events(sorter->batch, ((const Keyed *) a)->row, ((const Keyed *) b)->row);
}

/* The live rows with their keys; values point into the rows' tuples. */
static Keyed *
extract_keys(MrProgram *program, MrBatch *batch, int *n)
{
	Keyed *keyed = palloc(Max(batch->nrows, 1) * sizeof(Keyed));
	Datum *values = palloc(Max(batch->nrows * program->nkeys, 1) * sizeof(Datum));
	bool *isnull = palloc(Max(batch->nrows * program->nkeys, 1) * sizeof(bool));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);

	*n = 0;
	for (int i = 0; i < batch->nrows; i++)
	{
		Keyed *entry = &keyed[*n];

		if (batch->rows[i].dropped)
			continue;
		entry->row = i;
		entry->values = values + *n * program->nkeys;
		entry->isnull = isnull + *n * program->nkeys;
		ExecStoreMinimalTuple(batch->rows[i].tuple, slot, false);
		for (int k = 0; k < program->nkeys; k++)
			entry->values[k] = slot_getattr(slot, program->keys[k].column + 1, &entry->isnull[k]);
		if (program->nkeys > 0 && program->keys[0].support.abbrev_converter != NULL &&
			!entry->isnull[0])
			entry->abbreviated =
				program->keys[0].support.abbrev_converter(entry->values[0],
														  &program->keys[0].support);
		(*n)++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return keyed;
}

static bool
has_null(const Keyed *keyed, int n)
{
	for (int i = 0; i < n; i++)
		if (keyed->isnull[i])
			return true;
	return false;
}

/* For an upsert: of rows with one key the last stays (the newest, else the one that came last). */
static int
drop_superseded(MrProgram *program, MrBatch *batch, Keyed *keyed, int n)
{
	int kept = 0;
	int last;

	for (int i = 0; i < n; i = last + 1)
	{
		for (last = i;
			 last + 1 < n && !has_null(&keyed[last], program->nconflict) &&
			 compare_keys(program, &keyed[last], &keyed[last + 1], program->nconflict) == 0;)
			last++;
		for (int k = i; k < last; k++)
		{
			batch->rows[keyed[k].row].dropped = true;
			batch->rows[keyed[k].row].superseded_by = keyed[last].row;
		}
		keyed[kept++] = keyed[last];
	}
	return kept;
}

/* Rows of one event next to each other, events in the order of their first key. */
static int
gather_events(Run *run, const Keyed *keyed, int nkeyed)
{
	MrBatch *batch = run->batch;
	int *first = palloc(Max(batch->nevents, 1) * sizeof(int));
	int *next = palloc(Max(batch->nrows, 1) * sizeof(int));
	int n = 0;

	memset(first, -1, batch->nevents * sizeof(int));
	for (int i = batch->nrows - 1; i >= 0; i--)
	{
		if (batch->rows[i].dropped)
			continue;
		next[i] = first[batch->rows[i].event];
		first[batch->rows[i].event] = i;
	}
	for (int i = 0; i < nkeyed; i++)
	{
		int *head = &first[batch->rows[keyed[i].row].event];

		for (; *head >= 0; *head = next[*head])
			run->order[n++] = *head;
	}
	return n;
}

/* Order of rows and their groups; returns the number of groups. */
static int
arrange(Run *run)
{
	MrProgram *program = run->program;
	MrBatch *batch = run->batch;
	Sorter sorter = {program, batch};
	int n;
	Keyed *keyed = extract_keys(program, batch, &n);
	bool several = false;
	int ngroups = 0;

	if (program->nkeys > 0)
		qsort_arg(keyed, n, sizeof(Keyed), compare_rows, &sorter);
	if (program->definition->on_conflict == MR_CONFLICT_UPDATE)
		n = drop_superseded(program, batch, keyed, n);
	run->order = palloc(Max(n, 1) * sizeof(int));
	run->groups = palloc((n + 1) * sizeof(int));
	for (int i = 0; i < n; i++)
		several = several || batch->events[batch->rows[keyed[i].row].event].rows > 1;
	if (several)
		n = gather_events(run, keyed, n);
	else
		for (int i = 0; i < n; i++)
			run->order[i] = keyed[i].row;
	for (int i = 0; i < n; i++)
		if (i == 0 || batch->rows[run->order[i]].event != batch->rows[run->order[i - 1]].event)
			run->groups[ngroups++] = i;
	run->groups[ngroups] = n;
	return ngroups;
}

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
		MrRow *row = &run->batch->rows[run->order[i]];

		set_number(row->tuple, run->order[i]);
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
	int first = run->groups[run->from];
	int end = run->groups[run->to];
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

	if (run->direct && end > first)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		mr_insert_direct(run->program, run->batch, run->order, first, end, &run->at);
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

	run->suspect = run->direct ? (run->at >= 0 ? run->order[run->at] : -1)
							   : mr_plan_suspect(run->program->insert);
}

static int
group_of(Run *run, int row)
{
	for (int g = run->from; g < run->to; g++)
		for (int i = run->groups[g]; i < run->groups[g + 1]; i++)
			if (run->order[i] == row)
				return g;
	return -1;
}

/* A run that failed leaves no verdicts of its own behind. */
static void
take_back(Run *run)
{
	for (int i = run->groups[run->from]; i < run->groups[run->to]; i++)
	{
		MrRow *row = &run->batch->rows[run->order[i]];

		row->written = false;
		run->batch->events[row->event].outcome = MR_PENDING;
		run->batch->events[row->event].failure = NULL;
	}
}

/* Of a planned INSERT a row counts when RETURNING says so (mark_written); of a direct one all do. */
static void
set_written(Run *run, bool written)
{
	for (int i = run->groups[run->from]; i < run->groups[run->to]; i++)
		run->batch->rows[run->order[i]].written = written;
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
	error = mr_try(execute, run, note_suspect);
	if (error == NULL)
	{
		if (++run->nsuccesses > SUBTRANSACTIONS_MAX)
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
	MrEvent *event = &run->batch->events[run->batch->rows[run->order[run->groups[member]]].event];

	event->outcome = MR_DEAD;
	event->failure = failure;
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
	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i].outcome == MR_PENDING)
			batch->events[i].outcome = batch->events[i].rows == 0 ? MR_FILTERED : MR_SUPERSEDED;
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].written)
			batch->events[batch->rows[i].event].outcome = MR_WRITTEN;
}

void
mr_write_run(MrProgram *program, MrBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	MrReceiver receiver;
	Run run = {.program = program, .batch = batch};
	MrIsolation isolation = {.run = try_range, .bury = bury, .arg = &run};
	int ngroups = arrange(&run);

	mr_run_stage(MR_STAGE_WRITE);
	run.direct = program->direct && ngroups == run.groups[ngroups]; /* one row each */
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
}

static bool
has_failed(const MrBatch *batch, int event)
{
	return batch->events[event].outcome == MR_DEAD || batch->events[event].outcome == MR_RETRYING;
}

bool
mr_write_is_short(const MrBatch *batch)
{
	for (int i = 0; i < batch->nrows; i++)
	{
		const MrRow *row = &batch->rows[i];

		if (row->superseded_by >= 0 && !has_failed(batch, row->event) &&
			has_failed(batch, batch->rows[row->superseded_by].event))
			return true;
	}
	return false;
}

void
mr_write_forget(MrBatch *batch)
{
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];

		if (event->outcome == MR_WRITTEN || event->outcome == MR_FILTERED ||
			event->outcome == MR_SUPERSEDED)
			event->outcome = MR_PENDING;
		else if (event->outcome == MR_RETRYING)
			event->outcome = MR_DEAD; /* to be judged again, with the others */
	}
	for (int i = 0; i < batch->nrows; i++)
	{
		MrRow *row = &batch->rows[i];

		row->written = false;
		row->superseded_by = -1;
		row->dropped = batch->events[row->event].outcome != MR_PENDING;
	}
}
