/*
 * breaker_table.h: breakers as everybody can see them, table millrace.breaker: a row for each worker that ever had trouble, and
 * one more for the events that are tried again. Their state is breaker.h's; each worker shows here what became of its own.
 */
#ifndef MR_BREAKER_TABLE_H
#define MR_BREAKER_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "pipeline/breaker.h"

typedef enum MrBreakerKind
{
	MR_BREAKER_OF_LANES,
	MR_BREAKER_OF_RETRIES
} MrBreakerKind;

/* Which row. */
typedef struct MrBreakerRow
{
	int32 pipeline_id;
	int32 worker;
	MrBreakerKind kind;
} MrBreakerRow;

/* What the row says of a breaker that is not closed. */
typedef struct MrBreakerCause
{
	const char *reason; /* NULL: not known, what the row says stays */
	int sqlstate;
	const char *command;    /* that fixes it; NULL: not known */
	TimestampTz next_probe; /* 0: none is planned */
} MrBreakerCause;

/* Whether the pipeline's state changed with the row's, and since when it had been what it was; 0: without a row. */
typedef struct MrBreakerChange
{
	bool happened;
	TimestampTz since;
} MrBreakerChange;

/*
 * Writes the row, in a transaction of its own; does nothing when extension or pipeline were dropped, or the pipeline has
 * no such worker any more. The pipeline's state changes when it had no breaker of that kind that was not closed before (state
 * open, half open) or has none now (closed) because of that: other workers may have been first, or last. May raise an error.
 */
extern MrBreakerChange mr_breaker_table_show(const MrBreakerRow *row, MrBreakerState state,
											 const MrBreakerCause *cause);

/* Whether it is shown as open or half open: an earlier worker left it so. */
extern bool mr_breaker_table_is_open(const MrBreakerRow *row);

/* Whether it is shown as open and its probe is due: a verb asks for that. */
extern bool mr_breaker_table_is_due(const MrBreakerRow *row);

/*
 * Whether trouble of this SQLSTATE lasts until somebody fixes it: true for what its error class calls
 * `break`; false for deadlocks, lock timeouts and the like, which pass by themselves.
 */
extern bool mr_breaker_table_lasts(int32 pipeline_id, int sqlstate);

#endif /* MR_BREAKER_TABLE_H */
