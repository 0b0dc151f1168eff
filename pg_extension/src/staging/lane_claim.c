/*
 * lane_claim.c: which lane a session writes: claims it, remembers it, gives it back.
 *
 * Runs in an ingestor's backend. A lane belongs to one session, by a session lock; what it stages is
 * fenced by epochs when it is settled, so the lock is a convenience. Everything in shared memory that the
 * session holds is given back when it ends, and what an aborted transaction put there is taken out again.
 */
#include "postgres.h"

#include "staging/lane_claim.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "server/catalog.h"
#include "server/errcode.h"
#include "server/guc.h"
#include "server/locks.h"
#include "pipeline/pipeline.h"
#include "staging/ring.h"

static MrLane *my_lane = NULL;

/*
 * What the current transaction has put into shared memory: an abort takes it out again. Subtransactions
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
					 "Staged events are lost: open a new lane and assign its partitions again.")));
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

/* Segments made since do not exist any more; nor, maybe, does the lane itself. */
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

/* The slot of a lane, or one without a writer, or a new one. Lock held exclusively. */
static MrLane *
find_slot(int32 lane_id)
{
	MrLane *unused = NULL;

	for (int i = 0; i < mr_shared->lanes_used; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->database == MyDatabaseId && lane->lane_id == lane_id)
			return lane;
		if (lane->writer_pid == 0 && unused == NULL)
			unused = lane;
	}
	if (unused == NULL && mr_shared->lanes_used < mr_shared->max_lanes)
		unused = mr_lane_slot(mr_shared->lanes_used++);
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
			lane->nsegments = 0;
			lane->tail_number = 0;
			lane->worker_latch = NULL;
			mr_ring_skip(lane);
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
claim_number(int32 pipeline_id, int32 preferred, int32 workers, int32 *number)
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

/* Neither the extension nor the pipeline is dropped before the end of the transaction. */
static void
hold_pipeline(const char *name, MrPipelineRow *pipeline)
{
	if (!mr_lock_extension(
			true)) /* between an upgrade's restart and its script a lane just fills */
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"millrace\" does not exist")));
	mr_pipeline_row_by_name(name, pipeline);
	mr_lock_pipeline(pipeline->id, ShareLock);
	if (!mr_pipeline_row_by_id(pipeline->id, pipeline))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" was dropped", name)));
}

/* Called with the extension's rights: it records the lane when it makes one. */
MrLane *
mr_lane_claim(const char *name, int32 preferred, bool *fresh)
{
	MrPipelineRow pipeline;
	int32 lane_id;
	int32 number;

	if (my_lane != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("this session has lane %d already", my_lane->lane_id),
						errhint("Open one connection for each lane.")));
	hold_pipeline(name, &pipeline);
	mr_lock_partition(pipeline.id, -1); /* one lane_open of a pipeline at a time */
	install_callbacks();
	lane_id = claim_number(pipeline.id, preferred, pipeline.workers, &number);
	my_lane = attach(lane_id, pipeline.id, number, fresh);
	opened_in = GetCurrentSubTransactionId();
	return my_lane;
}

bool
mr_lane_may_grow(const MrLane *lane)
{
	return lane->nsegments < mr_max_segments && nadded < MR_SEGMENTS_MAX;
}

void
mr_lane_add_segment(MrLane *lane, Oid relation)
{
	added[nadded].relation = relation;
	added[nadded++].in = GetCurrentSubTransactionId();
	mr_ring_add(lane, relation);
}
