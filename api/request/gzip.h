/* The content coding gzip (RFC 1952), of an answer or of a request's body as a whole. Pure. */
#ifndef MR_API_GZIP_H
#define MR_API_GZIP_H

#include <stdbool.h>

#include "common/buffer.h"

typedef enum MrGunzip
{
	MR_GUNZIP_OK,
	MR_GUNZIP_INVALID, /* it is not gzip, its check fails, or something is behind its end */
	MR_GUNZIP_SHORT,   /* it ends too early */
	MR_GUNZIP_LARGE,   /* the text has more bytes than it may have */
	MR_GUNZIP_NO_ROOM  /* has_room() said so */
} MrGunzip;

/* Replaces the text by its compressed form. Deterministic: the same text gives the same bytes. */
extern void mr_gzip(MrBuffer *text);
/*
 * Appends the text of one or more gzip members to `out`, whose length stays at `max` bytes or below and, step by step,
 * what has_room() allows: little that comes is not much that is kept. Unless it is OK what `out` has is of no meaning.
 */
extern MrGunzip mr_gunzip(MrBuffer *out, const char *data, size_t len, size_t max,
						  bool (*has_room)(void *owner, size_t bytes), void *owner);

#endif
