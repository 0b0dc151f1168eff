/*
 * Which transactions a statement has seen: pg_snapshot as PostgreSQL writes it ("xmin:xmax:xip,xip,…"). Those of one
 * server are in one order: a later one has seen all that an earlier one has. Pure.
 */
#ifndef MR_API_SNAPSHOT_H
#define MR_API_SNAPSHOT_H

#include <stdbool.h>

#include "common/buffer.h"

/* Is it the text of a snapshot, with its numbers in ascending order? */
extern bool mr_snapshot_is_valid(const char *text);
/* Below 0: a is earlier than b, 0: they have seen the same, above 0: a is later. Both must be valid. */
extern int mr_snapshot_compare(const char *a, const char *b);
/* A shorter spelling without characters that a header field or a URL would have to escape, and back. */
extern void mr_snapshot_pack(MrBuffer *out, const char *text);
/* False: it is no such spelling. */
extern bool mr_snapshot_unpack(MrBuffer *out, const char *packed, size_t len);

#endif
