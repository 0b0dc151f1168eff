/* How a relay's clients are set up. No broker is needed for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/log.h"
#include "ingestor/relay/relay_kafka_private.h"
#include "ingestor/relay/relay_topic.h"

static char seen[4][64];

static void
note(rd_kafka_t *rk, const char *property, char *out)
{
	size_t size = sizeof(seen[0]);

	assert_int_equal(rd_kafka_conf_get(rd_kafka_conf(rk), property, out, &size), RD_KAFKA_CONF_OK);
}

/* The clients are made, the topic is not asked for. */
bool
mr_relay_topic_prepare(MrRelayKafka *kafka, char *error)
{
	note(kafka->reader, "fetch.max.bytes", seen[0]);
	note(kafka->reader, "fetch.message.max.bytes", seen[1]);
	note(kafka->reader, "receive.message.max.bytes", seen[2]);
	note(kafka->producer, "message.max.bytes", seen[3]);
	snprintf(error, MR_RELAY_ERROR, "that was all");
	return false;
}

static void
open_with(char *property)
{
	MrStrings properties = {&property, 1};
	const MrRelayTarget target = {.brokers = "localhost:1",
								  .properties = &properties,
								  .topic = "t.dlq",
								  .transactional_id = "id",
								  .former_ids = "",
								  .source_topic = "t"};
	char error[MR_RELAY_ERROR];

	assert_null(mr_relay_kafka_open(&target, error));
	assert_string_equal(error, "that was all");
}

/* A letter may be as large as its topic takes; reading them back must not take as much memory for many of them. */
static void
the_reader_asks_for_little_at_a_time(void **state)
{
	char property[] = "fetch.max.bytes=900000000"; /* is meant for consumers */

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	open_with(property);
	assert_in_range(atoi(seen[0]), 1, 8000000);
	assert_in_range(atoi(seen[1]), 1, 2000000);
	assert_in_range(atoi(seen[2]), 1000000000, 2147483647);
	assert_int_equal(atoi(seen[3]), 1000000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reader_asks_for_little_at_a_time),
	};

	return cmocka_run_group_tests_name("ingestor/relay/relay_kafka", tests, NULL, NULL);
}
