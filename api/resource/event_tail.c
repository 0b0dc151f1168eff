#include "api/resource/event_tail.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/control/settings.h"
#include "api/resource/event_follow.h"
#include "api/resource/query_problem.h"
#include "common/eventloop.h"
#include "common/log.h"

#define TICK_MS 50

typedef struct Group
{
	int id;
	MrParams params;
	int values;
	int streams;
} Group;

struct MrEventTail
{
	MrPool *pool;
	MrSharedRelation *relation;
	struct event *timer;
	atomic_int catch_ups;

	pthread_mutex_t lock; /* of the groups and readers */
	Group *groups[MR_TAIL_GROUPS];
	int count;
	int next_id;
	uint64_t joined;  /* number of the latest join */
	uint64_t changed; /* counts joins and leaves */
	MrTailReader *readers[MR_THREADS_MAX];
	int reader_count;

	/* the main thread's */
	MrQuery *running;
	const MrRelation *built_for; /* the statement below is for it, and these groups */
	uint64_t built_changed;
	uint64_t built_joined;
	MrEventQuery query;
	int columns[MR_TAIL_GROUPS];
	int column_count;
	MrEventPosition position; /* since NULL: not begun */
	char *system;
	uint64_t posted_joined;
	int64_t next_ms;
	bool has_problem;
};

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void read_on(MrEventTail *tail);
static bool build(MrEventTail *tail, const MrRelation *relation);
static void begin(MrEventTail *tail, const MrRelation *relation);
static void on_begun(void *owner, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void on_rows(void *owner, MrQueryFailure failure, const PGresult *result,
					const MrPgError *error);
static void take_rows(MrEventTail *tail, const PGresult *result);
static void report(MrEventTail *tail, MrQueryFailure failure, const MrPgError *error);
static void reset(MrEventTail *tail);
static void post(MrEventTail *tail, MrEventPage *page);
static void free_group(Group *group);

MrEventTail *
mr_event_tail_new(struct event_base *base, const MrPoolSetup *pool, MrSharedRelation *relation)
{
	MrEventTail *tail = mr_calloc(1, sizeof(*tail));
	pthread_mutexattr_t recursive;

	tail->pool = mr_pool_new(pool);
	tail->relation = relation;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&tail->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	tail->timer = evtimer_new(base, on_timer, tail);
	mr_timer_set(tail->timer, TICK_MS);
	return tail;
}

void
mr_event_tail_free(MrEventTail *tail)
{
	if (tail == NULL)
		return;
	if (tail->running != NULL)
		mr_query_abandon(tail->running);
	mr_pool_free(tail->pool);
	event_free(tail->timer);
	for (int i = 0; i < tail->count; i++)
		free_group(tail->groups[i]);
	mr_event_query_free(&tail->query);
	mr_event_position_free(&tail->position);
	free(tail->system);
	pthread_mutex_destroy(&tail->lock);
	free(tail);
}

void
mr_event_tail_attach(MrEventTail *tail, MrTailReader *reader)
{
	pthread_mutex_lock(&tail->lock);
	tail->readers[tail->reader_count++] = reader;
	pthread_mutex_unlock(&tail->lock);
}

void
mr_event_tail_detach(MrEventTail *tail, MrTailReader *reader)
{
	pthread_mutex_lock(&tail->lock);
	for (int i = 0; i < tail->reader_count; i++)
		if (tail->readers[i] == reader)
			tail->readers[i] = tail->readers[--tail->reader_count];
	pthread_mutex_unlock(&tail->lock);
}

int
mr_event_tail_join(MrEventTail *tail, const MrParams *params, int values, uint64_t *joined)
{
	Group *group = NULL;
	int all = 0;

	pthread_mutex_lock(&tail->lock);
	for (int i = 0; i < tail->count; i++)
	{
		all += tail->groups[i]->values;
		if (mr_params_equal(&tail->groups[i]->params, params))
			group = tail->groups[i];
	}
	if (group == NULL && tail->count < MR_TAIL_GROUPS &&
		all + values < MR_QUERY_PARAMETERS_MAX - 16)
	{
		group = mr_calloc(1, sizeof(*group));
		group->id = tail->next_id++;
		group->values = values;
		mr_params_copy(&group->params, params);
		tail->groups[tail->count++] = group;
		tail->changed++;
	}
	if (group != NULL)
	{
		group->streams++;
		*joined = ++tail->joined;
		tail->changed++;
	}
	pthread_mutex_unlock(&tail->lock);
	return group != NULL ? group->id : -1;
}

void
mr_event_tail_leave(MrEventTail *tail, int group)
{
	pthread_mutex_lock(&tail->lock);
	for (int i = 0; i < tail->count; i++)
	{
		if (tail->groups[i]->id != group || --tail->groups[i]->streams > 0)
			continue;
		free_group(tail->groups[i]);
		tail->groups[i] = tail->groups[--tail->count];
		tail->changed++;
		break;
	}
	pthread_mutex_unlock(&tail->lock);
}

bool
mr_event_tail_take_slot(MrEventTail *tail)
{
	if (atomic_fetch_add(&tail->catch_ups, 1) < MR_CATCH_UPS)
		return true;
	atomic_fetch_sub(&tail->catch_ups, 1);
	return false;
}

void
mr_event_tail_give_slot(MrEventTail *tail)
{
	atomic_fetch_sub(&tail->catch_ups, 1);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	MrEventTail *tail = arg;

	(void) fd;
	(void) what;
	mr_pool_tick(tail->pool);
	if (tail->running == NULL && mr_now_ms() >= tail->next_ms)
		read_on(tail);
	mr_timer_set(tail->timer, TICK_MS);
}

/* One statement, when somebody follows; else it begins again at the present when somebody does. */
static void
read_on(MrEventTail *tail)
{
	const MrRelation *relation = atomic_load(tail->relation);
	MrQueryFailure failure;

	tail->next_ms = mr_now_ms() + MR_TAIL_POLL_MS;
	pthread_mutex_lock(&tail->lock);
	if (tail->count == 0 || relation == NULL || relation->xid < 0)
	{
		pthread_mutex_unlock(&tail->lock);
		mr_event_position_free(&tail->position);
		return;
	}
	if ((tail->built_for != relation || tail->built_changed != tail->changed) &&
		!build(tail, relation))
	{
		pthread_mutex_unlock(&tail->lock);
		reset(tail);
		return;
	}
	/* values are the groups' own: the pool copies them */
	mr_event_follow_from(&tail->query, &tail->position);
	if (tail->position.since == NULL)
		begin(tail, relation);
	else
	{
		tail->running = mr_pool_query(tail->pool, NULL, tail->query.sql.data, tail->query.count,
									  tail->query.values, on_rows, tail, &failure);
		if (tail->running == NULL)
			report(tail, failure, NULL);
	}
	pthread_mutex_unlock(&tail->lock);
}

static bool
build(MrEventTail *tail, const MrRelation *relation)
{
	const MrParams *params[MR_TAIL_GROUPS];
	MrListRefusal refusal;

	for (int i = 0; i < tail->count; i++)
	{
		params[i] = &tail->groups[i]->params;
		tail->columns[i] = tail->groups[i]->id;
	}
	tail->column_count = tail->count;
	tail->built_for = relation;
	tail->built_changed = tail->changed;
	tail->built_joined = tail->joined;
	mr_event_query_free(&tail->query);
	return mr_event_follow_build(&tail->query, relation, params, tail->count, &refusal);
}

static void
begin(MrEventTail *tail, const MrRelation *relation)
{
	static const char sql[] =
		"SELECT millrace.stream_system($1), pg_catalog.pg_current_snapshot()::text";
	const char *values[] = {relation->ident};
	MrQueryFailure failure;

	tail->running = mr_pool_query(tail->pool, "tail", sql, 1, values, on_begun, tail, &failure);
	if (tail->running == NULL)
		report(tail, failure, NULL);
}

static void
on_begun(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrEventTail *tail = owner;
	MrEventPosition end = {0};

	tail->running = NULL;
	if (failure != MR_QUERY_OK)
	{
		report(tail, failure, error);
		return;
	}
	if (PQgetisnull(result, 0, MR_FOLLOW_SYSTEM))
	{
		reset(tail);
		return;
	}
	tail->has_problem = false;
	free(tail->system);
	tail->system = mr_strdup(PQgetvalue(result, 0, MR_FOLLOW_SYSTEM));
	tail->position.since = mr_strdup(PQgetvalue(result, 0, MR_FOLLOW_SNAPSHOT));
	end.since = mr_strdup(tail->position.since);
	post(tail, mr_event_page_new(MR_PAGE_EVENTS, &end, tail->built_joined));
}

static void
on_rows(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrEventTail *tail = owner;

	tail->running = NULL;
	if (failure != MR_QUERY_OK)
		report(tail, failure, error);
	else if (PQgetisnull(result, 0, MR_FOLLOW_SYSTEM) ||
			 strcmp(PQgetvalue(result, 0, MR_FOLLOW_SYSTEM), tail->system) != 0)
		reset(tail);
	else
		take_rows(tail, result);
}

static void
take_rows(MrEventTail *tail, const PGresult *result)
{
	MrEventPosition from = tail->position;
	MrEventPosition end;
	MrEventPosition copy = {0};
	MrEventPage *page;
	bool is_news;

	tail->has_problem = false;
	if (from.until == NULL)
		from.until = PQgetvalue(result, 0, MR_FOLLOW_SNAPSHOT);
	end = mr_event_page_behind(result, &from);
	is_news = end.until != NULL || tail->position.until != NULL ||
			  strcmp(end.since, tail->position.since) != 0 ||
			  tail->built_joined != tail->posted_joined;
	mr_event_position_copy(&copy, &end);
	page = mr_event_page_new(MR_PAGE_EVENTS, &copy, tail->built_joined);
	for (int i = 0; i < tail->column_count; i++)
	{
		MrSharedText *text =
			mr_event_page_events(result, MR_FOLLOW_GROUPS + i, tail->system, &from);

		if (text != NULL)
			mr_event_page_add(page, tail->columns[i], text);
	}
	mr_event_position_free(&tail->position);
	tail->position = end;
	if (is_news)
		post(tail, page);
	else
		mr_event_page_release(page);
	/* there is more already: the statement waits in the pool until the connection is free */
	if (end.until != NULL)
		read_on(tail);
}

/* Streams go on and hear of it once; the tail tries again from where it is. */
static void
report(MrEventTail *tail, MrQueryFailure failure, const MrPgError *error)
{
	MrEventPosition none = {0};
	MrEventPage *page;

	tail->next_ms = mr_now_ms() + 10 * MR_TAIL_POLL_MS;
	if (tail->has_problem)
		return;
	tail->has_problem = true;
	page = mr_event_page_new(MR_PAGE_PROBLEM, &none, 0);
	mr_event_page_add(page, 0, mr_rows_problem_event(failure, error, "/events/stream"));
	post(tail, page);
}

/* Another server, or a relation that its groups do not fit: what was read has no continuation. */
static void
reset(MrEventTail *tail)
{
	MrEventPosition none = {0};

	mr_event_position_free(&tail->position);
	tail->built_for = NULL;
	tail->next_ms = mr_now_ms() + 10 * MR_TAIL_POLL_MS;
	mr_log(MR_LOG_WARN, "streams cannot go on: the server or the relation is another one");
	post(tail, mr_event_page_new(MR_PAGE_RESET, &none, 0));
}

/* Takes the caller's reference over. The lock may be held by the caller: it is recursive. */
static void
post(MrEventTail *tail, MrEventPage *page)
{
	if (mr_event_page_kind(page) == MR_PAGE_EVENTS)
		tail->posted_joined = mr_event_page_joined(page);
	pthread_mutex_lock(&tail->lock);
	for (int i = 0; i < tail->reader_count; i++)
		mr_tail_reader_put(tail->readers[i], page);
	pthread_mutex_unlock(&tail->lock);
	mr_event_page_release(page);
}

static void
free_group(Group *group)
{
	mr_params_free(&group->params);
	free(group);
}
