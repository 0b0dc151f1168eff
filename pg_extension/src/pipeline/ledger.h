/*
 * ledger.h: the positions of a lane's partitions in few rows, for batches of very many partitions.
 *
 * A batch of thousands of partitions would spend most of its time on their locks and rows. A lane that has such batches
 * keeps its partitions' state in millrace.ledger: a row for every 21 of them, written once for a batch, under one lock.
 *
 * Who is to change a partition takes its lock first, as always, and it leaves the ledger (position_lock.h): its newest
 * row of millrace.progress is valid then. Only mr_ledger_begin() makes partitions join, while it has
 * their locks too. So, for a partition of lane L as millrace.partition has it:
 *   in the ledger of L    state, and a copy of its epoch, are there; they are changed under the lock of the ledger
 *   not there             state is in millrace.progress; it is changed under the lock of the partition
 * and under its lock a partition does not join, and leaves by nobody else.
 */
#ifndef MR_LEDGER_H
#define MR_LEDGER_H

#include "pipeline/partition.h"

typedef struct MrLedger MrLedger;

/* Batches of fewer partitions are not worth it. */
#define MR_LEDGER_PARTITIONS 64

/*
 * For a batch read from that lane: locks the lane's ledger, makes those of n partitions (ascending) join that are not in it, and
 * reads them all. Those that are not the lane's are marked as stopped: nothing it has staged of them counts. NULL: one that is to join
 * is locked by somebody else; nothing is locked then.
 */
extern MrLedger *mr_ledger_begin(int32 pipeline_id, int32 lane_id, MrPartition *partitions, int n);

/* As mr_partitions_settle(), for those of the same array. */
extern void mr_ledger_settle(MrLedger *ledger, const MrPartition *partitions, int n);

/*
 * Makes those of n partitions leave that are in the ledger of their lane; they are read again. Their locks are held, and taken
 * before any ledger's. False: a ledger is locked, and `wait` is not wanted.
 */
extern bool mr_ledger_leave(int32 pipeline_id, MrPartition *partitions, int n, bool wait);

/* The partitions that are in ledgers of the pipeline, ascending. While no batch runs (its lock is held), no more come. */
extern MrPartition *mr_ledger_members(int32 pipeline_id, int *n);

#endif /* MR_LEDGER_H */
