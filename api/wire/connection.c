/*
 * How bytes get past evhttp's own reading: a callback of the socket's input buffer takes them out as they arrive, and
 * puts back a request when it is complete. That happens while evhttp waits for a request line and at no other time, so
 * "there is a request" and "it is this connection's only one" are the same.
 *
 * evhttp neither counts its connections nor reports their end: each bufferevent is held by a reference of ours, and
 * evhttp clears its callbacks when it has done with one, which the tick sees.
 */
#include "api/wire/connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>

#include "api/wire/connection_hold.h"
#include "api/wire/connection_linger.h"
#include "api/wire/connection_private.h"
#include "api/wire/connection_tls.h"
#include "api/wire/connection_turn.h"
#include "api/wire/socket.h"
#include "common/eventloop.h"

#define PIPELINED_MAX                                                                              \
	32768            /* bytes of later requests kept while one is worked on; then reading stops */
#define WATCH_MS 100 /* requests that take longer have their client watched */
#define LAST_REQUEST_MS                                                                            \
	1000 /* an idle client has so long to send a request, whose answer says that there are no more */

static struct bufferevent *new_connection(struct event_base *base, void *arg);
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
static void on_request(struct evhttp_request *request, void *arg);
static void on_complete(struct evhttp_request *request, void *arg);
static void on_close(struct evhttp_connection *evcon, void *arg);
static bool is_last(const MrConnection *connection);
static void know_fd(MrConnection *connection);
static void set_idle(MrConnection *connection, bool is_idle);
static void take(MrConnection *connection, const char *data, size_t len);
static void pass(MrConnection *connection, bool reading);
static void send_continue(MrConnection *connection);
static void end_exchange(MrConnection *connection, bool sent);
static bool tick_one(MrConnection *connection, int64_t now);
static void check_deadline(MrConnection *connection, int64_t now);
static void remove_connection(MrConnection *connection);

MrConnections *
mr_connections_new(struct evhttp *http, struct evconnlistener *listener, const MrWireLimits *limits,
				   const MrConnectionEvents *events, void *owner)
{
	MrConnections *all = mr_calloc(1, sizeof(*all));

	all->listener = listener;
	all->turn = mr_connections_turn_new(evconnlistener_get_base(listener), all);
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
	mr_connections_make_room(connections);
}

void
mr_connections_drain(MrConnections *connections)
{
	connections->drains_ms = mr_now_ms();
	connections->listener = NULL;
}

bool
mr_connections_are_open(const MrConnections *connections)
{
	for (const MrConnection *c = connections->first; c != NULL; c = c->next)
		if (mr_connection_is_in_use(c))
			return true;
	return false;
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
	event_free(connections->turn);
	mr_buffer_free(&connections->input);
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
	connection->ends = connection->streams || is_last(connection) || connection->all->drains_ms > 0;
	return connection->ends;
}

static struct bufferevent *
new_connection(struct event_base *base, void *arg)
{
	MrConnections *all = arg;
	MrConnection *connection = mr_calloc(1, sizeof(*connection));

	connection->all = all;
	mr_connection_open(connection, base);
	connection->fd = -1;
	mr_intake_init(&connection->intake, all->limits.body_bytes);
	connection->next = all->first;
	if (all->first != NULL)
		all->first->previous = connection;
	all->first = connection;
	if (++all->count >= all->limits.connections && all->listener != NULL)
		evconnlistener_disable(all->listener);
	bufferevent_incref(connection->bev);
	evbuffer_add_cb(bufferevent_get_input(connection->bev), on_input, connection);
	evbuffer_add_cb(bufferevent_get_output(connection->bev), mr_connection_on_output, connection);
	return connection->bev;
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	MrConnection *connection = arg;
	size_t len = evbuffer_get_length(input);
	size_t passed = len - info->n_added; /* a request that evhttp has not taken yet */
	MrBuffer *bytes = &connection->all->input;

	if (connection->passing || info->n_added == 0 || !mr_connection_is_in_use(connection))
		return;
	know_fd(connection);
	connection->has_read = true;
	mr_buffer_reserve(bytes, len);
	connection->passing = true;
	evbuffer_remove(input, bytes->data, len);
	evbuffer_add(input, bytes->data, passed);
	connection->passing = false;
	take(connection, bytes->data + passed, len - passed);
	mr_connection_account(connection);
	if (mr_intake_has_begun(&connection->intake) && !mr_connection_has_room(connection, 0))
		mr_intake_refuse(&connection->intake, MR_PROBLEM_BUSY,
						 "Too much is being received and sent.");
	if (connection->intake.state >= MR_INTAKE_READY && connection->busy_ms == 0)
		pass(connection, true);
	mr_connection_account(connection);
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
	mr_socket_send_at_once(connection->fd);
	mr_connection_keep_interest(connection);
}

