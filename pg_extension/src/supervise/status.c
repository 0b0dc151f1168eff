/*
 * status.c: what shared memory knows, for views and verbs. Internal functions, called by the extension's
 * owner only.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "server/clock.h"
#include "server/shmem.h"
#include "server/version.h"
#include "server/wakeup.h"
#include "pipeline/partition.h"
#include "staging/ring.h"
#include "staging/segment.h"

PG_FUNCTION_INFO_V1(mr_sql_random_epoch);

/* millrace._random_epoch() RETURNS bigint */
Datum
mr_sql_random_epoch(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(mr_random_epoch());
}

PG_FUNCTION_INFO_V1(mr_sql_preloaded);

/* millrace._preloaded() RETURNS boolean */
Datum
mr_sql_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mr_shared != NULL);
}

PG_FUNCTION_INFO_V1(mr_sql_library_version);

/* millrace._library_version() RETURNS text */
Datum
mr_sql_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(mr_library_version()));
}

PG_FUNCTION_INFO_V1(mr_sql_incarnation);

/* millrace._incarnation() RETURNS bigint: of the shared memory; another one means that what was staged is lost. */
Datum
mr_sql_incarnation(PG_FUNCTION_ARGS)
{
	mr_require_preload();
	PG_RETURN_INT64(mr_shared->incarnation);
}

static int
pid_of_latch(const Latch *latch)
{
	return latch ? latch->owner_pid : 0;
}

PG_FUNCTION_INFO_V1(mr_sql_lanes);

/*
 * millrace._lanes() RETURNS TABLE (lane_id integer, pipeline_id integer, writer_pid integer,
 *   worker_pid integer, segments_used integer, segments integer, bytes bigint, staged bigint, staged_events bigint,
 *   staged_bytes bigint) of this database; staged: batches that wait, their events, and the bytes of their payloads.
 */
