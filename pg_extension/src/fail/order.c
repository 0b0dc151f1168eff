/*
 * order.c: see order.h. Runs in workers; a pipeline without ordering, and a batch without trouble, cost nothing here.
 */
#include "postgres.h"

#include "fail/order.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"
#include "fail/retry.h"

typedef struct QueueKey
{
	int64 key;
	int64 partition; /* 64 bits: no padding that would be hashed */
} QueueKey;

typedef struct Queue
{
	QueueKey key;
	int length;
} Queue;

struct MrOrder
{
	const MrDefinition *definition;
	HTAB *queues; /* NULL: there is none */
	int length;   /* of all of them */
};

static HTAB *
create_queues(void)
{
	HASHCTL control = {.keysize = sizeof(QueueKey),
					   .entrysize = sizeof(Queue),
					   .hcxt = CurrentMemoryContext};

	return hash_create("millrace queues", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static Queue *
find(HTAB *queues, int32 partition, int64 key, HASHACTION action, bool *found)
{
	QueueKey tag = {.key = key, .partition = partition};

	return hash_search(queues, &tag, action, found);
}

/* One more event in a queue, which is made if need be. */
static Queue *
lengthen(MrOrder *order, int32 partition, int64 key)
{
	bool found;
	Queue *queue;

	if (order->queues == NULL)
		order->queues = create_queues();
	queue = find(order->queues, partition, key, HASH_ENTER, &found);
	queue->length = found ? queue->length + 1 : 1;
	order->length++;
	return queue;
}

MrOrder *
mr_order_read(const MrDefinition *definition)
{
	MrOrder *order = palloc0(sizeof(MrOrder));
	Relation rel = mr_catalog_open("retry", AccessShareLock);
	Relation index = index_open(mr_catalog_oid("retry_queue_idx"), AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	order->definition = definition;
	mr_key_int4(&key, MR_RETRY_PIPELINE_ID, definition->pipeline_id);
	PushActiveSnapshot(GetLatestSnapshot());
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
		(void) lengthen(order, mr_catalog_int4(tuple, MR_RETRY_PARTITION, desc),
						mr_catalog_int8(tuple, MR_RETRY_ORDER_KEY, desc, 0));
	systable_endscan_ordered(scan);
	PopActiveSnapshot();
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return order;
}

bool
mr_order_admit(MrOrder *order, MrEvent *event)
{
	const struct MrOrderRules *rules = &order->definition->order;
	Queue *queue;
	int64 key;

	if (order->queues == NULL)
		return true;
	if (order->length >= rules->max_parked)
		return false;
	if (!mr_retry_order_key(order->definition, event, &key))
		return true;
	queue = find(order->queues, event->partition, key, HASH_FIND, NULL);
	if (queue == NULL)
		return true;
	if (queue->length >= rules->max_parked_per_key)
		return false;
	(void) lengthen(order, event->partition, key);
	mr_outcome_park(&event->outcome);
	event->queued = true;
	return true;
}

bool
mr_order_holds(const MrDefinition *definition, const MrEvent *event)
{
	int64 key;

	return definition->order.hold && event->outcome.state == MR_DEAD &&
		   mr_retry_order_key(definition, event, &key);
}

/* Whether the events of its key behind it have to wait. */
static bool
blocks(const MrDefinition *definition, const MrEvent *event)
{
	return event->outcome.state == MR_RETRYING || event->outcome.state == MR_PARKED ||
		   mr_order_holds(definition, event);
}

/* True: rows of it were written, or others gave way to them. */
static bool
park(MrEvent *event)
{
	bool had_rows = event->outcome.state == MR_WRITTEN || event->outcome.state == MR_SUPERSEDED;

	if (event->outcome.state != MR_PARKED)
		mr_outcome_park(&event->outcome);
	return had_rows;
}

bool
mr_order_park_followers(const MrDefinition *definition, MrBatch *batch)
{
	HTAB *waiting = NULL;
	bool had_rows = false;

	if (!definition->order.by_key)
		return false;
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];
		int64 key;

		if ((waiting == NULL && !blocks(definition, event)) ||
			event->outcome.state == MR_DISCARDED || !mr_retry_order_key(definition, event, &key))
			continue;
		if (waiting == NULL)
			waiting = create_queues();
		if (find(waiting, event->partition, key, HASH_FIND, NULL) != NULL)
			had_rows = park(event) || had_rows;
		else if (blocks(definition, event))
			(void) find(waiting, event->partition, key, HASH_ENTER, NULL);
	}
	return had_rows;
}

void
mr_order_check_room(MrOrder *order, MrBatch *batch)
{
	const MrDefinition *definition = order->definition;
	int longest = 0;

	for (int i = 0; i < batch->nevents; i++)
	{
		const MrEvent *event = &batch->events[i];
		int64 key;

		if (!event->queued && blocks(definition, event) &&
			mr_retry_order_key(definition, event, &key))
		{
			int length = lengthen(order, event->partition, key)->length;

			longest = Max(longest, length);
		}
	}
	if (longest > definition->order.max_parked_per_key ||
		order->length > definition->order.max_parked)
		mr_batch_give_back(batch, "too many events wait behind others of their keys");
}

void
mr_order_release(const MrDefinition *definition, const MrBatch *batch)
{
	HTAB *seen = NULL;

	if (!definition->order.by_key)
		return;
	for (int i = 0; i < batch->nevents; i++)
	{
		const MrEvent *event = &batch->events[i];
		bool found;
		int64 key;

		if ((event->retry == NULL && event->outcome.state != MR_PARKED) ||
			!mr_retry_order_key(definition, event, &key))
			continue;
		if (seen == NULL)
		{
			seen = create_queues();
			CommandCounterIncrement(); /* to see what was settled */
		}
		(void) find(seen, event->partition, key, HASH_ENTER, &found);
		if (!found)
			mr_retry_release_first(definition->pipeline_id, event->partition, key);
	}
}
