/*
 * What every client program's main thread needs around libevent: the base, the signals, time and
 * random numbers. One event_base per thread; nothing here is shared between threads.
 */
#ifndef MR_COMMON_EVENTLOOP_H
#define MR_COMMON_EVENTLOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct MrSignals
{
	void (*terminate)(
		void *owner);            /* SIGTERM, SIGINT: first drains, second stops; the owner counts */
	void (*reload)(void *owner); /* SIGHUP */
} MrSignals;

typedef struct MrLoop MrLoop;

/* NULL on failure. SIGPIPE is ignored from here on. */
extern MrLoop *mr_loop_new(const MrSignals *signals, void *owner)
	__attribute__((warn_unused_result));
extern struct event_base *mr_loop_base(MrLoop *loop);
/* Until mr_loop_stop(). The service manager is informed: that it is ready, that it stops, and, if it waits for that, that the loop turns. */
extern void mr_loop_run(MrLoop *loop);
extern void mr_loop_stop(MrLoop *loop);
extern void mr_loop_free(MrLoop *loop);

/* Monotonic milliseconds. */
extern int64_t mr_now_ms(void);
/* Milliseconds since 1970. */
extern int64_t mr_wall_ms(void);
extern uint32_t mr_random32(void);
extern uint64_t mr_random64(void);

/* (Re)starts a timer made with evtimer_new. */
extern void mr_timer_set(struct event *timer, int64_t ms);

#endif
