#include "api/resource/event_feed.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "api/database/snapshot.h"
#include "api/request/sse.h"
#include "api/request/stream.h"
#include "api/resource/event_follow.h"
#include "api/resource/query_problem.h"
#include "api/resource/stream_check.h"
#include "common/eventloop.h"

#define RETRY_MS 1000 /* after a statement that failed */

/* Such a snapshot has seen everything: no row is found, and values are valid or not. */
#define SEEN_ALL "9000000000000000000:9000000000000000000:"

typedef struct Follower
{
	MrEventFeed *feed;
	MrExchange *exchange; /* until it is a stream */
	MrStreamCheck check;  /* before it is one */
	MrStream *stream;
	MrParams params;
	MrEventQuery query; /* of its own pages */
	MrQuery *running;
	char *system;
	int group;
	uint64_t joined;
	MrEventPosition position; /* while it catches up */
	MrEventPosition reading;  /* what the statement that runs reads: `until` is set */
	int64_t not_before_ms;    /* of the next statement */
	int64_t sent_ms;
	bool has_slot;
	bool is_live;
	bool is_closing;
	LIST_ENTRY(Follower) others;
} Follower;

struct MrEventFeed
{
	MrEventTail *tail;
	MrEventFeedSetup setup;
	MrTailReader *reader;
	MrStreamChecks *checks;
	LIST_HEAD(, Follower) followers; /* that are streams */
	char *boundary;  /* where the tail's last page ended; NULL: within others, or not known */
	uint64_t joined; /* of that page */
};

static bool check(Follower *follower);
static void on_checked(void *owner, MrQueryFailure failure, const PGresult *result,
					   const MrPgError *error);
static void start(Follower *follower, const PGresult *result);
static bool find_position(Follower *follower, const PGresult *result);
static bool read_position(Follower *follower, const char *system);
static void abandon_check(void *work);
static void on_over(void *owner);
static void free_follower(Follower *follower);
static void send_position(Follower *follower, const char *since);
static void advance(Follower *follower);
static const char *target_of(Follower *follower);
static void become_live(Follower *follower);
static void release_slot(Follower *follower);
static void on_caught(void *owner, MrQueryFailure failure, const PGresult *result,
					  const MrPgError *error);
static void take_rows(Follower *follower, const PGresult *result);
static void report(Follower *follower, MrQueryFailure failure, const MrPgError *error);
static void close_stream(Follower *follower);
static void on_page(void *owner, MrEventPage *page);

MrEventFeed *
mr_event_feed_new(struct event_base *base, MrEventTail *tail, const MrEventFeedSetup *setup)
{
	MrEventFeed *feed = mr_calloc(1, sizeof(*feed));

	feed->tail = tail;
	feed->setup = *setup;
	feed->checks = mr_stream_checks_new(setup->pool);
	feed->reader = mr_tail_reader_new(base, on_page, feed);
	mr_event_tail_attach(tail, feed->reader);
	return feed;
}

void
mr_event_feed_free(MrEventFeed *feed)
{
	if (feed == NULL)
		return;
	mr_event_tail_detach(feed->tail, feed->reader);
	mr_tail_reader_free(feed->reader);
	mr_stream_checks_free(feed->checks);
	free(feed->boundary);
	free(feed);
}

void
mr_event_feed_tick(MrEventFeed *feed, int64_t now_ms)
{
	Follower *follower;

	mr_stream_checks_tick(feed->checks);
	LIST_FOREACH (follower, &feed->followers, others)
	{
		if (!follower->is_live)
			advance(follower);
		/* where it is, though no row was for it: what it comes back with is not old */
		else if (!follower->is_closing && feed->boundary != NULL &&
				 now_ms - follower->sent_ms >= feed->setup.heartbeat_ms)
			send_position(follower, feed->boundary);
	}
}

void
mr_event_feed_join(MrEventFeed *feed, MrExchange *exchange, const MrRelation *relation)
{
	Follower *follower = mr_calloc(1, sizeof(*follower));
	const MrParams *params = &follower->params;
	MrListRefusal refusal;

	*follower = (Follower){.feed = feed, .exchange = exchange, .group = -1};
	mr_params_copy(&follower->params, &exchange->params);
	if (!mr_event_follow_build(&follower->query, relation, &params, 1, &refusal))
		mr_exchange_refuse(exchange, refusal.problem, refusal.detail,
						   refusal.hint[0] != '\0' ? refusal.hint : NULL);
	else if (read_position(follower, "") && check(follower))
		return;
	free_follower(follower);
}

