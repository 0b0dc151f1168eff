/*
 * breaker.h: the circuit breaker: its state, when it changes, how long it waits, and what follows from it. Pure: time is
 * a parameter, and the caller makes the state visible (breaker_table.h).
 *
 *             trouble that lasts           the wait has passed           a batch is settled
 *   CLOSED -----------------------> OPEN --------------------> HALF_OPEN --------------------> CLOSED
 *     |  ^                           ^ ^                           |
 *     |  '-- trouble that may pass   | '---------- trouble --------'
 *     '----- left so by an earlier --'
 *            worker
 *
 * Trouble is an error that is no event's fault: the batch was rolled back and stays staged. After each the next batch has
 * to wait, twice as long as the time before, from 100 ms to 30 s. Open means: staging fills, Kafka waits, and nothing goes to
 * retry or dead letter because of the trouble. While half open, batches are probes.
 *
 * Each lane has an instance, and so have the events that are tried again: their trouble, which may be theirs alone, holds up
 * nobody else. A worker has one count of failures that came one by one for all of them.
 */
#ifndef MR_BREAKER_H
#define MR_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum MrBreakerState
{
	MR_BREAKER_CLOSED, /* all is well, or the trouble was short so far */
	MR_BREAKER_OPEN,   /* waits for its next probe */
	MR_BREAKER_HALF_OPEN
} MrBreakerState;

/* Zeroed at first: closed. Times in µs, of a clock that only goes forward. */
typedef struct MrBreaker
{
	MrBreakerState state;
	int failures;       /* troubles in a row */
	int small_failures; /* batches in a row that failed and were small */
	int64_t wait_us;    /* after the latest trouble; 0: there was none */
	int64_t due_at;     /* nothing is tried before */
	bool others_pass;   /* since it opened, batches of another source were written */
} MrBreaker;

/*
 * Events that failed with class `break`, each the only one of its batch that did and none of which got past: of a slow
 * stream, all there is. Each counts once, not for each of its tries. Zeroed at first.
 */
typedef struct MrLoneFailures
{
	int count;    /* in a row, of one stage and SQLSTATE */
	int stage;    /* as the caller numbers them */
	int sqlstate; /* as the caller encodes it */
} MrLoneFailures;

/* An earlier worker left it open: this one begins with a probe. */
extern void mr_breaker_inherit(MrBreaker *breaker);

/* Somebody says that the cause is gone: if it is open the next probe is due, and the waits begin again with the shortest. */
extern void mr_breaker_hurry(MrBreaker *breaker);

/*
 * Trouble, at `now`. `lasting`: it is not known to pass by itself, as deadlocks and lock timeouts do; the third in a row
 * counts as lasting whatever it is. Returns whether the breaker is open then.
 */
extern bool mr_breaker_trouble(MrBreaker *breaker, bool lasting, int64_t now);

/* Whether a batch may be tried at `now`, or how long that takes yet: µs, 0 when it may. */
extern int64_t mr_breaker_wait_us(const MrBreaker *breaker, int64_t now);

/* A batch is about to be tried. Returns true when it became half open by that. */
extern bool mr_breaker_try(MrBreaker *breaker);

/* A batch with events was settled. Returns true when it was closed by that. */
extern bool mr_breaker_settled(MrBreaker *breaker);

/*
 * A batch that had events was rolled back: `small`, when trouble met a batch that is not divided further; not, when
 * the next one is to be smaller.
 */
extern void mr_breaker_rolled_back(MrBreaker *breaker, bool small);

/*
 * A batch of another source was written, by the same SQL into the same target. That proves nothing while this one is
 * closed; when it is not, its trouble is of its own events, or it is over: the first time, the next probe is due.
 */
extern void mr_breaker_others_passed(MrBreaker *breaker);
extern bool mr_breaker_others_pass(const MrBreaker *breaker);

/* The current batch is a probe: it decides, and one failure of class `break` is enough to keep the breaker open. */
extern bool mr_breaker_is_probing(const MrBreaker *breaker);

/*
 * Whether that many distinct events failed with class `break`, in this batch and one by one before, that it is not their
 * fault: none got past that stage meanwhile. `events`: new in this batch, of that stage and SQLSTATE.
 */
extern bool mr_lone_suspects(const MrLoneFailures *lone, int stage, int sqlstate, int events);

/* An event that failed alone was settled: it counts. */
extern void mr_lone_failed(MrLoneFailures *lone, int stage, int sqlstate);

/* An event got past that stage. */
extern void mr_lone_passed(MrLoneFailures *lone, int stage);

/* Small batches met trouble several times in a row: now the events may be blamed where that is open. */
extern bool mr_breaker_blames_events(const MrBreaker *breaker);

#endif /* MR_BREAKER_H */
