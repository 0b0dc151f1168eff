/*
 * The guard: bytes of a connection go in, one whole and valid request at a time comes out, as text that leaves nothing
 * to interpret (no chunks, no Expect, origin form); or a refusal. Nothing is passed on before it is complete. Pure.
 *
 *   HEAD --(empty line)--> BODY or CHUNKS --(all of it)--> READY --mr_intake_next()--> HEAD
 *     \___________________________\______(anything wrong)__> REFUSED, for good
 */
#ifndef MR_API_INTAKE_H
#define MR_API_INTAKE_H

#include <stdbool.h>

#include "api/wire/chunked.h"
#include "api/wire/head.h"
#include "api/wire/limits.h"

typedef enum MrIntakeState
{
	MR_INTAKE_HEAD,
	MR_INTAKE_BODY,
	MR_INTAKE_CHUNKS,
	MR_INTAKE_READY,
	MR_INTAKE_REFUSED
} MrIntakeState;

typedef struct MrIntake
{
	MrIntakeState state;
	MrBuffer text;     /* the head as it comes, then the request to pass on */
	MrBuffer body;     /* of a chunked request, which is not as long as its chunks */
	size_t line_end;   /* where the request line ends, its CRLF included; 0: it has not ended yet */
	uint64_t left;     /* of a body with a length */
	int64_t window_ms; /* when the window that the rate of the body is judged by began */
	int64_t window_came; /* bytes that were there then */
	MrChunked chunked;
	MrRefusal refusal;
	bool wants_continue; /* the client waits for 100 Continue; the caller clears it */
	bool closes;         /* of the request that is READY: nothing comes behind it */
	uint64_t body_max;
} MrIntake;

extern void mr_intake_init(MrIntake *intake, uint64_t body_max);
extern void mr_intake_free(MrIntake *intake);
/* Takes bytes and returns how many: all, unless READY or REFUSED is reached. */
extern size_t mr_intake_take(MrIntake *intake, const char *data, size_t len);
/* Is a request under way that has begun, but is not complete? */
extern bool mr_intake_has_begun(const MrIntake *intake);
/* READY: its text has been passed on, the next request may come. */
extern void mr_intake_next(MrIntake *intake);
/*
 * Whether what is under way comes fast enough, took_ms after its first byte: the head within its time, the body at its
 * rate in each window of the time of grace, whatever came before. To be asked several times in each. False: it is given
 * up on.
 */
extern bool mr_intake_is_in_time(MrIntake *intake, const MrWireLimits *limits, int64_t took_ms);
/* Gives up on what is under way. */
extern void mr_intake_refuse(MrIntake *intake, MrProblem problem, const char *why);

#endif
