#include "api/resource/statistics_feed.h"

#include <stdlib.h>

#include "api/request/sse.h"
#include "api/request/stream.h"
#include "api/resource/query_problem.h"
#include "common/eventloop.h"

#define PATH "/events/all"

typedef struct Viewer
{
	MrStatisticsFeed *feed;
	MrStream *stream;
	bool waits; /* for the next event */
	struct Viewer *previous;
	struct Viewer *next;
} Viewer;

struct MrStatisticsFeed
{
	MrStatistics *statistics;
	MrStatisticsWait *wait; /* NULL: nothing is asked for */
	struct event *timer;
	Viewer *first;
};

static void on_left(void *owner);
static void on_timer(evutil_socket_t fd, short what, void *arg);
static void ask(MrStatisticsFeed *feed);
static void on_answer(void *owner, const MrStatisticsAnswer *answer);
static MrSharedText *event_of(const MrStatisticsAnswer *answer);

MrStatisticsFeed *
mr_statistics_feed_new(struct event_base *base, MrStatistics *statistics)
{
	MrStatisticsFeed *feed = mr_calloc(1, sizeof(*feed));

	feed->statistics = statistics;
	feed->timer = evtimer_new(base, on_timer, feed);
	return feed;
}

void
mr_statistics_feed_free(MrStatisticsFeed *feed)
{
	if (feed == NULL)
		return;
	if (feed->wait != NULL)
		mr_statistics_forget(feed->wait);
	event_free(feed->timer);
	free(feed);
}

void
mr_statistics_feed_join(MrStatisticsFeed *feed, MrExchange *exchange)
{
	Viewer *viewer = mr_calloc(1, sizeof(*viewer));

	viewer->feed = feed;
	viewer->waits = true;
	viewer->stream = mr_stream_begin(exchange, on_left, viewer);
	if (viewer->stream == NULL)
	{
		free(viewer);
		return;
	}
	if (feed->first == NULL)
		mr_timer_set(feed->timer, MR_STATISTICS_FEED_MS);
	viewer->next = feed->first;
	if (viewer->next != NULL)
		viewer->next->previous = viewer;
	feed->first = viewer;
	ask(feed);
}

static void
on_left(void *owner)
{
	Viewer *viewer = owner;
	MrStatisticsFeed *feed = viewer->feed;

	if (viewer->previous != NULL)
		viewer->previous->next = viewer->next;
	else
		feed->first = viewer->next;
	if (viewer->next != NULL)
		viewer->next->previous = viewer->previous;
	free(viewer);
	if (feed->first == NULL)
		evtimer_del(feed->timer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	MrStatisticsFeed *feed = arg;

	(void) fd;
	(void) what;
	mr_timer_set(feed->timer, MR_STATISTICS_FEED_MS);
	for (Viewer *viewer = feed->first; viewer != NULL; viewer = viewer->next)
		viewer->waits = true;
	ask(feed);
}

static void
ask(MrStatisticsFeed *feed)
{
	if (feed->wait == NULL)
		feed->wait = mr_statistics_ask(feed->statistics, on_answer, feed);
}

static void
on_answer(void *owner, const MrStatisticsAnswer *answer)
{
	MrStatisticsFeed *feed = owner;
	MrSharedText *event = event_of(answer);

	feed->wait = NULL;
	for (Viewer *viewer = feed->first; viewer != NULL; viewer = viewer->next)
	{
		if (viewer->waits)
			mr_stream_send(viewer->stream, event);
		viewer->waits = false;
	}
	mr_shared_text_release(event);
}

/* While there is no document the stream goes on, and says why. */
static MrSharedText *
event_of(const MrStatisticsAnswer *answer)
{
	MrBuffer event = {0};

	if (answer->failure != MR_QUERY_OK)
		return mr_query_problem_event(answer->failure, answer->error, PATH);
	mr_sse_event(&event, NULL, NULL, answer->text, answer->len - 1);
	return mr_shared_text_new(&event);
}
