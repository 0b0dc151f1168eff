/* The chunked transfer coding (RFC 9112, section 7.1), strictly: no extensions, no trailer fields. Pure. */
#ifndef MR_API_CHUNKED_H
#define MR_API_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "api/wire/head.h"
#include "common/buffer.h"

typedef enum MrChunkState
{
	MR_CHUNK_SIZE, /* digits of a size */
	MR_CHUNK_SIZE_LF,
	MR_CHUNK_DATA,
	MR_CHUNK_DATA_CR,
	MR_CHUNK_DATA_LF,
	MR_CHUNK_END_CR, /* behind the last chunk */
	MR_CHUNK_END_LF,
	MR_CHUNK_DONE
} MrChunkState;

/* Zero-initialized: before the first chunk. */
typedef struct MrChunked
{
	MrChunkState state;
	int digits;
	uint64_t left; /* of the chunk */
} MrChunked;

/*
 * Takes bytes of the body, appends what they say to `body`, which may grow to body_max bytes, and sets *used to the
 * bytes taken: all, unless the body ended (state MR_CHUNK_DONE) or the result is a refusal.
 */
extern MrRefusal mr_chunked_take(MrChunked *chunked, const char *data, size_t len, MrBuffer *body,
								 uint64_t body_max, size_t *used);

#endif
