/* Who frees what: a delivery belongs to librdkafka from producev() to its report, then to its outbox. */
#include "api/publish/producer.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/publish/ends.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/kafka_conf.h"
#include "common/log.h"
#include "common/trouble.h"

#define POLL_MS 100
#define END_MS  1000 /* how long Kafka may take to say where a partition ends */
#define PROBE_MS                                                                                   \
	500 /* how long a look for a broker may take; one follows the other while none answers */

struct MrProducer
{
	MrProducerSetup setup;
	char *topic;
	char timeout[24];
	pthread_rwlock_t handle_lock; /* written while the handle is replaced */
	rd_kafka_t *handle;
	pthread_t thread;
	bool started;
	atomic_bool stops;
	atomic_bool is_open;
	MrEnds *ends;
	_Atomic uint64_t published;
	_Atomic uint64_t failed;
	pthread_mutex_t trouble_lock;
	MrTrouble trouble;
};

static rd_kafka_t *new_handle(MrProducer *producer, char *error, size_t error_size);
static void *run(void *arg);
static void probe(MrProducer *producer);
static rd_kafka_resp_err_t ask_topic(rd_kafka_t *handle, const char *name,
									 const struct rd_kafka_metadata **metadata);
static bool is_not_there(rd_kafka_t *handle, const char *name, int32_t partition);
static void replace_failed(MrProducer *producer);
static void on_report(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque);
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text);
static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque);
static void open_breaker(MrProducer *producer, const char *why);
static rd_kafka_headers_t *headers_of(const MrTrace *trace);
static MrPublishFailure failure_of(rd_kafka_resp_err_t code, rd_kafka_msg_status_t status);

MrProducer *
mr_producer_new(const MrProducerSetup *setup, char *error, size_t error_size)
{
	MrProducer *producer = mr_calloc(1, sizeof(*producer));

	producer->setup = *setup;
	producer->topic = mr_strdup(setup->topic);
	snprintf(producer->timeout, sizeof(producer->timeout), "%lld", (long long) setup->publish_ms);
	pthread_rwlock_init(&producer->handle_lock, NULL);
	pthread_mutex_init(&producer->trouble_lock, NULL);
	producer->handle = new_handle(producer, error, error_size);
	atomic_store(&producer->is_open, true); /* until a broker has answered */
	if (producer->handle != NULL)
	{
		snprintf(error, error_size, "no thread could be started");
		producer->started = pthread_create(&producer->thread, NULL, run, producer) == 0;
	}
	producer->ends = producer->started ? mr_ends_new(producer) : NULL;
	if (producer->ends != NULL)
		return producer;
	mr_producer_free(producer, 0);
	return NULL;
}

void
mr_producer_state(MrProducer *producer, MrProducerState *state)
{
	*state = (MrProducerState){.is_open = atomic_load(&producer->is_open),
							   .published = atomic_load(&producer->published),
							   .failed = atomic_load(&producer->failed)};
	pthread_rwlock_rdlock(&producer->handle_lock);
	state->queued = rd_kafka_outq_len(producer->handle);
	pthread_rwlock_unlock(&producer->handle_lock);
	pthread_mutex_lock(&producer->trouble_lock);
	snprintf(state->trouble, sizeof(state->trouble), "%s", producer->trouble.text);
	pthread_mutex_unlock(&producer->trouble_lock);
}

void
mr_producer_free(MrProducer *producer, int flush_ms)
{
	if (producer == NULL)
		return;
	mr_ends_free(producer->ends);
	if (producer->handle != NULL)
	{
		/* a handle that fails meanwhile is replaced afterwards */
		pthread_rwlock_rdlock(&producer->handle_lock);
		rd_kafka_flush(producer->handle, flush_ms);
		pthread_rwlock_unlock(&producer->handle_lock);
	}
	atomic_store(&producer->stops, true);
	if (producer->started)
		pthread_join(producer->thread, NULL);
	if (producer->handle != NULL)
	{
		rd_kafka_purge(producer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(producer->handle, 100); /* the reports of what was purged */
		rd_kafka_destroy(producer->handle);
	}
	pthread_rwlock_destroy(&producer->handle_lock);
	pthread_mutex_destroy(&producer->trouble_lock);
	free(producer->topic);
	free(producer);
}

MrEnds *
mr_producer_ends(const MrProducer *producer)
{
	return producer->ends;
}

MrDelivery *
mr_outbox_publish(MrOutbox *outbox, const char *key, const void *payload, size_t len,
				  const MrTrace *trace, MrPublishEnd end, void *owner, MrPublishFailure *failure)
{
	rd_kafka_headers_t *headers;
	MrProducer *producer = mr_outbox_producer(outbox);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	size_t key_len = key != NULL ? strlen(key) : 0;
	MrDelivery *delivery;

	if (atomic_load(&producer->is_open))
	{
		*failure = MR_PUBLISH_DOWN;
		return NULL;
	}
	delivery = mr_delivery_new(outbox, end, owner);
	headers = headers_of(trace);
	pthread_rwlock_rdlock(&producer->handle_lock);
	code = rd_kafka_producev(producer->handle, RD_KAFKA_V_TOPIC(producer->topic),
							 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_len),
							 RD_KAFKA_V_VALUE((void *) payload, len), RD_KAFKA_V_HEADERS(headers),
							 RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END);
	pthread_rwlock_unlock(&producer->handle_lock);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return delivery;
	*failure = failure_of(code, RD_KAFKA_MSG_STATUS_NOT_PERSISTED);
	rd_kafka_headers_destroy(headers); /* they are librdkafka's only when it took the message */
	mr_delivery_cancel(delivery);
	return NULL;
}

