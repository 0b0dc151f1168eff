/*
 * failure.h - why one event could not become rows: data, not an exception
 *
 * Decode, transform and write all describe a failed event by this structure, so that the dead letter, the
 * retry rules and the statistics need to know one structure only.
 *
 * Lifetime: everything is palloc'ed in the context that is current when the failure is made.
 */
#ifndef MR_FAILURE_H
#define MR_FAILURE_H

#include "postgres.h"

#include "server/compat.h"

typedef enum MrStage
{
	MR_STAGE_DECODE,    /* the bytes do not fit the fields */
	MR_STAGE_TRANSFORM, /* the pipeline's query failed */
	MR_STAGE_WRITE,     /* the target refused the row */
	MR_STAGE_WINDOW     /* an expression of a window failed on the row as it was stored */
} MrStage;

#define MR_STAGES (MR_STAGE_WINDOW + 1)

typedef struct MrFailure
{
	MrStage stage;
	int sqlstate; /* as made by MAKE_SQLSTATE */
	const char *message;
	const char *detail; /* this and the rest: NULL when there is none */
	const char *hint;
	const char *constraint_name;
	const char *column_name; /* for decode: the name of the field */
	bool waited;             /* in vain, for a lock another session holds */
	bool timed_out;          /* ran longer than it could */
	Oid unfilled_in; /* the target, of which a NOT NULL column is null that the transform does not give */
} MrFailure;

/* "decode", "transform", "write" or "window", as stored in millrace.dead_letter.stage */
extern const char *mr_stage_name(MrStage stage);

/* Copies what matters of a caught error. */
extern MrFailure *mr_failure_from_error(MrStage stage, const ErrorData *edata);

extern MrFailure *mr_failure_make(MrStage stage, int sqlstate, const char *fmt, ...)
	pg_attribute_printf(3, 4);

/* With all its texts, into the current memory context. */
extern MrFailure *mr_failure_copy(const MrFailure *failure);

/* Gives it a detail, copied; NULL: none. */
extern void mr_failure_set_detail(MrFailure *failure, const char *detail);

/*
 * True when an SQLSTATE says something about the event, false when the same event may succeed later or
 * elsewhere: cancel, shutdown, out of memory, disk full, deadlock, serialization, lock not available. A user's
 * function can raise those too, for one event alone.
 */
extern bool mr_error_is_of_the_data(int sqlstate);

/* Raised by the server, not by a user's SQL: a cancel, or a timeout. */
extern bool mr_error_is_interrupt(const ErrorData *edata);

/* Raises the failure as an ordinary error (SQL-callable functions only). */
pg_noreturn extern void mr_failure_raise(const MrFailure *failure);

#endif
