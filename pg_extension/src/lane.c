/*
 * lane.c: the writer's side of a lane: lane_open, stage, lane_next.
 *
 * Runs in an ingestor's backend. A lane belongs to one session, by a session lock; what it stages is
 * fenced by epochs when it is settled, so the lock is a convenience. Everything in shared memory that the
 * session holds is given back when it ends.
 */
#include "postgres.h"

#include "lane.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "catalog.h"
#include "guc.h"
#include "locks.h"
#include "partition.h"
#include "pipeline.h"
#include "segment.h"
#include "wakeup.h"

static MrLane *my_lane = NULL;

/*
 * What the present transaction has put into shared memory: an abort takes it out again. Subtransactions
 * count upwards, so what an aborted one and its children did is what has its number or a larger one.
 */
static SubTransactionId opened_in = InvalidSubTransactionId;
static int nadded = 0;
static struct
{
	Oid relation;
	SubTransactionId in;
} added[MR_SEGMENTS_MAX];

MrLane *
mr_lane_of_session(int32 lane_id, int64 incarnation)
{
	mr_require_preload();
	if (incarnation != mr_shared->incarnation)
		ereport(ERROR,
				(errcode(MR_ERRCODE_STALE_LANE), errmsg("the server was restarted"),
				 errhint(
					 "Staged events are gone: open a new lane and assign its partitions again.")));
	if (my_lane == NULL || my_lane->lane_id != lane_id)
		ereport(ERROR,
				(errcode(MR_ERRCODE_STALE_LANE), errmsg("lane %d is not this session's", lane_id),
				 errhint("Open a lane with millrace.lane_open() in this session first.")));
	return my_lane;
}

/* Gives the lane back; `forget` makes the next session load its ring from the catalogue. */
static void
give_back(bool forget)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	my_lane->writer_pid = 0;
	my_lane->writer_latch = NULL;
	if (forget)
		my_lane->extension = InvalidOid;
	LWLockRelease(mr_shared->lock);
	my_lane = NULL;
}

/* Segments made since are not there any more; nor, maybe, is the lane itself. */
static void
undo_since(SubTransactionId in)
{
	for (; nadded > 0 && added[nadded - 1].in >= in; nadded--)
		if (my_lane != NULL)
			mr_ring_remove(my_lane, my_lane->generation, added[nadded - 1].relation);
	if (opened_in == InvalidSubTransactionId || opened_in < in)
		return;
	opened_in = InvalidSubTransactionId;
	if (my_lane != NULL)
	{
		mr_unlock_lane(my_lane->lane_id);
		give_back(true);
	}
}

/* At the end of the session, before its transaction (if one is open) is aborted. */
static void
detach(int code, Datum arg)
{
	undo_since(TopSubTransactionId);
	if (my_lane != NULL)
		give_back(false);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		undo_since(TopSubTransactionId);
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
	{
		nadded = 0;
		opened_in = InvalidSubTransactionId;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId self, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		undo_since(self);
}

static void
install_callbacks(void)
{
	static bool installed = false;

	if (installed)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	before_shmem_exit(detach, 0);
	installed = true;
}

/* The slot of a lane, or one that nobody uses. Lock held exclusively. */
static MrLane *
find_slot(int32 lane_id)
{
	MrLane *unused = NULL;

	for (int i = 0; i < mr_shared->max_lanes; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->database == MyDatabaseId && lane->lane_id == lane_id)
			return lane;
		if (lane->database == InvalidOid || (lane->writer_pid == 0 && unused == NULL))
			unused = lane;
		if (lane->database == InvalidOid)
			break;
	}
	return unused;
}

