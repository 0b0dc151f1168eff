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

/* The same of the events that are tried again (worker 0): a line of the log, and the breaker of the pipeline stays as it is. */
extern void mr_trouble_met_by_retries(MrBreaker *breaker, const ErrorData *error);
extern void mr_trouble_retries_settled(MrBreaker *breaker);

/* Before a batch is tried, and after one with events was settled. */
extern void mr_trouble_try(MrBreaker *breaker);
extern void mr_trouble_settled(MrBreaker *breaker);

#endif /* MR_TROUBLE_H */
