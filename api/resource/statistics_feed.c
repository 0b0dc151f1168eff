#include "api/resource/statistics_feed.h"

#include <stdlib.h>
#include <sys/queue.h>

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
	LIST_ENTRY(Viewer) others;
} Viewer;

struct MrStatisticsFeed
{
	MrStatistics *statistics;
	MrStatisticsWait *wait; /* NULL: nothing is asked for */
	struct event *timer;
	LIST_HEAD(, Viewer) viewers;
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
mr_statistics_feed_join(MrStatisticsFeed *feed, MrExchange *exchange,
						const MrStatisticsAnswer *first)
{
	Viewer *viewer = mr_calloc(1, sizeof(*viewer));
	MrSharedText *event;

	viewer->feed = feed;
	viewer->stream = mr_stream_begin(exchange, on_left, viewer);
	if (viewer->stream == NULL)
	{
		free(viewer);
		return;
	}
	if (LIST_EMPTY(&feed->viewers))
		mr_timer_set(feed->timer, MR_STATISTICS_FEED_MS);
	LIST_INSERT_HEAD(&feed->viewers, viewer, others);
	event = event_of(first);
	mr_stream_send(viewer->stream, event);
	mr_shared_text_release(event);
}

static void
on_left(void *owner)
{
	Viewer *viewer = owner;
	MrStatisticsFeed *feed = viewer->feed;

	LIST_REMOVE(viewer, others);
	free(viewer);
	if (LIST_EMPTY(&feed->viewers))
		evtimer_del(feed->timer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	MrStatisticsFeed *feed = arg;
	Viewer *viewer;

	(void) fd;
	(void) what;
	mr_timer_set(feed->timer, MR_STATISTICS_FEED_MS);
	LIST_FOREACH (viewer, &feed->viewers, others)
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
	Viewer *viewer;

	feed->wait = NULL;
	LIST_FOREACH (viewer, &feed->viewers, others)
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
