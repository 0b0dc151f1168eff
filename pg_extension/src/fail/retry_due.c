/*
 * retry_due.c: see retry_due.h. Runs in worker 0 of a pipeline.
 */
#include "postgres.h"

#include "fail/retry_due.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/catalog_writer.h"
#include "server/clock.h"
#include "fail/retry.h"

#define SLACK_MS        5000  /* between a row's next_at and its commit, as a rule */
#define FULL_EVERY_MS   10000 /* a look at all, unless it takes more than FULL_SHARE of the time */
#define FULL_SHARE      100
#define PASSED_OVER_MAX 10000 /* in a look: the cost of one must have a bound */

static bytea *
bytes_of(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : (bytea *) PG_DETOAST_DATUM_COPY(value);
}

static void
take(MrBatch *batch, HeapTuple tuple, TupleDesc desc)
{
	MrEvent *event = mr_batch_add_event(batch);
	MrRetryRow *row = palloc0(sizeof(MrRetryRow));
	bool isnull;

	event->partition = mr_catalog_int4(tuple, MR_RETRY_PARTITION, desc);
	event->offset = mr_catalog_int8(tuple, MR_RETRY_OFFSET, desc, 0);
	event->kafka_ts = mr_catalog_int8(tuple, MR_RETRY_KAFKA_TS, desc, 0);
	event->kind = DatumGetInt16(heap_getattr(tuple, MR_RETRY_KIND, desc, &isnull));
	event->key = bytes_of(tuple, MR_RETRY_KEY, desc);
	event->headers = bytes_of(tuple, MR_RETRY_HEADERS, desc);
	event->payload = bytes_of(tuple, MR_RETRY_PAYLOAD, desc);
	/* of rows older than the column there is none */
	event->document = heap_attisnull(tuple, MR_RETRY_DOCUMENT, desc)
						  ? 0
						  : mr_catalog_int4(tuple, MR_RETRY_DOCUMENT, desc);
	row->document = event->document;
	row->retry_id = mr_catalog_int8(tuple, MR_RETRY_ID, desc, 0);
	row->tid = tuple->t_self;
	row->replay_of = mr_catalog_int8(tuple, MR_RETRY_REPLAY_OF, desc, 0);
	row->attempts = mr_catalog_int4(tuple, MR_RETRY_ATTEMPTS, desc);
	row->first_failed_at = mr_catalog_int8(tuple, MR_RETRY_FIRST_FAILED_AT, desc, 0);
	row->entered_at = mr_catalog_int8(tuple, MR_RETRY_ENTERED_AT, desc, 0);
	row->next_at = mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, desc, 0);
	row->history = DatumGetJsonbPCopy(heap_getattr(tuple, MR_RETRY_HISTORY, desc, &isnull));
	row->parked = mr_retry_is_parked(tuple, desc);
	row->order_key = mr_catalog_int8(tuple, MR_RETRY_ORDER_KEY, desc, 0);
	row->in_queue = !heap_attisnull(tuple, MR_RETRY_ORDER_KEY, desc);
	event->retry = row;
	if (mr_retry_is_held(tuple, desc))
		mr_outcome_discard(&event->outcome); /* or it would not be due */
	batch->bytes += mr_event_bytes(event);
}

/* What a read of the table may take. */
typedef struct Reading
{
	MrBatch *batch;
	Relation rel;
	int max;
	int64 max_bytes;
	MrRetryLocks locks;
	void *arg;
	int passed_over;
} Reading;

static bool
is_room(const Reading *reading)
{
	return reading->batch->nevents < reading->max && reading->batch->bytes < reading->max_bytes &&
		   reading->passed_over < PASSED_OVER_MAX;
}

/* Rows an index finds, in its order, as long as there is room; behind an event, as long as they wait. */
static void
read_rows(Reading *reading, const char *index_name, int nkeys, ScanKey keys,
		  const MrRetryRow *ahead)
{
	Relation index = index_open(mr_catalog_oid(index_name), AccessShareLock);
	TupleDesc desc = RelationGetDescr(reading->rel);
	SysScanDesc scan =
		systable_beginscan_ordered(reading->rel, index, GetActiveSnapshot(), nkeys, keys);
	HeapTuple tuple;

	while (is_room(reading) &&
		   HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		if (ahead != NULL && mr_catalog_int8(tuple, MR_RETRY_ID, desc, 0) == ahead->retry_id)
			continue;
		if (ahead != NULL && !mr_retry_waits(tuple, desc))
			break;
		if (reading->locks(reading->arg, mr_catalog_int4(tuple, MR_RETRY_PARTITION, desc)))
			take(reading->batch, tuple, desc);
		else
			reading->passed_over++;
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
}

/* From its own offset on: since a rewind the same event may wait behind itself. */
static void
read_followers(Reading *reading, int32 pipeline_id, const MrEvent *event)
{
	ScanKeyData keys[4];

	mr_key_int4(&keys[0], MR_RETRY_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_RETRY_PARTITION, event->partition);
	ScanKeyInit(&keys[2], MR_RETRY_ORDER_KEY, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event->retry->order_key));
	ScanKeyInit(&keys[3], MR_RETRY_OFFSET, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(event->offset));
	read_rows(reading, "retry_queue_idx", lengthof(keys), keys, event->retry);
}

