/* The small rooms: backoff, sqlstate, buffer, metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/json.h"
#include "common/metrics.h"
#include "common/sqlstate.h"
#include "common/trouble.h"
#include "common/utf8.h"

static void
backoff_grows_and_stays_in_bounds(void **state)
{
	MrBackoff backoff = {.min_ms = 100, .max_ms = 2000};
	const int steps[] = {100, 200, 400, 800, 1600, 2000, 2000};
	int first;

	(void) state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		MrBackoff low = backoff, high = backoff;
		int half = steps[i] / 2;

		assert_int_equal(mr_backoff_next(&low, 0), steps[i] - half);
		assert_int_equal(mr_backoff_next(&high, (uint32_t) half), steps[i]);
		mr_backoff_next(&backoff, 4294967295u);
	}
	mr_backoff_reset(&backoff);
	first = mr_backoff_next(&backoff, 12345);
	assert_true(first >= 50 && first <= 100);
}

static void
a_trouble_is_news_when_its_text_changes(void **state)
{
	MrTrouble trouble = {0};

	(void) state;
	assert_false(mr_trouble_is_set(&trouble));
	assert_int_equal(mr_trouble_set(&trouble, "no socket\n\tIs it running?\n"), MR_LOG_WARN);
	assert_string_equal(trouble.text, "no socket  Is it running?");
	assert_int_equal(mr_trouble_set(&trouble, "no socket\n\tIs it running?\n"), MR_LOG_DEBUG);
	assert_int_equal(mr_trouble_set(&trouble, "wrong password"), MR_LOG_WARN);
	mr_trouble_clear(&trouble);
	assert_false(mr_trouble_is_set(&trouble));
	assert_int_equal(mr_trouble_set(&trouble, "wrong password"), MR_LOG_WARN);
	assert_int_equal(mr_trouble_set(&trouble, ""), MR_LOG_WARN);
	assert_true(mr_trouble_is_set(&trouble));
}

static void
sqlstates_by_class(void **state)
{
	(void) state;
	assert_int_equal(mr_sqlstate_class("MR001"), MR_SQL_FENCED);
	assert_int_equal(mr_sqlstate_class("MR002"), MR_SQL_LANE_LOST);
	assert_int_equal(mr_sqlstate_class("MR003"), MR_SQL_OTHER);
	assert_int_equal(mr_sqlstate_class("57P01"), MR_SQL_GONE);
	assert_int_equal(mr_sqlstate_class("57014"), MR_SQL_BUSY);
	assert_int_equal(mr_sqlstate_class("53100"), MR_SQL_BUSY);
	assert_int_equal(mr_sqlstate_class("42501"), MR_SQL_SETUP);
	assert_int_equal(mr_sqlstate_class("22P02"), MR_SQL_OTHER);
	assert_int_equal(mr_sqlstate_class(""), MR_SQL_GONE);
	assert_int_equal(mr_sqlstate_class(NULL), MR_SQL_GONE);
}

static void
buffer_grows(void **state)
{
	MrBuffer buffer = {0};
	char text[1000];

	(void) state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 100; i++)
		mr_buffer_append(&buffer, text, sizeof(text));
	mr_buffer_printf(&buffer, "%.*s%d", (int) sizeof(text), text, 42);
	assert_int_equal(buffer.len, 101002);
	assert_memory_equal(buffer.data + 101000, "42", 2);
	mr_buffer_free(&buffer);
	assert_null(buffer.data);
}

/* What an error message of any encoding has, others can read. */
static void
json_strings(void **state)
{
	static const struct
	{
		const char *text;
		const char *json;
	} cases[] = {
		{"", "\"\""},
		{"a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\""},
		{"a\nb\tc\x01\x7f", "\"a\\nb\\tc\\u0001\\u007f\""},
		{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
		{"caf\xe9", "\"caf?\""},                 /* Latin-1 */
		{"\xc3", "\"?\""},                       /* cut */
		{"\xe2\x82", "\"??\""},                  /* cut */
		{"\xc0\xaf \xe0\x80\xaf", "\"?? ???\""}, /* longer than needed */
		{"\xed\xa0\x80", "\"???\""},             /* a surrogate */
		{"\xf4\x90\x80\x80 \xff", "\"???? ?\""}, /* beyond Unicode */
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		MrBuffer out = {0};

		mr_json_put_string(&out, cases[i].text);
		assert_string_equal(mr_buffer_string(&out), cases[i].json);
		mr_buffer_free(&out);
	}
}

static void
no_character_is_cut_in_two(void **state)
{
	(void) state;
	assert_int_equal(mr_utf8_fit("abc", 3), 3);
	assert_int_equal(mr_utf8_fit("abcd", 3), 3);
	assert_int_equal(mr_utf8_fit("ab\xc3\xa4", 3), 2);
	assert_int_equal(mr_utf8_fit("ab\xc3\xa4", 4), 4);
	assert_int_equal(mr_utf8_fit("\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(mr_utf8_fit("\xf0\x9f\x98\x80z", 4), 4);
}

static void
metrics_text(void **state)
{
	MrBuffer out = {0};

	(void) state;
	mr_metrics_family(&out, "a_total", "counter", "Help.");
	mr_metrics_value(&out, "a_total", 3, NULL);
	mr_metrics_value(&out, "a_total", 0.5, "l", "q\"\\\n", "m", "", NULL);
	assert_string_equal(mr_buffer_string(&out),
						"# HELP a_total Help.\n# TYPE a_total counter\na_total 3\n"
						"a_total{l=\"q\\\"\\\\\\n\",m=\"\"} 0.5\n");
	mr_buffer_free(&out);
}

static void
histogram_is_cumulative(void **state)
{
	MrHistogram histogram = {0};
	MrBuffer out = {0};

	(void) state;
	mr_histogram_add(&histogram, 0.0004);
	mr_histogram_add(&histogram, 0.003);
	mr_histogram_add(&histogram, 1000);
	mr_metrics_histogram(&out, "h", &histogram, "p", "x");
	assert_non_null(strstr(mr_buffer_string(&out), "h_bucket{p=\"x\",le=\"0.0005\"} 1\n"));
	assert_non_null(strstr(out.data, "h_bucket{p=\"x\",le=\"0.004\"} 2\n"));
	assert_non_null(strstr(out.data, "h_bucket{p=\"x\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(out.data, "h_count{p=\"x\"} 3\n"));
	mr_buffer_free(&out);
}

static void
process_metrics(void **state)
{
	MrBuffer out = {0};

	(void) state;
	mr_metrics_process(&out);
	assert_non_null(strstr(mr_buffer_string(&out), "\nprocess_resident_memory_bytes "));
	assert_null(strstr(out.data, "process_resident_memory_bytes 0\n"));
	mr_buffer_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_grows_and_stays_in_bounds),
		cmocka_unit_test(a_trouble_is_news_when_its_text_changes),
		cmocka_unit_test(sqlstates_by_class),
		cmocka_unit_test(buffer_grows),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(no_character_is_cut_in_two),
		cmocka_unit_test(metrics_text),
		cmocka_unit_test(histogram_is_cumulative),
		cmocka_unit_test(process_metrics),
	};

	return cmocka_run_group_tests_name("common/small", tests, NULL, NULL);
}