/* Takes a slot for the lane; *fresh: its ring is empty and has to be loaded. */
static MrLane *
attach(int32 lane_id, int32 pipeline_id, int32 number, bool *fresh)
{
	Oid extension = mr_extension_oid();
	MrLane *lane;
	bool full;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	lane = find_slot(lane_id);
	full = lane == NULL;
	if (!full)
	{
		*fresh = lane->lane_id != lane_id || lane->database != MyDatabaseId ||
				 lane->extension != extension;
		if (*fresh)
		{
			uint64 staged = pg_atomic_read_u64(&lane->staged);

			lane->nsegments = 0;
			lane->tail_order = 0;
			lane->worker_latch = NULL;
			pg_atomic_write_u64(&lane->consumed, staged);
		}
		lane->generation++;
		lane->extension = extension;
		lane->lane_id = lane_id;
		lane->pipeline_id = pipeline_id;
		lane->number = number;
		lane->writer_pid = MyProcPid;
		lane->writer_latch = MyLatch;
		lane->database = MyDatabaseId;
	}
	LWLockRelease(mr_shared->lock);
	if (full)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("all %d staging lanes of this server are in use", mr_shared->max_lanes),
				 errhint(
					 "Raise millrace.max_lanes and restart the server, or run fewer ingestors.")));
	return lane;
}

/* Finds or makes a lane of the pipeline that no other session has, and locks it for this session. */
static int32
claim_lane(int32 pipeline_id, int32 preferred, int32 workers, int32 *number)
{
	Relation rel = mr_catalog_open("lane", RowExclusiveLock);
	int32 lane_id = 0;

	for (*number = preferred % workers; lane_id == 0; *number += workers)
	{
		ScanKeyData keys[2];
		HeapTuple tuple;
		bool isnull;
		int32 id;

		CHECK_FOR_INTERRUPTS();
		mr_key_int4(&keys[0], MR_LANE_PIPELINE_ID, pipeline_id);
		mr_key_int4(&keys[1], MR_LANE_NUMBER, *number);
		tuple = mr_catalog_fetch(rel, "lane_number_key", 2, keys, false);
		if (HeapTupleIsValid(tuple))
			id = DatumGetInt32(heap_getattr(tuple, MR_LANE_ID, RelationGetDescr(rel), &isnull));
		else
		{
			SPI_connect();
			if (SPI_execute(
					psprintf("INSERT INTO millrace.lane (pipeline_id, number) VALUES (%d, %d) "
							 "RETURNING id",
							 pipeline_id, *number),
					false, 0) != SPI_OK_INSERT_RETURNING)
				elog(ERROR, "could not record a lane");
			id = DatumGetInt32(
				SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
			SPI_finish();
		}
		if (mr_try_lock_lane(id))
		{
			lane_id = id;
			break;
		}
	}
	table_close(rel, NoLock);
	return lane_id;
}

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
 * Makes a segment more for the lane unless it has as many as it may. Not while the pipeline is being
 * changed, and not waiting for that: drop_pipeline() may wait for a segment this transaction has emptied.
 */
static bool
add_segment(MrLane *lane, Oid role)
{
	MrPipelineRow pipeline;
	Oid relation;

	if (lane->nsegments >= mr_max_segments || nadded >= MR_SEGMENTS_MAX ||
		!mr_try_share_pipeline(lane->pipeline_id))
		return false;
	if (!mr_pipeline_row_by_id(lane->pipeline_id, &pipeline))
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_LANE),
						errmsg("the pipeline of lane %d was dropped", lane->lane_id)));
	relation = mr_segment_create(lane->lane_id, next_segment_number(lane->lane_id));
	mr_segment_grant(relation, role);
	added[nadded].relation = relation;
	added[nadded++].in = GetCurrentSubTransactionId();
	mr_ring_add(lane, relation);
	return true;
}

/* Lets the role fill the segments the ring has. Those whose table was dropped leave it. */
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

/* Become the extension's owner until the end of the function; an error's abort undoes it as well. */
static void
become_owner(Oid *user, int *context)
{
	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(mr_extension_owner(), *context | SECURITY_LOCAL_USERID_CHANGE);
}

/* Neither the extension nor the pipeline is dropped before the end of the transaction. */
static void
hold_pipeline(const char *name, MrPipelineRow *pipeline)
{
	if (!mr_lock_extension())
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"millrace\" does not exist")));
	mr_pipeline_row_by_name(name, pipeline);
	mr_lock_pipeline(pipeline->id, ShareLock);
	if (!mr_pipeline_row_by_id(pipeline->id, pipeline))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" was dropped", name)));
}

