/* Error codes of librdkafka that ask for something. */
#include "ingestor/fetch/failure.h"

#include "common/log.h"

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

MrLogLevel
mr_fetch_note_error(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err, int32_t partition,
					const char *text)
{
	MrFetchFailure failure = mr_fetch_failure(err);

	if (failure == MR_FAILURE_NO_TOPIC)
		partition = -1;
	else if (partition >= 0 && failure != MR_FAILURE_PASSING)
		return MR_LOG_WARN;
	return mr_kafka_trouble_note(trouble, err, partition, text);
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
