/*
 * direct_rows.c: see direct_rows.h. Runs in workers, inside a subtransaction of the write.
 *
 * The state of one call (indexes, expressions) is made for the call: it costs some 20 us and lets DDL on the
 * target come in between batches. Slots are kept with the program: a thousand of them, each pinning the
 * table's descriptor in the resource owner, were a twentieth of the worker's time.
 */
#include "run/direct_rows.h"

#include "server/compat.h"
#include "run/row_detail.h"
#include "run/work_record.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteHandler.h"
#include "catalog/pg_type.h"
#include "utils/memutils.h"

#define BUFFERED_BYTES (64 * 1024) /* as COPY */
#define PREFETCH_ROWS  8

static void prepare_expressions(MrDirectRows *direct);
static void add_row(MrDirectRows *direct, MrRow *row, int at);
static TupleTableSlot *fill_slot(MrDirectRows *direct, MrRow *row);
static MrFailure *check_row(MrDirectRows *direct, TupleTableSlot *slot);

/*
 * Rows lie in memory as the transform gave them, and are taken in the order of their keys: each would be waited for. So what is
 * needed of the row some places on is asked for early, and its tuple when the row itself has come. Always inlined: gcc takes a
 * function that only prefetches for one without effect, and drops its calls.
 */
static pg_attribute_always_inline void
prefetch(const MrBatch *batch, const int *numbers, int i, int to)
{
	const MrRow *row;

	if (i + 2 * PREFETCH_ROWS < to)
		__builtin_prefetch(&batch->rows[numbers[i + 2 * PREFETCH_ROWS]]);
	if (i + PREFETCH_ROWS >= to)
		return;
	row = &batch->rows[numbers[i + PREFETCH_ROWS]];
	__builtin_prefetch(&batch->events[row->event]);
	__builtin_prefetch(row->tuple);
	__builtin_prefetch((const char *) row->tuple + PG_CACHE_LINE_SIZE / 2);
}

void
mr_direct_hold(const MrProgram *program)
{
	table_close(mr_target_open(program->definition, RowExclusiveLock), NoLock);
	if (mr_plan_target_changed(program->insert))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("the target table was changed while the pipeline ran")));
}

void
mr_direct_begin(MrDirectRows *direct, bool upserts)
{
	direct->target = table_open(direct->program->definition->target, NoLock); /* held already */
	mr_check_query_permissions(direct->program->insert_query); /* as the executor does each time */
	direct->estate = CreateExecutorState();
	direct->result = makeNode(ResultRelInfo);
	InitResultRelInfo(direct->result, direct->target, 0, NULL, 0);
	ExecOpenIndices(direct->result, upserts);
	mr_index_entries_begin(&direct->entries, direct->result, direct->estate);
	prepare_expressions(direct);
	direct->bulk = GetBulkInsertState();
	direct->command = GetCurrentCommandId(true);
	direct->estate->es_output_cid = direct->command;
	direct->source = MakeSingleTupleTableSlot(direct->program->row_full, &TTSOpsMinimalTuple);
	direct->at_of = palloc(MR_DIRECT_ROWS * sizeof(int));
}

void
mr_direct_end(MrDirectRows *direct)
{
	mr_index_entries_release(&direct->entries);
	ExecDropSingleTupleTableSlot(direct->source);
	FreeBulkInsertState(direct->bulk);
	ExecCloseIndices(direct->result);
	FreeExecutorState(direct->estate);
	table_close(direct->target, NoLock);
	CommandCounterIncrement();
}

static void
flush_rows(MrDirectRows *direct, MrDirectFlush flush, int *at)
{
	if (direct->n == 0)
		return;
	*at = -1; /* a row too large is one of these */
	mr_work_stage(MR_STAGE_WRITE);
	flush(direct, at);
	mr_index_entries_release(&direct->entries);
	for (int i = 0; i < direct->n; i++)
		ExecClearTuple(direct->program->slots[i]);
	direct->n = 0;
	direct->bytes = 0;
	ResetPerTupleExprContext(direct->estate);
}

void
mr_direct_run(MrDirectRows *direct, const int *numbers, int from, int to, MrDirectFlush flush,
			  int *at)
{
	direct->numbers = numbers;
	for (int i = from; i < to; i++)
	{
		*at = i;
		prefetch(direct->batch, numbers, i, to);
		add_row(direct, &direct->batch->rows[numbers[i]], i);
		if (direct->n == MR_DIRECT_ROWS || direct->bytes >= BUFFERED_BYTES)
		{
			flush_rows(direct, flush, at);
			CHECK_FOR_INTERRUPTS();
		}
	}
	flush_rows(direct, flush, at);
}

bool
mr_direct_refuses(MrDirectRows *direct, MrRow *row, TupleTableSlot *slot)
{
	MemoryContext old =
		MemoryContextSwitchTo(direct->batch->context); /* failures outlive the run */
	MrFailure *failure = check_row(direct, slot);

	if (failure != NULL)
		mr_failure_set_detail(failure, mr_row_detail(direct->program, direct->target, slot));
	MemoryContextSwitchTo(old);
	if (failure == NULL)
		return false;
	mr_outcome_fail(&direct->batch->events[row->event].outcome, failure);
	row->written = false;
	return true;
}

