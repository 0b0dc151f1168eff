/*
 * partition.c: see partition.h. Runs in workers (settling) and in ingestor backends (assigning).
 */
#include "pipeline/partition.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "pipeline/pipeline.h"

#define UPDATES_PER_ROW 100
#define ROW_AGE_MS      1000

static HeapTuple
fetch_partition(Relation rel, int32 pipeline_id, int32 partition)
{
	ScanKeyData keys[2];

	mr_key_int4(&keys[0], MR_PARTITION_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_PARTITION_PARTITION, partition);
	return mr_catalog_fetch(rel, "partition_pkey", 2, keys, false);
}

static bool
read_epoch(int32 pipeline_id, MrPartition *p)
{
	Relation rel = mr_catalog_open("partition", AccessShareLock);
	HeapTuple tuple = fetch_partition(rel, pipeline_id, p->partition);
	bool isnull;
	text *state;

	if (!HeapTupleIsValid(tuple))
	{
		table_close(rel, AccessShareLock);
		return false;
	}
	p->epoch = mr_catalog_int8(tuple, MR_PARTITION_EPOCH, RelationGetDescr(rel), 0);
	state = DatumGetTextPP(heap_getattr(tuple, MR_PARTITION_STATE, RelationGetDescr(rel), &isnull));
	p->stopped = VARSIZE_ANY_EXHDR(state) != 6 || memcmp(VARDATA_ANY(state), "active", 6) != 0;
	p->seek_ts = mr_catalog_int8(tuple, MR_PARTITION_SEEK_TS, RelationGetDescr(rel), -1);
	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
	return true;
}

static bool
read_progress(int32 pipeline_id, MrPartition *p)
{
	Relation rel = mr_catalog_open("progress", AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	ScanKeyData keys[2];
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_PROGRESS_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_PROGRESS_PARTITION, p->partition);
	tuple = mr_catalog_fetch(rel, "progress_pkey", 2, keys, true);
	if (!HeapTupleIsValid(tuple))
	{
		table_close(rel, AccessShareLock);
		return false;
	}
	p->seq = mr_catalog_int8(tuple, MR_PROGRESS_SEQ, desc, 0);
	p->next_offset = mr_catalog_int8(tuple, MR_PROGRESS_NEXT_OFFSET, desc, 0);
	p->last_offset = mr_catalog_int8(tuple, MR_PROGRESS_LAST_OFFSET, desc, -1);
	p->last_ts = mr_catalog_int8(tuple, MR_PROGRESS_LAST_TS, desc, -1);
	p->last_crc = mr_catalog_int8(tuple, MR_PROGRESS_LAST_CRC, desc, 0);
	p->total.events = mr_catalog_int8(tuple, MR_PROGRESS_EVENTS, desc, 0);
	p->total.written = mr_catalog_int8(tuple, MR_PROGRESS_WRITTEN, desc, 0);
	p->total.filtered = mr_catalog_int8(tuple, MR_PROGRESS_FILTERED, desc, 0);
	p->total.superseded = mr_catalog_int8(tuple, MR_PROGRESS_SUPERSEDED, desc, 0);
	p->total.skipped = mr_catalog_int8(tuple, MR_PROGRESS_SKIPPED, desc, 0);
	p->total.dead = mr_catalog_int8(tuple, MR_PROGRESS_DEAD, desc, 0);
	p->total.rows = mr_catalog_int8(tuple, MR_PROGRESS_ROWS, desc, 0);
	p->total.bytes = mr_catalog_int8(tuple, MR_PROGRESS_BYTES, desc, 0);
	p->total.retrying = mr_catalog_int8(tuple, MR_PROGRESS_RETRYING, desc, 0);
	p->settled_at = mr_catalog_int8(tuple, MR_PROGRESS_SETTLED_AT, desc, 0);
	p->progress_tid = tuple->t_self;
	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
	return true;
}

bool
mr_partition_find(int32 pipeline_id, int32 partition, MrPartition *result)
{
	memset(result, 0, sizeof(*result));
	result->partition = partition;
	result->unknown = !read_epoch(pipeline_id, result) || !read_progress(pipeline_id, result);
	return !result->unknown;
}

bool
mr_partition_has_epoch(int32 pipeline_id, int32 partition, int64 epoch)
{
	MrPartition p = {.partition = partition};

	return read_epoch(pipeline_id, &p) && !p.stopped && p.seek_ts < 0 && p.epoch == epoch;
}

