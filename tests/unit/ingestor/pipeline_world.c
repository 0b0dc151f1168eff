/* Stands in for the consumer, the control connection and the resolver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "pipeline_world.h"

Asked asked;
struct event_base *base;
MrPipeline *pl;
MrStageLane *lane;
MrFetchPartition *part;

static MrSettings settings;
static char empty[] = "";

MrConsumer *
mr_consumer_new(const MrConsumerSetup *setup, char *error, size_t error_size)
{
	(void) setup;
	(void) error;
	(void) error_size;
	return (MrConsumer *) &asked;
}

void
mr_consumer_subscribe_again(MrConsumer *consumer)
{
	(void) consumer;
}

void
mr_consumer_numbered(MrConsumer *consumer)
{
	(void) consumer;
}

int
mr_consumer_unnumbered(const MrConsumer *consumer)
{
	(void) consumer;
	return 0;
}

const char *
mr_consumer_unnumbered_topic(const MrConsumer *consumer, int i)
{
	(void) consumer;
	(void) i;
	return "";
}

void
mr_consumer_fetch(MrConsumer *consumer, int32_t partition, int64_t from)
{
	(void) consumer;
	asked.fetch[partition] = true;
	asked.fetch_from[partition] = from;
}

void
mr_consumer_stop(MrConsumer *consumer, int32_t partition)
{
	(void) consumer;
	asked.fetch[partition] = false;
	asked.fetch_from[partition] = -1;
}

void
mr_consumer_block(MrConsumer *consumer, bool blocked)
{
	(void) consumer;
	asked.blocked = blocked;
	asked.woken += !blocked;
}

rd_kafka_t *
mr_consumer_handle(const MrConsumer *consumer)
{
	(void) consumer;
	return (rd_kafka_t *) &asked;
}

int64_t
mr_consumer_end(const MrConsumer *consumer, int32_t partition)
{
	(void) consumer;
	return asked.end[partition];
}

void
mr_consumer_settled(MrConsumer *consumer, int32_t partition, int64_t offset)
{
	(void) consumer;
	(void) partition;
	(void) offset;
}

void
mr_consumer_commit(MrConsumer *consumer)
{
	(void) consumer;
}

void
mr_consumer_close(MrConsumer *consumer)
{
	(void) consumer;
}

bool
mr_consumer_is_closed(const MrConsumer *consumer)
{
	(void) consumer;
	return true;
}

bool
mr_consumer_is_fatal(const MrConsumer *consumer)
{
	(void) consumer;
	return asked.fatal;
}

void
mr_consumer_free(MrConsumer *consumer)
{
	(void) consumer;
}

void
mr_control_call(MrControl *control, const char *sql, int count, const char *const *values,
				MrControlAnswer answer, void *owner, uint64_t tag)
{
	size_t len = strlen(asked.calls);

	(void) control;
	if (strstr(sql, "stop_partition") != NULL || strstr(sql, "report_watermarks") != NULL)
	{
		len += (size_t) snprintf(asked.calls + len, sizeof(asked.calls) - len, "%s",
								 strstr(sql, "stop_partition") ? "stop" : "ends");
		for (int i = 1; i < count && i < 5; i++)
			len +=
				(size_t) snprintf(asked.calls + len, sizeof(asked.calls) - len, "|%s", values[i]);
		snprintf(asked.calls + len, sizeof(asked.calls) - len, "\n");
	}
	asked.positions += strstr(sql, "millrace.positions") != NULL;
	if (strstr(sql, "millrace.set_position") != NULL)
		asked.position_set = (MrReply){answer, owner, tag};
}

uint64_t
mr_control_losses(const MrControl *control)
{
	(void) control;
	return 0;
}

void
mr_resolver_ask(MrResolver *resolver, const MrQuestion *question)
{
	(void) resolver;
	if (question->kind == MR_ASK_STARTS)
	{
		asked.starts++;
		asked.starts_from = question->first;
	}
	if (question->kind == MR_ASK_TIME)
		asked.question = *question;
	if (question->kind == MR_ASK_WATERMARKS)
		asked.looks[asked.look_count++ % 16] = *question;
}

/* librdkafka's accessors, for messages that are not its own. */
rd_kafka_resp_err_t
rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **out)
{
	(void) message;
	*out = NULL;
	return RD_KAFKA_RESP_ERR__NOENT;
}

int64_t
rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
	(void) message;
	*type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
	return 1;
}

int
setup(void **state)
{
	const MrPipelineSetup with = {.base = base = event_base_new(), .settings = &settings};
	const MrServedRow row = {.pipeline = "stub",
							 .topic = "t",
							 .group_id = "g",
							 .lanes = 2,
							 .partitions = PARTITIONS,
							 .start_at = "earliest",
							 .incarnation = 99};

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	memset(&asked, 0, sizeof(asked));
	memset(asked.end, -1, sizeof(asked.end));
	settings = (MrSettings){.dsn = empty,
							.batch_rows = 3,
							.batch_bytes = 1 << 20,
							.max_message_bytes = 1 << 20,
							.hold_after_ms = 1000};
	pl = mr_pipeline_new(&with, &row);
	lane = pl->lanes[1].stage;
	lane->backoff = (MrBackoff){.min_ms = 2, .max_ms = 4};
	part = NULL;
	return 0;
}

int
teardown(void **state)
{
	(void) state;
	mr_pipeline_free(pl);
	event_base_free(base);
	return 0;
}

void
grant(void)
{
	mr_pipeline_consumer_events.granted(pl, 1);
	part = mr_pipeline_partition(pl, 1);
}

void
take_back(void)
{
	mr_pipeline_consumer_events.revoked(pl, 1);
}

/* The queue holds more, or is empty. */
void
taken(bool more)
{
	mr_pipeline_consumer_events.taken(pl, more);
}

/* Turns the loop until the lane is in the state (and the script at the step), or fails. */
void
turn_until(MrLaneState state, int step)
{
	for (int i = 0; i < 2000; i++)
	{
		if (lane->writer.state == state && fake_pq.at == step)
			return;
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
	fail_msg("state %s, step %d", mr_lane_state_name(lane->writer.state), fake_pq.at);
}

void
open_and_assign(void)
{
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(part->epoch, 5);
	assert_int_equal(part->position, 40);
}

void
add_payload(int64_t offset, void *payload, size_t len)
{
	const rd_kafka_message_t message = {.partition = 1,
										.offset = offset,
										.payload = payload,
										.len = len};

	mr_pipeline_consumer_events.message(pl, message.partition, &message);
}

void
add(int64_t offset)
{
	char payload[] = "p";

	add_payload(offset, payload, 1);
}
