/* The topic of a relay: how many partitions it has, and making it when it is not there. */
#include "ingestor/relay/relay_topic.h"

#include <stdio.h>

#include "common/log.h"
#include "ingestor/relay/relay_kafka_private.h"

#define ASK_MS    5000
#define CREATE_MS 10000

typedef struct Shape
{
	int partitions; /* 0: no such topic */
	int replicas;
} Shape;

static bool ask(MrRelayKafka *kafka, const char *name, Shape *shape, char *error);
static bool create(MrRelayKafka *kafka, const Shape *shape, char *error);
static rd_kafka_resp_err_t creation_error(rd_kafka_event_t *event, char *error);

bool
mr_relay_topic_prepare(MrRelayKafka *kafka, char *error)
{
	Shape shape = {0};
	Shape source = {0};

	if (!ask(kafka, kafka->target.topic, &shape, error))
		return false;
	if (shape.partitions == 0)
	{
		if (!ask(kafka, kafka->target.source_topic, &source, error))
			return false;
		if (source.partitions == 0)
			source = (Shape){kafka->target.source_partitions, -1 /* the broker's default */};
		if (source.partitions < 1)
			source.partitions = 1;
		if (!create(kafka, &source, error) || !ask(kafka, kafka->target.topic, &shape, error))
			return false;
	}
	if (shape.partitions == 0)
	{
		snprintf(error, MR_RELAY_ERROR, "topic \"%s\" was just created and is not known yet",
				 kafka->target.topic);
		return false;
	}
	kafka->partitions = shape.partitions;
	return true;
}

static bool
ask(MrRelayKafka *kafka, const char *name, Shape *shape, char *error)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka->reader, name, NULL);
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t err = topic ? rd_kafka_metadata(kafka->reader, 0, topic, &metadata, ASK_MS)
									: rd_kafka_last_error();

	if (!err && metadata != NULL && metadata->topic_cnt > 0)
	{
		err = metadata->topics[0].err;
		if (!err)
		{
			shape->partitions = metadata->topics[0].partition_cnt;
			shape->replicas =
				shape->partitions > 0 ? metadata->topics[0].partitions[0].replica_cnt : -1;
		}
		else if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			err = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	rd_kafka_poll(kafka->reader, 0);
	if (err)
		snprintf(error, MR_RELAY_ERROR, "could not look at topic \"%s\": %s", name,
				 *kafka->last_error ? kafka->last_error : rd_kafka_err2str(err));
	if (metadata != NULL)
		rd_kafka_metadata_destroy(metadata);
	if (topic != NULL)
		rd_kafka_topic_destroy(topic);
	return !err;
}

static bool
create(MrRelayKafka *kafka, const Shape *shape, char *error)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->reader);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(kafka->reader, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(kafka->target.topic, shape->partitions,
													   shape->replicas, error, MR_RELAY_ERROR);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__INVALID_ARG;

	if (topic != NULL)
	{
		rd_kafka_event_t *event;

		rd_kafka_AdminOptions_set_request_timeout(options, CREATE_MS, error, MR_RELAY_ERROR);
		rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_MS, error, MR_RELAY_ERROR);
		rd_kafka_CreateTopics(kafka->reader, &topic, 1, options, queue);
		event = rd_kafka_queue_poll(queue, CREATE_MS + 1000);
		err = creation_error(event, error);
		if (event != NULL)
			rd_kafka_event_destroy(event);
		rd_kafka_NewTopic_destroy(topic);
	}
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return true;
	if (!err)
		mr_log(MR_LOG_INFO, "topic created", MR_STR("topic", kafka->target.topic),
			   MR_INT("partitions", shape->partitions), MR_INT("replicas", shape->replicas));
	return !err;
}

static rd_kafka_resp_err_t
creation_error(rd_kafka_event_t *event, char *error)
{
	rd_kafka_resp_err_t err = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	const char *text = event ? rd_kafka_event_error_string(event) : "no answer";
	const rd_kafka_CreateTopics_result_t *result =
		event ? rd_kafka_event_CreateTopics_result(event) : NULL;
	size_t count = 0;

	if (!err && result != NULL)
	{
		const rd_kafka_topic_result_t **topics =
			rd_kafka_CreateTopics_result_topics(result, &count);

		if (count > 0)
		{
			err = rd_kafka_topic_result_error(topics[0]);
			text = rd_kafka_topic_result_error_string(topics[0]);
		}
	}
	if (err)
		snprintf(error, MR_RELAY_ERROR, "could not create the topic: %s",
				 text ? text : rd_kafka_err2str(err));
	return err;
}
