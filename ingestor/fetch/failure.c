/* Error codes of librdkafka that ask for something. */
#include "ingestor/fetch/failure.h"

#include <stdio.h>
#include <string.h>

MrFetchFailure
mr_fetch_failure(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			return MR_FAILURE_OUT_OF_RANGE;

			/* librdkafka would go on with the next messages: these would be lost */
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			return MR_FAILURE_CORRUPT;

		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
			return MR_FAILURE_NO_TOPIC;

		default:
			return MR_FAILURE_PASSING;
	}
}

/* The text without "(after 0ms in state CONNECT, 3 identical error(s) suppressed)", which differs each time. */
MrLogLevel
mr_fetch_note_trouble(MrTrouble *trouble, rd_kafka_resp_err_t err, const char *text)
{
	char cause[sizeof(trouble->text)];
	char *tail;

	/* It comes on top of why each of them is. */
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && mr_trouble_is_set(trouble))
		return MR_LOG_DEBUG;
	snprintf(cause, sizeof(cause), "%s", text != NULL ? text : "");
	tail = strstr(cause, " (after ");
	if (tail != NULL)
		*tail = '\0';
	return mr_trouble_set(trouble, cause);
}

void
mr_fetch_log_error(const char *pipeline, const char *what, rd_kafka_error_t *error)
{
	if (error == NULL)
		return;
	mr_log(MR_LOG_WARN, what, MR_STR("pipeline", pipeline),
		   MR_STR("error", rd_kafka_error_string(error)));
	rd_kafka_error_destroy(error);
}
