/*
 * retry_due.h: which rows of millrace.retry are to be tried now. Read by worker 0 of a pipeline alone.
 */
#ifndef MR_RETRY_DUE_H
#define MR_RETRY_DUE_H

#include "program/batch.h"

/*
 * Where the worker's look begins. Under an old snapshot deleted rows stay in the index, and stepping over all of
 * them at each look would slow the pipeline down more the longer the snapshot is held. So what was due some
 * seconds ago is looked at again now and then only: for rows whose transaction was long in committing. Zeroed at first.
 */
typedef struct MrRetryHorizon
{
	TimestampTz floor; /* what was due before is done with */
	int64 next_full;   /* when to look at all again, mr_clock_us() */
	/* the same once the current look has committed; 0: they stay */
	TimestampTz floor_then;
	int64 next_full_then;
} MrRetryHorizon;

/* Whether an event of the partition may be tried now: it is locked then. Asked of each event. */
typedef bool (*MrRetryLocks)(void *arg, int32 partition);

/*
 * Into batch: events of the pipeline that are due, the longest due first, and behind each what is parked behind
 * it; at most `max`, and no more once their payloads have `max_bytes`. In the order of their coordinates. Those that `locks`
 * refuses are passed over; returns how many were.
 */
extern int mr_retry_read_due(MrBatch *batch, int32 pipeline_id, MrRetryHorizon *horizon, int max,
							 int64 max_bytes, MrRetryLocks locks, void *arg);

/* Not all that was read is tried after all. */
extern void mr_retry_keep_horizon(MrRetryHorizon *horizon);

/* The look has committed. */
extern void mr_retry_move_horizon(MrRetryHorizon *horizon);

/*
 * The wall clock was set back by `us` µs: events that would be due so much later are due as if it had not been. In a transaction
 * of its own; returns how many there were.
 */
extern int64 mr_retry_bring_forward(int32 pipeline_id, int64 us);

/* When the next one is due; infinity: none waits for its time. */
extern TimestampTz mr_retry_next_due(int32 pipeline_id, const MrRetryHorizon *horizon);

#endif /* MR_RETRY_DUE_H */
