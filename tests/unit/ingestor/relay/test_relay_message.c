/* Dead letters to messages: every header, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/relay/relay_message.h"

static MrLetter letter;

static int
setup(void **state)
{
	(void) state;
	letter = (MrLetter){
		.number = 7,
		.id = "0d9c/readings/events/3/39121/0",
		.pipeline = "readings",
		.topic = "events",
		.partition = 3,
		.offset = 39121,
		.kafka_ts = 1767225600123,
		.key = "k",
		.key_len = 1,
		.payload = "{}",
		.payload_len = 2,
		.version = 4,
		.stage = "write",
		.sqlstate = "23514",
		.condition = "check_violation",
		.message = "new row violates a check",
		.detail = "Failing row.",
		.constraint_name = "reading_value_check",
		.ended = "permanent",
		.attempts = 2,
		.fingerprint = "5f2c11d7a9e0",
	};
	return 0;
}

static void
assert_header(const rd_kafka_headers_t *headers, const char *name, const void *expected, size_t len)
{
	const void *value;
	size_t size;

	assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &size), 0);
	assert_int_equal(size, len);
	assert_memory_equal(value, expected, len);
}

static void
assert_text(const rd_kafka_headers_t *headers, const char *name, const char *expected)
{
	assert_header(headers, name, expected, strlen(expected));
}

static void
all_headers(void **state)
{
	rd_kafka_headers_t *h = mr_letter_headers(&letter, MR_LETTER_WHOLE);

	(void) state;
	assert_int_equal(rd_kafka_header_cnt(h), 10 + 6 + 6);
	assert_text(h, "__connect.errors.topic", "events");
	assert_text(h, "__connect.errors.partition", "3");
	assert_text(h, "__connect.errors.offset", "39121");
	assert_text(h, "__connect.errors.connector.name", "readings");
	assert_text(h, "__connect.errors.task.id", "0");
	assert_text(h, "__connect.errors.stage", "TASK_PUT");
	assert_text(h, "__connect.errors.class.name", "millrace.write");
	assert_text(h, "__connect.errors.exception.class.name", "check_violation");
	assert_text(h, "__connect.errors.exception.message", "new row violates a check");
	assert_text(h, "__connect.errors.exception.stacktrace",
				"ERROR:  23514: new row violates a check\nDETAIL:  Failing row.\n"
				"CONSTRAINT:  reading_value_check\nENDED:  permanent\n");
	assert_text(h, "kafka_dlt-original-topic", "events");
	assert_header(h, "kafka_dlt-original-partition", "\0\0\0\3", 4);
	assert_header(h, "kafka_dlt-original-offset", "\0\0\0\0\0\0\x98\xd1", 8);
	assert_header(h, "kafka_dlt-original-timestamp", "\0\0\x01\x9b\x76\xda\xa8\x7b", 8);
	assert_text(h, "kafka_dlt-exception-fqcn", "check_violation");
	assert_text(h, "kafka_dlt-exception-message", "new row violates a check");
	assert_text(h, "millrace-id", "0d9c/readings/events/3/39121/0");
	assert_text(h, "millrace-pipeline", "readings");
	assert_text(h, "millrace-version", "4");
	assert_text(h, "millrace-sqlstate", "23514");
	assert_text(h, "millrace-attempts", "2");
	assert_text(h, "millrace-fingerprint", "5f2c11d7a9e0");
	rd_kafka_headers_destroy(h);
}

static void
original_headers_come_first(void **state)
{
	static const char packed[] = "\0\0\0\3"
								 "\0\0\0\1a\0\0\0\2\0\377"
								 "\0\0\0\13millrace-id\0\0\0\3old"
								 "\0\0\0\4null\377\377\377\377";
	rd_kafka_headers_t *h;
	const char *name;
	const void *value;
	size_t size;
	char id[64];

	(void) state;
	letter.headers = packed;
	letter.headers_len = sizeof(packed) - 1;
	h = mr_letter_headers(&letter, MR_LETTER_WHOLE);
	assert_int_equal(rd_kafka_header_cnt(h), 3 + 22);
	rd_kafka_header_get_all(h, 0, &name, &value, &size);
	assert_string_equal(name, "a");
	assert_int_equal(size, 2);
	assert_memory_equal(value, "\0\377", 2);
	rd_kafka_header_get_all(h, 2, &name, &value, &size);
	assert_string_equal(name, "null");
	assert_null(value);
	assert_string_equal(mr_letter_id(h, id, sizeof(id)), "0d9c/readings/events/3/39121/0");
	rd_kafka_headers_destroy(h);
}

/* Each prefix of packed headers is taken as far as it goes. */
static void
torn_headers(void **state)
{
	static const char packed[] = "\0\0\0\2"
								 "\0\0\0\1a\0\0\0\2xy"
								 "\0\0\0\0\0\0\0\0";

	(void) state;
	for (size_t len = 0; len < sizeof(packed); len++)
	{
		char *copy = malloc(len + 1); /* for the sanitizer to watch its end */
		rd_kafka_headers_t *h;
		size_t whole = (len >= 15) + (len >= 23);

		copy = realloc(copy, len > 0 ? len : 1);
		memcpy(copy, packed, len);
		letter.headers = copy;
		letter.headers_len = len;
		h = mr_letter_headers(&letter, MR_LETTER_WHOLE);
		assert_int_equal(rd_kafka_header_cnt(h), whole + 22);
		rd_kafka_headers_destroy(h);
		free(copy);
	}
}

