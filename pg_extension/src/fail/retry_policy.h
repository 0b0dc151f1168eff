/*
 * retry_policy.h: how long to wait before an event is tried again. Pure.
 */
#ifndef MR_RETRY_POLICY_H
#define MR_RETRY_POLICY_H

#include <stdint.h>

/*
 * Milliseconds before the next try of an event that has failed `failures` times (1 = its first failure):
 * delay * factor^(failures - 1), at most max_delay, then moved by up to `jitter` (0..1) of itself up or down as
 * `random` (0..1) says. Never negative, whatever the arguments.
 * Exponential backoff with jitter as in M. Brooker, "Exponential Backoff And Jitter" (2015).
 */
extern int64_t mr_retry_delay_ms(int failures, int64_t delay_ms, double factor,
								 int64_t max_delay_ms, double jitter, double random);

#endif /* MR_RETRY_POLICY_H */
