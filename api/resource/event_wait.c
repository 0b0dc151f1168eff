#include "api/resource/event_wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "common/trouble.h"

#define ASKED_MAX 1000 /* events of one statement */

typedef TAILQ_HEAD(, MrEventWait) WaitList;

struct MrEventWait
{
	MrEventWaits *waits;
	char partition[sizeof(((MrCoordinate *) 0)->partition)];
	char offset[sizeof(((MrCoordinate *) 0)->offset)];
	bool is_named;
	int64_t end_ms;
	MrEventWaitEnd end;
	void *owner;
	int asked;      /* its number in the running statement; -1: none */
	WaitList *list; /* that it is in */
	TAILQ_ENTRY(MrEventWait) others;
};

struct MrEventWaits
{
	MrPool *pool;
	char *topic;
	struct event *timer;
	WaitList all; /* those that were asked for go to the end */
	int count;
	MrQuery *running;
	MrEventWait *asked[ASKED_MAX]; /* by the running statement; NULL: it is gone */
	int asked_count;
	bool drains;
	MrTrouble trouble;
};

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void ask(MrEventWaits *waits);
static void on_final(void *owner, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void clear_asked(MrEventWaits *waits);
static void end_late(MrEventWaits *waits, int64_t now_ms);
static void append(WaitList *list, MrEventWait *wait);
static void detach(MrEventWait *wait);
static void unask(MrEventWait *wait);

MrEventWaits *
mr_event_waits_new(struct event_base *base, MrPool *pool, const char *topic)
{
	MrEventWaits *waits = mr_calloc(1, sizeof(*waits));

	waits->pool = pool;
	waits->topic = mr_strdup(topic);
	waits->timer = evtimer_new(base, on_timer, waits);
	TAILQ_INIT(&waits->all);
	return waits;
}

void
mr_event_waits_drain(MrEventWaits *waits)
{
	waits->drains = true;
	end_late(waits, INT64_MAX);
}

void
mr_event_waits_free(MrEventWaits *waits)
{
	if (waits == NULL)
		return;
	if (waits->running != NULL)
		mr_query_abandon(waits->running);
	event_free(waits->timer);
	free(waits->topic);
	free(waits);
}

MrEventWait *
mr_event_wait(MrEventWaits *waits, const MrCoordinate *event, bool is_named, int64_t wait_ms,
			  MrEventWaitEnd end, void *owner)
{
	MrEventWait *wait;

	if (waits->count >= MR_WAITS_MAX)
		return NULL;
	wait = mr_calloc(1, sizeof(*wait));
	wait->waits = waits;
	memcpy(wait->partition, event->partition, sizeof(wait->partition));
	memcpy(wait->offset, event->offset, sizeof(wait->offset));
	wait->is_named = is_named;
	wait->end_ms = mr_now_ms() + (waits->drains ? 0 : wait_ms);
	wait->end = end;
	wait->owner = owner;
	wait->asked = -1;
	append(&waits->all, wait);
	waits->count++;
	if (!evtimer_pending(waits->timer, NULL))
		mr_timer_set(waits->timer, waits->drains ? 0 : MR_WAIT_POLL_MS);
	return wait;
}

void
mr_event_wait_abandon(MrEventWait *wait)
{
	detach(wait);
	unask(wait);
	free(wait);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	MrEventWaits *waits = arg;

	(void) fd;
	(void) what;
	end_late(waits, mr_now_ms());
	if (waits->count == 0)
		return;
	if (waits->running == NULL)
		ask(waits);
	mr_timer_set(waits->timer, MR_WAIT_POLL_MS);
}

static void
ask(MrEventWaits *waits)
{
	static const char sql[] =
		"SELECT nth, pipelines::text FROM millrace.final_events($1, $2::integer[], $3::bigint[], "
		"$4::boolean[])";
	MrBuffer partitions = {0};
	MrBuffer offsets = {0};
	MrBuffer named = {0};
	const char *values[4];
	MrQueryFailure failure;

	/* the analyzer does not see that detach() takes what is freed out of the list */
	/* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	for (int i = waits->count < ASKED_MAX ? waits->count : ASKED_MAX; i > 0; i--)
	{
		MrEventWait *wait = TAILQ_FIRST(&waits->all);
		const char *mark = waits->asked_count == 0 ? "{" : ",";

		mr_buffer_printf(&partitions, "%s%s", mark, wait->partition);
		mr_buffer_printf(&offsets, "%s%s", mark, wait->offset);
		mr_buffer_printf(&named, "%s%s", mark, wait->is_named ? "t" : "f");
		detach(wait);
		append(&waits->all, wait);
		wait->asked = waits->asked_count++;
		waits->asked[wait->asked] = wait;
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
	mr_buffer_append(&partitions, "}", 1);
	mr_buffer_append(&offsets, "}", 1);
	mr_buffer_append(&named, "}", 1);
	values[0] = waits->topic;
	values[1] = mr_buffer_string(&partitions);
	values[2] = mr_buffer_string(&offsets);
	values[3] = mr_buffer_string(&named);
	waits->running =
		mr_pool_query(waits->pool, "final_events", sql, 4, values, on_final, waits, &failure);
	if (waits->running == NULL)
		clear_asked(waits);
	mr_buffer_free(&partitions);
	mr_buffer_free(&offsets);
	mr_buffer_free(&named);
}

/* What fails is tried again until the time is over: the event is published, whatever PostgreSQL can say of it. */
static void
on_final(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrEventWaits *waits = owner;

	waits->running = NULL;
	if (failure == MR_QUERY_OK)
	{
		mr_trouble_clear(&waits->trouble);
		for (int row = 0; row < PQntuples(result); row++)
		{
			int nth = atoi(PQgetvalue(result, row, 0));
			MrEventWait *wait =
				nth >= 1 && nth <= waits->asked_count ? waits->asked[nth - 1] : NULL;

			if (wait == NULL)
				continue;
			detach(wait);
			unask(wait);
			wait->end(wait->owner, PQgetvalue(result, row, 1));
			free(wait);
		}
	}
	else
	{
		const char *why = error != NULL ? error->message : "the query had no connection";

		mr_log(mr_trouble_set(&waits->trouble, why), "cannot ask what has become of events",
			   MR_STR("error", why), MR_STR("hint", error != NULL ? error->hint : ""));
	}
	clear_asked(waits);
}

static void
clear_asked(MrEventWaits *waits)
{
	for (int i = 0; i < waits->asked_count; i++)
		if (waits->asked[i] != NULL)
			waits->asked[i]->asked = -1;
	waits->asked_count = 0;
}

/* Apart first: the end of one may abandon others. */
static void
end_late(MrEventWaits *waits, int64_t now_ms)
{
	WaitList late = TAILQ_HEAD_INITIALIZER(late);
	MrEventWait *next;
	MrEventWait *wait;

	for (wait = TAILQ_FIRST(&waits->all); wait != NULL; wait = next)
	{
		next = TAILQ_NEXT(wait, others);
		if (wait->end_ms > now_ms)
			continue;
		detach(wait);
		append(&late, wait);
	}
	while ((wait = TAILQ_FIRST(&late)) != NULL)
	{
		TAILQ_REMOVE(&late, wait, others);
		unask(wait);
		wait->end(wait->owner, NULL);
		free(wait);
	}
}

static void
append(WaitList *list, MrEventWait *wait)
{
	wait->list = list;
	TAILQ_INSERT_TAIL(list, wait, others);
}

static void
detach(MrEventWait *wait)
{
	TAILQ_REMOVE(wait->list, wait, others);
}

/* It is not counted any more, and not asked for by the running statement. */
static void
unask(MrEventWait *wait)
{
	wait->waits->count--;
	if (wait->asked >= 0)
		wait->waits->asked[wait->asked] = NULL;
}
