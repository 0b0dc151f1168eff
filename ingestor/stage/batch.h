/*
 * A batch: the events of some partitions of one lane, staged by one COPY, ended by a trailer row
 * that says for each partition which positions the batch moves it between. Events are put into packs
 * of a page (common/staging_format.h); one that is too large for a pack is a row. Memory is kept from one
 * batch to the next; adding an event allocates nothing.
 */
#ifndef MR_INGESTOR_BATCH_H
#define MR_INGESTOR_BATCH_H

#include <stdbool.h>

#include "common/buffer.h"
#include "ingestor/stage/copy_row.h"

/* One partition's part of a batch: as the trailer will have it, and what its CRC is made of at close. */
typedef struct MrStageEntry
{
	MrStagedPart part;
	bool crc_known; /* made earlier, as the payload is not in the batch */
	size_t key_at, key_len;
	size_t payload_at, payload_len;
} MrStageEntry;

typedef struct MrStageBatch
{
	int64_t id;
	int events;
	int64_t payload_bytes; /* of them */
	MrBuffer data;         /* the COPY stream */
	size_t pack_at;        /* where the open pack begins in it, 0: none is open */
	uint32_t pack_size;    /* events in it */
	MrStageEntry *entries;
	int entry_count;
	int entry_cap;
} MrStageBatch;

/* When a batch is full. */
typedef struct MrBatchLimits
{
	int64_t events;
	int64_t bytes;
} MrBatchLimits;

/* Empties the batch and gives it an id that is unique within the lane's connection. */
extern void mr_batch_begin(MrStageBatch *batch, int64_t id);
/* The entry of a partition, made when there is none; *slot remembers where (any int to begin with). */
extern MrStageEntry *mr_batch_entry(MrStageBatch *batch, int *slot, int32_t partition,
									int64_t epoch, int64_t position);
/* Adds an event. full_crc: the CRC of key and payload when the row does not hold the payload. */
extern void mr_batch_add(MrStageBatch *batch, MrStageEntry *entry, const MrCopyRow *row,
						 const uint32_t *full_crc);
/* Puts the trailer and the end of the COPY stream; sorts the entries by partition. */
extern void mr_batch_close(MrStageBatch *batch, int64_t wall_ms);
/* The query that stages it: SELECT millrace.stage(…); COPY … */
extern void mr_batch_sql(const MrStageBatch *batch, int32_t lane, int64_t incarnation,
						 const char *segment, MrBuffer *sql);
extern bool mr_batch_is_empty(const MrStageBatch *batch);
/* It has an entry of the partition. */
extern bool mr_batch_has(const MrStageBatch *batch, int32_t partition);
extern void mr_batch_free(MrStageBatch *batch);

/* A batch without events is never full. */
static inline bool
mr_batch_is_full(const MrStageBatch *batch, const MrBatchLimits *limits)
{
	return batch->events >= limits->events ||
		   (batch->events > 0 && (int64_t) batch->data.len >= limits->bytes);
}

extern uint32_t mr_message_crc(const void *key, size_t key_len, const void *payload,
							   size_t payload_len);

#endif
