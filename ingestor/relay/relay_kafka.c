/* A relay's producer, and what it shares with the reader (relay_scan.c) and the topic (relay_topic.c). */
#include "ingestor/relay/relay_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/kafka_conf.h"
#include "common/log.h"
#include "ingestor/relay/relay_kafka_private.h"
#include "ingestor/relay/relay_topic.h"

#define SLICE_MS   250   /* how soon a stop is noticed */
#define PUBLISH_MS 30000 /* for a batch, and for each step of its transaction */
#define INIT_MS    15000
#define ABORT_MS   500 /* on the way out: who comes next would do it as well */
#define AGAIN_MS   100
/* What the reader asks a broker for at a time; compressed, at worst. */
#define READER_FETCH_BYTES     "4000000"
#define READER_PARTITION_BYTES "1000000"

static rd_kafka_t *make_client(const MrRelayTarget *target, rd_kafka_type_t type, void *opaque,
							   char *error);
static bool override(rd_kafka_conf_t *conf, const MrKafkaProperty *forced, char *error);
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque);
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
static bool repeat(MrRelayKafka *kafka, rd_kafka_error_t *(*step)(rd_kafka_t *, int), int budget_ms,
				   const char *what, char *error);
static bool produce(MrRelayKafka *kafka, const MrLetter *letter, MrLetterForm form, MrPlace *place,
					char *error);
static bool wait_delivered(MrRelayKafka *kafka, char *error);
static bool is_behind_what_was_read(const MrRelayKafka *kafka, const int64_t *positions,
									const MrPlace *places, int count, char *error);
static bool fence_former(const MrRelayTarget *target, char *error);
static bool fence(const MrRelayTarget *target, const char *id, char *error);
static void remember(MrRelayKafka *kafka, const MrPlace *places, int count);

bool
mr_relay_kafka_check(const MrStrings *properties, char *error, size_t error_size)
{
	char reason[MR_RELAY_ERROR] = "";
	const MrRelayTarget target = {.brokers = "",
								  .properties = properties,
								  .topic = "",
								  .transactional_id = "check",
								  .former_ids = "",
								  .source_topic = ""};
	MrRelayKafka kafka = {.target = target};
	rd_kafka_t *rk = make_client(&target, RD_KAFKA_PRODUCER, &kafka, reason);

	if (rk != NULL)
		rd_kafka_destroy(rk);
	else
		snprintf(error, error_size, "%s", reason);
	return rk != NULL;
}

MrRelayKafka *
mr_relay_kafka_open(const MrRelayTarget *target, char *error)
{
	MrRelayKafka *kafka = mr_calloc(1, sizeof(*kafka));

	kafka->target = *target;
	kafka->reader = make_client(target, RD_KAFKA_CONSUMER, kafka, error);
	if (kafka->reader != NULL)
		kafka->producer = make_client(target, RD_KAFKA_PRODUCER, kafka, error);
	if (kafka->producer == NULL || !mr_relay_topic_prepare(kafka, error) ||
		(target->transactional_id != NULL &&
		 !(repeat(kafka, rd_kafka_init_transactions, INIT_MS, NULL, error) &&
		   fence_former(target, error))))
	{
		mr_relay_kafka_close(kafka);
		return NULL;
	}
	kafka->published = mr_calloc((size_t) kafka->partitions, sizeof(int64_t));
	kafka->topic = rd_kafka_topic_new(kafka->reader, target->topic, NULL);
	return kafka;
}

void
mr_relay_kafka_close(MrRelayKafka *kafka)
{
	if (kafka == NULL)
		return;
	kafka->forgotten = true;
	if (kafka->in_transaction && rd_kafka_fatal_error(kafka->producer, NULL, 0) == 0)
	{
		/* An open transaction would hold up the topic's readers until it times out. */
		rd_kafka_error_t *failure = rd_kafka_abort_transaction(kafka->producer, ABORT_MS);

		if (failure != NULL)
			rd_kafka_error_destroy(failure);
	}
	if (kafka->topic != NULL)
		rd_kafka_topic_destroy(kafka->topic);
	if (kafka->producer != NULL)
	{
		rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
											RD_KAFKA_PURGE_F_NON_BLOCKING);
		rd_kafka_destroy(kafka->producer);
	}
	if (kafka->reader != NULL)
		rd_kafka_destroy(kafka->reader);
	free(kafka->published);
	free(kafka);
}

