#include "api/wire/connection_linger.h"

#include <event2/bufferevent.h>

#include "api/wire/socket.h"

#define LINGER_MS 1000 /* after the answer */

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
