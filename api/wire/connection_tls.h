/* What a connection with TLS needs besides; each does nothing to one in clear text. For connection.c alone. */
#ifndef MR_API_CONNECTION_TLS_H
#define MR_API_CONNECTION_TLS_H

#include "api/wire/connection.h"

/* Makes its bufferevent, with TLS if the limits have it. */
extern void mr_connection_open(MrConnection *connection, struct event_base *base);
/* A handshake has as long as the head of a request: has it failed to end in time? */
extern bool mr_connection_is_late_to_begin(const MrConnection *connection, int64_t now);
/* OpenSSL keeps a part of an answer until all of it is sent: whether the client takes some of it is seen here. */
extern void mr_connection_look_at_progress(MrConnection *connection);
/* evhttp closes the socket for writing next: the client learns before that that nothing is missing. */
extern void mr_connection_end_session(MrConnection *connection);
/* Counts one that is over and had no handshake. */
extern void mr_connection_count_refused(const MrConnection *connection);

#endif
