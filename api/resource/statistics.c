#include "api/resource/statistics.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/wakeup.h"

struct MrStatisticsWait
{
	MrStatisticsDone done;
	void *owner;
	MrStatisticsWait **link; /* what points to it: it leaves whatever list it is in */
	MrStatisticsWait *next;
};

struct MrStatistics
{
	MrStatisticsSource *source;
	MrStatisticsReader *reader;
	int fd; /* an eventfd: the source has something */
	struct event *event;
	MrStatisticsRendering latest; /* that this thread has taken */
	MrStatisticsWait *first;      /* NULL: the source is not asked */
	bool is_asked;
};

static MrStatisticsWait *await(MrStatistics *statistics, MrStatisticsDone done, void *owner);
static void on_rendering(evutil_socket_t fd, short what, void *arg);
static MrStatisticsAnswer answer_of(const MrStatisticsRendering *rendering);

MrStatistics *
mr_statistics_new(struct event_base *base, MrStatisticsSource *source)
{
	MrStatistics *statistics = mr_calloc(1, sizeof(*statistics));

	statistics->source = source;
	statistics->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	statistics->event =
		event_new(base, statistics->fd, EV_READ | EV_PERSIST, on_rendering, statistics);
	event_add(statistics->event, NULL);
	statistics->reader = mr_statistics_source_attach(source, statistics->fd);
	return statistics;
}

void
mr_statistics_free(MrStatistics *statistics)
{
	if (statistics == NULL)
		return;
	mr_statistics_source_detach(statistics->source, statistics->reader);
	event_free(statistics->event);
	close(statistics->fd);
	mr_shared_text_release(statistics->latest.text);
	free(statistics);
}

MrStatisticsWait *
mr_statistics_ask(MrStatistics *statistics, MrStatisticsDone done, void *owner)
{
	MrStatisticsRendering fresh;
	MrStatisticsAnswer answer;

	if (!statistics->is_asked && !mr_statistics_are_fresh(&statistics->latest))
	{
		if (mr_statistics_source_ask(statistics->source, statistics->reader, &fresh))
		{
			mr_shared_text_release(statistics->latest.text);
			statistics->latest = fresh;
		}
		else
			statistics->is_asked = true;
	}
	if (statistics->is_asked)
		return await(statistics, done, owner);
	answer = answer_of(&statistics->latest);
	done(owner, &answer);
	return NULL;
}

void
mr_statistics_forget(MrStatisticsWait *wait)
{
	*wait->link = wait->next;
	if (wait->next != NULL)
		wait->next->link = wait->link;
	free(wait);
}

static MrStatisticsWait *
await(MrStatistics *statistics, MrStatisticsDone done, void *owner)
{
	MrStatisticsWait *wait = mr_calloc(1, sizeof(*wait));

	wait->done = done;
	wait->owner = owner;
	wait->link = &statistics->first;
	wait->next = statistics->first;
	if (wait->next != NULL)
		wait->next->link = &wait->next;
	statistics->first = wait;
	return wait;
}

/* The list is taken first: who comes while these are answered may wait for the next rendering, not for this one. */
static void
on_rendering(evutil_socket_t fd, short what, void *arg)
{
	MrStatistics *statistics = arg;
	MrStatisticsWait *waiting = statistics->first;
	MrStatisticsRendering rendering;
	MrStatisticsAnswer answer;

	(void) what;
	mr_woken(fd);
	if (!mr_statistics_source_take(statistics->source, statistics->reader, &rendering))
		return;
	statistics->is_asked = false;
	statistics->first = NULL;
	if (waiting != NULL)
		waiting->link = &waiting;
	mr_shared_text_release(statistics->latest.text);
	statistics->latest = rendering; /* a failure is not fresh: the next request asks again */
	if (rendering.text != NULL)
		mr_shared_text_hold(rendering.text);
	answer = answer_of(&rendering);
	while (waiting != NULL)
	{
		MrStatisticsWait *wait = waiting;
		MrStatisticsDone done = wait->done;
		void *who = wait->owner;

		waiting = wait->next;
		if (waiting != NULL)
			waiting->link = &waiting;
		free(wait);
		done(who, &answer);
	}
	mr_shared_text_release(rendering.text);
}

static MrStatisticsAnswer
answer_of(const MrStatisticsRendering *rendering)
{
	MrStatisticsAnswer answer = {rendering->failure,
								 rendering->has_error ? &rendering->error : NULL, NULL, 0,
								 rendering->tag};

	if (rendering->text != NULL)
	{
		answer.text = mr_shared_text_data(rendering->text);
		answer.len = mr_shared_text_len(rendering->text);
	}
	return answer;
}
