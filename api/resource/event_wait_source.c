#include "api/resource/event_wait_source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "common/trouble.h"
#include "common/wakeup.h"

#define ASKED_MAX 1000 /* events of one statement */

typedef TAILQ_HEAD(, MrAwaited) AwaitedList;

struct MrAwaited
{
	MrEventWaitReader *reader;
	char partition[sizeof(((MrCoordinate *) 0)->partition)];
	char offset[sizeof(((MrCoordinate *) 0)->offset)];
	bool is_named;
	void *owner;
	int asked;         /* its number in the running statement; -1: none */
	char *pipelines;   /* of one that is final */
	AwaitedList *list; /* that it is in: of the source, or of its reader */
	TAILQ_ENTRY(MrAwaited) others;
};

struct MrEventWaitReader
{
	MrEventWaitSource *source;
	int fd;            /* the thread's eventfd */
	AwaitedList final; /* not taken yet */
};

struct MrEventWaitSource
{
	/* the main thread's */
	MrPool *pool;
	char *topic;
	struct event *tick;
	MrQuery *running; /* NULL: none */
	MrTrouble trouble;

	pthread_mutex_t lock; /* of all below, and of what readers await */
	AwaitedList waiting;  /* those that were asked for go to the end */
	int waiting_count;
	int count;                   /* of them, and of those that are final */
	int left;                    /* of those that waited at the last tick: not asked for yet */
	MrAwaited *asked[ASKED_MAX]; /* by the running statement; NULL: it is gone */
	int asked_count;
};

static void on_tick(evutil_socket_t fd, short what, void *arg);
static void ask(MrEventWaitSource *source);
static int write_asked(MrEventWaitSource *source, MrBuffer *partitions, MrBuffer *offsets,
					   MrBuffer *named);