/*
 * evhttp's read timeout is for a client that has no request. One that comes has the time of mr_intake_is_in_time(), which
 * answers it; while it is worked on, and from a stream, nothing is expected of the client.
 */
static void
set_idle(MrConnection *connection, bool is_idle)
{
	int64_t idle_ms = connection->all->limits.idle_ms;
	const struct timeval idle = {idle_ms / 1000, idle_ms % 1000 * 1000};

	bufferevent_set_timeouts(connection->bev, is_idle ? &idle : NULL, &idle);
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
		{
			connection->began_ms = mr_now_ms();
			set_idle(connection, false);
			mr_pace_begin(&connection->pace, connection->began_ms);
		}
		connection->pace.moved += len;
		used = mr_intake_take(intake, data, len);
		data += used;
		len -= used;
		if (intake->wants_continue)
			send_continue(connection);
	}
	if (intake->state >= MR_INTAKE_READY && (is_last(connection) || connection->ends))
		return;
	mr_buffer_append(&connection->later, data, len);
	if (connection->later.len > PIPELINED_MAX ||
		(connection->busy_ms > 0 && len > 0 && !mr_connection_has_room(connection, 0)))
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
	/* libevent freezes the input of a plain socket while it does not read from it, and that of TLS never */
	bool is_frozen = !reading && connection->ssl == NULL;

	connection->busy_ms = mr_now_ms();
	connection->began_ms = 0;
	connection->all->busy++;
	connection->passing = true;
	if (is_frozen)
		evbuffer_unfreeze(input, 0);
	evbuffer_add(input, is_refused ? refused : intake->text.data,
				 is_refused ? sizeof(refused) - 1 : intake->text.len);
	if (is_frozen)
		evbuffer_freeze(input, 0);
	connection->passing = false;
}

/* Straight to the socket: nothing is in the output buffer while a request is read, and evhttp must not see it. */
static void
send_continue(MrConnection *connection)
{
	connection->intake.wants_continue = false;
	if (connection->intake.state != MR_INTAKE_READY)
		mr_socket_send_continue(connection->fd, connection->ssl);
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
	{
		mr_connection_end_session(connection);
		return;
	}
	mr_intake_next(&connection->intake);
	mr_connection_keep_interest(connection);
	set_idle(connection, true);
	connection->later = (MrBuffer){0};
	if (later.len > 0)
		take(connection, later.data, later.len);
	mr_buffer_free(&later);
	if (connection->intake.state >= MR_INTAKE_READY)
		pass(connection, false);
	mr_connection_account(connection);
}

static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	(void) evcon;
	end_exchange(arg, false);
	mr_connection_end_session(arg);
}

static void
end_exchange(MrConnection *connection, bool sent)
{
	void *exchange = connection->exchange;

	if (connection->busy_ms == 0)
		return;
	connection->busy_ms = 0;
	connection->decoded = 0;
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

	mr_pace_turn(&connection->pace, now);
	if (!mr_connection_is_in_use(connection))
	{
		end_exchange(connection, false);
		return mr_connection_lingers(connection, now);
	}
	if (mr_connection_is_late_to_begin(connection, now))
		mr_connection_abort(connection);
	else if (connection->busy_ms > 0)
	{
		mr_connection_look_at_progress(connection);
		if (connection->exchange != NULL && !connection->has_left &&
			now - connection->busy_ms > WATCH_MS &&
			evbuffer_get_length(bufferevent_get_output(connection->bev)) == 0 &&
			mr_socket_is_at_end(connection->fd, connection->ssl))
		{
			connection->has_left = true;
			all->events->left(all->owner, connection->exchange);
		}
	}
	else if (connection->began_ms > 0)
		check_deadline(connection, now);
	else if (all->drains_ms > 0 && now - all->drains_ms >= LAST_REQUEST_MS)
		mr_connection_abort(connection); /* it is idle */
	return true;
}

static void
check_deadline(MrConnection *connection, int64_t now)
{
	if (mr_intake_is_in_time(&connection->intake, &connection->all->limits,
							 now - connection->began_ms))
		return;
	pass(connection, false);
	bufferevent_trigger(connection->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
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
	mr_connection_count_refused(connection);
	evbuffer_remove_cb(bufferevent_get_input(connection->bev), on_input, connection);
	mr_connection_unaccount(connection);
	mr_connection_end_turns(connection);
	bufferevent_decref(connection->bev);
	mr_intake_free(&connection->intake);
	mr_buffer_free(&connection->later);
	free(connection);
}
