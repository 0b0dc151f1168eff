/*
 * plain_target.h: which targets are plain: nothing can happen there but the insert itself.
 */
#ifndef MR_PLAIN_TARGET_H
#define MR_PLAIN_TARGET_H

#include "postgres.h"

#include "nodes/bitmapset.h"
#include "utils/rel.h"

/*
 * Whether the target is an ordinary table without triggers, rules, generated columns or row security, and no domain asks
 * for a column that is not given; `given` has the attribute numbers of those that are. Rows of a pipeline without a
 * conflict rule then go in a page at a time (run/insert_direct.h), upserts mostly without ON CONFLICT (run/upsert_direct.h), all
 * others by a planned INSERT (run/write.c).
 */
extern bool mr_target_is_plain(Relation target, const Bitmapset *given);

#endif /* MR_PLAIN_TARGET_H */
