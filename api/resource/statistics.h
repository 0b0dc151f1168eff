/*
 * The statistics of the pipelines that the role may see, as one document. Each thread renders it at most once per
 * MR_STATISTICS_FRESH_MS; requests that come while it is rendered wait for the same query.
 */
#ifndef MR_API_STATISTICS_H
#define MR_API_STATISTICS_H

#include "api/database/pool.h"
#include "api/request/exchange.h"

#define MR_STATISTICS_FRESH_MS 100

typedef struct MrStatistics MrStatistics;

/* The pool must outlive it. */
extern MrStatistics *mr_statistics_new(MrPool *pool);
/* After the exchanges that wait for it. */
extern void mr_statistics_free(MrStatistics *statistics);

extern void mr_statistics_get(MrExchange *exchange);

#endif
