/*
 * position_lock.h: the lock of a partition and what may be read under it: epoch, position, counters.
 *
 * Under a partition's lock its newest row of millrace.progress is what counts: a partition that is in its lane's ledger
 * (ledger.h) leaves it here.
 */
#ifndef MR_POSITION_LOCK_H
#define MR_POSITION_LOCK_H

#include "pipeline/partition.h"

/* Locks n partitions, whose numbers are given in ascending order, and reads them. */
extern void mr_partitions_lock(int32 pipeline_id, MrPartition *partitions, int n);

/* The same for one that nobody else has locked at the moment, nor a batch with its ledger; false: somebody has. */
extern bool mr_partition_try_lock(int32 pipeline_id, MrPartition *partition);

/* Waits for a partition, `ms` at most, and has it then or has not: mr_partition_try_lock() reports which. Before any other one. */
extern void mr_partition_wait(int32 pipeline_id, int32 partition, int ms);

#endif /* MR_POSITION_LOCK_H */