int
mr_relay_kafka_partitions(const MrRelayKafka *kafka)
{
	return kafka->partitions;
}

bool
mr_relay_kafka_publish(MrRelayKafka *kafka, const MrLetters *letters, MrLetterForm form,
					   const int64_t *positions, MrPlace *places, bool *too_large, char *error)
{
	bool transactional = kafka->target.transactional_id != NULL;
	bool ok = true;

	kafka->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < letters->count; i++)
		places[i] = (MrPlace){letters->items[i].partition % kafka->partitions, -1};
	if (transactional)
	{
		rd_kafka_error_t *failure = rd_kafka_begin_transaction(kafka->producer);

		if (failure != NULL)
		{
			snprintf(error, MR_RELAY_ERROR, "could not begin: %s", rd_kafka_error_string(failure));
			rd_kafka_error_destroy(failure);
			return false;
		}
		kafka->in_transaction = true;
	}
	for (int i = 0; ok && i < letters->count; i++)
		ok = produce(kafka, &letters->items[i], form, &places[i], error);
	ok = ok && wait_delivered(kafka, error);
	*too_large = kafka->failure == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
	if (ok && transactional)
	{
		ok = is_behind_what_was_read(kafka, positions, places, letters->count, error) &&
			 repeat(kafka, rd_kafka_commit_transaction, PUBLISH_MS, "could not commit", error);
		kafka->in_transaction = !ok;
	}
	if (ok)
		remember(kafka, places, letters->count);
	return ok;
}

/* A relay that has been frozen since the pipeline was called otherwise in Kafka could publish what is published now. */
static bool
fence_former(const MrRelayTarget *target, char *error)
{
	char *ids = mr_strdup(target->former_ids);
	char *next = ids;
	bool ok = true;

	for (char *id; ok && (id = strsep(&next, ",")) != NULL;)
		ok = *id == '\0' || fence(target, id, error);
	free(ids);
	return ok;
}

/* An id that we may not use is one that no relay with our rights can use. */
static bool
fence(const MrRelayTarget *target, const char *id, char *error)
{
	MrRelayKafka former = {.target = *target};
	bool ok;

	former.target.transactional_id = id;
	former.producer = make_client(&former.target, RD_KAFKA_PRODUCER, &former, error);
	if (former.producer == NULL)
		return false;
	ok = repeat(&former, rd_kafka_init_transactions, INIT_MS, NULL, error) ||
		 former.refused == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	rd_kafka_destroy(former.producer);
	return ok;
}

/*
 * Fetches are small, as a response is decompressed as a whole; a message that is larger still comes, alone.
 * librdkafka raises fetch.max.bytes to message.max.bytes, which is the producer's.
 */
static const MrKafkaProperty reader[] = {
	{"isolation.level", "read_committed"},
	{"enable.partition.eof", "true"},
	{"auto.offset.reset", "error"},
	{"enable.auto.commit", "false"},
	{"allow.auto.create.topics", "false"},
	{"message.max.bytes", "1000000"},
	{"fetch.max.bytes", READER_FETCH_BYTES},
	{"fetch.message.max.bytes", READER_PARTITION_BYTES},
	{"receive.message.max.bytes", "1000001024"},
	{NULL, NULL},
};

