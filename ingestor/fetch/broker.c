/* Questions to a broker, by librdkafka's blocking calls. */
#include "ingestor/fetch/broker.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "ingestor/fetch/retention.h"
#include "ingestor/fetch/start_at.h"

#define BROKER_TIMEOUT_MS 5000

static bool resolve_starts(MrQuestion *question);
static int partition_count(MrQuestion *question);
static bool query_offsets(MrQuestion *question, int count, int64_t time, int64_t *offsets);

void
mr_broker_answer(MrQuestion *question)
{
	switch (question->kind)
	{
		case MR_ASK_STARTS:
			question->ok = resolve_starts(question);
			break;
		case MR_ASK_WATERMARKS:
			question->ok = query_offsets(question, 1, MR_START_EARLIEST, &question->low) &&
						   query_offsets(question, 1, MR_START_LATEST, &question->high);
			break;
		case MR_ASK_TIME:
			question->ok = query_offsets(question, 1, question->time, &question->low);
			break;
		case MR_ASK_RETENTION:
			question->ok =
				mr_retention_ask(question->rk, question->topic, BROKER_TIMEOUT_MS, &question->low,
								 question->error, sizeof(question->error));
			break;
	}
}

/* Partitions that appear later begin at the earliest: their first events are as new as any. */
static bool
resolve_starts(MrQuestion *question)
{
	int total = partition_count(question);

	if (total < 0)
		return false;
	question->count = total > question->first ? total - question->first : 0;
	if (question->count == 0)
		return true;
	question->offsets = mr_calloc((size_t) question->count, sizeof(int64_t));
	return query_offsets(question, question->count,
						 question->first == 0 ? question->time : MR_START_EARLIEST,
						 question->offsets);
}

static int
partition_count(MrQuestion *question)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(question->rk, question->topic, NULL);
	rd_kafka_resp_err_t err =
		topic ? rd_kafka_metadata(question->rk, 0, topic, &metadata, BROKER_TIMEOUT_MS)
			  : RD_KAFKA_RESP_ERR__FAIL;
	int count = -1;

	if (!err)
	{
		if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
			count = metadata->topics[0].partition_cnt;
		else
			err = metadata->topic_cnt == 1 ? metadata->topics[0].err
										   : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
		rd_kafka_metadata_destroy(metadata);
	}
	if (err)
		snprintf(question->error, sizeof(question->error), "%s", rd_kafka_err2str(err));
	if (topic != NULL)
		rd_kafka_topic_destroy(topic);
	return count;
}

/* A time later than all messages means the end. */
static bool
query_offsets(MrQuestion *question, int count, int64_t time, int64_t *offsets)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	rd_kafka_resp_err_t err;
	bool beyond = false;

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, question->topic, question->first + i)->offset =
			time;
	err = rd_kafka_offsets_for_times(question->rk, list, BROKER_TIMEOUT_MS);
	for (int i = 0; !err && i < count; i++)
	{
		const rd_kafka_topic_partition_t *found =
			rd_kafka_topic_partition_list_find(list, question->topic, question->first + i);

		err = found ? found->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
		offsets[i] = found ? found->offset : -1;
		beyond = beyond || offsets[i] < 0;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		snprintf(question->error, sizeof(question->error), "%s", rd_kafka_err2str(err));
	else if (beyond && time != MR_START_LATEST)
	{
		int64_t *ends = mr_calloc((size_t) count, sizeof(int64_t));
		bool ok = query_offsets(question, count, MR_START_LATEST, ends);

		for (int i = 0; ok && i < count; i++)
			offsets[i] = offsets[i] < 0 ? ends[i] : offsets[i];
		free(ends);
		return ok;
	}
	return !err && !beyond;
}
