/*
 * sources.h: where the batches of a worker come from: its lanes, and (worker 0) events that are tried again. Each has a pace and
 * a breaker of its own, so that trouble of the one makes the batches of another neither wait nor smaller.
 *
 * A batch that is written shows to the other sources whose trouble theirs is. What all of them show together is the
 * worker's row in millrace.breaker (trouble.h).
 */
#ifndef MR_SOURCES_H
#define MR_SOURCES_H

#include "engine/engine.h"

typedef struct MrSource
{
	MrLane *lane;  /* NULL: none, of events that are tried again */
	int32 lane_id; /* the slot may be given to another one */
	bool pending;  /* something is staged there; as of mr_sources_find() */
	int64 since;   /* mr_clock_us(): the breaker is not closed since */
	MrPace pace;
} MrSource;

typedef struct MrSources
{
	MrEngine *engine;
	int nlanes;
	int max_lanes;   /* so many there is room for */
	MrSource *lanes; /* of this worker */
	MrSource
		common; /* no lane's: left by an earlier worker, or by a lane that is gone; or met outside of a batch */
	MrSource retries;
	int64 lone_since; /* mr_clock_us(): the first of engine->lone */
} MrSources;

/* What an earlier worker left is probed by the first batch of any source. */
extern void mr_sources_begin(MrSources *sources, MrEngine *engine);
extern void mr_sources_free(MrSources *sources);

/* Finds the lanes that this worker of `workers` serves, and what is staged there; it is woken for them from now on. */
extern void mr_sources_find(MrSources *sources, int workers);

/* Those whose wait has passed become half open: their next batch is a probe. */
extern void mr_sources_probe(MrSources *sources, int64 now);

/* A lane has something staged that may be tried now. */
extern bool mr_sources_are_ready(const MrSources *sources, int64 now);

/*
 * Whether events may be tried again now: not while trouble of the lanes waits for its probe, unless it is known to be a lane's
 * alone. Where the lanes probe, so do the retries: they may have the only events there are.
 */
extern bool mr_sources_allow_retries(MrSources *sources, int64 now);

/* When the first source that waits may be tried: mr_clock_us(), PG_INT64_MAX when none waits. */
extern int64 mr_sources_wake_at(const MrSources *sources, int64 now);

/* A source knows more than one that begins: how small its batches are to be, or how long it has to wait. */
extern bool mr_sources_are_troubled(const MrSources *sources);

/* A verb asks for a probe at once (mr_trouble_is_due()). Returns whether the retries have one. */
extern bool mr_sources_hurry(MrSources *sources);

/* A batch of the source met an error that is no event's fault; `common`: no batch did. No transaction is open. */
extern void mr_sources_met(MrSources *sources, MrSource *source, const ErrorData *error);

/* The batch at hand, with events of the source, was settled; it began at began_at (mr_clock_us()). No transaction is open. */
extern void mr_sources_settled(MrSources *sources, MrSource *source, int64 began_at);

/* No event waits to be tried again. */
extern void mr_sources_have_no_retries(MrSources *sources);

/* Writes what is not yet shown. No transaction is open. */
extern void mr_sources_show(MrSources *sources);

#endif /* MR_SOURCES_H */
