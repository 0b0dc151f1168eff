/*
 * One partition of a pipeline's topic, and the state machine that takes it from "the group gave it to us" to
 * "its events flow". docs/ingestor.md has the drawing.
 *
 * Pure: an event goes in, what must happen outside comes out as MrEffects. Nothing outside is called, so the
 * partition is in its new state when the caller carries the effects out. Time, random numbers and what others
 * know are in MrMoment. An answer that is late (its question, its call or its epoch is no longer the last) changes
 * nothing and has no effects.
 */
#ifndef MR_INGESTOR_PARTITION_H
#define MR_INGESTOR_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/backoff.h"
#include "ingestor/control/rows.h"

typedef enum MrFetchState
{
	MR_PARTITION_REVOKED,   /* the group has not given it to us */
	MR_PARTITION_WAITING,   /* ours; waits for its lane, for a row in the catalogue, or a moment */
	MR_PARTITION_ASSIGNING, /* millrace.assign() is under way on its lane */
	MR_PARTITION_RESOLVING, /* the broker is asked for an offset or for the watermarks */
	MR_PARTITION_CHECKING,  /* the last settled message is fetched again, to compare it */
	MR_PARTITION_FLOWING,   /* events are taken and staged */
	MR_PARTITION_HELD,      /* like flowing, but its lane is blocked: not fetched */
	MR_PARTITION_STOPPED    /* stopped in the catalogue; waits for a verb to make it active */
} MrFetchState;

#define MR_PARTITION_STATES (MR_PARTITION_STOPPED + 1)

typedef struct MrFetchPartition
{
	const char *pipeline; /* its name, for hints; not owned */
	int32_t number;
	char place[300]; /* the arguments that name it in SQL */
	MrFetchState state;

	int64_t epoch;       /* of our assignment; valid from RESOLVING on */
	int64_t position;    /* next offset to take: all below is in a batch */
	int64_t staged;      /* all below is committed in staging */
	int64_t settled;     /* all below is processed, as of the last millrace.positions() */
	int64_t last_offset; /* identity of the last settled message, -1 = none */
	int64_t last_ts;
	uint32_t last_crc;

	bool confirming;     /* WAITING: positions() shall say whether the epoch is still ours */
	MrBackoff backoff;   /* of re-assignment after being fenced */
	int corrupt;         /* fetches in a row that met a corrupt message */
	uint64_t known_call; /* positions() called at or before this one does not know our last step */
	uint32_t question;   /* the last one put to the broker; what answers an older one is late */
} MrFetchPartition;

/* What a partition does not know by itself. */
typedef struct MrMoment
{
	int64_t now_ms;
	uint32_t random;         /* any 32 random bits */
	uint64_t positions_call; /* number of the last call of positions() that was sent */
	bool lane_held;          /* its lane is blocked for so long that it is not fetched */
} MrMoment;

typedef enum MrFetchOrder
{
	MR_FETCH_KEEP, /* as it is */
	MR_FETCH_STOP,
	MR_FETCH_FROM /* an offset */
} MrFetchOrder;

typedef enum MrAssignOrder
{
	MR_ASSIGN_KEEP,
	MR_ASSIGN_AT,  /* call millrace.assign() at this time, or as soon as possible after it */
	MR_ASSIGN_DROP /* not wanted any more */
} MrAssignOrder;

typedef enum MrPartitionAsks
{
	MR_PARTITION_ASKS_NOTHING,
	MR_PARTITION_ASKS_WATERMARKS, /* first and end offset */
	MR_PARTITION_ASKS_TIME        /* the first offset at or after a time */
} MrPartitionAsks;

/* What the caller has to do after an event. All zero: nothing. */
typedef struct MrEffects
{
	MrFetchOrder fetch;
	int64_t fetch_from;
	MrAssignOrder assign;
	int64_t assign_at_ms;
	MrPartitionAsks ask; /* answer with part->question */
	int64_t ask_time;    /* ms since 1970 */
	bool take;           /* stage the message that was checked: it is the next event */
	bool move;           /* stage the position without an event: from move_from to move_to */
	int64_t move_from;
	int64_t move_to;
	bool fenced; /* somebody else was assigned the partition, or a verb moved it */
	bool stop;   /* stop it in the catalogue, with these texts */
	char error[512];
	char hint[1536]; /* two commands that name a partition, and words */
} MrEffects;

