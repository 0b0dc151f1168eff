/*
 * The statistics of the pipelines that the role may see, as one document, for the requests of one thread: all threads take
 * what one source renders. Who asks while it is rendered waits for the same query.
 */
#ifndef MR_API_STATISTICS_H
#define MR_API_STATISTICS_H

#include <event2/event.h>

#include "api/resource/statistics_source.h"

typedef struct MrStatistics MrStatistics;
typedef struct MrStatisticsWait MrStatisticsWait;

/* The document, a line, with its entity tag, when failure is MR_QUERY_OK; else error, or NULL. */
typedef struct MrStatisticsAnswer
{
	MrQueryFailure failure;
	const MrPgError *error;
	const char *text;
	size_t len;
	const char *tag;
} MrStatisticsAnswer;

typedef void (*MrStatisticsDone)(void *owner, const MrStatisticsAnswer *answer);

/* The source must outlive it. */
extern MrStatistics *mr_statistics_new(struct event_base *base, MrStatisticsSource *source);
/* After all that wait for it. */
extern void mr_statistics_free(MrStatistics *statistics);

/* Calls `done` with a fresh document, or with why there is none. NULL: it has been called already. */
extern MrStatisticsWait *mr_statistics_ask(MrStatistics *statistics, MrStatisticsDone done,
										   void *owner);
/* `done` will not be called. The query goes on: others wait for it, or will. */
extern void mr_statistics_forget(MrStatisticsWait *wait);

#endif
