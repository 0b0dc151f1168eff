/*
 * A delivery belongs to whoever works on it until its report, then to its outbox. An outbox lives until its last report, also
 * when its loop has ended before (references are counted under its lock).
 */
#include "api/publish/outbox.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/wakeup.h"

struct MrDelivery
{
	MrOutbox *outbox;
	MrPublishEnd end; /* NULL: forgotten; the loop's alone */
	void *owner;
	MrPublishFailure failure;
	int32_t partition;
	int64_t offset;
	char text[128];
	MrDelivery *next;
};

struct MrOutbox
{
	MrProducer *producer;
	pthread_mutex_t lock;
	MrDelivery *reported; /* under the lock, as the rest */
	int references;       /* the loop, and each delivery that is not reported */
	int fd;               /* an eventfd: something was reported */
	struct event *event;
};

static void on_reported(evutil_socket_t fd, short what, void *arg);
static void take_reported(MrOutbox *outbox, bool ends);
static void release(MrOutbox *outbox, int count);

MrOutbox *
mr_outbox_new(MrProducer *producer, struct event_base *base)
{
	MrOutbox *outbox = mr_calloc(1, sizeof(*outbox));

	outbox->producer = producer;
	outbox->references = 1;
	pthread_mutex_init(&outbox->lock, NULL);
	outbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	outbox->event = event_new(base, outbox->fd, EV_READ | EV_PERSIST, on_reported, outbox);
	event_add(outbox->event, NULL);
	return outbox;
}

MrProducer *
mr_outbox_producer(const MrOutbox *outbox)
{
	return outbox->producer;
}

/* What is reported, and what is still to be, is for nobody. */
void
mr_outbox_free(MrOutbox *outbox)
{
	if (outbox == NULL)
		return;
	event_free(outbox->event);
	pthread_mutex_lock(&outbox->lock);
	outbox->event = NULL;
	pthread_mutex_unlock(&outbox->lock);
	take_reported(outbox, false);
	release(outbox, 1);
}

MrDelivery *
mr_delivery_new(MrOutbox *outbox, MrPublishEnd end, void *owner)
{
	MrDelivery *delivery = mr_calloc(1, sizeof(*delivery));

	delivery->outbox = outbox;
	delivery->end = end;
	delivery->owner = owner;
	pthread_mutex_lock(&outbox->lock);
	outbox->references++;
	pthread_mutex_unlock(&outbox->lock);
	return delivery;
}

void
mr_delivery_cancel(MrDelivery *delivery)
{
	MrOutbox *outbox = delivery->outbox;

	free(delivery);
	release(outbox, 1);
}

void
mr_delivery_forget(MrDelivery *delivery)
{
	delivery->end = NULL;
}

void
mr_delivery_report(MrDelivery *delivery, MrPublishFailure failure, int32_t partition,
				   int64_t offset, const char *text)
{
	MrOutbox *outbox = delivery->outbox;
	bool is_over;

	delivery->failure = failure;
	delivery->partition = partition;
	delivery->offset = offset;
	snprintf(delivery->text, sizeof(delivery->text), "%s", text);
	pthread_mutex_lock(&outbox->lock);
	is_over = outbox->event == NULL;
	if (!is_over)
	{
		delivery->next = outbox->reported;
		outbox->reported = delivery;
		if (delivery->next == NULL)
			mr_wake(outbox->fd);
	}
	pthread_mutex_unlock(&outbox->lock);
	if (is_over)
		mr_delivery_cancel(delivery);
}

static void
on_reported(evutil_socket_t fd, short what, void *arg)
{
	(void) what;
	mr_woken(fd);
	take_reported(arg, true);
}

/* ends: their owners hear of it. */
static void
take_reported(MrOutbox *outbox, bool ends)
{
	MrDelivery *next;
	int references = 0;

	pthread_mutex_lock(&outbox->lock);
	next = outbox->reported;
	outbox->reported = NULL;
	pthread_mutex_unlock(&outbox->lock);
	while (next != NULL)
	{
		MrDelivery *delivery = next;

		next = delivery->next;
		if (ends && delivery->end != NULL)
			delivery->end(delivery->owner, delivery->failure, delivery->partition, delivery->offset,
						  delivery->text);
		free(delivery);
		references++;
	}
	release(outbox, references);
}

static void
release(MrOutbox *outbox, int count)
{
	int left;

	pthread_mutex_lock(&outbox->lock);
	left = outbox->references -= count;
	pthread_mutex_unlock(&outbox->lock);
	if (left > 0)
		return;
	close(outbox->fd);
	pthread_mutex_destroy(&outbox->lock);
	free(outbox);
}
