/*
 * order.h: ordering => 'key': events of one key take effect in the order of their offsets, others pass them.
 *
 * The rows of millrace.retry with the same partition and order_key are a queue, by offset. Its first event failed
 * and is tried again, or is a dead letter that holds its key (on_dead => 'hold'), or was released; the others are
 * parked. An event whose key has a queue joins it instead of being processed; when an event fails, those of its key
 * behind it in the batch are parked, and nothing of them is written. When the first leaves, the next is due at
 * once, and takes those behind it along.
 *
 * Workers that change a queue hold the lock of its partition, so what a batch finds is valid until its commit.
 * Verbs, which may be in an open transaction for a long time, do without: they release no event, but make a held
 * row due, or put its replay in its place; then worker 0 does the rest. (alter_pipeline() holds the pipeline's
 * lock.) Order holds within a partition; a null key is no key. Keys are distinguished by a 64-bit hash: two keys
 * with the same hash share a queue.
 */
#ifndef MR_ORDER_H
#define MR_ORDER_H

#include "pipeline/pipeline.h"
#include "program/batch.h"

typedef struct MrOrder MrOrder;

/*
 * The queues of the pipeline as they are now, in the current memory context. The locks of all partitions of the
 * batch are held.
 */
extern MrOrder *mr_order_read(const MrDefinition *definition);

/*
 * Whether an event from a lane may join the batch; parks it (MR_PARKED) when its key has a queue. False: the
 * queues are full (max_parked, max_parked_per_key), the pipeline waits for them.
 */
extern bool mr_order_admit(MrOrder *order, MrEvent *event);

/*
 * After the verdict: parks the events behind those that failed. True: rows of a parked event were written, or
 * took the place of others; they are to be rolled back.
 */
extern bool mr_order_park_followers(const MrDefinition *definition, MrBatch *batch);

/*
 * Whether what failed in a batch from a lane fits the queues; otherwise the batch is given back, to be settled in smaller
 * parts, until they are full or it fits.
 */
extern void mr_order_check_room(MrOrder *order, MrBatch *batch);

/* Whether a dead letter keeps its key waiting. */
extern bool mr_order_holds(const MrDefinition *definition, const MrEvent *event);

/* After the rows of millrace.retry were settled: releases those that are first in their queue now. */
extern void mr_order_release(const MrDefinition *definition, const MrBatch *batch);

#endif /* MR_ORDER_H */
