/*
 * segment.h: the staging tables of lanes: making them, emptying them. Their rows: common/staging_format.h.
 */
#ifndef MR_SEGMENT_H
#define MR_SEGMENT_H

#include "postgres.h"

#include "staging/ring.h"

/* Creates the next segment table of a lane and returns it. The current user is the extension's owner. */
extern Oid mr_segment_create(int32 lane_id, int32 number);

/* Grants `role` to COPY into a segment. */
extern void mr_segment_grant(Oid relation, Oid role);

/* Takes the lane's segments from the catalogue into its ring; each must be empty or is emptied first. */
extern void mr_segment_load(MrLane *lane);

/*
 * Empties consumed segments nobody else has a lock on: in place, without a catalogue change or WAL. The
 * others stay consumed and are tried again later; spares are used until then. Nothing happens when the
 * lane is of another generation.
 */
extern void mr_segment_empty_consumed(MrLane *lane, uint64 generation);

/* Bytes of the main fork. */
extern int64 mr_segment_bytes(Oid relation);

#endif /* MR_SEGMENT_H */
