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
	int64 rows;
	int64 bytes;
} MrCounters;

typedef struct MrPartition
{
	int32 partition;
	bool unknown; /* has no rows: nothing below is known, nothing of it can be settled */
	int64 epoch;
	bool stopped;
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
	bool moved; /* next_offset is not what the table has */
} MrPartition;

/* Reads both rows; false, and result->unknown, when the pipeline does not know the partition. */
extern bool mr_partition_find(int32 pipeline_id, int32 partition, MrPartition *result);

/* Whether there is such a partition, active and of that epoch. Takes no lock: an early warning, not a fence. */
extern bool mr_partition_has_epoch(int32 pipeline_id, int32 partition, int64 epoch);

/* Gives a partition that was found a new random epoch (and a lane, unless 0). Lock held. Returns the epoch. */
extern int64 mr_partition_new_epoch(int32 pipeline_id, int32 partition, int32 lane_id);

extern int64 mr_random_epoch(void);

/*
 * Records the position, identity and counters in *p: in place while the newest row is young and has been
 * updated seldom, else as a new row. Lock held. The source of the bound is a measurement: one row updated
 * per batch went from 15 to 700 us after 60,000 updates under an old snapshot.
 */
extern void mr_partition_settle(int32 pipeline_id, const MrPartition *p, int *updates);

#endif /* MR_PARTITION_H */
