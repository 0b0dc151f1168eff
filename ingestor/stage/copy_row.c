/* Binary COPY rows. */
#include "ingestor/stage/copy_row.h"

#include <string.h>

static const char signature[MR_COPY_HEADER_BYTES] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

static char *put_bytes(char *out, const void *data, size_t len);

char *
mr_copy_header(char *out)
{
	memcpy(out, signature, sizeof(signature));
	return out + sizeof(signature);
}

char *
mr_copy_row(char *out, const MrCopyRow *row)
{
	out = mr_put16(out, MR_SEG_NATTS);
	out = mr_put32(out, 8);
	out = mr_put64(out, (uint64_t) row->batch);
	out = mr_put32(out, 8);
	out = mr_put64(out, (uint64_t) row->offset);
	out = mr_put32(out, 8);
	out = mr_put64(out, (uint64_t) row->kafka_ts);
	out = mr_put32(out, 4);
	out = mr_put32(out, (uint32_t) row->partition);
	out = mr_put32(out, 2);
	out = mr_put16(out, (uint16_t) row->kind);
	out = put_bytes(out, row->key, row->key_len);
	out = put_bytes(out, row->headers, row->headers_len);
	return put_bytes(out, row->payload, row->payload_len);
}

char *
mr_copy_end(char *out)
{
	return mr_put16(out, (uint16_t) -1);
}

static inline char *
put_bytes(char *out, const void *data, size_t len)
{
	if (data == NULL)
		return mr_put32(out, (uint32_t) -1);
	out = mr_put32(out, (uint32_t) len);
	memcpy(out, data, len);
	return out + len;
}
