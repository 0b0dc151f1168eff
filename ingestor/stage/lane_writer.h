/*
 * A lane's conversation with the server, a state machine on an asynchronous connection:
 *
 *   CLOSED -> CONNECTING -> OPENING -> IDLE -> ASSIGNING -> IDLE
 *                                      IDLE -> STAGING -> COPYING -> COMMITTING -> IDLE
 *                                      IDLE -> ADVANCING -> IDLE
 *   any state -> CLOSED when the connection or a commit's answer is lost
 *
 * It does one thing at a time, when it is idle, and reports by callbacks; what to do next is the lane's decision.
 * The main thread only; part of its lane. Only `idle` may ask for the next thing.
 */
#ifndef MR_INGESTOR_LANE_WRITER_H
#define MR_INGESTOR_LANE_WRITER_H

#include <event2/event.h>

#include "common/pgconn.h"
#include "ingestor/control/rows.h"
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

/* A lane that waits for an answer should not do so for longer; below the deadlines of pgconn.h, which end the wait. */
#define MR_LANE_STUCK_MS 30000

typedef struct MrLaneWriterEvents
{
	/* A row of assign(); then all of them were reported. A partition without a row is not in the catalogue (yet). */
	void (*assigned)(void *owner, const MrAssignedRow *row);
	void (*assign_ended)(void *owner);
	/* The batch is committed. */
	void (*staged)(void *owner);
	/* The batch was refused, as one of its epochs is stale; the session goes on. */
	void (*fenced)(void *owner);
	/* Idle: the next thing may be done. */
	void (*idle)(void *owner);
	/* The connection is closed; whether a batch under way was committed is not known. */
	void (*lost)(void *owner, MrLaneState was, const MrPgError *error);
} MrLaneWriterEvents;

typedef struct MrLaneWriter
{
	const char *pipeline; /* its name, not owned */
	int preferred;        /* number of the lane we should like to have */
	const MrLaneWriterEvents *events;
	void *owner;
	MrLaneState state;
	int64_t state_since_ms;
	MrPgconn *conn;

	/* what lane_open() bound us to */
	int32_t id;
	int64_t incarnation;
	char segment[160];
	int64_t segment_bytes;
	bool segment_full;

	const MrStageBatch *batch; /* under way */
	size_t sent;               /* bytes of it given to libpq */
	MrBuffer sql;

	/* of the query under way */
	bool failed;
	MrPgError error;
} MrLaneWriter;

extern void mr_lane_writer_init(MrLaneWriter *writer, struct event_base *base, const char *dsn,
								const char *pipeline, int preferred,
								const MrLaneWriterEvents *events, void *owner);
/* From CLOSED: connects and opens a lane. */
extern void mr_lane_writer_connect(MrLaneWriter *writer);
/* From IDLE: asks for partitions. */
extern void mr_lane_writer_assign(MrLaneWriter *writer, const int32_t *partitions, int count);
/* From IDLE: stages a closed batch, which must not change until it is staged, fenced or lost. */
extern void mr_lane_writer_stage(MrLaneWriter *writer, const MrStageBatch *batch);
/* From IDLE, the segment being full: asks for the next one. It may still be full then. */
extern void mr_lane_writer_advance(MrLaneWriter *writer);
/* Closes the connection and reports it lost, for this reason. Not when CLOSED. */
extern void mr_lane_writer_reset(MrLaneWriter *writer, const char *why);
extern void mr_lane_writer_free(MrLaneWriter *writer);

/* How long it has been in its state. */
extern int64_t mr_lane_writer_state_ms(const MrLaneWriter *writer, int64_t now_ms);
/* It has waited for the server's answer for longer than MR_LANE_STUCK_MS. */
extern bool mr_lane_writer_is_stuck(const MrLaneWriter *writer, int64_t now_ms);
extern const char *mr_lane_state_name(MrLaneState state);

#endif
