/* The Kafka consumer of one pipeline. */
#include "ingestor/consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/pipeline.h"

#define TAKE_BUDGET 2000 /* messages before the loop looks at its sockets again */

struct MrConsumer
{
	MrPipeline *pl;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_queue_t *closing; /* takes the last rebalance events while we leave */
	int wake_fd;
	struct event *readable; /* librdkafka put something into the empty queue */
	struct event *again;    /* we want to go on taking */
	bool plan_changed;
	bool joined;
	bool closed;
};

static bool subscribe(MrConsumer *consumer, char *error, size_t error_size);
static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_again(evutil_socket_t fd, short what, void *arg);
static void take(MrConsumer *consumer);
static void serve_closing(MrConsumer *consumer);
static void apply_plan(MrConsumer *consumer);
static void start_fetching(MrConsumer *consumer, rd_kafka_topic_partition_list_t *start);
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
						 rd_kafka_topic_partition_list_t *list, void *opaque);
static void give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque);
static void doubt_all(MrConsumer *consumer);
static void log_error(MrConsumer *consumer, const char *what, rd_kafka_error_t *error);

MrConsumer *
mr_consumer_new(struct MrPipeline *pl, struct event_base *base, const MrSettings *settings,
				int64_t buffer_bytes, char *error, size_t error_size)
{
	static const uint64_t one = 1;
	MrConsumer *consumer = mr_calloc(1, sizeof(*consumer));
	rd_kafka_conf_t *conf;

	consumer->pl = pl;
	consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	consumer->readable =
		event_new(base, consumer->wake_fd, EV_READ | EV_PERSIST, on_readable, consumer);
	consumer->again = evtimer_new(base, on_again, consumer);
	event_add(consumer->readable, NULL);
	conf = mr_consumer_conf_new(pl->group_id, settings, buffer_bytes, error, error_size);
	if (conf != NULL)
	{
		rd_kafka_conf_set_opaque(conf, consumer);
		rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
		rd_kafka_conf_set_error_cb(conf, on_error);
		consumer->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_size);
	}
	if (conf != NULL && consumer->rk == NULL)
		rd_kafka_conf_destroy(conf);
	if (consumer->rk == NULL || !subscribe(consumer, error, error_size))
	{
		mr_consumer_free(consumer);
		return NULL;
	}
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	rd_kafka_queue_io_event_enable(consumer->queue, consumer->wake_fd, &one, sizeof(one));
	mr_consumer_wake(consumer);
	return consumer;
}

void
mr_consumer_fetch(MrConsumer *consumer, MrPartition *part, bool fetch, int64_t from)
{
	if (!fetch && !part->fetching)
	{
		part->want_fetch = false;
		part->replan = false;
		return;
	}
	part->want_fetch = fetch;
	part->fetch_from = from;
	part->replan = true;
	consumer->plan_changed = true;
	mr_consumer_wake(consumer);
}

void
mr_consumer_wake(MrConsumer *consumer)
{
	/* As a timer, not as an active event: libevent runs those before it looks at its sockets. */
	mr_timer_set(consumer->again, 0);
}

void
mr_consumer_commit(MrConsumer *consumer, rd_kafka_topic_partition_list_t *offsets)
{
	if (offsets->cnt > 0 && consumer->closing == NULL)
		rd_kafka_commit(consumer->rk, offsets, 1 /* async */);
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
		log_error(consumer, "could not leave the group", error);
		consumer->closed = true;
	}
	mr_consumer_wake(consumer);
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
	/* Told by a message or by the error callback, as it happens; asked of the handle it is always known. */
	return rd_kafka_fatal_error(consumer->rk, NULL, 0) != 0;
}

rd_kafka_t *
mr_consumer_handle(const MrConsumer *consumer)
{
	return consumer->rk;
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
	/*
	 * librdkafka 2.0.2 aborts the process when a member that joined its group and never got an
	 * assignment is destroyed (an assertion in the sticky assignor): such a handle is left behind.
	 */
	if (consumer->rk != NULL && consumer->joined)
		rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	event_free(consumer->readable);
	event_free(consumer->again);
	close(consumer->wake_fd);
	free(consumer);
}

static bool
subscribe(MrConsumer *consumer, char *error, size_t error_size)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t err;

	rd_kafka_poll_set_consumer(consumer->rk);
	rd_kafka_topic_partition_list_add(topics, consumer->pl->topic, RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(consumer->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (err)
		snprintf(error, error_size, "could not subscribe: %s", rd_kafka_err2str(err));
	return !err;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void) what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		mr_log(MR_LOG_WARN, "could not read the wake-up descriptor");
	take(arg);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	take(arg);
}

/*
 * Takes messages until the queue is empty, a lane is blocked, or the budget is spent. One by one:
 * in librdkafka 2.0.2 the batch call can lose messages around rebalances.
 */
