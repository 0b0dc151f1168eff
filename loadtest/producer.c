/*
 * producer.c: see producer.h.
 */
#include "producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
	TRANSACTION_TIMEOUT_MS = 60000,
	NO_TIMEOUT = -1 /* message.timeout.ms ends what cannot be delivered */
};

struct Producer
{
	rd_kafka_t *kafka;
	rd_kafka_topic_t *topic;
	long delivered;
	long failed;
	long aborting; /* deliveries purged by an abort are not failures */
};

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void
check(rd_kafka_error_t *error, const char *what)
{
	if (error != NULL)
		fail(what, rd_kafka_error_string(error));
}

static void
on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
	Producer *producer = opaque;

	(void) kafka;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		producer->delivered++;
	else if (!producer->aborting && producer->failed++ == 0)
		fprintf(stderr, "delivery: %s\n", rd_kafka_err2str(message->err));
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		fail(name, error);
}

static rd_kafka_conf_t *
configure(const ProducerOptions *options)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char linger[16];

	snprintf(linger, sizeof(linger), "%d", options->linger_ms);
	set(conf, "bootstrap.servers", options->brokers);
	set(conf, "enable.idempotence", "true");
	set(conf, "partitioner", "murmur2_random");
	set(conf, "linger.ms", linger);
	set(conf, "batch.num.messages", "10000");
	set(conf, "batch.size", "900000");
	set(conf, "message.max.bytes", "8000000");
	set(conf, "queue.buffering.max.messages", "400000");
	set(conf, "retry.backoff.ms", "20");
	set(conf, "reconnect.backoff.ms", "20");
	set(conf, "reconnect.backoff.max.ms", "500");
	/* the longest wait there may be in a test is a broker that starts again */
	if (options->transactional_id != NULL)
		set(conf, "transactional.id", options->transactional_id);
	else
		set(conf, "message.timeout.ms", "120000");
	for (int i = 0; i < options->property_count; i++)
	{
		char name[128];
		const char *equals = strchr(options->properties[i], '=');

		if (equals == NULL || (size_t) (equals - options->properties[i]) >= sizeof(name))
			fail(options->properties[i], "expected name=value");
		memcpy(name, options->properties[i], equals - options->properties[i]);
		name[equals - options->properties[i]] = '\0';
		set(conf, name, equals + 1);
	}
	return conf;
}

Producer *
producer_open(const ProducerOptions *options)
{
	Producer *producer = calloc(1, sizeof(*producer));
	rd_kafka_conf_t *conf = configure(options);
	char error[256];

	if (producer == NULL)
		fail("producer", "out of memory");
	rd_kafka_conf_set_opaque(conf, producer);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	producer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (producer->kafka == NULL)
		fail("producer", error);
	producer->topic = rd_kafka_topic_new(producer->kafka, options->topic, NULL);
	if (producer->topic == NULL)
		fail(options->topic, rd_kafka_err2str(rd_kafka_last_error()));
	if (options->transactional_id != NULL)
		check(rd_kafka_init_transactions(producer->kafka, TRANSACTION_TIMEOUT_MS),
			  "init_transactions");
	return producer;
}

/* librdkafka's producev reads a null payload as a tombstone and copies everything */
static rd_kafka_resp_err_t
try_send(Producer *producer, int partition, const char *key, const void *payload, size_t length,
		 const ProducerHeader *headers, int header_count)
{
	rd_kafka_headers_t *list;
	rd_kafka_resp_err_t error;
	size_t key_length = key != NULL ? strlen(key) : 0;

	if (header_count == 0)
	{
		if (rd_kafka_produce(producer->topic, partition, RD_KAFKA_MSG_F_COPY, (void *) payload,
							 length, key, key_length, NULL) == 0)
			return RD_KAFKA_RESP_ERR_NO_ERROR;
		return rd_kafka_last_error();
	}
	list = rd_kafka_headers_new(header_count);
	for (int i = 0; i < header_count; i++)
		rd_kafka_header_add(list, headers[i].name, -1, headers[i].value,
							headers[i].value != NULL ? -1 : 0);
	error =
		rd_kafka_producev(producer->kafka, RD_KAFKA_V_RKT(producer->topic),
						  RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
						  RD_KAFKA_V_KEY(key, key_length),
						  RD_KAFKA_V_VALUE((void *) payload, length), RD_KAFKA_V_HEADERS(list),
						  RD_KAFKA_V_END);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(list); /* taken over on success only */
	return error;
}

void
producer_send(Producer *producer, int partition, const char *key, const void *payload,
			  size_t length, const ProducerHeader *headers, int header_count)
{
	rd_kafka_resp_err_t error;

	while ((error = try_send(producer, partition, key, payload, length, headers, header_count)) !=
		   RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			fail("produce", rd_kafka_err2str(error));
		rd_kafka_poll(producer->kafka, 50);
	}
}

void
producer_poll(Producer *producer)
{
	rd_kafka_poll(producer->kafka, 0);
}

void
producer_begin(Producer *producer)
{
	check(rd_kafka_begin_transaction(producer->kafka), "begin_transaction");
}

void
producer_end(Producer *producer, bool commit)
{
	if (commit)
		check(rd_kafka_commit_transaction(producer->kafka, TRANSACTION_TIMEOUT_MS), "commit");
	else
	{
		/* what is to be aborted has to be in the log first, or it would test nothing */
		producer->aborting = 1;
		rd_kafka_flush(producer->kafka, NO_TIMEOUT);
		check(rd_kafka_abort_transaction(producer->kafka, TRANSACTION_TIMEOUT_MS), "abort");
		producer->aborting = 0;
	}
}

long
producer_close(Producer *producer, long *delivered)
{
	long failed;

	rd_kafka_flush(producer->kafka, NO_TIMEOUT);
	failed = producer->failed;
	*delivered = producer->delivered;
	rd_kafka_topic_destroy(producer->topic);
	rd_kafka_destroy(producer->kafka);
	free(producer);
	return failed;
}
