/* What connection.c and its connection_*.c share; nobody else includes it. */
#ifndef MR_API_CONNECTION_PRIVATE_H
#define MR_API_CONNECTION_PRIVATE_H

#include <event2/bufferevent.h>
#include <event2/util.h>
#include <openssl/types.h>

#include "api/wire/connection.h"
#include "api/wire/intake.h"
#include "api/wire/pace.h"

struct MrConnection
{
	MrConnections *all;
	struct bufferevent *bev;
	SSL *ssl;           /* of bev; NULL: in clear text */
	evutil_socket_t fd; /* -1 until its first byte */
	MrIntake intake;
	MrBuffer later; /* pipelined behind the request in flight */
	int64_t made_ms;
	int64_t began_ms;   /* first byte of the request under way; 0: none */
	int64_t busy_ms;    /* since when a request is in flight; 0: none */
	int64_t closed_ms;  /* when evhttp was seen to have done with it; 0: not yet */
	int64_t dropped_ms; /* when bytes came last, since then */
	void *exchange;
	size_t held;      /* of the budget, for its requests */
	size_t decoded;   /* of the request in flight: its body without its content coding */
	size_t unsent;    /* and for what it has not taken of answers */
	MrPace pace;      /* of the request that comes, then of what is taken of its answer */
	uint64_t written; /* with TLS: bytes the kernel had taken at the last look */
	bufferevent_data_cb on_written; /* of evhttp, while connection_stream.c stands before them */
	bufferevent_event_cb on_event;
	void *on_arg;
	bool passing;           /* the input buffer changes by our own hand */
	bool ends;              /* the answer in flight closes the connection */
	bool streams;           /* it goes on: so does its connection */
	bool has_left;          /* the client, while its request is worked on */
	struct event *interest; /* for connection_turn.c: the socket is readable */
	bool is_interested;     /* it waits for that */
	bool has_read;          /* bytes came since it was called */
	bool is_sending;        /* it has an answer to write in this turn */
	MrConnection *next_sending;
	MrConnection *previous;
	MrConnection *next;
};

struct MrConnections
{
	struct evconnlistener *listener; /* NULL: no more */
	struct event *turn;              /* active: this turn of the loop has answers to write */
	MrConnection *first_sending;
	MrBuffer input; /* what has just come, on its way to an intake */
	MrWireLimits limits;
	const MrConnectionEvents *events;
	void *owner;
	MrConnection *first;
	MrConnection **by_fd; /* open ones whose first byte has come */
	int fds;
	int count;
	int busy;
	int64_t drains_ms; /* since when; 0: they do not */
	bool wants_room;   /* an answer did not fit into the budget since the last tick */
};

/* Is it evhttp's still? */
static inline bool
mr_connection_is_in_use(const MrConnection *connection)
{
	bufferevent_event_cb callback;

	bufferevent_getcb(connection->bev, NULL, NULL, &callback, NULL);
	return callback != NULL;
}

#endif