static void
take(MrConsumer *consumer)
{
	bool more = true;
	int left = TAKE_BUDGET;

	if (consumer->closing != NULL)
	{
		serve_closing(consumer);
		return;
	}
	for (; left > 0; left--)
	{
		rd_kafka_message_t *message;

		if (consumer->plan_changed)
			apply_plan(consumer);
		if (!mr_pipeline_may_take(consumer->pl))
			break;
		message = rd_kafka_consume_queue(consumer->queue, 0);
		if (message == NULL)
		{
			more = false;
			break;
		}
		if (!message->err)
			mr_pipeline_message(consumer->pl, message);
		else
			mr_pipeline_kafka_error(consumer->pl, message);
		rd_kafka_message_destroy(message);
	}
	/* A blocked lane wakes us when it has room. */
	if (left == 0)
		mr_consumer_wake(consumer);
	mr_pipeline_taken(consumer->pl, more && left == 0);
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
apply_plan(MrConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *stop = rd_kafka_topic_partition_list_new(8);
	rd_kafka_topic_partition_list_t *start = rd_kafka_topic_partition_list_new(8);

	consumer->plan_changed = false;
	for (int i = 0; i < consumer->pl->partition_cap; i++)
	{
		MrPartition *part = consumer->pl->partitions[i];

		if (part == NULL || !part->replan)
			continue;
		if (part->fetching)
			rd_kafka_topic_partition_list_add(stop, consumer->pl->topic, part->number);
		if (part->want_fetch)
			rd_kafka_topic_partition_list_add(start, consumer->pl->topic, part->number)->offset =
				part->fetch_from;
		part->fetching = part->want_fetch;
		part->replan = false;
	}
	if (stop->cnt > 0)
		log_error(consumer, "could not stop fetching",
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
	log_error(consumer, "could not start fetching", error);
	for (int i = 0; i < start->cnt; i++)
	{
		MrPartition *part = mr_pipeline_partition(consumer->pl, start->elems[i].partition);

		part->fetching = part->want_fetch = false;
		mr_pipeline_unfetchable(consumer->pl, part->number);
	}
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

	consumer->joined = true;
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
	{
		rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

		log_error(consumer, "could not accept the group's assignment",
				  rd_kafka_incremental_assign(rk, none));
		rd_kafka_topic_partition_list_destroy(none);
		for (int i = 0; i < list->cnt; i++)
			mr_pipeline_granted(consumer->pl, list->elems[i].partition);
	}
	else
		give_back(consumer, list);
	consumer->pl->rebalances++;
	mr_log(MR_LOG_INFO, "rebalance", MR_STR("pipeline", consumer->pl->name),
		   MR_STR("what", err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "granted" : "revoked"),
		   MR_INT("partitions", list->cnt));
}

static void
give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *stop = rd_kafka_topic_partition_list_new(8);

	for (int i = 0; i < list->cnt; i++)
	{
		MrPartition *part = mr_pipeline_partition(consumer->pl, list->elems[i].partition);

		if (part != NULL && part->fetching)
			rd_kafka_topic_partition_list_add(stop, consumer->pl->topic, part->number);
		if (part != NULL)
			part->fetching = part->want_fetch = part->replan = false;
		mr_pipeline_revoked(consumer->pl, list->elems[i].partition);
	}
	log_error(consumer, "could not give partitions back",
			  rd_kafka_incremental_unassign(consumer->rk, stop));
	rd_kafka_topic_partition_list_destroy(stop);
}

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	MrConsumer *consumer = opaque;
	char text[512];

	consumer->pl->kafka_errors++;
	if (err == RD_KAFKA_RESP_ERR__FATAL)
	{
		rd_kafka_fatal_error(rk, text, sizeof(text));
		reason = text;
	}
	mr_log(MR_LOG_WARN, "kafka error", MR_STR("pipeline", consumer->pl->name),
		   MR_STR("code", rd_kafka_err2name((rd_kafka_resp_err_t) err)), MR_STR("error", reason));
	/* Told here, not with a message; librdkafka goes on by itself when there is such a topic again. */
	if (err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		doubt_all(consumer);
}

/* The topic is gone: when it is back, is it the same? */
static void
doubt_all(MrConsumer *consumer)
{
	for (int i = 0; i < consumer->pl->partition_cap; i++)
		if (consumer->pl->partitions[i] != NULL)
			mr_pipeline_unfetchable(consumer->pl, i);
}

static void
log_error(MrConsumer *consumer, const char *what, rd_kafka_error_t *error)
{
	if (error == NULL)
		return;
	mr_log(MR_LOG_WARN, what, MR_STR("pipeline", consumer->pl->name),
		   MR_STR("error", rd_kafka_error_string(error)));
	rd_kafka_error_destroy(error);
}
