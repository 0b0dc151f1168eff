/* What a connection holds of the budget that all share (budget.h); for connection.c alone. */
#ifndef MR_API_CONNECTION_HOLD_H
#define MR_API_CONNECTION_HOLD_H

#include <event2/buffer.h>

#include "api/wire/connection.h"

/* After anything that changes what a connection holds of its requests: */
extern void mr_connection_account(MrConnection *connection);
/* A callback of its output buffer. */
extern void mr_connection_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info,
									void *arg);
/* It ends: what it holds is given back. */
extern void mr_connection_unaccount(MrConnection *connection);
/*
 * When something did not fit: of the connections that hold much the one whose bytes move slowest makes room, one at each
 * tick. One whose answer waits to be taken is closed; one whose request is not complete gets a refusal.
 */
extern void mr_connections_make_room(MrConnections *all);

#endif
