/* The helper thread that asks brokers. `lock` guards the two lists, `resolving` and `stopping`. */
#include "ingestor/fetch/resolver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buffer.h"
#include "ingestor/fetch/retention.h"
#include "ingestor/fetch/start_at.h"

#define BROKER_TIMEOUT_MS 5000

struct MrResolver
{
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	MrQuestion *questions; /* oldest first */
	MrQuestion *answers;
	bool resolving; /* the thread is at one */
	bool stopping;
	int wake_fd;
	struct event *answered;
};

static void *run(void *arg);
static void resolve(MrQuestion *question);
static bool resolve_starts(MrQuestion *question);
static int partition_count(MrQuestion *question);
static bool query_offsets(MrQuestion *question, int count, int64_t time, int64_t *offsets);
static void append(MrQuestion **list, MrQuestion *question);
static void on_answered(evutil_socket_t fd, short what, void *arg);
static void free_question(MrQuestion *question);

MrResolver *
mr_resolver_new(struct event_base *base)
{
	MrResolver *resolver = mr_calloc(1, sizeof(*resolver));

	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->asked, NULL);
	resolver->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	resolver->answered =
		event_new(base, resolver->wake_fd, EV_READ | EV_PERSIST, on_answered, resolver);
	event_add(resolver->answered, NULL);
	if (pthread_create(&resolver->thread, NULL, run, resolver) != 0)
	{
		event_free(resolver->answered);
		free(resolver);
		return NULL;
	}
	return resolver;
}

void
mr_resolver_ask(MrResolver *resolver, const MrQuestion *question)
{
	MrQuestion *copy = mr_malloc(sizeof(*copy));

	*copy = *question;
	copy->topic = mr_strdup(question->topic);
	copy->next = NULL;
	pthread_mutex_lock(&resolver->lock);
	append(&resolver->questions, copy);
	pthread_cond_signal(&resolver->asked);
	pthread_mutex_unlock(&resolver->lock);
}

bool
mr_resolver_is_busy(MrResolver *resolver)
{
	bool busy;

	pthread_mutex_lock(&resolver->lock);
	busy = resolver->resolving || resolver->questions != NULL;
	pthread_mutex_unlock(&resolver->lock);
	return busy;
}

void
mr_resolver_free(MrResolver *resolver)
{
	if (resolver == NULL)
		return;
	pthread_mutex_lock(&resolver->lock);
	resolver->stopping = true;
	pthread_cond_signal(&resolver->asked);
	pthread_mutex_unlock(&resolver->lock);
	pthread_join(resolver->thread, NULL);
	event_free(resolver->answered);
	close(resolver->wake_fd);
	for (MrQuestion *q = resolver->questions, *next; q != NULL; q = next)
	{
		next = q->next;
		free_question(q);
	}
	for (MrQuestion *q = resolver->answers, *next; q != NULL; q = next)
	{
		next = q->next;
		free_question(q);
	}
	pthread_cond_destroy(&resolver->asked);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

static void *
run(void *arg)
{
	static const uint64_t one = 1;
	MrResolver *resolver = arg;

	pthread_mutex_lock(&resolver->lock);
	while (!resolver->stopping)
	{
		MrQuestion *question = resolver->questions;

		if (question == NULL)
		{
			pthread_cond_wait(&resolver->asked, &resolver->lock);
			continue;
		}
		resolver->questions = question->next;
		question->next = NULL;
		resolver->resolving = true;
		pthread_mutex_unlock(&resolver->lock);
		resolve(question);
		pthread_mutex_lock(&resolver->lock);
		resolver->resolving = false;
		append(&resolver->answers, question);
		if (write(resolver->wake_fd, &one, sizeof(one)) < 0)
			continue; /* the counter is full: the main thread is awake anyway */
	}
	pthread_mutex_unlock(&resolver->lock);
	return NULL;
}

static void
resolve(MrQuestion *question)
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

static void
append(MrQuestion **list, MrQuestion *question)
{
	while (*list != NULL)
		list = &(*list)->next;
	*list = question;
}

static void
on_answered(evutil_socket_t fd, short what, void *arg)
{
	MrResolver *resolver = arg;
	MrQuestion *answers;
	uint64_t count;

	(void) what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&resolver->lock);
	answers = resolver->answers;
	resolver->answers = NULL;
	pthread_mutex_unlock(&resolver->lock);
	while (answers != NULL)
	{
		MrQuestion *question = answers;

		answers = question->next;
		question->answer(question);
		free_question(question);
	}
}

static void
free_question(MrQuestion *question)
{
	free(question->topic);
	free(question->offsets);
	free(question);
}