static void on_final(void *owner, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void hand_out(MrEventWaitSource *source, const PGresult *result);
static void clear_asked(MrEventWaitSource *source);
static void append(AwaitedList *list, MrAwaited *awaited);
static void detach(MrAwaited *awaited);

MrEventWaitSource *
mr_event_wait_source_new(const MrPoolSetup *pool, const char *topic)
{
	MrEventWaitSource *source = mr_calloc(1, sizeof(*source));

	source->pool = mr_pool_new(pool);
	source->topic = mr_strdup(topic);
	pthread_mutex_init(&source->lock, NULL);
	TAILQ_INIT(&source->waiting);
	source->tick = evtimer_new(pool->base, on_tick, source);
	mr_timer_set(source->tick, 0);
	return source;
}

void
mr_event_wait_source_free(MrEventWaitSource *source)
{
	if (source == NULL)
		return;
	if (source->running != NULL)
		mr_query_abandon(source->running);
	mr_pool_free(source->pool);
	event_free(source->tick);
	pthread_mutex_destroy(&source->lock);
	free(source->topic);
	free(source);
}

MrEventWaitReader *
mr_event_wait_source_attach(MrEventWaitSource *source, int fd)
{
	MrEventWaitReader *reader = mr_calloc(1, sizeof(*reader));

	reader->source = source;
	reader->fd = fd;
	TAILQ_INIT(&reader->final);
	return reader;
}

void
mr_event_wait_source_detach(MrEventWaitReader *reader)
{
	free(reader);
}

MrAwaited *
mr_await(MrEventWaitReader *reader, const MrCoordinate *event, bool is_named, void *owner)
{
	MrEventWaitSource *source = reader->source;
	MrAwaited *awaited = mr_calloc(1, sizeof(*awaited));
	bool has_room;

	awaited->reader = reader;
	memcpy(awaited->partition, event->partition, sizeof(awaited->partition));
	memcpy(awaited->offset, event->offset, sizeof(awaited->offset));
	awaited->is_named = is_named;
	awaited->owner = owner;
	awaited->asked = -1;
	pthread_mutex_lock(&source->lock);
	has_room = source->count < MR_WAITS_MAX;
	if (has_room)
	{
		append(&source->waiting, awaited);
		source->count++;
	}
	pthread_mutex_unlock(&source->lock);
	if (has_room)
		return awaited;
	free(awaited);
	return NULL;
}

void
mr_awaited_forget(MrAwaited *awaited)
{
	MrEventWaitSource *source = awaited->reader->source;

	pthread_mutex_lock(&source->lock);
	detach(awaited);
	source->count--;
	if (awaited->asked >= 0)
		source->asked[awaited->asked] = NULL;
	pthread_mutex_unlock(&source->lock);
	free(awaited->pipelines);
	free(awaited);
}

void *
mr_event_wait_take(MrEventWaitReader *reader, char **pipelines)
{
	MrEventWaitSource *source = reader->source;
	MrAwaited *awaited;
	void *owner;

	pthread_mutex_lock(&source->lock);
	awaited = TAILQ_FIRST(&reader->final);
	if (awaited != NULL)
	{
		detach(awaited);
		source->count--;
	}
	pthread_mutex_unlock(&source->lock);
	if (awaited == NULL)
		return NULL;
	owner = awaited->owner;
	*pipelines = awaited->pipelines;
	free(awaited);
	return owner;
}

/* While a statement runs, those that have come since wait for the next tick. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	MrEventWaitSource *source = arg;

	(void) fd;
	(void) what;
	mr_pool_tick(source->pool);
	if (source->running == NULL)
	{
		pthread_mutex_lock(&source->lock);
		source->left = source->waiting_count;
		pthread_mutex_unlock(&source->lock);
		ask(source);
	}
	mr_timer_set(source->tick, MR_WAIT_POLL_MS);
}

static void
ask(MrEventWaitSource *source)
{
	static const char sql[] =
		"SELECT nth, pipelines::text FROM millrace.final_events($1, $2::integer[], $3::bigint[], "
		"$4::boolean[])";
	MrBuffer arrays[3] = {0};
	const char *values[4] = {source->topic};
	MrQueryFailure failure;

	if (write_asked(source, &arrays[0], &arrays[1], &arrays[2]) > 0)
	{
		for (int i = 0; i < 3; i++)
			values[1 + i] = mr_buffer_string(&arrays[i]);
		source->running =
			mr_pool_query(source->pool, "final_events", sql, 4, values, on_final, source, &failure);
		if (source->running == NULL)
			clear_asked(source);
	}
	for (int i = 0; i < 3; i++)
		mr_buffer_free(&arrays[i]);
}

/* Returns how many. */
static int
write_asked(MrEventWaitSource *source, MrBuffer *partitions, MrBuffer *offsets, MrBuffer *named)
{
	MrAwaited *awaited;

	pthread_mutex_lock(&source->lock);
	while (source->left > 0 && source->asked_count < ASKED_MAX &&
		   (awaited = TAILQ_FIRST(&source->waiting)) != NULL && awaited->asked < 0)
	{
		const char *mark = source->asked_count == 0 ? "{" : ",";

		mr_buffer_printf(partitions, "%s%s", mark, awaited->partition);
		mr_buffer_printf(offsets, "%s%s", mark, awaited->offset);
		mr_buffer_printf(named, "%s%s", mark, awaited->is_named ? "t" : "f");
		detach(awaited);
		append(&source->waiting, awaited);
		awaited->asked = source->asked_count++;
		source->asked[awaited->asked] = awaited;
		source->left--;
	}
	pthread_mutex_unlock(&source->lock);
	if (source->asked_count == 0)
		return 0;
	mr_buffer_append(partitions, "}", 1);
	mr_buffer_append(offsets, "}", 1);
	mr_buffer_append(named, "}", 1);
	return source->asked_count;
}

/* What fails is tried again until the time is over: the event is published, whatever PostgreSQL can say of it. */
static void
on_final(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrEventWaitSource *source = owner;

	source->running = NULL;
	if (failure == MR_QUERY_OK)
	{
		mr_trouble_clear(&source->trouble);
		hand_out(source, result);
		clear_asked(source);
		ask(source); /* those that did not fit into the statement */
	}
	else
	{
		const char *why = error != NULL ? error->message : "the query had no connection";

		mr_log(mr_trouble_set(&source->trouble, why), "cannot ask what has become of events",
			   MR_STR("error", why), MR_STR("hint", error != NULL ? error->hint : ""));
		clear_asked(source);
	}
}

static void
hand_out(MrEventWaitSource *source, const PGresult *result)
{
	pthread_mutex_lock(&source->lock);
	for (int row = 0; row < PQntuples(result); row++)
	{
		int nth = atoi(PQgetvalue(result, row, 0));
		MrAwaited *awaited = nth >= 1 && nth <= source->asked_count ? source->asked[nth - 1] : NULL;
		bool wakes;

		if (awaited == NULL)
			continue;
		source->asked[nth - 1] = NULL;
		awaited->asked = -1;
		awaited->pipelines = mr_strdup(PQgetvalue(result, row, 1));
		wakes = TAILQ_EMPTY(&awaited->reader->final);
		detach(awaited);
		append(&awaited->reader->final, awaited);
		if (wakes)
			mr_wake(awaited->reader->fd);
	}
	pthread_mutex_unlock(&source->lock);
}

static void
clear_asked(MrEventWaitSource *source)
{
	pthread_mutex_lock(&source->lock);
	for (int i = 0; i < source->asked_count; i++)
		if (source->asked[i] != NULL)
			source->asked[i]->asked = -1;
	source->asked_count = 0;
	pthread_mutex_unlock(&source->lock);
}

static void
append(AwaitedList *list, MrAwaited *awaited)
{
	MrEventWaitSource *source = awaited->reader->source;

	awaited->list = list;
	source->waiting_count += list == &source->waiting;
	TAILQ_INSERT_TAIL(list, awaited, others);
}

static void
detach(MrAwaited *awaited)
{
	MrEventWaitSource *source = awaited->reader->source;

	source->waiting_count -= awaited->list == &source->waiting;
	TAILQ_REMOVE(awaited->list, awaited, others);
}