static void
nulls_and_stages(void **state)
{
	rd_kafka_headers_t *h;

	(void) state;
	letter.stage = "decode";
	letter.condition = letter.message = letter.fingerprint = NULL;
	letter.payload = NULL;
	letter.kafka_ts = -1;
	h = mr_letter_headers(&letter, MR_LETTER_NO_PAYLOAD);
	assert_int_equal(rd_kafka_header_cnt(h), 22);
	assert_text(h, "__connect.errors.stage", "VALUE_CONVERTER");
	assert_text(h, "__connect.errors.exception.class.name", "23514");
	assert_text(h, "__connect.errors.exception.message", "");
	assert_header(h, "kafka_dlt-original-timestamp", "\377\377\377\377\377\377\377\377", 8);
	rd_kafka_headers_destroy(h);
	letter.stage = "transform";
	h = mr_letter_headers(&letter, MR_LETTER_WHOLE);
	assert_text(h, "__connect.errors.stage", "TRANSFORMATION");
	rd_kafka_headers_destroy(h);
}

/* Texts are cut between characters, and what is left out is said. */
static void
shortened(void **state)
{
	char text[1001];
	rd_kafka_headers_t *h;
	const void *value;
	size_t size;

	(void) state;
	text[0] = 'x';
	for (int i = 1; i < 999; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[999] = '\0';
	letter.message = text;
	letter.headers = "\0\0\0\1\0\0\0\1a\0\0\0\1b";
	letter.headers_len = 14;
	h = mr_letter_headers(&letter, MR_LETTER_BARE);
	assert_int_equal(rd_kafka_header_cnt(h), 23);
	assert_int_equal(rd_kafka_header_get_last(h, "__connect.errors.exception.message", &value,
											  &size),
					 0);
	assert_int_equal(size, 255);
	assert_text(h, "millrace-payload-left-out", "2");
	rd_kafka_headers_destroy(h);
}

static const char *
id_of(const char *value, ssize_t len, char *buffer)
{
	rd_kafka_headers_t *h = rd_kafka_headers_new(1);
	const char *id;

	rd_kafka_header_add(h, "millrace-id", -1, value, len);
	id = mr_letter_id(h, buffer, 16);
	rd_kafka_headers_destroy(h);
	return id;
}

static void
ids_of_strangers(void **state)
{
	char buffer[16];
	rd_kafka_headers_t *none = rd_kafka_headers_new(1);

	(void) state;
	assert_null(mr_letter_id(none, buffer, sizeof(buffer)));
	rd_kafka_headers_destroy(none);
	assert_null(id_of(NULL, 0, buffer));
	assert_null(id_of("", 0, buffer));
	assert_null(id_of("a\0b", 3, buffer));
	assert_null(id_of("0123456789abcdef", 16, buffer)); /* too long */
	assert_null(id_of("\xff", 1, buffer));
	assert_null(id_of("a\xc3", 2, buffer));            /* torn */
	assert_null(id_of("\xc0\x80", 2, buffer));         /* overlong */
	assert_null(id_of("\xed\xa0\x80", 3, buffer));     /* surrogate */
	assert_null(id_of("\xf4\x90\x80\x80", 4, buffer)); /* too high */
	assert_string_equal(id_of("\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80", 11, buffer),
						"\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80");
}

/* A value of a window has nothing of an event. */
static void
value_of_a_window(void **state)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;

	(void) state;
	letter = (MrLetter){.id = "0d9c/by_day/1-2/ab/3/cd",
						.pipeline = "readings",
						.window = "by_day",
						.revision = 3,
						.payload = "{}",
						.payload_len = 2};
	headers = mr_letter_headers(&letter, MR_LETTER_WHOLE);
	assert_int_equal(rd_kafka_header_cnt(headers), 4);
	assert_text(headers, "millrace-id", "0d9c/by_day/1-2/ab/3/cd");
	assert_text(headers, "millrace-pipeline", "readings");
	assert_text(headers, "millrace-window", "by_day");
	assert_text(headers, "millrace-revision", "3");
	rd_kafka_headers_destroy(headers);
	headers = mr_letter_headers(&letter, MR_LETTER_BARE);
	assert_int_equal(rd_kafka_header_cnt(headers), 5);
	assert_text(headers, "millrace-payload-left-out", "2");
	assert_int_equal(rd_kafka_header_get_last(headers, "__connect.errors.topic", &value, &size),
					 RD_KAFKA_RESP_ERR__NOENT);
	rd_kafka_headers_destroy(headers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_headers, setup),
		cmocka_unit_test_setup(original_headers_come_first, setup),
		cmocka_unit_test_setup(torn_headers, setup),
		cmocka_unit_test_setup(nulls_and_stages, setup),
		cmocka_unit_test_setup(shortened, setup),
		cmocka_unit_test_setup(ids_of_strangers, setup),
		cmocka_unit_test_setup(value_of_a_window, setup),
	};

	return cmocka_run_group_tests_name("ingestor/relay_message", tests, NULL, NULL);
}
