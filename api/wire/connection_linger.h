/* The end of a connection. */
#ifndef MR_API_CONNECTION_LINGER_H
#define MR_API_CONNECTION_LINGER_H

#include "api/wire/connection_private.h"

/*
 * evhttp has sent the end of the stream and let its bufferevent be. Closing a socket with unread bytes would reset the
 * connection, and the client might lose the answer: these are read and dropped, until the client closes, too,
 * sends nothing for a second, or has had ten. False: it may be closed.
 */
extern bool mr_connection_lingers(MrConnection *connection, int64_t now);

#endif
