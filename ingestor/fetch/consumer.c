/* The Kafka consumer of one pipeline. */
#include "ingestor/fetch/consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/fetch/fetch_table.h"
#include "ingestor/fetch/handle_end.h"

#define TAKE_BUDGET 2000 /* messages before the loop looks at its sockets again */
/*
 * Look into the queue at least this often: librdkafka leaves the group of a consumer that does not, for
 * max.poll.interval.ms, though nothing has come and the descriptor announces nothing.
 */
#define LOOK_MS 500

struct MrConsumer
{
	MrConsumerSetup setup;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_queue_t *closing; /* takes the last rebalance events while we leave */
	rd_kafka_queue_t *nothing; /* always empty: polled while we are blocked */
	int wake_fd;
	struct event *readable; /* librdkafka put something into the empty queue */
	struct event *again;    /* we want to go on taking, or to look */
	MrFetchTable fetches;
	bool blocked;
	bool joined;
	bool closed;
};

static void wake(MrConsumer *consumer);
static void on_wake(evutil_socket_t fd, short what, void *arg);
static void take(MrConsumer *consumer);
static void poll_nothing(MrConsumer *consumer);
static void take_error(MrConsumer *consumer, const rd_kafka_message_t *message);
static void serve_closing(MrConsumer *consumer);
static void apply_changes(MrConsumer *consumer);
static void start_fetching(MrConsumer *consumer, rd_kafka_topic_partition_list_t *start);
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
						 rd_kafka_topic_partition_list_t *list, void *opaque);
static void accept_granted(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static void give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque);
static void report_failed(MrConsumer *consumer, int32_t partition, MrFetchFailure failure,
						  const char *text);

MrConsumer *
mr_consumer_new(const MrConsumerSetup *setup, char *error, size_t error_size)
{
	static const uint64_t one = 1;
	static const MrConsumerCallbacks callbacks = {on_rebalance, on_error};
	MrConsumer *consumer = mr_calloc(1, sizeof(*consumer));

	consumer->setup = *setup;
	consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	consumer->readable =
		event_new(setup->base, consumer->wake_fd, EV_READ | EV_PERSIST, on_wake, consumer);
	consumer->again = evtimer_new(setup->base, on_wake, consumer);
	event_add(consumer->readable, NULL);
	consumer->rk = mr_consumer_open(setup->group_id, setup->settings, setup->buffer_bytes,
									&callbacks, consumer, error, error_size);
	if (consumer->rk == NULL ||
		!mr_consumer_subscribe(consumer->rk, setup->topic, error, error_size))
	{
		mr_consumer_free(consumer);
		return NULL;
	}
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	consumer->nothing = rd_kafka_queue_new(consumer->rk);
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

	mr_fetch_table_commit(&consumer->fetches, consumer->setup.topic, offsets);
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

	rd_kafka_get_watermark_offsets(consumer->rk, consumer->setup.topic, partition, &low, &high);
	return high >= 0 ? high : -1;
}

size_t
mr_consumer_queued(const MrConsumer *consumer)
{
	return rd_kafka_queue_length(consumer->queue);
}

void
mr_consumer_free(MrConsumer *consumer)
{
	if (consumer == NULL)
		return;
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
	if (consumer->nothing != NULL)
		rd_kafka_queue_destroy(consumer->nothing);
	/*
	 * librdkafka 2.0.2 aborts the process when a member that joined its group and never got an
	 * assignment is destroyed (an assertion in the sticky assignor): such a handle is left behind.
	 */
	if (consumer->rk != NULL && consumer->joined)
		mr_handle_end(consumer->rk);
	event_free(consumer->readable);
	event_free(consumer->again);
	close(consumer->wake_fd);
	mr_fetch_table_free(&consumer->fetches);
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

/*
 * Takes messages until the queue is empty, we are blocked, or the budget is spent. One by one:
 * in librdkafka 2.0.2 the batch call can lose messages around rebalances.
 */
static void
take(MrConsumer *consumer)
{
	const MrConsumerEvents *events = consumer->setup.events;
	bool more = true;
	bool heard = false;
	int left = TAKE_BUDGET;

	if (consumer->closing != NULL)
	{
		serve_closing(consumer);
		return;
	}
	for (; left > 0; left--)
	{
		rd_kafka_message_t *message;

		if (consumer->fetches.changed)
			apply_changes(consumer);
		if (consumer->blocked)
		{
			poll_nothing(consumer);
			break;
		}
		message = rd_kafka_consume_queue(consumer->queue, 0);
		if (message == NULL)
		{
			more = false;
			break;
		}
		heard = heard || !message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		if (message->err)
			take_error(consumer, message);
		else if (!mr_fetch_table_is_void(&consumer->fetches, message->partition))
		{
			mr_kafka_trouble_heard(&consumer->setup.counts->trouble, message->partition);
			events->message(consumer->setup.owner, message);
		}
		rd_kafka_message_destroy(message);
	}
	if (heard)
		consumer->setup.counts->heard_ms = mr_now_ms();
	/* When blocked, the owner unblocks us. */
	if (left == 0)
		wake(consumer);
	events->taken(consumer->setup.owner, more && left == 0);
	if (!evtimer_pending(consumer->again, NULL))
		mr_timer_set(consumer->again, LOOK_MS);
}

/* While blocked no message may be taken, yet we must poll (LOOK_MS): any queue of the handle counts. */
static void
poll_nothing(MrConsumer *consumer)
{
	rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->nothing, 0);

	if (message != NULL)
		rd_kafka_message_destroy(message);
}

