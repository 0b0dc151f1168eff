#include "api/wire/connection_hold.h"

#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"
#include "common/eventloop.h"

#define CLOSE_BYTES 65536 /* a connection that holds less is not closed to make room */
#define STALLED_MS  1000  /* nor is one that has taken something since */

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
	if (connection->unsent == 0 || info->n_deleted > 0)
		connection->moved_ms = mr_now_ms();
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

/* Whoever has taken nothing for longest is in the way of others. */
void
mr_connections_make_room(MrConnections *all)
{
	int64_t now = mr_now_ms();
	MrConnection *slowest = NULL;

	if (!all->wants_room)
		return;
	all->wants_room = false;
	for (MrConnection *c = all->first; c != NULL; c = c->next)
		if (c->busy_ms > 0 && c->unsent >= CLOSE_BYTES && now - c->moved_ms >= STALLED_MS &&
			(slowest == NULL || c->moved_ms < slowest->moved_ms))
			slowest = c;
	if (slowest != NULL)
		mr_connection_abort(slowest);
}
