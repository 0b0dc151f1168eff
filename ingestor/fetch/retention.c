/* A topic's retention, by the admin API. */
#include "ingestor/fetch/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_answer(const rd_kafka_event_t *event, int64_t *retention_ms, char *error,
						size_t error_size);
static const char *find(const rd_kafka_ConfigEntry_t **entries, size_t count, const char *name);

bool
mr_retention_ask(rd_kafka_t *rk, const char *topic, int timeout_ms, int64_t *retention_ms,
				 char *error, size_t error_size)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_ConfigResource_t *resource =
		rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_event_t *event;
	bool ok;

	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, error, error_size);
	rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
	/* The request times out by itself; what comes later is dropped with the queue. */
	event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
	ok = read_answer(event, retention_ms, error, error_size);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return ok;
}

/* Compaction alone keeps the newest message of each key, and retention.ms says nothing then. */
bool
mr_retention_parse(const char *retention, const char *policy, int64_t *retention_ms)
{
	char *end;
	long long ms;

	if (policy != NULL && strstr(policy, "compact") != NULL && strstr(policy, "delete") == NULL)
	{
		*retention_ms = MR_RETENTION_FOR_EVER;
		return true;
	}
	if (retention == NULL || *retention == '\0')
		return false;
	ms = strtoll(retention, &end, 10);
	if (*end != '\0')
		return false;
	*retention_ms = ms < 0 ? MR_RETENTION_FOR_EVER : ms;
	return true;
}

static bool
read_answer(const rd_kafka_event_t *event, int64_t *retention_ms, char *error, size_t error_size)
{
	rd_kafka_event_t *answer = (rd_kafka_event_t *) event; /* the accessors are not const */
	const rd_kafka_DescribeConfigs_result_t *result =
		answer ? rd_kafka_event_DescribeConfigs_result(answer) : NULL;
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	const char *retention;
	const char *policy;
	size_t count = 0;

	if (result == NULL || rd_kafka_event_error(answer))
	{
		snprintf(error, error_size, "%s",
				 answer ? rd_kafka_event_error_string(answer) : "no answer");
		return false;
	}
	resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
	if (count != 1 || rd_kafka_ConfigResource_error(resources[0]))
	{
		const char *text = count == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : NULL;

		snprintf(error, error_size, "%s", text ? text : "the answer does not name the topic");
		return false;
	}
	entries = rd_kafka_ConfigResource_configs(resources[0], &count);
	retention = find(entries, count, "retention.ms");
	policy = find(entries, count, "cleanup.policy");
	if (mr_retention_parse(retention, policy, retention_ms))
		return true;
	snprintf(error, error_size, "retention.ms is \"%s\", expected a number",
			 retention ? retention : "");
	return false;
}

static const char *
find(const rd_kafka_ConfigEntry_t **entries, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
			return rd_kafka_ConfigEntry_value(entries[i]);
	return NULL;
}
