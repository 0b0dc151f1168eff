/* A batch of one lane: packs and rows, per-partition bookkeeping, trailer. */
#include "ingestor/stage/batch.h"

#include <stdlib.h>
#include <zlib.h>

/* A batch that one giant message made larger than this gives the memory back. */
#define KEEP_BYTES ((size_t) 4 << 20)

static void put_packed(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row,
					   size_t bytes);
static void put_row(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row);
static void open_pack(MrStageBatch *batch, const MrCopyRow *first);
static void close_pack(MrStageBatch *batch);
static int by_partition(const void *a, const void *b);
static void put_trailer(MrStageBatch *batch, int64_t wall_ms);

void
mr_batch_begin(MrStageBatch *batch, int64_t id)
{
	if (batch->data.cap > KEEP_BYTES)
		mr_buffer_free(&batch->data);
	batch->id = id;
	batch->events = 0;
	batch->payload_bytes = 0;
	batch->pack_at = 0;
	batch->entry_count = 0;
	mr_buffer_reserve(&batch->data, MR_COPY_HEADER_BYTES);
	mr_copy_header(batch->data.data);
	batch->data.len = MR_COPY_HEADER_BYTES;
}

MrStageEntry *
mr_batch_entry(MrStageBatch *batch, int *slot, int32_t partition, int64_t epoch, int64_t position)
{
	MrStageEntry *entry;

	if (*slot >= 0 && *slot < batch->entry_count &&
		batch->entries[*slot].part.partition == partition)
		return &batch->entries[*slot];
	if (batch->entry_count == batch->entry_cap)
	{
		batch->entry_cap = batch->entry_cap ? batch->entry_cap * 2 : 8;
		batch->entries =
			mr_realloc(batch->entries, sizeof(MrStageEntry) * (size_t) batch->entry_cap);
	}
	*slot = batch->entry_count++;
	entry = &batch->entries[*slot];
	*entry = (MrStageEntry){.part = {.partition = partition,
									 .epoch = epoch,
									 .previous = position,
									 .next = position,
									 .last_offset = -1,
									 .last_ts = -1},
							.crc_known = true};
	return entry;
}

void
mr_batch_add(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row,
			 const uint32_t *full_crc)
{
	size_t bytes = mr_packed_bytes(row->key_len, row->headers_len, row->payload_len);

	mr_buffer_reserve(&batch->data, 2 * MR_COPY_ROW_BYTES + bytes);
	if (bytes <= MR_PACK_BYTES - MR_PACK_HEAD_BYTES)
		put_packed(batch, entry, row, bytes);
	else
		put_row(batch, entry, row);
	batch->events++;
	batch->payload_bytes += (int64_t) row->payload_len;
	entry->part.events++;
	entry->part.next = row->offset + 1;
	entry->part.last_offset = row->offset;
	entry->part.last_ts = row->kafka_ts;
	entry->crc_known = full_crc != NULL;
	if (full_crc != NULL)
		entry->part.last_crc = *full_crc;
	entry->key_len = row->key_len;
	entry->payload_len = row->payload_len;
}

void
mr_batch_close(MrStageBatch *batch, int64_t wall_ms)
{
	for (int i = 0; i < batch->entry_count; i++)
	{
		MrStageEntry *entry = &batch->entries[i];

		/* Only the last message's CRC is wanted: made here once, not for each event. */
		if (!entry->crc_known)
			entry->part.last_crc =
				mr_message_crc(batch->data.data + entry->key_at, entry->key_len,
							   batch->data.data + entry->payload_at, entry->payload_len);
	}
	close_pack(batch);
	qsort(batch->entries, (size_t) batch->entry_count, sizeof(MrStageEntry), by_partition);
	put_trailer(batch, wall_ms);
	mr_buffer_reserve(&batch->data, MR_COPY_END_BYTES);
	mr_copy_end(batch->data.data + batch->data.len);
	batch->data.len += MR_COPY_END_BYTES;
}

void
mr_batch_sql(const MrStageBatch *batch, int32_t lane, int64_t incarnation, const char *segment,
			 MrBuffer *sql)
{
	sql->len = 0;
	mr_buffer_printf(sql, "SELECT millrace.stage(%d, %lld, '{", lane, (long long) incarnation);
	for (int i = 0; i < batch->entry_count; i++)
		mr_buffer_printf(sql, "%s%d", i ? "," : "", batch->entries[i].part.partition);
	mr_buffer_printf(sql, "}', '{");
	for (int i = 0; i < batch->entry_count; i++)
		mr_buffer_printf(sql, "%s%lld", i ? "," : "", (long long) batch->entries[i].part.epoch);
	mr_buffer_printf(sql, "}', %d, %lld); COPY %s FROM STDIN (FORMAT binary)", batch->events,
					 (long long) batch->payload_bytes, segment);
}

