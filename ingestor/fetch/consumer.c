/* The Kafka consumer of one pipeline. */
#include "ingestor/fetch/consumer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/fetch/consumer_group.h"
#include "ingestor/fetch/consumer_hand_on.h"
#include "ingestor/fetch/consumer_private.h"
#include "ingestor/fetch/handle_end.h"

/* Messages taken from librdkafka before the loop looks at its sockets again. */
#define COLLECT_MAX 20000
/*
 * Look into the queue at least this often: librdkafka leaves the group of a consumer that does not, for
 * max.poll.interval.ms, though nothing has come and the descriptor announces nothing.
 */
#define LOOK_MS 2000
/* What was asked for has come by then, if there was something to send at once. */
#define ANSWER_MS 100
/* Silence of a topic that is not at its end; more than a long poll (fetch.wait.max.ms). */
#define SILENCE_MS 600

static void wake(MrConsumer *consumer);
static void on_wake(evutil_socket_t fd, short what, void *arg);
static void on_room(void *owner);
static void take(MrConsumer *consumer);
static void resume(MrConsumer *consumer);
static int64_t listen_for_more(MrConsumer *consumer);
static bool collect(MrConsumer *consumer);
static bool keep(MrConsumer *consumer, rd_kafka_message_t *message);
static int32_t number_of(const MrConsumer *consumer, const rd_kafka_message_t *message);
static void serve_closing(MrConsumer *consumer);
static void apply_changes(MrConsumer *consumer);
static void start_fetching(MrConsumer *consumer, rd_kafka_topic_partition_list_t *start);

MrConsumer *
mr_consumer_new(const MrConsumerSetup *setup, char *error, size_t error_size)
{
	static const uint64_t one = 1;
	static const MrConsumerCallbacks callbacks = {mr_consumer_on_rebalance, mr_consumer_on_error};
	MrConsumer *consumer = mr_calloc(1, sizeof(*consumer));

	consumer->setup = *setup;
	mr_share_join(&consumer->inbox.share, setup->budget, on_room, consumer);
	mr_fetch_table_pause(&consumer->fetches, true);
	consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	consumer->readable =
		event_new(setup->base, consumer->wake_fd, EV_READ | EV_PERSIST, on_wake, consumer);
	consumer->again = evtimer_new(setup->base, on_wake, consumer);
	event_add(consumer->readable, NULL);
	consumer->queue_bytes = mr_consumer_conf_queue_bytes(setup->settings);
	consumer->rk =
		mr_consumer_open(setup->group_id, setup->settings, mr_budget_response_bytes(setup->budget),
						 &callbacks, consumer, error, error_size);
	if (consumer->rk == NULL ||
		!mr_consumer_subscribe(consumer->rk, setup->topics, error, error_size))
	{
		mr_consumer_free(consumer);
		return NULL;
	}
	consumer->subscribed = mr_topics_subscribed(setup->topics) > 0;
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	rd_kafka_queue_io_event_enable(consumer->queue, consumer->wake_fd, &one, sizeof(one));
	wake(consumer);
	return consumer;
}

void
mr_consumer_fetch(MrConsumer *consumer, int32_t partition, int64_t from)
{
	mr_fetch_table_start(&consumer->fetches, partition, from);
	wake(consumer);
}

void
mr_consumer_stop(MrConsumer *consumer, int32_t partition)
{
	mr_fetch_table_stop(&consumer->fetches, partition);
	if (consumer->fetches.changed)
		wake(consumer);
}

void
mr_consumer_block(MrConsumer *consumer, bool blocked)
{
	consumer->blocked = blocked;
	if (!blocked)
		wake(consumer);
}

void
mr_consumer_settled(MrConsumer *consumer, int32_t partition, int64_t offset)
{
	mr_fetch_table_settled(&consumer->fetches, partition, offset);
}

/* So that lag tools see something; never read by us. */
void
mr_consumer_commit(MrConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);

	mr_fetch_table_commit(&consumer->fetches, consumer->setup.topics, offsets);
	if (offsets->cnt > 0 && consumer->closing == NULL)
		rd_kafka_commit(consumer->rk, offsets, 1 /* async */);
	rd_kafka_topic_partition_list_destroy(offsets);
}

void
mr_consumer_close(MrConsumer *consumer)
{
	static const uint64_t one = 1;
	rd_kafka_error_t *error;

	if (consumer->closing != NULL)
		return;
	mr_inbox_free(&consumer->inbox);
	consumer->closing = rd_kafka_queue_new(consumer->rk);
	rd_kafka_queue_io_event_enable(consumer->closing, consumer->wake_fd, &one, sizeof(one));
	error = rd_kafka_consumer_close_queue(consumer->rk, consumer->closing);
	if (error != NULL)
	{
		mr_fetch_log_error(consumer->setup.pipeline, "could not leave the group", error);
		consumer->closed = true;
	}
	wake(consumer);
}

