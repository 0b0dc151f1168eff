/*
 * test_format_envelope.c - where the envelopes of formats have their document, and what is refused
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/staging_format.h"
#include "envelopes.h"

static void
check_part(const Opened *opened, int part, const char *expected)
{
	const MrJsonSlot *slot = &opened->envelope.parts[part];

	if (expected == NULL)
	{
		assert_int_equal(slot->kind, MR_JSON_MISSING);
		return;
	}
	assert_int_equal(slot->kind, MR_JSON_STRING);
	assert_int_equal(slot->length, strlen(expected));
	assert_memory_equal(slot->start, expected, strlen(expected));
}

/* Packed headers of names and values in turn, up to a NULL name; a NULL value is null. */
static size_t
pack(char *out, ...)
{
	char *at = out + 4;
	uint32_t count = 0;
	va_list arguments;

	va_start(arguments, out);
	for (const char *name; (name = va_arg(arguments, const char *)) != NULL; count++)
	{
		const char *value = va_arg(arguments, const char *);

		at = mr_put32(at, (uint32_t) strlen(name));
		at = (char *) memcpy(at, name, strlen(name)) + strlen(name);
		at = mr_put32(at, value != NULL ? (uint32_t) strlen(value) : (uint32_t) MR_HEADER_NULL);
		if (value != NULL)
			at = (char *) memcpy(at, value, strlen(value)) + strlen(value);
	}
	va_end(arguments);
	mr_put32(out, count);
	return (size_t) (at - out);
}

static void
confluent_prefix_is_stepped_over(void **state)
{
	Opened opened = open_bytes(MR_FORMAT_CONFLUENT_JSON, "\0\0\1\2\3{\"a\":1}", 12, NULL, 0);

	(void) state;
	check_document(&opened, "{\"a\":1}");
	assert_true(opened.envelope.has_schema_id);
	assert_int_equal(opened.envelope.schema_id, 0x010203);
	assert_ptr_equal(opened.envelope.document, opened.bytes + 5);

	opened = open_text(MR_FORMAT_CONFLUENT_JSON, "{\"a\":1}");
	check_document(&opened, "{\"a\":1}");
	assert_false(opened.envelope.has_schema_id);

	opened = open_bytes(MR_FORMAT_CONFLUENT_JSON, "\0\0\0\0\7", 5, NULL, 0);
	check_document(&opened, "");
	opened = open_text(MR_FORMAT_CONFLUENT_JSON, "");
	check_document(&opened, "");
	for (size_t length = 1; length < 5; length++)
	{
		opened = open_bytes(MR_FORMAT_CONFLUENT_JSON, "\0\0\0\0", length, NULL, 0);
		assert_int_equal(opened.problem.code, MR_ENVELOPE_SHORT_PREFIX);
	}
}

static void
connect_document_is_the_payload(void **state)
{
	Opened opened =
		open_text(MR_FORMAT_CONNECT,
				  " {\"schema\": {\"type\": \"struct\"}, \"payload\": {\"a\": [1]}, \"x\": 2}");

	(void) state;
	check_document(&opened, "{\"a\": [1]}");
	assert_int_equal(opened.envelope.parts[MR_CONNECT_SCHEMA].kind, MR_JSON_OBJECT);
	assert_false(opened.envelope.tombstone);

	opened = open_text(MR_FORMAT_CONNECT, "{\"payload\":\"a\\\"b\",\"schema\":null}");
	check_document(&opened, "\"a\\\"b\"");
	opened = open_text(MR_FORMAT_CONNECT, "{\"payload\":{\"a\":1},\"payload\":[2]}");
	check_document(&opened, "[2]"); /* of a repeated key the last counts */
	opened = open_text(MR_FORMAT_CONNECT, "{\"schema\":null,\"payload\":null}");
	check_document(&opened, NULL);
	assert_true(opened.envelope.tombstone);
}

