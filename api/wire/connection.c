/*
 * How bytes get past evhttp's own reading: a callback of the socket's input buffer takes them out as they arrive, and
 * puts back a request when it is complete. That happens while evhttp waits for a request line and at no other time, so
 * "there is a request" and "it is this connection's only one" are the same.
 *
 * evhttp neither counts its connections nor reports their end: each bufferevent is held by a reference of ours, and
 * evhttp clears its callbacks when it has done with one, which the tick sees.
 */
#include "api/wire/connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api/wire/intake.h"
#include "common/eventloop.h"

#define PIPELINED_MAX                                                                              \
	32768              /* bytes of later requests kept while one is worked on; then reading stops */
#define LINGER_MS 1000 /* how long what a client still sends is read and dropped after the answer */
#define WATCH_MS  100  /* requests that take longer have their client watched */
#define EXTENTS   8

struct MrConnection
{
	MrConnections *all;
	struct bufferevent *bev;
	evutil_socket_t fd; /* -1 until its first byte */
	MrIntake intake;
	MrBuffer later;    /* pipelined behind the request in flight */
	int64_t began_ms;  /* first byte of the request under way; 0: none */
	int64_t busy_ms;   /* since when a request is in flight; 0: none */
	int64_t closed_ms; /* when evhttp was seen to have done with it; 0: not yet */
	void *exchange;
	bool passing;  /* the input buffer changes by our own hand */
	bool ends;     /* the answer in flight closes the connection */
	bool streams;  /* it goes on: so does its connection */
	bool has_left; /* the client, while its request is worked on */
	MrConnection *previous;
	MrConnection *next;
};

struct MrConnections
{
	struct evconnlistener *listener;
	MrWireLimits limits;
	const MrConnectionEvents *events;
	void *owner;
	MrConnection *first;
	MrConnection **by_fd; /* open ones whose first byte has come */
	int fds;
	int count;
	int busy;
	bool drains;
};

static struct bufferevent *new_connection(struct event_base *base, void *arg);
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
static void on_request(struct evhttp_request *request, void *arg);
static void on_complete(struct evhttp_request *request, void *arg);
static void on_close(struct evhttp_connection *evcon, void *arg);
static bool is_in_use(const MrConnection *connection);
static bool is_last(const MrConnection *connection);
static void know_fd(MrConnection *connection);
static void take(MrConnection *connection, const char *data, size_t len);
static void pass(MrConnection *connection, bool reading);
static void send_continue(MrConnection *connection);
static void end_exchange(MrConnection *connection, bool sent);
static bool tick_one(MrConnection *connection, int64_t now);
static void check_deadline(MrConnection *connection, int64_t now);
static bool linger(MrConnection *connection, int64_t now);
static void remove_connection(MrConnection *connection);

MrConnections *
mr_connections_new(struct evhttp *http, struct evconnlistener *listener, const MrWireLimits *limits,
				   const MrConnectionEvents *events, void *owner)
{
	MrConnections *all = mr_calloc(1, sizeof(*all));

	all->listener = listener;
	all->limits = *limits;
	all->events = events;
	all->owner = owner;
	evhttp_set_bevcb(http, new_connection, all);
	evhttp_set_gencb(http, on_request, all);
	evhttp_set_timeout(http, (int) (limits->idle_ms / 1000));
	/* The guard has looked at both: evhttp's own limits must never be the first. */
	evhttp_set_max_headers_size(http, 4 * (MR_HEAD_MAX + MR_TARGET_MAX));
	evhttp_set_max_body_size(http, (ev_ssize_t) limits->body_bytes + 1);
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
										 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH |
										 EVHTTP_REQ_OPTIONS);
	return all;
}

int
mr_connections_count(const MrConnections *connections)
{
	return connections->count;
}

int
mr_connections_busy(const MrConnections *connections)
{
	return connections->busy;
}

bool
mr_connections_is_full(const MrConnections *connections)
{
	return connections->count >= connections->limits.connections;
}

void
mr_connections_tick(MrConnections *connections)
{
	int64_t now = mr_now_ms();
	MrConnection *next;

	for (MrConnection *c = connections->first; c != NULL; c = next)
	{
		next = c->next;
		if (!tick_one(c, now))
			remove_connection(c);
	}
}

void
mr_connections_drain(MrConnections *connections)
{
	connections->drains = true;
}

void
mr_connections_free(MrConnections *connections)
{
	MrConnection *next;

	if (connections == NULL)
		return;
	for (MrConnection *c = connections->first; c != NULL; c = next)
	{
		next = c->next;
		remove_connection(c);
	}
	free(connections->by_fd);
	free(connections);
}

void
mr_connection_set_exchange(MrConnection *connection, void *exchange)
{
	connection->exchange = exchange;
}

bool
mr_connection_ends(MrConnection *connection)
{
	connection->ends = connection->streams || is_last(connection) || connection->all->drains;
	return connection->ends;
}

