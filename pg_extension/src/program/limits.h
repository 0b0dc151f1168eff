/*
 * limits.h: how long an attempt of a batch may run, and wait for a lock. Pure: time is a parameter, in ms or in µs of a
 * clock that only goes forward.
 *
 * The first attempt has all of statement_timeout. When one has exceeded it, the batch has half of it once more: what
 * else is tried is bounded by what is left of that, a part of a batch that is searched by halving by a small share, an
 * event alone by a tenth. So an endless event costs its batch 1.5 times statement_timeout at most, and each later try
 * of that event a tenth.
 *
 * The first wait for a lock has all of lock_timeout, each later one of the batch MR_LIMITS_SHORT_WAIT_MS.
 */
#ifndef MR_LIMITS_H
#define MR_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define MR_LIMITS_SHORT_WAIT_MS 10

/* A set of so few events is never given back to come in smaller parts. */
#define MR_ISOLATE_SMALL 16

/* Zeroed: no bounds. */
typedef struct MrLimits
{
	int statement_ms; /* statement_timeout of the pipeline, 0 none */
	bool timed_out;   /* an attempt did */
	bool waited;      /* an attempt did, in vain */
	int64_t ends_at;  /* of a batch that timed out: when nothing is left, µs */
} MrLimits;

/* A batch begins. `suspected`: an event of it has timed out in an earlier batch. */
extern void mr_limits_begin(MrLimits *limits, int statement_ms, bool suspected, int64_t now);

/* An attempt ran longer than it could. */
extern void mr_limits_timed_out(MrLimits *limits, int64_t now);

/*
 * How long an attempt with that many members may run, ms; 0: for any time. `halved`: it is a part of one that failed and
 * did not say at which member.
 */
extern int mr_limits_statement(const MrLimits *limits, int members, bool halved, int64_t now);

/* The batch has timed out and used up what it had left. */
extern bool mr_limits_spent(const MrLimits *limits, int64_t now);

/* How long an attempt may wait for a lock, ms; 0: as long as the session does. */
extern int mr_limits_lock(const MrLimits *limits);

#endif /* MR_LIMITS_H */
