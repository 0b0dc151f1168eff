#include "api/wire/server.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/address.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"

#define TICK_MS 50
#define BACKLOG 1024

struct MrServer
{
	struct evhttp *http;
	struct evconnlistener *listener; /* of bound; NULL: no more */
	struct evhttp_bound_socket *bound;
	MrConnections *connections;
	struct event *tick;
	bool is_inherited;
	bool waits;        /* for mr_server_accept() */
	int64_t drains_ms; /* since when; 0: it does not */
};

static struct evconnlistener *listen_on(struct event_base *base, const MrListen *listen,
										char *error, size_t error_size);
static struct evconnlistener *listen_again(struct event_base *base, int fd, char *error,
										   size_t error_size);
static void stop_listening(MrServer *server);
static void on_accept_error(struct evconnlistener *listener, void *arg);
static void on_tick(evutil_socket_t fd, short what, void *arg);

MrServer *
mr_server_new(struct event_base *base, MrListen *listen, const MrWireLimits *limits,
			  const MrConnectionEvents *events, void *owner, char *error, size_t error_size)
{
	MrServer *server = mr_calloc(1, sizeof(*server));

	server->is_inherited = listen->inherited >= 0;
	server->listener = server->is_inherited
						   ? listen_again(base, listen->inherited, error, error_size)
						   : listen_on(base, listen, error, error_size);
	server->http = server->listener != NULL ? evhttp_new(base) : NULL;
	server->tick = evtimer_new(base, on_tick, server);
	if (server->http == NULL || server->tick == NULL)
	{
		mr_server_free(server);
		return NULL;
	}
	listen->port = mr_address_port(evconnlistener_get_fd(server->listener));
	server->connections = mr_connections_new(server->http, server->listener, limits, events, owner);
	server->bound = evhttp_bind_listener(server->http, server->listener);
	/* evhttp has made itself the argument of the listener's callbacks */
	evconnlistener_set_error_cb(server->listener, on_accept_error);
	server->waits = server->is_inherited;
	if (server->waits)
		evconnlistener_disable(server->listener);
	mr_timer_set(server->tick, TICK_MS);
	return server;
}

MrConnections *
mr_server_connections(MrServer *server)
{
	return server->connections;
}

void
mr_server_accept(MrServer *server)
{
	server->waits = false;
}

void
mr_server_drain(MrServer *server)
{
	server->drains_ms = mr_now_ms();
	mr_connections_drain(server->connections);
	/* it is closed later: epoll has to be asked once without it, since it would go on about a socket that others have, too */
	if (server->is_inherited && server->listener != NULL)
		evconnlistener_disable(server->listener);
}

bool
mr_server_is_listening(const MrServer *server)
{
	return server->listener != NULL;
}

void
mr_server_free(MrServer *server)
{
	if (server == NULL)
		return;
	if (server->tick != NULL)
		event_free(server->tick);
	if (server->connections != NULL)
		evhttp_free(server->http); /* the listener, too */
	else
	{
		if (server->http != NULL)
			evhttp_free(server->http);
		if (server->listener != NULL)
			evconnlistener_free(server->listener);
	}
	mr_connections_free(server->connections);
	free(server);
}

static struct evconnlistener *
listen_on(struct event_base *base, const MrListen *listen, char *error, size_t error_size)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
							 .ai_socktype = SOCK_STREAM,
							 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *found = NULL;
	struct evconnlistener *listener;
	char service[16];

	snprintf(service, sizeof(service), "%d", listen->port);
	if (getaddrinfo(listen->address, service, &hints, &found) != 0)
	{
		snprintf(error, error_size, "\"%s\" is not an IP address", listen->address);
		return NULL;
	}
	listener = evconnlistener_new_bind(base, NULL, NULL,
									   LEV_OPT_REUSEABLE | LEV_OPT_REUSEABLE_PORT |
										   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
									   BACKLOG, found->ai_addr, (int) found->ai_addrlen);
	if (listener == NULL)
		snprintf(error, error_size, "could not listen on %s port %d: %m", listen->address,
				 listen->port);
	freeaddrinfo(found);
	return listener;
}

/* It listens, with the backlog that whoever has opened it chose. */
static struct evconnlistener *
listen_again(struct event_base *base, int fd, char *error, size_t error_size)
{
	struct evconnlistener *listener;

	(void) evutil_make_socket_nonblocking(fd);
	listener =
		evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (listener == NULL)
	{
		snprintf(error, error_size, "could not use the inherited socket %d", fd);
		evutil_closesocket(fd);
	}
	return listener;
}

/* Closing a socket drops the connections in its queue, unless another process has it, too. */
static void
stop_listening(MrServer *server)
{
	if (server->listener != NULL)
		evhttp_del_accept_socket(server->http, server->bound);
	server->listener = NULL;
}

/* What cannot be accepted (no file descriptor left, say) keeps the socket readable: without a pause the loop spins. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void) arg;
	mr_log(MR_LOG_WARN, "cannot accept connections",
		   MR_STR("error", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR())));
	evconnlistener_disable(listener);
}

/* A listener that was paused gets its next chance each time. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	MrServer *server = arg;

	(void) fd;
	(void) what;
	mr_connections_tick(server->connections);
	if (server->drains_ms > 0)
	{
		/* what had come before was taken in the turns of the loop since, or is left to others */
		if (mr_now_ms() - server->drains_ms >= TICK_MS)
			stop_listening(server);
	}
	else
	{
		if (server->waits || mr_connections_is_full(server->connections))
			evconnlistener_disable(server->listener);
		else
			evconnlistener_enable(server->listener);
	}
	mr_timer_set(server->tick, TICK_MS);
}
