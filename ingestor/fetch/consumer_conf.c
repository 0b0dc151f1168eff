/* The consumers' properties. */
#include "ingestor/fetch/consumer_conf.h"

#include <stdio.h>

#include "common/kafka_conf.h"

/*
 * The local queue: librdkafka before 2.2 sleeps for a second when it is full by messages, so the
 * limit is in bytes only; later versions have a property for that pause. fetch.wait.max.ms is
 * short because other requests wait behind a long poll on the same connection.
 */
rd_kafka_conf_t *
mr_consumer_conf_new(const char *group_id, const MrSettings *settings, int64_t buffer_bytes,
					 char *error, size_t error_size)
{
	char kbytes[24];
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
		{"fetch.wait.max.ms", "100"},
		{"fetch.error.backoff.ms", "100"},
		{"reconnect.backoff.max.ms", "2000"},
		{"socket.keepalive.enable", "true"},
		{"log.connection.close", "false"},
		{"queued.min.messages", "1000000"},
		{"queued.max.messages.kbytes", kbytes},
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

	snprintf(kbytes, sizeof(kbytes), "%lld", (long long) (buffer_bytes / 1024));
	return mr_kafka_conf_new(defaults, &settings->properties, forced, error, error_size);
}

bool
mr_consumer_conf_check(const MrSettings *settings, char *error, size_t error_size)
{
	rd_kafka_conf_t *conf = mr_consumer_conf_new(NULL, settings, 1 << 20, error, error_size);

	if (conf != NULL)
		rd_kafka_conf_destroy(conf);
	return conf != NULL;
}

rd_kafka_t *
mr_consumer_open(const char *group_id, const MrSettings *settings, int64_t buffer_bytes,
				 const MrConsumerCallbacks *callbacks, void *opaque, char *error, size_t error_size)
{
	rd_kafka_conf_t *conf =
		mr_consumer_conf_new(group_id, settings, buffer_bytes, error, error_size);
	rd_kafka_t *rk;

	if (conf == NULL)
		return NULL;
	rd_kafka_conf_set_opaque(conf, opaque);
	rd_kafka_conf_set_rebalance_cb(conf, callbacks->rebalance);
	rd_kafka_conf_set_error_cb(conf, callbacks->error);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_size);
	if (rk == NULL)
		rd_kafka_conf_destroy(conf);
	return rk;
}

bool
mr_consumer_subscribe(rd_kafka_t *rk, const char *topic, char *error, size_t error_size)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t err;

	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (err)
		snprintf(error, error_size, "could not subscribe: %s", rd_kafka_err2str(err));
	return !err;
}
