/*
 * staging_format.h: the form in which events are staged, the one definition for who writes it (the ingestor) and who
 * reads it (the extension's workers).
 *
 * Pure: constants and functions on bytes. It includes the C library only, as it is the one header of common/ that the
 * extension may include. All integers are big-endian, in two's complement.
 *
 * A staged batch is one COPY into a segment table: a row for each event, then a trailer row. Rows of a batch may lie in
 * any order. A batch without events moves positions past transaction markers and compaction gaps.
 */
#ifndef MR_STAGING_FORMAT_H
#define MR_STAGING_FORMAT_H

#include <stddef.h>
#include <stdint.h>

enum /* columns of a segment table, by attribute number */
{
	MR_SEG_BATCH = 1, /* bigint: unique within the lane's connection */
	MR_SEG_OFFSET,    /* bigint */
	MR_SEG_KAFKA_TS,  /* bigint: ms since 1970, -1 none */
	MR_SEG_PARTITION, /* integer; of a trailer -1 */
	MR_SEG_KIND,      /* smallint: bits MR_KIND_* */
	MR_SEG_KEY,       /* bytea, NULL none */
	MR_SEG_HEADERS,   /* bytea, NULL none: headers, packed as below */
	MR_SEG_PAYLOAD,   /* bytea, NULL a tombstone */
	MR_SEG_NATTS = MR_SEG_PAYLOAD
};

enum /* bits of column kind */
{
	MR_KIND_TRAILER = 1, /* no event: the payload is the batch's trailer */
	MR_KIND_OVERSIZE =
		2, /* the message was too large: the payload is its size, MR_OVERSIZE_BYTES */
	MR_KIND_LOG_APPEND_TIME = 4, /* kafka_ts is the broker's time, not the producer's */
	MR_KIND_BAD_HEADERS = 8      /* it had headers that could not be read: column headers is NULL */
};

#define MR_OVERSIZE_BYTES 8 /* an int64 */

/*
 * Packed headers: int32 number of headers, then for each int32 length of the name, the name, int32 length of the value,
 * the value. A null value has the length MR_HEADER_NULL and no bytes.
 */
#define MR_HEADER_NULL (-1)

/* The trailer: int32 version, int32 number of parts, then the parts, ascending by partition. */
#define MR_TRAILER_VERSION    1
#define MR_TRAILER_HEAD_BYTES 8
#define MR_TRAILER_PART_BYTES 56

/* A staged batch's part of one partition. */
typedef struct MrStagedPart
{
	int32_t partition;
	int32_t rows; /* of the batch with this partition; 0: the position moves only */
	int64_t epoch;
	int64_t previous;    /* position before the batch */
	int64_t next;        /* position after it */
	int64_t last_offset; /* of the last message, -1 none */
	int64_t last_ts;     /* its kafka_ts */
	uint32_t
		last_crc; /* CRC-32 (zlib's) of its key followed by its payload, 0 when there is none */
} MrStagedPart;

/* Each puts an integer at `out` and returns where the next byte goes. */
static inline char *
mr_put16(char *out, uint16_t value)
{
	out[0] = (char) (value >> 8);
	out[1] = (char) value;
	return out + 2;
}

static inline char *
mr_put32(char *out, uint32_t value)
{
	out[0] = (char) (value >> 24);
	out[1] = (char) (value >> 16);
	out[2] = (char) (value >> 8);
	out[3] = (char) value;
	return out + 4;
}

static inline char *
mr_put64(char *out, uint64_t value)
{
	out[0] = (char) (value >> 56);
	out[1] = (char) (value >> 48);
	out[2] = (char) (value >> 40);
	out[3] = (char) (value >> 32);
	out[4] = (char) (value >> 24);
	out[5] = (char) (value >> 16);
	out[6] = (char) (value >> 8);
	out[7] = (char) value;
	return out + 8;
}

/* The integer at `in`, which has as many bytes. */
static inline uint32_t
mr_get32(const char *in)
{
	const unsigned char *byte = (const unsigned char *) in;

	return (uint32_t) byte[0] << 24 | (uint32_t) byte[1] << 16 | (uint32_t) byte[2] << 8 | byte[3];
}