void
mr_connection_begin_stream(MrConnection *connection, int send_buffer)
{
	int64_t idle_ms = connection->all->limits.idle_ms;
	const struct timeval writing = {idle_ms / 1000, idle_ms % 1000 * 1000};

	connection->streams = true;
	/* evhttp's read timeout is for the next request: nothing is expected from the client here */
	bufferevent_set_timeouts(connection->bev, NULL, &writing);
	setsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
}

size_t
mr_connection_unsent(const MrConnection *connection)
{
	return evbuffer_get_length(bufferevent_get_output(connection->bev));
}

void
mr_connection_abort(MrConnection *connection)
{
	bufferevent_trigger_event(connection->bev, BEV_EVENT_READING | BEV_EVENT_EOF, 0);
}

static struct bufferevent *
new_connection(struct event_base *base, void *arg)
{
	MrConnections *all = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	MrConnection *connection;

	if (bev == NULL)
		abort(); /* memory is out; evhttp would go on with a bufferevent that has no guard */
	connection = mr_calloc(1, sizeof(*connection));
	connection->all = all;
	connection->bev = bev;
	connection->fd = -1;
	mr_intake_init(&connection->intake, all->limits.body_bytes);
	connection->next = all->first;
	if (all->first != NULL)
		all->first->previous = connection;
	all->first = connection;
	if (++all->count >= all->limits.connections)
		evconnlistener_disable(all->listener);
	bufferevent_incref(bev);
	evbuffer_add_cb(bufferevent_get_input(bev), on_input, connection);
	return bev;
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	MrConnection *connection = arg;
	size_t len = evbuffer_get_length(input);
	size_t passed = len - info->n_added; /* a request that evhttp has not taken yet */
	MrBuffer copy = {0};

	if (connection->passing || info->n_added == 0 || !is_in_use(connection))
		return;
	know_fd(connection);
	mr_buffer_reserve(&copy, len);
	copy.len = len;
	connection->passing = true;
	evbuffer_remove(input, copy.data, len);
	evbuffer_add(input, copy.data, passed);
	connection->passing = false;
	take(connection, copy.data + passed, len - passed);
	if (connection->intake.state >= MR_INTAKE_READY && connection->busy_ms == 0)
		pass(connection, true);
	mr_buffer_free(&copy);
}

static bool
is_in_use(const MrConnection *connection)
{
	bufferevent_event_cb callback;

	bufferevent_getcb(connection->bev, NULL, NULL, &callback, NULL);
	return callback != NULL;
}

/* Does nothing count that comes behind the request under way? */
static bool
is_last(const MrConnection *connection)
{
	return connection->intake.closes || connection->intake.state == MR_INTAKE_REFUSED;
}