bool
mr_batch_is_empty(const MrStageBatch *batch)
{
	return batch->entry_count == 0;
}

bool
mr_batch_has(const MrStageBatch *batch, int32_t partition)
{
	for (int i = 0; i < batch->entry_count; i++)
		if (batch->entries[i].part.partition == partition)
			return true;
	return false;
}

void
mr_batch_free(MrStageBatch *batch)
{
	mr_buffer_free(&batch->data);
	free(batch->entries);
	*batch = (MrStageBatch){0};
}

uint32_t
mr_message_crc(const void *key, size_t key_len, const void *payload, size_t payload_len)
{
	uLong crc = crc32(0, NULL, 0);

	if (key_len > 0)
		crc = crc32_z(crc, key, key_len);
	if (payload_len > 0)
		crc = crc32_z(crc, payload, payload_len);
	return (uint32_t) crc;
}

/* Into the open pack, or a new one when there is none or it would become too large. */
static void
put_packed(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row, size_t bytes)
{
	char *data = batch->data.data;
	char *out;

	if (batch->pack_at != 0 && batch->data.len - batch->pack_at + bytes > MR_PACK_BYTES)
		close_pack(batch);
	if (batch->pack_at == 0)
		open_pack(batch, row);
	out = mr_packed_put_fixed(data + batch->data.len, row->offset, row->kafka_ts, row->partition,
							  row->kind);
	entry->key_at = (size_t) (out + 4 - data);
	out = mr_packed_put_bytes(out, row->key, row->key_len);
	out = mr_packed_put_bytes(out, row->headers, row->headers_len);
	entry->payload_at = (size_t) (out + 4 - data);
	out = mr_packed_put_bytes(out, row->payload, row->payload_len);
	batch->data.len = (size_t) (out - data);
	batch->pack_size++;
}

static void
put_row(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row)
{
	size_t start;

	close_pack(batch);
	start = batch->data.len;
	batch->data.len = (size_t) (mr_copy_row(batch->data.data + start, row) - batch->data.data);
	entry->key_at = start + MR_COPY_ROW_BYTES - 8;
	entry->payload_at = batch->data.len - row->payload_len;
}

/* A row with an empty payload, which close_pack() makes as long as it has become. */
static void
open_pack(MrStageBatch *batch, const MrCopyRow *first)
{
	MrCopyRow row = {.batch = batch->id,
					 .offset = first->offset,
					 .kafka_ts = first->kafka_ts,
					 .partition = -1,
					 .kind = MR_KIND_PACK,
					 .payload = "",
					 .payload_len = 0};

	batch->pack_at =
		(size_t) (mr_copy_row(batch->data.data + batch->data.len, &row) - batch->data.data);
	batch->pack_size = 0;
	batch->data.len = batch->pack_at + MR_PACK_HEAD_BYTES;
}

static void
close_pack(MrStageBatch *batch)
{
	char *pack = batch->data.data + batch->pack_at;

	if (batch->pack_at == 0)
		return;
	mr_put32(pack - 4, (uint32_t) (batch->data.len - batch->pack_at));
	mr_put32(pack, batch->pack_size);
	batch->pack_at = 0;
}

static int
by_partition(const void *a, const void *b)
{
	int32_t left = ((const MrStageEntry *) a)->part.partition;
	int32_t right = ((const MrStageEntry *) b)->part.partition;

	return (left > right) - (left < right);
}

static void
put_trailer(MrStageBatch *batch, int64_t wall_ms)
{
	size_t record = mr_trailer_bytes((size_t) batch->entry_count);
	MrCopyRow row = {.batch = batch->id,
					 .kafka_ts = wall_ms,
					 .partition = -1,
					 .kind = MR_KIND_TRAILER,
					 .payload = "",
					 .payload_len = 0};
	char *out;

	mr_buffer_reserve(&batch->data, MR_COPY_ROW_BYTES + record);
	/* An empty payload first, whose length is then put right: the record is written in place. */
	out = mr_copy_row(batch->data.data + batch->data.len, &row);
	mr_put32(out - 4, (uint32_t) record);
	out = mr_trailer_put_head(out, (uint32_t) batch->entry_count);
	for (int i = 0; i < batch->entry_count; i++)
		out = mr_trailer_put_part(out, &batch->entries[i].part);
	batch->data.len = (size_t) (out - batch->data.data);
}
