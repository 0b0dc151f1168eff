#include "api/wire/connection_tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "api/wire/connection_private.h"
#include "api/wire/socket.h"
#include "common/eventloop.h"

/* A list goes in one write: by default there are 16 KiB in each, and a turn of the loop between them. */
#define WRITE_MAX 262144

static bool has_no_handshake(const MrConnection *connection);

void
mr_connection_open(MrConnection *connection, struct event_base *base)
{
	MrTls *tls = connection->all->limits.tls;

	connection->made_ms = mr_now_ms();
	connection->ssl = tls != NULL ? mr_tls_begin(tls) : NULL;
	if (tls == NULL)
		connection->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	else if (connection->ssl != NULL)
		connection->bev =
			bufferevent_openssl_socket_new(base, -1, connection->ssl, BUFFEREVENT_SSL_ACCEPTING,
										   BEV_OPT_CLOSE_ON_FREE);
	if (connection->bev == NULL)
		abort(); /* memory is out; evhttp would go on with a bufferevent that has no guard */
	if (tls == NULL)
		(void) bufferevent_set_max_single_write(connection->bev, WRITE_MAX);
}

bool
mr_connection_is_late_to_begin(const MrConnection *connection, int64_t now)
{
	return has_no_handshake(connection) &&
		   now - connection->made_ms > connection->all->limits.head_ms;
}

void
mr_connection_look_at_progress(MrConnection *connection)
{
	uint64_t written = connection->ssl != NULL ? mr_socket_written(connection->ssl) : 0;

	connection->pace.moved += written - connection->written;
	connection->written = written;
}

void
mr_connection_end_session(MrConnection *connection)
{
	if (connection->ssl != NULL && mr_connection_unsent(connection) == 0)
		mr_socket_end_session(connection->ssl);
}

void
mr_connection_count_refused(const MrConnection *connection)
{
	if (has_no_handshake(connection))
		mr_tls_count_refused(connection->all->limits.tls);
}

static bool
has_no_handshake(const MrConnection *connection)
{
	/* an error later puts a session back into its beginning */
	return connection->ssl != NULL && connection->fd < 0 && !SSL_is_init_finished(connection->ssl);
}