static void
connect_refuses_what_is_none(void **state)
{
	(void) state;
	check_problem(MR_FORMAT_CONNECT, "{\"a\":1}", MR_ENVELOPE_NO_PAYLOAD);
	check_problem(MR_FORMAT_CONNECT, "{\"schema\":{\"payload\":1}}", MR_ENVELOPE_NO_PAYLOAD);
	check_problem(MR_FORMAT_CONNECT, "[{\"payload\":1}]", MR_ENVELOPE_NOT_OBJECT);
	check_problem(MR_FORMAT_CONNECT, " 1", MR_ENVELOPE_NOT_OBJECT);
	check_problem(MR_FORMAT_CONNECT, "", MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_CONNECT, "{\"payload\":", MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_CONNECT, "{\"payload\":\"\xff\"}", MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_CONNECT, "{\"payload\":1}x", MR_ENVELOPE_NOT_JSON);
}

#define ATTRIBUTES "\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"/s\",\"type\":\"t\""

static void
structured_event_has_attributes_and_data(void **state)
{
	Opened opened = open_text(MR_FORMAT_CLOUDEVENTS,
							  "{" ATTRIBUTES ",\"subject\":null,\"data\":{\"id\":1},\"ext\":5}");

	(void) state;
	check_document(&opened, "{\"id\":1}");
	assert_false(opened.envelope.in_headers);
	check_part(&opened, MR_CE_ID, "a");
	check_part(&opened, MR_CE_TYPE, "t");
	check_part(&opened, MR_CE_SUBJECT, NULL);
	check_part(&opened, MR_CE_TIME, NULL);

	opened = open_text(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES "}");
	check_document(&opened, NULL);
	assert_false(opened.envelope.tombstone);
	opened = open_text(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"data_base64\":\"e30=\"}");
	assert_true(opened.fine);
	check_part(&opened, MR_CE_DATA_BASE64, "e30=");
}

static void
structured_event_is_refused(void **state)
{
	(void) state;
	check_problem(MR_FORMAT_CLOUDEVENTS, "{\"id\":1}", MR_ENVELOPE_NOT_AN_EVENT);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{\"data\":{" ATTRIBUTES "}}", MR_ENVELOPE_NOT_AN_EVENT);
	check_problem(MR_FORMAT_CLOUDEVENTS, "[{" ATTRIBUTES "}]", MR_ENVELOPE_NOT_OBJECT);
	check_problem(MR_FORMAT_CLOUDEVENTS, "", MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES, MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"id\":7}", MR_ENVELOPE_BAD_ATTRIBUTE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"id\":\"\"}", MR_ENVELOPE_NO_ATTRIBUTE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"type\":null}",
				  MR_ENVELOPE_NO_ATTRIBUTE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"subject\":\"\\u0000\"}",
				  MR_ENVELOPE_BAD_ATTRIBUTE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"time\":{}}", MR_ENVELOPE_BAD_ATTRIBUTE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"specversion\":\"0.3\"}",
				  MR_ENVELOPE_OTHER_VERSION);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"data\":1,\"data_base64\":\"e30=\"}",
				  MR_ENVELOPE_DATA_TWICE);
	check_problem(MR_FORMAT_CLOUDEVENTS, "{" ATTRIBUTES ",\"data_base64\":[]}",
				  MR_ENVELOPE_DATA_BASE64_WRONG);
}

static void
binary_event_has_attributes_in_headers(void **state)
{
	char headers[500];
	size_t length =
		pack(headers, "ce_id", "x", "ce_id", "a", "ce_source", "/s", "other", "1", "ce_specversion",
			 "1.0", "ce_type", "t", "Content-Type", "application/json", "ce_subject", NULL, NULL);
	Opened opened = open_bytes(MR_FORMAT_CLOUDEVENTS, "{\"id\":1}", 8, headers, length);

	(void) state;
	check_document(&opened, "{\"id\":1}");
	assert_true(opened.envelope.in_headers);
	check_part(&opened, MR_CE_ID, "a"); /* of a repeated name the last counts */
	check_part(&opened, MR_CE_SUBJECT, NULL);
	check_part(&opened, MR_CE_DATACONTENTTYPE, "application/json");

	/* the content is the event's own business: what is in it is not looked at here */
	opened = open_bytes(MR_FORMAT_CLOUDEVENTS, "\xff", 1, headers, length);
	check_document(&opened, "\xff");
	opened = open_bytes(MR_FORMAT_CLOUDEVENTS, "", 0, headers, length);
	check_document(&opened, NULL);
	for (size_t cut = 0; cut < length; cut++) /* broken headers: attributes are missing, no more */
		(void) open_bytes(MR_FORMAT_CLOUDEVENTS, "{}", 2, headers, cut);
}

