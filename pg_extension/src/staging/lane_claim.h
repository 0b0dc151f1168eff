/*
 * lane_claim.h: which lane a session writes. At most one, from lane_open() to the end of the session.
 */
#ifndef MR_LANE_CLAIM_H
#define MR_LANE_CLAIM_H

#include "server/shmem.h"

/* The lane this session writes; an error (MR002) unless it is `lane_id` of this incarnation. */
extern MrLane *mr_lane_of_session(int32 lane_id, int64 incarnation);

/*
 * Takes a lane of the named pipeline that no other session has, or makes one; holds extension and pipeline
 * until the end of the transaction. *fresh: its ring is empty and has to be loaded.
 */
extern MrLane *mr_lane_claim(const char *name, int32 preferred, bool *fresh);

/* Whether the lane may have another segment; and adds one that was created for it, which an abort takes out again. */
extern bool mr_lane_may_grow(const MrLane *lane);
extern void mr_lane_add_segment(MrLane *lane, Oid relation);

#endif /* MR_LANE_CLAIM_H */