PG_FUNCTION_INFO_V1(mr_lane_open);

/*
 * millrace.lane_open(pipeline text, preferred integer)
 *   RETURNS TABLE (lane integer, incarnation bigint, segment text, segment_bytes bigint)
 *
 * Gives this session a lane of the pipeline that worker `preferred` (modulo the pipeline's workers) serves.
 * Whatever an earlier session staged there is dropped: its partitions must be assigned anew anyway.
 */
Datum
mr_lane_open(PG_FUNCTION_ARGS)
{
	MrPipelineRow pipeline;
	Datum values[4];
	bool nulls[4] = {false};
	TupleDesc tupdesc;
	Oid caller;
	int context;
	int32 lane_id;
	int32 number;
	bool fresh;
	Oid head;

	mr_require_preload();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	become_owner(&caller, &context);
	if (my_lane != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("this session has lane %d already", my_lane->lane_id),
						errhint("Open one connection for each lane.")));

	hold_pipeline(text_to_cstring(PG_GETARG_TEXT_PP(0)), &pipeline);
	mr_lock_partition(pipeline.id, -1); /* one lane_open of a pipeline at a time */
	install_callbacks();
	lane_id = claim_lane(pipeline.id, Max(PG_GETARG_INT32(1), 0), pipeline.workers, &number);
	my_lane = attach(lane_id, pipeline.id, number, &fresh);
	opened_in = GetCurrentSubTransactionId();
	if (fresh)
		mr_segment_load(my_lane);
	else
		mr_ring_abandon(my_lane);
	grant_all(my_lane, caller);
	while (my_lane->nsegments < mr_ring_segments && add_segment(my_lane, caller))
		;
	head = next_segment(my_lane, caller);
	if (!OidIsValid(head))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("no segment of lane %d can be emptied", lane_id),
						errdetail("Other sessions hold locks on all of them."),
						errhint("End those sessions, or raise millrace.max_segments.")));

	mr_wake_all_at_commit(); /* the worker that is to serve the lane */
	SetUserIdAndSecContext(caller, context);
	values[0] = Int32GetDatum(lane_id);
	values[1] = Int64GetDatum(mr_shared->incarnation);
	values[2] = CStringGetTextDatum(segment_name(head));
	values[3] = Int64GetDatum((int64) mr_segment_size_mb * 1024 * 1024);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

PG_FUNCTION_INFO_V1(mr_stage);

/*
 * millrace.stage(lane integer, incarnation bigint, partitions integer[], epochs bigint[]) RETURNS bigint
 *
 * First statement of a staging transaction, the COPY follows. Says early (MR001, MR002) what settling would
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

	if (ARR_HASNULL(partitions) || ARR_HASNULL(epochs) ||
		n != ArrayGetNItems(ARR_NDIM(epochs), ARR_DIMS(epochs)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions and epochs must be arrays of one length without nulls")));
	if (!OidIsValid(head))
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_LANE),
						errmsg("lane %d has no segment to fill", lane->lane_id),
						errhint("Open a new lane.")));
	for (int i = 0; i < n; i++)
	{
		int32 partition = ((int32 *) ARR_DATA_PTR(partitions))[i];

		if (!mr_partition_has_epoch(lane->pipeline_id, partition,
									((int64 *) ARR_DATA_PTR(epochs))[i]))
			ereport(ERROR, (errcode(MR_ERRCODE_STALE_EPOCH),
							errmsg("the epoch of partition %d is not the present one", partition),
							errdetail("It was assigned to someone else, moved, or stopped."),
							errhint("Assign it again.")));
	}
	mr_wake_lane_at_commit(lane);
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
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Min(Max(PG_GETARG_INT32(2), 0), 60000));
	Oid caller;
	int context;
	Oid relation;

	become_owner(&caller, &context);
	while (!OidIsValid(relation = next_segment(lane, caller)))
	{
		long wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

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
