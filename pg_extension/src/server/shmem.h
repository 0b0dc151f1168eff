/*
 * shmem.h: what the processes of one server share: lanes, workers, databases.
 *
 * Lost at every restart, and nothing in it is needed for correctness: positions and epochs live in tables.
 * A lane whose slot is lost is created again; its staged batches carry stale epochs and are fetched again.
 */
#ifndef MR_SHMEM_H
#define MR_SHMEM_H

#include "postgres.h"

#include "access/transam.h"
#include "port/atomics.h"
#include "storage/itemptr.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "datatype/timestamp.h"

#define MR_SEGMENTS_MAX 64 /* hard limit of millrace.max_segments */
#define MR_ERROR_BYTES  256
#define MR_STAGED_AT    256 /* staged batches whose time is known, at most */

typedef enum MrSegmentState
{
	MR_SEGMENT_FREE,    /* empty, may become the head */
	MR_SEGMENT_FILLING, /* the head: the writer COPYs into it */
	MR_SEGMENT_SEALED,  /* full, waiting for the reader or being read */
	MR_SEGMENT_CONSUMED /* read to its end, to be emptied */
} MrSegmentState;

typedef struct MrSegment
{
	Oid relation;
	MrSegmentState state;
	uint64 number; /* of its filling: the reader takes them in this order */
} MrSegment;

/* When a transaction of the lane's writer was committed. */
typedef struct MrStagedAt
{
	TransactionId xid;
	TimestampTz at;
} MrStagedAt;

/* One staging lane. All but the atomics is protected by MrShared.lock. */
typedef struct MrLane
{
	Oid database; /* InvalidOid: slot is free */
	Oid extension; /* that has the lane: ids start again with CREATE EXTENSION; InvalidOid: the ring is void */
	uint64
		generation; /* counts the sessions that attached; a request made in an earlier one has no effect */
	int32 lane_id;
	int32 pipeline_id;
	int32 number; /* within the pipeline; number % workers serves it */
	pid_t writer_pid;
	Latch *writer_latch;
	Latch *worker_latch;
	pg_atomic_uint64 staged;   /* committed batches; incremented before the worker's latch is set */
	pg_atomic_uint64 consumed; /* value of `staged` the worker has read up to */
	uint64 next_number;        /* of a filling; never starts again while the server runs */
	int nsegments;
	MrSegment segments[MR_SEGMENTS_MAX];
	uint64 tail_number;     /* of the filling the cursor is in, 0 = none yet */
	ItemPointerData cursor; /* last row read there */
	/* by xid; written by the lane's writer alone, without the lock: for statistics */
	MrStagedAt staged_at[MR_STAGED_AT];
} MrLane;

typedef enum MrWorkerState
{
	MR_WORKER_FREE,
	MR_WORKER_STARTING,
	MR_WORKER_IDLE,
	MR_WORKER_BUSY,
	MR_WORKER_BACKOFF,
	MR_WORKER_WAITING, /* for parked events to go */
	MR_WORKER_STOPPED  /* ended; the supervisor may start it again */
} MrWorkerState;

/*
 * In use while a worker has it (pid) or a supervisor keeps it for one (supervisor_pid); else FREE. The last of
 * them to end frees it, so that nothing of a dropped database, extension or pipeline stays.
 */
typedef struct MrWorkerSlot
{
	Oid database;
	int32 pipeline_id;
	char pipeline[NAMEDATALEN]; /* its name */
	int32 number;
	Oid owner;
	pid_t supervisor_pid;
	uint32 ticket; /* of the last start: a worker that comes too late does not find its own */
	pid_t pid;
	Latch *latch;
	MrWorkerState state;
	TimestampTz started_at;
	uint64 batches;
	int64 passed_at; /* mr_clock_us(): when the last batch began of which an event was written */
	uint32 wakes;    /* counted: a verb changed something */
	char last_error[MR_ERROR_BYTES];
	TimestampTz last_error_at;
} MrWorkerSlot;

/*
 * A database with the extension, or in which a supervisor looks for it. There are as many slots as there can be background
 * workers: a supervisor without one could not be started anyhow.
 */
typedef struct MrDatabase
{
	Oid database; /* InvalidOid: slot is free */
	bool
		absent; /* its supervisor did not find the extension; the launcher takes note and frees the slot */
	bool held;    /* stop_workers(): no workers until start_workers() */
	uint32 wakes; /* counted, so that who found the extension absent knows whether it still is */
	pid_t supervisor_pid;
	Latch *supervisor_latch;
} MrDatabase;

typedef struct MrShared
{
	LWLock *lock;
	int64 incarnation; /* random, made when this memory was */
	Latch *launcher_latch;
	uint32 last_ticket;
	pg_atomic_uint32 crashes; /* incremented when millrace.crash_suspect has new rows */
	int max_lanes;
	int max_workers;
	int max_databases;
	uint32
		lost_wakes; /* of databases for which no slot was free: the launcher looks at all of them */
	/* followed by MrLane[max_lanes], MrWorkerSlot[max_workers], MrDatabase[max_databases] */
} MrShared;

extern MrShared *mr_shared; /* NULL when the library is not preloaded */

extern void mr_shmem_install_hooks(void);
extern MrLane *mr_lane_slot(int i);
extern MrWorkerSlot *mr_worker_slot(int i);

/* Raises a clear error unless the library was preloaded. */
extern void mr_require_preload(void);

/*
 * The slot of a database; if it has none and `create`, one that is free. NULL: there is none. The caller holds the lock,
 * exclusively if `create`.
 */
extern MrDatabase *mr_database_slot(Oid database, bool create);

/* The i-th of max_databases; the caller holds the lock. */
extern MrDatabase *mr_database_slot_at(int i);

/* stop_workers() was called: supervisor and workers of the database are to end. */
extern bool mr_database_is_held(Oid database);

#endif /* MR_SHMEM_H */
