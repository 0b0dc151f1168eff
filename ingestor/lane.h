/*
 * A lane of the ingestor: one PostgreSQL connection of one pipeline, two batches (one fills while
 * the other is on its way), and the partitions p with p mod lanes = its number.
 *
 * lane.c decides what to do next and keeps the batches; lane_writer.c carries it out on the
 * connection. Lost connection, or any doubt about a commit: both batches are dropped, a new lane
 * is opened, its partitions are assigned anew. Nothing is ever sent twice.
 */
#ifndef MR_INGESTOR_LANE_H
#define MR_INGESTOR_LANE_H

#include "common/backoff.h"
#include "common/metrics.h"
#include "common/pgconn.h"
#include "ingestor/assignment.h"
#include "ingestor/stage/batch.h"

typedef enum MrLaneState
{
	MR_LANE_CLOSED,     /* no connection wanted yet, or waiting to try again */
	MR_LANE_CONNECTING, /* connecting and setting the session up */
	MR_LANE_OPENING,    /* millrace.lane_open() */
	MR_LANE_IDLE,       /* bound; nothing under way */
	MR_LANE_ASSIGNING,  /* millrace.assign() */
	MR_LANE_STAGING,    /* millrace.stage(); COPY has not begun */
	MR_LANE_COPYING,    /* rows are being sent */
	MR_LANE_COMMITTING, /* all sent; waits for the commit's answer */
	MR_LANE_ADVANCING   /* millrace.lane_next(): the segment is full */
} MrLaneState;

#define MR_LANE_STATES (MR_LANE_ADVANCING + 1)

typedef struct MrLane
{
	struct MrPipeline *pipeline;
	int number;
	MrLaneState state;
	MrPgconn *conn;
	struct event *timer; /* pumps: at once, or when a connection or an assignment is due */
	MrBackoff backoff;
	int64_t retry_at_ms; /* CLOSED: do not connect before */

	/* what lane_open() bound us to */
	int32_t id;
	int64_t incarnation;
	char segment[160];
	int64_t segment_bytes;
	bool segment_full;

	MrBatch batches[2];
	MrBatch *filling;
	MrBatch *sending; /* NULL: none under way */
	size_t sent;      /* bytes of it given to libpq */
	int64_t sending_since_ms;
	int64_t next_batch_id;
	bool flush; /* send what is there though it is not full */
	MrBuffer sql;

	/* of the query under way */
	bool failed;
	MrPgError error;

	bool blocked; /* the filling batch is full and cannot be sent yet */
	int64_t blocked_since_ms;
	bool held; /* blocked for long: its partitions are not fetched */

	uint64_t batches_staged, bytes_staged, events_staged, losses;
	double blocked_seconds;
	MrHistogram stage_time;
} MrLane;

extern MrLane *mr_lane_new(struct MrPipeline *pipeline, int number, struct event_base *base,
						   const char *dsn);
/* Opens the connection if need be, and does what is due. */
extern void mr_lane_pump(MrLane *lane);
/* As mr_lane_pump, from the event loop: safe in the middle of anything. */
extern void mr_lane_poke(MrLane *lane);

/* Takes an event of a FLOWING partition into the filling batch; full_crc as in mr_batch_add. */
extern void mr_lane_add(MrLane *lane, MrPartition *part, MrRow *row, const uint32_t *full_crc);
/* Takes a position without an event. */
extern void mr_lane_move(MrLane *lane, MrPartition *part, int64_t next);
/* The queue is empty, or a partition leaves: send what is there as soon as possible. */
extern void mr_lane_flush(MrLane *lane);
/* Nothing in either batch. */
extern bool mr_lane_is_drained(const MrLane *lane);
/* Bound to the server, whatever it is doing. */
extern bool mr_lane_is_open(const MrLane *lane);
/* Called a few times a second while blocked: holds the partitions after a while. */
extern void mr_lane_check_blocked(MrLane *lane, int64_t hold_after_ms);
/* The server is another than the lane was opened on: open a new one. */
extern void mr_lane_reset(MrLane *lane, const char *why);
extern void mr_lane_free(MrLane *lane);

extern const char *mr_lane_state_name(MrLaneState state);

/* Between lane.c and lane_writer.c */
extern void mr_lane_writer_attach(MrLane *lane, struct event_base *base, const char *dsn);
extern void mr_lane_writer_connect(MrLane *lane);
extern void mr_lane_writer_assign(MrLane *lane);
extern void mr_lane_writer_stage(MrLane *lane);
extern void mr_lane_writer_advance(MrLane *lane);
extern void mr_lane_staged(MrLane *lane);
extern void mr_lane_fenced(MrLane *lane);
extern void mr_lane_lost(MrLane *lane, const MrPgError *error);

#endif
