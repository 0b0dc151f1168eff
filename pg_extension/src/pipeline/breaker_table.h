/*
 * breaker_table.h: the breaker as everybody can see it, table millrace.breaker: a row for each pipeline whose breaker ever
 * opened. Its state is breaker.h's; workers show here what became of it.
 */
#ifndef MR_BREAKER_TABLE_H
#define MR_BREAKER_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Each writes in a transaction of its own, and does nothing when the extension was dropped. A probe keeps the reason it
 * probes for. open and close return whether the pipeline's breaker was closed, or not closed, before: another worker may
 * have been first.
 */
extern bool mr_breaker_table_open(int32 pipeline_id, const char *reason, int sqlstate,
								  TimestampTz next_probe);
extern void mr_breaker_table_probe(int32 pipeline_id);
extern bool mr_breaker_table_close(int32 pipeline_id);

/* Whether it is shown as open or half open: an earlier worker left it so. */
extern bool mr_breaker_table_is_open(int32 pipeline_id);

/*
 * Whether trouble of this SQLSTATE lasts until somebody fixes it: true for what its error class calls
 * `break`; false for deadlocks, lock timeouts and the like, which pass by themselves.
 */
extern bool mr_breaker_table_lasts(int32 pipeline_id, int sqlstate);

#endif /* MR_BREAKER_TABLE_H */
