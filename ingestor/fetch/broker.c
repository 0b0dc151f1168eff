/* Questions to a broker, by librdkafka's blocking calls. */
#include "ingestor/fetch/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "ingestor/fetch/retention.h"
#include "ingestor/fetch/start_at.h"

#define BROKER_TIMEOUT_MS 5000
#define TOPIC_TIMEOUT_MS  2000 /* asked again and again, and others wait behind it */
#define HURRY_TIMEOUT_MS  200

/* What is asked of one partition at a time, and its answer. */
typedef struct Place
{
	int32_t partition;
	int64_t offset;
	rd_kafka_resp_err_t err;
} Place;

static void answer_partitions(MrQuestion *questions);
static bool resolve_starts(MrQuestion *question);
static bool all_are_there(MrQuestion *question, int timeout_ms);
static bool is_there(const struct rd_kafka_metadata *metadata, const char *name);
static bool list_topics(MrQuestion *question);
static int partition_count(MrQuestion *question, int timeout_ms);
static rd_kafka_resp_err_t topic_error(const rd_kafka_metadata_t *metadata);
static bool fail(MrQuestion *question, rd_kafka_resp_err_t err);
static int compare_places(const void *a, const void *b);
static int distinct(Place *places, int count);
static void query(const MrQuestion *about, int64_t time, Place *places, int count);
static rd_kafka_resp_err_t query_once(const MrQuestion *about, int64_t time, Place *places,
									  int count);
static void query_ends(const MrQuestion *about, Place *places, int count);
static bool is_out_of_reach(rd_kafka_resp_err_t err);

bool
mr_broker_joins(const MrQuestion *question, const MrQuestion *other)
{
	return question->kind == other->kind && question->rk == other->rk &&
		   strcmp(question->topic, other->topic) == 0 &&
		   (question->kind == MR_ASK_WATERMARKS ||
			(question->kind == MR_ASK_TIME && question->time == other->time));
}

void
mr_broker_answer(MrQuestion *questions)
{
	switch (questions->kind)
	{
		case MR_ASK_STARTS:
			questions->ok = resolve_starts(questions);
			break;
		case MR_ASK_WATERMARKS:
		case MR_ASK_TIME:
			answer_partitions(questions);
			break;
		case MR_ASK_RETENTION:
			questions->ok =
				mr_retention_ask(questions->rk, questions->topic, BROKER_TIMEOUT_MS,
								 &questions->low, questions->error, sizeof(questions->error));
			break;
		case MR_ASK_TOPIC:
			questions->ok =
				all_are_there(questions, questions->hurry ? HURRY_TIMEOUT_MS : TOPIC_TIMEOUT_MS);
			break;
		case MR_ASK_TOPICS:
			questions->ok = list_topics(questions);
			break;
	}
}

static void
answer_partitions(MrQuestion *questions)
{
	bool watermarks = questions->kind == MR_ASK_WATERMARKS;
	Place *low;
	Place *high;
	int count = 0;

	for (MrQuestion *q = questions; q != NULL; q = q->next)
		count++;
	low = mr_calloc((size_t) count, sizeof(Place));
	count = 0;
	for (MrQuestion *q = questions; q != NULL; q = q->next)
		low[count++].partition = q->first;
	count = distinct(low, count);
	high = mr_calloc((size_t) count, sizeof(Place));
	memcpy(high, low, sizeof(Place) * (size_t) count);
	query(questions, watermarks ? MR_START_EARLIEST : questions->time, low, count);
	if (watermarks)
		query(questions, MR_START_LATEST, high, count);
	for (MrQuestion *q = questions; q != NULL; q = q->next)
	{
		Place key = {.partition = q->first};
		const Place *found = bsearch(&key, low, (size_t) count, sizeof(Place), compare_places);
		const Place *end = &high[found - low];

		q->low = found->offset;
		q->high = end->offset;
		q->ok = !fail(q, found->err) && !fail(q, end->err);
	}
	free(low);
	free(high);
}

/* Partitions that appear later begin at the earliest: their first events are as new as any. */
static bool
resolve_starts(MrQuestion *question)
{
	int total = partition_count(question, BROKER_TIMEOUT_MS);
	bool ok = true;
	Place *places;

	if (total < 0)
		return false;
	question->count = total > question->first ? total - question->first : 0;
	if (question->count == 0)
		return true;
	question->offsets = mr_calloc((size_t) question->count, sizeof(int64_t));
	places = mr_calloc((size_t) question->count, sizeof(Place));
	for (int i = 0; i < question->count; i++)
		places[i].partition = question->first + i;
	query(question, question->first == 0 ? question->time : MR_START_EARLIEST, places,
		  question->count);
	for (int i = 0; i < question->count && ok; i++)
	{
		question->offsets[i] = places[i].offset;
		ok = !fail(question, places[i].err);
	}
	free(places);
	return ok;
}

/*
 * One is asked for by itself. Of several one request says which are fine; the first that is not is asked for by itself, for
 * the reason.
 */
static bool
all_are_there(MrQuestion *question, int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	char *names = question->topic;
	char *next = names;
	char *suspect = NULL;
	rd_kafka_resp_err_t err;

	if (strchr(names, ',') == NULL)
		return partition_count(question, timeout_ms) >= 0;
	err = rd_kafka_metadata(question->rk, 1, NULL, &metadata, timeout_ms);
	question->err = err;
	if (fail(question, err))
		return false;
	while (suspect == NULL && next != NULL)
	{
		char *name = strsep(&next, ",");

		if (!is_there(metadata, name))
			suspect = name;
	}
	rd_kafka_metadata_destroy(metadata);
	if (suspect == NULL)
		return true;
	question->topic = mr_strdup(suspect);
	free(names);
	return partition_count(question, timeout_ms) >= 0;
}

