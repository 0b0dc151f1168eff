/*
 * recompute.c: millrace.window_groups(), millrace._window_values(), millrace._lock_to_read(): groups of a window, computed from the target.
 *
 * The first is called by readers of the window's view, on what has changed since the last fold; it does what the fold does, by
 * way of millrace._window_recompute() (68_window_recompute.sql), which calls the second one.
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "server/catalog.h"
#include "server/guc.h"
#include "window/owner_query.h"

#define CANDIDATES_RELATION "cand"

/* The elements of an array of rows as a relation; those that are null are left out. */
static Tuplestorestate *
store_elements(ArrayType *array, TupleDesc desc, int *n)
{
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	Datum *elements;
	bool *nulls;
	int nelements;
	int16 length;
	bool by_value;
	char align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &elements, &nulls,
					  &nelements);
	*n = 0;
	for (int i = 0; i < nelements; i++)
	{
		HeapTupleData tuple = {0};

		if (nulls[i])
			continue;
		tuple.t_data = DatumGetHeapTupleHeader(elements[i]);
		tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
		ExecStoreHeapTuple(&tuple, slot, false);
		tuplestore_puttupleslot(store, slot);
		(*n)++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return store;
}

PG_FUNCTION_INFO_V1(mr_sql_window_values);

/*
 * millrace._window_values(pipeline_id integer, query text, candidates anyarray) RETURNS SETOF anyelement
 * query: over the relation "cand", which has the candidates, run as the pipeline's owner; gives rows of their type. It sees what
 * the caller's statement sees.
 */
Datum
mr_sql_window_values(PG_FUNCTION_ARGS)
{
	MrOwnerQuery query = {.pipeline_id = PG_GETARG_INT32(0),
						  .sql = text_to_cstring(PG_GETARG_TEXT_PP(1)),
						  .relation = CANDIDATES_RELATION,
						  .snapshot = GetActiveSnapshot()};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType *candidates = PG_GETARG_ARRAYTYPE_P(2);
	DestReceiver *dest;

	InitMaterializedSRF(fcinfo, 0);
	query.desc = lookup_rowtype_tupdesc_copy(ARR_ELEMTYPE(candidates), -1);
	query.rows = store_elements(candidates, query.desc, &query.nrows);
	if (query.nrows == 0)
		return (Datum) 0;
	dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(dest, result->setResult,
									result->econtext->ecxt_per_query_memory, false, result->setDesc,
									"values of a window have not the columns of its table");
	mr_owner_query_run(&query, dest);
	dest->rDestroy(dest);
	tuplestore_end(query.rows);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(mr_sql_window_groups);

/* millrace.window_groups(window_id integer, reader uuid, candidates anyarray) RETURNS SETOF anyelement: see its comment. */
Datum
mr_sql_window_groups(PG_FUNCTION_ARGS)
{
	Oid types[] = {INT4OID, UUIDOID, get_fn_expr_argtype(fcinfo->flinfo, 2)};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[3];
	Oid user;
	int context;
	int nest;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 3; i++)
	{
		if (PG_ARGISNULL(i))
			return (Datum) 0; /* nothing is to be computed */
		values[i] = PG_GETARG_DATUM(i);
	}
	mr_become_extension_owner(&user, &context);
	nest = NewGUCNestLevel();
	mr_guc_set("search_path", "pg_catalog, pg_temp");
	mr_guc_set("jit", "off"); /* as in workers: of few rows, compiling would take longer */
	SPI_connect();
	if (SPI_execute_with_args("SELECT g.* FROM millrace._window_recompute($1, $2, $3) AS g", 3,
							  types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not compute groups of window %d", DatumGetInt32(values[0]));
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(mr_sql_lock_to_read);

/* millrace._lock_to_read(relation oid, wait boolean) RETURNS boolean: with its partitions, until the transaction ends. */
Datum
mr_sql_lock_to_read(PG_FUNCTION_ARGS)
{
	Oid relation = PG_GETARG_OID(0);
	bool wait = PG_GETARG_BOOL(1);
	List *all;
	ListCell *cell;

	if (wait)
		LockRelationOid(relation, AccessShareLock);
	else if (!ConditionalLockRelationOid(relation, AccessShareLock))
		PG_RETURN_BOOL(false);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		PG_RETURN_BOOL(true); /* it is gone, which the query will say */
	all = find_all_inheritors(relation, wait ? AccessShareLock : NoLock, NULL);
	if (!wait)
		foreach (cell, all)
			if (!ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock))
				PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(true);
}