Datum
mr_sql_lanes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; mr_shared != NULL && i < mr_shared->lanes_used; i++)
	{
		MrLane *lane = mr_lane_slot(i);
		Oid used[MR_SEGMENTS_MAX];
		MrStagedAmount waiting;
		Datum values[10];
		bool nulls[10] = {false};
		int n = 0;
		int64 bytes = 0;

		LWLockAcquire(mr_shared->lock, LW_SHARED);
		if (lane->database != MyDatabaseId)
		{
			LWLockRelease(mr_shared->lock);
			continue;
		}
		for (int k = 0; k < lane->nsegments; k++)
			if (lane->segments[k].state != MR_SEGMENT_FREE)
				used[n++] = lane->segments[k].relation;
		values[0] = Int32GetDatum(lane->lane_id);
		values[1] = Int32GetDatum(lane->pipeline_id);
		values[2] = Int32GetDatum(lane->writer_pid);
		values[3] = Int32GetDatum(pid_of_latch(lane->worker_latch));
		values[4] = Int32GetDatum(n);
		values[5] = Int32GetDatum(lane->nsegments);
		waiting = mr_ring_waiting(lane);
		values[7] = Int64GetDatum((int64) waiting.batches);
		values[8] = Int64GetDatum((int64) waiting.events);
		values[9] = Int64GetDatum((int64) waiting.bytes);
		LWLockRelease(mr_shared->lock);
		for (int k = 0; k < n; k++)
			bytes += mr_segment_bytes(used[k]);
		values[6] = Int64GetDatum(bytes);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Due, and no process serves it. */
static bool
is_queued(const MrWorkerSlot *slot)
{
	return slot->pid == 0 && slot->state != MR_WORKER_STOPPED && slot->due_at <= mr_clock_us();
}

static const char *
state_name(MrWorkerState state)
{
	switch (state)
	{
		case MR_WORKER_FREE:
			return "free";
		case MR_WORKER_STARTING:
			return "starting";
		case MR_WORKER_IDLE:
			return "idle";
		case MR_WORKER_BUSY:
			return "busy";
		case MR_WORKER_BACKOFF:
			return "backoff";
		case MR_WORKER_WAITING:
			return "waiting";
		case MR_WORKER_STOPPED:
			return "stopped";
	}
	return "unknown";
}

PG_FUNCTION_INFO_V1(mr_sql_workers);

/*
 * millrace._workers() RETURNS TABLE (pipeline_id integer, number integer, pid integer, started_at timestamptz,
 *   state text, batches bigint, last_error text, last_error_at timestamptz, waited double precision) of this database;
 * waited: for a process, seconds
 */
Datum
mr_sql_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; mr_shared != NULL && i < mr_shared->workers_used; i++)
	{
		MrWorkerSlot slot;
		Datum values[9];
		bool nulls[9] = {false};

		LWLockAcquire(mr_shared->lock, LW_SHARED);
		slot = *mr_worker_slot(i);
		LWLockRelease(mr_shared->lock);
		if (slot.database != MyDatabaseId || slot.state == MR_WORKER_FREE)
			continue;
		values[0] = Int32GetDatum(slot.pipeline_id);
		values[1] = Int32GetDatum(slot.number);
		values[2] = Int32GetDatum(slot.pid);
		nulls[2] = slot.pid == 0;
		values[3] = TimestampTzGetDatum(slot.started_at);
		nulls[3] = slot.started_at == 0;
		values[4] = CStringGetTextDatum(
			is_queued(&slot) && slot.state == MR_WORKER_IDLE ? "queued" : state_name(slot.state));
		values[5] = Int64GetDatum((int64) slot.batches);
		nulls[6] = nulls[7] = slot.last_error_at == 0;
		values[6] = CStringGetTextDatum(slot.last_error);
		values[7] = TimestampTzGetDatum(slot.last_error_at);
		nulls[8] = !is_queued(&slot);
		values[8] = Float8GetDatum((mr_clock_us() - slot.due_at) / 1e6);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* What the other databases have of the lanes and workers; the caller holds the lock. */
static void
count_used(int *lanes, int *lanes_elsewhere, int *workers_elsewhere, int *databases)
{
	for (int i = 0; i < mr_shared->lanes_used; i++)
	{
		MrLane *lane = mr_lane_slot(i);

		if (lane->database == InvalidOid || lane->writer_pid == 0)
			continue;
		(*lanes)++;
		*lanes_elsewhere += lane->database != MyDatabaseId ? 1 : 0;
	}
	for (int i = 0; i < mr_shared->workers_used; i++)
		if (OidIsValid(mr_worker_slot(i)->database) && mr_worker_slot(i)->database != MyDatabaseId)
			(*workers_elsewhere)++;
	for (int i = 0; i < mr_shared->max_databases; i++)
		if (mr_database_slot_at(i)->supervisor_pid != 0)
			(*databases)++;
}

PG_FUNCTION_INFO_V1(mr_sql_capacity);

/*
 * millrace._capacity() RETURNS TABLE (max_lanes integer, lanes_used integer, lanes_elsewhere integer,
 *   workers_elsewhere integer, databases integer, held boolean): one row, none when not preloaded
 */
Datum
mr_sql_capacity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int lanes = 0;
	int lanes_elsewhere = 0;
	int workers_elsewhere = 0;
	int databases = 0;
	Datum values[6];
	bool nulls[6] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (mr_shared == NULL)
		return (Datum) 0;
	LWLockAcquire(mr_shared->lock, LW_SHARED);
	count_used(&lanes, &lanes_elsewhere, &workers_elsewhere, &databases);
	LWLockRelease(mr_shared->lock);
	values[0] = Int32GetDatum(mr_shared->max_lanes);
	values[1] = Int32GetDatum(lanes);
	values[2] = Int32GetDatum(lanes_elsewhere);
	values[3] = Int32GetDatum(workers_elsewhere);
	values[4] = Int32GetDatum(databases);
	values[5] = BoolGetDatum(mr_database_is_held(MyDatabaseId));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(mr_sql_hold);

/*
 * millrace._hold(hold boolean) RETURNS void: workers of this database end and stay away, or may come back.
 * At once, not at commit: DROP DATABASE and CREATE DATABASE ... TEMPLATE follow immediately.
 */
Datum
mr_sql_hold(PG_FUNCTION_ARGS)
{
	MrDatabase *slot;

	mr_require_preload();
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(MyDatabaseId, true);
	if (slot != NULL)
		slot->held = PG_GETARG_BOOL(0);
	LWLockRelease(mr_shared->lock);
	if (slot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many databases with the extension millrace"),
				 errdetail("There is room for %d in shared memory.", mr_shared->max_databases),
				 errhint("Raise max_worker_processes and restart the server.")));
	mr_wake_database(MyDatabaseId);
	PG_RETURN_VOID();
}
