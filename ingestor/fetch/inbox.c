/* A ring of messages, and what they weigh. */
#include "ingestor/fetch/inbox.h"

#include <stdlib.h>

#include "common/buffer.h"

/*
 * What a message takes besides its bytes: librdkafka's operation (some 300 bytes in 2.0.2), the parts of the record that are
 * not key or payload, and what malloc adds.
 */
#define MESSAGE_BYTES 360
#define SIZE_MIN      256
/* Memory of a ring that was larger than this is given back when it is empty. */
#define SIZE_KEEP 16384

static int64_t weight_of(const rd_kafka_message_t *message);
static void grow(MrInbox *inbox);

void
mr_inbox_put(MrInbox *inbox, rd_kafka_message_t *message, int32_t number, uint32_t version)
{
	if (inbox->count == inbox->size)
		grow(inbox);
	inbox->items[(inbox->first + inbox->count++) & (inbox->size - 1)] =
		(MrInboxItem){message, number, version};
	mr_share_add(&inbox->share, weight_of(message));
}

MrInboxItem
mr_inbox_take(MrInbox *inbox)
{
	MrInboxItem item = {NULL, -1, 0};

	if (inbox->count == 0)
		return item;
	item = inbox->items[inbox->first];
	inbox->first = (inbox->first + 1) & (inbox->size - 1);
	inbox->count--;
	mr_share_remove(&inbox->share, weight_of(item.message));
	if (inbox->count == 0 && inbox->size > SIZE_KEEP)
	{
		free(inbox->items);
		inbox->items = NULL;
		inbox->size = inbox->first = 0;
	}
	return item;
}

void
mr_inbox_free(MrInbox *inbox)
{
	MrInboxItem item;

	while ((item = mr_inbox_take(inbox)).message != NULL)
		rd_kafka_message_destroy(item.message);
	free(inbox->items);
	inbox->items = NULL;
	inbox->size = 0;
}

static int64_t
weight_of(const rd_kafka_message_t *message)
{
	return (int64_t) (message->len + message->key_len) + MESSAGE_BYTES;
}

static void
grow(MrInbox *inbox)
{
	size_t size = inbox->size > 0 ? 2 * inbox->size : SIZE_MIN;
	MrInboxItem *items = mr_malloc(sizeof(MrInboxItem) * size);

	for (size_t i = 0; i < inbox->count; i++)
		items[i] = inbox->items[(inbox->first + i) & (inbox->size - 1)];
	free(inbox->items);
	inbox->items = items;
	inbox->size = size;
	inbox->first = 0;
}
