/*
 * retry.h: events that failed and wait to be tried again: rows of millrace.retry.
 */
#ifndef MR_RETRY_H
#define MR_RETRY_H

#include "access/htup.h"

#include "pipeline/pipeline.h"
#include "program/batch.h"

/* Of a row: it is parked; it is parked, and was not released. */
extern bool mr_retry_is_parked(HeapTuple tuple, TupleDesc desc);
extern bool mr_retry_waits(HeapTuple tuple, TupleDesc desc);

/* Of a row: it is there for a dead letter that holds its key, or held it until it was discarded. */
extern bool mr_retry_is_held(HeapTuple tuple, TupleDesc desc);

/*
 * The key an event is ordered by, a hash of Kafka's: column order_key of its row. False: it is in no queue (no
 * ordering, a null key, a replay that came later).
 */
extern bool mr_retry_order_key(const MrDefinition *definition, const MrEvent *event, int64 *key);

/* Its last failure, of an earlier try, had that SQLSTATE. False for an event that comes from a lane. */
extern bool mr_retry_failed_last_with(const MrEvent *event, int sqlstate);

/* An event failed now and is to be tried (again) at next_at: its row is inserted, or changed when it has one. */
extern void mr_retry_put(const MrDefinition *definition, const MrEvent *event, TimestampTz now,
						 TimestampTz next_at);

/* An event waits behind another one of its queue. */
extern void mr_retry_park(const MrDefinition *definition, const MrEvent *event);

/* An event became a dead letter that keeps its queue waiting until it is replayed or discarded. */
extern void mr_retry_hold(const MrDefinition *definition, const MrEvent *event,
						  int64 dead_letter_id);

/* The first row of a queue, when it was parked and waits for nobody any more, is due at once. */
extern void mr_retry_release_first(int32 pipeline_id, int32 partition, int64 order_key);

/* An event that came from millrace.retry is done with. */
extern void mr_retry_remove(const MrEvent *event);

/* Its failures so far, the current one (now) included, as an array of {at, stage, sqlstate, message}. */
extern Datum mr_retry_history(const MrEvent *event, TimestampTz now);

#endif /* MR_RETRY_H */
