/*
 * breaker.h: the circuit breaker of a pipeline as everybody can see it: millrace.breaker.
 *
 *            trouble                 backoff over                 a batch is settled
 *   closed ------------> open ---------------------> half_open ----------------------> closed
 *                          ^------------ trouble --------'
 *
 * Open means: staging fills, Kafka waits, nothing goes to retry or dead letter because of it.
 */
#ifndef MR_BREAKER_H
#define MR_BREAKER_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Each in a transaction of its own; does nothing when the extension is gone. */
extern void mr_breaker_open(int32 pipeline_id, const char *reason, int sqlstate,
							TimestampTz next_probe);
extern void mr_breaker_probe(int32 pipeline_id);
extern void mr_breaker_close(int32 pipeline_id);

/* Whether it is shown as open or half open: left so by an earlier worker. */
extern bool mr_breaker_is_open(int32 pipeline_id);

/*
 * Trouble of this SQLSTATE, for the `failures`th time in a row: does it open the breaker? What its error
 * class calls `break` does at once; deadlocks, lock timeouts and the like pass by themselves, up to a point.
 */
extern bool mr_breaker_should_open(int32 pipeline_id, int sqlstate, int failures);

#endif /* MR_BREAKER_H */
