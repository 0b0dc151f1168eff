/* See consumer_hand_on.h. */
#include "ingestor/fetch/consumer_hand_on.h"

#include "common/log.h"
#include "ingestor/fetch/consumer_group.h"
#include "ingestor/fetch/consumer_private.h"

/* Messages before the loop looks at its sockets again; fewer than are taken at once, as handing on costs more. */
#define HAND_ON_MAX 2000

static void hand_on_one(MrConsumer *consumer, const MrInboxItem *item);
static void hand_on_error(MrConsumer *consumer, const MrInboxItem *item);

bool
mr_consumer_hand_on(MrConsumer *consumer)
{
	/* When blocked, the owner unblocks us. */
	for (int left = HAND_ON_MAX; !consumer->blocked; left--)
	{
		MrInboxItem item;

		if (left == 0)
			return consumer->inbox.count > 0;
		item = mr_inbox_take(&consumer->inbox);
		if (item.message == NULL)
			return false;
		hand_on_one(consumer, &item);
		rd_kafka_message_destroy(item.message);
	}
	return false;
}

static void
hand_on_one(MrConsumer *consumer, const MrInboxItem *item)
{
	const rd_kafka_message_t *message = item->message;

	if (item->number >= 0 &&
		mr_fetch_table_is_stale(&consumer->fetches, item->number, item->version))
		return;
	if (message->err)
		hand_on_error(consumer, item);
	else if (item->number >= 0)
	{
		mr_kafka_trouble_heard(&consumer->setup.counts->trouble, item->number);
		consumer->setup.events->message(consumer->setup.owner, item->number, message);
	}
}

static void
hand_on_error(MrConsumer *consumer, const MrInboxItem *item)
{
	const rd_kafka_message_t *message = item->message;
	int32_t partition = item->number;
	const char *text = rd_kafka_message_errstr(message);

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
		   MR_STR("topic", message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : ""),
		   MR_INT("partition", message->rkt != NULL ? message->partition : -1),
		   MR_STR("code", rd_kafka_err2name(message->err)), MR_STR("error", text));
	if (partition >= 0)
		mr_consumer_report_failed(consumer, partition, mr_fetch_failure(message->err), text);
}
