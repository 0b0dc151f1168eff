/*
 * trouble.h: what a worker does when its breaker changes: it moves the state (breaker.h) and makes it visible, in
 * millrace.breaker, in its slot, and by a line of the server log when it opens and when it closes.
 */
#ifndef MR_TROUBLE_H
#define MR_TROUBLE_H

#include "postgres.h"

#include "pipeline/breaker.h"

/* When the worker starts: takes over a breaker that an earlier worker left open. */
extern void mr_trouble_begin(MrBreaker *breaker);

/* An error that is no event's fault. No transaction is open. */
extern void mr_trouble_met(MrBreaker *breaker, const ErrorData *error);

/* Before a batch is tried, and after one with events was settled. */
extern void mr_trouble_try(MrBreaker *breaker);
extern void mr_trouble_settled(MrBreaker *breaker);

#endif /* MR_TROUBLE_H */
