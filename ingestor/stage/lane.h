/*
 * A lane of the ingestor: one PostgreSQL connection of one pipeline and two batches, one of which fills while the
 * other is on its way. It serves the partitions p with p mod lanes = its number, and keeps the list of those that
 * want to be assigned.
 *
 * The lane decides what to do next; lane_writer.c carries it out. Lost connection, or a commit whose answer is lost: both
 * batches are dropped, and it connects again once a partition wants to be assigned. Nothing is ever sent twice.
 *
 * The main thread only. Callbacks may call mr_lane_assign, mr_lane_drop_assign, mr_lane_entry and mr_lane_move; the others
 * may send, which the lane does itself after the callback.
 */
#ifndef MR_INGESTOR_LANE_H
#define MR_INGESTOR_LANE_H

#include <event2/event.h>

#include "common/backoff.h"
#include "common/metrics.h"
#include "common/trouble.h"
#include "ingestor/control/rows.h"
#include "ingestor/stage/batch.h"
#include "ingestor/stage/lane_writer.h"

typedef struct MrStageLane MrStageLane;

typedef struct MrStageLaneEvents
{
	/* millrace.assign() is sent for the partition. */
	void (*assigning)(void *owner, MrStageLane *lane, int32_t partition);
	/* Its answer. Without a row the partition is not in the catalogue (yet). */
	void (*assigned)(void *owner, MrStageLane *lane, const MrAssignedRow *row);
	void (*unassigned)(void *owner, MrStageLane *lane, int32_t partition);
	/* All of a partition's messages below `next` are committed under this epoch. */
	void (*staged)(void *owner, MrStageLane *lane, int32_t partition, int64_t epoch, int64_t next);
	/* A batch was refused, as one of its epochs is stale; what was in both batches is dropped. */
	void (*fenced)(void *owner, MrStageLane *lane);
	/* The connection is gone; what was in both batches is dropped or may be committed. */
	void (*lost)(void *owner, MrStageLane *lane);
	/* The filling batch is full and cannot be sent yet; it has room again. */
	void (*blocked)(void *owner, MrStageLane *lane);
	void (*room)(void *owner, MrStageLane *lane);
} MrStageLaneEvents;

/* A partition that wants to be assigned. */
typedef struct MrAssignRequest
{
	int32_t partition;
	int64_t due_ms;
	bool sent;
} MrAssignRequest;

typedef struct MrLaneCounts
{
	uint64_t batches, bytes, events; /* staged */
	uint64_t losses;
	double blocked_seconds; /* of what is over */
	MrHistogram stage_time;
} MrLaneCounts;

struct MrStageLane
{
	const char *pipeline; /* its name, not owned */
	int number;
	const MrStageLaneEvents *events;
	void *owner;
	MrLaneWriter writer;
	struct event *timer; /* pumps: at once, or when a connection or an assignment is due */
	MrBackoff backoff;
	int64_t retry_at_ms; /* CLOSED: do not connect before */
	MrTrouble trouble;   /* why it was lost; until a batch is staged */

	MrAssignRequest *requests;
	int request_count;
	int request_cap;

	MrBatchLimits limits;
	MrStageBatch batches[2];
	MrStageBatch *filling;
	MrStageBatch *sending; /* NULL: none under way */
	int64_t sending_since_ms;
	int64_t next_batch_id;
	bool flush;   /* send what is there though it is not full */
	bool growing; /* more messages come at once: do not send what is not full */

	bool blocked; /* the filling batch is full and cannot be sent yet */
	int64_t blocked_since_ms;

	MrLaneCounts counts;
};

extern MrStageLane *mr_lane_new(struct event_base *base, const char *dsn, const char *pipeline,
								int number, const MrBatchLimits *limits,
								const MrStageLaneEvents *events, void *owner);
/* From the next event on. */
extern void mr_lane_set_limits(MrStageLane *lane, const MrBatchLimits *limits);
extern void mr_lane_free(MrStageLane *lane);

/* Call millrace.assign() for the partition at this time or soon after it; again, when it was called already. */
extern void mr_lane_assign(MrStageLane *lane, int32_t partition, int64_t due_ms);
extern void mr_lane_drop_assign(MrStageLane *lane, int32_t partition);

/*
 * The entry of a partition in the filling batch, to add or to move it. slot: any int to begin with, kept by the
 * caller from call to call. epoch and position count when the partition has no entry yet.
 */
static inline MrStageEntry *
mr_lane_entry(MrStageLane *lane, int *slot, int32_t partition, int64_t epoch, int64_t position)
{
	return mr_batch_entry(lane->filling, slot, partition, epoch, position);
}

/* Takes an event into the filling batch; full_crc as in mr_batch_add. May send the batch, and report anything. */
extern void mr_lane_add(MrStageLane *lane, MrStageEntry *entry, MrCopyRow *row,
						const uint32_t *full_crc);
/* Takes a position without an event. */
extern void mr_lane_move(MrStageLane *lane, MrStageEntry *entry, int64_t next);
/* more: the next messages come at once. Else what is there is sent, when nothing else is under way. */
extern void mr_lane_taken(MrStageLane *lane, bool more);
/* A partition leaves, or all stops: send what is there as soon as possible. */
extern void mr_lane_flush(MrStageLane *lane);

/* Nothing in either batch. */
extern bool mr_lane_is_drained(const MrStageLane *lane);
/* Bound to the server, whatever it is doing. */
extern bool mr_lane_is_open(const MrStageLane *lane);
/* Why it is not open although a partition wants to be assigned. NULL: it is, none does, or it is being opened for the first time. */
extern const char *mr_lane_closed_because(const MrStageLane *lane);
/* The server is another than the lane was opened on: open a new one. */
extern void mr_lane_reset(MrStageLane *lane, const char *why);
/* How long it has been blocked, all times together. */
extern double mr_lane_blocked_seconds(const MrStageLane *lane, int64_t now_ms);

#endif
