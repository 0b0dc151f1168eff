/*
 * fold.c: see fold.h. Runs in workers, inside a subtransaction of the write.
 */
#include "run/fold.h"

#include "access/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "program/keep.h"
#include "program/merge.h"
#include "program/stored_row.h"
#include "run/work_record.h"

typedef struct Assignment
{
	int column; /* of the target, from 0 */
	ExprState *expression;
} Assignment;

struct MrFold
{
	MrProgram *program;
	MrBatch *batch;
	const MrArrangement *arranged;
	Relation target;
	EState *estate;
	ResultRelInfo *result;
	int nassignments;
	Assignment *assignments;
	ExprState *condition;
	Tuplestorestate *merged; /* rows to store */
	int nmerged;
	MemoryContext contexts[2]; /* of the row of the target: the present one, and the next */
	TupleTableSlot *given;     /* a row of the batch, as it is */
	TupleTableSlot *new_row;   /* the same, in the target's columns */
	TupleTableSlot *old_row;
	TupleTableSlot *row; /* what becomes of both */
	int at;              /* number of the row at work, -1 none */
};

static void
prepare_expressions(MrFold *fold)
{
	const MrStoredRow *stored = fold->program->merge->stored;
	ListCell *cell;

	fold->assignments = palloc(list_length(stored->assignments) * sizeof(Assignment));
	foreach (cell, stored->assignments)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		fold->assignments[fold->nassignments++] =
			(Assignment){entry->resno - 1, ExecPrepareExpr(entry->expr, fold->estate)};
	}
	if (stored->condition != NULL)
		fold->condition = ExecPrepareExpr(stored->condition, fold->estate);
}

MrFold *
mr_fold_begin(MrProgram *program, MrBatch *batch, const MrArrangement *arranged)
{
	MrFold *fold = palloc0(sizeof(MrFold));
	TupleDesc target = program->merge->stored->target;

	fold->program = program;
	fold->batch = batch;
	fold->arranged = arranged;
	fold->at = -1;
	fold->target = table_open(program->definition->target, NoLock); /* held already */
	fold->estate = CreateExecutorState();
	fold->result = makeNode(ResultRelInfo);
	InitResultRelInfo(fold->result, fold->target, 0, NULL, 0);
	prepare_expressions(fold);
	fold->merged = tuplestore_begin_heap(false, false, work_mem);
	for (int i = 0; i < lengthof(fold->contexts); i++)
		fold->contexts[i] =
			AllocSetContextCreate(CurrentMemoryContext, "millrace fold", ALLOCSET_DEFAULT_SIZES);
	fold->given = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);
	fold->new_row = MakeSingleTupleTableSlot(target, &TTSOpsVirtual);
	fold->old_row = MakeSingleTupleTableSlot(target, &TTSOpsMinimalTuple);
	fold->row = MakeSingleTupleTableSlot(target, &TTSOpsVirtual);
	return fold;
}

void
mr_fold_end(MrFold *fold)
{
	ExecDropSingleTupleTableSlot(fold->given);
	ExecDropSingleTupleTableSlot(fold->new_row);
	ExecDropSingleTupleTableSlot(fold->old_row);
	ExecDropSingleTupleTableSlot(fold->row);
	tuplestore_end(fold->merged);
	FreeExecutorState(fold->estate);
	table_close(fold->target, NoLock);
}

/* The row of the target becomes that of the slot. */
static void
keep(MrFold *fold, TupleTableSlot *slot, int step)
{
	MemoryContext next = fold->contexts[step % 2];
	MemoryContext old = MemoryContextSwitchTo(next);
	MinimalTuple tuple = ExecCopySlotMinimalTuple(slot);

	MemoryContextSwitchTo(old);
	ExecStoreMinimalTuple(tuple, fold->old_row, false);
	MemoryContextReset(fold->contexts[(step + 1) % 2]);
}

/* The statement gives the target's columns without those that were dropped. */
static void
keep_stored(MrFold *fold, TupleTableSlot *stored, int first)
{
	TupleTableSlot *row = fold->row;
	int k = first;

	slot_getallattrs(stored);
	ExecClearTuple(row);
	for (int i = 0; i < row->tts_tupleDescriptor->natts; i++)
	{
		bool dropped = TupleDescAttr(row->tts_tupleDescriptor, i)->attisdropped;

		row->tts_isnull[i] = dropped || stored->tts_isnull[k];
		row->tts_values[i] = row->tts_isnull[i] ? (Datum) 0 : stored->tts_values[k];
		k += dropped ? 0 : 1;
	}
	ExecStoreVirtualTuple(row);
	keep(fold, row, 0);
}

