/*
 * observe.h: what a batch that was committed adds to the live statistics (stats/live.h).
 */
#ifndef MR_OBSERVE_H
#define MR_OBSERVE_H

#include "stats/live.h"
#include "program/batch.h"

/*
 * Behind the commit, outside of a transaction. `began_us`: when the step began, by mr_clock_us(). Nothing here can
 * fail, and nothing depends on it.
 */
extern void mr_observe_batch(MrLiveSeat *seat, Oid extension, int32 pipeline_id,
							 const MrBatch *batch, int64 began_us);

#endif /* MR_OBSERVE_H */
