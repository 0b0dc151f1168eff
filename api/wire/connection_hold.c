#include "api/wire/connection_hold.h"

#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"

#define CLOSE_BYTES 65536 /* a connection that holds less is not closed to make room */

void
mr_connection_account(MrConnection *connection)
{
	const MrIntake *intake = &connection->intake;
	/* evhttp has a copy of the request while it is worked on */
	size_t held = intake->text.len * (connection->busy_ms > 0 ? 2 : 1) + intake->body.len +
				  connection->later.len;

	mr_budget_change(connection->all->limits.budget, connection->held, held);
	connection->held = held;
}

void
mr_connection_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	MrConnection *connection = arg;

	(void) output;
	mr_budget_change(connection->all->limits.budget, info->n_deleted, info->n_added);
	connection->unsent += info->n_added - info->n_deleted;
}

void
mr_connection_unaccount(MrConnection *connection)
{
	evbuffer_remove_cb(bufferevent_get_output(connection->bev), mr_connection_on_output,
					   connection);
	mr_budget_change(connection->all->limits.budget, connection->held + connection->unsent, 0);
}

bool
mr_connection_has_room(MrConnection *connection, size_t more)
{
	bool has_room = mr_budget_has_room(connection->all->limits.budget, more);

	connection->all->wants_room |= !has_room;
	return has_room;
}

/* Whoever has left most of its answer unread is in the way of others. */
void
mr_connections_make_room(MrConnections *all)
{
	MrConnection *largest = NULL;

	if (!all->wants_room)
		return;
	all->wants_room = false;
	for (MrConnection *c = all->first; c != NULL; c = c->next)
		if (c->busy_ms > 0 && c->unsent >= CLOSE_BYTES &&
			(largest == NULL || c->unsent > largest->unsent))
			largest = c;
	if (largest != NULL)
		mr_connection_abort(largest);
}
