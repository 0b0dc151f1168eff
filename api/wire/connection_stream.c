/* An answer that goes on, and its end: see connection.h. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"
#include "api/wire/socket.h"

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