bool
mr_consumer_is_closed(const MrConsumer *consumer)
{
	return consumer->closed;
}

bool
mr_consumer_has_joined(const MrConsumer *consumer)
{
	return consumer->joined;
}

bool
mr_consumer_is_fatal(const MrConsumer *consumer)
{
	/* It may be reported by a message or by the error callback; the handle always knows. */
	return rd_kafka_fatal_error(consumer->rk, NULL, 0) != 0;
}

rd_kafka_t *
mr_consumer_handle(const MrConsumer *consumer)
{
	return consumer->rk;
}

int64_t
mr_consumer_end(const MrConsumer *consumer, int32_t partition)
{
	int64_t low;
	int64_t high = -1;

	rd_kafka_get_watermark_offsets(consumer->rk,
								   mr_topics_name_of(consumer->setup.topics, partition),
								   mr_topics_partition_of(consumer->setup.topics, partition), &low,
								   &high);
	return high >= 0 ? high : -1;
}

size_t
mr_consumer_queued(const MrConsumer *consumer)
{
	return consumer->inbox.count + rd_kafka_queue_length(consumer->queue);
}

int64_t
mr_consumer_queued_bytes(const MrConsumer *consumer)
{
	return consumer->inbox.share.used;
}

void
mr_consumer_free(MrConsumer *consumer)
{
	if (consumer == NULL)
		return;
	mr_inbox_free(&consumer->inbox);
	if (consumer->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(consumer->queue);
	}
	if (consumer->closing != NULL)
	{
		rd_kafka_queue_io_event_enable(consumer->closing, -1, NULL, 0);
		rd_kafka_queue_destroy(consumer->closing);
	}
	/*
	 * librdkafka 2.0.2 aborts the process when a member that joined its group and never got an
	 * assignment is destroyed (an assertion in the sticky assignor): such a handle is left behind.
	 */
	if (consumer->rk != NULL && (consumer->joined || !consumer->subscribed))
		mr_handle_end(consumer->rk);
	event_free(consumer->readable);
	event_free(consumer->again);
	close(consumer->wake_fd);
	mr_fetch_table_free(&consumer->fetches);
	mr_consumer_forget_unnumbered(consumer);
	mr_share_leave(&consumer->inbox.share);
	free(consumer);
}

static void
wake(MrConsumer *consumer)
{
	/* As a timer, not as an active event: libevent runs those before it looks at its sockets. */
	mr_timer_set(consumer->again, 0);
}

/* librdkafka has something for us (the descriptor), or we want to go on or to look (the timer). */
static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	if ((what & EV_READ) && read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		mr_log(MR_LOG_WARN, "could not read the wake-up descriptor");
	take(arg);
}

static void
on_room(void *owner)
{
	wake(owner);
}

/* Whatever stands in the way of handing on, librdkafka is polled: it would leave the group. */
static void
take(MrConsumer *consumer)
{
	int64_t look_ms;
	bool more;

	if (consumer->closing != NULL)
	{
		serve_closing(consumer);
		return;
	}
	more = collect(consumer);
	more = mr_consumer_hand_on(consumer) || more;
	look_ms = listen_for_more(consumer);
	if (consumer->fetches.paused && mr_fetch_table_is_wanted(&consumer->fetches) &&
		mr_share_may_fill(&consumer->inbox.share))
	{
		resume(consumer);
		look_ms = ANSWER_MS;
	}
	if (consumer->fetches.changed)
		apply_changes(consumer);
	if (more)
		wake(consumer);
	consumer->setup.events->taken(consumer->setup.owner, more);
	if (!evtimer_pending(consumer->again, NULL))
		mr_timer_set(consumer->again, look_ms);
}

static void
resume(MrConsumer *consumer)
{
	mr_fetch_table_pause(&consumer->fetches, false);
	consumer->heard_ms = mr_now_ms();
}

/*
 * When nothing comes though there is something to fetch, librdkafka's thread may be asleep (consumer_conf.c): what was dropped when
 * fetching stopped may have filled its queue once more. To stop and start again wakes it; once only, as a broker may be slow.
 * Returns when to look again.
 */
