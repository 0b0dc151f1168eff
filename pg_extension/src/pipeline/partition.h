/*
 * partition.h: the state of a partition of a pipeline: epoch, position, identity, counters.
 *
 * It is changed under mr_lock_partition() only; what is read here under that lock is current.
 */
#ifndef MR_PARTITION_H
#define MR_PARTITION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"

/* The outcomes of settled events. Cumulative in millrace.progress. */
typedef struct MrCounters
{
	int64 events; /* = written + filtered + superseded + skipped + dead + retrying */
	int64 written;
	int64 filtered;
	int64 superseded;
	int64 skipped;
	int64 dead;
	int64 retrying; /* waiting now */
	int64
		parked; /* not tried yet, since an earlier event of their key failed: of these, and of replays */
	int64 rows;
	int64 bytes;
	/* of what went wrong, and was tried again: these only grow */
	int64 failed;        /* events whose first try failed */
	int64 retried;       /* tries after the first */
	int64 dead_lettered; /* dead letters made; events that die again are counted again */
	int64 replayed;      /* dead letters whose replay succeeded */
} MrCounters;

typedef struct MrPartition
{
	int32 partition;
	bool unknown; /* has no rows: nothing below is known, nothing of it can be settled */
	int64 epoch;
	bool stopped;
	int32 lane;    /* of its assignment, 0 none */
	int64 seek_ts; /* ms since 1970: a rewind to be resolved at assignment, -1 none */
	/* newest row of millrace.progress */
	int64 seq;
	int64 next_offset;
	int64 last_offset; /* -1: none known */
	int64 last_ts;
	int64 last_crc;
	MrCounters total;
	TimestampTz settled_at;
	ItemPointerData progress_tid;
	bool moved;  /* next_offset is not what the table has */
	bool fenced; /* epoch is one that this batch has given it */
	int entry;   /* in the ledger that the batch has (ledger.h), -1 none */
} MrPartition;

/*
 * Reads both rows of each of n partitions, whose numbers are given and whose locks are held: `unknown` where the pipeline does
 * not know the partition. The look-ups share all that can be shared. Of one in a ledger the state is there: position_lock.h.
 */
extern void mr_partitions_read(int32 pipeline_id, MrPartition *partitions, int n);

/*
 * Which of n partitions (the first) is not there, active and of that epoch; -1: all are. Takes no lock: an early warning,
 * not a fence.
 */
extern int mr_partitions_stale(int32 pipeline_id, const int32 *partitions, const int64 *epochs,
							   int n);

/* Gives a partition that was found a new random epoch (and a lane, unless 0). Lock held. Returns the epoch. */
extern int64 mr_partition_new_epoch(int32 pipeline_id, int32 partition, int32 lane_id);

extern int64 mr_random_epoch(void);

/*
 * Records position, identity and counters of those of n partitions that moved: in place while the newest row is young
 * and has been updated seldom, else as a new row. Locks held. The source of the bound is a measurement: one row updated
 * per batch went from 15 to 700 us after 60,000 updates under an old snapshot.
 */
extern void mr_partitions_settle(int32 pipeline_id, const MrPartition *partitions, int n);

/* This process settles no batch of the pipeline any more: how often its newest rows were updated is not needed. */
extern void mr_partitions_forget(int32 pipeline_id);

/* Appends rows of progress with the seq and the time of settling in *partitions; locks held. */
extern void mr_partitions_append(int32 pipeline_id, const MrPartition *partitions, int n);

#endif /* MR_PARTITION_H */