static rd_kafka_t *
make_client(const MrRelayTarget *target, rd_kafka_type_t type, void *opaque, char *error)
{
	bool transactional = target->transactional_id != NULL;
	const MrKafkaProperty defaults[] = {
		{"bootstrap.servers", *target->brokers ? target->brokers : NULL},
		{"client.id", "millrace-relay"},
		{"socket.keepalive.enable", "true"},
		{"log.connection.close", "false"},
		{"reconnect.backoff.max.ms", "2000"},
		{"topic.metadata.refresh.interval.ms", "30000"},
		/* the topic decides what is too large, not the client */
		{"message.max.bytes", "1000000000"},
		{"linger.ms", "5"},
		{"message.timeout.ms", transactional ? NULL : "20000"},
		{"transaction.timeout.ms", transactional ? "30000" : NULL},
		{"queued.max.messages.kbytes", "8192"},
		{"queued.min.messages", "1000000"},
		{"fetch.wait.max.ms", "100"},
		{"fetch.error.backoff.ms", "100"},
		{"fetch.queue.backoff.ms", rd_kafka_version() >= 0x02020000 ? "5" : NULL},
		{NULL, NULL},
	};
	const MrKafkaProperty none[] = {{NULL, NULL}};
	const MrKafkaProperty producer[] = {
		{"transactional.id", target->transactional_id},
		{"enable.idempotence", transactional ? "true" : NULL},
		{"acks", "all"},
		/* Only says what the end of a partition is to the producer's handle: see relay_scan.c. */
		{"isolation.level", "read_uncommitted"},
		{NULL, NULL},
	};
	rd_kafka_conf_t *conf =
		mr_kafka_conf_new(defaults, target->properties, none, error, MR_RELAY_ERROR);
	rd_kafka_t *rk = NULL;

	if (conf != NULL && override(conf, type == RD_KAFKA_PRODUCER ? producer : reader, error))
	{
		rd_kafka_conf_set_opaque(conf, opaque);
		rd_kafka_conf_set_log_cb(conf, on_log);
		rd_kafka_conf_set_error_cb(conf, on_error);
		if (type == RD_KAFKA_PRODUCER)
			rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
		rk = rd_kafka_new(type, conf, error, MR_RELAY_ERROR);
	}
	if (conf != NULL && rk == NULL)
		rd_kafka_conf_destroy(conf);
	return rk;
}

/* The user's list is made for the consumers: what it says of these does not concern the relay. */
static bool
override(rd_kafka_conf_t *conf, const MrKafkaProperty *forced, char *error)
{
	for (; forced->name != NULL; forced++)
		if (forced->value != NULL && rd_kafka_conf_set(conf, forced->name, forced->value, error,
													   MR_RELAY_ERROR) != RD_KAFKA_CONF_OK)
			return false;
	return true;
}

/* One list of properties for producer and reader: librdkafka warns about those that one of the two does not have. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	/* The relay reports what fails, once. */
	(void) level;
	mr_log(MR_LOG_DEBUG, "kafka client", MR_STR("client", rk ? rd_kafka_name(rk) : ""),
		   MR_STR("facility", facility), MR_STR("text", text));
}

/* Kept for calls that time out without a reason of their own. */
static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	MrRelayKafka *kafka = opaque;

	(void) rk;
	(void) code;
	snprintf(kafka->last_error, sizeof(kafka->last_error), "%s", reason);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	MrRelayKafka *kafka = opaque;
	MrPlace *place = message->_private;

	(void) rk;
	if (kafka->forgotten)
		return;
	kafka->under_way--;
	if (!message->err)
		*place = (MrPlace){message->partition, message->offset};
	else if (!kafka->failure || message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		kafka->failure = message->err;
}

/* A step that timed out, or may be repeated for another reason, is resumed by calling it again. */
static bool
repeat(MrRelayKafka *kafka, rd_kafka_error_t *(*step)(rd_kafka_t *, int), int budget_ms,
	   const char *what, char *error)
{
	int64_t end = mr_now_ms() + budget_ms;

	for (;;)
	{
		rd_kafka_error_t *failure = step(kafka->producer, SLICE_MS);
		rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
		bool again;

		if (failure == NULL)
			return true;
		kafka->refused = code;
		rd_kafka_poll(kafka->producer, 0);
		again = rd_kafka_error_is_retriable(failure) && mr_now_ms() < end &&
				!atomic_load(kafka->target.stop);
		if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
			snprintf(error, MR_RELAY_ERROR, "no answer from Kafka%s%s",
					 *kafka->last_error ? ": " : "", kafka->last_error);
		else if (what != NULL || rd_kafka_error_is_retriable(failure))
			snprintf(error, MR_RELAY_ERROR, "%s: %s", what ? what : "Kafka is not ready",
					 rd_kafka_error_string(failure));
		else
			snprintf(error, MR_RELAY_ERROR, "could not begin transactions: %s",
					 rd_kafka_error_string(failure));
		rd_kafka_error_destroy(failure);
		if (!again)
			return false;
		if (code != RD_KAFKA_RESP_ERR__TIMED_OUT)
			rd_kafka_poll(kafka->producer, AGAIN_MS);
	}
}

