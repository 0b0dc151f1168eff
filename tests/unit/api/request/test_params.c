/* Query strings, and the nearest name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/request/params.h"
#include "api/wire/target.h"

static MrParams params;
static char error[128];

static void
names_and_values(void **state)
{
	(void) state;
	assert_true(mr_params_parse(&params, "a=1&&b=x%26y%3D+z&c&d=e=f", error, sizeof(error)));
	assert_int_equal(params.count, 4);
	assert_string_equal(mr_params_get(&params, "a"), "1");
	assert_string_equal(mr_params_get(&params, "b"), "x&y= z");
	assert_string_equal(mr_params_get(&params, "c"), "");
	assert_string_equal(mr_params_get(&params, "d"), "e=f");
	assert_null(mr_params_get(&params, "e"));
	mr_params_free(&params);
	assert_true(mr_params_parse(&params, NULL, error, sizeof(error)));
	assert_int_equal(params.count, 0);
}

static void
refused(void **state)
{
	char many[65 * 5] = "";

	(void) state;
	assert_false(mr_params_parse(&params, "a=1&%61=2", error, sizeof(error)));
	assert_string_equal(error, "Parameter \"a\" is given twice.");
	assert_false(mr_params_parse(&params, "=1", error, sizeof(error)));
	for (int i = 0; i < 65; i++)
		sprintf(many + strlen(many), "p%d&", i);
	assert_false(mr_params_parse(&params, many, error, sizeof(error)));
	assert_int_equal(params.count, 0);
}

static void
a_form_is_added(void **state)
{
	(void) state;
	assert_true(mr_params_parse(&params, "a=1", error, sizeof(error)));
	assert_true(mr_params_add(&params, "b=2+3&c=%C3%A4", error, sizeof(error)));
	assert_int_equal(params.count, 3);
	assert_string_equal(mr_params_get(&params, "b"), "2 3");
	/* one that is refused leaves nothing */
	assert_false(mr_params_add(&params, "d=4&a=1", error, sizeof(error)));
	assert_string_equal(error, "Parameter \"a\" is given twice.");
	assert_int_equal(params.count, 3);
	mr_params_free(&params);
}

static void
a_form_is_as_strict_as_a_query(void **state)
{
	static const char *const wrong[] = {"a b",        "a=%",   "a=%0",    "a=%GG", "a=%00",
										"a=\xc3\xa4", "a=%FF", "a=\"b\"", "a=b\n", "a=#"};
	static const char good[] = "eventType=T&eventData=30+%C2%B0C&x=/?:@!$'()*,;~";
	const char *why;

	(void) state;
	assert_true(mr_form_check(good, strlen(good), &why));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (mr_form_check(wrong[i], strlen(wrong[i]), &why) || why == NULL)
			fail_msg("%s", wrong[i]);
	assert_false(mr_form_check("a\0b", 3, &why));
}

static void
one_of_a_list(void **state)
{
	static const char *const states[] = {"open", "replaying", "discarded"};
	const char *value;
	char small[24];

	(void) state;
	assert_true(mr_params_parse(&params,
								"state=opened&long="
								"01234567890123456789012345678901234567%C3%A4%C3%A4&good=open",
								error, sizeof(error)));
	assert_true(mr_params_choose(&params, "other", states, 3, &value, error, sizeof(error)));
	assert_null(value);
	assert_true(mr_params_choose(&params, "good", states, 3, &value, error, sizeof(error)));
	assert_string_equal(value, "open");
	assert_false(mr_params_choose(&params, "state", states, 3, &value, error, sizeof(error)));
	assert_string_equal(error, "state is \"opened\", expected open, replaying or discarded.");
	assert_false(mr_params_choose(&params, "state", states, 1, &value, error, sizeof(error)));
	assert_string_equal(error, "state is \"opened\", expected open.");
	assert_false(mr_params_choose(&params, "long", states, 1, &value, error, sizeof(error)));
	assert_string_equal(
		error, "long is \"01234567890123456789012345678901234567\xc3\xa4\", expected open.");
	assert_false(mr_params_choose(&params, "state", states, 3, &value, small, sizeof(small)));
	mr_params_free(&params);
}

static void
numbers(void **state)
{
	static const char *const wrong[] = {"limit=",     "limit=0",
										"limit=11",   "limit=+5",
										"limit=%205", "limit=5x",
										"limit=-1",   "limit=99999999999999999999",
										"limit=5.0"};
	int number = 7;

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		assert_true(mr_params_parse(&params, wrong[i], error, sizeof(error)));
		if (mr_params_number(&params, "limit", 1, 10, &number, error, sizeof(error)) ||
			strstr(error, "expected a number from 1 to 10.") == NULL)
			fail_msg("%s", wrong[i]);
		mr_params_free(&params);
	}
	assert_true(mr_params_parse(&params, "limit=10", error, sizeof(error)));
	assert_true(mr_params_number(&params, "other", 1, 10, &number, error, sizeof(error)));
	assert_int_equal(number, 7);
	assert_true(mr_params_number(&params, "limit", 1, 10, &number, error, sizeof(error)));
	assert_int_equal(number, 10);
	mr_params_free(&params);
}

static void
encoded_text_is_decoded_to_itself(void **state)
{
	const char *text = "a b+c%d/\xc3\xa4&=?#\"'";
	MrBuffer out = {0};
	char *back;

	(void) state;
	mr_percent_encode(&out, text);
	back = mr_percent_decode(out.data, out.len, true);
	assert_string_equal(back, text);
	free(back);
	mr_buffer_free(&out);
}

static void
nearest_names(void **state)
{
	static const char *const known[] = {"type", "time", "from", "limit", "source"};

	(void) state;
	assert_string_equal(mr_nearest_name("typ", known, 5), "type");
	assert_string_equal(mr_nearest_name("form", known, 5), "from");
	assert_string_equal(mr_nearest_name("TIME", known, 5), "time");
	assert_string_equal(mr_nearest_name("sourc", known, 5), "source");
	assert_string_equal(mr_nearest_name("type", (const char *[]){"time", "eventType"}, 2),
						"eventType");
	assert_string_equal(mr_nearest_name("state", (const char *[]){"sqlstate", "state"}, 2),
						"state");
	assert_string_equal(mr_nearest_name("ype", (const char *[]){"time", "type"}, 2), "type");
	assert_string_equal(mr_nearest_name("eventType", known, 5), "type");
	assert_string_equal(mr_nearest_name("event_time", known, 5), "time");
	assert_null(mr_nearest_name("colour", known, 5));
	assert_null(mr_nearest_name("", known, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_values),
		cmocka_unit_test(a_form_is_added),
		cmocka_unit_test(a_form_is_as_strict_as_a_query),
		cmocka_unit_test(one_of_a_list),
		cmocka_unit_test(numbers),
		cmocka_unit_test(refused),
		cmocka_unit_test(encoded_text_is_decoded_to_itself),
		cmocka_unit_test(nearest_names),
	};

	return cmocka_run_group_tests_name("request/params", tests, NULL, NULL);
}
