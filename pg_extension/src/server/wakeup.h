/*
 * wakeup.h: waking other processes at commit because there is work for them.
 *
 * No NOTIFY: it takes a cluster-wide lock at commit and writes. A flag in this backend, acted on by a
 * transaction callback, sets latches after the commit is visible. Nothing depends on it alone: workers look at their
 * lanes at least once a second, those without a process every five, and at the catalogue every five at rest.
 */
#ifndef MR_WAKEUP_H
#define MR_WAKEUP_H

#include "server/shmem.h"

/* At commit of this transaction count a staged batch, of so many events and bytes of payload, in the lane and wake its worker. */
extern void mr_wake_lane_at_commit(MrLane *lane, uint64 events, uint64 bytes);

/* When that transaction of the lane's writer was committed; all 0 when it is not known (any more). For statistics. */
extern MrStagedAt mr_lane_staged_at(const MrLane *lane, TransactionId xid);

/* At commit wake the workers of the pipeline: it has another lane. */
extern void mr_wake_pipeline_at_commit(int32 pipeline_id);

/* At commit wake the launcher, this database's supervisor and its workers: the catalogue has changed. */
extern void mr_wake_all_at_commit(void);

/* The same at once. */
extern void mr_wake_database(Oid database);

#endif /* MR_WAKEUP_H */
