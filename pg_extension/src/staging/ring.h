/*
 * ring.h: the segments of a lane in the order they are filled and read. All of it in shared memory.
 *
 *            writer: next            writer: next           reader: consumed        reader: emptied
 *   FREE ---------------> FILLING ---------------> SEALED ------------------> CONSUMED -----------> FREE
 *
 * The writer (one ingestor connection) only appends to the FILLING segment; the reader (one worker) goes
 * through FILLING and SEALED ones by the numbers of their fillings. A function takes MrShared.lock itself if
 * it needs it, but for the one that says so.
 *
 * Between two calls the writer may have been replaced by another one: that one abandons what was staged, the
 * segments are emptied and filled again, and the slot itself may be another lane's. So a caller names the filling
 * of the segment that it means, and nothing happens when that filling has ended.
 */
#ifndef MR_RING_H
#define MR_RING_H

#include "server/shmem.h"

/* Of a lane: batches, and for statistics their events and the bytes of their payloads. */
typedef struct MrStagedAmount
{
	uint64 batches;
	uint64 events;
	uint64 bytes;
} MrStagedAmount;

/* One filling of a segment. Generation 0: none, the lane was not the caller's. */
typedef struct MrFilling
{
	uint64 generation; /* of the lane */
	uint64 number;     /* of the filling, ascending in its lane */
	Oid relation;
	int32 lane_id;
} MrFilling;

/* Puts a segment of the catalogue into the ring; it must be empty. */
extern void mr_ring_add(MrLane *lane, Oid relation);

/* Fills an array of MR_SEGMENTS_MAX with the ring's segments; returns how many there are. */
extern int mr_ring_members(MrLane *lane, Oid *relations);

/* The segment being filled, InvalidOid when there is none. */
extern Oid mr_ring_head(MrLane *lane);

/*
 * Seals the head and makes a free segment the head. InvalidOid when no segment is free, or `limit` of them
 * hold events already (*limited is then true): the head stays as it is and the writer waits.
 */
extern Oid mr_ring_next(MrLane *lane, int limit, bool *limited);

/*
 * The filling the reader is in, and the last TID read there; false when there is nothing to read, or the slot is
 * not a lane of the pipeline in this database (any more). `sealed` must be asked before the snapshot is
 * taken: then, and only then, an end that the snapshot shows is final.
 */
extern bool mr_ring_tail(MrLane *lane, int32 pipeline_id, MrFilling *tail, ItemPointer cursor,
						 bool *sealed);

/* What the writers of the lane have announced so far; all of it is visible to a snapshot that is taken afterwards. */
extern MrStagedAmount mr_ring_staged(MrLane *lane);

/* Of that, what waits for the reader. It may be off by a batch that is being committed or settled. */
extern MrStagedAmount mr_ring_waiting(MrLane *lane);

/* The reader has settled so much, and everything up to `cursor` (if that is valid). */
extern void mr_ring_advance(MrLane *lane, const MrFilling *tail, const ItemPointerData *cursor,
							const MrStagedAmount *settled);

/* There was nothing to read when so much had been announced. */
extern void mr_ring_drained(MrLane *lane, const MrFilling *tail, const MrStagedAmount *staged);

/* The reader has settled a sealed segment to its end: it is to be emptied, the next one is the tail. */
extern void mr_ring_finish_tail(MrLane *lane, const MrFilling *tail);

/* A consumed segment, to be emptied; false when there is none. `i` starts at 0 and is advanced. */
extern bool mr_ring_consumed(MrLane *lane, uint64 generation, int *i, MrFilling *consumed);

/* Whether it still waits to be emptied. A caller that has its table locked exclusively may then empty it. */
extern bool mr_ring_is_consumed(MrLane *lane, const MrFilling *consumed);
extern void mr_ring_emptied(MrLane *lane, const MrFilling *consumed);

/* A segment whose table does not exist (dropped, or its creation was rolled back) leaves the ring. */
extern void mr_ring_remove(MrLane *lane, uint64 generation, Oid relation);

/* Nothing staged counts any more (there is a new writer): all but free segments become consumed, and nothing waits. */
extern void mr_ring_abandon(MrLane *lane);

/* Nothing waits in a slot that becomes another lane's. The caller holds MrShared.lock. */
extern void mr_ring_skip(MrLane *lane);

#endif /* MR_RING_H */
