/*
 * lane_reader.h: the reader's side of a lane: staged events into a batch, in the order they were committed.
 */
#ifndef MR_LANE_READER_H
#define MR_LANE_READER_H

#include "server/shmem.h"
#include "program/batch.h"

/*
 * Reads what is new in the lane, whole staged batches, until `max_events` or `max_bytes` are reached. What
 * was read is in batch->events and batch->staged; batch->end is the cursor behind it. Nothing is decided yet.
 * Needs a transaction. False: nothing is there, or the slot was given to a lane of another pipeline.
 */
extern bool mr_lane_read(MrLane *lane, int32 pipeline_id, MrBatch *batch, int max_events,
						 int64 max_bytes);

#endif /* MR_LANE_READER_H */
