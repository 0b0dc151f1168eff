/*
 * outcome.h: what becomes of an event: a state machine, the one owner of MrOutcome.
 *
 * A batch lives in one transaction and so does this: the state that an event has at settle is committed with the batch
 * (engine/settle.c).
 *
 *                    +--write------> WRITTEN -----+
 *                    +--filter-----> FILTERED ----+
 *                    +--supersede--> SUPERSEDED --+---park---> PARKED
 *   ---> PENDING ----+--skip-------> SKIPPED -----+              ^ ^
 *         |  ^       +--discard----> DISCARDED                   | |
 *    fail |  | undo  +--park (its key has a queue)---------------+ |
 *         v  |                                                     |
 *        FAILED -----+--retry------> RETRYING ----+                |
 *                    +--bury-------> DEAD --------+---park---------+
 *
 * When the write is rolled back to be done again without the events that failed or were parked:
 *
 *   write_again: WRITTEN, FILTERED, SUPERSEDED ---> PENDING
 *   judge_again: RETRYING, DEAD ---> FAILED
 *
 * Besides, undo may be asked of PENDING, and write of WRITTEN (it is asked for each row).
 *
 * Pure: it needs no header of the server, and its unit test needs no server.
 */
#ifndef MR_OUTCOME_H
#define MR_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

typedef enum MrOutcomeState
{
	MR_PENDING,    /* not known yet */
	MR_WRITTEN,    /* at least one row of it is in the target */
	MR_FILTERED,   /* the transform gave no row for it */
	MR_SUPERSEDED, /* all its rows gave way to others of the same key */
	MR_SKIPPED,    /* a tombstone, and the pipeline skips these */
	MR_FAILED,     /* failed, and not judged yet */
	MR_RETRYING,   /* failed: will be tried again, as a row of millrace.retry */
	MR_DEAD,       /* failed: is a dead letter */
	MR_PARKED, /* waits in millrace.retry behind an event of its key; nothing of it is written */
	MR_DISCARDED /* a dead letter that held its key was discarded: its row of millrace.retry is removed */
} MrOutcomeState;

#define MR_OUTCOME_STATES (MR_DISCARDED + 1)

/* Why a dead letter is one, as in millrace.dead_letter.ended. */
typedef enum MrEnd
{
	MR_END_PERMANENT, /* its error class is not tried again */
	MR_END_EXHAUSTED, /* max_retries */
	MR_END_TOO_OLD,   /* retry_age */
	MR_END_CRASHED    /* it crashed the server, more than once */
} MrEnd;

struct MrFailure;

/* Zeroed: PENDING. Others read it; only the functions below change it (.ci/owners checks). */
typedef struct MrOutcome
{
	int8_t state;              /* MrOutcomeState */
	int8_t end;                /* MrEnd, of DEAD */
	struct MrFailure *failure; /* of FAILED, RETRYING, DEAD: why; else NULL */
} MrOutcome;

/* As dry_run() shows it. */
static inline const char *
mr_outcome_name(MrOutcomeState state)
{
	static const char *const names[MR_OUTCOME_STATES] = {"pending",    "written", "filtered",
														 "superseded", "skipped", "failed",
														 "retrying",   "dead",    "parked",
														 "discarded"};

	return names[state];
}

/* Does not return: an edge was asked for that the drawing does not have, which is an error of the program. */
extern void mr_outcome_refuse(MrOutcomeState from, MrOutcomeState to) __attribute__((noreturn));

#define MR_OUTCOME_FROM(state) (1u << (state))

/* The edge to `to` from one of the states whose bits are in `from`. */
static inline void
mr_outcome_move(MrOutcome *outcome, unsigned from, MrOutcomeState to)
{
	if (__builtin_expect(!(from & MR_OUTCOME_FROM(outcome->state)), 0))
		mr_outcome_refuse((MrOutcomeState) outcome->state, to);
	outcome->state = (int8_t) to;
}

/* Decode, transform, write or a crash failed it, and `failure` says why; nothing of it is written. */
static inline void
mr_outcome_fail(MrOutcome *outcome, struct MrFailure *failure)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING), MR_FAILED);
	outcome->failure = failure;
}

/* A run that failed is rolled back: what it found out about its events does not count. */
static inline void
mr_outcome_undo(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING) | MR_OUTCOME_FROM(MR_FAILED), MR_PENDING);
	outcome->failure = NULL;
}

/* Asked for each of its rows that was written. */
static inline void
mr_outcome_write(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING) | MR_OUTCOME_FROM(MR_WRITTEN), MR_WRITTEN);
}

static inline void
mr_outcome_filter(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING), MR_FILTERED);
}

static inline void
mr_outcome_supersede(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING), MR_SUPERSEDED);
}

static inline void
mr_outcome_skip(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING), MR_SKIPPED);
}

static inline void
mr_outcome_discard(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_PENDING), MR_DISCARDED);
}

/* The verdict: it is tried again. */
static inline void
mr_outcome_retry(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_FAILED), MR_RETRYING);
}

/* The verdict: it is a dead letter. */
static inline void
mr_outcome_bury(MrOutcome *outcome, MrEnd end)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_FAILED), MR_DEAD);
	outcome->end = (int8_t) end;
}

/*
 * It has to wait behind an event of its key. What was found out about it, a failure too, will be found out again in its
 * turn; rows of it that were written are to be rolled back by the caller.
 */
static inline void
mr_outcome_park(MrOutcome *outcome)
{
	mr_outcome_move(outcome,
					MR_OUTCOME_FROM(MR_PENDING) | MR_OUTCOME_FROM(MR_WRITTEN) |
						MR_OUTCOME_FROM(MR_FILTERED) | MR_OUTCOME_FROM(MR_SUPERSEDED) |
						MR_OUTCOME_FROM(MR_SKIPPED) | MR_OUTCOME_FROM(MR_RETRYING) |
						MR_OUTCOME_FROM(MR_DEAD),
					MR_PARKED);
	outcome->failure = NULL;
}

/* The write was rolled back to be done again, without the events that failed or were parked. */
static inline void
mr_outcome_write_again(MrOutcome *outcome)
{
	mr_outcome_move(outcome,
					MR_OUTCOME_FROM(MR_WRITTEN) | MR_OUTCOME_FROM(MR_FILTERED) |
						MR_OUTCOME_FROM(MR_SUPERSEDED),
					MR_PENDING);
}

/* The same for an event that failed: it is judged again, with the others. */
static inline void
mr_outcome_judge_again(MrOutcome *outcome)
{
	mr_outcome_move(outcome, MR_OUTCOME_FROM(MR_RETRYING) | MR_OUTCOME_FROM(MR_DEAD), MR_FAILED);
}

#endif /* MR_OUTCOME_H */