/*
 * A partition that Kafka does not have has no events. Of librdkafka's two ways to ask this one keeps to its timeout also when
 * a broker is silent. When it has nobody to ask it says __UNKNOWN_PARTITION whatever the reason, which is the item's.
 */
MrEndAnswer
mr_producer_end_of(MrProducer *producer, const char *topic, int32_t partition, int64_t *end)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_topic_partition_t *item;
	rd_kafka_resp_err_t code;
	int64_t began_ms = mr_now_ms();
	bool is_missing;

	if (atomic_load(&producer->is_open))
		return MR_END_UNKNOWN;
	list = rd_kafka_topic_partition_list_new(1);
	item = rd_kafka_topic_partition_list_add(list, topic, partition);
	item->offset = RD_KAFKA_OFFSET_END; /* instead of a time */
	pthread_rwlock_rdlock(&producer->handle_lock);
	code = rd_kafka_offsets_for_times(producer->handle, list, END_MS);
	if (item->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		(code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION))
		code = item->err;
	is_missing = (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
				  code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) &&
				 is_not_there(producer->handle, topic, partition);
	pthread_rwlock_unlock(&producer->handle_lock);
	*end = item->offset;
	rd_kafka_topic_partition_list_destroy(list);
	if (is_missing)
		*end = 0;
	else if (code != RD_KAFKA_RESP_ERR_NO_ERROR || *end < 0)
	{
		mr_log(MR_LOG_DEBUG, "Kafka does not say where a partition ends", MR_STR("topic", topic),
			   MR_INT("partition", partition), MR_STR("error", rd_kafka_err2str(code)));
		return mr_now_ms() - began_ms >= END_MS ? MR_END_SILENT : MR_END_UNKNOWN;
	}
	return MR_END_KNOWN;
}

int
mr_producer_leaders_of(MrProducer *producer, const char *topic, int32_t **leaders)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t code;
	int count = 0;

	*leaders = NULL;
	if (atomic_load(&producer->is_open))
		return 0;
	pthread_rwlock_rdlock(&producer->handle_lock);
	code = ask_topic(producer->handle, topic, &metadata);
	pthread_rwlock_unlock(&producer->handle_lock);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		const struct rd_kafka_metadata_topic *found = &metadata->topics[0];

		count = found->partition_cnt;
		*leaders = mr_calloc((size_t) count + 1, sizeof(**leaders));
		for (int i = 0; i < count; i++)
			if (found->partitions[i].id >= 0 && found->partitions[i].id < count)
				(*leaders)[found->partitions[i].id] = found->partitions[i].leader;
	}
	if (metadata != NULL)
		rd_kafka_metadata_destroy(metadata);
	if (count > 0)
		return count;
	free(*leaders);
	return 0;
}

static rd_kafka_t *
new_handle(MrProducer *producer, char *error, size_t error_size)
{
	/* a topic that does not exist is noticed in a second, not in thirty */
	const MrKafkaProperty defaults[] = {{"bootstrap.servers", producer->setup.brokers},
										{"client.id", "millrace-api"},
										{"linger.ms", "2"},
										{"compression.type", "lz4"},
										{"queue.buffering.max.messages", "200000"},
										{"queue.buffering.max.kbytes", "65536"},
										{"topic.metadata.propagation.max.ms", "1000"},
										{"reconnect.backoff.ms", "100"},
										{"reconnect.backoff.max.ms", "1000"},
										{NULL, NULL}};
	/* a partition ends behind its last message, also when that is not to be read yet: a transaction is open */
	const MrKafkaProperty forced[] = {{"enable.idempotence", "true"},
									  {"acks", "all"},
									  {"isolation.level", "read_uncommitted"},
									  {"message.timeout.ms", producer->timeout},
									  {NULL, NULL}};
	rd_kafka_conf_t *conf =
		mr_kafka_conf_new(defaults, producer->setup.properties, forced, error, error_size);
	rd_kafka_t *handle;

	if (conf == NULL)
		return NULL;
	rd_kafka_conf_set_opaque(conf, producer);
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, error_size);
	if (handle == NULL)
		rd_kafka_conf_destroy(conf);
	return handle;
}

