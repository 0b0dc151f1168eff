/*
 * Waking an event loop from another thread, by an eventfd (made with EFD_NONBLOCK) whose EV_READ event the loop has. The only thing about
 * a loop that other threads may touch.
 */
#ifndef MR_COMMON_WAKEUP_H
#define MR_COMMON_WAKEUP_H

/* From any thread. Before the loop has seen it, once more makes no difference. */
extern void mr_wake(int fd);
/* In the loop, first of all: what is done behind it sees all that was done before the wake-up. */
extern void mr_woken(int fd);

#endif
