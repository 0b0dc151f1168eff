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
	int64 at_us; /* of mr_clock_us() */
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
	/* for statistics, counted with these: events of the batches, bytes of their payloads */
	pg_atomic_uint64 staged_events;
	pg_atomic_uint64 staged_bytes;
	pg_atomic_uint64 consumed_events;
	pg_atomic_uint64 consumed_bytes;
	uint64 next_number; /* of a filling; never starts again while the server runs */
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
	MR_WORKER_STOPPED  /* its process ended; another one will serve it */
} MrWorkerState;

#define MR_NEVER PG_INT64_MAX /* due_at of a worker that is not wanted any more */

/*
 * A worker of a pipeline. In use while a process serves it (pid) or a supervisor keeps it (supervisor_pid); else FREE. The
 * last of them to end frees it, so that nothing of a dropped database, extension or pipeline stays.
 *
 * Where there are fewer processes than workers, the processes of an owner serve them by turns (supervise/turn.h).
 */
typedef struct MrWorkerSlot
{
	Oid database; /* InvalidOid: slot is free */
	int32 pipeline_id;
	char pipeline[NAMEDATALEN]; /* its name */
	int32 number;
	Oid owner;
	pid_t supervisor_pid;
	pid_t pid;    /* of the process that serves it, 0: none at the moment */
	Latch *latch; /* of that process */
	pid_t home;   /* process that has its state, 0: none has */
	bool sticky;  /* that state is of use: it is in trouble */
	bool deaf; /* what is staged does not make it due: it waits, and has a time to be served at */
	int64 due_at;   /* while none serves it: when it is to be served, mr_clock_us() */
	int backoff_s;  /* after the next bad end of its process */
	int64 begun_at; /* since the last one, mr_clock_us() */
	MrWorkerState state;
	TimestampTz started_at; /* its home took it over */
	uint64 batches;
	int64 passed_at; /* mr_clock_us(): when the last batch began of which an event was written */
	bool woken;      /* a verb changed something since it looked last */
	int32 logged_version; /* worker 0: of the pipeline, as the log has it; 0: none */
	char last_error[MR_ERROR_BYTES];
	TimestampTz last_error_at;
} MrWorkerSlot;

/*
 * A process that serves workers of an owner. In use while it runs (pid) or a supervisor keeps it for one (supervisor_pid).
 */
typedef struct MrWorkerProcess
{
	Oid database;
	Oid owner;
	pid_t supervisor_pid;
	uint32 ticket; /* of its start: a process that comes too late does not find its own */
	pid_t pid;
	Latch *latch;
	int64 started_at; /* mr_clock_us() */
	int64
		idle_since; /* sleeps, and may be woken for any worker of the owner; 0: it does not. mr_clock_us() */
	bool leave; /* asked to end, for the sake of another owner */
	bool done;  /* it has ended as it should */
} MrWorkerProcess;

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
	bool done; /* the supervisor has ended as it should */
	int64
		waiting_since; /* for a process, while another database's may give way; 0: it does not. mr_clock_us() */
	int64 waiting_at; /* it still was */
	int waiting_with; /* processes that its owner has */
} MrDatabase;

typedef struct MrShared
{
	LWLock *lock;
	int64 incarnation; /* random, made when this memory was */
	Latch *launcher_latch;
	int64
		launcher_waits_at; /* for a process to give way to a supervisor; 0: it does not. mr_clock_us() */
	uint32 last_ticket;
	pg_atomic_uint32 crashes; /* incremented when millrace.crash_suspect has new rows */
	int max_lanes;
	int max_workers;
	int max_processes;
	int max_databases;
	int lanes_used;   /* all in use are among the first so many */
	int workers_used; /* likewise */
	uint32
		lost_wakes; /* of databases for which no slot was free: the launcher looks at all of them */
	/* followed by MrLane[max_lanes], MrWorkerSlot[max_workers], MrWorkerProcess[max_processes], MrDatabase[max_databases] */
} MrShared;

extern MrShared *mr_shared; /* NULL when the library is not preloaded */

extern void mr_shmem_install_hooks(void);
extern MrLane *mr_lane_slot(int i);
extern MrWorkerSlot *mr_worker_slot(int i);
extern MrWorkerProcess *mr_worker_process(int i);

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
