/*
 * partition.c: see partition.h. Runs in workers (settling) and in ingestor backends (assigning).
 */
#include "pipeline/partition.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "pipeline/pipeline.h"

#define UPDATES_PER_ROW 100
#define ROW_AGE_MS      1000

/* How often the newest progress row of a partition was updated in place, by this process. */
typedef struct UpdatesKey
{
	int32 pipeline_id;
	int32 partition;
} UpdatesKey;

typedef struct Updates
{
	UpdatesKey key;
	int count;
} Updates;

static void
init_keys(ScanKey keys, int32 pipeline_id)
{
	mr_key_int4(&keys[0], MR_PARTITION_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_PARTITION_PARTITION, 0);
}

/* Of the row of millrace.partition. */
static void
read_epoch(HeapTuple tuple, TupleDesc desc, MrPartition *p)
{
	bool isnull;
	text *state = DatumGetTextPP(heap_getattr(tuple, MR_PARTITION_STATE, desc, &isnull));

	p->epoch = mr_catalog_int8(tuple, MR_PARTITION_EPOCH, desc, 0);
	p->stopped = VARSIZE_ANY_EXHDR(state) != 6 || memcmp(VARDATA_ANY(state), "active", 6) != 0;
	p->seek_ts = mr_catalog_int8(tuple, MR_PARTITION_SEEK_TS, desc, -1);
	p->lane = mr_catalog_int4(tuple, MR_PARTITION_LANE, desc); /* 0 for a null */
}

/* Of the newest row of millrace.progress. */
static void
read_progress(HeapTuple tuple, TupleDesc desc, MrPartition *p)
{
	Datum values[MR_PROGRESS_NATTS];
	bool nulls[MR_PROGRESS_NATTS];

	heap_deform_tuple(tuple, desc, values, nulls);
	p->seq = DatumGetInt64(values[MR_PROGRESS_SEQ - 1]);
	p->next_offset = DatumGetInt64(values[MR_PROGRESS_NEXT_OFFSET - 1]);
	p->last_offset = nulls[MR_PROGRESS_LAST_OFFSET - 1]
						 ? -1
						 : DatumGetInt64(values[MR_PROGRESS_LAST_OFFSET - 1]);
	p->last_ts =
		nulls[MR_PROGRESS_LAST_TS - 1] ? -1 : DatumGetInt64(values[MR_PROGRESS_LAST_TS - 1]);
	p->last_crc =
		nulls[MR_PROGRESS_LAST_CRC - 1] ? 0 : DatumGetInt64(values[MR_PROGRESS_LAST_CRC - 1]);
	p->total.events = DatumGetInt64(values[MR_PROGRESS_EVENTS - 1]);
	p->total.written = DatumGetInt64(values[MR_PROGRESS_WRITTEN - 1]);
	p->total.filtered = DatumGetInt64(values[MR_PROGRESS_FILTERED - 1]);
	p->total.superseded = DatumGetInt64(values[MR_PROGRESS_SUPERSEDED - 1]);
	p->total.skipped = DatumGetInt64(values[MR_PROGRESS_SKIPPED - 1]);
	p->total.dead = DatumGetInt64(values[MR_PROGRESS_DEAD - 1]);
	p->total.rows = DatumGetInt64(values[MR_PROGRESS_ROWS - 1]);
	p->total.bytes = DatumGetInt64(values[MR_PROGRESS_BYTES - 1]);
	p->total.retrying = DatumGetInt64(values[MR_PROGRESS_RETRYING - 1]);
	p->total.failed = DatumGetInt64(values[MR_PROGRESS_FAILED - 1]);
	p->total.retried = DatumGetInt64(values[MR_PROGRESS_RETRIED - 1]);
	p->total.dead_lettered = DatumGetInt64(values[MR_PROGRESS_DEAD_LETTERED - 1]);
	p->total.replayed = DatumGetInt64(values[MR_PROGRESS_REPLAYED - 1]);
	p->total.parked = DatumGetInt64(values[MR_PROGRESS_PARKED - 1]);
	p->settled_at = DatumGetTimestampTz(values[MR_PROGRESS_SETTLED_AT - 1]);
	p->progress_tid = tuple->t_self;
}

void
mr_partitions_read(int32 pipeline_id, MrPartition *partitions, int n)
{
	MrCatalogReader epochs;
	MrCatalogReader progress;
	ScanKeyData keys[2];
	ScanKeyData progress_keys[2];

	init_keys(keys, pipeline_id);
	mr_key_int4(&progress_keys[0], MR_PROGRESS_PIPELINE_ID, pipeline_id);
	mr_key_int4(&progress_keys[1], MR_PROGRESS_PARTITION, 0);
	mr_catalog_reader_open(&epochs, "partition", "partition_pkey", 2, keys, false);
	mr_catalog_reader_open(&progress, "progress", "progress_pkey", 2, progress_keys, true);
	for (int i = 0; i < n; i++)
	{
		int32 number = partitions[i].partition;
		MrPartition *p = &partitions[i];
		HeapTuple epoch_row;
		HeapTuple progress_row;

		memset(p, 0, sizeof(*p));
		p->partition = number;
		keys[1].sk_argument = progress_keys[1].sk_argument = Int32GetDatum(number);
		epoch_row = mr_catalog_reader_fetch(&epochs, keys);
		progress_row = mr_catalog_reader_fetch(&progress, progress_keys);
		p->unknown = epoch_row == NULL || progress_row == NULL;
		if (epoch_row != NULL)
			read_epoch(epoch_row, RelationGetDescr(epochs.rel), p);
		if (progress_row != NULL)
			read_progress(progress_row, RelationGetDescr(progress.rel), p);
	}
	mr_catalog_reader_close(&progress);
	mr_catalog_reader_close(&epochs);
}

