/* What is reported of an ingestor and when; how a topic's retention is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingestor/control/report.h"
#include "ingestor/fetch/retention.h"

static void
reported_when_new_changed_lost_or_old(void **state)
{
	MrReport report = {0};

	(void) state;
	assert_true(mr_report_is_due(&report, 1000, 0));
	mr_report_sent(&report, 1000, 0);
	assert_false(mr_report_is_due(&report, 500000, 0)); /* the call is under way */
	report.reporting = false;
	assert_false(mr_report_is_due(&report, 1000 + MR_REPORT_EVERY_MS - 1, 0));
	assert_true(mr_report_is_due(&report, 1000 + MR_REPORT_EVERY_MS, 0));
	assert_true(mr_report_is_due(&report, 1001, 1)); /* the connection was lost */
	mr_report_answered(&report, true, 5);
	assert_true(mr_report_is_due(&report, 1001, 0));
	mr_report_sent(&report, 1001, 0);
	report.reporting = false;
	mr_report_answered(&report, true, 5); /* no news */
	assert_false(mr_report_is_due(&report, 1002, 0));
	mr_report_answered(&report, true, 6);
	assert_true(mr_report_is_due(&report, 1002, 0));
}

static void
retention_is_asked_again_and_again(void **state)
{
	MrReport report = {0};

	(void) state;
	assert_true(mr_report_wants_retention(&report, 1000));
	mr_report_asked(&report, 1000);
	assert_false(mr_report_wants_retention(&report, 500000)); /* one at a time */
	mr_report_answered(&report, false, 0);
	assert_false(mr_report_wants_retention(&report, 1000 + MR_REPORT_EVERY_MS - 1));
	assert_true(mr_report_wants_retention(&report, 1000 + MR_REPORT_EVERY_MS));
	mr_report_asked(&report, 1000 + MR_REPORT_EVERY_MS);
	mr_report_answered(&report, true, 7);
	assert_false(mr_report_wants_retention(&report, 1001 + MR_REPORT_EVERY_MS));
	mr_report_refresh(&report);
	assert_true(mr_report_wants_retention(&report, 1001 + MR_REPORT_EVERY_MS));
	assert_true(mr_report_is_due(&report, 1001 + MR_REPORT_EVERY_MS, 0));
}

static void
retention_that_is_not_known_is_left_out(void **state)
{
	MrReport report = {0};
	MrBuffer out = {0};

	(void) state;
	mr_report_answered(&report, false, 0);
	mr_report_put(&report, "2.0.2", "2.1.12-stable", &out);
	assert_null(strstr(mr_buffer_string(&out), "retention"));
	assert_non_null(strstr(
		mr_buffer_string(&out),
		"\"librdkafka\": \"2.0.2\", \"libevent\": \"2.1.12-stable\", \"lane_error\": null}"));
	out.len = 0;
	mr_report_answered(&report, true, MR_RETENTION_FOR_EVER);
	mr_report_answered(&report, false, 0); /* the broker is away: what was known stays */
	mr_report_put(&report, "2.0.2", "2.1.12-stable", &out);
	assert_non_null(strstr(mr_buffer_string(&out), ", \"retention_ms\": -1,"));
	mr_buffer_free(&out);
}

static void
trouble_of_a_lane_is_reported_and_taken_back(void **state)
{
	MrReport report = {0};
	MrBuffer out = {0};

	(void) state;
	mr_report_sent(&report, 1000, 0);
	report.reporting = false;
	mr_report_lane(&report, NULL);
	assert_false(mr_report_is_due(&report, 1001, 0)); /* no news */
	mr_report_lane(&report, "role \"in\" is not\n\tallowed\n");
	assert_true(mr_report_is_due(&report, 1001, 0));
	mr_report_put(&report, "2.0.2", "2.1.12-stable", &out);
	assert_non_null(
		strstr(mr_buffer_string(&out), "\"lane_error\": \"role \\\"in\\\" is not  allowed\"}"));
	mr_report_sent(&report, 1001, 0);
	report.reporting = false;
	mr_report_lane(&report, "role \"in\" is not\n\tallowed\n");
	assert_false(mr_report_is_due(&report, 1002, 0)); /* the same again */
	mr_report_lane(&report, NULL);
	assert_true(mr_report_is_due(&report, 1002, 0));
	out.len = 0;
	mr_report_put(&report, "2.0.2", "2.1.12-stable", &out);
	assert_non_null(strstr(mr_buffer_string(&out), "\"lane_error\": null}"));
	mr_buffer_free(&out);
}

static void
retention_is_read(void **state)
{
	static const struct
	{
		const char *retention;
		const char *policy;
		int64_t ms;
	} cases[] = {
		{"604800000", "delete", 604800000},
		{"604800000", "compact,delete", 604800000},
		{"9223372036854775807", NULL, INT64_MAX},
		{"-1", "delete", MR_RETENTION_FOR_EVER},
		{"604800000", "compact", MR_RETENTION_FOR_EVER},
		{NULL, "compact", MR_RETENTION_FOR_EVER},
	};
	int64_t ms;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		assert_true(mr_retention_parse(cases[i].retention, cases[i].policy, &ms));
		assert_int_equal(ms, cases[i].ms);
	}
	assert_false(mr_retention_parse(NULL, "delete", &ms));
	assert_false(mr_retention_parse("", "delete", &ms));
	assert_false(mr_retention_parse("a week", "delete", &ms));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reported_when_new_changed_lost_or_old),
		cmocka_unit_test(retention_is_asked_again_and_again),
		cmocka_unit_test(retention_that_is_not_known_is_left_out),
		cmocka_unit_test(trouble_of_a_lane_is_reported_and_taken_back),
		cmocka_unit_test(retention_is_read),
	};

	return cmocka_run_group_tests_name("ingestor/report", tests, NULL, NULL);
}
