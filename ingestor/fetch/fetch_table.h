/*
 * What a consumer fetches of each partition, what it shall fetch, and what it has written to the group. The table
 * only keeps the books: the consumer hands the lists to librdkafka. Part of its consumer, the main thread only.
 */
#ifndef MR_INGESTOR_FETCH_TABLE_H
#define MR_INGESTOR_FETCH_TABLE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct MrFetch
{
	bool granted; /* by the group */
	bool fetching;
	bool wanted;
	bool changed; /* `wanted` or `from` are not applied yet */
	int64_t from;
	int64_t settled;   /* all below is processed, -1 = not known */
	int64_t committed; /* written to the group, -1 = nothing */
} MrFetch;

typedef struct MrFetchTable
{
	MrFetch *items; /* by partition */
	int count;
	bool changed; /* of some item */
} MrFetchTable;

extern void mr_fetch_table_grant(MrFetchTable *table, int32_t partition);
/* True: it was being fetched. */
extern bool mr_fetch_table_revoke(MrFetchTable *table, int32_t partition);
extern void mr_fetch_table_start(MrFetchTable *table, int32_t partition, int64_t from);
extern void mr_fetch_table_stop(MrFetchTable *table, int32_t partition);
extern void mr_fetch_table_settled(MrFetchTable *table, int32_t partition, int64_t offset);

/*
 * The changes since the last call are done from now on: appended to `stop` what is not fetched any more or from
 * elsewhere, to `start` what is, with offsets. failed: librdkafka did not start it.
 */
extern void mr_fetch_table_apply(MrFetchTable *table, const char *topic,
								 rd_kafka_topic_partition_list_t *stop,
								 rd_kafka_topic_partition_list_t *start);
extern void mr_fetch_table_failed(MrFetchTable *table, int32_t partition);
/* What is settled and not written to the group yet; it counts as written then. */
extern void mr_fetch_table_commit(MrFetchTable *table, const char *topic,
								  rd_kafka_topic_partition_list_t *offsets);
extern void mr_fetch_table_free(MrFetchTable *table);

/* Messages that librdkafka still hands out of a partition that must not be fetched, or from elsewhere. */
static inline bool
mr_fetch_table_is_void(const MrFetchTable *table, int32_t partition)
{
	return partition >= table->count || !table->items[partition].fetching ||
		   table->items[partition].changed;
}

#endif
