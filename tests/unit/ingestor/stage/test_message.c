/* Kafka messages to rows: headers, timestamp types, over-size. Messages are made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/stage/batch.h"
#include "ingestor/stage/message.h"

static MrCopyRow row;
static bool oversize;
static uint32_t crc;

static void
make_row(const rd_kafka_message_t *message)
{
	oversize = mr_message_row(message, 100, &row, &crc);
}

static rd_kafka_headers_t *headers;
static rd_kafka_resp_err_t unreadable; /* with this error */
static rd_kafka_timestamp_type_t timestamp_type;

/* librdkafka's accessors, for messages that are not its own. */
rd_kafka_resp_err_t
rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **out)
{
	(void) message;
	*out = headers;
	if (unreadable)
		return unreadable;
	return headers ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT;
}

int64_t
rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
	(void) message;
	*type = timestamp_type;
	return 1234;
}

static int
setup(void **state)
{
	(void) state;
	timestamp_type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
	headers = NULL;
	unreadable = RD_KAFKA_RESP_ERR_NO_ERROR;
	return 0;
}

static void
plain(void **state)
{
	rd_kafka_message_t message = {
		.partition = 2, .offset = 9, .key = "k", .key_len = 1, .payload = "value", .len = 5};

	(void) state;
	make_row(&message);
	assert_int_equal(row.offset, 9);
	assert_int_equal(row.partition, 2);
	assert_int_equal(row.kafka_ts, 1234);
	assert_int_equal(row.kind, 0);
	assert_null(row.headers);
	assert_false(oversize);
}

/* None are there, or none that can be read: that is not the same. */
static void
headers_that_cannot_be_read_are_marked(void **state)
{
	rd_kafka_message_t message = {.payload = "value", .len = 5};

	(void) state;
	unreadable = RD_KAFKA_RESP_ERR__BAD_MSG;
	make_row(&message);
	assert_int_equal(row.kind, MR_KIND_BAD_HEADERS);
	assert_null(row.headers);
	assert_int_equal(row.payload_len, 5);
}

static void
tombstone_and_log_append_time(void **state)
{
	rd_kafka_message_t message = {.key = "", .key_len = 0};

	(void) state;
	timestamp_type = RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
	make_row(&message);
	assert_null(row.payload);
	assert_non_null(row.key);
	assert_int_equal(row.kind, MR_KIND_LOG_APPEND_TIME);
}

static void
headers_are_packed(void **state)
{
	static const char expected[] = "\0\0\0\3"
								   "\0\0\0\1a\0\0\0\2\0\377"
								   "\0\0\0\1a\0\0\0\0"
								   "\0\0\0\4null\377\377\377\377";
	rd_kafka_message_t message = {.payload = "v", .len = 1};

	(void) state;
	headers = rd_kafka_headers_new(3);
	rd_kafka_header_add(headers, "a", -1, "\0\377", 2);
	rd_kafka_header_add(headers, "a", -1, "", 0);
	rd_kafka_header_add(headers, "null", -1, NULL, 0);
	make_row(&message);
	assert_int_equal(row.headers_len, sizeof(expected) - 1);
	assert_memory_equal(row.headers, expected, sizeof(expected) - 1);
	rd_kafka_headers_destroy(headers);
}

static void
oversize_keeps_size_key_and_crc(void **state)
{
	char big[101];
	rd_kafka_message_t message = {.key = "k", .key_len = 1, .payload = big, .len = sizeof(big)};

	(void) state;
	memset(big, 'b', sizeof(big));
	make_row(&message);
	assert_int_equal(row.kind, MR_KIND_OVERSIZE);
	assert_int_equal(row.payload_len, 8);
	assert_memory_equal(row.payload, "\0\0\0\0\0\0\0\145", 8);
	assert_int_equal(row.key_len, 1);
	assert_true(oversize);
	assert_int_equal(crc, mr_message_crc("k", 1, big, sizeof(big)));
}

static void
oversize_key_goes_too(void **state)
{
	static char key[20000];
	rd_kafka_message_t message = {.key = key, .key_len = sizeof(key), .payload = "v", .len = 1};

	(void) state;
	make_row(&message);
	assert_int_equal(row.kind, MR_KIND_OVERSIZE);
	assert_null(row.key);
	assert_int_equal(row.key_len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(plain, setup),
		cmocka_unit_test_setup(headers_that_cannot_be_read_are_marked, setup),
		cmocka_unit_test_setup(tombstone_and_log_append_time, setup),
		cmocka_unit_test_setup(headers_are_packed, setup),
		cmocka_unit_test_setup(oversize_keeps_size_key_and_crc, setup),
		cmocka_unit_test_setup(oversize_key_goes_too, setup),
	};

	return cmocka_run_group_tests_name("ingestor/stage/message", tests, NULL, NULL);
}