static bool
is_there(const struct rd_kafka_metadata *metadata, const char *name)
{
	for (int i = 0; i < metadata->topic_cnt; i++)
		if (strcmp(metadata->topics[i].topic, name) == 0)
			return !metadata->topics[i].err;
	return false;
}

/* Those whose names are Kafka's own are left out, and so is what is no name. */
static bool
list_topics(MrQuestion *question)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(question->rk, 1, NULL, &metadata, TOPIC_TIMEOUT_MS);
	MrBuffer names = {0};

	question->err = err;
	if (fail(question, err))
		return false;
	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		const char *name = metadata->topics[i].topic;

		if (!metadata->topics[i].err && strncmp(name, "__", 2) != 0 && strchr(name, ',') == NULL)
			mr_buffer_printf(&names, "%s%s", names.len > 0 ? "," : "", name);
	}
	question->names = mr_strdup(mr_buffer_string(&names));
	mr_buffer_free(&names);
	rd_kafka_metadata_destroy(metadata);
	return true;
}

static int
partition_count(MrQuestion *question, int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(question->rk, question->topic, NULL);
	rd_kafka_resp_err_t err = topic
								  ? rd_kafka_metadata(question->rk, 0, topic, &metadata, timeout_ms)
								  : RD_KAFKA_RESP_ERR__FAIL;
	int count = -1;

	if (!err)
	{
		err = topic_error(metadata);
		if (!err)
			count = metadata->topics[0].partition_cnt;
		rd_kafka_metadata_destroy(metadata);
	}
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		snprintf(question->error, sizeof(question->error), "topic \"%s\" does not exist",
				 question->topic);
	else
		(void) fail(question, err);
	question->err = err;
	if (topic != NULL)
		rd_kafka_topic_destroy(topic);
	return count;
}

static rd_kafka_resp_err_t
topic_error(const rd_kafka_metadata_t *metadata)
{
	const rd_kafka_metadata_topic_t *topic = &metadata->topics[0];

	if (metadata->topic_cnt != 1)
		return RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	for (int i = 0; !topic->err && i < topic->partition_cnt; i++)
		if (topic->partitions[i].leader < 0)
			return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	return topic->err;
}

/* Notes what went wrong; false: nothing. */
static bool
fail(MrQuestion *question, rd_kafka_resp_err_t err)
{
	if (err)
		snprintf(question->error, sizeof(question->error), "%s", rd_kafka_err2str(err));
	return err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int
compare_places(const void *a, const void *b)
{
	int32_t left = ((const Place *) a)->partition;
	int32_t right = ((const Place *) b)->partition;

	return left < right ? -1 : left > right;
}

/* Puts them in order, each partition once; returns how many are left. */
static int
distinct(Place *places, int count)
{
	int kept = 0;

	qsort(places, (size_t) count, sizeof(Place), compare_places);
	for (int i = 0; i < count; i++)
		if (i == 0 || places[i].partition != places[i - 1].partition)
			places[kept++] = places[i];
	return kept;
}

/*
 * All of them with one request per broker. librdkafka gives up the whole request for an error of one partition: then
 * each is asked alone, unless no broker can be reached.
 */
static void
query(const MrQuestion *about, int64_t time, Place *places, int count)
{
	rd_kafka_resp_err_t all = query_once(about, time, places, count);

	for (int i = 0; i < count && all; i++)
	{
		rd_kafka_resp_err_t err = all;

		if (!is_out_of_reach(all) && count > 1)
			err = query_once(about, time, &places[i], 1);
		if (err)
			places[i].err = err;
		if (is_out_of_reach(err))
			all = err;
	}
	if (time != MR_START_LATEST)
		query_ends(about, places, count);
	for (int i = 0; i < count; i++)
		if (!places[i].err && places[i].offset < 0)
			places[i].err = RD_KAFKA_RESP_ERR__NO_OFFSET;
}

static rd_kafka_resp_err_t
query_once(const MrQuestion *about, int64_t time, Place *places, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, about->topic, places[i].partition)->offset = time;
	err = rd_kafka_offsets_for_times(about->rk, list, BROKER_TIMEOUT_MS);
	for (int i = 0; i < count && !err; i++)
	{
		const rd_kafka_topic_partition_t *found = &list->elems[i];

		if (found->partition != places[i].partition)
			found = rd_kafka_topic_partition_list_find(list, about->topic, places[i].partition);
		places[i].err = found ? found->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
		places[i].offset = found ? found->offset : -1;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return err;
}

/* A time later than all messages means the end. */
static void
query_ends(const MrQuestion *about, Place *places, int count)
{
	Place *beyond = mr_calloc((size_t) count, sizeof(Place));
	int n = 0;

	for (int i = 0; i < count; i++)
		if (!places[i].err && places[i].offset < 0)
			beyond[n++].partition = places[i].partition;
	if (n > 0)
		query(about, MR_START_LATEST, beyond, n);
	for (int i = 0, k = 0; i < count && k < n; i++)
		if (places[i].partition == beyond[k].partition)
			places[i] = beyond[k++];
	free(beyond);
}

/* So that to ask for each partition alone would only wait as often. */
static bool
is_out_of_reach(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TRANSPORT ||
		   err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__RESOLVE ||
		   err == RD_KAFKA_RESP_ERR__DESTROY;
}