static void
take_error(MrConsumer *consumer, const rd_kafka_message_t *message)
{
	int32_t partition = message->rkt != NULL ? message->partition : -1;
	const char *text = rd_kafka_message_errstr(message);

	if (partition >= 0 && mr_fetch_table_is_void(&consumer->fetches, partition))
		return;
	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		mr_kafka_trouble_heard(&consumer->setup.counts->trouble, partition);
		if (partition >= 0)
			consumer->setup.events->end(consumer->setup.owner, partition, message->offset);
		return;
	}
	consumer->setup.counts->errors++;
	mr_log(mr_fetch_note_error(&consumer->setup.counts->trouble, message->err, partition, text),
		   "kafka error", MR_STR("pipeline", consumer->setup.pipeline),
		   MR_INT("partition", partition), MR_STR("code", rd_kafka_err2name(message->err)),
		   MR_STR("error", text));
	if (partition >= 0)
		report_failed(consumer, partition, mr_fetch_failure(message->err), text);
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

	mr_fetch_table_apply(&consumer->fetches, consumer->setup.topic, stop, start);
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
		mr_fetch_table_failed(&consumer->fetches, start->elems[i].partition);
	for (int i = 0; i < start->cnt; i++)
		report_failed(consumer, start->elems[i].partition, MR_FAILURE_NOT_STARTED, "");
}

/*
 * Called from inside rd_kafka_consume_queue, on the main thread. Nothing is waited for here: what
 * the group gives is answered with an empty assignment, and handed to the fetcher later.
 */
static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list,
			 void *opaque)
{
	MrConsumer *consumer = opaque;
	bool granted = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;

	(void) rk;
	consumer->joined = true;
	if (granted)
		accept_granted(consumer, list);
	else
		give_back(consumer, list);
	consumer->setup.counts->rebalances++;
	mr_log(MR_LOG_INFO, "rebalance", MR_STR("pipeline", consumer->setup.pipeline),
		   MR_STR("what", granted ? "granted" : "revoked"), MR_INT("partitions", list->cnt));
}

static void
accept_granted(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

	mr_kafka_trouble_joined(&consumer->setup.counts->trouble);
	mr_fetch_log_error(consumer->setup.pipeline, "could not accept the group's assignment",
					   rd_kafka_incremental_assign(consumer->rk, none));
	rd_kafka_topic_partition_list_destroy(none);
	for (int i = 0; i < list->cnt; i++)
	{
		mr_fetch_table_grant(&consumer->fetches, list->elems[i].partition);
		consumer->setup.events->granted(consumer->setup.owner, list->elems[i].partition);
	}
}

static void
give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *stop = rd_kafka_topic_partition_list_new(8);

	for (int i = 0; i < list->cnt; i++)
	{
		int32_t partition = list->elems[i].partition;

		if (mr_fetch_table_revoke(&consumer->fetches, partition))
			rd_kafka_topic_partition_list_add(stop, consumer->setup.topic, partition);
		mr_kafka_trouble_revoked(&consumer->setup.counts->trouble, partition);
		consumer->setup.events->revoked(consumer->setup.owner, partition);
	}
	mr_fetch_log_error(consumer->setup.pipeline, "could not give partitions back",
					   rd_kafka_incremental_unassign(consumer->rk, stop));
	rd_kafka_topic_partition_list_destroy(stop);
}

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	MrConsumer *consumer = opaque;
	char text[512];

	consumer->setup.counts->errors++;
	if (err == RD_KAFKA_RESP_ERR__FATAL)
	{
		rd_kafka_fatal_error(rk, text, sizeof(text));
		reason = text;
	}
	mr_log(mr_fetch_note_error(&consumer->setup.counts->trouble, (rd_kafka_resp_err_t) err, -1,
							   reason),
		   "kafka error", MR_STR("pipeline", consumer->setup.pipeline),
		   MR_STR("code", rd_kafka_err2name((rd_kafka_resp_err_t) err)), MR_STR("error", reason));
	/* A missing topic is reported here, without a message; librdkafka goes on when it exists again. */
	if (mr_fetch_failure((rd_kafka_resp_err_t) err) != MR_FAILURE_NO_TOPIC)
		return;
	for (int i = 0; i < consumer->fetches.count; i++)
		if (consumer->fetches.items[i].granted)
			report_failed(consumer, i, MR_FAILURE_NO_TOPIC, reason);
}

static void
report_failed(MrConsumer *consumer, int32_t partition, MrFetchFailure failure, const char *text)
{
	if (failure != MR_FAILURE_PASSING)
		consumer->setup.events->failed(consumer->setup.owner, partition, failure, text);
}
