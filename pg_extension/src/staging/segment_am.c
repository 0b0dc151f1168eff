/*
 * segment_am.c: the table access method of staging segments: heap that only appends.
 *
 * A heap fills holes: with rows of mixed size, or after an aborted COPY and a VACUUM, the free space map
 * puts new rows before the reader's cursor. Inserts here skip the free space map, so a segment's physical
 * order is the order of its writer's commits. The reader still counts rows against the batch's trailer.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/pg_am_d.h"
#include "fmgr.h"

static TableAmRoutine segment_methods;
static const TableAmRoutine *heap_methods = NULL;

static void
append_tuple(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
			 BulkInsertState bistate)
{
	heap_methods->tuple_insert(rel, slot, cid, options | TABLE_INSERT_SKIP_FSM, bistate);
}

static void
append_tuples(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int options,
			  BulkInsertState bistate)
{
	heap_methods->multi_insert(rel, slots, nslots, cid, options | TABLE_INSERT_SKIP_FSM, bistate);
}

/* Large payloads lie in an ordinary heap; they are found by index, so their order does not matter. */
static Oid
toast_am(Relation rel)
{
	return HEAP_TABLE_AM_OID;
}

PG_FUNCTION_INFO_V1(mr_segment_handler);

/* The handler of access method millrace_segment: takes internal, returns its TableAmRoutine. */
Datum
mr_segment_handler(PG_FUNCTION_ARGS)
{
	if (heap_methods == NULL)
	{
		heap_methods = GetHeapamTableAmRoutine();
		segment_methods = *heap_methods;
		segment_methods.tuple_insert = append_tuple;
		segment_methods.multi_insert = append_tuples;
		segment_methods.relation_toast_am = toast_am;
	}
	PG_RETURN_POINTER(&segment_methods);
}
