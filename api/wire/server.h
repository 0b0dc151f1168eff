/* The HTTP server of one thread: its listening socket (each thread has one on the same port), evhttp, connections. */
#ifndef MR_API_SERVER_H
#define MR_API_SERVER_H

#include "api/wire/connection.h"

typedef struct MrServer MrServer;

/*
 * Listens on address:port; *port is the one to use and, when it is 0, becomes the one that was free. NULL, and a
 * message, on failure.
 */
extern MrServer *mr_server_new(struct event_base *base, const char *address, int *port,
							   const MrWireLimits *limits, const MrConnectionEvents *events,
							   void *owner, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern MrConnections *mr_server_connections(MrServer *server);
/* Takes no more connections, closes idle ones, and each other one with its answer. */
extern void mr_server_drain(MrServer *server);
/* Closes all that is left. */
extern void mr_server_free(MrServer *server);

#endif
