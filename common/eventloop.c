/* The main thread's event base, signals, clock and dice. */
#include "common/eventloop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"

struct MrLoop
{
	struct event_base *base;
	struct event *events[3];
	MrSignals signals;
	void *owner;
};

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

static void
on_signal(evutil_socket_t signum, short what, void *arg)
{
	MrLoop *loop = arg;

	(void) what;
	if (signum == SIGHUP)
		loop->signals.reload(loop->owner);
	else
		loop->signals.terminate(loop->owner);
}
