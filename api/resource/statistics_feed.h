/* The statistics once a second, for all streams of a thread: one event is made and each of them gets it. */
#ifndef MR_API_STATISTICS_FEED_H
#define MR_API_STATISTICS_FEED_H

#include <event2/event.h>

#include "api/request/exchange.h"
#include "api/resource/statistics.h"

#define MR_STATISTICS_FEED_MS 1000

typedef struct MrStatisticsFeed MrStatisticsFeed;

/* The statistics must outlive it. It asks for nothing while nobody watches. */
extern MrStatisticsFeed *mr_statistics_feed_new(struct event_base *base, MrStatistics *statistics);
/* After the exchanges. */
extern void mr_statistics_feed_free(MrStatisticsFeed *feed);

/* Answers with a stream: `first` at once, and then a document each second. */
extern void mr_statistics_feed_join(MrStatisticsFeed *feed, MrExchange *exchange,
									const MrStatisticsAnswer *first);

#endif
