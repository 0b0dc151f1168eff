/*
 * fold.h: merging the partial values of batches, so that readers have few of them to add up.
 */
#ifndef MR_WINDOW_FOLD_H
#define MR_WINDOW_FOLD_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* How soon to fold. Zeroed: nothing has been appended. */
typedef struct MrFold
{
	bool known; /* whether the pipeline has windows, as this worker last saw it */
	bool windows;
	int64 unfolded; /* partial values that this worker has appended since all windows were, about */
	int64 kept;     /* how many of these there were when all windows but those in `left` were */
	List *left;     /* these: another process had them, or folding them failed */
	int64 fold_at;  /* mr_clock_us() when to fold them, however few they are */
	bool again;     /* some window was not folded to the end */
	int64
		state; /* of the windows before they were folded last, as millrace._windows_state() has it */
	int64 fresh_to;   /* mr_clock_us() when to fold them though it is the same */
	int64 not_before; /* mr_clock_us(): folds of so many failed, or another process was at it */
	bool filling;     /* some window may be one that is not filled yet (backfill.h) */
	int64 fill_at;    /* mr_clock_us() when to look at these */
} MrFold;

/*
 * Between batches: when enough has been appended, or long enough ago, folds the windows of the pipeline, each in a transaction of its own, as
 * the extension's owner, and writes what that closes to the outbox of those that are published, in another one. At rest, where nothing
 * was appended, it first looks, in one transaction for all windows, whether anything else has changed: a watermark moves with time. What
 * fails is logged, and moved unmerged: the number of partial values that readers begin with stays bounded.
 *
 * A window that another process has, for as long as a rebuild takes maybe, is left alone and tried again later, by itself and often when much is unfolded; nothing
 * is held meanwhile.
 */
extern void mr_fold_if_due(MrFold *fold, int32 pipeline_id);

/* So much is unfolded, since others have the windows or folds fail, that no batch is to add to it. */
extern bool mr_fold_is_full(const MrFold *fold);

/* What it has allocated. */
extern void mr_fold_free(MrFold *fold);

#endif /* MR_WINDOW_FOLD_H */