static inline uint64_t
mr_get64(const char *in)
{
	return (uint64_t) mr_get32(in) << 32 | mr_get32(in + 4);
}

/* Reading packed headers one by one; what is broken off ends them. */
typedef struct MrHeaderReader
{
	const char *at;
	const char *end;
	int64_t left;
} MrHeaderReader;

typedef struct MrHeader
{
	const char *name; /* not ended by a NUL */
	const char *value;
	int32_t name_length;
	int32_t value_length; /* MR_HEADER_NULL: null */
} MrHeader;

/* `packed` may be NULL: none. */
static inline MrHeaderReader
mr_headers_begin(const char *packed, size_t length)
{
	MrHeaderReader reader = {packed, packed, 0};

	if (packed == NULL || length < 4)
		return reader;
	reader.at = packed + 4;
	reader.end = packed + length;
	reader.left = (int32_t) mr_get32(packed);
	return reader;
}

/* A length and as many bytes; a null has none. */
static inline int
mr_headers_bytes(MrHeaderReader *reader, const char **bytes, int32_t *length)
{
	if (reader->end - reader->at < 4)
		return 0;
	*length = (int32_t) mr_get32(reader->at);
	reader->at += 4;
	*bytes = reader->at;
	if (*length < 0)
		return *length == MR_HEADER_NULL;
	if (*length > reader->end - reader->at)
		return 0;
	reader->at += *length;
	return 1;
}

/* The next header, which points into the packed ones; 0: there is none. */
static inline int
mr_headers_next(MrHeaderReader *reader, MrHeader *header)
{
	if (reader->left <= 0)
		return 0;
	reader->left--;
	if (mr_headers_bytes(reader, &header->name, &header->name_length) && header->name_length >= 0 &&
		mr_headers_bytes(reader, &header->value, &header->value_length))
		return 1;
	reader->left = 0;
	return 0;
}

/* Bytes of a trailer with so many parts. */
static inline size_t
mr_trailer_bytes(size_t parts)
{
	return MR_TRAILER_HEAD_BYTES + parts * MR_TRAILER_PART_BYTES;
}

/* The head of a trailer; its parts follow in the order of their partitions. Returns where they go. */
static inline char *
mr_trailer_put_head(char *out, uint32_t parts)
{
	return mr_put32(mr_put32(out, MR_TRAILER_VERSION), parts);
}

/* The number of parts of a trailer of `length` bytes; -1: its version or its length is another. */
static inline int64_t
mr_trailer_parts(const char *trailer, size_t length)
{
	if (length < MR_TRAILER_HEAD_BYTES || mr_get32(trailer) != MR_TRAILER_VERSION ||
		length != mr_trailer_bytes(mr_get32(trailer + 4)))
		return -1;
	return mr_get32(trailer + 4);
}

/* Returns where the next part goes. */
static inline char *
mr_trailer_put_part(char *out, const MrStagedPart *part)
{
	out = mr_put32(out, (uint32_t) part->partition);
	out = mr_put32(out, (uint32_t) part->rows);
	out = mr_put64(out, (uint64_t) part->epoch);
	out = mr_put64(out, (uint64_t) part->previous);
	out = mr_put64(out, (uint64_t) part->next);
	out = mr_put64(out, (uint64_t) part->last_offset);
	out = mr_put64(out, (uint64_t) part->last_ts);
	out = mr_put32(out, part->last_crc);
	return mr_put32(out, 0); /* to a multiple of eight */
}

/* Part `i` of a trailer that has it. */
static inline MrStagedPart
mr_trailer_part(const char *trailer, int i)
{
	const char *in = trailer + mr_trailer_bytes((size_t) i);
	MrStagedPart part = {
		.partition = (int32_t) mr_get32(in),
		.rows = (int32_t) mr_get32(in + 4),
		.epoch = (int64_t) mr_get64(in + 8),
		.previous = (int64_t) mr_get64(in + 16),
		.next = (int64_t) mr_get64(in + 24),
		.last_offset = (int64_t) mr_get64(in + 32),
		.last_ts = (int64_t) mr_get64(in + 40),
		.last_crc = mr_get32(in + 48),
	};

	return part;
}

#endif /* MR_STAGING_FORMAT_H */
