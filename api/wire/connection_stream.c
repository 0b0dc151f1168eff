/* An answer that goes on, and its end, see connection.h; and the end of a connection. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"
#include "api/wire/socket.h"

#define LINGER_MS 1000 /* how long what a client still sends is read and dropped after the answer */

static void on_stream_written(struct bufferevent *bev, void *arg);
static void on_stream_event(struct bufferevent *bev, short what, void *arg);

void
mr_connection_begin_stream(MrConnection *connection, int send_buffer)
{
	connection->streams = true;
	mr_socket_set_send_buffer(connection->fd, send_buffer);
}

/*
 * With TLS libevent calls evhttp after it has sent all there was, but later: what was added in between, as the end of a
 * stream, would be cut off. Until the end evhttp is called only when all is sent indeed.
 */
void
mr_connection_end_stream(MrConnection *connection)
{
	bufferevent_data_cb on_written;
	bufferevent_event_cb on_event;
	void *arg;

	bufferevent_getcb(connection->bev, NULL, &on_written, &on_event, &arg);
	if (on_written == NULL)
		return; /* it is over */
	connection->on_written = on_written;
	connection->on_event = on_event;
	connection->on_arg = arg;
	bufferevent_setcb(connection->bev, NULL, on_stream_written, on_stream_event, connection);
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

/*
 * evhttp has sent the end of the stream and let its bufferevent be. Closing a socket with unread bytes would reset the
 * connection, and the client might lose the answer: these are read and dropped, until the client closes, too.
 */
bool
mr_connection_lingers(MrConnection *connection, int64_t now)
{
	if (connection->fd < 0)
		return false; /* not one byte came */
	if (connection->closed_ms == 0)
	{
		connection->closed_ms = now;
		bufferevent_disable(connection->bev, EV_READ | EV_WRITE);
	}
	return mr_socket_drop_input(connection->fd) && now - connection->closed_ms < LINGER_MS;
}

static void
on_stream_written(struct bufferevent *bev, void *arg)
{
	MrConnection *connection = arg;

	if (mr_connection_unsent(connection) == 0)
		connection->on_written(bev, connection->on_arg);
}

static void
on_stream_event(struct bufferevent *bev, short what, void *arg)
{
	MrConnection *connection = arg;

	connection->on_event(bev, what, connection->on_arg);
}
