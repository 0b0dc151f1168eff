/*
 * backfill.h: filling windows with the rows that were there before them.
 */
#ifndef MR_WINDOW_BACKFILL_H
#define MR_WINDOW_BACKFILL_H

#include "window/fold.h"

/*
 * Between batches: fills the next stretch of a window of the pipeline, when it is due (68_window_backfill.sql), in a transaction of its
 * own. The pipeline is not locked meanwhile; the worker takes no batch, others do. A fold says whether there may be such windows.
 */
extern void mr_backfill_if_due(MrFold *fold, int32 pipeline_id);

/* mr_clock_us() when it is due next; PG_INT64_MAX: nothing is to be filled, as far as is known. */
extern int64 mr_backfill_due_at(const MrFold *fold);

#endif /* MR_WINDOW_BACKFILL_H */
