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
 * For events that do not come from a lane: locks and reads their partitions, whose counters they change. Those that
 * another transaction has locked are not waited for, but one, `wanted`, for `wait_ms` (0: not at all): their events are removed
 * from the batch. Returns how many were; *busy: the first such partition.
 */
extern int mr_batch_lock_free_partitions(MrBatch *batch, int32 pipeline_id, int32 wanted,
										 int wait_ms, int32 *busy);

#endif /* MR_ADMIT_H */
