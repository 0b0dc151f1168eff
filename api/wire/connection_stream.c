/* An answer that goes on, and its end: see connection.h. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"
#include "api/wire/socket.h"

void
mr_connection_begin_stream(MrConnection *connection, int send_buffer)
{
	int64_t idle_ms = connection->all->limits.idle_ms;
	const struct timeval writing = {idle_ms / 1000, idle_ms % 1000 * 1000};

	connection->streams = true;
	/* evhttp's read timeout is for the next request: nothing is expected from the client here */
	bufferevent_set_timeouts(connection->bev, NULL, &writing);
	mr_socket_set_send_buffer(connection->fd, send_buffer);
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
