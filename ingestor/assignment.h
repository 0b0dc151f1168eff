/*
 * One partition of a pipeline's topic, and the state machine that takes it from "the group gave it
 * to us" to "its events flow". docs/ingestor.md has the drawing. One function per edge; functions
 * only change the partition and ask the pipeline for what must happen outside (mr_pipeline_…).
 *
 * The main thread only. A partition lives as long as its pipeline.
 */
#ifndef MR_INGESTOR_ASSIGNMENT_H
#define MR_INGESTOR_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/backoff.h"

typedef enum MrPartitionState
{
	MR_PARTITION_REVOKED,   /* the group has not given it to us */
	MR_PARTITION_WAITING,   /* ours; waits for its lane, for a row in the catalogue, or a moment */
	MR_PARTITION_ASSIGNING, /* millrace.assign() is under way on its lane */
	MR_PARTITION_RESOLVING, /* the broker is asked for an offset or for the watermarks */
	MR_PARTITION_CHECKING,  /* the last settled message is fetched again, to compare it */
	MR_PARTITION_FLOWING,   /* events are taken and staged */
	MR_PARTITION_HELD,      /* like flowing, but its lane is blocked: not fetched */
	MR_PARTITION_STOPPED    /* stopped in the catalogue; waits for a verb to make it active */
} MrPartitionState;

#define MR_PARTITION_STATES (MR_PARTITION_STOPPED + 1)

struct MrPipeline;
struct MrLane;

typedef struct MrPartition
{
	struct MrPipeline *pipeline;
	struct MrLane *lane;
	int32_t number;
	MrPartitionState state;

	int64_t epoch;       /* of our assignment; valid from CHECKING on */
	int64_t position;    /* next offset to take: all below is in a batch */
	int64_t staged;      /* all below is committed in staging */
	int64_t settled;     /* all below is processed, as of the last millrace.positions() */
	int64_t committed;   /* written to Kafka as the group's offset, -1 = none */
	int64_t last_offset; /* identity of the last settled message, -1 = none */
	int64_t last_ts;
	uint32_t last_crc;

	int64_t due_ms;      /* WAITING: not before */
	bool suspect;        /* WAITING: positions() shall say whether the epoch is still ours */
	MrBackoff backoff;   /* of re-assignment after being fenced, and after trouble */
	int corrupt;         /* fetches in a row that met a corrupt message */
	uint64_t epoch_tick; /* positions() asked at or before this tick does not know our last step */
	uint64_t ticket;     /* answers to questions asked with an older ticket are late */

	/* consumer.c: what librdkafka fetches, and what it shall */
	bool fetching;
	bool want_fetch;
	bool replan; /* want_fetch or fetch_from changed: messages are void until it is applied */
	int64_t fetch_from;

	int entry; /* its entry in the lane's filling batch, when it has one */
} MrPartition;

/* A row of millrace.assign(). */
typedef struct MrAssigned
{
	bool stopped;
	int64_t epoch;
	int64_t next_offset;
	int64_t last_offset; /* -1 = none */
	int64_t last_ts;
	uint32_t last_crc;
	int64_t seek_ts; /* ms since 1970: resolve this time to an offset first; INT64_MIN = no */
} MrAssigned;

extern const char *mr_partition_state_name(MrPartitionState state);
/* Our epoch stands as far as we know. */
extern bool mr_partition_is_assigned(const MrPartition *part);

/* The group's decisions. */
extern void mr_partition_granted(MrPartition *part);
extern void mr_partition_revoked(MrPartition *part);

/* The lane's. */
extern bool mr_partition_wants_assign(const MrPartition *part, int64_t now_ms);
extern void mr_partition_assign_sent(MrPartition *part);
extern void mr_partition_assigned(MrPartition *part, const MrAssigned *row);
extern void mr_partition_hold(MrPartition *part);
extern void mr_partition_release(MrPartition *part);
/* What was staged under our epoch is in doubt: assign again, not before delay_ms from now. */
extern void mr_partition_doubt(MrPartition *part, int delay_ms);
/* The same, but first see in positions() whether we have been fenced. */
extern void mr_partition_suspect(MrPartition *part);

/* The broker's. */
typedef enum MrVerdict
{
	MR_VERDICT_TAKE,
	MR_VERDICT_DROP
} MrVerdict;
/* The first message of a CHECKING partition; crc and ts are the message's own. */
extern MrVerdict mr_partition_check(MrPartition *part, int64_t offset, int64_t ts, uint32_t crc);
extern void mr_partition_end_seen(MrPartition *part, int64_t end);
extern void mr_partition_out_of_range(MrPartition *part);
extern void mr_partition_corrupt(MrPartition *part, const char *what);
extern void mr_partition_watermarks(MrPartition *part, bool ok, int64_t low, int64_t high);
extern void mr_partition_located(MrPartition *part, bool ok, int64_t offset);

/* The catalogue's, by positions(). asked_tick: when it was asked. */
extern void mr_partition_seen(MrPartition *part, uint64_t asked_tick, int64_t epoch,
							  int64_t next_offset, bool stopped);

#endif
