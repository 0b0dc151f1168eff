#include "api/wire/connection_linger.h"

#include <event2/bufferevent.h>

#include "api/wire/socket.h"

#define IDLE_MS   1000  /* without a byte */
#define LINGER_MS 10000 /* however much comes */

bool
mr_connection_lingers(MrConnection *connection, int64_t now)
{
	size_t dropped;

	if (connection->fd < 0)
		return false; /* not one byte came */
	if (connection->closed_ms == 0)
	{
		connection->closed_ms = connection->dropped_ms = now;
		bufferevent_disable(connection->bev, EV_READ | EV_WRITE);
	}
	if (!mr_socket_drop_input(connection->fd, &dropped))
		return false;
	if (dropped > 0)
		connection->dropped_ms = now;
	return now - connection->dropped_ms < IDLE_MS && now - connection->closed_ms < LINGER_MS;
}
