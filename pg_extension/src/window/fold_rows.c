/*
 * fold_rows.c: millrace._fold_rows(): the rows that a fold adds to the folded table of a window.
 *
 * Partial values are unpacked and merged here, and go in a page at a time: to unpack them by unnest(), to merge them by the
 * executor and to insert them by INSERT took twice as long. Runs in workers that fold, and in the sessions of the verbs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/nodeHash.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "program/plan.h"
#include "server/row_receiver.h"
#include "window/append.h"
#include "window/one_pass.h"

#define UNFOLDED_RELATION "unfolded"
#define UNFOLDED_PATH     "pg_catalog, pg_temp"

enum /* arguments, from 0 */
{
	WINDOW_ID,
	FOLD,
	PACKED,
	MERGING,
	SEQS, /* and UP_TO: parameters of PACKED */
	UP_TO,
	KEPT_FROM,
	FROM,
	TO
};

#define NPARAMETERS 2
#define NRESULTS    3

enum /* columns of the folded table, from 0 */
{
	FOLDED_START = 1,
	FOLDED_END
};

/* Receives arrays of rows of the folded table. */
typedef struct Unpacking
{
	DestReceiver pub; /* first */
	TupleDesc columns;
	TupleDesc full; /* with a number */
	TimestampTz kept_from;
	TimestampTz from;
	TimestampTz to;
	TimestampTz first_end; /* of what is left out */
	MrOnePass *pass;
	Tuplestorestate *store; /* of what is not served in one pass */
	TupleTableSlot *slot;
	int nrows;
} Unpacking;

PG_FUNCTION_INFO_V1(mr_sql_fold_rows);

static bool
is_left_out(const Unpacking *unpacking, TimestampTz start)
{
	return start < unpacking->kept_from || (start >= unpacking->from && start < unpacking->to);
}

static void
unpack_row(Unpacking *unpacking, HeapTupleHeader header)
{
	TupleTableSlot *slot = unpacking->slot;
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	int natts = unpacking->columns->natts;

	heap_deform_tuple(&tuple, unpacking->columns, slot->tts_values, slot->tts_isnull);
	if (is_left_out(unpacking, DatumGetTimestampTz(slot->tts_values[FOLDED_START])))
	{
		unpacking->first_end =
			Min(unpacking->first_end, DatumGetTimestampTz(slot->tts_values[FOLDED_END]));
		return;
	}
	slot->tts_values[natts] = Int32GetDatum(-1); /* it is no row of a batch */
	slot->tts_isnull[natts] = false;
	unpacking->nrows++;
	if (unpacking->store == NULL)
		mr_one_pass_take(unpacking->pass);
	else
		tuplestore_putvalues(unpacking->store, unpacking->full, slot->tts_values, slot->tts_isnull);
}

static bool
unpack(TupleTableSlot *slot, DestReceiver *self)
{
	Unpacking *unpacking = (Unpacking *) self;
	bool isnull;
	Datum packed = slot_getattr(slot, 1, &isnull);
	ArrayType *array = DatumGetArrayTypeP(packed);
	Datum *rows;
	int n;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &rows, NULL, &n);
	for (int i = 0; i < n; i++)
		unpack_row(unpacking, DatumGetHeapTupleHeader(rows[i]));
	pfree(rows);
	if (PointerGetDatum(array) != packed)
		pfree(array);
	return true;
}

/* In the snapshot of the statement that calls the function, of which it does not see the changes. */
static void
read_packed(FunctionCallInfo fcinfo, DestReceiver *dest)
{
	static Oid types[NPARAMETERS] = {INT8ARRAYOID, INT8OID};
	ParamListInfo parameters = makeParamList(NPARAMETERS);
	SPIExecuteOptions options = {.params = parameters, .read_only = true, .dest = dest};
	const char *query = text_to_cstring(PG_GETARG_TEXT_PP(PACKED));
	SPIPlanPtr plan;

	for (int i = 0; i < NPARAMETERS; i++)
		parameters->params[i] = (ParamExternData){.value = PG_GETARG_DATUM(SEQS + i),
												  .isnull = PG_ARGISNULL(SEQS + i),
												  .pflags = PARAM_FLAG_CONST,
												  .ptype = types[i]};
	SPI_connect();
	/* SPI_execute() might plan it in parallel, where nothing can be written meanwhile */
	plan = SPI_prepare(query, NPARAMETERS, types);
	if (plan == NULL || SPI_execute_plan_extended(plan, &options) < 0)
		elog(ERROR, "could not run \"%s\"", query);
	SPI_finish();
}