static void
binary_event_is_refused(void **state)
{
	char headers[500];
	size_t length = pack(headers, "ce_specversion", "1.0", "ce_id", "a", "ce_source", "/s", NULL);
	Opened opened = open_bytes(MR_FORMAT_CLOUDEVENTS, "{}", 2, headers, length);

	(void) state;
	assert_int_equal(opened.problem.code, MR_ENVELOPE_NO_ATTRIBUTE);
	assert_int_equal(opened.problem.part, MR_CE_TYPE);
	length = pack(headers, "ce_specversion", "1.0", "ce_id", "\xff", "ce_source", "/s", "ce_type",
				  "t", NULL);
	opened = open_bytes(MR_FORMAT_CLOUDEVENTS, "{}", 2, headers, length);
	assert_int_equal(opened.problem.code, MR_ENVELOPE_BAD_ATTRIBUTE);
}

/* The content type decides; it alone makes a message with ce_ headers a structured one. */
static void
mode_is_that_of_the_content_type(void **state)
{
	static const struct
	{
		const char *type;
		MrEnvelopeCode code;
	} cases[] = {{"application/cloudevents+json; charset=UTF-8", MR_ENVELOPE_FINE},
				 {"Application/CloudEvents", MR_ENVELOPE_FINE},
				 {"application/cloudevents-batch+json", MR_ENVELOPE_OTHER_MODE},
				 {"application/cloudevents+avro", MR_ENVELOPE_OTHER_MODE}};
	const char *message = "{" ATTRIBUTES ",\"data\":7}";
	char headers[500];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t length = pack(headers, "content-type", cases[i].type, "ce_specversion", "1.0", NULL);
		Opened opened =
			open_bytes(MR_FORMAT_CLOUDEVENTS, message, strlen(message), headers, length);

		assert_int_equal(opened.problem.code, cases[i].code);
		if (opened.fine)
			check_document(&opened, "7");
	}
}

/* Messages cut anywhere, and with any byte changed: whatever comes of it lies inside the message. */
static void
broken_messages_stay_inside(void **state)
{
	static const char *const messages[] = {
		"{\"schema\": {\"fields\": [{}]}, \"payload\": {\"a\": [1, \"\\u00e9\"]}}",
		"{" ATTRIBUTES ",\"data_base64\":\"e30=\",\"time\":\"2026-01-01T00:00:00Z\"}",
		"{" ATTRIBUTES ",\"data\":[null, {}], \"ext\": 1e5}",
		"{\"op\":\"d\",\"before\":{\"id\":1},\"payload\":{\"op\":\"u\",\"after\":{}}}"};
	uint32_t random = 27;

	(void) state;
	for (int round = 0; round < 8000; round++)
	{
		const char *message = messages[round % 4];
		size_t length = strlen(message);
		MrFormatKind kind = (MrFormatKind) (round / 4 % 4);
		char changed[200];
		Opened opened;

		memcpy(changed, message, length);
		for (int i = 0; i < round % 4; i++)
		{
			random = random * 1664525 + 1013904223;
			changed[(random >> 8) % length] = (char) (random >> 24);
		}
		random = random * 1664525 + 1013904223;
		if (round % 5 == 0)
			length = (random >> 8) % length;
		opened = open_bytes(kind, changed, length, changed, length);
		if (opened.fine && !opened.envelope.absent && opened.envelope.length > 0)
		{
			assert_true(opened.envelope.document >= opened.bytes);
			assert_true(opened.envelope.document + opened.envelope.length <= opened.bytes + length);
		}
		(void) free_blocks(NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(confluent_prefix_is_stepped_over, free_blocks),
		cmocka_unit_test_teardown(connect_document_is_the_payload, free_blocks),
		cmocka_unit_test_teardown(connect_refuses_what_is_none, free_blocks),
		cmocka_unit_test_teardown(structured_event_has_attributes_and_data, free_blocks),
		cmocka_unit_test_teardown(structured_event_is_refused, free_blocks),
		cmocka_unit_test_teardown(binary_event_has_attributes_in_headers, free_blocks),
		cmocka_unit_test_teardown(binary_event_is_refused, free_blocks),
		cmocka_unit_test_teardown(mode_is_that_of_the_content_type, free_blocks),
		cmocka_unit_test_teardown(broken_messages_stay_inside, free_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