static void *
run(void *arg)
{
	MrProducer *producer = arg;

	while (!atomic_load(&producer->stops))
	{
		rd_kafka_poll(producer->handle, atomic_load(&producer->is_open) ? 0 : POLL_MS);
		if (rd_kafka_fatal_error(producer->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
			replace_failed(producer);
		else if (atomic_load(&producer->is_open))
			probe(producer);
	}
	return NULL;
}

/* Asks for the topic: that is what the next message needs. A broker that refuses the connection answers at once. */
static void
probe(MrProducer *producer)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t code = ask_topic(producer->handle, producer->topic, &metadata);
	char why[300];

	if (metadata != NULL)
		rd_kafka_metadata_destroy(metadata);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		snprintf(why, sizeof(why), "topic %s: %s", producer->topic, rd_kafka_err2str(code));
		open_breaker(producer, why);
		usleep(POLL_MS * 1000);
		return;
	}
	pthread_mutex_lock(&producer->trouble_lock);
	mr_trouble_clear(&producer->trouble);
	pthread_mutex_unlock(&producer->trouble_lock);
	atomic_store(&producer->is_open, false);
	mr_log(MR_LOG_INFO, "publishing", MR_STR("topic", producer->topic));
}

/* *metadata: of this topic alone, or NULL; the caller's. */
static rd_kafka_resp_err_t
ask_topic(rd_kafka_t *handle, const char *name, const struct rd_kafka_metadata **metadata)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, name, NULL);
	rd_kafka_resp_err_t code;

	*metadata = NULL;
	if (topic == NULL)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	code = rd_kafka_metadata(handle, 0, topic, metadata, PROBE_MS);
	rd_kafka_topic_destroy(topic);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = (*metadata)->topic_cnt == 1 ? (*metadata)->topics[0].err
										   : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	return code;
}

/* A broker has the topic, without this partition, now: what librdkafka remembers may be older than the partition. */
static bool
is_not_there(rd_kafka_t *handle, const char *name, int32_t partition)
{
	const struct rd_kafka_metadata *metadata;
	bool answer = ask_topic(handle, name, &metadata) == RD_KAFKA_RESP_ERR_NO_ERROR;

	for (int i = 0; answer && i < metadata->topics[0].partition_cnt; i++)
		answer = metadata->topics[0].partitions[i].id != partition;
	if (metadata != NULL)
		rd_kafka_metadata_destroy(metadata);
	return answer;
}

/* A fatal error of the idempotent producer is for good: its messages are reported as failed, and another takes over. */
static void
replace_failed(MrProducer *producer)
{
	char error[256] = "";
	rd_kafka_t *fresh;
	rd_kafka_t *old = producer->handle;

	rd_kafka_fatal_error(old, error, sizeof(error));
	open_breaker(producer, error);
	do
	{
		rd_kafka_purge(old, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(old, 1000);
	} while (rd_kafka_outq_len(old) > 0 && /* those would be dropped with it, without a report */
			 !atomic_load(&producer->stops));
	if (atomic_load(&producer->stops))
		return;
	fresh = new_handle(producer, error, sizeof(error));
	if (fresh == NULL)
	{
		usleep(POLL_MS * 1000);
		return;
	}
	pthread_rwlock_wrlock(&producer->handle_lock);
	producer->handle = fresh;
	pthread_rwlock_unlock(&producer->handle_lock);
	rd_kafka_destroy(old);
}

static void
on_report(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
	MrProducer *producer = opaque;
	MrDelivery *delivery = message->_private;
	MrPublishFailure failure = failure_of(message->err, rd_kafka_message_status(message));

	(void) handle;
	atomic_fetch_add(failure == MR_PUBLISH_OK ? &producer->published : &producer->failed, 1);
	mr_delivery_report(delivery, failure, message->partition, message->offset,
					   rd_kafka_err2str(message->err));
}

/* That a producer does not have an isolation level is not true of where partitions end. */
static void
on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
	if (strcmp(facility, "CONFWARN") != 0 || strstr(text, "isolation.level") == NULL)
		mr_kafka_log(handle, level, facility, text);
}

static void
on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
	(void) handle;
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
		open_breaker(opaque, reason);
}

static void
open_breaker(MrProducer *producer, const char *why)
{
	MrLogLevel level;

	atomic_store(&producer->is_open, true);
	pthread_mutex_lock(&producer->trouble_lock);
	level = mr_trouble_set(&producer->trouble, why);
	pthread_mutex_unlock(&producer->trouble_lock);
	mr_log(level, "cannot publish to Kafka", MR_STR("error", why));
}

static rd_kafka_headers_t *
headers_of(const MrTrace *trace)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

	rd_kafka_header_add(headers, "content-type", -1, "application/cloudevents+json", -1);
	rd_kafka_header_add(headers, "traceparent", -1, trace->parent, -1);
	if (trace->state != NULL)
		rd_kafka_header_add(headers, "tracestate", -1, trace->state, -1);
	return headers;
}

static MrPublishFailure
failure_of(rd_kafka_resp_err_t code, rd_kafka_msg_status_t status)
{
	switch (code)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			return MR_PUBLISH_OK;
		case RD_KAFKA_RESP_ERR__QUEUE_FULL:
			return MR_PUBLISH_BUSY;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			return MR_PUBLISH_LARGE;
		default:
			break;
	}
	if (status == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED)
		return MR_PUBLISH_UNKNOWN;
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
		code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE)
		return MR_PUBLISH_DOWN;
	return MR_PUBLISH_FAILED;
}
