/*
 * lane_reader.c: reading a segment by TID range. Runs in workers.
 *
 * A segment's physical order is its commit order (segment_am.c), and that is not trusted: the trailer says
 * how many events its batch has. When some are missing the segment is read again from its start; when they
 * are still missing, or the trailer cannot be read, the batch is refused and its partitions get a new epoch.
 */
#include "run/lane_reader.h"

#include "access/detoast.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "common/staging_format.h"
#include "server/wakeup.h"
#include "staging/ring.h"

/* To be written in: a copy with a length word of four bytes. */
static bytea *
copy_of(TupleTableSlot *slot, int column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	return isnull ? NULL : DatumGetByteaPCopy(value);
}

static bytea *
bytes_of(TupleTableSlot *slot, int column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);
	struct varlena *stored;

	if (isnull)
		return NULL;
	stored = (struct varlena *) DatumGetPointer(value);
	/* a pointer to an out-of-line value has a short header too: do not ask for that */
	if (VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored))
		return (bytea *) detoast_attr(stored);
	return (bytea *) memcpy(palloc(VARSIZE_ANY(stored)), stored, VARSIZE_ANY(stored));
}

/* An event that is a row of its own. */
static void
take_event(MrBatch *batch, TupleTableSlot *slot)
{
	MrEvent *event = mr_batch_add_event(batch);
	bool isnull;

	event->offset = DatumGetInt64(slot_getattr(slot, MR_SEG_OFFSET, &isnull));
	event->kafka_ts = DatumGetInt64(slot_getattr(slot, MR_SEG_KAFKA_TS, &isnull));
	event->partition = DatumGetInt32(slot_getattr(slot, MR_SEG_PARTITION, &isnull));
	event->kind = DatumGetInt16(slot_getattr(slot, MR_SEG_KIND, &isnull));
	event->key = bytes_of(slot, MR_SEG_KEY);
	event->headers = bytes_of(slot, MR_SEG_HEADERS);
	event->payload = bytes_of(slot, MR_SEG_PAYLOAD);
	batch->bytes += mr_event_bytes(event);
}

/* In place: the length becomes that of a bytea, with its own four bytes. The pack is not read again. */
static bytea *
unpack_bytes(const MrPackedBytes *packed)
{
	if (packed->at == NULL)
		return NULL;
	SET_VARSIZE(packed->at, packed->length + VARHDRSZ);
	return (bytea *) packed->at;
}

/* The events of a pack stay where they are in a copy of it. A broken one has none: its batch is not complete then. */
static void
take_pack(MrBatch *batch, TupleTableSlot *slot)
{
	bytea *pack = copy_of(slot, MR_SEG_PAYLOAD);
	int first = batch->nevents;
	MrPackReader reader =
		mr_pack_begin(pack ? VARDATA(pack) : NULL, pack ? VARSIZE(pack) - VARHDRSZ : 0);
	MrPackedEvent packed;

	while (mr_pack_next(&reader, &packed))
	{
		MrEvent *event = mr_batch_add_event(batch);

		event->offset = packed.offset;
		event->kafka_ts = packed.kafka_ts;
		event->partition = packed.partition;
		event->kind = packed.kind;
		event->key = unpack_bytes(&packed.key);
		event->headers = unpack_bytes(&packed.headers);
		event->payload = unpack_bytes(&packed.payload);
		batch->bytes += mr_event_bytes(event);
	}
	if (mr_pack_is_whole(&reader))
		return;
	ereport(LOG, (errcode(ERRCODE_PROTOCOL_VIOLATION),
				  errmsg("millrace: a pack of staged events has an unknown form"),
				  errhint("Run the ingestor of the same release as the extension.")));
	batch->nevents = first;
}

/* What a row has that is no trailer. */
static void
take_row(MrBatch *batch, TupleTableSlot *slot, int16 kind)
{
	if (kind & MR_KIND_PACK)
		take_pack(batch, slot);
	else
		take_event(batch, slot);
}

static int16
kind_of(TupleTableSlot *slot)
{
	bool isnull;

	return DatumGetInt16(slot_getattr(slot, MR_SEG_KIND, &isnull));
}

