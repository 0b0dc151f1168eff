/*
 * crash.h: events that are under suspicion of having crashed the server: rows of millrace.crash_suspect.
 *
 * The supervisor makes these rows of what crashed workers have left, before it starts others, and removes them when
 * they have become void. Workers read them: batches with suspicious events are small, so that the next crash says
 * more, until the event is alone. One that was alone millrace.max_crashes times is not run again.
 */
#ifndef MR_CRASH_H
#define MR_CRASH_H

#include "program/batch.h"
#include "run/work_record.h"

typedef struct MrSuspicions MrSuspicions;

/* What is known of the table, so that it is not read for each batch. Of one pipeline; zeroed at first. */
typedef struct MrCrashWatch
{
	bool none;      /* the pipeline has no row */
	uint32 crashes; /* MrShared.crashes when it was read */
} MrCrashWatch;

/*
 * What is under suspicion in the pipeline, in the current memory context; NULL, at the cost of a comparison, as long
 * as nothing is.
 */
extern MrSuspicions *mr_crash_suspicions(MrCrashWatch *watch, int32 pipeline_id, MrWorkKind kind);

/* Whether the event may be in a batch that has `taken` events; asked in their order. */
extern bool mr_crash_admits(MrSuspicions *suspicions, const MrEvent *event, int taken);

/* Shortens a batch that was not asked for event by event. */
extern void mr_crash_cut(MrSuspicions *suspicions, MrBatch *batch);

/*
 * True: the batch is one event that has crashed the server max_crashes times. It is a dead letter, and is not to be
 * run.
 */
extern bool mr_crash_condemns(MrSuspicions *suspicions, MrBatch *batch);

#endif /* MR_CRASH_H */