int
mr_partitions_stale(int32 pipeline_id, const int32 *partitions, const int64 *epochs, int n)
{
	MrCatalogReader reader;
	ScanKeyData keys[2];
	int stale = -1;

	init_keys(keys, pipeline_id);
	mr_catalog_reader_open(&reader, "partition", "partition_pkey", 2, keys, false);
	for (int i = 0; i < n && stale < 0; i++)
	{
		MrPartition p;
		HeapTuple row;

		keys[1].sk_argument = Int32GetDatum(partitions[i]);
		row = mr_catalog_reader_fetch(&reader, keys);
		if (row != NULL)
			read_epoch(row, RelationGetDescr(reader.rel), &p);
		if (row == NULL || p.stopped || p.seek_ts >= 0 || p.epoch != epochs[i])
			stale = i;
	}
	mr_catalog_reader_close(&reader);
	return stale;
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
	HeapTuple old;
	ScanKeyData keys[2];
	Datum values[MR_PARTITION_NATTS] = {0};
	bool nulls[MR_PARTITION_NATTS] = {false};
	bool replace[MR_PARTITION_NATTS] = {false};
	int64 epoch = mr_random_epoch();
	HeapTuple changed;

	init_keys(keys, pipeline_id);
	keys[1].sk_argument = Int32GetDatum(partition);
	old = mr_catalog_fetch(rel, "partition_pkey", 2, keys, false);
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
	values[MR_PROGRESS_FAILED - 1] = Int64GetDatum(p->total.failed);
	values[MR_PROGRESS_RETRIED - 1] = Int64GetDatum(p->total.retried);
	values[MR_PROGRESS_DEAD_LETTERED - 1] = Int64GetDatum(p->total.dead_lettered);
	values[MR_PROGRESS_REPLAYED - 1] = Int64GetDatum(p->total.replayed);
	values[MR_PROGRESS_PARKED - 1] = Int64GetDatum(p->total.parked);
	values[MR_PROGRESS_SETTLED_AT - 1] = TimestampTzGetDatum(now);
	return heap_form_tuple(desc, values, nulls);
}

static HTAB *updates_table = NULL;

static int *
updates_of(int32 pipeline_id, int32 partition)
{
	UpdatesKey key = {pipeline_id, partition};
	bool found;
	Updates *entry;

	if (updates_table == NULL)
	{
		HASHCTL control = {.keysize = sizeof(UpdatesKey), .entrysize = sizeof(Updates)};

		updates_table =
			hash_create("millrace progress updates", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(updates_table, &key, HASH_ENTER, &found);
	if (!found)
		entry->count = 0;
	return &entry->count;
}

void
mr_partitions_forget(int32 pipeline_id)
{
	HASH_SEQ_STATUS all;
	Updates *entry;

	if (updates_table == NULL)
		return;
	hash_seq_init(&all, updates_table);
	while ((entry = hash_seq_search(&all)) != NULL)
		if (entry->key.pipeline_id == pipeline_id)
			(void) hash_search(updates_table, &entry->key, HASH_REMOVE, NULL);
}

static void
settle_one(Relation rel, CatalogIndexState indexes, int32 pipeline_id, const MrPartition *p,
		   TimestampTz now)
{
	int *updates = updates_of(pipeline_id, p->partition);
	/* settled_at keeps the time of the row's first settling, so that rows are about ROW_AGE_MS apart. */
	bool in_place = *updates < UPDATES_PER_ROW &&
					!TimestampDifferenceExceeds(p->settled_at, now, ROW_AGE_MS) && p->seq > 0;
	HeapTuple tuple = form_progress(RelationGetDescr(rel), pipeline_id, p,
									in_place ? p->seq : p->seq + 1, in_place ? p->settled_at : now);

	if (in_place)
	{
		ItemPointerData tid = p->progress_tid;

		CatalogTupleUpdateWithInfo(rel, &tid, tuple, indexes);
		(*updates)++;
	}
	else
	{
		CatalogTupleInsertWithInfo(rel, tuple, indexes);
		*updates = 0;
	}
	heap_freetuple(tuple);
}

void
mr_partitions_settle(int32 pipeline_id, const MrPartition *partitions, int n)
{
	Relation rel = mr_catalog_open("progress", RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(rel);
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < n; i++)
		if (partitions[i].moved && !partitions[i].unknown)
			settle_one(rel, indexes, pipeline_id, &partitions[i], now);
	CatalogCloseIndexes(indexes);
	table_close(rel, RowExclusiveLock);
}

void
mr_partitions_append(int32 pipeline_id, const MrPartition *partitions, int n)
{
	Relation rel = mr_catalog_open("progress", RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(rel);

	for (int i = 0; i < n; i++)
	{
		const MrPartition *p = &partitions[i];
		HeapTuple tuple =
			form_progress(RelationGetDescr(rel), pipeline_id, p, p->seq, p->settled_at);

		CatalogTupleInsertWithInfo(rel, tuple, indexes);
		heap_freetuple(tuple);
	}
	CatalogCloseIndexes(indexes);
	table_close(rel, RowExclusiveLock);
}
