/* The main thread's event base, signals, clock and dice. */
#include "common/eventloop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/service.h"

struct MrLoop
{
	struct event_base *base;
	struct event *events[3];
	MrSignals signals;
	void *owner;
	struct event *watchdog; /* NULL: nobody waits for it */
};

static void watch(MrLoop *loop);
static void on_watchdog(evutil_socket_t fd, short what, void *arg);
static void on_signal(evutil_socket_t signum, short what, void *arg);

MrLoop *
mr_loop_new(const MrSignals *signals, void *owner)
{
	static const int watched[] = {SIGTERM, SIGINT, SIGHUP};
	MrLoop *loop = mr_calloc(1, sizeof(*loop));

	signal(SIGPIPE, SIG_IGN);
	loop->signals = *signals;
	loop->owner = owner;
	loop->base = event_base_new();
	if (loop->base == NULL)
	{
		free(loop);
		return NULL;
	}
	for (int i = 0; i < 3; i++)
	{
		loop->events[i] = evsignal_new(loop->base, watched[i], on_signal, loop);
		if (loop->events[i] == NULL || evsignal_add(loop->events[i], NULL) != 0)
		{
			mr_loop_free(loop);
			return NULL;
		}
	}
	return loop;
}

struct event_base *
mr_loop_base(MrLoop *loop)
{
	return loop->base;
}

void
mr_loop_run(MrLoop *loop)
{
	watch(loop);
	(void) mr_service_notify("READY=1");
	event_base_dispatch(loop->base);
}

void
mr_loop_stop(MrLoop *loop)
{
	event_base_loopbreak(loop->base);
}

void
mr_loop_free(MrLoop *loop)
{
	if (loop == NULL)
		return;
	for (int i = 0; i < 3; i++)
		if (loop->events[i] != NULL)
			event_free(loop->events[i]);
	if (loop->watchdog != NULL)
		event_free(loop->watchdog);
	event_base_free(loop->base);
	free(loop);
}

int64_t
mr_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
mr_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t
mr_random64(void)
{
	uint64_t value = 0;

	if (getrandom(&value, sizeof(value), 0) != (ssize_t) sizeof(value))
		value = (uint64_t) mr_wall_ms() * 2654435761u + (uint64_t) getpid();
	return value;
}

uint32_t
mr_random32(void)
{
	return (uint32_t) mr_random64();
}

void
mr_timer_set(struct event *timer, int64_t ms)
{
	struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	evtimer_add(timer, &delay);
}

/* A loop that no longer turns is noticed by the service manager, and the program started again. */
static void
watch(MrLoop *loop)
{
	int64_t ms = mr_service_watchdog_ms();
	struct timeval every = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (ms <= 0)
		return;
	loop->watchdog = event_new(loop->base, -1, EV_PERSIST, on_watchdog, NULL);
	if (loop->watchdog != NULL)
		event_add(loop->watchdog, &every);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	(void) mr_service_notify("WATCHDOG=1");
}

static void
on_signal(evutil_socket_t signum, short what, void *arg)
{
	MrLoop *loop = arg;

	(void) what;
	if (signum == SIGHUP)
		loop->signals.reload(loop->owner);
	else
	{
		(void) mr_service_notify("STOPPING=1");
		loop->signals.terminate(loop->owner);
	}
}
