#include "api/resource/event_wait.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/wakeup.h"

typedef TAILQ_HEAD(, MrEventWait) WaitList;

struct MrEventWait
{
	MrEventWaits *waits;
	MrAwaited *awaited; /* the source's part of it */
	int64_t end_ms;
	MrEventWaitEnd end;
	void *owner;
	WaitList *list; /* that it is in */
	TAILQ_ENTRY(MrEventWait) others;
};

struct MrEventWaits
{
	MrEventWaitReader *reader;
	int fd; /* an eventfd: some are final */
	struct event *event;
	struct event *timer; /* while any wait: is the time of one over? */
	WaitList all;
	bool drains;
};

static void on_some_final(evutil_socket_t fd, short what, void *arg);
static void end_final(MrEventWaits *waits);
static void on_timer(evutil_socket_t fd, short what, void *arg);
static void end_late(MrEventWaits *waits, int64_t now_ms);
static void append(WaitList *list, MrEventWait *wait);

MrEventWaits *
mr_event_waits_new(struct event_base *base, MrEventWaitSource *source)
{
	MrEventWaits *waits = mr_calloc(1, sizeof(*waits));

	TAILQ_INIT(&waits->all);
	waits->timer = evtimer_new(base, on_timer, waits);
	waits->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	waits->event = event_new(base, waits->fd, EV_READ | EV_PERSIST, on_some_final, waits);
	event_add(waits->event, NULL);
	waits->reader = mr_event_wait_source_attach(source, waits->fd);
	return waits;
}

void
mr_event_waits_drain(MrEventWaits *waits)
{
	waits->drains = true;
	end_late(waits, INT64_MAX);
}

void
mr_event_waits_free(MrEventWaits *waits)
{
	if (waits == NULL)
		return;
	mr_event_wait_source_detach(waits->reader);
	event_free(waits->event);
	event_free(waits->timer);
	close(waits->fd);
	free(waits);
}

MrEventWait *
mr_event_wait(MrEventWaits *waits, const MrCoordinate *event, bool is_named, int64_t wait_ms,
			  MrEventWaitEnd end, void *owner)
{
	MrEventWait *wait = mr_calloc(1, sizeof(*wait));

	wait->awaited = mr_await(waits->reader, event, is_named, wait);
	if (wait->awaited == NULL)
	{
		free(wait);
		return NULL;
	}
	wait->waits = waits;
	wait->end_ms = mr_now_ms() + (waits->drains ? 0 : wait_ms);
	wait->end = end;
	wait->owner = owner;
	append(&waits->all, wait);
	if (!evtimer_pending(waits->timer, NULL))
		mr_timer_set(waits->timer, waits->drains ? 0 : MR_WAIT_POLL_MS);
	return wait;
}

void
mr_event_wait_abandon(MrEventWait *wait)
{
	TAILQ_REMOVE(wait->list, wait, others);
	mr_awaited_forget(wait->awaited);
	free(wait);
}

static void
on_some_final(evutil_socket_t fd, short what, void *arg)
{
	(void) what;
	mr_woken(fd);
	end_final(arg);
}

/* One after the other: the end of one may abandon others, which are not there to take then. */
static void
end_final(MrEventWaits *waits)
{
	char *pipelines;
	MrEventWait *wait;

	while ((wait = mr_event_wait_take(waits->reader, &pipelines)) != NULL)
	{
		TAILQ_REMOVE(wait->list, wait, others);
		wait->end(wait->owner, pipelines);
		free(pipelines);
		free(wait);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	MrEventWaits *waits = arg;

	(void) fd;
	(void) what;
	end_late(waits, mr_now_ms());
	if (!TAILQ_EMPTY(&waits->all))
		mr_timer_set(waits->timer, MR_WAIT_POLL_MS);
}

/* What is final is not late. Apart first: the end of one may abandon others. */
static void
end_late(MrEventWaits *waits, int64_t now_ms)
{
	WaitList late = TAILQ_HEAD_INITIALIZER(late);
	MrEventWait *next;
	MrEventWait *wait;

	end_final(waits);
	for (wait = TAILQ_FIRST(&waits->all); wait != NULL; wait = next)
	{
		next = TAILQ_NEXT(wait, others);
		if (wait->end_ms > now_ms)
			continue;
		TAILQ_REMOVE(&waits->all, wait, others);
		append(&late, wait);
	}
	while ((wait = TAILQ_FIRST(&late)) != NULL)
	{
		TAILQ_REMOVE(&late, wait, others);
		mr_awaited_forget(wait->awaited);
		wait->end(wait->owner, NULL);
		free(wait);
	}
}

static void
append(WaitList *list, MrEventWait *wait)
{
	wait->list = list;
	TAILQ_INSERT_TAIL(list, wait, others);
}
