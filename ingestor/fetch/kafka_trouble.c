/* Which error is shown, and what refutes it. */
#include "ingestor/fetch/kafka_trouble.h"

#include <stdio.h>
#include <string.h>

static MrKafkaTroubleKind kind_of(rd_kafka_resp_err_t err, int32_t partition);
static bool is_of_connection(rd_kafka_resp_err_t err);
static MrLogLevel set(MrKafkaError *error, rd_kafka_resp_err_t err, const char *text);
static MrLogLevel set_broker(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err, const char *text);
static bool is_set(const MrKafkaTrouble *trouble, MrKafkaTroubleKind kind);
static void clear(MrKafkaTrouble *trouble, MrKafkaTroubleKind kind);

MrLogLevel
mr_kafka_trouble_note(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err, int32_t partition,
					  const char *text)
{
	MrKafkaTroubleKind kind = kind_of(err, partition);
	char cause[sizeof(trouble->cause.trouble.text)];
	char *tail;
	MrLogLevel level;

	trouble->news = true;
	/* "(after 0ms in state CONNECT, 3 identical error(s) suppressed)" differs each time */
	snprintf(cause, sizeof(cause), "%s", text != NULL ? text : "");
	tail = strstr(cause, " (after ");
	if (tail != NULL)
		*tail = '\0';
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		return set_broker(trouble, err, cause);
	if (kind == MR_KAFKA_TROUBLE_PARTITION)
		trouble->partition = partition;
	if (kind != MR_KAFKA_TROUBLE_BROKER)
		return set(&trouble->kinds[kind], err, cause);
	level = set(&trouble->cause, err, cause);
	if (is_set(trouble, MR_KAFKA_TROUBLE_BROKER))
		(void) set_broker(trouble, err, cause);
	return level;
}

void
mr_kafka_trouble_asking(MrKafkaTrouble *trouble)
{
	trouble->news = false;
}

MrLogLevel
mr_kafka_trouble_unanswered(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err, const char *text)
{
	if (is_of_connection(err))
		return set_broker(trouble, err, text);
	return set(&trouble->kinds[MR_KAFKA_TROUBLE_TOPIC], err, text);
}

void
mr_kafka_trouble_answered(MrKafkaTrouble *trouble)
{
	if (trouble->news)
		return;
	mr_trouble_clear(&trouble->cause.trouble);
	clear(trouble, MR_KAFKA_TROUBLE_BROKER);
	clear(trouble, MR_KAFKA_TROUBLE_TOPIC);
}

void
mr_kafka_trouble_joined(MrKafkaTrouble *trouble)
{
	clear(trouble, MR_KAFKA_TROUBLE_GROUP);
}

void
mr_kafka_trouble_revoked(MrKafkaTrouble *trouble, int32_t partition)
{
	if (trouble->partition == partition)
		clear(trouble, MR_KAFKA_TROUBLE_PARTITION);
}

bool
mr_kafka_trouble_wants_answer(const MrKafkaTrouble *trouble)
{
	return mr_kafka_trouble_doubts_brokers(trouble) || is_set(trouble, MR_KAFKA_TROUBLE_TOPIC);
}

bool
mr_kafka_trouble_doubts_brokers(const MrKafkaTrouble *trouble)
{
	return mr_trouble_is_set(&trouble->cause.trouble) || is_set(trouble, MR_KAFKA_TROUBLE_BROKER);
}

const MrKafkaError *
mr_kafka_trouble_shown(const MrKafkaTrouble *trouble)
{
	for (int i = 0; i < MR_KAFKA_TROUBLE_KINDS; i++)
		if (is_set(trouble, (MrKafkaTroubleKind) i))
			return &trouble->kinds[i];
	return NULL;
}

static MrKafkaTroubleKind
kind_of(rd_kafka_resp_err_t err, int32_t partition)
{
	if (partition >= 0)
		return MR_KAFKA_TROUBLE_PARTITION;
	if (is_of_connection(err))
		return MR_KAFKA_TROUBLE_BROKER;
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
			return MR_KAFKA_TROUBLE_TOPIC;
		default:
			return MR_KAFKA_TROUBLE_GROUP;
	}
}

/* The client's own errors have negative numbers, those that a broker answers with positive ones. */
static bool
is_of_connection(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
		case RD_KAFKA_RESP_ERR__FATAL:
			return false;
		default:
			return err < 0;
	}
}

static MrLogLevel
set(MrKafkaError *error, rd_kafka_resp_err_t err, const char *text)
{
	error->err = err;
	return mr_trouble_set(&error->trouble, text);
}

/* Not "1/1 brokers are down" and not "timed out" where it is known why. */
static MrLogLevel
set_broker(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err, const char *text)
{
	MrKafkaError *broker = &trouble->kinds[MR_KAFKA_TROUBLE_BROKER];

	if (!mr_trouble_is_set(&trouble->cause.trouble))
		return set(broker, err, text);
	(void) set(broker, trouble->cause.err, trouble->cause.trouble.text);
	return MR_LOG_DEBUG; /* the cause was logged */
}

static bool
is_set(const MrKafkaTrouble *trouble, MrKafkaTroubleKind kind)
{
	return mr_trouble_is_set(&trouble->kinds[kind].trouble);
}

static void
clear(MrKafkaTrouble *trouble, MrKafkaTroubleKind kind)
{
	mr_trouble_clear(&trouble->kinds[kind].trouble);
}
