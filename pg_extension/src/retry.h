/*
 * retry.h: events that failed and wait to be tried again: rows of millrace.retry.
 */
#ifndef MR_RETRY_H
#define MR_RETRY_H

#include "batch.h"
#include "pipeline.h"

/*
 * Into batch: events of the pipeline that are due, the longest due first, and behind each what is parked behind
 * it; at most `max`, and no more once their payloads have `max_bytes`. In the order of their coordinates.
 */
extern void mr_retry_read_due(MrBatch *batch, int32 pipeline_id, int max, int64 max_bytes);

/* When the next one is due; TIMESTAMP_INFINITY: none waits. */
extern TimestampTz mr_retry_next_due(int32 pipeline_id);

/* An event is to be tried (again) at next_at: its row is inserted, or changed when it has one. */
extern void mr_retry_put(const MrDefinition *definition, const MrEvent *event, TimestampTz next_at);

/* An event waits behind another one of its queue. */
extern void mr_retry_park(const MrDefinition *definition, const MrEvent *event);

/* An event became a dead letter that keeps its queue waiting until it is replayed or discarded. */
extern void mr_retry_hold(const MrDefinition *definition, const MrEvent *event,
						  int64 dead_letter_id);

/* The first row of a queue, when it was parked and waits for nobody any more, is due at once. */
extern void mr_retry_release_first(int32 pipeline_id, int32 partition, int64 order_key);

/* An event that came from millrace.retry is done with. */
extern void mr_retry_remove(const MrEvent *event);

/* Its failures so far, the present one included, as an array of {at, stage, sqlstate, message}. */
extern Datum mr_retry_history(const MrEvent *event);

#endif /* MR_RETRY_H */