static void
prepare_expressions(MrDirectRows *direct)
{
	TupleDesc desc = RelationGetDescr(direct->target);
	TupleConstr *constraints = desc->constr;

	direct->defaults = palloc0(desc->natts * sizeof(MrDirectDefault));
	for (int i = 0; i < desc->natts; i++)
	{
		MrDirectDefault *entry = &direct->defaults[direct->ndefaults];
		Expr *expression;

		if (bms_is_member(i + 1, direct->program->given))
			continue;
		entry->attnum = i + 1;
		entry->is_varlena = TupleDescAttr(desc, i)->attlen == -1;
		expression = TupleDescAttr(desc, i)->attisdropped
						 ? NULL
						 : (Expr *) build_column_default(direct->target, i + 1);
		if (expression != NULL)
			entry->expression = ExecPrepareExpr(expression, direct->estate);
		direct->ndefaults++;
	}
	if (constraints == NULL)
		return;
	direct->nchecks = constraints->num_check;
	direct->checks = palloc0(Max(direct->nchecks, 1) * sizeof(ExprState *));
	for (int i = 0; i < direct->nchecks; i++)
		if (mr_check_is_enforced(&constraints->check[i]))
			direct->checks[i] =
				ExecPrepareExpr((Expr *) stringToNode(constraints->check[i].ccbin), direct->estate);
}

static void
add_row(MrDirectRows *direct, MrRow *row, int at)
{
	TupleTableSlot *slot;

	mr_work_at(&direct->batch->events[row->event]);
	slot = fill_slot(direct, row);
	if (mr_direct_refuses(direct, row, slot))
	{
		ExecClearTuple(slot);
		return;
	}
	if (direct->windows != NULL) /* here: an insert leaves the values packed */
		mr_windows_put(direct->windows, slot->tts_values, slot->tts_isnull, true,
					   (int) (row - direct->batch->rows));
	direct->at_of[direct->n++] = at;
	direct->bytes += row->tuple->t_len;
}

/* Slot i of the program, made when it is first needed; of a descriptor of its own, which needs no pin. */
static TupleTableSlot *
slot_at(MrDirectRows *direct, int i)
{
	MrProgram *program = direct->program;
	MemoryContext old;

	if (program->slots != NULL && program->slots[i] != NULL)
		return program->slots[i];
	old = MemoryContextSwitchTo(program->context);
	if (program->slots == NULL)
	{
		program->slots = palloc0(MR_DIRECT_ROWS * sizeof(TupleTableSlot *));
		program->slot_desc = CreateTupleDescCopy(RelationGetDescr(direct->target));
	}
	program->slots[i] =
		MakeSingleTupleTableSlot(program->slot_desc, table_slot_callbacks(direct->target));
	MemoryContextSwitchTo(old);
	return program->slots[i];
}

/* A buffered row's slot with the values of a row of the batch and the defaults. */
static TupleTableSlot *
fill_slot(MrDirectRows *direct, MrRow *row)
{
	MrProgram *program = direct->program;
	ExprContext *context = GetPerTupleExprContext(direct->estate);
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(direct->estate));
	TupleTableSlot *slot = slot_at(direct, direct->n);

	ExecClearTuple(slot);
	ExecStoreMinimalTuple(row->tuple, direct->source, false);
	slot_getallattrs(direct->source);
	for (int i = 0; i < program->ncolumns; i++)
	{
		int to = program->columns[i].attnum - 1;

		slot->tts_values[to] = direct->source->tts_values[i];
		slot->tts_isnull[to] = direct->source->tts_isnull[i];
	}
	for (int i = 0; i < direct->ndefaults; i++)
	{
		const MrDirectDefault *entry = &direct->defaults[i];
		int to = entry->attnum - 1;

		slot->tts_isnull[to] = true;
		if (entry->expression == NULL)
			continue;
		slot->tts_values[to] = ExecEvalExpr(entry->expression, context, &slot->tts_isnull[to]);
		if (entry->is_varlena && !slot->tts_isnull[to])
			direct->bytes += VARSIZE_ANY(DatumGetPointer(slot->tts_values[to]));
	}
	MemoryContextSwitchTo(old);
	slot->tts_tableOid = RelationGetRelid(direct->target); /* a CHECK may name it */
	return ExecStoreVirtualTuple(slot);
}

/* Why the table's own NOT NULL and CHECK refuse the row, NULL when they do not. */
static MrFailure *
check_row(MrDirectRows *direct, TupleTableSlot *slot)
{
	TupleDesc desc = RelationGetDescr(direct->target);
	ExprContext *context = GetPerTupleExprContext(direct->estate);
	const char *table = RelationGetRelationName(direct->target);
	MrFailure *failure = NULL;

	for (int i = 0; i < direct->ndefaults; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, direct->defaults[i].attnum - 1);

		if (attribute->attnotnull && slot->tts_isnull[attribute->attnum - 1])
		{
			failure = mr_failure_make(
				MR_STAGE_WRITE, ERRCODE_NOT_NULL_VIOLATION,
				"null value in column \"%s\" of relation \"%s\" violates not-null constraint",
				NameStr(attribute->attname), table);
			failure->column_name = pstrdup(NameStr(attribute->attname));
			return failure;
		}
	}
	context->ecxt_scantuple = slot;
	for (int i = 0; i < direct->nchecks; i++)
	{
		const char *name = desc->constr->check[i].ccname;

		if (direct->checks[i] == NULL || ExecCheck(direct->checks[i], context))
			continue;
		failure = mr_failure_make(MR_STAGE_WRITE, ERRCODE_CHECK_VIOLATION,
								  "new row for relation \"%s\" violates check constraint \"%s\"",
								  table, name);
		failure->constraint_name = pstrdup(name);
		return failure;
	}
	return NULL;
}
