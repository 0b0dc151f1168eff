/* The books of what is fetched. */
#include "ingestor/fetch/fetch_table.h"

#include <stdlib.h>

#include "common/buffer.h"

static const MrFetch nothing = {.settled = -1, .committed = -1};

static void apply_to(MrFetchTable *table, const MrTopics *topics, int32_t partition,
					 rd_kafka_topic_partition_list_t *stop, rd_kafka_topic_partition_list_t *start);
static rd_kafka_topic_partition_t *add(rd_kafka_topic_partition_list_t *list,
									   const MrTopics *topics, int32_t partition);
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
	uint32_t version = fetch->version;

	*fetch = nothing;
	fetch->version = version + 1;
	return fetching;
}

void
mr_fetch_table_start(MrFetchTable *table, int32_t partition, int64_t from)
{
	MrFetch *fetch = item(table, partition);

	fetch->wanted = true;
	fetch->from = from;
	fetch->at_end = false;
	fetch->version++;
	fetch->changed = table->changed = true;
}

void
mr_fetch_table_stop(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);

	fetch->wanted = false;
	fetch->version++;
	fetch->changed = fetch->fetching;
	if (fetch->changed)
		table->changed = true;
}

void
mr_fetch_table_pause(MrFetchTable *table, bool paused)
{
	table->changed = table->changed || table->paused != paused;
	table->paused = paused;
}

uint32_t
mr_fetch_table_keep(MrFetchTable *table, int32_t partition, int64_t next, bool end)
{
	MrFetch *fetch = item(table, partition);

	if (next > fetch->from)
		fetch->from = next;
	fetch->at_end = end;
	return fetch->version;
}

bool
mr_fetch_table_is_wanted(const MrFetchTable *table)
{
	for (int i = 0; i < table->count; i++)
		if (table->items[i].wanted)
			return true;
	return false;
}

bool
mr_fetch_table_is_behind(const MrFetchTable *table)
{
	for (int i = 0; i < table->count; i++)
		if (table->items[i].fetching && !table->items[i].at_end)
			return true;
	return false;
}

void
mr_fetch_table_settled(MrFetchTable *table, int32_t partition, int64_t offset)
{
	item(table, partition)->settled = offset;
}

void
mr_fetch_table_apply(MrFetchTable *table, const MrTopics *topics,
					 rd_kafka_topic_partition_list_t *stop, rd_kafka_topic_partition_list_t *start)
{
	table->changed = false;
	table->turn++;
	for (int at_end = 1; at_end >= 0; at_end--)
		for (int i = 0; i < table->count; i++)
		{
			int32_t partition = (int32_t) ((table->turn + (uint32_t) i) % (uint32_t) table->count);

			if (table->items[partition].at_end == at_end)
				apply_to(table, topics, partition, stop, start);
		}
}

void
mr_fetch_table_failed(MrFetchTable *table, int32_t partition)
{
	MrFetch *fetch = item(table, partition);

	fetch->fetching = fetch->wanted = false;
}

void
mr_fetch_table_commit(MrFetchTable *table, const MrTopics *topics,
					  rd_kafka_topic_partition_list_t *offsets)
{
	for (int i = 0; i < table->count; i++)
	{
		MrFetch *fetch = &table->items[i];

		if (fetch->settled == fetch->committed)
			continue;
		add(offsets, topics, i)->offset = fetch->settled;
		fetch->committed = fetch->settled;
	}
}

void
mr_fetch_table_free(MrFetchTable *table)
{
	free(table->items);
	*table = (MrFetchTable){0};
}

static void
apply_to(MrFetchTable *table, const MrTopics *topics, int32_t partition,
		 rd_kafka_topic_partition_list_t *stop, rd_kafka_topic_partition_list_t *start)
{
	MrFetch *fetch = &table->items[partition];
	bool fetching = fetch->wanted && !table->paused;

	if (!fetch->changed && fetch->fetching == fetching)
		return;
	if (fetch->fetching)
		add(stop, topics, partition);
	if (fetching)
		add(start, topics, partition)->offset = fetch->from;
	fetch->fetching = fetching;
	fetch->changed = false;
}

static rd_kafka_topic_partition_t *
add(rd_kafka_topic_partition_list_t *list, const MrTopics *topics, int32_t partition)
{
	return rd_kafka_topic_partition_list_add(list, mr_topics_name_of(topics, partition),
											 mr_topics_partition_of(topics, partition));
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