/* The id of a row is a value of its type, as those of the filters are. False: answered. */
static bool
check(Follower *follower)
{
	const MrEventPosition *from = &follower->position;
	const char *place = mr_exchange_header(follower->exchange, "Last-Event-ID");
	MrQueryFailure failure;

	mr_event_position_copy(&follower->reading,
						   &(MrEventPosition){.since = SEEN_ALL, .xid = from->xid, .id = from->id});
	mr_event_follow_from(&follower->query, &follower->reading);
	if (!mr_stream_check_ask(follower->feed->checks, &follower->check, &follower->params,
							 place != NULL ? place : "", &follower->query, on_checked, follower,
							 &failure))
	{
		mr_query_problem(follower->exchange, failure, NULL);
		return false;
	}
	follower->exchange->work = follower;
	follower->exchange->abandon = abandon_check;
	return true;
}

static void
on_checked(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Follower *follower = owner;

	mr_exchange_forget_work(follower->exchange);
	if (failure == MR_QUERY_OK)
		start(follower, result);
	else
	{
		mr_event_follow_problem(follower->exchange, failure, error);
		free_follower(follower);
	}
}

static void
start(Follower *follower, const PGresult *result)
{
	MrEventFeed *feed = follower->feed;

	if (!find_position(follower, result))
	{
		free_follower(follower);
		return;
	}
	follower->group = mr_event_tail_join(feed->tail, &follower->params, follower->query.count - 5,
										 &follower->joined);
	if (follower->group < 0)
	{
		mr_exchange_refuse(follower->exchange, MR_PROBLEM_BUSY,
						   "There are too many streams with different filters.", NULL);
		free_follower(follower);
		return;
	}
	follower->stream = mr_stream_begin(follower->exchange, on_over, follower);
	if (follower->stream == NULL)
	{
		free_follower(follower);
		return;
	}
	LIST_INSERT_HEAD(&feed->followers, follower, others);
	if (follower->position.until == NULL)
		send_position(follower, follower->position.since);
	advance(follower);
}

/* From Last-Event-ID, or at the present. False: answered. */
static bool
find_position(Follower *follower, const PGresult *result)
{
	const char *present = PQgetvalue(result, 0, MR_FOLLOW_SNAPSHOT);
	const MrEventPosition *position = &follower->position;

	if (PQgetisnull(result, 0, MR_FOLLOW_SYSTEM))
	{
		mr_exchange_refuse(follower->exchange, MR_PROBLEM_NO_STREAM, "The server is a standby.",
						   "Connect millrace-api to the primary server.");
		return false;
	}
	follower->system = mr_strdup(PQgetvalue(result, 0, MR_FOLLOW_SYSTEM));
	if (!read_position(follower, follower->system))
		return false;
	if (position->since == NULL)
		follower->position.since = mr_strdup(present);
	/* of the future: the server was set back to a backup */
	else if (mr_snapshot_compare(position->until != NULL ? position->until : position->since,
								 present) > 0)
	{
		mr_exchange_refuse(follower->exchange, MR_PROBLEM_GONE,
						   "Last-Event-ID is of another server.", NULL);
		return false;
	}
	return true;
}

/* Of Last-Event-ID; none without it. system "": of any. False: answered. */
static bool
read_position(Follower *follower, const char *system)
{
	const char *from = mr_exchange_header(follower->exchange, "Last-Event-ID");
	MrPositionRead outcome = MR_POSITION_OK;

	mr_event_position_free(&follower->position);
	if (from != NULL && *from != '\0')
		outcome = mr_event_position_read(&follower->position, system, from);
	if (outcome == MR_POSITION_INVALID)
		mr_exchange_refuse(follower->exchange, MR_PROBLEM_CURSOR,
						   "Last-Event-ID is no id of this stream's events.",
						   "Send the id of the last event as it came, or none.");
	else if (outcome == MR_POSITION_ELSEWHERE && *system != '\0')
		mr_exchange_refuse(follower->exchange, MR_PROBLEM_GONE,
						   "Last-Event-ID is of another server, or of another table.", NULL);
	else
		return true;
	return false;
}

static void
abandon_check(void *work)
{
	free_follower(work);
}

static void
on_over(void *owner)
{
	Follower *follower = owner;

	LIST_REMOVE(follower, others);
	free_follower(follower);
}

static void
free_follower(Follower *follower)
{
	if (follower->check.statement != NULL)
		mr_stream_check_forget(&follower->check);
	if (follower->running != NULL)
		mr_query_abandon(follower->running);
	release_slot(follower);
	if (follower->group >= 0)
		mr_event_tail_leave(follower->feed->tail, follower->group);
	mr_event_query_free(&follower->query);
	mr_params_free(&follower->params);
	mr_event_position_free(&follower->position);
	mr_event_position_free(&follower->reading);
	free(follower->system);
	free(follower);
}