/* What the event lacks is what the row of the target has. */
static void
take_new(MrFold *fold, const MrRow *row)
{
	const MrProgram *program = fold->program;
	const MrEvent *event = &fold->batch->events[row->event];
	TupleTableSlot *slot = fold->new_row;

	ExecStoreMinimalTuple(row->tuple, fold->given, false);
	slot_getallattrs(fold->given);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < program->ncolumns; i++)
	{
		int to = program->columns[i].attnum - 1;

		if (mr_keep_lacks(program, event, &program->columns[i]))
		{
			slot->tts_values[to] = slot_getattr(fold->old_row, to + 1, &slot->tts_isnull[to]);
			continue;
		}
		slot->tts_values[to] = fold->given->tts_values[i];
		slot->tts_isnull[to] = fold->given->tts_isnull[i];
	}
	ExecStoreVirtualTuple(slot);
}

/* As of WHERE: NULL is false. */
static bool
holds(const MrFold *fold, ExprContext *context)
{
	bool isnull = false;
	Datum value;

	if (fold->condition == NULL)
		return true;
	value = ExecEvalExprSwitchContext(fold->condition, context, &isnull);
	return !isnull && DatumGetBool(value);
}

/* False: the condition is not true, the row of the target stays. */
static bool
merge(MrFold *fold, int step)
{
	ExprContext *context = GetPerTupleExprContext(fold->estate);
	TupleTableSlot *row = fold->row;
	MemoryContext old;

	ResetExprContext(context);
	context->ecxt_scantuple = fold->old_row;
	context->ecxt_innertuple = fold->new_row;
	if (!holds(fold, context))
		return false;
	slot_getallattrs(fold->old_row);
	ExecClearTuple(row);
	memcpy(row->tts_values, fold->old_row->tts_values,
		   row->tts_tupleDescriptor->natts * sizeof(Datum));
	memcpy(row->tts_isnull, fold->old_row->tts_isnull,
		   row->tts_tupleDescriptor->natts * sizeof(bool));
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(fold->estate));
	for (int i = 0; i < fold->nassignments; i++)
	{
		const Assignment *assignment = &fold->assignments[i];

		row->tts_values[assignment->column] =
			ExecEvalExpr(assignment->expression, context, &row->tts_isnull[assignment->column]);
	}
	MemoryContextSwitchTo(old);
	ExecStoreVirtualTuple(row);
	if (RelationGetDescr(fold->target)->constr != NULL)
		ExecConstraints(fold->result, row, fold->estate);
	keep(fold, row, step);
	return true;
}

static void
put_merged(MrFold *fold, int number)
{
	mr_stored_row_put(fold->program->merge->stored, fold->merged, fold->old_row, number);
	fold->nmerged++;
}

static bool
has_null_key(MrFold *fold)
{
	const MrProgram *program = fold->program;

	for (int i = 0; i < program->nconflict; i++)
		if (slot_attisnull(fold->old_row, program->columns[program->keys[i].column].attnum))
			return true;
	return false;
}

int
mr_fold_rest(MrFold *fold, TupleTableSlot *stored, int first, int place, int end)
{
	const int *later = fold->arranged->later;
	int merged = -1;

	if (later[place] < 0 || later[place] >= end)
		return place;
	keep_stored(fold, stored, first);
	if (has_null_key(fold))
		return place; /* such rows do not meet */
	for (int step = 1; later[place] >= 0 && later[place] < end; step++)
	{
		MrRow *row = &fold->batch->rows[fold->arranged->rows[later[place]]];

		if (row->deletes)
			break;
		CHECK_FOR_INTERRUPTS();
		place = later[place];
		fold->at = fold->arranged->rows[place];
		mr_work_at(&fold->batch->events[row->event]);
		take_new(fold, row);
		row->written = merge(fold, step);
		if (row->written)
			merged = fold->at;
		else
			step--; /* the row is where it was */
	}
	fold->at = -1;
	if (merged >= 0)
		put_merged(fold, merged);
	return place;
}

void
mr_fold_store(MrFold *fold)
{
	int n = fold->nmerged;

	if (n == 0)
		return;
	fold->nmerged = 0;
	(void) mr_plan_run(fold->program->merge->stored->store, fold->merged, n, None_Receiver);
	tuplestore_clear(fold->merged);
}

int
mr_fold_failed_at(const MrFold *fold)
{
	return fold->at;
}
