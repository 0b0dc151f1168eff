/* Callbacks of librdkafka, and what they mean to the partitions. */
#include "ingestor/fetch/consumer_group.h"

#include "common/log.h"
#include "ingestor/fetch/consumer_private.h"

static void accept_granted(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);
static void give_back(MrConsumer *consumer, const rd_kafka_topic_partition_list_t *list);

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
		if (consumer->fetches.items[i].granted)
			mr_consumer_report_failed(consumer, i, MR_FAILURE_NO_TOPIC, reason);
}

void
mr_consumer_report_failed(MrConsumer *consumer, int32_t partition, MrFetchFailure failure,
						  const char *text)
{
	if (failure != MR_FAILURE_PASSING)
		consumer->setup.events->failed(consumer->setup.owner, partition, failure, text);
}
