/*
 * Fewer turns of the event loop, and calls of the kernel, for each request than evhttp has by itself. It turns reading off while a request is
 * worked on, and has libevent ask whether the socket takes an answer: three epoll_ctl() and a turn. Here the kernel's interest in a
 * socket stays as it is, and answers are written in the turn in which they are made.
 */
#ifndef MR_API_CONNECTION_TURN_H
#define MR_API_CONNECTION_TURN_H

#include "api/wire/connection_private.h"

extern struct event *mr_connections_turn_new(struct event_base *base, MrConnections *all);
/* Its socket is known, or its next request may come: the interest is kept, until bytes come that nobody reads. */
extern void mr_connection_keep_interest(MrConnection *connection);
/* Before its socket is closed. */
extern void mr_connection_end_turns(MrConnection *connection);

#endif