static int
compare_coordinates(const void *a, const void *b)
{
	const MrEvent *left = a;
	const MrEvent *right = b;
	int comparison = mr_event_compare(left, right);

	if (comparison != 0)
		return comparison;
	return left->retry->retry_id < right->retry->retry_id
			   ? -1
			   : left->retry->retry_id > right->retry->retry_id;
}

/* The keys of what is due between two times. */
static int
due_keys(ScanKey keys, int32 pipeline_id, TimestampTz from, TimestampTz to)
{
	mr_key_int4(&keys[0], MR_RETRY_PIPELINE_ID, pipeline_id);
	ScanKeyInit(&keys[1], MR_RETRY_NEXT_AT, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
				TimestampTzGetDatum(from));
	ScanKeyInit(&keys[2], MR_RETRY_NEXT_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
				TimestampTzGetDatum(to));
	return 3;
}

/* What the horizon is to be after a look that began at `now` of the wall clock, `began_at` of the other. */
static void
plan_horizon(MrRetryHorizon *horizon, TimestampTz now, int64 began_at, bool full, bool complete)
{
	int64 end = mr_clock_us();

	horizon->floor_then = complete ? now - SLACK_MS * 1000 : 0;
	horizon->next_full_then =
		complete && full ? end + Max(FULL_EVERY_MS * 1000, (end - began_at) * FULL_SHARE) : 0;
}

int
mr_retry_read_due(MrBatch *batch, int32 pipeline_id, MrRetryHorizon *horizon, int max,
				  int64 max_bytes, MrRetryLocks locks, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Reading reading = {
		.batch = batch, .max = max, .max_bytes = max_bytes, .locks = locks, .arg = arg};
	TimestampTz now = GetCurrentTimestamp();
	int64 began_at = mr_clock_us();
	bool full = began_at >= horizon->next_full || now < horizon->floor; /* or it was set back */
	ScanKeyData keys[3];
	int ndue;

	reading.rel = mr_catalog_open("retry", RowExclusiveLock);
	PushActiveSnapshot(GetLatestSnapshot());
	read_rows(&reading, "retry_due_idx",
			  due_keys(keys, pipeline_id, full ? DT_NOBEGIN : horizon->floor, now), keys, NULL);
	ndue = batch->nevents;
	plan_horizon(horizon, now, began_at, full, is_room(&reading) && reading.passed_over == 0);
	for (int i = 0; i < ndue; i++)
		if (batch->events[i].retry->in_queue)
			read_followers(&reading, pipeline_id, &batch->events[i]);
	PopActiveSnapshot();
	table_close(reading.rel, NoLock);
	qsort(batch->events, batch->nevents, sizeof(MrEvent), compare_coordinates);
	MemoryContextSwitchTo(old);
	return reading.passed_over;
}

void
mr_retry_keep_horizon(MrRetryHorizon *horizon)
{
	horizon->floor_then = horizon->next_full_then = 0;
}

void
mr_retry_move_horizon(MrRetryHorizon *horizon)
{
	if (horizon->floor_then != 0)
		horizon->floor = horizon->floor_then;
	if (horizon->next_full_then != 0)
		horizon->next_full = horizon->next_full_then;
}

int64
mr_retry_bring_forward(int32 pipeline_id, int64 us)
{
	Relation rel = mr_catalog_open("retry", RowExclusiveLock);
	Relation index = index_open(mr_catalog_oid("retry_due_idx"), AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	/* What came into the table since has its due time of the new clock, which is before this. */
	TimestampTz from = GetCurrentTimestamp() + us - SLACK_MS * 1000;
	Datum values[MR_RETRY_NATTS] = {0};
	bool nulls[MR_RETRY_NATTS] = {false};
	bool replace[MR_RETRY_NATTS] = {false};
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple tuple;
	int64 n = 0;

	replace[MR_RETRY_NEXT_AT - 1] = true;
	PushActiveSnapshot(GetLatestSnapshot());
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(),
									  due_keys(keys, pipeline_id, from, DT_NOEND - 1), keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		CHECK_FOR_INTERRUPTS();
		values[MR_RETRY_NEXT_AT - 1] =
			TimestampTzGetDatum(mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, desc, 0) - us);
		mr_catalog_update(rel, &tuple->t_self,
						  heap_modify_tuple(tuple, desc, values, nulls, replace));
		n++;
	}
	systable_endscan_ordered(scan);
	PopActiveSnapshot();
	index_close(index, AccessShareLock);
	table_close(rel, NoLock);
	return n;
}

TimestampTz
mr_retry_next_due(int32 pipeline_id, const MrRetryHorizon *horizon)
{
	TimestampTz from = horizon->floor_then != 0 ? horizon->floor_then : horizon->floor;
	Relation rel = mr_catalog_open("retry", AccessShareLock);
	TimestampTz due = DT_NOEND;
	ScanKeyData keys[3];
	HeapTuple tuple;

	tuple = mr_catalog_fetch(rel, "retry_due_idx", due_keys(keys, pipeline_id, from, DT_NOEND),
							 keys, false);
	if (HeapTupleIsValid(tuple))
	{
		due = mr_catalog_int8(tuple, MR_RETRY_NEXT_AT, RelationGetDescr(rel), 0);
		heap_freetuple(tuple);
	}
	table_close(rel, AccessShareLock);
	return due;
}
