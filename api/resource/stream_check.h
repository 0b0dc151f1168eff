/*
 * What a stream of events begins with: a statement that says where the present is, and whether the values of its filters
 * and of the place it goes on from are valid. Thousands of streams may begin at once: few statements run at a time,
 * streams with the same parameters and place that wait share one, and the others wait their turn as long as their
 * clients do. Of one thread.
 */
#ifndef MR_API_STREAM_CHECK_H
#define MR_API_STREAM_CHECK_H

#include <sys/queue.h>

#include "api/database/pool.h"
#include "api/request/params.h"
#include "api/resource/event_query.h"

#define MR_STREAM_CHECKS 2 /* statements of the thread that run at a time */

typedef struct MrStreamChecks MrStreamChecks;

/* Of one stream, and a part of it. Its members are stream_check.c's, but that statement is NULL when nothing is asked. */
typedef struct MrStreamCheck
{
	struct MrStreamStatement *statement;
	const MrParams *params;
	const char *place;
	const MrEventQuery *query;
	MrQueryEnd end;
	void *owner;
	TAILQ_ENTRY(MrStreamCheck) others;
} MrStreamCheck;

extern MrStreamChecks *mr_stream_checks_new(MrPool *pool);
/* After the exchanges. */
extern void mr_stream_checks_free(MrStreamChecks *checks);
/* Call it every 50 ms or so: those that wait are begun also when one that ran was forgotten. */
extern void mr_stream_checks_tick(MrStreamChecks *checks);

/*
 * Asks, with the values of `query`; parameters, place and query must stay until `end` is called, which is once, as that of
 * mr_pool_query(), and maybe with the result of another stream's statement. place: "" for the present. False: it is refused,
 * *failure says why.
 */
extern bool mr_stream_check_ask(MrStreamChecks *checks, MrStreamCheck *check,
								const MrParams *params, const char *place,
								const MrEventQuery *query, MrQueryEnd end, void *owner,
								MrQueryFailure *failure);
/* The stream has left: `end` is not called. */
extern void mr_stream_check_forget(MrStreamCheck *check);

#endif
