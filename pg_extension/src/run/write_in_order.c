/*
 * write_in_order.c: see write_in_order.h. Runs in workers, inside a subtransaction of the write.
 */
#include "run/write_in_order.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "program/deletion.h"
#include "program/keep.h"
#include "program/merge.h"
#include "program/stored_row.h"
#include "run/receiver.h"

/* Rows that are written together: of each key one at most. */
typedef struct Round
{
	MrReceiver receiver; /* first: the rows of the statements come to it */
	MrWriteInOrder *state;
	Tuplestorestate *store;
	int end;      /* of the range */
	int *places;  /* in arranged->rows */
	int *reached; /* by places[]: the place of the last one that was written with it */
	int n;
	int *index;    /* of a place in places[], by the place from the range's start on */
	int from;      /* the start of the range */
	bool *present; /* by place, as index: a row of that key is there, and it was not merged */
} Round;

/* Which rows of the round a statement is for. */
typedef bool (*Choice)(const Round *round, int i);

static MrRow *
row_at(const Round *round, int i)
{
	return &round->state->batch->rows[round->state->arranged->rows[round->places[i]]];
}

/* The first row of each key in the range. */
static void
begin(Round *round, MrWriteInOrder *state, int from, int to)
{
	int n = Max(to - from, 1);
	bool *follows = palloc0(n * sizeof(bool));

	round->state = state;
	round->store = tuplestore_begin_heap(false, false, work_mem);
	round->from = from;
	round->end = to;
	round->places = palloc(n * sizeof(int));
	round->reached = palloc(n * sizeof(int));
	round->index = palloc(n * sizeof(int));
	round->present = palloc0(n * sizeof(bool));
	for (int i = from; i < to; i++)
	{
		int later = state->arranged->later[i];

		if (!follows[i - from])
			round->places[round->n++] = i;
		if (later >= 0 && later < to)
			follows[later - from] = true;
	}
	pfree(follows);
}

static void
next(Round *round)
{
	int n = 0;

	for (int i = 0; i < round->n; i++)
	{
		int later = round->state->arranged->later[round->reached[i]];

		if (later >= 0 && later < round->end)
			round->places[n++] = later;
	}
	round->n = n;
}

static void
number(Round *round)
{
	for (int i = 0; i < round->n; i++)
	{
		round->reached[i] = round->places[i];
		round->index[round->places[i] - round->from] = i;
	}
}

/* The entry of a row by its number. */
static int
entry_of(const Round *round, int row)
{
	int place;

	if (row < 0 || row >= round->state->batch->nrows)
		elog(ERROR, "the write returned a row of no known event");
	place = round->state->arranged->place_of[row];
	return round->index[place - round->from];
}

static int
number_in(TupleTableSlot *slot)
{
	bool isnull;

	return DatumGetInt32(slot_getattr(slot, 1, &isnull));
}

static void
run(Round *round, MrPlan *plan, int n, bool (*receive)(TupleTableSlot *slot, DestReceiver *self))
{
	MrWriteInOrder *state = round->state;

	mr_receiver_init(&round->receiver, receive, state->program, state->batch);
	state->running = plan;
	(void) mr_plan_run(plan, round->store, n, (DestReceiver *) &round->receiver);
	state->running = NULL;
}

/* The row's number is the tuple's last column, four bytes at its end. */
static void
set_number(MinimalTuple tuple, int32 row)
{
	memcpy((char *) tuple + tuple->t_len - sizeof(row), &row, sizeof(row));
}

/* Puts the rows that are chosen: whole ones, or what a deletion reads of them. */
static int
put(Round *round, Choice choice, bool deletions)
{
	MrWriteInOrder *state = round->state;
	int n = 0;

	tuplestore_clear(round->store);
	for (int i = 0; i < round->n; i++)
	{
		int row = state->arranged->rows[round->places[i]];
		MinimalTuple tuple = state->batch->rows[row].tuple;

		if (!choice(round, i))
			continue;
		set_number(tuple, row);
		ExecStoreMinimalTuple(tuple, state->slot, false);
		if (deletions)
			mr_deletion_put(state->program, round->store, state->slot, row);
		else
			tuplestore_puttupleslot(round->store, state->slot);
		n++;
	}
	return n;
}

static bool
deletes(const Round *round, int i)
{
	return row_at(round, i)->deletes;
}

static bool
deleted_nothing(const Round *round, int i)
{
	return row_at(round, i)->deletes && !row_at(round, i)->written;
}

static bool
is_upsert(const Round *round, int i)
{
	return !row_at(round, i)->deletes;
}

static bool
is_not_merged(const Round *round, int i)
{
	return !row_at(round, i)->deletes && !row_at(round, i)->written;
}

static bool
is_not_there(const Round *round, int i)
{
	return is_not_merged(round, i) && !round->present[round->places[i] - round->from];
}

static bool
is_there(const Round *round, int i)
{
	return is_not_merged(round, i) && round->present[round->places[i] - round->from];
}

static bool
mark_written(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;

	row_at(round, entry_of(round, number_in(slot)))->written = true;
	return true;
}

static bool
mark_older(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;

	row_at(round, entry_of(round, number_in(slot)))->written = false;
	return true;
}

