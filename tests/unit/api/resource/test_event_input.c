/* Requests of POST /events as the events they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/event_input.h"

static MrParams params;
static MrEventItems items;
static MrProblem problem;
static char detail[320];
static const char *hint;

/* Header fields: "name=value" in pairs. */
static const char *
header(void *owner, const char *name)
{
	const char *const *fields = owner;

	for (; fields != NULL && *fields != NULL; fields += 2)
		if (strcmp(fields[0], name) == 0)
			return fields[1];
	return NULL;
}

static void
number(void *owner, int line, char uuid[MR_UUID_SIZE])
{
	(void) owner;
	snprintf(uuid, MR_UUID_SIZE, "made for %d", line);
}

static bool
read_request(const char *query, const char *type, const char *body, const char *const *fields)
{
	char error[128];
	MrEventInput input = {.params = &params,
						  .content_type = type,
						  .body = body,
						  .body_len = strlen(body),
						  .header = header,
						  .owner = (void *) fields,
						  .make_id = number};

	assert_true(mr_params_parse(&params, query, error, sizeof(error)));
	problem = MR_PROBLEM_NONE;
	return mr_event_input_read(&items, &input, &problem, detail, sizeof(detail), &hint);
}

static void
done(void)
{
	mr_event_items_free(&items);
	mr_params_free(&params);
}

static void
expect_refusal(const char *query, const char *type, const char *body, MrProblem expected)
{
	assert_false(read_request(query, type, body, NULL));
	assert_int_equal(problem, expected);
	done();
}

/* A length of 0 is one. */
static void
no_length(void **state)
{
	static const char *const fields[] = {"Content-Length", "0", NULL};

	(void) state;
	expect_refusal(NULL, "application/json", "", MR_PROBLEM_NO_LENGTH);
	expect_refusal("wait=processed", "text/plain", "", MR_PROBLEM_NO_LENGTH);
	expect_refusal(NULL, NULL, "", MR_PROBLEM_BODY);
	assert_false(read_request(NULL, "application/json", "", fields));
	assert_int_equal(problem, MR_PROBLEM_BODY);
	done();
	assert_true(read_request("eventType=a", "application/json", "", NULL));
	done();
}

static void
one_event(void **state)
{
	static const char *const fields[] = {"ce-specversion", "1.0", "ce-type", "a%C3%A4",
										 "ce-source",      "s",   NULL};

	(void) state;
	assert_true(read_request("eventType=T&eventData=30C", NULL, "", NULL));
	assert_non_null(strstr(mr_buffer_string(&items.items[0].message.payload), "\"type\":\"T\""));
	assert_false(items.is_batch);
	done();
	assert_true(read_request(NULL, "Application/JSON ; a=b", "{\"type\":\"T\"}\r\n", NULL));
	assert_string_equal(items.items[0].error, "");
	done();
	assert_true(read_request(NULL, "text/plain", "hello", fields));
	assert_non_null(
		strstr(mr_buffer_string(&items.items[0].message.payload), "\"type\":\"a\xc3\xa4\""));
	assert_non_null(
		strstr(mr_buffer_string(&items.items[0].message.payload), "\"data\":\"hello\"}"));
	done();
	/* how it is answered is no event */
	assert_true(
		read_request("wait=processed&timeout=5s", "application/json", "{\"type\":\"T\"}", NULL));
	assert_string_equal(items.items[0].error, "");
	done();
	expect_refusal("wait=processed", NULL, "", MR_PROBLEM_BODY);
	assert_true(read_request("eventData=30C", NULL, "", NULL));
	assert_string_equal(items.items[0].error, "The event has no type.");
	done();
}

/* Fields of a CloudEvent in binary mode are bytes that nobody has looked at. */
static void
fields_that_are_no_text(void **state)
{
	static const char *const values[] = {"a%FFb", "a%C3", "%00", "a%00b",
										 "a%",    "a%4",  "%zz", "a\xff"};

	(void) state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (int field = 0; field < 2; field++)
		{
			const char *const fields[] = {"ce-specversion",
										  "1.0",
										  "ce-type",
										  field == 0 ? values[i] : "a",
										  "ce-id",
										  field == 1 ? values[i] : "1",
										  NULL};

			assert_false(read_request(NULL, "text/plain", "hello", fields));
			assert_int_equal(problem, MR_PROBLEM_BODY);
			assert_non_null(strstr(detail, field == 0 ? "ce-type" : "ce-id"));
			done();
		}
}

static void
lines(void **state)
{
	(void) state;
	assert_true(read_request(NULL, "application/x-ndjson",
							 "{\"type\":\"1\"}\n\n \r\n{\r\n{\"type\":\"3\"}", NULL));
	assert_int_equal(items.count, 3);
	assert_true(items.is_batch);
	assert_int_equal(items.items[1].line, 4);
	assert_string_not_equal(items.items[1].error, "");
	assert_int_equal(items.items[2].line, 5);
	assert_string_equal(items.items[2].error, "");
	done();
}

