/* Log lines: logfmt quoting, JSON escapes, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"

static MrBuffer out;

static const char *
line(MrLogFormat format, const char *msg, const MrLogField *fields, size_t count)
{
	out.len = 0;
	mr_log_format(&out, format, 1700000000123, "prog", MR_LOG_WARN, msg, fields, count);
	return mr_buffer_string(&out);
}

#define LINE(format_, msg_, ...)                                                                   \
	line(format_, msg_, MR_LOG_FIELDS(__VA_ARGS__),                                                \
		 sizeof(MR_LOG_FIELDS(__VA_ARGS__)) / sizeof(MrLogField))

static void
logfmt(void **state)
{
	(void) state;
	assert_string_equal(LINE(MR_LOG_LOGFMT, "hello"),
						"time=2023-11-14T22:13:20.123Z level=warn program=prog msg=hello\n");
	assert_string_equal(LINE(MR_LOG_LOGFMT, "two words", MR_STR("a", "x=\"y\""), MR_INT("n", -5),
							 MR_STR("e", "")),
						"time=2023-11-14T22:13:20.123Z level=warn program=prog msg=\"two words\" "
						"a=\"x=\\\"y\\\"\" n=-5 e=\"\"\n");
}

static void
json(void **state)
{
	(void) state;
	assert_string_equal(LINE(MR_LOG_JSON, "a\nb", MR_STR("k", "tab\there\x01 \\"), MR_INT("n", 7)),
						"{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"program\":"
						"\"prog\",\"msg\":\"a\\nb\",\"k\":\"tab\\there\\u0001 \\\\\",\"n\":7}\n");
}

static void
trailing_newlines_go(void **state)
{
	(void) state;
	assert_non_null(strstr(LINE(MR_LOG_LOGFMT, "m", MR_STR("error", "as libpq says\n")),
						   "error=\"as libpq says\"\n"));
}

static void
null_text_is_empty(void **state)
{
	(void) state;
	assert_non_null(strstr(LINE(MR_LOG_LOGFMT, "m", MR_STR("error", NULL)), "error=\"\"\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logfmt),
		cmocka_unit_test(json),
		cmocka_unit_test(trailing_newlines_go),
		cmocka_unit_test(null_text_is_empty),
	};
	int failed = cmocka_run_group_tests_name("common/log", tests, NULL, NULL);

	mr_buffer_free(&out);
	return failed;
}
