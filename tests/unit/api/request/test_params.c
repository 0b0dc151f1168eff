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
	assert_null(mr_nearest_name("colour", known, 5));
	assert_null(mr_nearest_name("", known, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_values),
		cmocka_unit_test(refused),
		cmocka_unit_test(encoded_text_is_decoded_to_itself),
		cmocka_unit_test(nearest_names),
	};

	return cmocka_run_group_tests_name("request/params", tests, NULL, NULL);
}
