/*
 * admit.h: the fence: which of the events that were read are the next ones of their partitions.
 */
#ifndef MR_ADMIT_H
#define MR_ADMIT_H

#include "program/batch.h"

/*
 * Asked of each event that continues its partition, in order, `taken` being in the batch already: false ends the
 * batch before it. It may give the event an outcome.
 */
typedef bool (*MrTakeEvent)(void *arg, MrEvent *event, int taken);

/*
 * Takes the locks of the partitions that were read (ascending), compares each staged part with the current
 * epoch and position, and keeps what continues exactly there: other events are removed from the batch.
 * `take` may end the batch early. A gap gives its partition a new epoch, so that the ingestor notices.
 */
extern void mr_batch_admit(MrBatch *batch, int32 pipeline_id, MrTakeEvent take, void *arg);

/*
 * For events that do not come from a lane: locks and reads one more partition, whose counters they change. False: another
 * transaction has it locked.
 */
extern bool mr_batch_try_partition(MrBatch *batch, int32 pipeline_id, int32 partition);

#endif /* MR_ADMIT_H */
