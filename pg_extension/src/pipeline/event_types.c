/*
 * event_types.c: see event_types.h. Runs in workers.
 *
 * A stream has PARTS rows, each with the counters of a few types: a batch writes those of the types it has. A row is updated in
 * place for some batches, then another one takes its place, so that an old snapshot makes nobody step over more versions
 * than these. Everybody reads the newest first.
 */
#include "pipeline/event_types.h"

#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/locks.h"
#include "pipeline/type_names.h"

#define NUMBER_NONE     0 /* no type: null, or not read */
#define NUMBER_OTHER    1
#define FIRST_NUMBER    2 /* of those with a name */
#define NUMBERS         (FIRST_NUMBER + MR_TYPES_NAMED)
#define PARTS           4
#define NUMBERS_IN_PART (NUMBERS / PARTS) /* as the view stats_by_type has it */
#define VALUES          10                /* of each, as the view has them */
#define UPDATES_PER_ROW 20

StaticAssertDecl(NUMBERS_IN_PART *PARTS == NUMBERS, "the parts have all numbers");

struct MrEventTypes
{
	int32 pipeline_id;
	bool known;    /* the names were read; other workers may have added some since */
	bool locked;   /* nobody else can */
	bool is_added; /* some are of the present transaction */
	int n;
	MrTypeNames names;
	bool touched[PARTS];
	MrCounters added[NUMBERS];
};

MrEventTypes *
mr_event_types_create(int32 pipeline_id)
{
	MrEventTypes *types = palloc0(sizeof(MrEventTypes));

	types->pipeline_id = pipeline_id;
	return types;
}

static void
remember(MrEventTypes *types, const char *text, int number)
{
	mr_type_names_add(&types->names, text, strlen(text), number);
}