/* An event without data: the client takes its id, and shows nothing. */
static void
send_position(Follower *follower, const char *since)
{
	const MrEventPosition position = {.since = (char *) since};
	MrBuffer id = {0};
	MrBuffer text = {0};
	MrSharedText *shared;

	mr_event_position_write(&id, follower->system, &position);
	mr_buffer_printf(&text, "id: %s\n\n", mr_buffer_string(&id));
	mr_buffer_free(&id);
	shared = mr_shared_text_new(&text);
	mr_stream_send(follower->stream, shared);
	mr_shared_text_release(shared);
	follower->sent_ms = mr_now_ms();
}

/* The next page of its own, when there is somewhere to go, and the client has taken what it got. */
static void
advance(Follower *follower)
{
	MrEventFeed *feed = follower->feed;
	const char *target;
	MrQueryFailure failure;

	if (follower->is_closing || follower->running != NULL || mr_now_ms() < follower->not_before_ms)
		return;
	target = target_of(follower);
	if (target == NULL || mr_stream_unsent(follower->stream) > feed->setup.unsent_bytes)
	{
		release_slot(follower);
		return;
	}
	follower->has_slot = follower->has_slot || mr_event_tail_take_slot(feed->tail);
	if (!follower->has_slot)
		return;
	mr_event_position_copy(&follower->reading, &follower->position);
	if (follower->reading.until == NULL)
		follower->reading.until = mr_strdup(target);
	mr_event_follow_from(&follower->query, &follower->reading);
	follower->running =
		mr_pool_query(feed->setup.pool, NULL, follower->query.sql.data, follower->query.count,
					  follower->query.values, on_caught, follower, &failure);
	if (follower->running == NULL)
		report(follower, failure, NULL);
}

/*
 * How far to read: to the end of what was begun, else to where the tail is. NULL: it is there, or ahead of it (the id was
 * given by another process, whose tail has seen more).
 */
static const char *
target_of(Follower *follower)
{
	const MrEventFeed *feed = follower->feed;
	int ahead;

	if (follower->position.until != NULL)
		return follower->position.until;
	if (feed->boundary == NULL)
		return NULL;
	ahead = mr_snapshot_compare(follower->position.since, feed->boundary);
	if (ahead == 0 && feed->joined >= follower->joined)
		become_live(follower);
	return ahead < 0 ? feed->boundary : NULL;
}

static void
become_live(Follower *follower)
{
	follower->is_live = true;
	mr_event_position_free(&follower->position);
}

static void
release_slot(Follower *follower)
{
	if (follower->has_slot)
		mr_event_tail_give_slot(follower->feed->tail);
	follower->has_slot = false;
}

static void
on_caught(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Follower *follower = owner;

	follower->running = NULL;
	if (failure != MR_QUERY_OK)
		report(follower, failure, error);
	else if (PQgetisnull(result, 0, MR_FOLLOW_SYSTEM) ||
			 strcmp(PQgetvalue(result, 0, MR_FOLLOW_SYSTEM), follower->system) != 0)
		close_stream(follower);
	else
		take_rows(follower, result);
}

static void
take_rows(Follower *follower, const PGresult *result)
{
	MrSharedText *text =
		mr_event_page_events(result, MR_FOLLOW_GROUPS, follower->system, &follower->reading);

	mr_event_position_free(&follower->position);
	follower->position = mr_event_page_behind(result, &follower->reading);
	if (text != NULL)
	{
		mr_stream_send(follower->stream, text);
		follower->sent_ms = mr_now_ms();
	}
	mr_shared_text_release(text);
	advance(follower);
}

static void
report(Follower *follower, MrQueryFailure failure, const MrPgError *error)
{
	MrSharedText *shared = mr_rows_problem_event(failure, error, "/events/stream");

	release_slot(follower);
	follower->not_before_ms = mr_now_ms() + RETRY_MS;
	mr_stream_send(follower->stream, shared);
	mr_shared_text_release(shared);
}

static void
close_stream(Follower *follower)
{
	follower->is_closing = true;
	mr_stream_abort(follower->stream);
}

static void
on_page(void *owner, MrEventPage *page)
{
	MrEventFeed *feed = owner;
	MrPageKind kind = mr_event_page_kind(page);
	const MrEventPosition *end = mr_event_page_end(page);
	Follower *follower;

	LIST_FOREACH (follower, &feed->followers, others)
	{
		MrSharedText *text = mr_event_page_text(page, follower->group);

		if (follower->is_closing)
			continue;
		if (kind == MR_PAGE_RESET)
			close_stream(follower);
		else if (text != NULL && follower->is_live)
		{
			mr_stream_send(follower->stream, text);
			follower->sent_ms = mr_now_ms();
		}
	}
	if (kind == MR_PAGE_PROBLEM)
		return;
	free(feed->boundary);
	feed->boundary = kind == MR_PAGE_EVENTS && end->until == NULL ? mr_strdup(end->since) : NULL;
	feed->joined = mr_event_page_joined(page);
	LIST_FOREACH (follower, &feed->followers, others)
		if (!follower->is_live)
			advance(follower);
}
