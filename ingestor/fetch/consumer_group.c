/* Callbacks of librdkafka, and what they mean to the partitions. */
#include "ingestor/fetch/consumer_group.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/log.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/fetch/consumer_private.h"

static void accept_granted(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static void grant(MrConsumer *consumer, int32_t number);
static void keep_unnumbered(MrConsumer *consumer, const rd_kafka_topic_partition_t *item);
static void drop_unnumbered(MrConsumer *consumer, int i);
static void give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static bool is_meant(const MrConsumer *consumer, int32_t number, const char *text);

/*
 * Called from inside rd_kafka_consume_queue, on the main thread. Nothing is waited for here: what
 * the group gives is answered with an empty assignment, and handed to the fetcher later.
 */
void
mr_consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
						 rd_kafka_topic_partition_list_t *list, void *opaque)
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
		int32_t number = mr_consumer_number_of(consumer, &list->elems[i]);

		if (number >= 0)
			grant(consumer, number);
		else
			keep_unnumbered(consumer, &list->elems[i]);
	}
	if (consumer->unnumbered_count > 0)
		consumer->setup.events->unnumbered(consumer->setup.owner);
}

static void
grant(MrConsumer *consumer, int32_t number)
{
	mr_fetch_table_grant(&consumer->fetches, number);
	consumer->setup.events->granted(consumer->setup.owner, number);
}

static void
keep_unnumbered(MrConsumer *consumer, const rd_kafka_topic_partition_t *item)
{
	consumer->unnumbered =
		mr_realloc(consumer->unnumbered,
				   sizeof(MrUnnumbered) * (size_t) (consumer->unnumbered_count + 1));
	consumer->unnumbered[consumer->unnumbered_count++] =
		(MrUnnumbered){mr_strdup(item->topic), item->partition};
}

static void
drop_unnumbered(MrConsumer *consumer, int i)
{
	free(consumer->unnumbered[i].topic);
	consumer->unnumbered[i] = consumer->unnumbered[--consumer->unnumbered_count];
}

static void
give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *stop = rd_kafka_topic_partition_list_new(8);

	for (int i = 0; i < list->cnt; i++)
	{
		const rd_kafka_topic_partition_t *item = &list->elems[i];
		int32_t partition = mr_consumer_number_of(consumer, item);

		for (int k = consumer->unnumbered_count - 1; k >= 0; k--)
			if (consumer->unnumbered[k].partition == item->partition &&
				strcmp(consumer->unnumbered[k].topic, item->topic) == 0)
				drop_unnumbered(consumer, k);
		if (partition < 0)
			continue;
		if (mr_fetch_table_revoke(&consumer->fetches, partition))
			rd_kafka_topic_partition_list_add(stop, item->topic, item->partition);
		mr_kafka_trouble_revoked(&consumer->setup.counts->trouble, partition);
		consumer->setup.events->revoked(consumer->setup.owner, partition);
	}
	mr_fetch_log_error(consumer->setup.pipeline, "could not give partitions back",
					   rd_kafka_incremental_unassign(consumer->rk, stop));
	rd_kafka_topic_partition_list_destroy(stop);
}

void
mr_consumer_subscribe_again(MrConsumer *consumer)
{
	char error[512];

	if (consumer->closing != NULL)
		return;
	consumer->subscribed = consumer->subscribed || mr_topics_subscribed(consumer->setup.topics) > 0;
	if (!mr_consumer_subscribe(consumer->rk, consumer->setup.topics, error, sizeof(error)))
		mr_log(MR_LOG_ERROR, "could not subscribe", MR_STR("pipeline", consumer->setup.pipeline),
			   MR_STR("error", error));
}

void
mr_consumer_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
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
		if (consumer->fetches.items[i].granted && is_meant(consumer, i, reason))
			mr_consumer_report_failed(consumer, i, MR_FAILURE_NO_TOPIC, reason);
}

/* Of several topics the text names the one; a name that is part of it is only looked at again in vain. */
static bool
is_meant(const MrConsumer *consumer, int32_t number, const char *text)
{
	return !consumer->setup.topics->several ||
		   strstr(text, mr_topics_name_of(consumer->setup.topics, number)) != NULL;
}

void
mr_consumer_numbered(MrConsumer *consumer)
{
	for (int i = 0; i < consumer->unnumbered_count;)
	{
		const MrUnnumbered *item = &consumer->unnumbered[i];
		int32_t number = mr_topics_number_of(consumer->setup.topics, item->topic, item->partition);

		if (number < 0)
		{
			i++;
			continue;
		}
		drop_unnumbered(consumer, i);
		grant(consumer, number);
	}
}

int
mr_consumer_unnumbered(const MrConsumer *consumer)
{
	return consumer->unnumbered_count;
}

const char *
mr_consumer_unnumbered_topic(const MrConsumer *consumer, int i)
{
	return consumer->unnumbered[i].topic;
}

void
mr_consumer_forget_unnumbered(MrConsumer *consumer)
{
	while (consumer->unnumbered_count > 0)
		drop_unnumbered(consumer, consumer->unnumbered_count - 1);
	free(consumer->unnumbered);
	consumer->unnumbered = NULL;
}

int32_t
mr_consumer_number_of(const MrConsumer *consumer, const rd_kafka_topic_partition_t *item)
{
	return mr_topics_number_of(consumer->setup.topics, item->topic, item->partition);
}

void
mr_consumer_report_failed(MrConsumer *consumer, int32_t partition, MrFetchFailure failure,
						  const char *text)
{
	if (failure != MR_FAILURE_PASSING)
		consumer->setup.events->failed(consumer->setup.owner, partition, failure, text);
}
