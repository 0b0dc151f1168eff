/* The consumers' properties. */
#include "ingestor/fetch/consumer_conf.h"

#include <stdio.h>
#include <sys/prctl.h>

#include "common/kafka_conf.h"
#include "ingestor/fetch/late_wake.h"

/*
 * How late the kernel may wake a thread of librdkafka from a timeout: one interrupt serves many of them. What the main thread
 * waits for by time are heartbeats and looks of half a second and more; what comes from outside wakes any thread at once. See
 * also late_wake.h.
 */
#define MAIN_SLACK_NS   50000000UL
#define BROKER_SLACK_NS 5000000UL
#define QUEUE_PART      8 /* of the budget: the payloads in librdkafka's own queue */

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
								  char *error, size_t error_size);
static rd_kafka_resp_err_t on_thread_start(rd_kafka_t *rk, rd_kafka_thread_type_t type,
										   const char *name, void *opaque);

/*
 * A broker counts compressed bytes, and a response is decompressed as a whole: so it is small (budget.h). librdkafka wants
 * fetch.max.bytes to be message.max.bytes at least, which means nothing else to a consumer (but the first guess at the size of an
 * LZ4 batch).
 *
 * The consumer takes messages as they come (inbox.h); the local queue has a limit for a main thread that is busy elsewhere.
 * When it is reached, librdkafka before 2.2 sleeps for up to a second, unless fetching is stopped and started, as the
 * consumer does then; later versions have a property for that pause. fetch.wait.max.ms is short because other requests wait
 * behind a long poll on the same connection.
 */
rd_kafka_conf_t *
mr_consumer_conf_new(const char *group_id, const MrSettings *settings, int64_t response_bytes,
					 char *error, size_t error_size)
{
	char kbytes[24];
	char fetch_bytes[24];
	const MrStrings *user = &settings->properties;
	const bool own_fetch_bytes = !mr_kafka_conf_has(user, "fetch.max.bytes") &&
								 !mr_kafka_conf_has(user, "message.max.bytes");
	const bool has_queue_backoff = rd_kafka_version() >= 0x02020000;
	const bool has_protocol = rd_kafka_version() >= 0x02040000;
	const MrKafkaProperty defaults[] = {
		{"bootstrap.servers", settings->brokers[0] ? settings->brokers : NULL},
		{"client.id", "millrace-ingestor"},
		{"session.timeout.ms", "10000"},
		/* a member learns at its next heartbeat that another one left: takeover within 2 s */
		{"heartbeat.interval.ms", "1000"},
		{"isolation.level", "read_committed"},
		{"check.crcs", "true"},
		{"topic.metadata.refresh.interval.ms", "10000"},
		{"fetch.wait.max.ms", "500"},
		{"fetch.error.backoff.ms", "100"},
		{"reconnect.backoff.max.ms", "2000"},
		{"socket.keepalive.enable", "true"},
		{"log.connection.close", "false"},
		{"queued.min.messages", "1000000"},
		{"queued.max.messages.kbytes", kbytes},
		{"fetch.max.bytes", own_fetch_bytes ? fetch_bytes : NULL},
		{"message.max.bytes", own_fetch_bytes ? fetch_bytes : NULL},
		{"fetch.message.max.bytes", fetch_bytes},
		{"fetch.queue.backoff.ms", has_queue_backoff ? "5" : NULL},
		{NULL, NULL},
	};
	const MrKafkaProperty forced[] = {
		{"group.id", group_id},
		{"enable.auto.commit", "false"},
		{"enable.auto.offset.store", "false"},
		{"auto.offset.reset", "error"},
		{"enable.partition.eof", "true"},
		{"partition.assignment.strategy", "cooperative-sticky"},
		/* The other one, of KIP-848, assigns in the broker and refuses the timeouts above. */
		{"group.protocol", has_protocol ? "classic" : NULL},
		{NULL, NULL},
	};

	snprintf(kbytes, sizeof(kbytes), "%lld",
			 (long long) mr_consumer_conf_queue_bytes(settings) / 1024);
	snprintf(fetch_bytes, sizeof(fetch_bytes), "%lld", (long long) response_bytes);
	return mr_kafka_conf_new(defaults, user, forced, error, error_size);
}

int64_t
mr_consumer_conf_queue_bytes(const MrSettings *settings)
{
	return settings->fetch_buffer_bytes / QUEUE_PART;
}

bool
mr_consumer_conf_check(const MrSettings *settings, char *error, size_t error_size)
{
	rd_kafka_conf_t *conf = mr_consumer_conf_new(NULL, settings, 1000000, error, error_size);

	if (conf != NULL)
		rd_kafka_conf_destroy(conf);
	return conf != NULL;
}

rd_kafka_t *
mr_consumer_open(const char *group_id, const MrSettings *settings, int64_t response_bytes,
				 const MrConsumerCallbacks *callbacks, void *opaque, char *error, size_t error_size)
{
	rd_kafka_conf_t *conf =
		mr_consumer_conf_new(group_id, settings, response_bytes, error, error_size);
	rd_kafka_t *rk;

	if (conf == NULL)
		return NULL;
	rd_kafka_conf_set_opaque(conf, opaque);
	rd_kafka_conf_set_rebalance_cb(conf, callbacks->rebalance);
	rd_kafka_conf_set_error_cb(conf, callbacks->error);
	rd_kafka_conf_interceptor_add_on_new(conf, "millrace", on_new, NULL);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_size);
	if (rk == NULL)
		rd_kafka_conf_destroy(conf);
	return rk;
}

bool
mr_consumer_subscribe(rd_kafka_t *rk, const MrTopics *topics, char *error, size_t error_size)
{
	rd_kafka_topic_partition_list_t *names = rd_kafka_topic_partition_list_new(topics->count);
	rd_kafka_resp_err_t err;

	rd_kafka_poll_set_consumer(rk);
	for (int i = 0; i < topics->count; i++)
		if (topics->items[i].subscribed)
			rd_kafka_topic_partition_list_add(names, topics->items[i].name, RD_KAFKA_PARTITION_UA);
	err = names->cnt > 0 ? rd_kafka_subscribe(rk, names) : rd_kafka_unsubscribe(rk);
	rd_kafka_topic_partition_list_destroy(names);
	if (err)
		snprintf(error, error_size, "could not subscribe: %s", rd_kafka_err2str(err));
	return !err;
}

static rd_kafka_resp_err_t
on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *error, size_t error_size)
{
	(void) conf;
	(void) opaque;
	(void) error;
	(void) error_size;
	return rd_kafka_interceptor_add_on_thread_start(rk, "millrace", on_thread_start, NULL);
}

/* In the thread that begins. */
static rd_kafka_resp_err_t
on_thread_start(rd_kafka_t *rk, rd_kafka_thread_type_t type, const char *name, void *opaque)
{
	(void) rk;
	(void) name;
	(void) opaque;
	prctl(PR_SET_TIMERSLACK, type == RD_KAFKA_THREAD_MAIN ? MAIN_SLACK_NS : BROKER_SLACK_NS);
	if (type == RD_KAFKA_THREAD_MAIN && rd_kafka_version() < 0x02040000)
		mr_late_wake_begin();
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}