static bool
produce(MrRelayKafka *kafka, const MrLetter *letter, MrLetterForm form, MrPlace *place, char *error)
{
	rd_kafka_headers_t *headers = mr_letter_headers(letter, form);
	bool payload = form == MR_LETTER_WHOLE && letter->payload != NULL;
	bool key = form != MR_LETTER_BARE && letter->key != NULL;
	rd_kafka_resp_err_t err;

	/* No timestamp: the topic keeps letters by when they died, not by how old the event is. */
	err = rd_kafka_producev(kafka->producer, RD_KAFKA_V_TOPIC(kafka->target.topic),
							RD_KAFKA_V_PARTITION(place->partition),
							RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
							RD_KAFKA_V_KEY(key ? letter->key : NULL, key ? letter->key_len : 0),
							RD_KAFKA_V_VALUE(payload ? (void *) (uintptr_t) letter->payload : NULL,
											 payload ? letter->payload_len : 0),
							RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(place), RD_KAFKA_V_END);
	if (!err)
	{
		kafka->under_way++;
		rd_kafka_poll(kafka->producer, 0);
		return true;
	}
	rd_kafka_headers_destroy(headers);
	kafka->failure = err;
	snprintf(error, MR_RELAY_ERROR, "could not publish letter %s: %s", letter->id,
			 rd_kafka_err2str(err));
	return false;
}

static bool
wait_delivered(MrRelayKafka *kafka, char *error)
{
	int64_t end = mr_now_ms() + PUBLISH_MS;

	while (kafka->under_way > 0 && mr_now_ms() < end && !atomic_load(kafka->target.stop) &&
		   rd_kafka_fatal_error(kafka->producer, NULL, 0) == 0)
		rd_kafka_flush(kafka->producer, SLICE_MS);
	if (kafka->under_way == 0 && !kafka->failure)
		return true;
	if (rd_kafka_fatal_error(kafka->producer, error, MR_RELAY_ERROR) != 0)
		return false;
	if (kafka->failure && kafka->failure != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
		snprintf(error, MR_RELAY_ERROR, "could not publish to topic \"%s\": %s",
				 kafka->target.topic, rd_kafka_err2str(kafka->failure));
	else
		snprintf(error, MR_RELAY_ERROR, "no answer from Kafka%s%s", *kafka->last_error ? ": " : "",
				 kafka->last_error);
	return false;
}

/*
 * Before the commit: a letter at an offset that was read already is in another topic of that name,
 * and would never be seen and marked. Nothing of this transaction is visible then, and the new topic is read
 * from its beginning or from where we were: nothing of ours is in it.
 */
static bool
is_behind_what_was_read(const MrRelayKafka *kafka, const int64_t *positions, const MrPlace *places,
						int count, char *error)
{
	for (int i = 0; i < count; i++)
		if (places[i].offset < positions[places[i].partition])
		{
			snprintf(error, MR_RELAY_ERROR, "topic \"%s\" was deleted and created again",
					 kafka->target.topic);
			return false;
		}
	return true;
}

static void
remember(MrRelayKafka *kafka, const MrPlace *places, int count)
{
	for (int i = 0; i < count; i++)
		if (places[i].offset >= kafka->published[places[i].partition])
			kafka->published[places[i].partition] = places[i].offset + 1;
}
