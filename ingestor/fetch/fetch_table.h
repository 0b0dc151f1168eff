/*
 * What a consumer fetches of each partition, what it shall fetch, and what it has written to the group. The table
 * only keeps the books: the consumer hands the lists to librdkafka. Part of its consumer, the main thread only.
 */
#ifndef MR_INGESTOR_FETCH_TABLE_H
#define MR_INGESTOR_FETCH_TABLE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "ingestor/fetch/topics.h"

typedef struct MrFetch
{
	bool granted; /* by the group */
	bool fetching;
	bool wanted;
	bool changed;      /* `wanted` or `from` are not applied yet */
	uint32_t version;  /* counts such changes: what was fetched under an older one is void */
	int64_t from;      /* fetch from here; behind the last message kept */
	bool at_end;       /* the last thing kept was the end of the partition */
	int64_t settled;   /* all below is processed, -1 = not known */
	int64_t committed; /* written to the group, -1 = nothing */
} MrFetch;

typedef struct MrFetchTable
{
	MrFetch *items; /* by partition */
	int count;
	bool changed;  /* of some item, or `paused` */
	bool paused;   /* nothing is fetched, whatever is wanted */
	uint32_t turn; /* counts calls of apply */
} MrFetchTable;

extern void mr_fetch_table_grant(MrFetchTable *table, int32_t partition);
/* True: it was being fetched. */
extern bool mr_fetch_table_revoke(MrFetchTable *table, int32_t partition);
extern void mr_fetch_table_start(MrFetchTable *table, int32_t partition, int64_t from);
extern void mr_fetch_table_stop(MrFetchTable *table, int32_t partition);
/* Stops fetching all, and goes on behind the last messages kept; what was kept stays valid. */
extern void mr_fetch_table_pause(MrFetchTable *table, bool paused);
/*
 * A message, or the end of the partition, was kept: all below `next` was fetched (INT64_MIN: an error, nothing moves).
 * Returns the version it belongs to.
 */
extern uint32_t mr_fetch_table_keep(MrFetchTable *table, int32_t partition, int64_t next, bool end);
/* Something is to be fetched, if it were not for a pause. */
extern bool mr_fetch_table_is_wanted(const MrFetchTable *table);
/* Something is fetched of which the end was not seen yet. */
extern bool mr_fetch_table_is_behind(const MrFetchTable *table);
extern void mr_fetch_table_settled(MrFetchTable *table, int32_t partition, int64_t offset);

/*
 * The changes since the last call are done from now on: appended to `stop` what is not fetched any more or from
 * elsewhere, to `start` what is, with offsets. failed: librdkafka did not start it.
 *
 * librdkafka starts the last one of a list first, and asks the broker for it at once: a partition without new messages
 * would keep the others waiting for the length of a long poll. So these come first in the list. Otherwise they take turns.
 */
extern void mr_fetch_table_apply(MrFetchTable *table, const MrTopics *topics,
								 rd_kafka_topic_partition_list_t *stop,
								 rd_kafka_topic_partition_list_t *start);
extern void mr_fetch_table_failed(MrFetchTable *table, int32_t partition);
/* What is settled and not written to the group yet; it counts as written then. */
extern void mr_fetch_table_commit(MrFetchTable *table, const MrTopics *topics,
								  rd_kafka_topic_partition_list_t *offsets);
extern void mr_fetch_table_free(MrFetchTable *table);

/* Messages that librdkafka still hands out of a partition that must not be fetched, or from elsewhere. */
static inline bool
mr_fetch_table_is_void(const MrFetchTable *table, int32_t partition)
{
	return partition >= table->count || !table->items[partition].fetching ||
		   table->items[partition].changed;
}

/* A message that was kept under this version, of a partition that must not be fetched any more, or from elsewhere. */
static inline bool
mr_fetch_table_is_stale(const MrFetchTable *table, int32_t partition, uint32_t version)
{
	return table->items[partition].version != version;
}

#endif
