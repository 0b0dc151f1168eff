/* Writing at the end of a turn, and an interest that is kept: see connection_turn.h. */
#include "api/wire/connection_turn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

static void on_turn_end(evutil_socket_t fd, short what, void *arg);
static bool write_answer(MrConnection *connection);
static void on_readable(evutil_socket_t fd, short what, void *arg);

struct event *
mr_connections_turn_new(struct event_base *base, MrConnections *all)
{
	return event_new(base, -1, 0, on_turn_end, all);
}

/* TLS writes in its own way. */
void
mr_connection_send(MrConnection *connection)
{
	MrConnections *all = connection->all;

	if (connection->ssl != NULL || connection->is_sending)
		return;
	connection->is_sending = true;
	connection->next_sending = all->first_sending;
	all->first_sending = connection;
	event_active(all->turn, 0, 0);
}

/*
 * libevent counts the events that wait for a socket to be readable, and asks the kernel when there is a first one or none is left. One of ours
 * makes that the same whether evhttp reads or not.
 */
void
mr_connection_keep_interest(MrConnection *connection)
{
	if (connection->ssl != NULL || connection->is_interested)
		return;
	if (connection->interest == NULL)
		connection->interest = event_new(bufferevent_get_base(connection->bev), connection->fd,
										 EV_READ | EV_PERSIST, on_readable, connection);
	connection->is_interested = event_add(connection->interest, NULL) == 0;
}

void
mr_connection_end_turns(MrConnection *connection)
{
	MrConnection **at = &connection->all->first_sending;

	if (connection->interest != NULL)
		event_free(connection->interest);
	connection->interest = NULL;
	if (!connection->is_sending)
		return;
	while (*at != connection)
		at = &(*at)->next_sending;
	*at = connection->next_sending;
}

/* libevent has not asked the kernel yet whether a socket takes bytes, and does not when all are written. Then evhttp goes on. */
static void
on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	MrConnections *all = arg;

	(void) fd, (void) what;
	while (all->first_sending != NULL)
	{
		MrConnection *connection = all->first_sending;

		all->first_sending = connection->next_sending;
		connection->is_sending = false;
		if (!mr_connection_is_in_use(connection) || !write_answer(connection))
			continue;
		bufferevent_disable(connection->bev, EV_WRITE);
		bufferevent_trigger(connection->bev, EV_WRITE, 0);
	}
}

/* As bufferevent_writecb() of libevent does. True: the socket has taken all of it. What it does not take, or why, libevent finds out. */
static bool
write_answer(MrConnection *connection)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);

	evbuffer_unfreeze(output, 1);
	(void) evbuffer_write(output, connection->fd);
	evbuffer_freeze(output, 1);
	return evbuffer_get_length(output) == 0;
}

/* The bufferevent has read, or reads next. When it does not, bytes that wait would bring this back in each turn. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	MrConnection *connection = arg;
	bool has_read = connection->has_read;

	(void) fd, (void) what;
	connection->has_read = false;
	if (has_read || (bufferevent_get_enabled(connection->bev) & EV_READ) != 0)
		return;
	event_del(connection->interest);
	connection->is_interested = false;
}
