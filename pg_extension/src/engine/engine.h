/*
 * engine.h: one batch, of a lane or of events that are tried again, to its outcome, in one transaction.
 */
#ifndef MR_ENGINE_H
#define MR_ENGINE_H

#include "server/shmem.h"
#include "stats/live.h"
#include "program/batch.h"
#include "program/pace.h"
#include "program/program.h"
#include "fail/clock_step.h"
#include "fail/crash.h"
#include "fail/order.h"
#include "window/fold.h"
#include "fail/patience.h"
#include "fail/retry_due.h"

typedef enum MrStep
{
	MR_STEP_IDLE,    /* nothing was there */
	MR_STEP_SETTLED, /* a batch was settled (maybe an empty one); look again */
	MR_STEP_WAITING, /* too many events are parked (order.h), or windows are full (window/fold.h): first some of that must go */
	MR_STEP_PAUSED,  /* the pipeline is paused, or another instance's */
	MR_STEP_GONE     /* pipeline or extension is no more */
} MrStep;

typedef struct MrEngine
{
	int32 pipeline_id;
	Oid extension;
	MrLiveSeat live;
	MemoryContext context;
	char *activity; /* as pg_stat_activity shows it: of a batch from a lane */
	char *retry_activity;
	MrBatch *batch;
	MrFold fold;        /* of the windows */
	MrProgram *program; /* of the version last seen, NULL at first */
	MemoryContext program_context;
	int32 program_version;
	int32 program_windows;
	int32 seen_windows; /* the same, of the pipeline without a batch */
	List *remembered;   /* of the program last made: remembered.h */
	MemoryContext remembered_context;
	MrRetryHorizon horizon;
	MrCrashWatch crashes;
	MrClockStep clock_step;
	int64 set_back;      /* µs, of the wall clock; 0: what is due later knows of it */
	MrOrder *order;      /* queues the batch from a lane found, NULL: not read */
	MrPace *pace;        /* of the source of the batch at hand */
	MrLoneFailures lone; /* the worker counts; asked in the verdict */
	MrPatience patience;
	int documents; /* of the messages taken into the batch at hand, an event of another format being one */
	int fit; /* messages that the last batch had room for, since they have several documents; 0: all that are read */
	int events; /* of the last batch settled that were tried */
	int64
		waited_at; /* mr_clock_us() when a batch from a lane had waited for a lock in vain; 0: long ago */
	int window_events; /* since failure_share was last looked at */
	int window_failed;
} MrEngine;

/* `name` of the pipeline: for pg_stat_activity. */
extern MrEngine *mr_engine_create(int32 pipeline_id, const char *name);
extern void mr_engine_free(MrEngine *engine);

/* The process turns to another pipeline: memory of the last batch is given back. */
extern void mr_engine_rest(MrEngine *engine);

/*
 * Takes what is staged in the lane, up to a batch, and settles it. Raises whatever is no event's fault; then
 * nothing has happened and the batch is still there.
 */
extern MrStep mr_engine_step(MrEngine *engine, MrLane *lane, MrPace *pace);

/* Makes the program of the pipeline's version ready and sets its search_path for this GUC nest level. */
extern void mr_engine_prepare(MrEngine *engine, const MrPipelineRow *pipeline);
/* It is made again at the next mr_engine_prepare(). */
extern void mr_engine_forget_program(MrEngine *engine);

/*
 * Tries events of millrace.retry again that are due, up to a batch, and settles them: the result and the
 * removal from the retry table are one commit. *next_due: when the next is due. Events of partitions that another worker has
 * locked are passed over, and stay due.
 */
extern MrStep mr_engine_retry(MrEngine *engine, MrPace *pace, TimestampTz *next_due);

/* Between steps: folds the windows of the pipeline, and fills those that are new, when it is time to (window/fold.h, window/backfill.h). */
extern void mr_engine_fold(MrEngine *engine);

/* The pipeline as it is now: windows that were made since are folded and filled without waiting for a batch. */
extern void mr_engine_see(MrEngine *engine, const MrPipelineRow *pipeline);

/* mr_clock_us() when mr_engine_fold() has something to do though nothing comes; PG_INT64_MAX: not known. */
extern int64 mr_engine_wake_at(const MrEngine *engine);

/* Windows have more to fold than batches may add to: none is to be taken before that is done. */
extern bool mr_engine_is_full(const MrEngine *engine);

/* The command that fixes what the error says (remedy.h), NULL: not known. Needs no transaction, and may raise an error. */
extern char *mr_engine_remedy(MrEngine *engine, const ErrorData *error);

/*
 * After the transaction of a step was aborted: the next batches are smaller. After real trouble everything
 * is looked up again as well.
 */
extern void mr_engine_after_error(MrEngine *engine, bool trouble);

#endif /* MR_ENGINE_H */
