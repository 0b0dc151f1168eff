/*
 * trouble.h: what a worker shows of its breakers: the rows of millrace.breaker that are its own, its slot, and a line of the
 * server log when a pipeline's breaker opens and when it closes. What the state is, is known to sources.h.
 */
#ifndef MR_TROUBLE_H
#define MR_TROUBLE_H

#include "postgres.h"

#include "pipeline/breaker_table.h"

/* What a row of millrace.breaker shows of a worker's trouble, and what it is to show. */
typedef struct MrShownTrouble
{
	MrBreakerState state; /* what the row says */
	bool stale;           /* the cause changed since, or a write failed */
	int64 probe_at;       /* mr_clock_us(), while it is open */
	int64 again_at;       /* mr_clock_us(): not written before */
	char *reason;         /* of the latest trouble; NULL: of an earlier worker */
	int sqlstate;
	char *command;
} MrShownTrouble;

/* Of a worker, by MrBreakerKind. Zeroed at first. */
typedef struct MrTrouble
{
	MrShownTrouble rows[MR_BREAKER_OF_RETRIES + 1];
} MrTrouble;

/* The functions below are about this one from now on: the process serves its worker. */
extern void mr_trouble_serve(MrTrouble *trouble);
extern void mr_trouble_free(MrTrouble *trouble);

/* None of these raises an error: what cannot be written is written later, by the next mr_trouble_show(). */

/* When the worker starts. Returns whether an earlier worker left the breaker open. */
extern bool mr_trouble_begin(MrBreakerKind kind);

/*
 * An error that is no event's fault: moves the breaker, and keeps the cause to show it. `command` fixes it, NULL: not known.
 * No transaction is open.
 */
extern void mr_trouble_met(MrBreakerKind kind, MrBreaker *breaker, const ErrorData *error,
						   const char *command);

/*
 * What the row should say: nothing is done when it does. wait_us: until the next probe. A breaker that probes without ever
 * having been open does so for another one, and is not shown. No transaction is open.
 */
extern void mr_trouble_show(MrBreakerKind kind, MrBreakerState state, int64 wait_us);

/* Whether a verb asks for a probe at once, where the row says open. No transaction is open. */
extern bool mr_trouble_is_due(MrBreakerKind kind);

#endif /* MR_TROUBLE_H */