static int64_t
listen_for_more(MrConsumer *consumer)
{
	int64_t silent_ms = mr_now_ms() - consumer->heard_ms;

	if (consumer->fetches.paused || consumer->inbox.count > 0)
		return LOOK_MS;
	if (silent_ms >= ANSWER_MS)
		mr_share_note_dry(&consumer->inbox.share);
	else if (consumer->inbox.share.expected > 0)
		return ANSWER_MS - silent_ms;
	if (!consumer->may_sleep || !mr_fetch_table_is_behind(&consumer->fetches))
		return LOOK_MS;
	if (silent_ms < SILENCE_MS)
		return SILENCE_MS - silent_ms;
	consumer->may_sleep = false;
	mr_fetch_table_pause(&consumer->fetches, true);
	apply_changes(consumer);
	return 0;
}

/*
 * Takes messages until librdkafka has none, or so many that there may be more: true. One by one: in librdkafka 2.0.2 the
 * batch call can lose messages around rebalances. Fetching stops between responses, as far as that can be seen: what is left of
 * one would be fetched again. So many that librdkafka's queue was full are as good as a full share: its thread may be asleep,
 * and starting again wakes it.
 */
static bool
collect(MrConsumer *consumer)
{
	int64_t bytes = 0;
	bool heard = false;
	int left;

	for (left = COLLECT_MAX; left > 0; left--)
	{
		rd_kafka_message_t *message;

		if (consumer->fetches.changed)
			apply_changes(consumer);
		message = rd_kafka_consume_queue(consumer->queue, 0);
		if (message == NULL)
			break;
		bytes += (int64_t) message->len;
		heard = keep(consumer, message) || heard;
	}
	if (left < COLLECT_MAX)
		consumer->heard_ms = mr_now_ms();
	if (heard)
		consumer->setup.counts->heard_ms = consumer->heard_ms;
	if (!consumer->fetches.paused &&
		(mr_share_is_full(&consumer->inbox.share) || bytes >= consumer->queue_bytes))
	{
		consumer->may_sleep = rd_kafka_version() < 0x02020000;
		mr_fetch_table_pause(&consumer->fetches, true);
		apply_changes(consumer);
		mr_share_note_full(&consumer->inbox.share);
	}
	return left == 0;
}

/* True: a message, or the end of a partition. */
static bool
keep(MrConsumer *consumer, rd_kafka_message_t *message)
{
	const bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
	const bool heard = end || !message->err;
	int64_t next = INT64_MIN; /* an error moves nothing */
	const int32_t number = number_of(consumer, message);
	uint32_t version = 0;

	if (number >= 0)
	{
		if (mr_fetch_table_is_void(&consumer->fetches, number))
		{
			rd_kafka_message_destroy(message);
			return heard;
		}
		if (heard)
			next = message->offset + !end;
		version = mr_fetch_table_keep(&consumer->fetches, number, next, end);
	}
	mr_inbox_put(&consumer->inbox, message, number, version);
	return heard;
}

/* -1: it is of no partition that is fetched. */
static int32_t
number_of(const MrConsumer *consumer, const rd_kafka_message_t *message)
{
	if (message->rkt == NULL || message->partition < 0)
		return -1;
	return mr_topics_number_of(consumer->setup.topics, rd_kafka_topic_name(message->rkt),
							   message->partition);
}

static void
serve_closing(MrConsumer *consumer)
{
	rd_kafka_message_t *message;

	while ((message = rd_kafka_consume_queue(consumer->closing, 0)) != NULL)
		rd_kafka_message_destroy(message);
	if (rd_kafka_consumer_closed(consumer->rk))
		consumer->closed = true;
}

static void
apply_changes(MrConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *stop = rd_kafka_topic_partition_list_new(8);
	rd_kafka_topic_partition_list_t *start = rd_kafka_topic_partition_list_new(8);

	mr_fetch_table_apply(&consumer->fetches, consumer->setup.topics, stop, start);
	if (stop->cnt > 0)
		mr_fetch_log_error(consumer->setup.pipeline, "could not stop fetching",
						   rd_kafka_incremental_unassign(consumer->rk, stop));
	if (start->cnt > 0)
		start_fetching(consumer, start);
	rd_kafka_topic_partition_list_destroy(stop);
	rd_kafka_topic_partition_list_destroy(start);
}

static void
start_fetching(MrConsumer *consumer, rd_kafka_topic_partition_list_t *start)
{
	rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer->rk, start);

	if (error == NULL)
		return;
	mr_fetch_log_error(consumer->setup.pipeline, "could not start fetching", error);
	for (int i = 0; i < start->cnt; i++)
		mr_fetch_table_failed(&consumer->fetches,
							  mr_consumer_number_of(consumer, &start->elems[i]));
	for (int i = 0; i < start->cnt; i++)
		mr_consumer_report_failed(consumer, mr_consumer_number_of(consumer, &start->elems[i]),
								  MR_FAILURE_NOT_STARTED, "");
}