/* The socket is known to the bufferevent only after new_connection(). */
static void
know_fd(MrConnection *connection)
{
	MrConnections *all = connection->all;
	int on = 1;

	if (connection->fd >= 0)
		return;
	connection->fd = bufferevent_getfd(connection->bev);
	if (connection->fd >= all->fds)
	{
		int fds = (connection->fd + 64) * 2;

		all->by_fd = mr_realloc(all->by_fd, sizeof(*all->by_fd) * (size_t) fds);
		memset(all->by_fd + all->fds, 0, sizeof(*all->by_fd) * (size_t) (fds - all->fds));
		all->fds = fds;
	}
	all->by_fd[connection->fd] = connection;
	/* an answer is one write: waiting for more to send only delays its end */
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* What comes behind a request in flight waits; what comes behind the last one is dropped. */
static void
take(MrConnection *connection, const char *data, size_t len)
{
	MrIntake *intake = &connection->intake;
	size_t used;

	if (connection->busy_ms == 0)
	{
		if (connection->began_ms == 0)
			connection->began_ms = mr_now_ms();
		used = mr_intake_take(intake, data, len);
		data += used;
		len -= used;
		if (intake->wants_continue)
			send_continue(connection);
	}
	if (intake->state >= MR_INTAKE_READY && (is_last(connection) || connection->ends))
		return;
	mr_buffer_append(&connection->later, data, len);
	if (connection->later.len > PIPELINED_MAX)
		bufferevent_disable(connection->bev, EV_READ); /* evhttp enables it for the next request */
}

/*
 * reading: evhttp's read callback comes next by itself. A refused request is passed as an empty one; on_request() finds
 * the refusal.
 */
static void
pass(MrConnection *connection, bool reading)
{
	static const char refused[] = "GET / HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n";
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	MrIntake *intake = &connection->intake;
	bool is_refused = intake->state == MR_INTAKE_REFUSED;

	connection->busy_ms = mr_now_ms();
	connection->began_ms = 0;
	connection->all->busy++;
	connection->passing = true;
	if (!reading)
		evbuffer_unfreeze(input, 0);
	evbuffer_add(input, is_refused ? refused : intake->text.data,
				 is_refused ? sizeof(refused) - 1 : intake->text.len);
	if (!reading)
		evbuffer_freeze(input, 0);
	connection->passing = false;
}

/* Straight to the socket: nothing is in the output buffer while a request is read, and evhttp must not see it. */
static void
send_continue(MrConnection *connection)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	connection->intake.wants_continue = false;
	if (connection->intake.state == MR_INTAKE_READY)
		return;
	if (send(connection->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the client sends its body after a while without it */
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	MrConnections *all = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(request);
	MrConnection *connection =
		all->by_fd[bufferevent_getfd(evhttp_connection_get_bufferevent(evcon))];
	bool is_refused = connection->intake.state == MR_INTAKE_REFUSED;

	evhttp_connection_set_closecb(evcon, on_close, connection);
	evhttp_request_set_on_complete_cb(request, on_complete, connection);
	all->events->request(all->owner, connection, request,
						 is_refused ? &connection->intake.refusal : NULL);
}

/* evhttp reads the next request when this returns: if it is here already, it has to be in the input by then. */
static void
on_complete(struct evhttp_request *request, void *arg)
{
	MrConnection *connection = arg;
	MrBuffer later = connection->later;

	(void) request;
	end_exchange(connection, true);
	if (connection->ends)
		return;
	mr_intake_next(&connection->intake);
	connection->later = (MrBuffer){0};
	if (later.len > 0)
		take(connection, later.data, later.len);
	mr_buffer_free(&later);
	if (connection->intake.state >= MR_INTAKE_READY)
		pass(connection, false);
}

static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	(void) evcon;
	end_exchange(arg, false);
}

static void
end_exchange(MrConnection *connection, bool sent)
{
	void *exchange = connection->exchange;

	if (connection->busy_ms == 0)
		return;
	connection->busy_ms = 0;
	connection->has_left = false;
	connection->all->busy--;
	connection->exchange = NULL;
	if (exchange != NULL)
		connection->all->events->ended(connection->all->owner, exchange, sent);
}

/* False: it is over. */
static bool
tick_one(MrConnection *connection, int64_t now)
{
	MrConnections *all = connection->all;

	if (!is_in_use(connection))
		return linger(connection, now);
	if (connection->busy_ms > 0)
	{
		char byte;

		if (connection->exchange != NULL && !connection->has_left &&
			now - connection->busy_ms > WATCH_MS &&
			evbuffer_get_length(bufferevent_get_output(connection->bev)) == 0 &&
			recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		{
			connection->has_left = true;
			all->events->left(all->owner, connection->exchange);
		}
	}
	else if (connection->began_ms > 0)
		check_deadline(connection, now);
	else if (all->drains)
		mr_connection_abort(connection); /* it is idle */
	return true;
}

static void
check_deadline(MrConnection *connection, int64_t now)
{
	const MrWireLimits *limits = &connection->all->limits;
	MrIntake *intake = &connection->intake;
	int64_t took = now - connection->began_ms;
	int64_t came = (int64_t) (intake->text.len + intake->body.len);

	if (intake->state == MR_INTAKE_HEAD && took > limits->head_ms)
		mr_intake_refuse(intake, MR_PROBLEM_SLOW, "The head of the request did not come in time.");
	else if (intake->state != MR_INTAKE_HEAD && took > limits->body_grace_ms &&
			 came < (took - limits->body_grace_ms) / 1000 * limits->body_bytes_s)
		mr_intake_refuse(intake, MR_PROBLEM_SLOW, "The body came more slowly than 1 KiB/s.");
	else
		return;
	pass(connection, false);
	bufferevent_trigger(connection->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
}

/*
 * evhttp has sent the end of the stream and let its bufferevent be. Closing a socket with unread bytes would reset the
 * connection, and the client might lose the answer: these are read and dropped, until the client closes, too.
 */
static bool
linger(MrConnection *connection, int64_t now)
{
	char dropped[4096];
	ssize_t n;

	end_exchange(connection, false);
	if (connection->fd < 0)
		return false; /* not one byte came */
	if (connection->closed_ms == 0)
	{
		connection->closed_ms = now;
		bufferevent_disable(connection->bev, EV_READ | EV_WRITE);
	}
	for (int i = 0; i < 16; i++)
	{
		n = recv(connection->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
		if (n <= 0)
			break;
	}
	/* 0: the client has closed; an error other than "nothing there" is an end, too */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		return false;
	return now - connection->closed_ms < LINGER_MS;
}

static void
remove_connection(MrConnection *connection)
{
	MrConnections *all = connection->all;

	end_exchange(connection, false);
	if (connection->fd >= 0 && all->by_fd[connection->fd] == connection)
		all->by_fd[connection->fd] = NULL;
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		all->first = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
	all->count--;
	evbuffer_remove_cb(bufferevent_get_input(connection->bev), on_input, connection);
	bufferevent_decref(connection->bev);
	mr_intake_free(&connection->intake);
	mr_buffer_free(&connection->later);
	free(connection);
}
