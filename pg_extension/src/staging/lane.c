/*
 * lane.c: the writer's side of a lane: lane_open, stage, lane_next.
 *
 * Runs in an ingestor's backend. Which lane the session has is lane_claim.c's; here its segments are made,
 * filled and changed.
 */
#include "postgres.h"

#include <malloc.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "server/catalog.h"
#include "server/clock.h"
#include "server/errcode.h"
#include "server/guc.h"
#include "server/locks.h"
#include "server/wakeup.h"
#include "pipeline/partition.h"
#include "pipeline/pipeline.h"
#include "staging/lane_claim.h"
#include "staging/ring.h"
#include "staging/segment.h"

/* Segment numbers in the catalogue go on from the largest. */
static int32
next_segment_number(int32 lane_id)
{
	Relation rel = mr_catalog_open("segment", AccessShareLock);
	ScanKeyData key;
	HeapTuple tuple;
	bool isnull;
	int32 number = 1;

	mr_key_int4(&key, MR_SEGMENT_LANE_ID, lane_id);
	tuple = mr_catalog_fetch(rel, "segment_pkey", 1, &key, true);
	if (HeapTupleIsValid(tuple))
		number +=
			DatumGetInt32(heap_getattr(tuple, MR_SEGMENT_NUMBER, RelationGetDescr(rel), &isnull));
	table_close(rel, AccessShareLock);
	return number;
}

/*
 * Creates another segment for the lane unless it has as many as it may. Not while the pipeline is being
 * changed, and not waiting for that: drop_pipeline() may wait for a segment this transaction has emptied.
 */
static bool
add_segment(MrLane *lane, Oid role)
{
	MrPipelineRow pipeline;
	Oid relation;

	if (!mr_lane_may_grow(lane) || !mr_try_share_pipeline(lane->pipeline_id))
		return false;
	if (!mr_pipeline_row_by_id(lane->pipeline_id, &pipeline))
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_LANE),
						errmsg("the pipeline of lane %d was dropped", lane->lane_id)));
	relation = mr_segment_create(lane->lane_id, next_segment_number(lane->lane_id));
	mr_segment_grant(relation, role);
	mr_lane_add_segment(lane, relation);
	return true;
}

/* Grants the role to fill the segments of the ring. Those whose table was dropped leave the ring. */
static void
grant_all(MrLane *lane, Oid role)
{
	Oid relations[MR_SEGMENTS_MAX];
	int n = mr_ring_members(lane, relations);

	for (int i = 0; i < n; i++)
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relations[i])))
			mr_segment_grant(relations[i], role);
		else
			mr_ring_remove(lane, lane->generation, relations[i]);
	}
}

/* The next segment to fill; makes a spare when locks keep consumed ones from being emptied. */
static Oid
next_segment(MrLane *lane, Oid role)
{
	bool limited;
	Oid relation;

	mr_segment_empty_consumed(lane, lane->generation);
	relation = mr_ring_next(lane, mr_ring_segments, &limited);
	if (!OidIsValid(relation) && !limited && add_segment(lane, role))
		relation = mr_ring_next(lane, mr_ring_segments, &limited);
	return relation;
}

static char *
segment_name(Oid relation)
{
	return quote_qualified_identifier(MR_SCHEMA, get_rel_name(relation));
}

/*
 * Each COPY takes and frees the same few hundred kB. By default the C library returns them to the kernel in between, and taking them
 * again was a quarter of what staging costs. What is kept is bounded; a large event has memory of its own, which is returned.
 */
static void
keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD
	(void) mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	(void) mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
#endif
}

PG_FUNCTION_INFO_V1(mr_lane_open);

/*
 * millrace.lane_open(pipeline text, preferred integer)
 *   RETURNS TABLE (lane integer, incarnation bigint, segment text, segment_bytes bigint)
 *
 * Gives this session a lane of the pipeline that worker `preferred` (modulo the pipeline's workers) serves.
 * Whatever an earlier session staged there is dropped: its partitions must be assigned again anyway.
 */
