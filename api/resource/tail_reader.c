#include "api/resource/tail_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/wakeup.h"

typedef struct Queued
{
	MrEventPage *page;
	struct Queued *next;
} Queued;

struct MrTailReader
{
	MrTailPage page;
	void *owner;
	int fd; /* an eventfd: there are pages */
	struct event *event;
	pthread_mutex_t lock; /* of the queue */
	Queued *first;
	Queued **last;
	int queued;
};

static void on_pages(evutil_socket_t fd, short what, void *arg);
static Queued *take_all(MrTailReader *reader);
static void drop(Queued *first);

MrTailReader *
mr_tail_reader_new(struct event_base *base, MrTailPage page, void *owner)
{
	MrTailReader *reader = mr_calloc(1, sizeof(*reader));

	reader->page = page;
	reader->owner = owner;
	reader->last = &reader->first;
	pthread_mutex_init(&reader->lock, NULL);
	reader->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	reader->event = event_new(base, reader->fd, EV_READ | EV_PERSIST, on_pages, reader);
	event_add(reader->event, NULL);
	return reader;
}

/* A thread that leaves too many unread gets one that closes its streams; their clients come back and catch up. */
void
mr_tail_reader_put(MrTailReader *reader, MrEventPage *page)
{
	Queued *queued = mr_calloc(1, sizeof(*queued));
	MrEventPosition none = {0};

	pthread_mutex_lock(&reader->lock);
	if (reader->queued >= MR_TAIL_QUEUED_MAX)
	{
		drop(take_all(reader));
		queued->page = mr_event_page_new(MR_PAGE_RESET, &none, 0);
	}
	else
		queued->page = mr_event_page_hold(page);
	reader->queued++;
	*reader->last = queued;
	reader->last = &queued->next;
	mr_wake(reader->fd);
	pthread_mutex_unlock(&reader->lock);
}

void
mr_tail_reader_free(MrTailReader *reader)
{
	if (reader == NULL)
		return;
	event_free(reader->event);
	close(reader->fd);
	drop(take_all(reader));
	pthread_mutex_destroy(&reader->lock);
	free(reader);
}

static void
on_pages(evutil_socket_t fd, short what, void *arg)
{
	MrTailReader *reader = arg;
	Queued *first;

	(void) what;
	mr_woken(fd);
	pthread_mutex_lock(&reader->lock);
	first = take_all(reader);
	pthread_mutex_unlock(&reader->lock);
	for (Queued *queued = first; queued != NULL; queued = queued->next)
		reader->page(reader->owner, queued->page);
	drop(first);
}

static Queued *
take_all(MrTailReader *reader)
{
	Queued *first = reader->first;

	reader->first = NULL;
	reader->last = &reader->first;
	reader->queued = 0;
	return first;
}

static void
drop(Queued *first)
{
	Queued *next;

	for (Queued *queued = first; queued != NULL; queued = next)
	{
		next = queued->next;
		mr_event_page_release(queued->page);
		free(queued);
	}
}