/*
 * A partition that the group has not given us yet; of one of several topics (else NULL), in which it is partition
 * `topic_partition`.
 */
extern void mr_partition_init(MrFetchPartition *part, const char *pipeline, int32_t number,
							  const char *topic, int32_t topic_partition);
extern const char *mr_partition_state_name(MrFetchState state);
/* The epoch is ours as far as we know. */
extern bool mr_partition_is_assigned(const MrFetchPartition *part);
/* Is a fetched message the next event? It may be behind a gap, and messages before the position come again. */
static inline bool
mr_partition_wants(const MrFetchPartition *part, int64_t offset)
{
	return part->state == MR_PARTITION_FLOWING && offset >= part->position;
}

/* It is in a batch now. */
static inline void
mr_partition_take(MrFetchPartition *part, int64_t offset)
{
	part->position = offset + 1;
}

/* The group's decisions. */
extern void mr_partition_granted(MrFetchPartition *part, const MrMoment *at, MrEffects *effects);
extern void mr_partition_revoked(MrFetchPartition *part, MrEffects *effects);

/* Of the lane. assign() was sent; its row came (no row: mr_partition_reassign). */
extern void mr_partition_assign_sent(MrFetchPartition *part);
extern void mr_partition_assigned(MrFetchPartition *part, const MrMoment *at,
								  const MrAssignedRow *row, MrEffects *effects);
/* All below `next` is committed in staging under this epoch. */
extern void mr_partition_staged(MrFetchPartition *part, int64_t epoch, int64_t next);
/* Its lane is blocked for long; its lane has room again. */
extern void mr_partition_hold(MrFetchPartition *part, MrEffects *effects);
extern void mr_partition_release(MrFetchPartition *part, MrEffects *effects);
/*
 * What was staged under our epoch may be lost, or the topic may be another: assign again, not before delay_ms from
 * now.
 */
extern void mr_partition_reassign(MrFetchPartition *part, const MrMoment *at, int delay_ms,
								  MrEffects *effects);
/* The catalogue has no row for it any more: its position there, once it has one again, is a new beginning. */
extern void mr_partition_forgotten(MrFetchPartition *part, const MrMoment *at, MrEffects *effects);
/* A batch of its lane had a stale epoch: assign again, after positions() has said whether it was this one's. */
extern void mr_partition_confirm(MrFetchPartition *part, const MrMoment *at, MrEffects *effects);

/* Of Kafka. The first message of a CHECKING partition; crc and ts are the message's own. */
extern void mr_partition_check(MrFetchPartition *part, const MrMoment *at, int64_t offset,
							   int64_t ts, uint32_t crc, MrEffects *effects);
/* There is nothing more below `end`. */
extern void mr_partition_end_seen(MrFetchPartition *part, const MrMoment *at, int64_t end,
								  MrEffects *effects);
/* The broker does not have the offset that we fetch from. */
extern void mr_partition_out_of_range(MrFetchPartition *part, MrEffects *effects);
/* A message set that the client cannot read; `what` says why. */
extern void mr_partition_corrupt(MrFetchPartition *part, const MrMoment *at, const char *what,
								 MrEffects *effects);
/* Answers to a question; not ok: the broker did not answer. */
extern void mr_partition_watermarks(MrFetchPartition *part, const MrMoment *at, uint32_t question,
									bool ok, int64_t low, int64_t high, MrEffects *effects);
extern void mr_partition_located(MrFetchPartition *part, const MrMoment *at, uint32_t question,
								 bool ok, int64_t offset, MrEffects *effects);

/* A row of positions(); `call` is the number of the call that it answers. */
extern void mr_partition_seen(MrFetchPartition *part, const MrMoment *at, uint64_t call,
							  const MrPositionRow *row, MrEffects *effects);

#endif