static TupleDesc
add_number(TupleDesc columns)
{
	TupleDesc full = CreateTemplateTupleDesc(columns->natts + 1);

	for (int i = 1; i <= columns->natts; i++)
		TupleDescCopyEntry(full, i, columns, i);
	TupleDescInitEntry(full, full->natts, "number", INT4OID, -1, 0);
	return full;
}

/* What the merging statement gives goes to the folded table. */
static void
merge(FunctionCallInfo fcinfo, Unpacking *unpacking, MrAppend *append)
{
	MrPlan *plan = mr_plan_create(text_to_cstring(PG_GETARG_TEXT_PP(MERGING)), UNFOLDED_RELATION,
								  unpacking->columns, unpacking->full, InvalidOid, NULL, NULL);

	mr_plan_set_path(plan, UNFOLDED_PATH);
	mr_plan_set_snapshot(plan, GetActiveSnapshot());
	/* there is one fold of a window at a time, and each group that is given out in parts is another row until the next compaction */
	unpacking->pass = mr_one_pass_create(unpacking->full, Max(get_hash_memory_limit(),
															  (Size) maintenance_work_mem * 1024));
	unpacking->slot = mr_one_pass_slot(unpacking->pass);
	if (!mr_one_pass_add(unpacking->pass, mr_plan_statement(plan), &append->pub))
		unpacking->store = tuplestore_begin_heap(false, false, work_mem);
	read_packed(fcinfo, &unpacking->pub);
	if (unpacking->store == NULL)
		mr_one_pass_give_out(unpacking->pass);
	else
	{
		(void) mr_plan_run(plan, unpacking->store, unpacking->nrows, &append->pub);
		tuplestore_end(unpacking->store);
	}
	mr_one_pass_free(unpacking->pass);
}

static TimestampTz
time_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(argument);
}

static Datum
time_or_null(TimestampTz time, bool *isnull)
{
	*isnull = TIMESTAMP_IS_NOEND(time);
	return TimestampTzGetDatum(time);
}

/*
 * millrace._fold_rows(window_id integer, fold bigint, packed text, merging text, seqs bigint[], up_to bigint, kept_from timestamptz,
 *                     "from" timestamptz, "to" timestamptz, OUT rows bigint, OUT lowest timestamptz, OUT first_end timestamptz)
 * packed: gives arrays of rows, with seqs and up_to as its parameters; merging: makes rows of the window's state from window_start
 * on of these, which are the relation "unfolded". Rows that begin before kept_from, or in [from, to), are left out.
 */
Datum
mr_sql_fold_rows(PG_FUNCTION_ARGS)
{
	Unpacking unpacking = {.pub = mr_row_receiver(unpack), .first_end = DT_NOEND};
	TupleDesc desc;
	Datum values[NRESULTS];
	bool nulls[NRESULTS] = {false};
	MrAppend append;

	for (int i = WINDOW_ID; i <= MERGING; i++)
		if (PG_ARGISNULL(i))
			elog(ERROR, "argument %d is null", i);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	mr_append_begin(&append, PG_GETARG_INT32(WINDOW_ID), PG_GETARG_INT64(FOLD));
	unpacking.columns = CreateTupleDescCopy(RelationGetDescr(append.folded));
	unpacking.full = add_number(unpacking.columns);
	unpacking.kept_from = time_argument(fcinfo, KEPT_FROM);
	unpacking.from = time_argument(fcinfo, FROM);
	unpacking.to = time_argument(fcinfo, TO);
	merge(fcinfo, &unpacking, &append);
	mr_append_end(&append);
	values[0] = Int64GetDatum(append.rows);
	values[1] = time_or_null(append.lowest, &nulls[1]);
	values[2] = time_or_null(Min(append.first_end, unpacking.first_end), &nulls[2]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
