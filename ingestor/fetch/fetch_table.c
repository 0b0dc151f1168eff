/* The books of what is fetched. */
#include "ingestor/fetch/fetch_table.h"

#include <stdlib.h>

#include "common/buffer.h"

static const MrFetch nothing = {.settled = -1, .committed = -1};

static MrFetch *item(MrFetchTable *table, int32_t partition);

void
mr_fetch_table_grant(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);

	fetch->granted = true;
	fetch->settled = fetch->committed = -1;
}

bool
mr_fetch_table_revoke(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);
	bool fetching = fetch->fetching;

	*fetch = nothing;
	return fetching;
}

void
mr_fetch_table_start(MrFetchTable *table, int32_t partition, int64_t from)
{
	MrFetch *fetch = item(table, partition);

	fetch->wanted = true;
	fetch->from = from;
	fetch->changed = table->changed = true;
}

void
mr_fetch_table_stop(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);

	fetch->wanted = false;
	fetch->changed = fetch->fetching;
	if (fetch->changed)
		table->changed = true;
}

void
mr_fetch_table_settled(MrFetchTable *table, int32_t partition, int64_t offset)
{
	item(table, partition)->settled = offset;
}

void
mr_fetch_table_apply(MrFetchTable *table, const char *topic, rd_kafka_topic_partition_list_t *stop,
					 rd_kafka_topic_partition_list_t *start)
{
	table->changed = false;
	for (int i = 0; i < table->count; i++)
	{
		MrFetch *fetch = &table->items[i];

		if (!fetch->changed)
			continue;
		if (fetch->fetching)
			rd_kafka_topic_partition_list_add(stop, topic, i);
		if (fetch->wanted)
			rd_kafka_topic_partition_list_add(start, topic, i)->offset = fetch->from;
		fetch->fetching = fetch->wanted;
		fetch->changed = false;
	}
}

void
mr_fetch_table_failed(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);

	fetch->fetching = fetch->wanted = false;
}

void
mr_fetch_table_commit(MrFetchTable *table, const char *topic,
					  rd_kafka_topic_partition_list_t *offsets)
{
	for (int i = 0; i < table->count; i++)
	{
		MrFetch *fetch = &table->items[i];

		if (fetch->settled == fetch->committed)
			continue;
		rd_kafka_topic_partition_list_add(offsets, topic, i)->offset = fetch->settled;
		fetch->committed = fetch->settled;
	}
}

void
mr_fetch_table_free(MrFetchTable *table)
{
	free(table->items);
	*table = (MrFetchTable){0};
}

/* Made when there is none; the partition is one that the group has named. */
static MrFetch *
item(MrFetchTable *table, int32_t partition)
{
	if (partition >= table->count)
	{
		int count = table->count ? table->count : 16;

		while (count <= partition)
			count *= 2;
		table->items = mr_realloc(table->items, sizeof(MrFetch) * (size_t) count);
		for (int i = table->count; i < count; i++)
			table->items[i] = nothing;
		table->count = count;
	}
	return &table->items[partition];
}
