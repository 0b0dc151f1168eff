#include "common/kafka_topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/kafka_conf.h"
#include "common/log.h"

#define CREATE_TIMEOUT_MS 15000

typedef struct TopicSpec
{
	char *name;
	int partitions;
	int replication;
	char retention_ms[24]; /* "" = the broker's default */
} TopicSpec;

static bool parse_spec(const char *text, TopicSpec *spec);
static bool create_topic(rd_kafka_t *rk, const TopicSpec *spec);
static bool creation_result(const rd_kafka_event_t *event, const char *name);

bool
mr_kafka_create_topics(const MrStrings *specs, const char *brokers, const MrStrings *user)
{
	const MrKafkaProperty defaults[] = {{"bootstrap.servers", *brokers ? brokers : NULL},
										{NULL, NULL}};
	const MrKafkaProperty none[] = {{NULL, NULL}};
	char error[512];
	rd_kafka_conf_t *conf = mr_kafka_conf_new(defaults, user, none, error, sizeof(error));
	rd_kafka_t *rk = conf ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error)) : NULL;
	bool ok = rk != NULL;

	if (rk == NULL)
		mr_log(MR_LOG_ERROR, "could not set up the Kafka client", MR_STR("error", error));
	for (int i = 0; rk != NULL && i < specs->count; i++)
	{
		TopicSpec spec = {0};

		if (!parse_spec(specs->items[i], &spec))
		{
			mr_log(MR_LOG_ERROR, "not a topic specification", MR_STR("text", specs->items[i]),
				   MR_STR("hint", "write NAME:partitions[:replication[:retention ms]]"));
			ok = false;
		}
		else if (!create_topic(rk, &spec))
			ok = false;
		free(spec.name);
	}
	if (rk != NULL)
		rd_kafka_destroy(rk);
	return ok;
}

static bool
parse_spec(const char *text, TopicSpec *spec)
{
	char *rest;

	spec->name = mr_strdup(text);
	spec->replication = 1;
	rest = strchr(spec->name, ':');
	if (rest == NULL || rest == spec->name)
		return false;
	*rest++ = '\0';
	spec->partitions = (int) strtol(rest, &rest, 10);
	if (*rest == ':')
		spec->replication = (int) strtol(rest + 1, &rest, 10);
	if (*rest == ':')
	{
		long long retention = strtoll(rest + 1, &rest, 10);

		snprintf(spec->retention_ms, sizeof(spec->retention_ms), "%lld", retention);
	}
	return *rest == '\0' && spec->partitions > 0 && spec->replication > 0;
}

static bool
create_topic(rd_kafka_t *rk, const TopicSpec *spec)
{
	char error[512];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(spec->name, spec->partitions,
													   spec->replication, error, sizeof(error));
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	bool ok = false;

	if (topic == NULL)
		mr_log(MR_LOG_ERROR, "could not create topic", MR_STR("topic", spec->name),
			   MR_STR("error", error));
	else
	{
		rd_kafka_event_t *event;

		if (spec->retention_ms[0] != '\0')
			rd_kafka_NewTopic_set_config(topic, "retention.ms", spec->retention_ms);
		rd_kafka_AdminOptions_set_request_timeout(options, CREATE_TIMEOUT_MS, error, sizeof(error));
		rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_TIMEOUT_MS, error,
													sizeof(error));
		rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
		event = rd_kafka_queue_poll(queue, CREATE_TIMEOUT_MS + 5000);
		ok = creation_result(event, spec->name);
		if (event != NULL)
			rd_kafka_event_destroy(event);
		rd_kafka_NewTopic_destroy(topic);
	}
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return ok;
}

/* A topic that is there already is as good as made. */
static bool
creation_result(const rd_kafka_event_t *event, const char *name)
{
	const rd_kafka_CreateTopics_result_t *result;
	const rd_kafka_topic_result_t **topics;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *text = "no answer";
	size_t count = 0;

	if (event != NULL)
	{
		err = rd_kafka_event_error((rd_kafka_event_t *) event);
		text = rd_kafka_event_error_string((rd_kafka_event_t *) event);
		result = rd_kafka_event_CreateTopics_result((rd_kafka_event_t *) event);
		if (!err && result != NULL)
		{
			topics = rd_kafka_CreateTopics_result_topics(result, &count);
			if (count > 0)
			{
				err = rd_kafka_topic_result_error(topics[0]);
				text = rd_kafka_topic_result_error_string(topics[0]);
			}
		}
	}
	if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		mr_log(MR_LOG_INFO, "topic exists already", MR_STR("topic", name));
	else if (err)
		mr_log(MR_LOG_ERROR, "could not create topic", MR_STR("topic", name),
			   MR_STR("error", text));
	else
		mr_log(MR_LOG_INFO, "topic created", MR_STR("topic", name));
	return !err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
}