static int
compare_parts(const void *a, const void *b)
{
	int32 left = ((const MrStagedPart *) a)->partition;
	int32 right = ((const MrStagedPart *) b)->partition;

	return left < right ? -1 : left > right;
}

/* A part for each partition that the batch has events of: all that is known of it without its trailer. */
static void
parts_of_rows(MrBatch *batch, MrStagedBatch *staged)
{
	int n = 0;

	staged->parts = palloc0(Max(staged->count, 1) * sizeof(MrStagedPart));
	for (int k = 0; k < staged->count; k++)
		staged->parts[k].partition = batch->events[staged->first + k].partition;
	qsort(staged->parts, staged->count, sizeof(MrStagedPart), compare_parts);
	for (int k = 0; k < staged->count; k++)
		if (n == 0 || staged->parts[k].partition != staged->parts[n - 1].partition)
			staged->parts[n++] = staged->parts[k];
	staged->nparts = n;
}

/* Bytes of the payloads of its events. */
static int64
payload_bytes(const MrBatch *batch, const MrStagedBatch *staged)
{
	int64 bytes = 0;

	for (int k = 0; k < staged->count; k++)
	{
		const bytea *payload = batch->events[staged->first + k].payload;

		bytes += payload != NULL ? (int64) VARSIZE_ANY_EXHDR(payload) : 0;
	}
	return bytes;
}

/* A batch that cannot be made whole: none of its events count, its partitions get a new epoch. */
static void
refuse(MrBatch *batch, MrStagedBatch *staged)
{
	batch->nevents = staged->first;
	staged->count = 0;
	staged->refused = true;
}

/* False: the trailer is of another form. */
static bool
read_trailer(MrStagedBatch *staged, const bytea *trailer)
{
	const char *bytes = trailer ? VARDATA_ANY(trailer) : NULL;
	int64 nparts = trailer ? mr_trailer_parts(bytes, VARSIZE_ANY_EXHDR(trailer)) : -1;

	if (nparts < 0)
		return false;
	staged->nparts = (int) nparts;
	staged->parts = palloc(Max(nparts, 1) * sizeof(MrStagedPart));
	for (int i = 0; i < staged->nparts; i++)
	{
		staged->parts[i] = mr_trailer_part(bytes, i);
		if (i > 0 && staged->parts[i].partition <= staged->parts[i - 1].partition)
			return false;
	}
	return true;
}

/*
 * The end of a batch. A trailer of another form is not raised as an error: the batch would be read and fail again
 * for ever.
 */
static void
take_trailer(MrLane *lane, MrBatch *batch, TupleTableSlot *slot, int first)
{
	bytea *record = bytes_of(slot, MR_SEG_PAYLOAD);
	MrStagedBatch *staged = mr_batch_add_staged(batch);
	bool isnull;

	staged->id = DatumGetInt64(slot_getattr(slot, MR_SEG_BATCH, &isnull));
	staged->first = first;
	staged->count = batch->nevents - first;
	staged->end = slot->tts_tid;
	staged->staged_at =
		mr_lane_staged_at(lane,
						  DatumGetTransactionId(
							  slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull)));
	if (read_trailer(staged, record))
		return;
	ereport(
		LOG,
		(errcode(ERRCODE_PROTOCOL_VIOLATION),
		 errmsg(
			 "millrace: the trailer of a staged batch has an unknown form, the batch is dropped"),
		 errhint("Run the ingestor of the same release as the extension.")));
	staged->nparts = 0;
	staged->unreadable = true;
	parts_of_rows(batch, staged);
	refuse(batch, staged);
}

/* The part of an event's partition, NULL when the trailer has none; most often it is that of the event before it. */
static MrStagedPart *
part_of(const MrStagedBatch *staged, int32 partition, MrStagedPart *before)
{
	MrStagedPart key = {.partition = partition};

	if (before != NULL && before->partition == partition)
		return before;
	return bsearch(&key, staged->parts, staged->nparts, sizeof(MrStagedPart), compare_parts);
}

