/*
 * Rows of a segment table (common/staging_format.h) in PostgreSQL's binary COPY format. Pure: writes
 * into memory the caller has made large enough.
 */
#ifndef MR_INGESTOR_COPY_ROW_H
#define MR_INGESTOR_COPY_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "common/staging_format.h"

#define MR_COPY_HEADER_BYTES 19
#define MR_COPY_END_BYTES    2
/* Everything of a row but the bytes of key, headers and payload. */
#define MR_COPY_ROW_BYTES 64

typedef struct MrCopyRow
{
	int64_t batch;
	int64_t offset;
	int64_t kafka_ts;
	int32_t partition;
	int16_t kind;
	const void *key; /* NULL = null */
	size_t key_len;
	const void *headers; /* packed; NULL = none */
	size_t headers_len;
	const void *payload; /* NULL = null: a tombstone */
	size_t payload_len;
} MrCopyRow;

extern char *mr_copy_header(char *out);
extern char *mr_copy_row(char *out, const MrCopyRow *row);
extern char *mr_copy_end(char *out);

#endif
