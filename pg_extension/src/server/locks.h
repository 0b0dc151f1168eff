/*
 * locks.h: the engine's heavyweight locks. They live in the server's lock table as advisory locks of classes
 * no SQL function can name, cost no write, end with the transaction (or session), and show in pg_locks.
 *
 * Order, everywhere: extension (mr_lock_extension() in catalog.h), window (millrace._lock_window()), pipeline, partitions ascending, then whatever the
 * user's SQL locks. A rebuild has its window for long, and batches wait for who waits with the pipeline: who has that only tries a window.
 */
#ifndef MR_LOCKS_H
#define MR_LOCKS_H

#include "postgres.h"

#include "storage/lock.h"

/*
 * Shared by each batch; exclusive in alter, drop, pause, which thereby wait for batches in flight.
 */
extern void mr_lock_pipeline(int32 pipeline_id, LOCKMODE lockmode);

/* Shared, if that is possible without waiting; false while somebody changes or drops the pipeline. */
extern bool mr_try_share_pipeline(int32 pipeline_id);

/* Exclusive, for reading and changing the epoch or the position of a partition: settling, assigning, rewinding. */
extern void mr_lock_partition(int32 pipeline_id, int32 partition);

/* The same if that is possible at once; false when another transaction has it. */
extern bool mr_try_lock_partition(int32 pipeline_id, int32 partition);

/* Before the end of the transaction: what was tried has not come to anything. */
extern void mr_unlock_partition(int32 pipeline_id, int32 partition);

/* Exclusive, for reading and changing what a lane's ledger has (pipeline/ledger.h). */
extern void mr_lock_ledger(int32 pipeline_id, int32 lane_id);
extern bool mr_try_lock_ledger(int32 pipeline_id, int32 lane_id);
extern void mr_unlock_ledger(int32 pipeline_id, int32 lane_id);

/* A lane belongs to one session until that ends; false when another has it. */
extern bool mr_try_lock_lane(int32 lane_id);
extern void mr_unlock_lane(int32 lane_id);

/* The relay of a pipeline's dead letters (window 0), or of one of its windows, is one session until that ends; false when another one is. */
extern bool mr_try_lock_relay(int32 pipeline_id, int32 window_id);
/* No session is the relay at this moment. */
extern bool mr_is_relay_free(int32 pipeline_id, int32 window_id);

/*
 * One of n streams of a pipeline, numbered from `first` on, exclusive until the transaction ends: what one transaction adds to it
 * is committed before the next one adds. Returns the first that is free: no transaction waits for another one here, unless
 * there are more of them than streams.
 */
extern int32 mr_lock_stream(int32 pipeline_id, int32 first, int32 n);

/* The numbers that are in use: */
#define MR_STREAMS           64         /* of a kind: as many as a pipeline can have workers */
#define MR_STREAM_WINDOWS    0          /* partial values of windows (window/contribute.h) */
#define MR_STREAM_TYPES      MR_STREAMS /* counters by type (pipeline/event_types.h) */
#define MR_STREAM_TYPE_NAMES (2 * MR_STREAMS) /* one: their names */

#endif /* MR_LOCKS_H */
