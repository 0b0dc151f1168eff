/*
 * ring.h: the segments of a lane in the order they are filled and read. All of it in shared memory.
 *
 *            writer: next            writer: next           reader: consumed        reader: emptied
 *   FREE ---------------> FILLING ---------------> SEALED ------------------> CONSUMED -----------> FREE
 *
 * The writer (one ingestor connection) only appends to the FILLING segment; the reader (one worker) goes
 * through FILLING and SEALED ones by their order. Each function takes MrShared.lock itself.
 */
#ifndef MR_RING_H
#define MR_RING_H

#include "shmem.h"

/* Puts a segment of the catalogue into the ring; it must be empty. */
extern void mr_ring_add(MrLane *lane, Oid relation);

/* The segment being filled, InvalidOid when there is none. */
extern Oid mr_ring_head(MrLane *lane);

/*
 * Seals the head and makes a free segment the head. InvalidOid when no segment is free, or `limit` of them
 * hold events already (*limited is then true): the head stays as it is and the writer waits.
 */
extern Oid mr_ring_next(MrLane *lane, int limit, bool *limited);

/*
 * Where the reader stands: relation and last TID read; InvalidOid when there is nothing to read. `sealed`
 * must be asked before the snapshot is taken: then, and only then, an end that the snapshot shows is final.
 */
extern Oid mr_ring_tail(MrLane *lane, ItemPointer cursor, bool *sealed);

/* The reader has settled everything up to `cursor`. */
extern void mr_ring_advance(MrLane *lane, Oid relation, const ItemPointerData *cursor);

/* The reader has settled a sealed segment to its end: it is to be emptied, the next one is the tail. */
extern void mr_ring_finish_tail(MrLane *lane, Oid relation);

/* A consumed segment, to be emptied; InvalidOid when there is none. `i` starts at 0 and is advanced. */
extern Oid mr_ring_consumed(MrLane *lane, int *i);
extern void mr_ring_emptied(MrLane *lane, Oid relation);

/* A segment whose table is not there (its creation was rolled back) leaves the ring. */
extern void mr_ring_remove(MrLane *lane, Oid relation);

/* Everything staged is of no use any more (a new writer came): all but free segments become consumed. */
extern void mr_ring_abandon(MrLane *lane);

#endif /* MR_RING_H */
