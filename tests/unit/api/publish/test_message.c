/* Events as they are published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/publish/message.h"

#define UUID "00000000-0000-4000-8000-000000000000"
#define NOW  1767225600123 /* 2026-01-01T00:00:00.123Z */

static char error[320];

static void
expect(const MrEventParts *parts, const char *payload, const char *key)
{
	MrMessage message;

	if (!mr_message_build(&message, parts, UUID, NOW, error, sizeof(error)))
		fail_msg("%s", error);
	assert_string_equal(mr_buffer_string(&message.payload), payload);
	if (key == NULL)
		assert_null(message.key);
	else
		assert_string_equal(message.key, key);
	mr_message_free(&message);
}

static void
expect_json(const char *text, const char *payload, const char *key)
{
	MrEventParts parts;
	json_t *object;

	if (!mr_event_parts_of_json(&parts, text, strlen(text), &object, error, sizeof(error)))
		fail_msg("%s: %s", text, error);
	expect(&parts, payload, key);
	json_decref(object);
}

static void
from_parts(void **state)
{
	(void) state;
	expect(&(MrEventParts){.type = "a\"b", .text = "30C"},
		   "{\"specversion\":\"1.0\",\"id\":\"" UUID
		   "\",\"source\":\"/events\",\"type\":\"a\\\"b\","
		   "\"time\":\"2026-01-01T00:00:00.123Z\",\"data\":\"30C\"}",
		   NULL);
	expect(&(MrEventParts){.type = "a",
						   .source = "s",
						   .id = "i",
						   .time = "2026-01-01T00:00:00+01:00",
						   .json = "[1]",
						   .json_len = 3},
		   "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"a\",\"time\":\"2026-"
		   "01-01T00:00:00+01:00\",\"data\":[1]}",
		   "s");
	expect(&(MrEventParts){.type = "a",
						   .source = "s",
						   .key = "k",
						   .id = "i",
						   .time = "2026-01-01T00:00:00Z"},
		   "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"a\",\"time\":\"2026-"
		   "01-01T00:00:00Z\"}",
		   "k");
}

static void
a_whole_event_is_kept(void **state)
{
	(void) state;
	expect_json("{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"a\",\"time\":"
				"\"2026-01-01T00:00:00Z\",\"x\":1.10}",
				"{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"a\",\"time\":"
				"\"2026-01-01T00:00:00Z\",\"x\":1.10}",
				"s");
	expect_json(" {\"eventType\" : \"a\", \"data\":\"\\\"specversion\\\"\"}",
				"{\"specversion\":\"1.0\",\"id\":\"" UUID
				"\",\"source\":\"/events\",\"type\":\"a\","
				"\"time\":\"2026-01-01T00:00:00.123Z\",\"eventType\" : \"a\", "
				"\"data\":\"\\\"specversion\\\"\"}",
				NULL);
}

static void
refused(void **state)
{
	static const char *const wrong[] = {"",
										"{",
										"[]",
										"1",
										"{\"type\":1}",
										"{\"type\":null}",
										"{\"id\":2,\"type\":\"a\"}",
										"{\"type\":\"a\",\"type\":\"b\"}",
										"{\"type\":\"a\",\"specversion\":1}",
										"{\"type\":\"a\",\"specversion\":\"2.0\"}",
										"{\"type\":\"a\",\"data_base64\":\"\"}",
										"{\"type\":\"a\\u0000\"}",
										"{\"type\":\"a\"}}"};
	MrEventParts parts;
	json_t *object;

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		if (mr_event_parts_of_json(&parts, wrong[i], strlen(wrong[i]), &object, error,
								   sizeof(error)))
			fail_msg("%s", wrong[i]);
		json_decref(object);
	}
}

static void
times(void **state)
{
	static const char *const right[] = {"2026-01-31T12:00:00Z", "2026-01-31t12:00:00z",
										"2026-01-31T12:00:00.5-05:30"};
	static const char *const wrong[] = {"",
										"now",
										"2026-01-31",
										"2026-01-31 12:00:00Z",
										"2026-01-31T12:00:00",
										"2026-01-31T12:00:00.Z",
										"2026-01-31T12:00:00Zx",
										"2026-01-31T12:00:00+1:00",
										"2026-01-31T12:00:00+0100",
										"2026-1-31T12:00:00Z"};
	MrMessage message;
	MrEventParts parts = {.type = "a"};

	(void) state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
	{
		parts.time = right[i];
		assert_true(mr_message_build(&message, &parts, UUID, NOW, error, sizeof(error)));
		mr_message_free(&message);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		parts.time = wrong[i];
		assert_false(mr_message_build(&message, &parts, UUID, NOW, error, sizeof(error)));
	}
}

static void
uuids(void **state)
{
	unsigned char bytes[16];
	char uuid[MR_UUID_SIZE];

	(void) state;
	memset(bytes, 0xff, sizeof(bytes));
	mr_uuid_format(uuid, bytes, 4);
	assert_string_equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_parts), cmocka_unit_test(a_whole_event_is_kept),
		cmocka_unit_test(refused),    cmocka_unit_test(times),
		cmocka_unit_test(uuids),
	};

	return cmocka_run_group_tests_name("publish/message", tests, NULL, NULL);
}