/* As many events of each partition as the trailer says, and none of others. */
static bool
is_complete(MrBatch *batch, MrStagedBatch *staged)
{
	int *found = palloc0(Max(staged->nparts, 1) * sizeof(int));
	MrStagedPart *part = NULL;
	bool complete = true;

	for (int k = 0; k < staged->count && complete; k++)
	{
		part = part_of(staged, batch->events[staged->first + k].partition, part);
		if (part != NULL)
			found[part - staged->parts]++;
		complete = part != NULL;
	}
	for (int i = 0; i < staged->nparts && complete; i++)
		complete = found[i] == staged->parts[i].events;
	pfree(found);
	return complete;
}

/* Rows of the batch lie elsewhere in the segment: collects them all, in place of those read so far. */
static void
read_again(Relation rel, MrBatch *batch, MrStagedBatch *staged)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);

	ereport(
		LOG,
		(errmsg("millrace: a staged batch lies out of order in \"%s\", reading the segment again",
				RelationGetRelationName(rel))));
	batch->nevents = staged->first;
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		int16 kind = kind_of(slot);
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		if (DatumGetInt64(slot_getattr(slot, MR_SEG_BATCH, &isnull)) == staged->id &&
			!(kind & MR_KIND_TRAILER))
			take_row(batch, slot, kind);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	staged->count = batch->nevents - staged->first;
}

static void
read_range(Relation rel, MrLane *lane, MrBatch *batch, ItemPointer cursor, int max_events,
		   int64 max_bytes)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	ItemPointerData from = *cursor;
	ItemPointerData to;
	TableScanDesc scan;
	int first = batch->nevents;
	int64 id = 0; /* batch of the rows since the last trailer */
	bool mixed = false;

	ItemPointerInc(&from);
	ItemPointerSet(&to, MaxBlockNumber, PG_UINT16_MAX);
	scan = table_beginscan_tidrange(rel, GetActiveSnapshot(), &from, &to);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		bool isnull;
		MrStagedBatch *staged;

		int64 row_id = DatumGetInt64(slot_getattr(slot, MR_SEG_BATCH, &isnull));
		int16 kind = kind_of(slot);

		mixed = batch->nevents > first && (mixed || row_id != id);
		id = row_id;
		if (!(kind & MR_KIND_TRAILER))
		{
			take_row(batch, slot, kind);
			continue;
		}
		take_trailer(lane, batch, slot, first);
		staged = &batch->staged[batch->nstaged - 1];
		if (!staged->refused && (mixed || !is_complete(batch, staged)))
		{
			read_again(rel, batch, staged);
			if (!is_complete(batch, staged))
			{
				ereport(LOG,
						(errmsg(
							"millrace: a staged batch is not complete and will be fetched again")));
				refuse(batch, staged);
			}
		}
		staged->bytes = payload_bytes(batch, staged);
		first = batch->nevents;
		batch->end = staged->end;
		if (batch->nevents >= max_events || batch->bytes >= max_bytes)
			break;
		CHECK_FOR_INTERRUPTS();
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	batch->nevents = first; /* rows without a trailer are not a batch */
}

bool
mr_lane_read(MrLane *lane, int32 pipeline_id, MrBatch *batch, int max_events, int64 max_bytes)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	ItemPointerData cursor;
	bool sealed;
	bool found;
	Relation rel;

	found = mr_ring_tail(lane, pipeline_id, &batch->tail, &cursor, &sealed);
	rel = found ? try_table_open(batch->tail.relation, AccessShareLock) : NULL;
	if (rel == NULL)
	{
		batch->segment_done = sealed; /* its table was dropped: it leaves the ring */
		MemoryContextSwitchTo(old);
		return false;
	}
	/* The snapshot after the question whether it is sealed, see ring.h. */
	PushActiveSnapshot(GetLatestSnapshot());
	batch->end = cursor;
	read_range(rel, lane, batch, &cursor, max_events, max_bytes);
	PopActiveSnapshot();
	table_close(rel, AccessShareLock);
	batch->segment_done = sealed && batch->nstaged == 0;
	MemoryContextSwitchTo(old);
	return batch->nstaged > 0;
}