/* The names that are committed. Types that are called as the others and those without one are counted with these. */
static void
load_names(MrEventTypes *types)
{
	Relation rel = mr_catalog_open("event_type", AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleDesc desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	memset(&types->names, 0, sizeof(types->names));
	types->n = 0;
	remember(types, "none", NUMBER_NONE);
	remember(types, "other", NUMBER_OTHER);
	mr_key_int4(&key, MR_EVENT_TYPE_PIPELINE_ID, types->pipeline_id);
	scan = systable_beginscan(rel, mr_catalog_oid("event_type_pkey"), true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char *text = mr_catalog_text(tuple, MR_EVENT_TYPE_NAME, desc);
		int number = mr_catalog_int4(tuple, MR_EVENT_TYPE_NUMBER, desc);

		if (types->n >= MR_TYPES_NAMED || number < FIRST_NUMBER || number >= NUMBERS ||
			strlen(text) > MR_TYPE_NAME_BYTES)
			elog(ERROR, "a row of millrace.event_type is malformed");
		remember(types, text, number);
		types->n++;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	types->known = true;
}

void
mr_event_types_begin(MrEventTypes *types)
{
	if (!types->known || types->is_added)
		load_names(types);
	types->locked = types->is_added = false;
	memset(types->touched, 0, sizeof(types->touched));
	memset(types->added, 0, sizeof(types->added));
}

static void
insert_name(const MrEventTypes *types, const char *text, int length, int number)
{
	Relation rel = mr_catalog_open("event_type", RowExclusiveLock);
	Datum values[MR_EVENT_TYPE_NATTS];
	bool nulls[MR_EVENT_TYPE_NATTS] = {false};

	values[MR_EVENT_TYPE_PIPELINE_ID - 1] = Int32GetDatum(types->pipeline_id);
	values[MR_EVENT_TYPE_NUMBER - 1] = Int32GetDatum(number);
	values[MR_EVENT_TYPE_NAME - 1] = PointerGetDatum(cstring_to_text_with_len(text, length));
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

/* Of a name that is not known: those who record one hold the lock until their commit, so what is read under it is all. */
static int
record(MrEventTypes *types, const char *text, int length)
{
	int number;

	if (types->n >= MR_TYPES_NAMED)
		return NUMBER_OTHER;
	if (!types->locked)
	{
		(void) mr_lock_stream(types->pipeline_id, MR_STREAM_TYPE_NAMES, 1);
		types->known = false;
		load_names(types);
		types->locked = true;
		number = mr_type_names_find(&types->names, text, length);
		if (number >= 0)
			return number;
		if (types->n >= MR_TYPES_NAMED)
			return NUMBER_OTHER;
	}
	number = FIRST_NUMBER + types->n;
	types->is_added = true;
	insert_name(types, text, length, number);
	mr_type_names_add(&types->names, text, length, number);
	types->n++;
	return number;
}

static int
number_of(MrEventTypes *types, const char *text, int length)
{
	int number;

	if (text == NULL)
		return NUMBER_NONE;
	if (length > MR_TYPE_NAME_BYTES)
		return NUMBER_OTHER;
	number = mr_type_names_find(&types->names, text, length);
	return likely(number >= 0) ? number : record(types, text, length);
}

MrCounters *
mr_event_types_counters(MrEventTypes *types, const char *name, int length)
{
	int number = number_of(types, name, length);

	types->touched[number / NUMBERS_IN_PART] = true;
	return &types->added[number];
}

/* In the order in which the view stats_by_type has them. */
static void
add(int64 *values, const MrCounters *added)
{
	values[0] += added->events;
	values[1] += added->bytes;
	values[2] += added->written;
	values[3] += added->filtered;
	values[4] += added->superseded;
	values[5] += added->skipped;
	values[6] += added->failed;
	values[7] += added->retried;
	values[8] += added->dead_lettered;
	values[9] += added->replayed;
}

/* The counters of a part as a row has them; without a row all are 0. */
static ArrayType *
copy_counts(HeapTuple tuple, TupleDesc desc)
{
	Size bytes = ARR_OVERHEAD_NONULLS(1) + NUMBERS_IN_PART * VALUES * sizeof(int64);
	ArrayType *counts = palloc0(bytes);
	bool isnull;

	SET_VARSIZE(counts, bytes);
	counts->ndim = 1;
	counts->elemtype = INT8OID;
	ARR_DIMS(counts)[0] = NUMBERS_IN_PART * VALUES;
	ARR_LBOUND(counts)[0] = 1;
	if (tuple != NULL)
	{
		ArrayType *old =
			DatumGetArrayTypeP(heap_getattr(tuple, MR_TYPE_COUNT_COUNTS, desc, &isnull));

		if (ARR_NDIM(old) != 1 || ARR_HASNULL(old) || ARR_ELEMTYPE(old) != INT8OID ||
			ARR_DIMS(old)[0] != NUMBERS_IN_PART * VALUES)
			elog(ERROR, "a row of millrace.event_type_count is malformed");
		memcpy(ARR_DATA_PTR(counts), ARR_DATA_PTR(old), NUMBERS_IN_PART * VALUES * sizeof(int64));
	}
	return counts;
}

static void
settle_part(const MrEventTypes *types, Relation rel, CatalogIndexState indexes, int32 stripe,
			int part)
{
	TupleDesc desc = RelationGetDescr(rel);
	Datum values[MR_TYPE_COUNT_NATTS];
	bool nulls[MR_TYPE_COUNT_NATTS] = {false};
	ScanKeyData keys[2];
	HeapTuple old;
	ArrayType *counts;
	int64 seq = 0;
	int32 updates = UPDATES_PER_ROW;

	mr_key_int4(&keys[0], MR_TYPE_COUNT_PIPELINE_ID, types->pipeline_id);
	mr_key_int4(&keys[1], MR_TYPE_COUNT_STRIPE, stripe);
	old = mr_catalog_fetch(rel, "event_type_count_pkey", 2, keys, true);
	counts = copy_counts(old, desc);
	for (int i = 0; i < NUMBERS_IN_PART; i++)
		add((int64 *) ARR_DATA_PTR(counts) + i * VALUES, &types->added[part * NUMBERS_IN_PART + i]);
	if (old != NULL)
	{
		seq = mr_catalog_int8(old, MR_TYPE_COUNT_SEQ, desc, 0);
		updates = mr_catalog_int4(old, MR_TYPE_COUNT_UPDATES, desc);
	}
	values[MR_TYPE_COUNT_PIPELINE_ID - 1] = Int32GetDatum(types->pipeline_id);
	values[MR_TYPE_COUNT_STRIPE - 1] = Int32GetDatum(stripe);
	values[MR_TYPE_COUNT_COUNTS - 1] = PointerGetDatum(counts);
	if (updates < UPDATES_PER_ROW)
	{
		values[MR_TYPE_COUNT_SEQ - 1] = Int64GetDatum(seq);
		values[MR_TYPE_COUNT_UPDATES - 1] = Int32GetDatum(updates + 1);
		CatalogTupleUpdateWithInfo(rel, &old->t_self, heap_form_tuple(desc, values, nulls),
								   indexes);
		return;
	}
	if (old != NULL)
		CatalogTupleDelete(rel, &old->t_self);
	/* above those of rows that were removed with an earlier type_field, too */
	values[MR_TYPE_COUNT_SEQ - 1] = Int64GetDatum(Max(seq + 1, GetCurrentTimestamp()));
	values[MR_TYPE_COUNT_UPDATES - 1] = Int32GetDatum(0);
	CatalogTupleInsertWithInfo(rel, heap_form_tuple(desc, values, nulls), indexes);
}

void
mr_event_types_settle(MrEventTypes *types)
{
	int32 stream =
		mr_lock_stream(types->pipeline_id, MR_STREAM_TYPES, MR_STREAMS) - MR_STREAM_TYPES;
	Relation rel = mr_catalog_open("event_type_count", RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(rel);

	for (int part = 0; part < PARTS; part++)
		if (types->touched[part])
			settle_part(types, rel, indexes, stream * PARTS + part, part);
	CatalogCloseIndexes(indexes);
	table_close(rel, RowExclusiveLock);
}
