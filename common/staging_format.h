/*
 * staging_format.h: the form in which events are staged, the one definition for who writes it (the ingestor) and who
 * reads it (the extension's workers).
 *
 * Pure: constants and functions on bytes. It includes the C library only, as it is the one header of common/ that the
 * extension may include. All integers are big-endian, in two's complement.
 *
 * A staged batch is one COPY into a segment table: rows with its events, then a trailer row. Most events are in packs, many
 * in one row, as a row costs COPY and the heap more than the bytes of an event do; one that is too large for a pack is a row of
 * its own. Rows of a batch may lie in any order. A batch without events moves positions past transaction markers and
 * compaction gaps.
 */
#ifndef MR_STAGING_FORMAT_H
#define MR_STAGING_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum /* columns of a segment table, by attribute number */
{
	MR_SEG_BATCH = 1, /* bigint: unique within the lane's connection */
	MR_SEG_OFFSET,    /* bigint; of a pack that of its first event */
	MR_SEG_KAFKA_TS,  /* bigint: ms since 1970, -1 none; of a pack that of its first event */
	MR_SEG_PARTITION, /* integer; of a trailer and of a pack -1 */
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
	MR_KIND_BAD_HEADERS = 8,     /* it had headers that could not be read: column headers is NULL */
	MR_KIND_PACK =
		16 /* events, as many as there are: the payload is the pack; key and headers are NULL */
};

/* Bits of kind that an event in a pack may have. */
#define MR_KIND_OF_PACKED (MR_KIND_OVERSIZE | MR_KIND_LOG_APPEND_TIME | MR_KIND_BAD_HEADERS)

#define MR_OVERSIZE_BYTES 8 /* an int64 */

/*
 * Packed headers: int32 number of headers, then for each int32 length of the name, the name, int32 length of the value,
 * the value. A null value has the length MR_HEADER_NULL and no bytes.
 */
#define MR_HEADER_NULL (-1)

/*
 * A pack: int32 number of events, then for each int64 offset, int64 kafka_ts, int32 partition, int16 kind, two bytes that are 0,
 * and key, headers and payload, each as int32 length and as many bytes, which zeros fill up to a multiple of four; a null one has the
 * length MR_PACKED_NULL and no bytes. So every length has an address that is a multiple of four, and the reader can put
 * the length word of a bytea in its place.
 *
 * With the row's other columns and the headers of row and page a pack of MR_PACK_BYTES fills a page of 8 kB.
 */
#define MR_PACK_BYTES         8100
#define MR_PACK_HEAD_BYTES    4
#define MR_PACKED_FIXED_BYTES 24
#define MR_PACKED_NULL        (-1)

/*
 * The trailer: int32 version, int32 number of parts, then the parts, ascending by partition. The version is that of the whole
 * batch: 1 had no packs.
 */
#define MR_TRAILER_VERSION    2
#define MR_TRAILER_HEAD_BYTES 8
#define MR_TRAILER_PART_BYTES 56

/* A staged batch's part of one partition. */
typedef struct MrStagedPart
{
	int32_t partition;
	int32_t events; /* of the batch with this partition; 0: the position moves only */
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

/* Bytes that an event takes in a pack. */
static inline size_t
mr_packed_bytes(size_t key_len, size_t headers_len, size_t payload_len)
{
	const size_t up = 3;

	return MR_PACKED_FIXED_BYTES + 3 * 4 + ((key_len + up) & ~up) + ((headers_len + up) & ~up) +
		   ((payload_len + up) & ~up);
}

/* Puts what precedes an event's key; returns where that goes. */
static inline char *
mr_packed_put_fixed(char *out, int64_t offset, int64_t kafka_ts, int32_t partition, int16_t kind)
{
	out = mr_put64(out, (uint64_t) offset);
	out = mr_put64(out, (uint64_t) kafka_ts);
	out = mr_put32(out, (uint32_t) partition);
	return mr_put32(out, (uint32_t) kind << 16);
}

/* Puts a key, headers or a payload; NULL: null. */
static inline char *
mr_packed_put_bytes(char *out, const void *data, size_t length)
{
	if (data == NULL)
		return mr_put32(out, (uint32_t) MR_PACKED_NULL);
	out = mr_put32(out, (uint32_t) length);
	if (length == 0)
		return out;
	memset(out + ((length - 1) & ~(size_t) 3), 0, 4);
	memcpy(out, data, length);
	return out + ((length + 3) & ~(size_t) 3);
}

/* A key, headers or a payload in a pack. */
typedef struct MrPackedBytes
{
	char *at;       /* its length, in the pack; the bytes follow. NULL: null */
	int32_t length; /* 0 when it is null */
} MrPackedBytes;

typedef struct MrPackedEvent
{
	int64_t offset;
	int64_t kafka_ts;
	int32_t partition;
	int16_t kind;
	MrPackedBytes key;
	MrPackedBytes headers;
	MrPackedBytes payload;
} MrPackedEvent;

/* Reading a pack event by event. */
typedef struct MrPackReader
{
	char *at;
	char *end;
	int64_t left; /* events; -1: it is broken */
} MrPackReader;

static inline MrPackReader
mr_pack_begin(char *pack, size_t length)
{
	MrPackReader reader = {pack, pack + length, -1};

	if (length < MR_PACK_HEAD_BYTES)
		return reader;
	reader.left = mr_get32(pack);
	reader.at += MR_PACK_HEAD_BYTES;
	return reader;
}

static inline int
mr_packed_bytes_next(MrPackReader *reader, MrPackedBytes *bytes)
{
	int32_t length;

	if (reader->end - reader->at < 4)
		return 0;
	length = (int32_t) mr_get32(reader->at);
	bytes->at = length == MR_PACKED_NULL ? NULL : reader->at;
	bytes->length = length == MR_PACKED_NULL ? 0 : length;
	reader->at += 4;
	if (bytes->length < 0 || ((int64_t) bytes->length + 3) / 4 * 4 > reader->end - reader->at)
		return 0;
	reader->at += ((int64_t) bytes->length + 3) / 4 * 4;
	return 1;
}

/* The next event, which points into the pack. 0: there is none, because it is the end or (mr_pack_is_whole()) the pack is broken. */
static inline int
mr_pack_next(MrPackReader *reader, MrPackedEvent *event)
{
	uint32_t kind;

	if (reader->left <= 0)
		return 0;
	if (reader->end - reader->at < MR_PACKED_FIXED_BYTES)
	{
		reader->left = -1;
		return 0;
	}
	event->offset = (int64_t) mr_get64(reader->at);
	event->kafka_ts = (int64_t) mr_get64(reader->at + 8);
	event->partition = (int32_t) mr_get32(reader->at + 16);
	kind = mr_get32(reader->at + 20);
	event->kind = (int16_t) (kind >> 16);
	reader->at += MR_PACKED_FIXED_BYTES;
	if ((kind & ~((uint32_t) MR_KIND_OF_PACKED << 16)) == 0 &&
		mr_packed_bytes_next(reader, &event->key) &&
		mr_packed_bytes_next(reader, &event->headers) &&
		mr_packed_bytes_next(reader, &event->payload))
	{
		reader->left--;
		return 1;
	}
	reader->left = -1;
	return 0;
}

/* Behind the last event: there were as many as the pack says, and nothing else. */
static inline int
mr_pack_is_whole(const MrPackReader *reader)
{
	return reader->left == 0 && reader->at == reader->end;
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
	out = mr_put32(out, (uint32_t) part->events);
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
		.events = (int32_t) mr_get32(in + 4),
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
