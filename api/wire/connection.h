/*
 * Connections of one thread: the guard (intake.h) between each socket and evhttp. evhttp sees whole, valid requests,
 * one at a time; a refused one is reported to the owner in its turn, to be answered and closed. Connections that evhttp
 * has closed are drained for a moment, so that a client that still sends can read its answer.
 *
 * All of it belongs to the thread whose event base it was made with.
 */
#ifndef MR_API_CONNECTION_H
#define MR_API_CONNECTION_H

#include <event2/http.h>
#include <event2/listener.h>
#include <stdbool.h>

#include "api/wire/head.h"
#include "api/wire/limits.h"

typedef struct MrConnections MrConnections;
typedef struct MrConnection MrConnection;

typedef struct MrConnectionEvents
{
	/* A request to be answered through evhttp; refusal is NULL unless the guard refused it. */
	void (*request)(void *owner, MrConnection *connection, struct evhttp_request *request,
					const MrRefusal *refusal);
	/* The answer has been sent, or the connection closed before: forget the request. `exchange` is what was set. */
	void (*ended)(void *owner, void *exchange, bool sent);
	/* The client has left while its request is being worked on. */
	void (*left)(void *owner, void *exchange);
} MrConnectionEvents;

/* Takes the evhttp's bevcb and gencb. The listener is disabled when there are as many connections as may be. */
extern MrConnections *mr_connections_new(struct evhttp *http, struct evconnlistener *listener,
										 const MrWireLimits *limits,
										 const MrConnectionEvents *events, void *owner);
/* How many are open. */
extern int mr_connections_count(const MrConnections *connections);
/* How many requests are being worked on or answered. */
extern int mr_connections_busy(const MrConnections *connections);
extern bool mr_connections_is_full(const MrConnections *connections);
/* Is any not closed yet, idle or not? */
extern bool mr_connections_are_open(const MrConnections *connections);
/* Call it every 50 ms or so: deadlines, clients that left, connections that ended. */
extern void mr_connections_tick(MrConnections *connections);
/* From here on each answer closes its connection, and idle connections are closed after a second. The listener is not used any more. */
extern void mr_connections_drain(MrConnections *connections);
/* After evhttp_free(). */
extern void mr_connections_free(MrConnections *connections);

/* What `ended` and `left` are called with; NULL: nothing is in flight. */
extern void mr_connection_set_exchange(MrConnection *connection, void *exchange);
/* Must the answer close the connection? To be asked when it is made: what is true then stays so. */
extern bool mr_connection_ends(MrConnection *connection);
/* evhttp has the whole answer: it is written at the end of this turn of the event loop, as far as the socket takes it. */
extern void mr_connection_send(MrConnection *connection);

/*
 * The answer in flight goes on until it is ended, whatever the client sends meanwhile: it closes the connection. The
 * socket holds about send_buffer bytes of it at most; a client that takes none of it for the idle time is closed.
 */
extern void mr_connection_begin_stream(MrConnection *connection, int send_buffer);
/* After evhttp has the end of such an answer: lets it finish when all of it is sent. */
extern void mr_connection_end_stream(MrConnection *connection);
/* Bytes of the answer that the socket has not taken. */
extern size_t mr_connection_unsent(const MrConnection *connection);
/*
 * May the answer have that many bytes? False: all connections together hold as much as they may, and one that is slow
 * makes room soon.
 */
extern bool mr_connection_has_room(MrConnection *connection, size_t more);
/* The body of the request in flight was decoded to so many bytes, which count until its answer is sent. */
extern void mr_connection_hold_decoded(MrConnection *connection, size_t bytes);
/* Closes it now, as if the client had: `ended` is called before this returns. Not from a callback of evhttp. */
extern void mr_connection_abort(MrConnection *connection);

#endif
