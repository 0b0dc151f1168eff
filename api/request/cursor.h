/*
 * Where a page begins: the sort key of the row before it, signed (HMAC-SHA-256) together with the filters it was made
 * for, so that it fits no other list. Opaque to clients; pure.
 */
#ifndef MR_API_CURSOR_H
#define MR_API_CURSOR_H

#include <stdbool.h>

#include "common/buffer.h"

#define MR_CURSOR_SECRET_BYTES 32

typedef struct MrCursorSecret
{
	unsigned char bytes[MR_CURSOR_SECRET_BYTES];
} MrCursorSecret;

typedef struct MrCursor
{
	bool backward; /* towards newer rows */
	char *time;    /* as PostgreSQL writes it */
	char *id;
} MrCursor;

/* Of a text that the processes of a service share; NULL or "": random. */
extern void mr_cursor_secret_make(MrCursorSecret *secret, const char *text);
/* Appends the cursor as base64url. filters: any text that says which list it is of. */
extern void mr_cursor_write(MrBuffer *out, const MrCursorSecret *secret, const char *filters,
							bool backward, const char *time, const char *id);
/* False: it is none of ours, or of another list. */
extern bool mr_cursor_read(MrCursor *cursor, const MrCursorSecret *secret, const char *filters,
						   const char *text) __attribute__((warn_unused_result));
extern void mr_cursor_free(MrCursor *cursor);

#endif
