/*
 * The HTTP server of one thread: its listening socket (each thread has one on the same port, or one that was inherited),
 * evhttp, connections.
 */
#ifndef MR_API_SERVER_H
#define MR_API_SERVER_H

#include "api/wire/connection.h"

typedef struct MrServer MrServer;

typedef struct MrListen
{
	int inherited; /* listening already, of the caller until mr_server_new(); -1: none, listen on: */
	const char *address; /* and */
	int port;            /* 0: a free one */
} MrListen;

/*
 * Listens; listen->port becomes the one that is used. From an inherited socket, which another process may serve still, nothing is
 * taken before mr_server_accept(). NULL, and a message, on failure.
 */
extern MrServer *mr_server_new(struct event_base *base, MrListen *listen,
							   const MrWireLimits *limits, const MrConnectionEvents *events,
							   void *owner, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern MrConnections *mr_server_connections(MrServer *server);
/* It can answer now. */
extern void mr_server_accept(MrServer *server);
/*
 * Takes no more connections than those that have come already; those to an inherited socket are for the process that has it
 * next. Each is closed with its next answer, or when none is asked for a while.
 */
extern void mr_server_drain(MrServer *server);
/* Closes all that is left. */
/* Clients can still connect: when it drains, until what had come before is taken. */
extern bool mr_server_is_listening(const MrServer *server);
extern void mr_server_free(MrServer *server);

#endif