int64
mr_random_epoch(void)
{
	int64 epoch;

	if (!pg_strong_random(&epoch, sizeof(epoch)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not make a random number")));
	return epoch;
}

int64
mr_partition_new_epoch(int32 pipeline_id, int32 partition, int32 lane_id)
{
	Relation rel = mr_catalog_open("partition", RowExclusiveLock);
	HeapTuple old = fetch_partition(rel, pipeline_id, partition);
	Datum values[MR_PARTITION_NATTS] = {0};
	bool nulls[MR_PARTITION_NATTS] = {false};
	bool replace[MR_PARTITION_NATTS] = {false};
	int64 epoch = mr_random_epoch();
	HeapTuple changed;

	if (!HeapTupleIsValid(old))
		elog(ERROR, "partition %d of pipeline \"%s\" has no row in millrace.partition", partition,
			 mr_pipeline_name(pipeline_id));
	values[MR_PARTITION_EPOCH - 1] = Int64GetDatum(epoch);
	replace[MR_PARTITION_EPOCH - 1] = true;
	values[MR_PARTITION_LANE - 1] = Int32GetDatum(lane_id);
	replace[MR_PARTITION_LANE - 1] = lane_id != 0;
	values[MR_PARTITION_CHANGED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	replace[MR_PARTITION_CHANGED_AT - 1] = true;
	changed = heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace);
	CatalogTupleUpdate(rel, &old->t_self, changed);
	table_close(rel, RowExclusiveLock);
	return epoch;
}

static HeapTuple
form_progress(TupleDesc desc, int32 pipeline_id, const MrPartition *p, int64 seq, TimestampTz now)
{
	Datum values[MR_PROGRESS_NATTS];
	bool nulls[MR_PROGRESS_NATTS] = {false};

	values[MR_PROGRESS_PIPELINE_ID - 1] = Int32GetDatum(pipeline_id);
	values[MR_PROGRESS_PARTITION - 1] = Int32GetDatum(p->partition);
	values[MR_PROGRESS_SEQ - 1] = Int64GetDatum(seq);
	values[MR_PROGRESS_NEXT_OFFSET - 1] = Int64GetDatum(p->next_offset);
	values[MR_PROGRESS_LAST_OFFSET - 1] = Int64GetDatum(p->last_offset);
	values[MR_PROGRESS_LAST_TS - 1] = Int64GetDatum(p->last_ts);
	values[MR_PROGRESS_LAST_CRC - 1] = Int64GetDatum(p->last_crc);
	nulls[MR_PROGRESS_LAST_OFFSET - 1] = nulls[MR_PROGRESS_LAST_TS - 1] =
		nulls[MR_PROGRESS_LAST_CRC - 1] = p->last_offset < 0;
	values[MR_PROGRESS_EVENTS - 1] = Int64GetDatum(p->total.events);
	values[MR_PROGRESS_WRITTEN - 1] = Int64GetDatum(p->total.written);
	values[MR_PROGRESS_FILTERED - 1] = Int64GetDatum(p->total.filtered);
	values[MR_PROGRESS_SUPERSEDED - 1] = Int64GetDatum(p->total.superseded);
	values[MR_PROGRESS_SKIPPED - 1] = Int64GetDatum(p->total.skipped);
	values[MR_PROGRESS_DEAD - 1] = Int64GetDatum(p->total.dead);
	values[MR_PROGRESS_ROWS - 1] = Int64GetDatum(p->total.rows);
	values[MR_PROGRESS_BYTES - 1] = Int64GetDatum(p->total.bytes);
	values[MR_PROGRESS_RETRYING - 1] = Int64GetDatum(p->total.retrying);
	values[MR_PROGRESS_SETTLED_AT - 1] = TimestampTzGetDatum(now);
	return heap_form_tuple(desc, values, nulls);
}

void
mr_partition_settle(int32 pipeline_id, const MrPartition *p, int *updates)
{
	Relation rel = mr_catalog_open("progress", RowExclusiveLock);
	TimestampTz now = GetCurrentTimestamp();
	/* settled_at keeps the time of the row's first settling, so that rows are about ROW_AGE_MS apart. */
	bool in_place = *updates < UPDATES_PER_ROW &&
					!TimestampDifferenceExceeds(p->settled_at, now, ROW_AGE_MS) && p->seq > 0;
	HeapTuple tuple = form_progress(RelationGetDescr(rel), pipeline_id, p,
									in_place ? p->seq : p->seq + 1, in_place ? p->settled_at : now);

	if (in_place)
	{
		ItemPointerData tid = p->progress_tid;

		CatalogTupleUpdate(rel, &tid, tuple);
		(*updates)++;
	}
	else
	{
		CatalogTupleInsert(rel, tuple);
		*updates = 0;
	}
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}
