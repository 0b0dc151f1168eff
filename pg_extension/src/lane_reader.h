/*
 * lane_reader.h: the reader's side of a lane: staged events into a batch, in the order they were committed.
 */
#ifndef MR_LANE_READER_H
#define MR_LANE_READER_H

#include "batch.h"
#include "shmem.h"

/*
 * Reads what is new in the lane, whole staged batches, until `max_events` or `max_bytes` are reached. What
 * was read is in batch->events and batch->staged; batch->end is the cursor behind it. Nothing is decided yet.
 * Needs a transaction. False: nothing is there, or the slot was given to a lane of another pipeline.
 */
extern bool mr_lane_read(MrLane *lane, int32 pipeline_id, MrBatch *batch, int max_events,
						 int64 max_bytes);

/*
 * Asked of each event that continues its partition, in order, `taken` being in the batch already: false ends the
 * batch before it. It may give the event an outcome.
 */
typedef bool (*MrTakeEvent)(void *arg, MrEvent *event, int taken);

/*
 * Takes the locks of the partitions that were read (ascending), compares each staged part with the present
 * epoch and position, and keeps what continues exactly there: other events are removed from the batch.
 * `take` may end the batch early. A gap gives its partition a new epoch, so that the ingestor notices.
 */
extern void mr_batch_admit(MrBatch *batch, int32 pipeline_id, MrTakeEvent take, void *arg);

/*
 * For events that do not come from a lane: locks and reads their partitions, whose counters they change.
 */
extern void mr_batch_lock_partitions(MrBatch *batch, int32 pipeline_id);

#endif /* MR_LANE_READER_H */
