#include "api/wire/connection_hold.h"

#include <event2/bufferevent.h>

#include "api/wire/connection_private.h"
#include "common/eventloop.h"

#define CLOSE_BYTES 65536 /* a connection that holds less is not closed to make room */
#define SLOW_BYTES_S                                                                               \
	16384 /* nor is one that takes so much of its answer, or sends so much of its request */

static bool is_in_the_way(const MrConnection *connection);
static bool is_slower(const MrConnection *one, const MrConnection *other);

void
mr_connection_account(MrConnection *connection)
{
	const MrIntake *intake = &connection->intake;
	/* evhttp has a copy of the request while it is worked on */
	size_t held = intake->text.len * (connection->busy_ms > 0 ? 2 : 1) + intake->body.len +
				  connection->later.len + connection->decoded;

	mr_budget_change(connection->all->limits.budget, connection->held, held);
	connection->held = held;
}

void
mr_connection_hold_decoded(MrConnection *connection, size_t bytes)
{
	connection->decoded = bytes;
	mr_connection_account(connection);
}

void
mr_connection_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
	MrConnection *connection = arg;

	(void) output;
	mr_budget_change(connection->all->limits.budget, info->n_deleted, info->n_added);
	if (connection->unsent == 0)
		mr_pace_begin(&connection->pace, mr_now_ms());
	if (connection->ssl == NULL)
		connection->pace.moved += info->n_deleted;
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

/* Whoever is slowest is in the way of others: in taking what it asked for, or in sending what is to be worked on. */
void
mr_connections_make_room(MrConnections *all)
{
	MrConnection *slowest = NULL;

	if (!all->wants_room)
		return;
	all->wants_room = false;
	for (MrConnection *c = all->first; c != NULL; c = c->next)
		if (is_in_the_way(c) && (slowest == NULL || is_slower(c, slowest)))
			slowest = c;
	if (slowest == NULL)
		return;
	if (slowest->busy_ms > 0)
	{
		mr_connection_abort(slowest);
		return;
	}
	/* the next tick has it answered */
	mr_intake_refuse(&slowest->intake, MR_PROBLEM_BUSY,
					 "Too much is being received and sent, and this request came slowest.");
	mr_connection_account(slowest);
}

static bool
is_in_the_way(const MrConnection *connection)
{
	bool holds = connection->busy_ms > 0
					 ? connection->unsent >= CLOSE_BYTES
					 : mr_intake_has_begun(&connection->intake) && connection->held >= CLOSE_BYTES;

	return holds && connection->pace.rate >= 0 && connection->pace.rate < SLOW_BYTES_S &&
		   mr_connection_is_in_use(connection);
}

static bool
is_slower(const MrConnection *one, const MrConnection *other)
{
	if (one->pace.rate != other->pace.rate)
		return one->pace.rate < other->pace.rate;
	return one->pace.began_ms < other->pace.began_ms;
}
