/*
 * lane.h: finding lanes in shared memory. The writer's side (SQL functions) is in lane.c.
 */
#ifndef MR_LANE_H
#define MR_LANE_H

#include "shmem.h"

/* SQLSTATEs the ingestor acts upon, see docs/architecture.md. */
#define MR_ERRCODE_STALE_EPOCH       MAKE_SQLSTATE('M', 'R', '0', '0', '1')
#define MR_ERRCODE_STALE_LANE        MAKE_SQLSTATE('M', 'R', '0', '0', '2')
#define MR_ERRCODE_UNKNOWN_PARTITION MAKE_SQLSTATE('M', 'R', '0', '0', '3')

/* The lane this session writes; an error (MR002) unless it is `lane_id` of this incarnation. */
extern MrLane *mr_lane_of_session(int32 lane_id, int64 incarnation);

#endif /* MR_LANE_H */