Datum
mr_lane_open(PG_FUNCTION_ARGS)
{
	Datum values[4];
	bool nulls[4] = {false};
	TupleDesc tupdesc;
	Oid caller;
	int context;
	MrLane *lane;
	bool fresh;
	Oid head;

	mr_require_preload();
	keep_memory();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	mr_become_extension_owner(&caller, &context);
	lane = mr_lane_claim(text_to_cstring(PG_GETARG_TEXT_PP(0)), Max(PG_GETARG_INT32(1), 0), &fresh);
	if (fresh)
		mr_segment_load(lane);
	else
		mr_ring_abandon(lane);
	grant_all(lane, caller);
	while (lane->nsegments < mr_ring_segments && add_segment(lane, caller))
		;
	head = next_segment(lane, caller);
	if (!OidIsValid(head))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("no segment of lane %d can be emptied", lane->lane_id),
						errdetail("Other sessions hold locks on all of them."),
						errhint("End those sessions, or raise millrace.max_segments.")));

	mr_wake_pipeline_at_commit(lane->pipeline_id); /* the worker that is to serve the lane */
	SetUserIdAndSecContext(caller, context);
	values[0] = Int32GetDatum(lane->lane_id);
	values[1] = Int64GetDatum(mr_shared->incarnation);
	values[2] = CStringGetTextDatum(segment_name(head));
	values[3] = Int64GetDatum((int64) mr_segment_size_mb * 1024 * 1024);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

PG_FUNCTION_INFO_V1(mr_stage);

/*
 * millrace.stage(lane integer, incarnation bigint, partitions integer[], epochs bigint[], events integer, bytes bigint)
 *   RETURNS bigint
 *
 * First statement of a staging transaction, the COPY follows. Reports early (MR001, MR002) what settling would
 * find out later; at commit the lane's worker is woken. Returns the bytes of the segment being filled.
 */
Datum
mr_stage(PG_FUNCTION_ARGS)
{
	MrLane *lane = mr_lane_of_session(PG_GETARG_INT32(0), PG_GETARG_INT64(1));
	ArrayType *partitions = PG_GETARG_ARRAYTYPE_P(2);
	ArrayType *epochs = PG_GETARG_ARRAYTYPE_P(3);
	int n = ArrayGetNItems(ARR_NDIM(partitions), ARR_DIMS(partitions));
	Oid head = mr_ring_head(lane);
	int stale;

	if (ARR_HASNULL(partitions) || ARR_HASNULL(epochs) ||
		n != ArrayGetNItems(ARR_NDIM(epochs), ARR_DIMS(epochs)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions and epochs must be arrays of one length without nulls")));
	if (!OidIsValid(head))
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_LANE),
						errmsg("lane %d has no segment to fill", lane->lane_id),
						errhint("Open a new lane.")));
	stale = mr_partitions_stale(lane->pipeline_id, (int32 *) ARR_DATA_PTR(partitions),
								(int64 *) ARR_DATA_PTR(epochs), n);
	if (stale >= 0)
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_EPOCH),
						errmsg("stale epoch of partition %s",
							   mr_partition_text(lane->pipeline_id,
												 ((int32 *) ARR_DATA_PTR(partitions))[stale])),
						errdetail("It was assigned to someone else, moved, or stopped."),
						errhint("Assign it again.")));
	mr_wake_lane_at_commit(lane, Max(PG_GETARG_INT32(4), 0), Max(PG_GETARG_INT64(5), 0));
	PG_RETURN_INT64(mr_segment_bytes(head));
}

PG_FUNCTION_INFO_V1(mr_lane_next);

/*
 * millrace.lane_next(lane integer, incarnation bigint, wait_ms integer) RETURNS text
 *
 * The segment is full: the next one to COPY into, or NULL when none became free within wait_ms.
 */
Datum
mr_lane_next(PG_FUNCTION_ARGS)
{
	MrLane *lane = mr_lane_of_session(PG_GETARG_INT32(0), PG_GETARG_INT64(1));
	int64 deadline = mr_clock_us() + Min(Max(PG_GETARG_INT32(2), 0), 60000) * INT64_C(1000);
	Oid caller;
	int context;
	Oid relation;

	mr_become_extension_owner(&caller, &context);
	while (!OidIsValid(relation = next_segment(lane, caller)))
	{
		long wait = (long) ((deadline - mr_clock_us() + 999) / 1000);

		if (wait <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	SetUserIdAndSecContext(caller, context);
	if (!OidIsValid(relation))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(segment_name(relation)));
}
