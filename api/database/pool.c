#include "api/database/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/database/point.h"
#include "api/database/session.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/trouble.h"

#define WAITING_MAX 1000
#define POINTS      2 /* made when they are first wanted */

struct MrPool
{
	MrPoolSetup setup;
	MrSession **sessions;
	MrPoint *points[POINTS];
	MrQuery *first; /* waiting */
	MrQuery **last;
	MrQuery *starting; /* the one that mr_pool_query() hands to a session */
	MrQueryFailure start_failure;
	MrTrouble trouble;       /* of the sessions */
	MrTrouble point_trouble; /* there may be room for the sessions alone */
	MrPoolState state;       /* its counters */
};

static void on_idle(void *owner, MrSession *session);
static void on_ended(void *owner, MrQuery *query, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void on_lost(void *owner, MrSession *session, const MrPgError *error, bool silent);
static void on_point_ready(void *owner);
static void on_point_lost(void *owner, const MrPgError *error, bool silent);
static bool is_stale(const MrQuery *query, MrQueryFailure failure, const MrPgError *error);
static void run_with_text(MrPool *pool, MrQuery *query);
static void renew_idle(MrPool *pool);
static MrPoint *point_with_room(MrPool *pool);
static MrQuery *start(MrPool *pool, MrQuery *query, MrSession *session, MrPoint *point,
					  MrQueryFailure *failure);
static MrSession *idle_session(MrPool *pool, const MrQuery *query);
static MrQuery *new_query(MrPool *pool, const char *name, const char *sql, int count,
						  const char *const *values);
static void free_query(MrQuery *query);
static void add_waiting(MrPool *pool, MrQuery *query);
static void put_first(MrPool *pool, MrQuery *query);
static MrQuery *take_waiting(MrPool *pool);
static void remove_waiting(MrPool *pool, MrQuery *query);
static void fail_waiting(MrPool *pool, MrQueryFailure failure, int64_t before_ms);

MrPool *
mr_pool_new(const MrPoolSetup *setup)
{
	static const MrSessionEvents events = {on_idle, on_ended, on_lost};
	MrPool *pool = mr_calloc(1, sizeof(*pool));

	pool->setup = *setup;
	pool->last = &pool->first;
	pool->sessions = mr_calloc((size_t) setup->connections, sizeof(*pool->sessions));
	for (int i = 0; i < setup->connections; i++)
		pool->sessions[i] = mr_session_new(setup, &events, pool);
	return pool;
}

MrQuery *
mr_pool_query(MrPool *pool, const char *name, const char *sql, int count, const char *const *values,
			  MrQueryEnd end, void *owner, MrQueryFailure *failure)
{
	MrSession *session;
	MrQuery *query;

	*failure = !mr_pool_is_connected(pool)          ? MR_QUERY_LOST
			   : pool->state.waiting >= WAITING_MAX ? MR_QUERY_BUSY
													: MR_QUERY_OK;
	if (*failure != MR_QUERY_OK)
	{
		pool->state.refused++;
		return NULL;
	}
	query = new_query(pool, name, sql, count, values);
	query->end = end;
	query->owner = owner;
	session = pool->first == NULL ? idle_session(pool, query) : NULL;
	if (session != NULL)
		return start(pool, query, session, NULL, failure);
	add_waiting(pool, query);
	return query;
}

MrQuery *
mr_pool_read(MrPool *pool, const char *name, const char *sql, int count, const char *const *values,
			 MrQueryEnd end, void *owner, MrQueryFailure *failure)
{
	MrPoint *point = mr_pool_is_connected(pool) ? point_with_room(pool) : NULL;
	MrQuery *query;

	if (point == NULL)
		return mr_pool_query(pool, name, sql, count, values, end, owner, failure);
	*failure = MR_QUERY_OK;
	query = new_query(pool, name, sql, count, values);
	query->end = end;
	query->owner = owner;
	return start(pool, query, NULL, point, failure);
}

void
mr_query_abandon(MrQuery *query)
{
	if (query->point != NULL)
		mr_point_forget(query->point, query);
	else if (query->session != NULL)
	{
		query->pool->state.cancels++;
		mr_session_abandon(query->session);
	}
	else
		remove_waiting(query->pool, query);
	free_query(query);
}

void
mr_pool_tick(MrPool *pool)
{
	int64_t now = mr_now_ms();

	for (int i = 0; i < pool->setup.connections; i++)
		mr_session_tick(pool->sessions[i], now);
	for (int i = 0; i < POINTS && pool->points[i] != NULL; i++)
		mr_point_tick(pool->points[i], now);
	fail_waiting(pool, MR_QUERY_BUSY, now - pool->setup.query_ms);
}

bool
mr_pool_is_connected(const MrPool *pool)
{
	for (int i = 0; i < pool->setup.connections; i++)
		if (mr_session_state(pool->sessions[i]) >= MR_SESSION_IDLE)
			return true;
	return false;
}

bool
mr_pool_is_in_trouble(const MrPool *pool)
{
	return !mr_pool_is_connected(pool) && mr_trouble_is_set(&pool->trouble);
}

void
mr_pool_state(const MrPool *pool, MrPoolState *state)
{
	*state = pool->state;
	state->connections = state->running = 0;
	for (int i = 0; i < pool->setup.connections; i++)
	{
		MrSessionState s = mr_session_state(pool->sessions[i]);

		state->connections += s >= MR_SESSION_IDLE;
		state->running += s > MR_SESSION_IDLE;
	}
	for (int i = 0; i < POINTS && pool->points[i] != NULL; i++)
	{
		state->connections += mr_point_is_connected(pool->points[i]);
		state->running += mr_point_count(pool->points[i]);
	}
	state->is_open = !mr_pool_is_connected(pool);
	snprintf(state->trouble, sizeof(state->trouble), "%s", pool->trouble.text);
}

void
mr_pool_free(MrPool *pool)
{
	if (pool == NULL)
		return;
	fail_waiting(pool, MR_QUERY_LOST, INT64_MAX);
	for (int i = 0; i < pool->setup.connections; i++)
		mr_session_free(pool->sessions[i]);
	for (int i = 0; i < POINTS; i++)
		mr_point_free(pool->points[i]);
	free(pool->sessions);
	free(pool);
}

static void
on_idle(void *owner, MrSession *session)
{
	MrPool *pool = owner;

	if (mr_trouble_is_set(&pool->trouble))
		mr_log(MR_LOG_INFO, "connected to PostgreSQL");
	mr_trouble_clear(&pool->trouble);
	if (pool->first != NULL)
		mr_session_run(session, take_waiting(pool));
}

static void
on_ended(void *owner, MrQuery *query, MrQueryFailure failure, const PGresult *result,
		 const MrPgError *error)
{
	MrPool *pool = owner;

	if (is_stale(query, failure, error))
	{
		run_with_text(pool, query);
		return;
	}
	/* a socket that is found broken while the query is sent: its owner does not have it yet */
	if (query == pool->starting)
	{
		pool->starting = NULL;
		pool->start_failure = failure;
	}
	else
		query->end(query->owner, failure, result, error);
	free_query(query);
}

/* A column has another type than when the statement was parsed. */
static bool
is_stale(const MrQuery *query, MrQueryFailure failure, const MrPgError *error)
{
	return failure == MR_QUERY_ERROR && query->is_bare &&
		   (strcmp(error->sqlstate, "0A000") == 0 || strcmp(error->sqlstate, "26000") == 0);
}

/* The connection that says so is still at work: the next one that is free takes it. */
static void
run_with_text(MrPool *pool, MrQuery *query)
{
	free(query->name);
	query->name = NULL;
	query->is_bare = false;
	put_first(pool, query); /* it has waited */
	for (int i = 0; i < pool->setup.connections && pool->first == query; i++)
		if (mr_session_state(pool->sessions[i]) == MR_SESSION_IDLE)
			mr_session_run(pool->sessions[i], take_waiting(pool));
}

/* A server that hangs would cost each connection its timeout, one after the other: all that are idle go with the first. */
static void
on_lost(void *owner, MrSession *session, const MrPgError *error, bool silent)
{
	MrPool *pool = owner;

	(void) session;
	pool->state.losses++;
	mr_log(mr_trouble_set(&pool->trouble, error->message), "no connection to PostgreSQL",
		   MR_STR("error", error->message), MR_STR("sqlstate", error->sqlstate),
		   MR_STR("hint", error->hint));
	if (silent)
		renew_idle(pool);
	if (!mr_pool_is_connected(pool))
		fail_waiting(pool, MR_QUERY_LOST, INT64_MAX);
}

static void
on_point_ready(void *owner)
{
	MrPool *pool = owner;

	if (mr_trouble_is_set(&pool->point_trouble))
		mr_log(MR_LOG_INFO, "connected to PostgreSQL, for look-ups of one row");
	mr_trouble_clear(&pool->point_trouble);
}

/* Look-ups go through the sessions meanwhile. */
static void
on_point_lost(void *owner, const MrPgError *error, bool silent)
{
	MrPool *pool = owner;

	pool->state.losses++;
	mr_log(mr_trouble_set(&pool->point_trouble, error->message),
		   "no connection to PostgreSQL, for look-ups of one row", MR_STR("error", error->message),
		   MR_STR("sqlstate", error->sqlstate), MR_STR("hint", error->hint));
	if (silent)
		renew_idle(pool);
}

static void
renew_idle(MrPool *pool)
{
	for (int i = 0; i < pool->setup.connections; i++)
		if (mr_session_state(pool->sessions[i]) == MR_SESSION_IDLE)
			mr_session_renew(pool->sessions[i]);
	for (int i = 0; i < POINTS && pool->points[i] != NULL; i++)
		mr_point_renew(pool->points[i]);
}

/* The first, so that groups are large; the others are for when it has no room, or its rows take long. NULL: none has room. */
static MrPoint *
point_with_room(MrPool *pool)
{
	static const MrPointEvents events = {on_ended, on_point_ready, on_point_lost};
	MrPoint *best = NULL;

	for (int i = 0; i < POINTS; i++)
	{
		if (pool->points[i] == NULL)
			pool->points[i] = mr_point_new(&pool->setup, &events, pool);
		if (mr_point_room(pool->points[i]) > 0 &&
			(best == NULL || (mr_point_is_slow(best) && !mr_point_is_slow(pool->points[i]))))
			best = pool->points[i];
	}
	return best;
}

/* At a session, or at a point. NULL: it is over, since the connection is found broken. */
static MrQuery *
start(MrPool *pool, MrQuery *query, MrSession *session, MrPoint *point, MrQueryFailure *failure)
{
	MrQuery *starting = pool->starting; /* another one, whose end asks for this */
	bool is_over;

	pool->starting = query;
	if (session != NULL)
		mr_session_run(session, query);
	else
	{
		query->is_bare = true;
		mr_point_run(point, query);
	}
	is_over = pool->starting == NULL;
	pool->starting = starting;
	if (is_over)
		*failure = pool->start_failure;
	return is_over ? NULL : query;
}

/* One that has the statement, or any. NULL: all are at work. */
static MrSession *
idle_session(MrPool *pool, const MrQuery *query)
{
	MrSession *idle = NULL;

	for (int i = 0; i < pool->setup.connections; i++)
	{
		MrSession *session = pool->sessions[i];

		if (mr_session_state(session) != MR_SESSION_IDLE)
			continue;
		if (mr_session_repeats(session, query))
			return session;
		if (idle == NULL)
			idle = session;
	}
	return idle;
}

static MrQuery *
new_query(MrPool *pool, const char *name, const char *sql, int count, const char *const *values)
{
	MrQuery *query = mr_calloc(1, sizeof(*query));

	query->pool = pool;
	query->name = name != NULL ? mr_strdup(name) : NULL;
	query->sql = mr_strdup(sql);
	query->count = count;
	query->values = mr_calloc((size_t) count + 1, sizeof(*query->values));
	for (int i = 0; i < count; i++)
		query->values[i] = values[i] != NULL ? mr_strdup(values[i]) : NULL;
	query->began_ms = mr_now_ms();
	pool->state.queries++;
	return query;
}

static void
free_query(MrQuery *query)
{
	for (int i = 0; i < query->count; i++)
		free(query->values[i]);
	free(query->values);
	free(query->name);
	free(query->sql);
	free(query);
}

static void
add_waiting(MrPool *pool, MrQuery *query)
{
	*pool->last = query;
	pool->last = &query->next;
	pool->state.waiting++;
}

static void
put_first(MrPool *pool, MrQuery *query)
{
	query->next = pool->first;
	pool->first = query;
	if (query->next == NULL)
		pool->last = &query->next;
	pool->state.waiting++;
}

static MrQuery *
take_waiting(MrPool *pool)
{
	MrQuery *query = pool->first;

	remove_waiting(pool, query);
	return query;
}

static void
remove_waiting(MrPool *pool, MrQuery *query)
{
	for (MrQuery **link = &pool->first; *link != NULL; link = &(*link)->next)
	{
		if (*link != query)
			continue;
		*link = query->next;
		if (pool->last == &query->next)
			pool->last = link;
		query->next = NULL;
		pool->state.waiting--;
		return;
	}
}

/* Those that began to wait before a time; they stand in the order of their times. */
static void
fail_waiting(MrPool *pool, MrQueryFailure failure, int64_t before_ms)
{
	while (pool->first != NULL && pool->first->began_ms < before_ms)
	{
		MrQuery *query = take_waiting(pool);

		pool->state.refused++;
		query->end(query->owner, failure, NULL, NULL);
		free_query(query);
	}
}