static void
a_batch(void **state)
{
	(void) state;
	assert_true(
		read_request(NULL, "application/cloudevents-batch+json", "[{\"type\":\"1\"}, [2]]", NULL));
	assert_int_equal(items.count, 2);
	assert_string_equal(items.items[0].error, "");
	assert_string_equal(items.items[1].error, "The event is not a JSON object.");
	done();
}

static void
elements_of_a_batch_are_kept(void **state)
{
	static const char *const wrong[] = {"[",
										"[] x",
										"[]]",
										"[,]",
										"[{\"type\":\"a\"},]",
										"[{\"type\":\"a\"}",
										"[{\"type\":\"a\"}] x",
										"[{\"type\":\"a\"} {}]"};

	(void) state;
	assert_true(read_request(NULL, "application/cloudevents-batch+json",
							 " [ {\"type\":\"a\", \"data\":1.10e2} ,\n{\"type\":\"b\"}] ", NULL));
	assert_int_equal(items.count, 2);
	assert_non_null(strstr(mr_buffer_string(&items.items[0].message.payload),
						   ",\"type\":\"a\", \"data\":1.10e2}"));
	done();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refusal(NULL, "application/cloudevents-batch+json", wrong[i], MR_PROBLEM_BODY);
}

/* A client that has nothing to send has sent all of it. */
static void
a_batch_of_nothing(void **state)
{
	static const char *const fields[] = {"Content-Length", "0", NULL};
	static const struct
	{
		const char *type;
		const char *body;
	} empty[] = {{"application/cloudevents-batch+json", "[]"},
				 {"application/cloudevents-batch+json", " [ \n]\r\n"},
				 {"application/x-ndjson", ""},
				 {"application/x-ndjson", "\n \r\n"}};

	(void) state;
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
	{
		assert_true(read_request(NULL, empty[i].type, empty[i].body, fields));
		assert_true(items.is_batch && items.count == 0);
		done();
	}
	expect_refusal(NULL, "application/x-ndjson", "", MR_PROBLEM_NO_LENGTH);
	assert_false(read_request(NULL, "application/cloudevents-batch+json", "", fields));
	assert_int_equal(problem, MR_PROBLEM_BODY);
	done();
}

static void
refused(void **state)
{
	static const char *const old[] = {"ce-type", "a", NULL};
	static const char *const other[] = {"ce-type", "a", "ce-specversion", "0.3", NULL};
	static const char *const new[] = {"ce-type", "a", "ce-specversion", "1.0", NULL};

	(void) state;
	expect_refusal(NULL, NULL, "", MR_PROBLEM_BODY);
	expect_refusal(NULL, NULL, "x", MR_PROBLEM_MEDIA_TYPE);
	expect_refusal(NULL, "application/jsonp", "{}", MR_PROBLEM_MEDIA_TYPE);
	expect_refusal(NULL, "application/x-www-form-urlencoded", "{}", MR_PROBLEM_MEDIA_TYPE);
	assert_non_null(strstr(detail, "is no form"));
	expect_refusal("eventtype=1", NULL, "", MR_PROBLEM_PARAMETER);
	assert_non_null(strstr(detail, "did you mean \"eventType\"?"));
	expect_refusal("type=1", NULL, "", MR_PROBLEM_PARAMETER);
	assert_non_null(strstr(detail, "did you mean \"eventType\"?"));
	expect_refusal("eventType=1", "application/json", "{}", MR_PROBLEM_BODY);
	expect_refusal(NULL, "application/cloudevents-batch+json", "{}", MR_PROBLEM_BODY);
	assert_false(read_request(NULL, NULL, "", old));
	done();
	assert_string_equal(detail, "The header field ce-specversion is missing.");
	assert_false(read_request(NULL, NULL, "", other));
	assert_string_equal(detail, "ce-specversion is \"0.3\", expected 1.0.");
	done();
	expect_refusal(NULL, "application/cloudevents-batch+json", "{}", MR_PROBLEM_BODY);
	assert_true(
		read_request(NULL, "application/json", "{\"type\":\"a\",\"specversion\":\"0.3\"}", NULL));
	assert_string_equal(items.items[0].error,
						"The event's specversion is \"0.3\", expected \"1.0\".");
	done();
	assert_false(read_request(NULL, "application/json", "{", new));
	done();
	assert_false(read_request(NULL, NULL, "\xff", new));
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_length),
		cmocka_unit_test(one_event),
		cmocka_unit_test(fields_that_are_no_text),
		cmocka_unit_test(lines),
		cmocka_unit_test(a_batch),
		cmocka_unit_test(elements_of_a_batch_are_kept),
		cmocka_unit_test(a_batch_of_nothing),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("resource/event_input", tests, NULL, NULL);
}