static bool
mark_present(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;

	round->present[round->places[entry_of(round, number_in(slot))] - round->from] = true;
	return true;
}

static bool
lacks(const Round *round, int i)
{
	return !row_at(round, i)->deletes &&
		   round->state->batch->events[row_at(round, i)->event].left_out != NULL;
}

static bool
receive_old(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;
	MrWriteInOrder *state = round->state;
	int number = number_in(slot);
	int i = entry_of(round, number);

	mr_keep_fill(state->program, state->batch, number, slot, state->slot);
	round->present[round->places[i] - round->from] = true;
	return true;
}

/* A row was written; the target's is in the slot from column `first` on, if those behind it can be merged with it. */
static void
note_written(Round *round, TupleTableSlot *slot, int first, int i)
{
	row_at(round, i)->written = true;
	if (round->state->fold != NULL)
		round->reached[i] =
			mr_fold_rest(round->state->fold, slot, first, round->places[i], round->end);
}

static bool
receive_updated(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;

	note_written(round, slot, 1, entry_of(round, number_in(slot)));
	return true;
}

/* It reads its input one by one. */
static bool
receive_inserted(TupleTableSlot *slot, DestReceiver *self)
{
	Round *round = (Round *) self;

	note_written(round, slot, 0, entry_of(round, mr_plan_current(round->state->program->insert)));
	return true;
}

/*
 * A delete that finds no row has its effect all the same: the row is not there. One that finds a newer row has none, and gives
 * way to it.
 */
static void
remove_rows(Round *round)
{
	const MrDeletion *deletion = round->state->program->deletion;
	int n = deletion != NULL ? put(round, deletes, true) : 0;

	if (deletion == NULL || (n == 0 && round->n > 0))
		return;
	run(round, deletion->remove, n, mark_written);
	n = put(round, deleted_nothing, true);
	for (int i = 0; i < round->n; i++)
		if (row_at(round, i)->deletes)
			row_at(round, i)->written = true;
	if (n > 0 && deletion->newer != NULL)
		run(round, deletion->newer, n, mark_older);
}

/* Rows take over what they lack from those of the target, which are locked. */
static void
fill_rows(Round *round)
{
	MrWriteInOrder *state = round->state;
	int n = put(round, lacks, false);

	if (n == 0)
		return;
	run(round, state->program->keep->look_up, n, receive_old);
	for (int i = 0; i < round->n; i++)
	{
		bool *present = &round->present[round->places[i] - round->from];

		if (lacks(round, i) && !*present)
		{
			state->lacking = state->arranged->rows[round->places[i]];
			mr_keep_raise_absent(state->program, &state->batch->events[row_at(round, i)->event]);
		}
		*present = false;
	}
}

/*
 * What is there is merged; what newer_by or a trigger keeps from that is not tried again as an insert. A row that another transaction inserted,
 * or deleted and inserted again, while the first statement ran was not there for it: it is merged when it is locked. A trigger that keeps
 * a row as it is has its say twice.
 */
static void
merge_rows(Round *round)
{
	const MrMerge *merge = round->state->program->merge;
	int n = put(round, is_upsert, false);

	if (n > 0 || round->n == 0) /* an empty range is to show whether it fails without rows */
		run(round, merge->update, n, receive_updated);
	n = put(round, is_not_merged, false);
	if (n > 0)
		run(round, merge->present, n, mark_present);
	n = put(round, is_there, false);
	if (n > 0)
		run(round, merge->update, n, receive_updated);
}

static void
upsert_rows(Round *round)
{
	MrProgram *program = round->state->program;
	int n;

	if (program->keep != NULL)
		fill_rows(round);
	if (program->merge != NULL)
		merge_rows(round);
	n = put(round, program->merge != NULL ? is_not_there : is_upsert, false);
	if (n > 0 || round->n == 0)
		run(round, program->insert, n, receive_inserted);
	if (program->merge != NULL && program->merge->stored != NULL && round->state->fold != NULL)
	{
		round->state->running = program->merge->stored->store;
		mr_fold_store(round->state->fold);
		round->state->running = NULL;
	}
}

void
mr_write_in_order(MrWriteInOrder *state, int from, int to)
{
	const MrProgram *program = state->program;
	Round round = {0};

	begin(&round, state, from, to);
	state->running = NULL;
	state->fold = program->merge != NULL && program->merge->stored != NULL
					  ? mr_fold_begin(state->program, state->batch, state->arranged)
					  : NULL;
	do
	{
		CHECK_FOR_INTERRUPTS();
		number(&round);
		remove_rows(&round);
		upsert_rows(&round);
		next(&round);
	} while (round.n > 0);
	if (state->fold != NULL)
		mr_fold_end(state->fold);
	state->fold = NULL;
	tuplestore_end(round.store);
}

int
mr_write_in_order_failed_at(const MrWriteInOrder *state)
{
	int row = state->fold != NULL ? mr_fold_failed_at(state->fold) : -1;

	if (state->lacking >= 0)
		return state->lacking;
	return row >= 0 || state->running == NULL ? row : mr_plan_failed_at(state->running);
}
